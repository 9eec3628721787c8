/**
 * Ranges of the keys of an index. A key is a list of values, one for each attribute; a bound may be shorter and then speaks
 * of the first ones. Invariant: a range has at least all keys of entries that match the condition it was made of; what
 * else it has, the predicate leaves out. Called by planners and indexes.
 */
import type { Comparison } from './predicate.js';
import { areOrdered, type Scalar, sortScalars } from './scalars.js';

export type Key = readonly Scalar[];

export interface Bound {
  readonly key: Key;
  readonly included: boolean;
}

export interface KeyRange {
  /** Null: from the first key on. */
  readonly from: Bound | null;
  readonly to: Bound | null;
}

/** Texts are kept, and looked for, by so many characters of their beginning. */
const MAX_KEY_TEXT = 256;
const FIRST_DATE = new Date(-8.64e15);

export function shortened(value: Scalar): Scalar {
  return typeof value === 'string' && value.length > MAX_KEY_TEXT ? value.slice(0, MAX_KEY_TEXT) : value;
}

/** By the values that both have. */
export function compareKeys(a: Key, b: Key): number {
  const size = Math.min(a.length, b.length);
  for (let i = 0; i < size; i++) {
    const order = sortScalars(a[i] as Scalar, b[i] as Scalar);
    if (order !== 0) return order;
  }
  return 0;
}

export function isBelow(key: Key, { from }: KeyRange): boolean {
  if (from === null) return false;
  const order = compareKeys(key, from.key);
  return order < 0 || (order === 0 && !from.included);
}

export function isBeyond(key: Key, { to }: KeyRange): boolean {
  if (to === null) return false;
  const order = compareKeys(key, to.key);
  return order > 0 || (order === 0 && !to.included);
}

/** One value's range; the first or last of its type where there is no bound. */
export interface ValueRange {
  readonly from: Scalar;
  readonly fromIncluded: boolean;
  readonly to: Scalar;
  readonly toIncluded: boolean;
}

export const EMPTY_RANGE: ValueRange = { from: true, fromIncluded: false, to: false, toIncluded: false };

/** Where values of the same type begin, and what comes behind the last of them. */
function spanOf(value: Scalar): ValueRange {
  const span = (from: Scalar, to: Scalar): ValueRange => ({
    from,
    fromIncluded: true,
    to,
    toIncluded: false,
  });
  if (typeof value === 'string') return span('', FIRST_DATE);
  if (typeof value === 'boolean') return { from: false, fromIncluded: true, to: true, toIncluded: true };
  // A Date that is no time comes behind all others.
  if (value instanceof Date) return span(FIRST_DATE, new Date(Number.NaN));
  return span(Number.NEGATIVE_INFINITY, Number.NaN);
}

/** The values for which `value is wanted` can hold; null for all and any. */
export function rangeOf(is: Comparison, wanted: Scalar): ValueRange | null {
  if (is === '!=') return null;
  if (is === '=') return pointOf(wanted);
  if (!areOrdered(wanted, wanted)) return EMPTY_RANGE;
  const short = shortened(wanted);
  const isCut = short !== wanted;
  const span = spanOf(wanted);
  if (is === '<' || is === '<=') return { ...span, to: short, toIncluded: is === '<=' || isCut };
  return { ...span, from: short, fromIncluded: is === '>=' || isCut };
}

export function pointOf(value: Scalar): ValueRange {
  const short = shortened(value);
  return { from: short, fromIncluded: true, to: short, toIncluded: true };
}

/** The texts that begin so. */
export function prefixRange(prefix: string): ValueRange {
  const short = prefix.slice(0, MAX_KEY_TEXT);
  const span = spanOf(short);
  let end = short;
  while (end.endsWith('\uffff')) end = end.slice(0, -1);
  if (end === '') return { ...span, from: short };
  const last = end.charCodeAt(end.length - 1);
  return { ...span, from: short, to: end.slice(0, -1) + String.fromCharCode(last + 1) };
}

/** What both have. */
export function intersection(a: ValueRange, b: ValueRange): ValueRange {
  const lower = sortScalars(a.from, b.from);
  const upper = sortScalars(a.to, b.to);
  const low = lower > 0 || (lower === 0 && !a.fromIncluded) ? a : b;
  const high = upper < 0 || (upper === 0 && !a.toIncluded) ? a : b;
  return { from: low.from, fromIncluded: low.fromIncluded, to: high.to, toIncluded: high.toIncluded };
}

export function isEmpty({ from, fromIncluded, to, toIncluded }: ValueRange): boolean {
  const order = sortScalars(from, to);
  return order > 0 || (order === 0 && !(fromIncluded && toIncluded));
}

/** The keys that begin with these values and go on inside of the range. */
export function keyRange(before: Key, { from, fromIncluded, to, toIncluded }: ValueRange): KeyRange {
  return {
    from: { key: [...before, from], included: fromIncluded },
    to: { key: [...before, to], included: toIncluded },
  };
}
