/**
 * Matches texts with LIKE patterns: `%` is any text, `_` one character (a code point). In linear time: the parts between
 * the `%` are looked for one after the other, without `_` by Knuth, Morris and Pratt, with `_` 31 characters of the pattern at
 * a time. Called by matchers, and by planners for what all matching texts begin with.
 */

/** A character of a pattern that stands for any one. */
const ONE = -1;

/** Characters of a pattern in one step. */
const WORD = 31;

export interface LikePattern {
  fits(text: string): boolean;
  /** What every text that fits begins with, '' for nothing certain. */
  readonly prefix: string;
  /** Steps for a character of a text. */
  readonly cost: number;
}

/** Throws a `TypeError` for an escape character at the end or in front of what needs none. */
export function likePattern(pattern: string, escapeBy: string, ignoreCase: boolean): LikePattern {
  const parts = partsOf(pattern, escapeBy, ignoreCase);
  const first = parts[0] as readonly number[];
  const wild = first.indexOf(ONE);
  const prefix = ignoreCase ? '' : String.fromCodePoint(...(wild < 0 ? first : first.slice(0, wild)));
  const [only] = parts;
  if (parts.length === 1 && only !== undefined && !only.includes(ONE)) {
    const whole = String.fromCodePoint(...only);
    return {
      prefix,
      cost: ignoreCase ? 1 : 0.01,
      fits: (text) => (ignoreCase ? folded(text) : text) === whole,
    };
  }
  const middle = parts
    .slice(1, -1)
    .filter((part) => part.length > 0)
    .map(finderOf);
  const shape = { first, middle, last: parts.length > 1 ? (parts.at(-1) as readonly number[]) : null };
  const cost = 1 + pattern.length / (4 * WORD);
  return { prefix, cost, fits: (text) => fits(shape, codePoints(ignoreCase ? folded(text) : text)) };
}

interface Shape {
  readonly first: readonly number[];
  readonly middle: readonly Finder[];
  /** Null for a pattern without `%`. */
  readonly last: readonly number[] | null;
}

/** Gives where the first place from an index on ends, or -1. */
type Finder = (text: ArrayLike<number>, from: number, end: number) => number;

function fits({ first, middle, last }: Shape, text: ArrayLike<number>): boolean {
  if (!isAt(first, text, 0)) return false;
  if (last === null) return text.length === first.length;
  const end = text.length - last.length;
  if (end < first.length || !isAt(last, text, end)) return false;
  let at = first.length;
  for (const find of middle) {
    at = find(text, at, end);
    if (at < 0) return false;
  }
  return true;
}

function isAt(part: readonly number[], text: ArrayLike<number>, at: number): boolean {
  if (at + part.length > text.length) return false;
  for (let i = 0; i < part.length; i++) if (part[i] !== ONE && part[i] !== text[at + i]) return false;
  return true;
}

/** One form for letters that differ in their case alone, character by character: the end of a word is no case of its own. */
function folded(text: string): string {
  return text.toLowerCase().replaceAll('ς', 'σ');
}

/** Between the `%`, as code points. */
function partsOf(pattern: string, escapeBy: string, ignoreCase: boolean): number[][] {
  const parts: number[][] = [[]];
  let isEscaped = false;
  const literal = (character: string) => {
    for (const each of ignoreCase ? folded(character) : character)
      parts.at(-1)?.push(each.codePointAt(0) as number);
  };
  for (const character of pattern) {
    if (isEscaped) {
      if (character !== '%' && character !== '_' && character !== escapeBy)
        throw new TypeError(`like: ${escapeBy} escapes only %, _ and itself, not ${character}`);
      literal(character);
      isEscaped = false;
    } else if (character === escapeBy) isEscaped = true;
    else if (character === '%') parts.push([]);
    else if (character === '_') parts.at(-1)?.push(ONE);
    else literal(character);
  }
  if (isEscaped) throw new TypeError(`like: the pattern ends with ${escapeBy}, which escapes nothing there`);
  return parts;
}

function codePoints(text: string): Int32Array {
  const out = new Int32Array(text.length);
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const point = text.codePointAt(i) as number;
    if (point > 0xffff) i++;
    out[count++] = point;
  }
  return out.subarray(0, count);
}

function finderOf(part: readonly number[]): Finder {
  return part.includes(ONE) ? shiftAnd(part) : knuthMorrisPratt(part);
}

function knuthMorrisPratt(part: readonly number[]): Finder {
  const back = new Int32Array(part.length);
  for (let i = 1, matched = 0; i < part.length; i++) {
    while (matched > 0 && part[i] !== part[matched]) matched = back[matched - 1] as number;
    if (part[i] === part[matched]) matched++;
    back[i] = matched;
  }
  return (text, from, end) => {
    for (let i = from, matched = 0; i < end; i++) {
      while (matched > 0 && text[i] !== part[matched]) matched = back[matched - 1] as number;
      if (text[i] === part[matched]) matched++;
      if (matched === part.length) return i + 1;
    }
    return -1;
  };
}

/** A bit for each prefix of the part that ends here; all of them move on at once. */
function shiftAnd(part: readonly number[]): Finder {
  const words = Math.ceil(part.length / WORD);
  const any = new Int32Array(words);
  const masks = new Map<number, Int32Array>();
  part.forEach((point, i) => {
    const [word, bit] = [Math.floor(i / WORD), 1 << (i % WORD)];
    if (point === ONE) any[word] = (any[word] as number) | bit;
    else {
      const mask = masks.get(point) ?? new Int32Array(words);
      mask[word] = (mask[word] as number) | bit;
      masks.set(point, mask);
    }
  });
  for (const mask of masks.values())
    any.forEach((bits, word) => {
      mask[word] = (mask[word] as number) | bits;
    });
  const [lastWord, lastBit] = [words - 1, 1 << ((part.length - 1) % WORD)];
  return (text, from, end) => {
    const state = new Int32Array(words);
    for (let i = from; i < end; i++) {
      const mask = masks.get(text[i] as number) ?? any;
      let carry = 1;
      for (let word = 0; word < words; word++) {
        const shifted = ((state[word] as number) << 1) | carry;
        carry = ((state[word] as number) >>> (WORD - 1)) & 1;
        state[word] = shifted & 0x7fff_ffff & (mask[word] as number);
      }
      if (((state[lastWord] as number) & lastBit) !== 0) return i + 1;
    }
    return -1;
  };
}
