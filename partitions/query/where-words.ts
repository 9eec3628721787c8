/**
 * Cuts the text of a query into words: names, texts, numbers, signs. Invariant: goes over the text once, whatever it is.
 * Called by the parser.
 */
import { QuerySyntaxError } from '../../src/base/errors.js';
import { MAX_DIGITS, MAX_TEXT } from './limits.js';
import { PathProblem, readPath } from './paths.js';

/** `other`: what the language has no use for. */
export type WordKind = 'name' | 'text' | 'number' | 'sign' | 'end' | 'other';

export interface Word {
  readonly kind: WordKind;
  /** Of a name its path in the one form, of a text what it stands for. */
  readonly text: string;
  /** Of a name, as it stands there. */
  readonly written?: string;
  /** A name without dots, brackets or quotes in capital letters: it may be a word of the language. Else ''. */
  readonly keyword: string;
  /** Of a number. */
  readonly value?: number | bigint;
  readonly at: number;
}

const SPACE = /\s*/y;
const SIGN = /==|!=|<>|<=|>=|[=<>(),]/y;
const NUMBER = /[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?n?/y;
const MINUS_INFINITY = /-infinity\b/iy;
const WHOLE = /^[+-]?\d+n?$/;
const PLAIN_NAME = /^[A-Za-z]+$/;

export class Words {
  readonly #text: string;
  #at = 0;
  #next: Word;

  constructor(text: string) {
    this.#text = text;
    this.#next = this.#read();
  }

  get next(): Word {
    return this.#next;
  }

  take(): Word {
    const word = this.#next;
    this.#next = this.#read();
    return word;
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return null;
    this.#at += found.length;
    return found;
  }

  #read(): Word {
    this.#match(SPACE);
    const at = this.#at;
    const text = this.#text;
    const first = text[at];
    if (first === undefined) return { kind: 'end', text: '', keyword: '', at };
    if (first === "'") return this.#readText(at);
    const sign = this.#match(SIGN);
    if (sign !== null) return { kind: 'sign', text: sign, keyword: '', at };
    if (this.#match(MINUS_INFINITY) !== null)
      return { kind: 'number', text: '-Infinity', keyword: '', value: Number.NEGATIVE_INFINITY, at };
    const number = this.#match(NUMBER);
    if (number !== null) return this.#number(number, at);
    return this.#name(at);
  }

  #number(digits: string, at: number): Word {
    const isBig = digits.endsWith('n');
    if (isBig && !WHOLE.test(digits)) throw wrong(at, 'a whole number before n');
    if (digits.length > MAX_DIGITS) throw wrong(at, `a number of at most ${MAX_DIGITS} characters`);
    const following = this.#text[this.#at];
    if (following !== undefined && /[\w$.]/.test(following)) throw wrong(this.#at, 'the end of the number');
    const number = Number(isBig ? digits.slice(0, -1) : digits);
    // A whole number that a double would round stays what it is.
    const isExact = isBig || (WHOLE.test(digits) && !Number.isSafeInteger(number));
    const value = isExact ? BigInt(digits.replace(/^\+/, '').replace(/n$/, '')) : number;
    return { kind: 'number', text: digits, keyword: '', value, at };
  }

  #readText(at: number): Word {
    let text = '';
    for (let from = at + 1; ; ) {
      const end = this.#text.indexOf("'", from);
      if (end < 0) throw wrong(at, "a text that ends with '");
      text += this.#text.slice(from, end);
      if (text.length > MAX_TEXT) throw wrong(at, `a text of at most ${MAX_TEXT} characters`);
      this.#at = end + 1;
      if (this.#text[end + 1] !== "'") return { kind: 'text', text, keyword: '', at };
      text += "'";
      from = end + 2;
    }
  }

  #name(at: number): Word {
    try {
      const { path, end } = readPath(this.#text, at);
      this.#at = end;
      const written = this.#text.slice(at, end);
      return {
        kind: 'name',
        text: path.text,
        written,
        keyword: PLAIN_NAME.test(written) ? written.toUpperCase() : '',
        at,
      };
    } catch (error) {
      if (!(error instanceof PathProblem)) throw error;
      // What begins no name is the parser's to refuse, which knows what could stand here.
      if (error.at === at && this.#text[at] !== '"') return this.#other(at);
      const isBound = error.expected.startsWith('at most') || this.#text[error.at] === '"';
      throw wrong(error.at, error.expected, isBound ? '' : this.#foundAt(error.at));
    }
  }

  #other(at: number): Word {
    const text = this.#foundAt(at);
    this.#at = at + text.length;
    return { kind: 'other', text, keyword: '', at };
  }

  /** A character, or the signs with which a comment would begin. */
  #foundAt(at: number): string {
    const two = this.#text.slice(at, at + 2);
    if (two === '--' || two === '/*') return two;
    return at >= this.#text.length ? 'the end' : String.fromCodePoint(this.#text.codePointAt(at) as number);
  }
}

export function wrong(at: number, expected: string, found = ''): QuerySyntaxError {
  const instead = found === '' ? '' : `, found ${found}`;
  return new QuerySyntaxError(`expected ${expected} at character ${at + 1}${instead}`, at, expected);
}
