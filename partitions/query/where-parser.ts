/**
 * Reads the text of a query, as behind WHERE in SQL, into a predicate. Invariants: ends in time and depth that the limits
 * bound, whatever the text; what it refuses is a `QuerySyntaxError` with position and what was expected. Called by
 * `Predicates.sql`.
 */
import { QuerySyntaxError } from '../../src/base/errors.js';
import { MAX_DEPTH, MAX_NODES, MAX_VALUES, MAX_WHERE } from './limits.js';
import { ALWAYS_FALSE, ALWAYS_TRUE, type Comparison, checkedPredicate, type Predicate } from './predicate.js';
import type { Scalar } from './scalars.js';
import { type Word, Words, wrong } from './where-words.js';

const SIGNS: ReadonlyMap<string, Comparison> = new Map([
  ['=', '='],
  ['==', '='],
  ['!=', '!='],
  ['<>', '!='],
  ['<', '<'],
  ['<=', '<='],
  ['>', '>'],
  ['>=', '>='],
]);

/** Of the text; a predicate that is printed has some for each of its own levels. */
const MAX_PARENTHESES = 3 * MAX_DEPTH + 2;

const DATE_TEXT = /^[+-]?\d{4,6}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)?)?$/;
const VALUE = "a value: 'text', a number, true, false, null or DATE 'time'";
const FIELD = "the name of a field, NOT or '('";
const AFTER_FIELD = 'a comparison, BETWEEN, IN, LIKE, ILIKE, REGEX or IS';

/** Throws a `TypeError` for what is no text, and a `QuerySyntaxError`. */
export function parseWhere(text: unknown): Predicate {
  if (typeof text !== 'string')
    throw new TypeError('sql: expected a text such as "age > 30 AND name LIKE \'J%\'"');
  if (text.length > MAX_WHERE)
    throw new QuerySyntaxError(
      `the text has ${text.length} characters; the limit is ${MAX_WHERE}`,
      MAX_WHERE,
      'the end',
    );
  const parsed = new Parser(new Words(text)).whole();
  try {
    return checkedPredicate(parsed);
  } catch (error) {
    if (error instanceof TypeError) throw new QuerySyntaxError(error.message, 0, 'less');
    throw error;
  }
}

class Parser {
  readonly #words: Words;
  #nodes = 0;
  #values = 0;

  constructor(words: Words) {
    this.#words = words;
  }

  whole(): Predicate {
    const predicate = this.#or(1);
    const { next } = this.#words;
    if (next.kind !== 'end') throw wrong(next.at, 'AND, OR or the end', describe(next));
    return predicate;
  }

  #or(depth: number): Predicate {
    return this.#several('or', 'OR', depth, (inner) =>
      this.#several('and', 'AND', inner, (innermost) => this.#not(innermost)),
    );
  }

  #several(kind: 'and' | 'or', word: string, depth: number, one: (depth: number) => Predicate): Predicate {
    const first = one(depth);
    if (!this.#isNext(word)) return first;
    const parts = [first];
    while (this.#skip(word)) parts.push(one(depth + 1));
    return this.#counted({ kind, parts });
  }

  #not(depth: number): Predicate {
    const { next } = this.#words;
    if (depth > MAX_PARENTHESES) throw wrong(next.at, `at most ${MAX_PARENTHESES} levels`);
    if (this.#skip('NOT')) return this.#counted({ kind: 'not', part: this.#not(depth + 1) });
    if (next.kind === 'sign' && next.text === '(') {
      this.#words.take();
      const inside = this.#or(depth + 1);
      this.#sign(')');
      return inside;
    }
    if (this.#skip('TRUE')) return this.#counted(ALWAYS_TRUE);
    if (this.#skip('FALSE')) return this.#counted(ALWAYS_FALSE);
    return this.#condition();
  }

  #condition(): Predicate {
    const field = this.#words.next;
    if (field.kind !== 'name') throw wrong(field.at, FIELD, describe(field));
    this.#words.take();
    const path = field.text;
    const { next } = this.#words;
    const is = next.kind === 'sign' ? SIGNS.get(next.text) : undefined;
    if (is !== undefined) {
      this.#words.take();
      return this.#counted({ kind: 'compare', path, is, value: this.#value() });
    }
    if (this.#skip('IS')) return this.#isNull(path);
    if (this.#skip('NOT')) {
      const part = this.#operator(path);
      if (part === null) {
        refuseJoint(field);
        throw this.#unexpected('IN, BETWEEN, LIKE, ILIKE or REGEX');
      }
      return this.#counted({ kind: 'not', part });
    }
    // A field alone asks whether it is true.
    return this.#operator(path) ?? this.#alone(field);
  }

  #isNull(path: string): Predicate {
    const is = this.#skip('NOT') ? '!=' : '=';
    if (!this.#skip('NULL')) throw this.#unexpected(is === '=' ? 'NULL or NOT NULL' : 'NULL');
    return this.#counted({ kind: 'compare', path, is, value: null });
  }

  #alone(field: Word): Predicate {
    refuseJoint(field);
    const { next } = this.#words;
    const ends = next.kind === 'end' || next.text === ')' || next.keyword === 'AND' || next.keyword === 'OR';
    if (!ends) throw this.#unexpected(AFTER_FIELD);
    return this.#counted({ kind: 'compare', path: field.text, is: '=', value: true });
  }

  /** What may stand behind NOT too; null when there is none of it. */
  #operator(path: string): Predicate | null {
    if (this.#skip('BETWEEN')) {
      const from = this.#value();
      if (!this.#skip('AND')) throw this.#unexpected('AND');
      return this.#counted({ kind: 'between', path, from, to: this.#value() });
    }
    if (this.#skip('IN')) return this.#counted({ kind: 'in', path, values: this.#list() });
    if (this.#skip('LIKE')) return this.#like(path, false);
    if (this.#skip('ILIKE')) return this.#like(path, true);
    if (this.#skip('REGEX')) return this.#pattern((pattern) => ({ kind: 'regex', path, pattern }));
    return null;
  }

  #like(path: string, ignoreCase: boolean): Predicate {
    return this.#pattern((pattern) => {
      const escapeBy = this.#skip('ESCAPE') ? this.#escapeCharacter() : '\\';
      return { kind: 'like', path, pattern, escapeBy, ignoreCase };
    });
  }

  #escapeCharacter(): string {
    const expected = 'one character to escape with';
    const word = this.#text(expected);
    if ([...word.text].length > 1) throw wrong(word.at, expected, describe(word));
    return word.text;
  }

  /** What is wrong with a pattern is told with its place. */
  #pattern(make: (pattern: string) => Predicate): Predicate {
    const { text, at } = this.#text('a pattern in single quotes');
    try {
      return this.#counted(checkedPredicate(make(text)));
    } catch (error) {
      if (error instanceof TypeError) throw wrong(at, `a right pattern (${error.message})`);
      throw error;
    }
  }

  #list(): Scalar[] {
    this.#sign('(');
    const values: Scalar[] = [];
    do {
      if (++this.#values > MAX_VALUES) throw wrong(this.#words.next.at, `at most ${MAX_VALUES} values`);
      values.push(this.#value());
    } while (this.#skipSign(','));
    this.#sign(')', "',' or ')'");
    return values;
  }

  #value(): Scalar {
    const word = this.#words.next;
    if (word.kind === 'text' || word.kind === 'number') {
      this.#words.take();
      return word.kind === 'text' ? word.text : (word.value as number | bigint);
    }
    if (this.#skip('TRUE')) return true;
    if (this.#skip('FALSE')) return false;
    if (this.#skip('NULL')) return null;
    if (this.#skip('NAN')) return Number.NaN;
    if (this.#skip('INFINITY')) return Number.POSITIVE_INFINITY;
    if (this.#skip('DATE')) return this.#date();
    throw wrong(word.at, VALUE, describe(word));
  }

  #date(): Date {
    const { text, at } = this.#text('a time in single quotes');
    const time = DATE_TEXT.test(text) ? new Date(text) : null;
    if (time === null || Number.isNaN(time.getTime()))
      throw wrong(at, "a time such as '2026-01-31T12:00:00Z'");
    return time;
  }

  #text(expected: string): Word {
    if (this.#words.next.kind !== 'text') throw this.#unexpected(expected);
    return this.#words.take();
  }

  #sign(sign: string, expected = `'${sign}'`): void {
    if (!this.#skipSign(sign)) throw this.#unexpected(expected);
  }

  #skipSign(sign: string): boolean {
    const { next } = this.#words;
    if (next.kind !== 'sign' || next.text !== sign) return false;
    this.#words.take();
    return true;
  }

  #isNext(keyword: string): boolean {
    return this.#words.next.keyword === keyword;
  }

  #skip(keyword: string): boolean {
    if (!this.#isNext(keyword)) return false;
    this.#words.take();
    return true;
  }

  #unexpected(expected: string): QuerySyntaxError {
    return wrong(this.#words.next.at, expected, describe(this.#words.next));
  }

  #counted(predicate: Predicate): Predicate {
    if (++this.#nodes > MAX_NODES) throw wrong(this.#words.next.at, `at most ${MAX_NODES} conditions`);
    return predicate;
  }
}

/** A word that joins conditions is the name of a field only where something is asked of the field. */
function refuseJoint(field: Word): void {
  if (field.keyword === 'AND' || field.keyword === 'OR') throw wrong(field.at, FIELD, describe(field));
}

/** As it was written. */
function describe({ kind, text, written = text }: Word): string {
  if (kind === 'end') return 'the end';
  return kind === 'text' ? `the text '${text.slice(0, 40)}'` : written.slice(0, 40);
}
