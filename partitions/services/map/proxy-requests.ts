/**
 * The requests of one map with one set of options: keys and values to bytes, each request to the partition of its key,
 * and what concerns many keys or all partitions with bounded concurrency. Called by the proxy of the map.
 */
import { affinityBytes, decodeKey, encodeKey } from '../../../src/wire/keys.js';
import type { OperationDef, ReplyOf } from '../../../src/wire/message.js';
import type { AnswerPlace } from '../../call.js';
import { murmur3, partitionOf } from '../../hash.js';
import type { Invoker, RequestOptions } from '../../invoker.js';
import { MISS, type NearValues, type Reservation } from '../../near.js';
import { type BulkItem, BulkOutcome, divide } from './bulk.js';
import { MAP_OPERATIONS, type ScanWhat } from './ops.js';

/** Requests of one bulk call, and of one call to all partitions, that are under way at a time. */
const BULK_CONCURRENCY = 32;
const SWEEP_CONCURRENCY = 16;
const PAGE_BYTES = 256 * 1024;
const NO_BYTES = new Uint8Array(0);

type ScanReply = ReplyOf<typeof MAP_OPERATIONS.scan>;

/** What a scan collects, and how it is read from a page. */
export interface Scan<T> {
  readonly what: ScanWhat;
  readonly itemsOf: (reply: ScanReply) => T[];
}

interface ScanPage<T> {
  readonly items: T[];
  readonly next: number;
}

export class MapRequests<K, V> {
  readonly name: string;
  readonly invoker: Invoker;
  readonly options: RequestOptions;
  readonly near: NearValues | null;
  readonly keys: Scan<K> = {
    what: 'keys',
    itemsOf: ({ keys }) => keys.map((key) => decodeKey(key) as K),
  };
  readonly values: Scan<V> = {
    what: 'values',
    itemsOf: ({ values }) => values.map((value) => this.decode(value)),
  };
  readonly entries: Scan<[K, V]> = {
    what: 'entries',
    itemsOf: ({ keys, values }) =>
      keys.map((key, i) => [decodeKey(key) as K, this.decode(values[i] as Uint8Array)]),
  };

  constructor(name: string, invoker: Invoker, options: RequestOptions) {
    this.name = name;
    this.invoker = invoker;
    this.options = options;
    this.near = invoker.nearCache?.(name) ?? null;
  }

  /** For a call that sends several requests: they share its deadline. */
  whole(): MapRequests<K, V> {
    return this.with(this.invoker.bounded(this.options));
  }

  with(options: RequestOptions): MapRequests<K, V> {
    return new MapRequests(this.name, this.invoker, options);
  }

  encode(value: V): Uint8Array {
    return this.invoker.codec.encode(value);
  }

  decode(bytes: Uint8Array): V {
    return this.invoker.codec.decode(bytes) as V;
  }

  partition(keyBytes: Uint8Array): number {
    return partitionOf(murmur3(affinityBytes(keyBytes)), this.invoker.partitionCount);
  }

  onKey<Q, P, R>(
    operation: OperationDef<Q, P>,
    key: K,
    request: (keyBytes: Uint8Array) => Q,
    decode: (reply: P) => R,
  ): Promise<R> {
    try {
      const keyBytes = encodeKey(key);
      return this.send(operation, keyBytes, request(keyBytes), decode);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  send<Q, P, R>(
    operation: OperationDef<Q, P>,
    keyBytes: Uint8Array,
    request: Q,
    decode: (reply: P, place: AnswerPlace | null) => R,
  ): Promise<R> {
    const sent = () => this.sendTo(operation, this.partition(keyBytes), request, decode);
    return this.near === null || operation.kind === 'read' ? sent() : this.#changing([keyBytes], sent);
  }

  /** A value that is near is out of date from the moment at which its change is sent, and until that has ended. */
  #changing<R>(keys: readonly Uint8Array[] | 'all', send: () => Promise<R>): Promise<R> {
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
    return this.#changing(keys, () =>
      this.inBulk(what, items, (partition, batch) => {
        const entries = batch.map(({ keyBytes, valueBytes }) => ({ key: keyBytes, value: valueBytes }));
        return this.sendTo(MAP_OPERATIONS.setAll, partition, { entries }, () => {});
      }),
    );
  }

  sendTo<Q, P, R>(
    operation: OperationDef<Q, P>,
    partition: number,
    request: Q,
    decode: (reply: P, place: AnswerPlace | null) => R,
  ): Promise<R> {
    return this.invoker.invoke(operation, partition, this.name, request, this.options, decode);
  }

  async inBulk(
    what: string,
    items: readonly BulkItem[],
    run: (partition: number, batch: readonly BulkItem[]) => Promise<void>,
  ): Promise<void> {
    const outcome = new BulkOutcome();
    const groups = divide(items, (keyBytes) => this.partition(keyBytes));
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

  everywhere(visit: (partition: number) => Promise<void>): Promise<void> {
    return inParallel([...Array(this.invoker.partitionCount).keys()], SWEEP_CONCURRENCY, visit);
  }

  /** Removes what is there, page by page, in all partitions. */
  sweep(operation: typeof MAP_OPERATIONS.clear): Promise<void> {
    return this.#changing('all', () =>
      this.everywhere(async (partition) => {
        for (let cursor = 0, upTo = 0; cursor >= 0; ) {
          const reply = await this.sendTo(operation, partition, { cursor, upTo }, (page) => page);
          cursor = reply.next;
          upTo = reply.upTo;
        }
      }),
    );
  }

  async collect<T>(scan: Scan<T>): Promise<T[]> {
    const found: T[][] = [];
    await this.everywhere(async (partition) => {
      for (let cursor = 0; cursor >= 0; ) {
        const { items, next } = await this.page(scan, partition, cursor);
        found.push(items);
        cursor = next;
      }
    });
    return found.flat(1) as T[];
  }

  /** Item by item, one page ahead of the reader. */
  async *iterate<T>(scan: Scan<T>): AsyncGenerator<T, void, undefined> {
    let ahead: Promise<ScanPage<T>> | undefined = this.page(scan, 0, 0);
    for (let partition = 0; ahead !== undefined; ) {
      const { items, next }: ScanPage<T> = await ahead;
      if (next < 0) partition++;
      const goesOn = partition < this.invoker.partitionCount;
      ahead = goesOn ? this.page(scan, partition, Math.max(next, 0)) : undefined;
      // A reader that stops early never asks for the page that was fetched ahead.
      ahead?.catch(() => {});
      yield* items;
    }
  }

  page<T>({ what, itemsOf }: Scan<T>, partition: number, cursor: number): Promise<ScanPage<T>> {
    const request = { cursor, what, maxBytes: PAGE_BYTES };
    return this.sendTo(MAP_OPERATIONS.scan, partition, request, (reply) => ({
      items: itemsOf(reply),
      next: reply.next,
    }));
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
