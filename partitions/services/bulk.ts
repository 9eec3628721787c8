/**
 * Bulk calls without their waiting: how entries are divided into requests, and what became of each key. Called by
 * the requests of map and multimap.
 */
import { BulkError, type BulkFailure, GridError, ValueTooLargeError } from '../../src/base/errors.js';
import { MAX_BATCH } from './keyed-ops.js';

/** Keys and values of one request; one entry alone may be larger. */
const MAX_REQUEST_BYTES = 1024 * 1024;

/** Throws a TypeError for what is no collection; a text would be one of its letters. */
export function checkedIterable<T>(name: string, given: Iterable<T>, example: string): Iterable<T> {
  const isIterable =
    typeof (given as Partial<Iterable<T>> | null | undefined)?.[Symbol.iterator] === 'function';
  if (isIterable && typeof given !== 'string') return given;
  const what =
    typeof given === 'string' ? `the text ${JSON.stringify(given)}` : given === null ? 'null' : typeof given;
  throw new TypeError(`${name}: expected an iterable, for example ${example}, got ${what}`);
}

/** Calls `use` for each item; when it throws, the error says which one that was: `items[2]: …`. */
export function forEachItem<T>(name: string, items: Iterable<T>, use: (item: T) => void): void {
  let index = 0;
  for (const item of items) {
    try {
      use(item);
    } catch (error) {
      // Ours, or as good as ours: another error of a serializer is left as it is.
      if (error instanceof TypeError || error instanceof ValueTooLargeError)
        error.message = `${name}[${index}]: ${error.message}`;
      throw error;
    }
    index++;
  }
}

/** The same; gives what `use` makes of each. */
export function mapItems<T, R>(name: string, items: Iterable<T>, use: (item: T) => R): R[] {
  const made: R[] = [];
  forEachItem(name, items, (item) => made.push(use(item)));
  return made;
}

export interface BulkItem {
  /** As the user gave it: a key, or a pair of a multimap. */
  readonly key: unknown;
  readonly keyBytes: Uint8Array;
  /** Empty when the call has none. */
  readonly valueBytes: Uint8Array;
}

/** The requests of one partition: one after the other, so that of two values for one key the later one stays. */
export interface PartitionBatches {
  readonly partition: number;
  readonly batches: (readonly BulkItem[])[];
}

export function divide(
  items: readonly BulkItem[],
  partitionOf: (keyBytes: Uint8Array) => number,
): PartitionBatches[] {
  const byPartition = new Map<number, BulkItem[]>();
  for (const item of items) {
    const partition = partitionOf(item.keyBytes);
    const group = byPartition.get(partition);
    if (group === undefined) byPartition.set(partition, [item]);
    else group.push(item);
  }
  return [...byPartition].map(([partition, group]) => ({ partition, batches: cut(group) }));
}

function cut(items: readonly BulkItem[]): BulkItem[][] {
  const batches: BulkItem[][] = [];
  let batch: BulkItem[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = item.keyBytes.length + item.valueBytes.length;
    if (batch.length === 0 || batch.length === MAX_BATCH || bytes + size > MAX_REQUEST_BYTES) {
      batch = [];
      batches.push(batch);
      bytes = 0;
    }
    batch.push(item);
    bytes += size;
  }
  return batches;
}

/** What became of each item. */
export class BulkOutcome {
  readonly #done: unknown[] = [];
  readonly #refused: BulkFailure[] = [];
  readonly #indeterminate: BulkFailure[] = [];

  succeeded(items: readonly BulkItem[]): void {
    for (const { key } of items) this.#done.push(key);
  }

  failed(items: readonly BulkItem[], reason: unknown): void {
    // What is no error of the grid, such as the reason of an abort, ended the call before it was sent.
    const isDefinite = !(reason instanceof GridError) || reason.definite;
    const error = reason instanceof Error ? reason : new Error(String(reason), { cause: reason });
    for (const { key } of items) (isDefinite ? this.#refused : this.#indeterminate).push({ key, error });
  }

  /** Throws a `BulkError` unless every item succeeded; `items` is what they are, for people. */
  finish(what: string, items: string): void {
    const [done, refused, indeterminate] = [this.#done, this.#refused, this.#indeterminate];
    const failures = refused.length + indeterminate.length;
    if (failures === 0) return;
    const first = (indeterminate[0] ?? refused[0])?.error.message;
    throw new BulkError(
      `${what} failed for ${failures} of ${failures + done.length} ${items} (${refused.length} refused, ${indeterminate.length} indeterminate): ${first}`,
      done,
      refused,
      indeterminate,
    );
  }
}
