/**
 * Predicates as plain data, and the check that something is one. Invariant: what has passed `checkedPredicate` is inside the
 * limits, has only paths, values and patterns that mean something, and can be encoded. Users make them with `Predicates`, text
 * becomes them in the parser, the network brings them through the codec.
 */
import { isWellFormed } from '../../src/wire/tagged-writer.js';
import { likePattern } from './like.js';
import { MAX_BIGINT_BYTES, MAX_DEPTH, MAX_NODES, MAX_PATTERN, MAX_TEXT, MAX_VALUES } from './limits.js';
import { pathOf } from './paths.js';
import { RegexBudget } from './regex.js';
import type { Scalar } from './scalars.js';

export const COMPARISONS = ['=', '!=', '<', '<=', '>', '>='] as const;
export type Comparison = (typeof COMPARISONS)[number];

/** Made by `Predicates`; plain data that can be kept and sent. */
export type Predicate =
  | { readonly kind: 'alwaysTrue' }
  | { readonly kind: 'alwaysFalse' }
  | { readonly kind: 'compare'; readonly path: string; readonly is: Comparison; readonly value: Scalar }
  | { readonly kind: 'between'; readonly path: string; readonly from: Scalar; readonly to: Scalar }
  | { readonly kind: 'in'; readonly path: string; readonly values: readonly Scalar[] }
  | {
      readonly kind: 'like';
      readonly path: string;
      readonly pattern: string;
      /** One character, or '' for none. */
      readonly escapeBy: string;
      readonly ignoreCase: boolean;
    }
  | { readonly kind: 'regex'; readonly path: string; readonly pattern: string }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Predicate[] }
  | { readonly kind: 'not'; readonly part: Predicate };

export const ALWAYS_TRUE: Predicate = Object.freeze({ kind: 'alwaysTrue' });
export const ALWAYS_FALSE: Predicate = Object.freeze({ kind: 'alwaysFalse' });

/** The same predicate, of our own objects and with paths in their one form. Throws a `TypeError` for what is none. */
export function checkedPredicate(given: unknown): Predicate {
  return new Check().predicate(given, 1);
}

class Check {
  #nodes = 0;
  #values = 0;
  readonly #regexes = new RegexBudget();

  predicate(given: unknown, depth: number): Predicate {
    if (depth > MAX_DEPTH) throw new TypeError(`predicate: nested deeper than ${MAX_DEPTH} levels`);
    if (++this.#nodes > MAX_NODES) throw new TypeError(`predicate: more than ${MAX_NODES} parts`);
    // Read once as any object; every field is checked below.
    const node = Object(given) as Record<string, unknown>;
    if (node.kind === undefined && 'orderBy' in node)
      throw new TypeError(
        'predicate: pages are only for keySetWithPredicate, valuesWithPredicate and entrySetWithPredicate; here give the predicate itself',
      );
    switch (node.kind) {
      case 'alwaysTrue':
        return ALWAYS_TRUE;
      case 'alwaysFalse':
        return ALWAYS_FALSE;
      case 'and':
      case 'or':
        return { kind: node.kind, parts: this.#parts(node.parts, depth) };
      case 'not':
        return { kind: 'not', part: this.predicate(node.part, depth + 1) };
      default:
        return this.#ofField(node);
    }
  }

  #parts(given: unknown, depth: number): Predicate[] {
    if (!Array.isArray(given)) throw new TypeError('predicate: expected a list of predicates');
    if (given.length > MAX_NODES) throw new TypeError(`predicate: more than ${MAX_NODES} parts`);
    return Array.from(given, (part: unknown) => this.predicate(part, depth + 1));
  }

  #ofField(node: Record<string, unknown>): Predicate {
    const { kind } = node;
    switch (kind) {
      case 'compare': {
        const is = COMPARISONS.find((one) => one === node.is);
        if (is === undefined) throw new TypeError(`predicate: expected one of ${COMPARISONS.join(' ')}`);
        return { kind, path: pathOf(node.path).text, is, value: this.#value(node.value) };
      }
      case 'between': {
        const [from, to] = [this.#value(node.from), this.#value(node.to)];
        return { kind, path: pathOf(node.path).text, from, to };
      }
      case 'in':
        return { kind, path: pathOf(node.path).text, values: this.#list(node.values) };
      case 'like':
        return this.#like(node);
      case 'regex': {
        const pattern = patternOf(node.pattern);
        this.#regexes.add(pattern);
        return { kind, path: pathOf(node.path).text, pattern };
      }
      default:
        throw new TypeError(
          'predicate: expected one that Predicates makes, such as Predicates.equal(attribute, value) or Predicates.sql(text)',
        );
    }
  }

  #like({ path, pattern, escapeBy, ignoreCase }: Record<string, unknown>): Predicate {
    const text = patternOf(pattern);
    if (typeof escapeBy !== 'string' || [...escapeBy].length > 1)
      throw new TypeError("like: expected one character to escape with, or ''");
    if (typeof ignoreCase !== 'boolean') throw new TypeError('like: expected ignoreCase to be a boolean');
    likePattern(text, escapeBy, ignoreCase);
    return { kind: 'like', path: pathOf(path).text, pattern: text, escapeBy, ignoreCase };
  }

  #list(given: unknown): Scalar[] {
    if (!Array.isArray(given)) throw new TypeError('in: expected a list of values');
    this.#values += given.length;
    if (this.#values > MAX_VALUES) throw new TypeError(`in: more than ${MAX_VALUES} values`);
    return Array.from(given, (value: unknown) => this.#value(value));
  }

  #value(given: unknown): Scalar {
    return checkedValue(given);
  }
}

/** A value that fields can be compared with; a Date is copied. Throws a `TypeError`. */
export function checkedValue(given: unknown): Scalar {
  switch (typeof given) {
    case 'number':
    case 'boolean':
      return given;
    case 'bigint':
      if (BigInt.asIntN(MAX_BIGINT_BYTES * 8, given) !== given)
        throw new TypeError(`value: a bigint of more than ${MAX_BIGINT_BYTES} bytes`);
      return given;
    case 'string':
      if (given.length > MAX_TEXT) throw new TypeError(`value: a text of more than ${MAX_TEXT} characters`);
      return given;
    default:
      if (given === null) return null;
      if (given instanceof Date) return timeOf(given);
      throw new TypeError(
        `value: expected a text, number, bigint, boolean, Date or null, got ${Array.isArray(given) ? 'an array' : typeof given}`,
      );
  }
}

function timeOf(given: Date): Date {
  const time = new Date(Number(given));
  if (Number.isNaN(time.getTime())) throw new TypeError('value: a Date that is no time');
  return time;
}

function patternOf(given: unknown): string {
  if (typeof given !== 'string') throw new TypeError('pattern: expected a text');
  if (!isWellFormed(given)) throw new TypeError('pattern: it has half of a character (a lone surrogate)');
  if (given.length > MAX_PATTERN) throw new TypeError(`pattern: more than ${MAX_PATTERN} characters`);
  return given;
}
