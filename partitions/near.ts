/**
 * What the proxy of a map asks of a near cache: values that are kept in the caller's process. Implemented by
 * `nearcache/near-map.ts`; proxies know only this.
 */
import type { AnswerPlace } from './call.js';
import type { Place } from './history.js';

/** The value is not here, or not to be used for this call. */
export const MISS = Symbol('miss');

/** Where a value from a near cache comes from. */
export interface NearPlace extends Omit<AnswerPlace, 'source' | 'goodForMs'> {
  readonly source: 'nearCache';
}

/** What of a call's options matters here. */
export interface NearOptions {
  readonly consistency?: 'EC' | 'EL';
  readonly maxStalenessMs?: number;
  /** What the call must not go back behind; null: nothing. Default: what this process has seen. */
  readonly session?: {
    lowest(partition: number): Place | null;
    saw(partition: number, place: Place, held: Place | null): void;
  } | null;
}

/** What a call that reads a key from the grid leaves behind here, so that its answer may be kept. */
export interface Reservation {
  /** The value for the caller, decoded; kept here as well unless it may be out of date by now. */
  fill(bytes: Uint8Array | null, place: AnswerPlace | null): unknown;
  /** The call has ended without an answer. */
  release(): void;
}

export interface NearValues {
  /** The value of the key, null when the key is known to have none, or `MISS`. */
  find(key: unknown, options: NearOptions): unknown;
  /** Where the value comes from that `find` has just given. */
  placeFound(): NearPlace;
  /** Null when the answer of this call is not to be kept. */
  reserve(key: unknown, keyBytes: Uint8Array, partition: number, options: NearOptions): Reservation | null;
  /** A key is about to be changed through this process, or was: what is here of it, or on its way, is out of date. */
  changing(keyBytes: Uint8Array): void;
  /** The same for all keys. */
  changingAll(): void;
  readonly statistics: NearCacheStatistics;
}

/** What a near cache has done so far. */
export interface NearCacheStatistics {
  readonly entries: number;
  /** Bytes of keys and values, with what it takes to keep them. */
  readonly sizeBytes: number;
  readonly hits: number;
  /** Not there; `tooOld` and `behindSession` are counted apart. */
  readonly misses: number;
  /** There, but older than `maxStalenessMs` allows. */
  readonly tooOld: number;
  /** There, but older than what the session has seen. */
  readonly behindSession: number;
  /** Entries that were dropped because their key has changed. */
  readonly invalidations: number;
  readonly evictions: number;
  /** Of entries older than `ttlMs`, or not used for `maxIdleMs`. */
  readonly expirations: number;
  /** Answers that were not kept because they may have been out of date when they came. */
  readonly lateFills: number;
  /** Answers that were not kept because no member told of the changes of their partition yet. */
  readonly unwatched: number;
  /** How old hits were at the most: `count` of them below `belowMs`, and not below the one before. */
  readonly ages: readonly { readonly belowMs: number; readonly count: number }[];
}
