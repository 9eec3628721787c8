/**
 * The order of pages: by the value at a path, and among equals by the bytes of the key, so that it is total and every member
 * has the same. Called by the handlers and the proxy of queries.
 */
import type { Anchor } from './paging.js';
import { type Entry, type Path, readOne } from './paths.js';
import { type Scalar, scalarOf, sortScalars } from './scalars.js';

/** Texts are ordered by so many characters of their beginning. */
const MAX_SORT_TEXT = 1_024;

/** What an entry is ordered by; null for what is not there or cannot be compared. */
export function sortOf(path: Path, entry: Entry): Scalar {
  const scalar = scalarOf(readOne(path, entry)) ?? null;
  if (typeof scalar === 'string' && scalar.length > MAX_SORT_TEXT) return scalar.slice(0, MAX_SORT_TEXT);
  // A bigint beyond what travels as one counts as the nearest double.
  return typeof scalar === 'bigint' && BigInt.asIntN(512, scalar) !== scalar ? Number(scalar) : scalar;
}

export function comparePlaces(order: 'asc' | 'desc'): (a: Anchor, b: Anchor) => number {
  const direction = order === 'asc' ? 1 : -1;
  return (a, b) => direction * sortScalars(a.sort, b.sort) || Buffer.compare(a.key, b.key);
}

/** The first ones in an order, of all that were put in: memory for twice as many. */
export class First<T extends Anchor> {
  readonly #limit: number;
  readonly #compare: (a: Anchor, b: Anchor) => number;
  #items: T[] = [];
  /** The last of those that count, once there are as many as wanted. */
  #worst: T | null = null;

  constructor(limit: number, order: 'asc' | 'desc') {
    this.#limit = limit;
    this.#compare = comparePlaces(order);
  }

  /** Behind this place nothing counts any more; null while everything does. */
  get worst(): T | null {
    return this.#worst;
  }

  put(item: T): void {
    if (this.#worst !== null && this.#compare(item, this.#worst) >= 0) return;
    this.#items.push(item);
    if (this.#items.length >= 2 * this.#limit) this.#cut();
  }

  /** In order. */
  take(): T[] {
    this.#cut();
    return this.#items;
  }

  /** From now on what is worse than the last of them is left out. */
  settle(): void {
    this.#cut();
  }

  #cut(): void {
    this.#items.sort(this.#compare);
    if (this.#items.length > this.#limit) this.#items.length = this.#limit;
    this.#worst = this.#items.length === this.#limit ? (this.#items.at(-1) as T) : null;
  }
}
