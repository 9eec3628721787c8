/**
 * Pages of the records of a store, for what may not look at all of them at once: scans, copies, removals. Called by the
 * states that keep their data in a record store.
 */
import type { RecordStore, ScanBudget } from './record-store.js';

export interface PageLimits {
  /** Bounds the work: records that are looked at, taken or not. */
  readonly walk: ScanBudget;
  readonly records: number;
  /** As `measure` counts them; one record alone may be larger. */
  readonly bytes: number;
}

export interface Page {
  /** In order of hashes, valid until the next change. */
  readonly refs: readonly number[];
  /** Hash at which to go on, or -1. */
  readonly next: number;
}

/**
 * A page of the records from a hash on. `measure` gives what a record takes of `limits.bytes`, or -1 to leave it
 * out. Records of one hash are never torn apart, because a page can only go on at a hash.
 */
export function pageOf(
  store: RecordStore,
  fromHash: number,
  limits: PageLimits,
  measure: (ref: number) => number,
): Page {
  const refs: number[] = [];
  let bytes = 0;
  let lastHash = -1;
  let leftOut = -1;
  const next = store.scan(fromHash, limits.walk, (ref) => {
    if (leftOut >= 0) return;
    const size = measure(ref);
    if (size < 0) return;
    const hash = store.hashOf(ref);
    const isFull = refs.length >= limits.records || bytes + size > limits.bytes;
    if (isFull && refs.length > 0 && hash !== lastHash) {
      leftOut = hash;
      return;
    }
    refs.push(ref);
    bytes += size;
    lastHash = hash;
  });
  return { refs, next: leftOut >= 0 ? leftOut : next };
}
