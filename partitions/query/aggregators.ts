/**
 * Aggregators: one result from the entries of a map, or from an attribute of them. Members make partial results of a page of
 * entries each, callers put them together. Invariants: sums are exact, of whole numbers as bigints and of doubles up to the
 * rounding of the result, so that the order does not matter; what is null or not there counts for `count` and `distinct` only.
 * Exported as `Aggregators`.
 */
import { textOf } from '../../src/base/bytes.js';
import { OperationFailedError, ProtocolError, QueryTooLargeError } from '../../src/base/errors.js';
import { oneOf, optional, record } from '../../src/wire/fields.js';
import { encodeKey } from '../../src/wire/keys.js';
import { ExactSum } from './exact-sum.js';
import { pathField } from './path-field.js';
import { pathOf } from './paths.js';
import { identityOf, type Scalar, scalarOf, sortScalars, typeNameOf } from './scalars.js';

export const AGGREGATORS = [
  'count',
  'distinct',
  'doubleAvg',
  'doubleSum',
  'fixedPointSum',
  'floatingPointSum',
  'integerAvg',
  'integerSum',
  'longAvg',
  'longSum',
  'max',
  'min',
  'numberAvg',
] as const;
export type AggregatorKind = (typeof AGGREGATORS)[number];

declare const RESULT: unique symbol;

/** Made by `Aggregators`; plain data. `R` is what it gives. */
export interface Aggregator<R> {
  readonly kind: AggregatorKind;
  /** A path, or null for the value itself. */
  readonly attribute: string | null;
  readonly [RESULT]?: R;
}

export const aggregatorField = record({
  kind: oneOf(AGGREGATORS),
  attribute: optional(pathField),
});

/** Throws a `TypeError` for what is none. */
export function checkedAggregator<R>(given: Aggregator<R>): Aggregator<R> {
  const { kind, attribute } = Object(given) as Partial<Aggregator<R>>;
  if (kind === undefined || !AGGREGATORS.includes(kind) || attribute === undefined)
    throw new TypeError('aggregator: expected one that Aggregators makes, such as Aggregators.count()');
  return { kind, attribute: attribute === null ? null : pathOf(attribute).text };
}

function made<R>(kind: AggregatorKind, attribute: string | undefined): Aggregator<R> {
  return Object.freeze({ kind, attribute: attribute === undefined ? null : pathOf(attribute).text });
}

type OfNumbers<R> = (attribute?: string) => Aggregator<R>;
const numbers =
  <R>(kind: AggregatorKind): OfNumbers<R> =>
  (attribute) =>
    made<R>(kind, attribute);

/** `attribute` is a path as in `Predicates`; without one the value itself is meant. Averages of nothing are null. */
export const Aggregators = Object.freeze({
  /** How many entries, or with an attribute that leads to several values how many of these; null counts. */
  count: (attribute?: string): Aggregator<number> => made('count', attribute),
  /** The different values, null for those that are not there; in no order. */
  distinct: <T = unknown>(attribute?: string): Aggregator<(T | null)[]> => made('distinct', attribute),
  doubleAvg: numbers<number | null>('doubleAvg'),
  doubleSum: numbers<number>('doubleSum'),
  /** Of whole parts: fractions are cut off. */
  fixedPointSum: numbers<bigint>('fixedPointSum'),
  floatingPointSum: numbers<number>('floatingPointSum'),
  integerAvg: numbers<number | null>('integerAvg'),
  /** Of whole numbers; another one is an error. */
  integerSum: numbers<bigint>('integerSum'),
  longAvg: numbers<number | null>('longAvg'),
  longSum: numbers<bigint>('longSum'),
  /** In the order of values: booleans, numbers, texts, Dates; null when there is nothing. */
  max: <T = unknown>(attribute?: string): Aggregator<T | null> => made('max', attribute),
  min: <T = unknown>(attribute?: string): Aggregator<T | null> => made('min', attribute),
  numberAvg: numbers<number | null>('numberAvg'),
});

/** Puts values, and partial results, together. */
export interface Accumulator {
  /** Throws an `OperationFailedError` for a value of a wrong type. */
  add(value: unknown): void;
  /** What another one has; throws a `ProtocolError` for what none can have. */
  merge(partial: unknown): void;
  /** As a value that can be encoded. */
  readonly partial: unknown;
  readonly result: unknown;
  /** Of memory, roughly. */
  readonly sizeBytes: number;
}

export function accumulatorOf(kind: AggregatorKind): Accumulator {
  switch (kind) {
    case 'count':
      return new Count();
    case 'distinct':
      return new Distinct();
    case 'max':
    case 'min':
      return new Extreme(kind);
    case 'doubleSum':
    case 'floatingPointSum':
    case 'doubleAvg':
    case 'numberAvg':
      return new OfDoubles(kind);
    default:
      return new OfWhole(kind);
  }
}

/** Of an aggregator's partial results that came over the network. */
function listOf(partial: unknown, size: number): readonly unknown[] {
  if (!Array.isArray(partial) || partial.length < size)
    throw new ProtocolError('no partial result of an aggregator');
  return partial;
}

function countOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new ProtocolError('no count in a partial result');
  return value;
}

class Count implements Accumulator {
  result = 0;
  readonly sizeBytes = 0;

  add(): void {
    this.result++;
  }

  merge(partial: unknown): void {
    this.result += countOf(partial);
  }

  get partial(): number {
    return this.result;
  }
}

const MAX_DISTINCT = 100_000;
const MAX_DISTINCT_BYTES = 32 * 1024 * 1024;

class Distinct implements Accumulator {
  readonly #values = new Map<unknown, unknown>();
  sizeBytes = 0;

  add(given: unknown): void {
    const value = given ?? null;
    const scalar = scalarOf(value);
    const identity = scalar === undefined ? `\u0000object ${textOf(encodeKey(value))}` : identityOf(scalar);
    if (this.#values.has(identity)) return;
    this.sizeBytes += typeof identity === 'string' ? 64 + 2 * identity.length : 64;
    if (this.#values.size >= MAX_DISTINCT || this.sizeBytes > MAX_DISTINCT_BYTES)
      throw new QueryTooLargeError(
        `distinct: more than ${MAX_DISTINCT} different values, or ${MAX_DISTINCT_BYTES} bytes of them`,
      );
    this.#values.set(identity, value);
  }

  merge(partial: unknown): void {
    for (const value of listOf(partial, 0)) this.add(value);
  }

  get partial(): unknown[] {
    return [...this.#values.values()];
  }

  get result(): unknown[] {
    return this.partial;
  }
}

class Extreme implements Accumulator {
  readonly #kind: 'max' | 'min';
  #best: Scalar = null;
  readonly sizeBytes = 0;

  constructor(kind: 'max' | 'min') {
    this.#kind = kind;
  }

  add(value: unknown): void {
    const scalar = scalarOf(value);
    if (scalar === undefined) throw wrongType(this.#kind, 'values that can be compared', value);
    if (scalar === null) return;
    const order = this.#best === null ? 1 : sortScalars(scalar, this.#best);
    if (this.#best === null || (this.#kind === 'max' ? order > 0 : order < 0)) this.#best = scalar;
  }

  merge(partial: unknown): void {
    this.add(listOf(partial, 1)[0]);
  }

  get partial(): [Scalar] {
    return [this.#best];
  }

  get result(): Scalar {
    return this.#best;
  }
}

class OfDoubles implements Accumulator {
  readonly #kind: AggregatorKind;
  readonly #sum = new ExactSum();
  #count = 0;
  readonly sizeBytes = 0;

  constructor(kind: AggregatorKind) {
    this.#kind = kind;
  }

  add(value: unknown): void {
    if (value === null || value === undefined) return;
    if (typeof value !== 'number' && typeof value !== 'bigint') throw wrongType(this.#kind, 'numbers', value);
    this.#sum.add(Number(value));
    this.#count++;
  }

  merge(partial: unknown): void {
    const [count, ...partials] = listOf(partial, 1);
    this.#count += countOf(count);
    for (const one of partials) {
      if (typeof one !== 'number') throw new ProtocolError('no number in a partial sum');
      this.#sum.add(one);
    }
  }

  get partial(): number[] {
    return [this.#count, ...this.#sum.partials];
  }

  get result(): number | null {
    if (this.#kind === 'doubleSum' || this.#kind === 'floatingPointSum') return this.#sum.result;
    return this.#count === 0 ? null : this.#sum.result / this.#count;
  }
}

class OfWhole implements Accumulator {
  readonly #kind: AggregatorKind;
  #sum = 0n;
  #count = 0;
  readonly sizeBytes = 0;

  constructor(kind: AggregatorKind) {
    this.#kind = kind;
  }

  add(value: unknown): void {
    if (value === null || value === undefined) return;
    this.#sum += this.#whole(value);
    this.#count++;
  }

  #whole(value: unknown): bigint {
    if (typeof value === 'bigint') return value;
    if (typeof value === 'number') {
      if (Number.isInteger(value)) return BigInt(value);
      if (this.#kind === 'fixedPointSum' && Number.isFinite(value)) return BigInt(Math.trunc(value));
    }
    throw wrongType(this.#kind, this.#kind === 'fixedPointSum' ? 'finite numbers' : 'whole numbers', value);
  }

  merge(partial: unknown): void {
    const [count, sum] = listOf(partial, 2);
    if (typeof sum !== 'bigint') throw new ProtocolError('no bigint in a partial sum');
    this.#count += countOf(count);
    this.#sum += sum;
  }

  get partial(): [number, bigint] {
    return [this.#count, this.#sum];
  }

  get result(): bigint | number | null {
    if (this.#kind !== 'integerAvg' && this.#kind !== 'longAvg') return this.#sum;
    if (this.#count === 0) return null;
    const count = BigInt(this.#count);
    return Number(this.#sum / count) + Number(this.#sum % count) / this.#count;
  }
}

function wrongType(kind: AggregatorKind, expected: string, value: unknown): OperationFailedError {
  const found = typeof value === 'number' ? String(value) : typeNameOf(value);
  return new OperationFailedError(
    `${kind}: expected ${expected}, found ${found}; leave others out by a predicate`,
  );
}
