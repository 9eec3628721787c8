/**
 * The public API of a map, the same for clients and embedded members: arguments become requests, replies become
 * values, and what concerns all partitions goes to each of them with bounded concurrency. Invariant: a wrong
 * argument rejects the promise before anything is sent; nothing is thrown. Method names, argument order and
 * results are those of Hazelcast's Node.js client.
 */
import { ValueTooLargeError } from '../../../src/base/errors.js';
import { affinityBytes, decodeKey, encodeKey } from '../../../src/wire/keys.js';
import type { OperationDef, ReplyOf } from '../../../src/wire/message.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import type { AnswerPlace } from '../../call.js';
import { murmur3, partitionOf } from '../../hash.js';
import { type CallOptions, checkedOptions, type Invoker, type RequestOptions } from '../../invoker.js';
import type { StructureModule } from '../structure.js';
import { type BulkItem, BulkOutcome, divide } from './bulk.js';
import { type EntryView, entryViewOf } from './entry-view.js';
import { type WithMeta, withMeta } from './meta.js';
import { MAP_OPERATIONS, type ScanWhat } from './ops.js';
import { mapOptions } from './options.js';
import { mapService } from './service.js';

/** Requests of one bulk call, and of one call to all partitions, that are under way at a time. */
const BULK_CONCURRENCY = 32;
const SWEEP_CONCURRENCY = 16;
const PAGE_BYTES = 256 * 1024;
const NO_BYTES = new Uint8Array(0);

/**
 * A distributed map. Keys and values are compared by their encoded bytes; neither can be null or undefined. All
 * methods reject with a `TypeError` for what cannot be a key or a value, with a `ValueTooLargeError` for a key above
 * 64 KiB or a value above 16 MiB, and with a `GridError` for what happened on the way.
 */
export class GridMap<K, V> {
  readonly name: string;
  readonly #invoker: Invoker;
  readonly #options: RequestOptions;
  readonly #forget: () => void;
  /** Made once, not per call. */
  readonly #decodeValue: (reply: { readonly value: Uint8Array | null }) => V | null;

  constructor(name: string, invoker: Invoker, options: RequestOptions, forget: () => void) {
    this.name = name;
    this.#invoker = invoker;
    this.#options = options;
    this.#forget = forget;
    const { codec } = invoker;
    this.#decodeValue = ({ value }) => (value === null ? null : (codec.decode(value) as V));
  }

  /** The map for a call that sends several requests: they share its deadline. */
  #whole(): GridMap<K, V> {
    return new GridMap(this.name, this.#invoker, this.#invoker.bounded(this.#options), this.#forget);
  }

  /** The same map with options for each call made through it; throws a TypeError for those that mean nothing. */
  with(options: CallOptions): GridMap<K, V> {
    return new GridMap(
      this.name,
      this.#invoker,
      { ...this.#options, ...checkedOptions(options) },
      this.#forget,
    );
  }

  /** The value of the key, or null. */
  get(key: K): Promise<V | null> {
    try {
      const keyBytes = encodeKey(key);
      return this.#send(MAP_OPERATIONS.get, keyBytes, { key: keyBytes }, this.#decodeValue);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The value of the key with where it comes from, and how old it is at the most. */
  getWithMeta(key: K): Promise<WithMeta<V>> {
    return attempt(() => {
      const keyBytes = encodeKey(key);
      const map = new GridMap<K, V>(
        this.name,
        this.#invoker,
        { ...this.#options, withPlace: true },
        this.#forget,
      );
      return map.#send(MAP_OPERATIONS.get, keyBytes, { key: keyBytes }, (reply, place) =>
        withMeta(this.#decodeValue(reply), place),
      );
    });
  }

  /** Sets the value of the key; resolves with the old one, or null. `set` is cheaper. */
  put(key: K, value: V): Promise<V | null> {
    try {
      const keyBytes = encodeKey(key);
      const request = { key: keyBytes, value: this.#encode(value) };
      return this.#send(MAP_OPERATIONS.put, keyBytes, request, this.#decodeValue);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Sets the value of the key. */
  set(key: K, value: V): Promise<void> {
    try {
      const keyBytes = encodeKey(key);
      const request = { key: keyBytes, value: this.#encode(value) };
      return this.#send(MAP_OPERATIONS.set, keyBytes, request, nothing);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Sets the value of the key if it has none; resolves with the value that was there, or null. */
  putIfAbsent(key: K, value: V): Promise<V | null> {
    const request = (keyBytes: Uint8Array) => ({ key: keyBytes, value: this.#encode(value) });
    return this.#onKey(MAP_OPERATIONS.putIfAbsent, key, request, this.#decodeValue);
  }

  /** Sets the value of the key if it has one; resolves with the old value, or null when there was none. */
  replace(key: K, value: V): Promise<V | null> {
    const request = (keyBytes: Uint8Array) => ({ key: keyBytes, value: this.#encode(value) });
    return this.#onKey(MAP_OPERATIONS.replace, key, request, this.#decodeValue);
  }

  /**
   * Sets the value of the key if it is `oldValue`; resolves with whether it was. Both values travel in one message,
   * so together they are at most 16 MiB.
   */
  replaceIfSame(key: K, oldValue: V, newValue: V): Promise<boolean> {
    return attempt(() => {
      const keyBytes = encodeKey(key);
      const request = { key: keyBytes, expected: this.#encode(oldValue), value: this.#encode(newValue) };
      const bytes = request.expected.length + request.value.length - 2;
      if (bytes > MAX_VALUE_BYTES) {
        const limit = `the limit is ${MAX_VALUE_BYTES} bytes`;
        throw new ValueTooLargeError(`value: old and new value together have ${bytes} bytes; ${limit}`);
      }
      return this.#send(MAP_OPERATIONS.replaceIfSame, keyBytes, request, ({ replaced }) => replaced);
    });
  }

  /** Removes the key; resolves with its value, or null. `delete` is cheaper. */
  remove(key: K): Promise<V | null>;
  /** Removes the key if it has this value; resolves with whether it had. */
  remove(key: K, value: V): Promise<boolean>;
  remove(key: K, ...given: readonly V[]): Promise<V | null | boolean> {
    // Counted, so that an undefined by accident is refused instead of removing whatever is there.
    return given.length === 0 ? this.#remove(key) : this.#removeIfSame(key, given[0] as V);
  }

  #remove(key: K): Promise<V | null> {
    return this.#onKey(MAP_OPERATIONS.remove, key, keyOnly, this.#decodeValue);
  }

  #removeIfSame(key: K, value: V): Promise<boolean> {
    return attempt(() => {
      const keyBytes = encodeKey(key);
      const request = { key: keyBytes, expected: this.#encode(value) };
      return this.#send(MAP_OPERATIONS.removeIfSame, keyBytes, request, ({ removed }) => removed);
    });
  }

  /** Removes the key. */
  delete(key: K): Promise<void> {
    return this.#onKey(MAP_OPERATIONS.delete, key, keyOnly, nothing);
  }

  /** Takes the entry out of memory; resolves with whether there was one. */
  evict(key: K): Promise<boolean> {
    return this.#onKey(MAP_OPERATIONS.evict, key, keyOnly, ({ evicted }) => evicted);
  }

  containsKey(key: K): Promise<boolean> {
    return this.#onKey(MAP_OPERATIONS.containsKey, key, keyOnly, ({ found }) => found);
  }

  /** The entry with its times, counts and version, or null. Does not count as a read of the entry. */
  getEntryView(key: K): Promise<EntryView<K, V> | null> {
    return this.#onKey(MAP_OPERATIONS.getEntryView, key, keyOnly, ({ entry }) =>
      entry === null ? null : entryViewOf(key, this.#decode(entry.value), entry),
    );
  }

  /**
   * The entries of those keys that have one. Not a snapshot: each is read for itself. Rejects with a `BulkError`
   * when some keys could not be read.
   */
  getAll(keys: Iterable<K>): Promise<[K, V][]> {
    return attempt(async () => {
      const items: BulkItem[] = [];
      for (const key of keys) items.push({ key, keyBytes: encodeKey(key), valueBytes: NO_BYTES });
      const entries: [K, V][] = [];
      const whole = this.#whole();
      await whole.#inBulk('getAll', items, async (partition, batch) => {
        for (let from = 0; from < batch.length; ) {
          const request = { keys: batch.slice(from).map(({ keyBytes }) => keyBytes) };
          const start = from;
          from = await whole.#sendTo(MAP_OPERATIONS.getAll, partition, request, ({ values }) => {
            values.forEach((value, i) => {
              if (value !== null) entries.push([batch[start + i]?.key as K, this.#decode(value)]);
            });
            return start + values.length;
          });
        }
      });
      return entries;
    });
  }

  /**
   * Sets many values, not as one atomic change; of two values for one key the later one stays. Rejects with a
   * `BulkError` that lists what was done, what was refused and what is unknown.
   */
  putAll(entries: Iterable<readonly [K, V]>): Promise<void> {
    return this.#setAll('putAll', entries);
  }

  /** The same as `putAll`. */
  setAll(entries: Iterable<readonly [K, V]>): Promise<void> {
    return this.#setAll('setAll', entries);
  }

  #setAll(what: string, entries: Iterable<readonly [K, V]>): Promise<void> {
    return attempt(() => {
      const items: BulkItem[] = [];
      for (const [key, value] of entries) {
        items.push({ key, keyBytes: encodeKey(key), valueBytes: this.#encode(value) });
      }
      const whole = this.#whole();
      return whole.#inBulk(what, items, (partition, batch) => {
        const pairs = batch.map(({ keyBytes, valueBytes }) => ({ key: keyBytes, value: valueBytes }));
        return whole.#sendTo(MAP_OPERATIONS.setAll, partition, { entries: pairs }, nothing);
      });
    });
  }

  async #inBulk(
    what: string,
    items: readonly BulkItem[],
    run: (partition: number, batch: readonly BulkItem[]) => Promise<void>,
  ): Promise<void> {
    const outcome = new BulkOutcome();
    const groups = divide(items, (keyBytes) => this.#partition(keyBytes));
    await inParallel(groups, BULK_CONCURRENCY, async ({ partition, batches }) => {
      for (const batch of batches) {
        try {
          await run(partition, batch);
          outcome.succeeded(batch);
        } catch (reason) {
          outcome.failed(batch, reason);
        }
      }
    });
    outcome.finish(what);
  }

  /** The number of entries: a sum over the partitions, not a snapshot. */
  async size(): Promise<number> {
    let total = 0;
    const whole = this.#whole();
    await whole.#everywhere(async (partition) => {
      const entries = await whole.#sendTo(MAP_OPERATIONS.size, partition, {}, (reply) => reply.entries);
      total += entries;
    });
    return total;
  }

  async isEmpty(): Promise<boolean> {
    let found = false;
    const whole = this.#whole();
    await whole.#everywhere(async (partition) => {
      if (found) return;
      const entries = await whole.#sendTo(MAP_OPERATIONS.size, partition, {}, (reply) => reply.entries);
      if (entries > 0) found = true;
    });
    return !found;
  }

  /** Whether any key has this value. Looks at every entry in the worst case. */
  containsValue(value: V): Promise<boolean> {
    return attempt(async () => {
      const bytes = this.#encode(value);
      let found = false;
      const whole = this.#whole();
      await whole.#everywhere(async (partition) => {
        for (let cursor = 0; cursor >= 0 && !found; ) {
          const request = { value: bytes, cursor };
          const answer = await whole.#sendTo(MAP_OPERATIONS.containsValue, partition, request, same);
          if (answer.found) found = true;
          cursor = answer.next;
        }
      });
      return found;
    });
  }

  /** Removes all entries; one that is written while it runs may stay. */
  async clear(): Promise<void> {
    await this.#whole().#sweep(MAP_OPERATIONS.clear);
  }

  /** Takes all entries out of memory; one that is written while it runs may stay. */
  async evictAll(): Promise<void> {
    await this.#whole().#sweep(MAP_OPERATIONS.evictAll);
  }

  /** Removes all entries; the next `getMap` of this name gives a new object. */
  async destroy(): Promise<void> {
    this.#forget();
    await this.#whole().#sweep(MAP_OPERATIONS.clear);
  }

  #sweep(operation: typeof MAP_OPERATIONS.clear): Promise<void> {
    return this.#everywhere(async (partition) => {
      for (let cursor = 0, upTo = 0; cursor >= 0; ) {
        const reply = await this.#sendTo(operation, partition, { cursor, upTo }, same);
        cursor = reply.next;
        upTo = reply.upTo;
      }
    });
  }

  /** All keys, in no order that means something. Not a snapshot; for a large map iterate over it instead. */
  keySet(): Promise<K[]> {
    return this.#whole().#collect('keys', this.#keysOf);
  }

  /** All values. Not a snapshot; for a large map iterate over it instead. */
  values(): Promise<V[]> {
    return this.#whole().#collect('values', this.#valuesOf);
  }

  /** All entries. Not a snapshot; for a large map iterate over it instead. */
  entrySet(): Promise<[K, V][]> {
    return this.#whole().#collect('entries', this.#entriesOf);
  }

  /**
   * All entries by bounded pages, one page ahead of the reader, so that memory stays bounded whatever the size of the
   * map. An entry that is there all the time is met exactly once; one that comes or goes meanwhile, at most once.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<[K, V], void, undefined> {
    let ahead: Promise<ScanPage<[K, V]>> | undefined = this.#page('entries', 0, 0, this.#entriesOf);
    for (let partition = 0; ahead !== undefined; ) {
      const { items, next }: ScanPage<[K, V]> = await ahead;
      if (next < 0) partition++;
      const goesOn = partition < this.#invoker.partitionCount;
      ahead = goesOn ? this.#page('entries', partition, Math.max(next, 0), this.#entriesOf) : undefined;
      // A reader that stops early never asks for the page that was fetched ahead.
      ahead?.catch(nothing);
      yield* items;
    }
  }

  async #collect<T>(what: ScanWhat, itemsOf: (reply: ScanReply) => T[]): Promise<T[]> {
    const found: T[][] = [];
    await this.#everywhere(async (partition) => {
      for (let cursor = 0; cursor >= 0; ) {
        const { items, next } = await this.#page(what, partition, cursor, itemsOf);
        found.push(items);
        cursor = next;
      }
    });
    return found.flat(1) as T[];
  }

  #page<T>(
    what: ScanWhat,
    partition: number,
    cursor: number,
    itemsOf: (reply: ScanReply) => T[],
  ): Promise<ScanPage<T>> {
    const request = { cursor, what, maxBytes: PAGE_BYTES };
    return this.#sendTo(MAP_OPERATIONS.scan, partition, request, (reply) => ({
      items: itemsOf(reply),
      next: reply.next,
    }));
  }

  readonly #keysOf = ({ keys }: ScanReply): K[] => keys.map((key) => decodeKey(key) as K);
  readonly #valuesOf = ({ values }: ScanReply): V[] => values.map((value) => this.#decode(value));
  readonly #entriesOf = ({ keys, values }: ScanReply): [K, V][] =>
    keys.map((key, i) => [decodeKey(key) as K, this.#decode(values[i] as Uint8Array)]);

  #everywhere(visit: (partition: number) => Promise<void>): Promise<void> {
    return inParallel([...Array(this.#invoker.partitionCount).keys()], SWEEP_CONCURRENCY, visit);
  }

  #encode(value: V): Uint8Array {
    return this.#invoker.codec.encode(value);
  }

  #decode(bytes: Uint8Array): V {
    return this.#invoker.codec.decode(bytes) as V;
  }

  #partition(keyBytes: Uint8Array): number {
    return partitionOf(murmur3(affinityBytes(keyBytes)), this.#invoker.partitionCount);
  }

  #onKey<Q, P, R>(
    operation: OperationDef<Q, P>,
    key: K,
    request: (keyBytes: Uint8Array) => Q,
    decode: (reply: P) => R,
  ): Promise<R> {
    try {
      const keyBytes = encodeKey(key);
      return this.#send(operation, keyBytes, request(keyBytes), decode);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #send<Q, P, R>(
    operation: OperationDef<Q, P>,
    keyBytes: Uint8Array,
    request: Q,
    decode: (reply: P, place: AnswerPlace | null) => R,
  ): Promise<R> {
    return this.#sendTo(operation, this.#partition(keyBytes), request, decode);
  }

  #sendTo<Q, P, R>(
    operation: OperationDef<Q, P>,
    partition: number,
    request: Q,
    decode: (reply: P, place: AnswerPlace | null) => R,
  ): Promise<R> {
    return this.#invoker.invoke(operation, partition, this.name, request, this.#options, decode);
  }
}

type ScanReply = ReplyOf<typeof MAP_OPERATIONS.scan>;

interface ScanPage<T> {
  readonly items: T[];
  readonly next: number;
}

function nothing(): void {}

function keyOnly(keyBytes: Uint8Array): { readonly key: Uint8Array } {
  return { key: keyBytes };
}

function same<T>(reply: T): T {
  return reply;
}

/** Turns what is thrown before the call into a rejection. */
function attempt<T>(call: () => Promise<T>): Promise<T> {
  try {
    return call();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Runs the task for every item, `limit` at a time; after the first failure no further one is started. */
async function inParallel<T>(
  items: readonly T[],
  limit: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  let failed = false;
  const work = async () => {
    for (let item = rest.next(); item.done !== true && !failed; item = rest.next()) {
      try {
        await task(item.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work));
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
    new GridMap<unknown, unknown>(name, invoker, options, forget),
} as const satisfies StructureModule;
