/**
 * How many instructions a regular expression will have, told from its text before anything is made of it: what is small in
 * writing, such as `((a{10}){10}){10}`, may be large in memory and take seconds to compile. Invariant: never less than what
 * RE2 makes of the pattern, and in one pass, whatever the text is. Called by the check of predicates.
 */

/** A class of Unicode has hundreds of ranges, each of which is looked at. */
const UNICODE_CLASS = 48;
/** Ranges and characters of a class that cost as much as an instruction. */
const RANGES = 8;
/** Code points of a range that cost as much as an instruction where case does not matter: each is folded. */
const FOLDED = 32;
const LAST_CODE_POINT = 0x10_ffff;

const IGNORES_CASE = /\(\?[A-Za-z-]*i/;
const REPEAT = /\{(\d{1,9})(?:,(\d{0,9}))?\}/y;
const GROUP = /\(\?(?:([A-Za-z-]*)(\)|:)|P?<[^>]*>)/y;
const UNICODE = /\\[pP](?:\{[^}]*\}|.)/suy;
const HEX = /\\x(?:\{([0-9A-Fa-f]{1,8})\}|([0-9A-Fa-f]{2}))/y;
const NAMED_CLASS = /\[:\^?[a-z]{1,16}:\]/y;
const DIGITS_OR_LETTERS = /\\[\dA-Za-z]/y;

/** At least as many as there will be, Infinity for very many; a pattern that is none has a size too. */
export function regexSize(pattern: string): number {
  return new Sizing(pattern).whole();
}

/** Of a group: all of it, and of that the part which a repetition that follows is of. */
interface Group {
  all: number;
  last: number;
}

class Sizing {
  readonly #text: string;
  readonly #folds: boolean;
  readonly #groups: Group[] = [];
  #group: Group = { all: 0, last: 0 };
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#folds = IGNORES_CASE.test(text);
  }

  whole(): number {
    const { length } = this.#text;
    while (this.#at < length) this.#next();
    while (this.#groups.length > 0) this.#close();
    // The start, and the match at the end.
    return this.#group.all + 3;
  }

  #next(): void {
    switch (this.#text[this.#at]) {
      case '(':
        this.#open();
        break;
      case ')':
        this.#at++;
        this.#close();
        break;
      case '[':
        this.#add(this.#class());
        break;
      case '\\':
        this.#escape();
        break;
      case '{':
        this.#repeat();
        break;
      case '*':
      case '+':
      case '?':
        this.#at++;
        this.#grow(this.#group.last + 1);
        break;
      case '|':
        this.#at++;
        // Two: what stands beside it may be nothing, which is an instruction, too.
        this.#add(2);
        break;
      default:
        this.#character();
        this.#add(1);
    }
  }

  #add(size: number): void {
    this.#group.all += size;
    this.#group.last = size;
  }

  /** What stands before is this large now. */
  #grow(size: number): void {
    this.#group.all += size - this.#group.last;
    this.#group.last = size;
  }

  #open(): void {
    const found = this.#match(GROUP);
    if (found === null) this.#at++;
    // Flags alone stand for nothing.
    else if (found[2] === ')') return;
    this.#groups.push(this.#group);
    this.#group = { all: 0, last: 0 };
  }

  #close(): void {
    const outer = this.#groups.pop();
    if (outer === undefined) return;
    // Its begin and end are kept; an empty one is an instruction, too.
    const size = this.#group.all + 3;
    this.#group = outer;
    this.#add(size);
  }

  #repeat(): void {
    const found = this.#match(REPEAT);
    if (found === null) {
      this.#at++;
      this.#add(1);
      return;
    }
    const [least, most] = [Number(found[1]), Number(found[2] ?? found[1])];
    const times = Math.max(least, most, 1);
    // One for each that may be left out, or for going round.
    this.#grow(this.#group.last * times + Math.max(1, most - least));
  }

  #escape(): void {
    if (this.#text.startsWith('\\Q', this.#at)) {
      const end = this.#text.indexOf('\\E', this.#at);
      const quoted = (end < 0 ? this.#text.length : end) - this.#at - 2;
      this.#add(quoted);
      // A repetition is of the last character.
      this.#group.last = Math.min(quoted, 1);
      this.#at = end < 0 ? this.#text.length : end + 2;
    } else if (this.#match(UNICODE) !== null) this.#add(UNICODE_CLASS);
    else {
      this.#point();
      this.#add(1);
    }
  }

  #class(): number {
    let ranges = 0;
    let size = 1;
    this.#at++;
    if (this.#text[this.#at] === '^') this.#at++;
    for (let first = true; this.#at < this.#text.length; first = false) {
      if (this.#text[this.#at] === ']' && !first) {
        this.#at++;
        break;
      }
      ranges++;
      if (this.#match(UNICODE) !== null) size += UNICODE_CLASS;
      else if (this.#match(NAMED_CLASS) === null) size += this.#range();
    }
    return size + Math.floor(ranges / RANGES);
  }

  /** A character of a class, or from one to another one; what that costs beside being there. */
  #range(): number {
    const from = this.#point();
    const next = this.#text[this.#at + 1];
    if (this.#text[this.#at] !== '-' || next === undefined || next === ']') return 0;
    this.#at++;
    const to = this.#point();
    return this.#folds ? Math.floor(Math.max(0, (to ?? LAST_CODE_POINT) - (from ?? 0)) / FOLDED) : 0;
  }

  /** Takes a character or an escape; gives what it stands for, null when that is not looked at. */
  #point(): number | null {
    const hex = this.#match(HEX);
    if (hex !== null) return Number.parseInt((hex[1] ?? hex[2]) as string, 16);
    if (this.#match(DIGITS_OR_LETTERS) !== null) return null;
    if (this.#text[this.#at] === '\\') this.#at++;
    return this.#character();
  }

  #character(): number | null {
    const point = this.#text.codePointAt(this.#at) ?? null;
    this.#at += point !== null && point > 0xffff ? 2 : 1;
    return point;
  }

  #match(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#text);
    if (found !== null) this.#at = sticky.lastIndex;
    return found;
  }
}
