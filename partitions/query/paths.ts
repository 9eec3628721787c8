/**
 * Paths of fields: `age`, `address.city`, `tags[any]`, `tags[0]`, `this` (the value itself), `__key`, `__key.id`, and
 * `a."any name"` for names with other characters. Reading a path never runs code of a value and never throws: what is not
 * there is undefined. Called by predicates, projections, aggregators, indexes and the parser.
 */
import { isWellFormed } from '../../src/wire/tagged-writer.js';
import { MAX_PATH, MAX_STEPS } from './limits.js';

/** A name of a property, an index of an array, or each element of an array. */
export type Step = string | number | typeof ANY;
export const ANY = Symbol('any');

export interface Path {
  /** In its one form: the same for all texts that mean the same. */
  readonly text: string;
  readonly isKey: boolean;
  readonly steps: readonly Step[];
  /** It leads to several values. */
  readonly hasAny: boolean;
}

/** What is read from: decoded when it is asked for. */
export interface Entry {
  readonly key: unknown;
  readonly value: unknown;
}

const NAME = /[A-Za-z_$\u0080-\uffff][\w$\u0080-\uffff-]*/y;
const NAME_ALONE = /^[A-Za-z_$\u0080-\uffff][\w$\u0080-\uffff]*$/;
const INDEX = /\[(?:(any)|(\d{1,9}))\]/y;

export class PathProblem extends Error {
  /** Characters before the place. */
  readonly at: number;
  readonly expected: string;

  constructor(at: number, expected: string) {
    super(`expected ${expected} at character ${at + 1}`);
    this.at = at;
    this.expected = expected;
  }
}

const PARSED = new Map<string, Path>();
const MAX_PARSED = 512;

/** Throws a `TypeError` for what is no path. */
export function pathOf(text: unknown): Path {
  if (typeof text !== 'string')
    throw new TypeError('attribute: expected a path such as age, address.city or tags[any]');
  const known = PARSED.get(text);
  if (known !== undefined) return known;
  if (!isWellFormed(text)) throw new TypeError('attribute: it has half of a character (a lone surrogate)');
  try {
    const { path, end } = readPath(text, 0);
    if (end !== text.length) throw new PathProblem(end, "'.', '[' or the end");
    // Only what means the same for everybody is kept, so it does not matter who asked first.
    if (PARSED.size >= MAX_PARSED) PARSED.clear();
    PARSED.set(text, path);
    return path;
  } catch (error) {
    if (!(error instanceof PathProblem)) throw error;
    throw new TypeError(`attribute ${JSON.stringify(text.slice(0, MAX_PATH))}: ${error.message}`);
  }
}

/** The path that begins at a character, and where it ends. Throws a `PathProblem`. */
export function readPath(text: string, from: number): { readonly path: Path; readonly end: number } {
  const steps: Step[] = [];
  let at = from;
  for (;;) {
    const name = readName(text, at);
    steps.push(name.name);
    at = name.end;
    for (INDEX.lastIndex = at; ; INDEX.lastIndex = at) {
      const found = text[at] === '[' ? INDEX.exec(text) : null;
      if (found === null) break;
      steps.push(found[1] === undefined ? Number(found[2]) : ANY);
      at = INDEX.lastIndex;
    }
    if (text[at] === '[') throw new PathProblem(at, '[any] or an index such as [0]');
    if (steps.length > MAX_STEPS) throw new PathProblem(at, `at most ${MAX_STEPS} steps`);
    if (at - from > MAX_PATH) throw new PathProblem(from + MAX_PATH, `at most ${MAX_PATH} characters`);
    if (text[at] !== '.') break;
    at++;
  }
  return { path: pathOfSteps(steps, text[from] === '"'), end: at };
}

function readName(text: string, at: number): { readonly name: string; readonly end: number } {
  if (text[at] === '"') return readQuoted(text, at);
  NAME.lastIndex = at;
  const found = NAME.exec(text);
  if (found === null) throw new PathProblem(at, 'the name of a field');
  return { name: found[0], end: NAME.lastIndex };
}

function readQuoted(text: string, from: number): { readonly name: string; readonly end: number } {
  let name = '';
  for (let at = from + 1; at < text.length && at - from <= MAX_PATH; at++) {
    if (text[at] !== '"') name += text[at];
    else if (text[at + 1] === '"') name += text[++at];
    else return { name, end: at + 1 };
  }
  throw new PathProblem(from, 'a name in double quotes that ends');
}

function pathOfSteps(all: readonly Step[], isQuoted: boolean): Path {
  const [first] = all;
  const isKey = first === '__key' && !isQuoted;
  const isThis = first === 'this' && !isQuoted;
  const steps = isKey || isThis ? all.slice(1) : all;
  const root = isKey ? '__key' : steps.length === 0 || typeof steps[0] !== 'string' ? 'this' : '';
  let text = root;
  steps.forEach((step, i) => {
    if (typeof step !== 'string') text += step === ANY ? '[any]' : `[${step}]`;
    else text += `${text === '' ? '' : '.'}${nameText(step, i === 0 && root === '')}`;
  });
  return { text, isKey, steps, hasAny: steps.includes(ANY) };
}

/** Words of the language are quoted as a first name, so that a printed predicate is read as what it was. */
function nameText(name: string, isFirst: boolean): string {
  const isPlain =
    NAME_ALONE.test(name) &&
    !(isFirst && (RESERVED.has(name.toUpperCase()) || name === 'this' || name === '__key'));
  return isPlain ? name : `"${name.replaceAll('"', '""')}"`;
}

/** Words that begin something else than a path. */
export const RESERVED: ReadonlySet<string> = new Set(
  'AND OR NOT IN IS NULL LIKE ILIKE REGEX BETWEEN ESCAPE TRUE FALSE NAN INFINITY DATE'.split(' '),
);

/** The value at the path, undefined when there is none. Of a path with `[any]`, see `readAll`. */
export function readOne({ isKey, steps }: Path, entry: Entry): unknown {
  let value = isKey ? entry.key : entry.value;
  for (let i = 0; i < steps.length; i++) value = child(value, steps[i] as string | number);
  return value;
}

/**
 * Calls `visit` with each value that the path leads to, until it gives true; gives whether it did. `each` is called for
 * every element on the way.
 */
export function someAt(
  { isKey, steps }: Path,
  entry: Entry,
  visit: (value: unknown) => boolean,
  each: () => void = () => {},
): boolean {
  return walk(isKey ? entry.key : entry.value, steps, 0, visit, each);
}

function walk(
  value: unknown,
  steps: readonly Step[],
  from: number,
  visit: (value: unknown) => boolean,
  each: () => void,
): boolean {
  let at = value;
  for (let i = from; i < steps.length; i++) {
    const step = steps[i] as Step;
    if (step !== ANY) {
      at = child(at, step);
      continue;
    }
    if (!Array.isArray(at) && !(at instanceof Set)) return false;
    for (const element of at) {
      each();
      if (walk(element, steps, i + 1, visit, each)) return true;
    }
    return false;
  }
  return visit(at);
}

/** Only what the value itself has: nothing of its class, and no length of an array. */
function child(value: unknown, step: string | number): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  if (typeof step === 'number') return Array.isArray(value) ? value[step] : undefined;
  if (value instanceof Map) return value.get(step);
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return undefined;
  return Object.hasOwn(value, step) ? (value as Record<string, unknown>)[step] : undefined;
}
