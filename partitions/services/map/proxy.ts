/**
 * The public API of a map, the same for clients and embedded members: arguments become requests, replies become
 * values. Invariant: a wrong argument rejects the promise before anything is sent; nothing is thrown. Method names,
 * argument order and results are those of Hazelcast's Node.js client.
 */
import { encodeKey } from '../../../src/wire/keys.js';
import { type CallOptions, checkedOptions, type Invoker } from '../../invoker.js';
import { MISS, type NearCacheStatistics } from '../../near.js';
import type { Aggregator } from '../../query/aggregators.js';
import type { IndexConfig } from '../../query/index-definition.js';
import type { PagingPredicate } from '../../query/paging.js';
import { checkedPredicate, type Predicate } from '../../query/predicate.js';
import type { Projection } from '../../query/projections.js';
import { type EntryEvents, type MapEventsOptions, mapEvents } from '../proxy-events.js';
import { type EntryListener, EntryListeners } from '../proxy-listeners.js';
import { ProxyLocks } from '../proxy-locks.js';
import { attempt, type KeyedRequests, keyOnly, nothing } from '../proxy-requests.js';
import type { StructureModule } from '../structure.js';
import { type EntryView, entryViewOf } from './entry-view.js';
import type { WithMeta } from './meta.js';
import { MAP_OPERATIONS } from './ops.js';
import { mapOptions } from './options.js';
import type { Loader } from './proxy-flight.js';
import { checkedLoad, type LoadOptions, MapLoads } from './proxy-load.js';
import { onEntries, onKey, onKeys, type Processor } from './proxy-process.js';
import { MapQueries, type QueryExplanation } from './proxy-query.js';
import { MapReads } from './proxy-reads.js';
import { MapStoreRequests, type StoreStatus } from './proxy-store.js';
import {
  askedLife,
  putFor,
  removeIfSame,
  replaceIfSame,
  setAll,
  setTtl,
  tryPut,
  tryRemove,
} from './proxy-writes.js';
import { mapService } from './service.js';

/**
 * A distributed map. Keys and values are compared by their encoded bytes; neither can be null or undefined. All
 * methods reject with a `TypeError` for what cannot be a key or a value, with a `ValueTooLargeError` for a key above
 * 64 KiB or a value above 16 MiB, and with a `GridError` for what happened on the way.
 */
export class GridMap<K, V> {
  readonly #requests: KeyedRequests<K, V>;
  readonly #reads: MapReads<K, V>;
  readonly #loads: MapLoads;
  readonly #forget: () => void;
  /** Made once, not per call. */
  readonly #decodeValue: (reply: { readonly value: Uint8Array | null }) => V | null;

  constructor(reads: MapReads<K, V>, loads: MapLoads, forget: () => void) {
    this.#requests = reads.requests;
    this.#reads = reads;
    this.#loads = loads;
    this.#forget = forget;
    const { codec } = reads.requests.invoker;
    this.#decodeValue = ({ value }) => (value === null ? null : (codec.decode(value) as V));
  }

  // Made when they are used, because `with` makes a map for each call.
  get #listeners() {
    return new EntryListeners<K, V>(this.#requests, mapService.id);
  }

  get #locks() {
    return new ProxyLocks<K>(this.#requests, MAP_OPERATIONS);
  }

  get #store() {
    return new MapStoreRequests<K, V>(this.#requests);
  }

  get name(): string {
    return this.#requests.name;
  }

  /** The same map with options for each call made through it; throws a TypeError for those that mean nothing. */
  with(options: CallOptions): GridMap<K, V> {
    const reads = this.#reads.with({ ...this.#requests.options, ...checkedOptions(options) });
    return new GridMap(reads, this.#loads, this.#forget);
  }

  /** The value of the key, or null. */
  get(key: K): Promise<V | null> {
    try {
      const reads = this.#reads;
      if (reads.near === null) {
        const keyBytes = encodeKey(key);
        return this.#requests.send(MAP_OPERATIONS.get, keyBytes, { key: keyBytes }, this.#decodeValue);
      }
      const value = reads.find(key);
      return value === MISS ? reads.get(key, encodeKey(key)) : Promise.resolve(value);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The value of the key with where it comes from, and how old it is at the most. */
  getWithMeta(key: K): Promise<WithMeta<V>> {
    return attempt(() => this.#reads.getWithMeta(key));
  }

  /**
   * The value of the key. When it has none, `loader` is called with the key and its result is stored, unless it is null
   * or undefined. One loader runs for a key in the whole grid at a time; other calls wait for it, or get a value that has
   * expired, with `staleMs`. Calls of this process share one load, its loader and its error. Rejects with a
   * `LoadFailedError` when the loader failed or took too long, and with a `TimeoutError` at the deadline of the call.
   */
  getOrLoad(key: K, loader: Loader<K, V>, options: LoadOptions = {}): Promise<V | null> {
    return attempt(() =>
      this.#loads.getOrLoad(this.#reads.whole(), key, loader, checkedLoad(loader, options)),
    );
  }

  /**
   * Has the store's values of the keys, or of all that it has, in memory; `replaceExisting` (default true): also of keys that
   * are there, unless the store lacks their last value. Rejects with a `StoreFailedError`, for given keys a `BulkError`.
   */
  loadAll(keys: Iterable<K> | boolean = true, replaceExisting = true): Promise<void> {
    return attempt(() =>
      typeof keys === 'boolean' ? this.#store.fill(keys) : this.#store.loadKeys(keys, replaceExisting),
    );
  }

  /** Resolves when the store has all that was written before; rejects with a `StoreFailedError` when it refuses some of it. */
  flush(): Promise<void> {
    return attempt(() => this.#store.flush());
  }

  storeStatus(): Promise<StoreStatus<K>> {
    return attempt(() => this.#store.status());
  }

  /** Has writes tried again that the store refused; resolves with how many of them had been set aside. */
  retryFailed(): Promise<number> {
    return attempt(() => this.#store.retryFailed());
  }

  /**
   * Sets the value of the key; resolves with the old one, or null. `set` is cheaper. The entry ends `ttlMs` after this, and
   * when it was not used for `maxIdleMs`; 0: never. Left out: as the map is configured, whatever an earlier call said.
   */
  put(key: K, value: V, ttlMs?: number, maxIdleMs?: number): Promise<V | null> {
    const given = [key, value, ttlMs, maxIdleMs] as const;
    return putFor(this.#requests, MAP_OPERATIONS.put, given, this.#decodeValue);
  }

  /** Sets the value of the key; `ttlMs` and `maxIdleMs` as for `put`. */
  set(key: K, value: V, ttlMs?: number, maxIdleMs?: number): Promise<void> {
    try {
      const keyBytes = encodeKey(key);
      const life = askedLife(ttlMs, maxIdleMs);
      const request = { key: keyBytes, value: this.#requests.encode(value), life };
      return this.#requests.send(MAP_OPERATIONS.set, keyBytes, request, nothing);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `set`; a store behind the map does not get the value. */
  putTransient(key: K, value: V, ttlMs?: number, maxIdleMs?: number): Promise<void> {
    return putFor(this.#requests, MAP_OPERATIONS.putTransient, [key, value, ttlMs, maxIdleMs], nothing);
  }

  /**
   * Sets the value of the key if it has none; resolves with the value that was there, which counts as a read of it, or
   * null. `ttlMs` and `maxIdleMs` as for `put`.
   */
  putIfAbsent(key: K, value: V, ttlMs?: number, maxIdleMs?: number): Promise<V | null> {
    const given = [key, value, ttlMs, maxIdleMs] as const;
    return putFor(this.#requests, MAP_OPERATIONS.putIfAbsent, given, this.#decodeValue);
  }

  /**
   * Gives an entry another time to live, counted from now; 0: for ever, undefined: as the map is configured. Resolves with
   * whether there is one. Its value and its max idle time stay.
   */
  setTtl(key: K, ttlMs?: number): Promise<boolean> {
    return setTtl(this.#requests, key, ttlMs);
  }

  /** Sets the value of the key; waits for its lock up to `timeoutMs`, and resolves with false when it was not had. */
  tryPut(key: K, value: V, timeoutMs: number): Promise<boolean> {
    return tryPut(this.#requests, key, value, timeoutMs);
  }

  /** Removes the key, waiting for its lock as `tryPut`; resolves with whether it did, and there was a value. */
  tryRemove(key: K, timeoutMs: number): Promise<boolean> {
    return tryRemove(this.#requests, key, timeoutMs);
  }

  /** Sets the value of the key if it has one; resolves with the old value, or null when there was none. */
  replace(key: K, value: V): Promise<V | null> {
    const request = (keyBytes: Uint8Array) => ({ key: keyBytes, value: this.#requests.encode(value) });
    return this.#requests.onKey(MAP_OPERATIONS.replace, key, request, this.#decodeValue);
  }

  /**
   * Sets the value of the key if it is `oldValue`; resolves with whether it was. Both values travel in one message,
   * so together they are at most 16 MiB.
   */
  replaceIfSame(key: K, oldValue: V, newValue: V): Promise<boolean> {
    return replaceIfSame(this.#requests, key, oldValue, newValue);
  }

  /** Removes the key; resolves with its value, or null. `delete` is cheaper. */
  remove(key: K): Promise<V | null>;
  /** Removes the key if it has this value; resolves with whether it had. */
  remove(key: K, value: V): Promise<boolean>;
  remove(key: K, ...given: readonly V[]): Promise<V | null | boolean> {
    // Counted, so that an undefined by accident is refused instead of removing whatever is there.
    return given.length === 0
      ? this.#requests.onKey(MAP_OPERATIONS.remove, key, keyOnly, this.#decodeValue)
      : removeIfSame(this.#requests, key, given[0] as V);
  }

  /** Removes the key. */
  delete(key: K): Promise<void> {
    return this.#requests.onKey(MAP_OPERATIONS.delete, key, keyOnly, nothing);
  }

  /** Takes the entry out of memory; resolves with whether there was one. */
  evict(key: K): Promise<boolean> {
    return this.#requests.onKey(MAP_OPERATIONS.evict, key, keyOnly, ({ evicted }) => evicted);
  }

  /**
   * Locks the key, which need not have an entry; waits in order of arrival while somebody else has it, and rejects with
   * a `KeyLockedError` when the time of the call is over. Resolves with the fence: each later lock of the key has a
   * larger one. Others' writes of the key wait until it is unlocked; reads do not. `leaseMs`: it ends after so long by
   * itself; left out: when this session ends. Without `with({ lockOwner })` each call is an acquisition of its own, which
   * excludes other flows of this process too.
   */
  lock(key: K, leaseMs?: number): Promise<bigint> {
    return this.#locks.lock(key, leaseMs);
  }

  /** As `lock`, but waits at most `timeoutMs` (0 when left out), and resolves with null when somebody else has it still. */
  tryLock(key: K, timeoutMs?: number, leaseMs?: number): Promise<bigint | null> {
    return this.#locks.tryLock(key, timeoutMs, leaseMs);
  }

  /**
   * Unlocks the key. Rejects with a `NotLockOwnerError` when the caller does not hold the lock, and with a `LockLostError`
   * when it was taken from this session. `fence`: only the lock that `lock` gave this for, and not one that another flow
   * of this process has got since; wise with leases, and where an unlock is tried again.
   */
  unlock(key: K, fence?: bigint): Promise<void> {
    return this.#locks.unlock(key, fence);
  }

  /** Unlocks the key, whoever holds the lock. */
  forceUnlock(key: K): Promise<void> {
    return this.#locks.forceUnlock(key);
  }

  /** Whether anybody holds the lock of the key. */
  isLocked(key: K): Promise<boolean> {
    return this.#locks.isLocked(key);
  }

  containsKey(key: K): Promise<boolean> {
    return attempt(() => this.#reads.containsKey(key));
  }

  /** What the near cache of this map has done in this process; null without one. */
  getNearCacheStats(): NearCacheStatistics | null {
    return this.#reads.near?.statistics ?? null;
  }

  /** The entry with its times, counts and version, or null. Does not count as a read of the entry. */
  getEntryView(key: K): Promise<EntryView<K, V> | null> {
    return this.#requests.onKey(MAP_OPERATIONS.getEntryView, key, keyOnly, ({ entry }) =>
      entry === null ? null : entryViewOf(key, this.#requests.decode(entry.value), entry),
    );
  }

  /**
   * The entries of those keys that have one. Not a snapshot: each is read for itself. Rejects with a `BulkError`
   * when some keys could not be read.
   */
  getAll(keys: Iterable<K>): Promise<[K, V][]> {
    return attempt(() => this.#reads.whole().getAll(keys));
  }

  /**
   * Sets many values, not as one atomic change; of two values for one key the later one stays. Rejects with a
   * `BulkError` that lists what was done, what was refused and what is unknown.
   */
  putAll(entries: Iterable<readonly [K, V]>): Promise<void> {
    return setAll(this.#requests, 'putAll', entries);
  }

  /** The same as `putAll`. */
  setAll(entries: Iterable<readonly [K, V]>): Promise<void> {
    return setAll(this.#requests, 'setAll', entries);
  }

  /**
   * Runs an entry processor, which is registered at the members, on the entry of the key, in one step with which nothing
   * else on that key overlaps; resolves with what it returns, or null. Rejects with an `UnknownFunctionError`, and with a
   * `FunctionFailedError` when it threw or made what cannot be stored: nothing has changed then.
   */
  executeOnKey<R = unknown>(key: K, processor: Processor, ...none: never[]): Promise<R | null> {
    return attempt(() => onKey<K, V, R>(this.#requests, key, processor, none));
  }

  /**
   * Runs an entry processor on each of the keys, not as one atomic change; resolves with the keys whose processor
   * returned something, and what that was. Rejects with a `BulkError` that lists what was done, refused and is unknown.
   */
  executeOnKeys<R = unknown>(keys: Iterable<K>, processor: Processor, ...none: never[]): Promise<[K, R][]> {
    return attempt(() => onKeys<K, V, R>(this.#requests, keys, processor, none));
  }

  /**
   * The same for all entries, or those that match a predicate. One that is there all the time is processed once; one that
   * comes or goes meanwhile, at most once. In the `BulkError` the rest of a partition that failed as a whole has the key `{ partition }`.
   */
  executeOnEntries<R = unknown>(processor: Processor, predicate?: Predicate): Promise<[K, R][]> {
    return attempt(() => onEntries<K, V, R>(this.#requests, processor, predicate));
  }

  /** The number of entries: a sum over the partitions, not a snapshot. */
  async size(): Promise<number> {
    return this.#requests.whole().total(MAP_OPERATIONS.size);
  }

  async isEmpty(): Promise<boolean> {
    return this.#requests.as('isEmpty').whole().nowhere(MAP_OPERATIONS.size);
  }

  /** Whether any key has this value. Looks at every entry in the worst case. */
  containsValue(value: V): Promise<boolean> {
    return attempt(() => {
      const bytes = this.#requests.encode(value);
      return this.#requests.whole().search(MAP_OPERATIONS.containsValue, bytes);
    });
  }

  /**
   * Calls the functions of the listener for what changes from the moment on at which this resolves with its id: for all
   * keys or one, with values only when `includeValue` is true. Events of a partition come in the order of its changes, each
   * once, and when they can not be lost any more; where some may be missing, `gap` is called. Rejects with a `TypeError` for
   * unknown fields and what is no function.
   */
  addEntryListener(listener: EntryListener<K, V>, key?: K | null, includeValue?: boolean): Promise<string> {
    return attempt(() => this.#listeners.add(listener, { key, includeValue }));
  }

  /**
   * The same for the entries that match a predicate before or after the change: one that comes to match is `added`, one that
   * ceases to match is `removed`. One whose value members cannot decode counts as matching.
   */
  addEntryListenerWithPredicate(
    listener: EntryListener<K, V>,
    predicate: Predicate,
    key?: K | null,
    includeValue?: boolean,
  ): Promise<string> {
    return attempt(() =>
      this.#listeners.add(listener, { key, includeValue, predicate: checkedPredicate(predicate) }),
    );
  }

  /** Resolves with whether there was such a listener of this process. */
  removeEntryListener(id: string): Promise<boolean> {
    return attempt(() => Promise.resolve(this.#listeners.remove(id)));
  }

  /**
   * The changes as an async iterator, which ends when the loop over it is left. `events.token()` is a text from which
   * another iterator goes on, in another process too (`from`). Throws a `TypeError` for wrong options, and an
   * `EventTokenError` for a token that is none of this map.
   */
  events(options: MapEventsOptions<K> = {}): EntryEvents<K, V> {
    return mapEvents(this.#listeners, options);
  }

  /** Removes all entries; one that is written while it runs may stay. */
  async clear(): Promise<void> {
    await this.#requests.whole().sweep(MAP_OPERATIONS.clear);
  }

  /** Takes all entries out of memory; one that is written while it runs may stay. */
  async evictAll(): Promise<void> {
    await this.#requests.whole().sweep(MAP_OPERATIONS.evictAll);
  }

  /** Removes all entries; the next `getMap` of this name gives a new object. */
  async destroy(): Promise<void> {
    this.#forget();
    await this.#requests.whole().sweep(MAP_OPERATIONS.clear);
    await this.#query('destroy', (queries) => queries.dropIndexes());
  }

  /** All keys, in no order that means something. Not a snapshot; for a large map iterate over it instead. */
  keySet(): Promise<K[]> {
    const whole = this.#requests.whole();
    return whole.collect(whole.keys);
  }

  /** All values. Not a snapshot; for a large map iterate over it instead. */
  values(): Promise<V[]> {
    const whole = this.#requests.whole();
    return whole.collect(whole.values);
  }

  /** All entries. Not a snapshot; for a large map iterate over it instead. */
  entrySet(): Promise<[K, V][]> {
    const whole = this.#requests.whole();
    return whole.collect(whole.entries);
  }

  /** The keys of the entries that match; with a paging predicate those of the page that it is at, in its order. */
  keySetWithPredicate(predicate: Predicate | PagingPredicate): Promise<K[]> {
    return this.#query('keySetWithPredicate', (queries) => queries.keys(predicate));
  }

  /** The values of the entries that match. */
  valuesWithPredicate(predicate: Predicate | PagingPredicate): Promise<V[]> {
    return this.#query('valuesWithPredicate', (queries) => queries.values(predicate));
  }

  /** The entries that match. */
  entrySetWithPredicate(predicate: Predicate | PagingPredicate): Promise<[K, V][]> {
    return this.#query('entrySetWithPredicate', (queries) => queries.entries(predicate));
  }

  /** Removes the entries that match; one that is written while it runs may stay. */
  removeAll(predicate: Predicate): Promise<void> {
    return this.#query('removeAll', (queries) => queries.removeAll(predicate));
  }

  /** One result from all entries. */
  aggregate<R>(aggregator: Aggregator<R>): Promise<R> {
    return this.#query('aggregate', (queries) => queries.aggregate(aggregator));
  }

  /** One result from the entries that match. */
  aggregateWithPredicate<R>(aggregator: Aggregator<R>, predicate: Predicate): Promise<R> {
    return this.#query('aggregate', (queries) => queries.aggregate(aggregator, checkedPredicate(predicate)));
  }

  /** A part of each entry. */
  project<R>(projection: Projection<R>): Promise<R[]> {
    return this.#query('project', (queries) => queries.project(projection));
  }

  /** A part of each entry that matches. */
  projectWithPredicate<R>(projection: Projection<R>, predicate: Predicate): Promise<R[]> {
    return this.#query('project', (queries) => queries.project(projection, checkedPredicate(predicate)));
  }

  /**
   * Adds an index that queries of `attributes` use from then on; resolves when it is built. One that is there already is
   * left as it is.
   */
  addIndex(index: IndexConfig): Promise<void> {
    return this.#query('addIndex', (queries) => queries.addIndex(index));
  }

  /** Runs a query and tells how many entries it looked at, and with which indexes. */
  explainQuery(predicate: Predicate): Promise<QueryExplanation> {
    return this.#query('explainQuery', (queries) => queries.explain(predicate));
  }

  #query<R>(calledAs: string, run: (queries: MapQueries<K, V>) => Promise<R>): Promise<R> {
    return attempt(() => run(new MapQueries<K, V>(this.#requests.as(calledAs))));
  }

  /**
   * All entries by bounded pages, one page ahead of the reader, so that memory stays bounded whatever the size of the
   * map. An entry that is there all the time is met exactly once; one that comes or goes meanwhile, at most once.
   */
  [Symbol.asyncIterator](): AsyncGenerator<[K, V], void, undefined> {
    return this.#requests.iterate(this.#requests.entries);
  }
}

declare module '../structure.js' {
  interface StructureGetters {
    /** The map of that name: always the same object. It exists from its first entry on. */
    getMap<K = unknown, V = unknown>(name: string): GridMap<K, V>;
  }
}

export const MAP = {
  service: mapService,
  options: mapOptions,
  configKey: 'maps',
  getter: 'getMap',
  createProxy: (name: string, invoker: Invoker, options: CallOptions, forget: () => void) =>
    new GridMap<unknown, unknown>(MapReads.of(name, invoker, options), new MapLoads(), forget),
} as const satisfies StructureModule;
