/**
 * The public API of a multimap, the same for clients and embedded members: arguments become requests, replies become
 * values. Invariant: a wrong argument rejects the promise before anything is sent; nothing is thrown. Method names,
 * argument order and results are those of Hazelcast's Node.js client, with arrays in the place of its lazy lists.
 */
import { isIterable } from '../../../src/base/iterable.js';
import { encodeKey } from '../../../src/wire/keys.js';
import type { OperationDef } from '../../../src/wire/message.js';
import { type CallOptions, checkedOptions, type Invoker } from '../../invoker.js';
import { type BulkItem, forEachItem } from '../bulk.js';
import { type EventsOptions, type MultiMapEvents, multiMapEvents } from '../proxy-events.js';
import { EntryListeners, type MultiMapListener } from '../proxy-listeners.js';
import { ProxyLocks } from '../proxy-locks.js';
import { attempt, KeyedRequests, keyOnly, nothing } from '../proxy-requests.js';
import type { StructureModule } from '../structure.js';
import { MULTI_MAP_OPERATIONS } from './ops.js';
import { multiMapOptions } from './options.js';
import { multiMapService } from './service.js';

/** What listeners of a multimap are told of. */
const TOLD_KINDS = ['added', 'removed', 'mapCleared'] as const;

/**
 * A distributed map whose keys have several values. Keys and values are compared by their encoded bytes; neither can
 * be null or undefined. With the option `valueCollectionType` SET (the default) a key has a value once, with LIST as
 * often as it was put. All methods reject with a `TypeError` for what cannot be a key or a value, with a
 * `ValueTooLargeError` for a key above 64 KiB or a value above 16 MiB, and with a `GridError` for what happened on the
 * way. The values of a key come in the order in which they were put; up to 10,000 of them, and 4 MiB, are read and
 * removed at once, more in pages of that size, between which others may change the key.
 */
export class GridMultiMap<K, V> {
  readonly #requests: KeyedRequests<K, V>;
  readonly #forget: () => void;

  constructor(requests: KeyedRequests<K, V>, forget: () => void) {
    this.#requests = requests;
    this.#forget = forget;
  }

  // Made when they are used, because `with` makes a multimap for each call.
  get #locks() {
    return new ProxyLocks<K>(this.#requests, MULTI_MAP_OPERATIONS);
  }

  get #listeners() {
    return new EntryListeners<K, V>(this.#requests, multiMapService.id, TOLD_KINDS);
  }

  get name(): string {
    return this.#requests.name;
  }

  /** The same multimap with options for each call made through it; throws a TypeError for those that mean nothing. */
  with(options: CallOptions): GridMultiMap<K, V> {
    const requests = this.#requests.with({ ...this.#requests.options, ...checkedOptions(options) });
    return new GridMultiMap(requests, this.#forget);
  }

  /** Puts a value beside those of the key; resolves with false when it is a SET that has it. */
  put(key: K, value: V): Promise<boolean> {
    return this.#onPair(MULTI_MAP_OPERATIONS.put, key, value, ({ added }) => added);
  }

  /**
   * Puts many values, not as one atomic change; those of one key in their order. Rejects with a `BulkError` that lists
   * which pairs `[key, value]` were put, were refused and are unknown.
   */
  putAll(pairs: Iterable<readonly [K, Iterable<V>]>): Promise<void> {
    return attempt(() => {
      const items: BulkItem[] = [];
      if (!isList(pairs)) throw new TypeError('pairs: expected an array of [key, values]');
      forEachItem('pairs', pairs, (pair: unknown) => {
        if (!Array.isArray(pair) || pair.length !== 2 || !isList(pair[1]))
          throw new TypeError('expected [key, values] with an array of values for each key');
        const [key, values] = pair;
        const keyBytes = encodeKey(key);
        forEachItem('values', values, (value) =>
          items.push({ key: [key, value], keyBytes, valueBytes: this.#requests.encode(value as V) }),
        );
      });
      const whole = this.#requests.whole();
      const run = (partition: number, batch: readonly BulkItem[]) => {
        const list = batch.map(({ keyBytes, valueBytes }) => ({ key: keyBytes, value: valueBytes }));
        return whole.sendTo(MULTI_MAP_OPERATIONS.putAll, partition, { pairs: list }, nothing);
      };
      return whole.inBulk('putAll', items, run, 'pairs');
    });
  }

  /** The values of the key, in the order in which they were put; an empty array when it has none. */
  get(key: K): Promise<V[]> {
    return attempt(async () => {
      const keyBytes = encodeKey(key);
      const whole = this.#requests.whole();
      const found: V[][] = [];
      let after: Uint8Array | null = null;
      do {
        const request: { key: Uint8Array; after: Uint8Array | null } = { key: keyBytes, after };
        after = await whole.send(MULTI_MAP_OPERATIONS.get, keyBytes, request, ({ values, next }) => {
          found.push(values.map((value) => whole.decode(value)));
          return copyOf(next);
        });
      } while (after !== null);
      return found.flat(1) as V[];
    });
  }

  /** Removes a value of the key, of equal ones in a LIST the first; resolves with whether there was one. */
  remove(key: K, value: V): Promise<boolean> {
    return this.#onPair(MULTI_MAP_OPERATIONS.remove, key, value, ({ removed }) => removed);
  }

  /** Removes all values of the key; resolves with them. `delete` is cheaper. */
  removeAll(key: K): Promise<V[]> {
    return attempt(() => this.#removeAll(encodeKey(key), 'removeAll'));
  }

  /** Removes all values of the key. */
  delete(key: K): Promise<void> {
    return attempt(() => this.#removeAll(encodeKey(key), 'delete').then(nothing));
  }

  async #removeAll(keyBytes: Uint8Array, calledAs: 'removeAll' | 'delete'): Promise<V[]> {
    const whole = this.#requests.as(calledAs).whole();
    const withValues = calledAs === 'removeAll';
    const removed: V[][] = [];
    let at: { readonly after: Uint8Array | null; readonly upTo: number } = { after: null, upTo: 0 };
    do {
      const request = { key: keyBytes, ...at, withValues };
      at = await whole.send(MULTI_MAP_OPERATIONS.removeAll, keyBytes, request, ({ values, next, upTo }) => {
        removed.push(values.map((value) => whole.decode(value)));
        return { after: copyOf(next), upTo };
      });
    } while (at.after !== null);
    return removed.flat(1) as V[];
  }

  /**
   * Locks the key, which need not have a value; waits in order of arrival while somebody else has it, and rejects with
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

  /** Whether the key has a value. */
  containsKey(key: K): Promise<boolean> {
    return this.#requests.onKey(MULTI_MAP_OPERATIONS.containsKey, key, keyOnly, ({ found }) => found);
  }

  /** Whether any key has this value. Looks at every pair in the worst case. */
  containsValue(value: V): Promise<boolean> {
    return attempt(() => {
      const bytes = this.#requests.encode(value);
      return this.#requests.whole().search(MULTI_MAP_OPERATIONS.containsValue, bytes);
    });
  }

  /** Whether the key has this value. */
  containsEntry(key: K, value: V): Promise<boolean> {
    return this.#onPair(MULTI_MAP_OPERATIONS.containsEntry, key, value, ({ found }) => found);
  }

  /** The number of values of the key. */
  valueCount(key: K): Promise<number> {
    return this.#requests.onKey(MULTI_MAP_OPERATIONS.valueCount, key, keyOnly, ({ values }) => values);
  }

  /** The number of pairs: a sum over the partitions, not a snapshot. */
  async size(): Promise<number> {
    return this.#requests.whole().total(MULTI_MAP_OPERATIONS.size);
  }

  async isEmpty(): Promise<boolean> {
    return this.#requests.as('isEmpty').whole().nowhere(MULTI_MAP_OPERATIONS.size);
  }

  /**
   * Calls the functions of the listener for each value that comes to a key or leaves it from the moment on at which this
   * resolves with its id: for all keys or one, with values only when `includeValue` is true. The value that left is
   * `oldValue`. Order, `gap` and errors as of `map.addEntryListener`.
   */
  addEntryListener(
    listener: MultiMapListener<K, V>,
    key?: K | null,
    includeValue?: boolean,
  ): Promise<string> {
    return attempt(() => this.#listeners.add(listener, { key, includeValue }));
  }

  /** Resolves with whether there was such a listener of this process. */
  removeEntryListener(id: string): Promise<boolean> {
    return attempt(() => Promise.resolve(this.#listeners.remove(id)));
  }

  /**
   * The same as an async iterator, which ends when the loop over it is left. `events.token()` is a text from which another
   * iterator goes on, in another process too (`from`). Throws as `map.events` does.
   */
  events(options: EventsOptions<K> = {}): MultiMapEvents<K, V> {
    return multiMapEvents(this.#listeners, options);
  }

  /** Removes all pairs; one that is put while it runs may stay. */
  async clear(): Promise<void> {
    await this.#requests.whole().sweep(MULTI_MAP_OPERATIONS.clear);
  }

  /** Removes all pairs; the next `getMultiMap` of this name gives a new object. */
  async destroy(): Promise<void> {
    this.#forget();
    await this.#requests.whole().sweep(MULTI_MAP_OPERATIONS.clear);
  }

  /** All keys, each once, in no order that means something. Not a snapshot. */
  keySet(): Promise<K[]> {
    const whole = this.#requests.whole();
    return whole.collect(whole.keys);
  }

  /** The values of all keys, in no order that means something. Not a snapshot; to read a large one, iterate over it. */
  values(): Promise<V[]> {
    const whole = this.#requests.whole();
    return whole.collect(whole.values);
  }

  /** All pairs, in no order that means something. Not a snapshot; to read a large one, iterate over it. */
  entrySet(): Promise<[K, V][]> {
    const whole = this.#requests.whole();
    return whole.collect(whole.entries);
  }

  /**
   * All pairs by bounded pages, one page ahead of the reader, so that memory stays bounded whatever the size of the
   * multimap. A pair that is there all the time is met exactly once; one that comes or goes meanwhile, at most once.
   */
  [Symbol.asyncIterator](): AsyncGenerator<[K, V], void, undefined> {
    return this.#requests.iterate(this.#requests.entries);
  }

  #onPair<P, R>(
    operation: OperationDef<{ readonly key: Uint8Array; readonly value: Uint8Array }, P>,
    key: K,
    value: V,
    decode: (reply: P) => R,
  ): Promise<R> {
    const request = (keyBytes: Uint8Array) => ({ key: keyBytes, value: this.#requests.encode(value) });
    return this.#requests.onKey(operation, key, request, decode);
  }
}

/** Of bytes that are a view into a frame. */
function copyOf(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : Buffer.from(bytes);
}

/** A Buffer is one value, and not its bytes. */
function isList(given: unknown): given is Iterable<unknown> {
  return isIterable(given) && !ArrayBuffer.isView(given);
}

declare module '../structure.js' {
  interface StructureGetters {
    /** The multimap of that name: always the same object. It exists from its first pair on. */
    getMultiMap<K = unknown, V = unknown>(name: string): GridMultiMap<K, V>;
  }
}

export const MULTI_MAP = {
  service: multiMapService,
  options: multiMapOptions,
  configKey: 'multimaps',
  getter: 'getMultiMap',
  createProxy: (name: string, invoker: Invoker, options: CallOptions, forget: () => void) =>
    new GridMultiMap<unknown, unknown>(
      new KeyedRequests(name, invoker, options, MULTI_MAP_OPERATIONS.scan),
      forget,
    ),
} as const satisfies StructureModule;
