/**
 * The port behind which a map's store lies: a database, a file, a service, written by users and registered by name at
 * members. It is called at the member that has the primary of a key, outside of the protocol's turns, with a bounded
 * number of calls at a time. Implemented by users and by `src/redis`; called by `src/member/store-runner.ts`.
 */

/** What a store is told of a call. */
export interface StoreCall {
  /** Name of the map. */
  readonly map: string;
  /**
   * Fires when `timeoutMs` is over: nobody waits for the call any more, and it should have no effect from then on. That of a
   * load fires also when the member has ended.
   */
  readonly signal: AbortSignal;
}

/** What `loadAll` may give: entries in any order; keys that are left out have no value. */
export type LoadedEntries<K, V> = Iterable<readonly [K, V]>;

/**
 * A store of one map or of several. Methods may return a promise or the value itself; what they throw reaches the caller
 * of the map as the message of a `StoreFailedError` or an `IndeterminateError`. Each call may come more than once with
 * the same arguments, so it must not matter how often: storing is setting, deleting what is not there is no error.
 */
export interface MapStore<K = unknown, V = unknown> {
  /** The value of a key; null or undefined when there is none. */
  load(key: K, call: StoreCall): V | null | undefined | Promise<V | null | undefined>;
  /** The entries of those keys that have one. Left out: `load` for each. */
  loadAll?(keys: readonly K[], call: StoreCall): LoadedEntries<K, V> | Promise<LoadedEntries<K, V>>;
  /** All keys, for `map.loadAll()` and `initialLoad: eager`. Left out: these are refused. */
  loadAllKeys?(call: StoreCall): Iterable<K> | AsyncIterable<K> | Promise<Iterable<K> | AsyncIterable<K>>;
  /** Sets the value of a key. Needed for `write-through` and `write-behind`, as is `delete`. */
  store?(key: K, value: V, call: StoreCall): void | Promise<void>;
  /** Each key is there once. Left out: `store` for each. */
  storeAll?(entries: readonly (readonly [K, V])[], call: StoreCall): void | Promise<void>;
  delete?(key: K, call: StoreCall): void | Promise<void>;
  /** Left out: `delete` for each. */
  deleteAll?(keys: readonly K[], call: StoreCall): void | Promise<void>;
  /** When the member ends; nothing is called after it. */
  close?(): void | Promise<void>;
}

/**
 * Thrown by a store that has certainly not taken a write, and will not: the call of the map is refused then, instead of
 * being of unknown outcome.
 */
export class StoreRefusedError extends Error {
  override readonly name = 'StoreRefusedError';
}
