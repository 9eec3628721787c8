/**
 * The requests of one structure with keys with one set of options: keys and values to bytes, each request to the
 * partition of its key, and what concerns many keys or all partitions with bounded concurrency. Called by the proxies
 * of map and multimap.
 */
import type { Clock } from '../../src/base/ports.js';
import { decodeKey, encodeKey } from '../../src/wire/keys.js';
import type { OperationDef } from '../../src/wire/message.js';
import type { AnswerPlace } from '../call.js';
import type { Invoker, RequestOptions } from '../invoker.js';
import { partitionOfKey } from '../placement.js';
import { type BulkItem, BulkOutcome, divide } from './bulk.js';
import type {
  CountOperation,
  RemovalOperation,
  ScanOperation,
  ScanReply,
  ScanWhat,
  SearchOperation,
} from './keyed-ops.js';
import { everywhere, inParallel, readAll, readPages } from './proxy-everywhere.js';

/** Requests of one bulk call that are under way at a time. */
export const BULK_CONCURRENCY = 32;
const PAGE_BYTES = 256 * 1024;

/** What is called for what. */
const SCANS: Readonly<Record<ScanWhat, string>> = { keys: 'keySet', values: 'values', entries: 'entrySet' };

/** What a scan collects, and how it is read from a page. */
export interface Scan<T> {
  readonly what: ScanWhat;
  readonly itemsOf: (reply: ScanReply) => T[];
}

interface ScanPage<T> {
  readonly items: T[];
  readonly next: number;
}

/** Who keeps values of keys: told when a change of them is sent, and again when it has ended. */
export interface ChangeWatcher {
  changing(keyBytes: Uint8Array): void;
  changingAll(): void;
}

export class KeyedRequests<K, V> {
  readonly name: string;
  readonly invoker: Invoker;
  readonly options: RequestOptions;
  readonly #scan: ScanOperation;
  readonly #watcher: ChangeWatcher | null;
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

  /** `scan` is the structure's operation that reads a page. */
  constructor(
    name: string,
    invoker: Invoker,
    options: RequestOptions,
    scan: ScanOperation,
    watcher: ChangeWatcher | null = null,
  ) {
    this.name = name;
    this.invoker = invoker;
    this.options = options;
    this.#scan = scan;
    this.#watcher = watcher;
  }

  /** For a call that sends several requests: they share its deadline. */
  whole(): KeyedRequests<K, V> {
    return this.with(this.invoker.bounded(this.options));
  }

  with(options: RequestOptions): KeyedRequests<K, V> {
    return new KeyedRequests(this.name, this.invoker, options, this.#scan, this.#watcher);
  }

  /** For calls of a method that has another name than their operation. */
  as(calledAs: string): KeyedRequests<K, V> {
    return this.with({ ...this.options, calledAs });
  }

  encode(value: V): Uint8Array {
    return this.invoker.codec.encode(value);
  }

  decode(bytes: Uint8Array): V {
    return this.invoker.codec.decode(bytes) as V;
  }

  partition(keyBytes: Uint8Array): number {
    return partitionOfKey(keyBytes, this.invoker.partitionCount);
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
    return operation.kind === 'read' ? sent() : this.changing([keyBytes], sent);
  }

  /** Around whatever changes these keys: what is kept of them is out of date from the first request to the last answer. */
  changing<R>(keys: readonly Uint8Array[] | 'all', send: () => Promise<R>): Promise<R> {
    const watcher = this.#watcher;
    if (watcher === null) return send();
    const changing = () => {
      if (keys === 'all') watcher.changingAll();
      else for (const keyBytes of keys) watcher.changing(keyBytes);
    };
    changing();
    const sent = send();
    // Registered before the caller's own: whoever waits for the change finds nothing of before.
    sent.then(changing, changing);
    return sent;
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
    kind = 'keys',
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
    outcome.finish(what, kind);
  }

  everywhere(visit: (partition: number) => Promise<void>): Promise<void> {
    return everywhere(this.invoker, visit);
  }

  /** What the partitions count, added up. */
  async total(operation: CountOperation): Promise<number> {
    let total = 0;
    await readAll(this, operation, {}, ({ entries }) => {
      total += entries;
      return false;
    });
    return total;
  }

  /** Whether no partition counts anything. */
  async nowhere(operation: CountOperation): Promise<boolean> {
    let found = false;
    await readAll(this, operation, {}, ({ entries }) => {
      found ||= entries > 0;
      return found;
    });
    return !found;
  }

  /** Whether some entry has this value: looks at every one in the worst case. */
  async search(operation: SearchOperation, value: Uint8Array): Promise<boolean> {
    let found = false;
    await readPages(
      this,
      operation,
      (cursor) => ({ value, cursor }),
      (page) => {
        found ||= page.found;
        return found;
      },
    );
    return found;
  }

  /** Removes what is there, page by page, in all partitions. */
  sweep(operation: RemovalOperation): Promise<void> {
    return this.changing('all', () =>
      this.everywhere(async (partition) => {
        for (let cursor = 0, upTo = 0; cursor >= 0; ) {
          const reply = await this.sendTo(operation, partition, { cursor, upTo }, (page) => page);
          cursor = reply.next;
          upTo = reply.upTo;
        }
      }),
    );
  }

  async collect<T>({ what, itemsOf }: Scan<T>): Promise<T[]> {
    const found: T[][] = [];
    await readPages(
      this.as(SCANS[what]),
      this.#scan,
      (cursor) => ({ cursor, what, maxBytes: PAGE_BYTES }),
      (page) => {
        found.push(itemsOf(page));
        return false;
      },
    );
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
    return this.as(SCANS[what]).sendTo(this.#scan, partition, request, (reply) => ({
      items: itemsOf(reply),
      next: reply.next,
    }));
  }
}

/** A call waits at the grid for no longer than this. */
const PART_MS = 30_000;

/**
 * A call that waits, in parts, because the grid remembers no call for ever and may answer earlier than it was asked to;
 * until `isOver` says that it was answered, or the time is over. `waitMs`: `Infinity` for ever.
 */
export async function inParts<R>(
  clock: Clock,
  waitMs: number,
  call: (partMs: number) => Promise<R>,
  isOver: (reply: R) => boolean,
): Promise<R> {
  const untilMs = clock.now() + waitMs;
  for (;;) {
    const leftMs = Math.max(0, untilMs - clock.now());
    const reply = await call(Math.ceil(Math.min(PART_MS, leftMs)));
    if (isOver(reply) || clock.now() >= untilMs) return reply;
  }
}

/** Between two requests of a call; ends at once when none can be made any more. */
export function pause(invoker: Pick<Invoker, 'clock' | 'whenClosed'>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = invoker.clock.setTimer(ms, () => {
      unlisten();
      resolve();
    });
    const unlisten = invoker.whenClosed(() => {
      timer.cancel();
      resolve();
    });
  });
}

export function nothing(): void {}

export function keyOnly(keyBytes: Uint8Array): { readonly key: Uint8Array } {
  return { key: keyBytes };
}

/** Turns what is thrown before the call into a rejection. */
export function attempt<T>(call: () => Promise<T>): Promise<T> {
  try {
    return call();
  } catch (error) {
    return Promise.reject(error);
  }
}
