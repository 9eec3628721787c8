/**
 * The reads of one map that a near cache may answer, and may keep the answers of; without one they go to the grid. Called
 * by the proxy of the map.
 */
import { encodeKey } from '../../../src/wire/keys.js';
import type { AnswerPlace } from '../../call.js';
import type { Invoker, RequestOptions } from '../../invoker.js';
import { MISS, type NearValues, type Reservation } from '../../near.js';
import { type BulkItem, checkedIterable, forEachItem } from '../bulk.js';
import { KeyedRequests, keyOnly } from '../proxy-requests.js';
import { type WithMeta, withMeta } from './meta.js';
import { MAP_OPERATIONS } from './ops.js';

const NO_BYTES = new Uint8Array(0);

export class MapReads<K, V> {
  readonly requests: KeyedRequests<K, V>;
  readonly near: NearValues | null;

  constructor(requests: KeyedRequests<K, V>, near: NearValues | null) {
    this.requests = requests;
    this.near = near;
  }

  /** Those of a map as a process has it; its near cache hears of all changes. */
  static of<K, V>(name: string, invoker: Invoker, options: RequestOptions): MapReads<K, V> {
    const near = invoker.nearCache?.(name) ?? null;
    return new MapReads(new KeyedRequests<K, V>(name, invoker, options, MAP_OPERATIONS.scan, near), near);
  }

  /** For a call that sends several requests: they share its deadline. */
  whole(): MapReads<K, V> {
    return new MapReads(this.requests.whole(), this.near);
  }

  with(options: RequestOptions): MapReads<K, V> {
    return new MapReads(this.requests.with(options), this.near);
  }

  /** The value that is near, null when the key is known to have none, or `MISS`. */
  find(key: K): V | null | typeof MISS {
    return this.near === null ? MISS : (this.near.find(key, this.requests.options) as V | null | typeof MISS);
  }

  /** Reads a key from the grid; what a near cache may keep of the answer, it keeps. `V` frozen when it is shared. */
  get(key: K, keyBytes: Uint8Array): Promise<V | null> {
    return this.read(key, keyBytes, (value) => value);
  }

  /** The same, unless the value is near. */
  findOrGet(key: K, keyBytes: Uint8Array): Promise<V | null> {
    const value = this.find(key);
    return value === MISS ? this.get(key, keyBytes) : Promise.resolve(value);
  }

  containsKey(key: K): Promise<boolean> {
    const value = this.find(key);
    if (value !== MISS) return Promise.resolve(value !== null);
    return this.requests.onKey(MAP_OPERATIONS.containsKey, key, keyOnly, ({ found }) => found);
  }

  getWithMeta(key: K): Promise<WithMeta<V>> {
    const value = this.find(key);
    if (this.near !== null && value !== MISS) return Promise.resolve(withMeta(value, this.near.placeFound()));
    const reads = this.with({ ...this.requests.options, withPlace: true });
    return reads.read(key, encodeKey(key), withMeta<V>);
  }

  read<R>(
    key: K,
    keyBytes: Uint8Array,
    result: (value: V | null, place: AnswerPlace | null) => R,
  ): Promise<R> {
    const { options } = this.requests;
    const partition = this.requests.partition(keyBytes);
    const reserved = this.near?.reserve(key, keyBytes, partition, options) ?? null;
    const sent = this.requests.sendTo(MAP_OPERATIONS.get, partition, { key: keyBytes }, ({ value }, place) =>
      result(this.#filled(reserved, value, place), place),
    );
    if (reserved !== null) sent.catch(() => reserved.release());
    return sent;
  }

  #filled(reserved: Reservation | null, value: Uint8Array | null, place: AnswerPlace | null): V | null {
    if (reserved !== null) return reserved.fill(value, place) as V | null;
    return value === null ? null : this.requests.decode(value);
  }

  /** The entries of those keys that have one, from near and far. */
  async getAll(keys: Iterable<K>): Promise<[K, V][]> {
    const entries: [K, V][] = [];
    const items: BulkItem[] = [];
    const take = (key: K, value: unknown) => {
      if (value !== null) entries.push([key, value as V]);
    };
    forEachItem('keys', checkedIterable('keys', keys, 'an array of keys'), (key) => {
      const value = this.find(key);
      if (value === MISS) items.push({ key, keyBytes: encodeKey(key), valueBytes: NO_BYTES });
      else take(key, value);
    });
    await this.requests.inBulk('getAll', items, async (partition, batch) => {
      for (let from = 0; from < batch.length; )
        from += await this.#getSome(partition, batch.slice(from), take);
    });
    return entries;
  }

  /** Reads as many of the first items as fit into an answer; resolves with how many these were. */
  #getSome(
    partition: number,
    items: readonly BulkItem[],
    take: (key: K, value: unknown) => void,
  ): Promise<number> {
    const { options } = this.requests;
    const reserved = items.map(
      ({ key, keyBytes }) => this.near?.reserve(key, keyBytes, partition, options) ?? null,
    );
    const release = () => {
      for (const reservation of reserved) reservation?.release();
    };
    const request = { keys: items.map(({ keyBytes }) => keyBytes) };
    const sent = this.requests.sendTo(MAP_OPERATIONS.getAll, partition, request, ({ values }, place) => {
      values.forEach((value, i) => {
        take(items[i]?.key as K, this.#filled(reserved[i] ?? null, value, place));
      });
      return values.length;
    });
    if (this.near !== null) sent.then(release, release);
    return sent;
  }
}
