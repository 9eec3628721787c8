/**
 * The requests of one map: those of any structure with keys, and beside them what a near cache has to do with them.
 * Called by the proxy of the map.
 */
import { encodeKey } from '../../../src/wire/keys.js';
import type { AnswerPlace } from '../../call.js';
import type { Invoker, RequestOptions } from '../../invoker.js';
import { MISS, type NearValues, type Reservation } from '../../near.js';
import type { BulkItem } from '../bulk.js';
import { KeyedRequests } from '../proxy-requests.js';
import { MAP_OPERATIONS } from './ops.js';

const NO_BYTES = new Uint8Array(0);

export class MapRequests<K, V> extends KeyedRequests<K, V> {
  readonly near: NearValues | null;

  constructor(name: string, invoker: Invoker, options: RequestOptions) {
    super(name, invoker, options, MAP_OPERATIONS.scan);
    this.near = invoker.nearCache?.(name) ?? null;
  }

  override whole(): MapRequests<K, V> {
    return this.with(this.invoker.bounded(this.options));
  }

  override with(options: RequestOptions): MapRequests<K, V> {
    return new MapRequests(this.name, this.invoker, options);
  }

  /** A value that is near is out of date from the moment at which its change is sent, and until that has ended. */
  protected override changing<R>(keys: readonly Uint8Array[] | 'all', send: () => Promise<R>): Promise<R> {
    const { near } = this;
    if (near === null) return send();
    const changing = () => {
      if (keys === 'all') near.changingAll();
      else for (const keyBytes of keys) near.changing(keyBytes);
    };
    changing();
    const sent = send();
    // Registered before the caller's own: whoever waits for the change finds nothing of before.
    sent.then(changing, changing);
    return sent;
  }

  /** Reads a key from the grid; what a near cache may keep of the answer, it keeps. `V` frozen when it is shared. */
  get(key: K, keyBytes: Uint8Array): Promise<V | null> {
    return this.read(key, keyBytes, (value) => value);
  }

  read<R>(
    key: K,
    keyBytes: Uint8Array,
    result: (value: V | null, place: AnswerPlace | null) => R,
  ): Promise<R> {
    const partition = this.partition(keyBytes);
    const reserved = this.near?.reserve(key, keyBytes, partition, this.options) ?? null;
    const sent = this.sendTo(MAP_OPERATIONS.get, partition, { key: keyBytes }, ({ value }, place) =>
      result(this.#filled(reserved, value, place), place),
    );
    if (reserved !== null) sent.catch(() => reserved.release());
    return sent;
  }

  #filled(reserved: Reservation | null, value: Uint8Array | null, place: AnswerPlace | null): V | null {
    if (reserved !== null) return reserved.fill(value, place) as V | null;
    return value === null ? null : this.decode(value);
  }

  /** The entries of those keys that have one, from near and far. */
  async getAll(keys: Iterable<K>): Promise<[K, V][]> {
    const entries: [K, V][] = [];
    const items: BulkItem[] = [];
    const take = (key: K, value: unknown) => {
      if (value !== null) entries.push([key, value as V]);
    };
    for (const key of keys) {
      const value = this.near === null ? MISS : this.near.find(key, this.options);
      if (value === MISS) items.push({ key, keyBytes: encodeKey(key), valueBytes: NO_BYTES });
      else take(key, value);
    }
    await this.inBulk('getAll', items, async (partition, batch) => {
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
    const reserved = items.map(
      ({ key, keyBytes }) => this.near?.reserve(key, keyBytes, partition, this.options) ?? null,
    );
    const release = () => {
      for (const reservation of reserved) reservation?.release();
    };
    const request = { keys: items.map(({ keyBytes }) => keyBytes) };
    const sent = this.sendTo(MAP_OPERATIONS.getAll, partition, request, ({ values }, place) => {
      values.forEach((value, i) => {
        take(items[i]?.key as K, this.#filled(reserved[i] ?? null, value, place));
      });
      return values.length;
    });
    if (this.near !== null) sent.then(release, release);
    return sent;
  }

  setAll(what: string, items: readonly BulkItem[]): Promise<void> {
    const keys = items.map(({ keyBytes }) => keyBytes);
    return this.changing(keys, () =>
      this.inBulk(what, items, (partition, batch) => {
        const entries = batch.map(({ keyBytes, valueBytes }) => ({ key: keyBytes, value: valueBytes }));
        return this.sendTo(MAP_OPERATIONS.setAll, partition, { entries }, () => {});
      }),
    );
  }
}
