/**
 * The values that queries compare: text, number, bigint, boolean, Date and null. Invariants: `sortScalars` is a total order,
 * the same on every member; `areEqual` says the same as that order, so that an index by it finds what a scan finds. Called by
 * matchers, indexes, aggregators and the order of pages.
 *
 * Numbers and bigints are one type and compare by their exact values; all other types are apart: nothing of one equals, or
 * comes before, anything of another one. NaN equals NaN and is neither above nor below any number; -0 equals 0.
 */

export type Scalar = string | number | bigint | boolean | Date | null;

/** Types in the order in which sorting puts them. */
const RANK = { null: 0, boolean: 1, number: 2, nan: 3, text: 4, date: 5 } as const;

/** What reading a field gives for a query: undefined for what is there and cannot be compared. */
export function scalarOf(value: unknown): Scalar | undefined {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'bigint':
    case 'boolean':
      return value;
    case 'undefined':
      return null;
    default:
      return value === null || value instanceof Date ? value : undefined;
  }
}

/** For messages. */
export function typeNameOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Date) return 'a Date';
  const type = typeof value;
  return type === 'object' || type === 'undefined'
    ? `${type === 'object' ? 'an object' : type}`
    : `a ${type}`;
}

function rankOf(value: Scalar): number {
  switch (typeof value) {
    case 'string':
      return RANK.text;
    case 'boolean':
      return RANK.boolean;
    case 'bigint':
      return RANK.number;
    case 'number':
      return Number.isNaN(value) ? RANK.nan : RANK.number;
    default:
      return value === null ? RANK.null : RANK.date;
  }
}

/** Negative, zero or positive; null comes first, then booleans, numbers, NaN, texts by UTF-16 unit, and Dates. */
export function sortScalars(a: Scalar, b: Scalar): number {
  const rank = rankOf(a);
  const difference = rank - rankOf(b);
  if (difference !== 0) return difference;
  if (rank === RANK.null || rank === RANK.nan) return 0;
  if (rank === RANK.date) return sortDates(a as Date, b as Date);
  return a === b ? 0 : (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0;
}

/** A Date that is no time comes behind all that are one. */
function sortDates(a: Date, b: Date): number {
  const [left, right] = [a.getTime(), b.getTime()];
  if (Number.isNaN(left) || Number.isNaN(right))
    return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
  return left - right;
}

export function areEqual(a: Scalar, b: Scalar): boolean {
  return sortScalars(a, b) === 0;
}

/** Whether one can be less than the other at all: both are of one type, and neither is null or NaN. */
export function areOrdered(a: Scalar, b: Scalar): boolean {
  const rank = rankOf(a);
  if (rank === RANK.null || rank === RANK.nan || rank !== rankOf(b)) return false;
  return rank !== RANK.date || !(Number.isNaN((a as Date).getTime()) || Number.isNaN((b as Date).getTime()));
}

/**
 * What is the same, to a Set or Map of JavaScript, for equal values and for no others; most are what they are, so that this is
 * cheap.
 */
export function identityOf(value: Scalar): unknown {
  if (typeof value === 'string') return value.charCodeAt(0) === 0 ? `\u0000text ${value}` : value;
  if (typeof value === 'number') {
    // Beyond 2^53 a bigint of the same value exists.
    return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value) : value;
  }
  if (typeof value === 'bigint') {
    const small = Number(value);
    return Number.isSafeInteger(small) ? small : value;
  }
  return value instanceof Date ? `\u0000date ${value.getTime()}` : value;
}
