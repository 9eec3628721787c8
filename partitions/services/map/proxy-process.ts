/**
 * Entry processors from the side of the caller: one key, some keys, all entries. What is in bulk goes page by page in each
 * partition, and tells at the end what was done and what was not. Called by the proxy of the map.
 */
import { textOf } from '../../../src/base/bytes.js';
import { errorFromWire, ProtocolError, UnknownFunctionError } from '../../../src/base/errors.js';
import { checkNames } from '../../../src/base/option-names.js';
import { decodeKey, encodeKey } from '../../../src/wire/keys.js';
import type { ReplyOf } from '../../../src/wire/message.js';
import { checkedPredicate, type Predicate } from '../../query/predicate.js';
import { type BulkItem, BulkOutcome, checkedIterable, divide, forEachItem } from '../bulk.js';
import { checkedFunctionName, encodedArgument } from '../function-call.js';
import { inParallel } from '../proxy-everywhere.js';
import { BULK_CONCURRENCY, type KeyedRequests } from '../proxy-requests.js';
import { MAP_OPERATIONS } from './ops.js';

/** An entry processor that is registered at the members. */
export interface ProcessorWish {
  readonly name: string;
  /** Goes to the processor, by value. */
  readonly argument?: unknown;
}

interface Processing {
  readonly processor: string;
  readonly argument: Uint8Array | null;
}

/** Its name, when it takes no argument. */
export type Processor = string | ProcessorWish;

type Page = Pick<ReplyOf<typeof MAP_OPERATIONS.executeOnKeys>, 'results' | 'failed'>;
type EntriesPage = ReplyOf<typeof MAP_OPERATIONS.executeOnEntries>;

const NO_BYTES = new Uint8Array(0);

function processingOf<K, V>(
  { invoker }: KeyedRequests<K, V>,
  processor: Processor,
  more: readonly unknown[] = [],
): Processing {
  if (more.some((given) => given !== undefined))
    throw new TypeError(
      'processor: there is no third argument; what goes to the processor is { name, argument } in the place of its name',
    );
  if (typeof processor === 'string') return { processor: checkedFunctionName(processor), argument: null };
  if (typeof processor !== 'object' || processor === null)
    throw new TypeError(
      'processor: expected the name of a registered entry processor, or { name, argument }',
    );
  checkNames(processor, ['name', 'argument']);
  const { name, argument } = processor;
  return { processor: checkedFunctionName(name), argument: encodedArgument(invoker.codec, argument) };
}

export function onKey<K, V, R>(
  requests: KeyedRequests<K, V>,
  key: K,
  processor: Processor,
  more: readonly unknown[],
): Promise<R | null> {
  const processing = processingOf(requests, processor, more);
  return requests.onKey(
    MAP_OPERATIONS.executeOnKey,
    key,
    (keyBytes) => ({ key: keyBytes, ...processing }),
    ({ result }) => (result === null ? null : (requests.invoker.codec.decode(result) as R)),
  );
}

export async function onKeys<K, V, R>(
  requests: KeyedRequests<K, V>,
  keys: Iterable<K>,
  processor: Processor,
  more: readonly unknown[],
): Promise<[K, R][]> {
  const processing = processingOf(requests, processor, more);
  // Each key once, however often it is given.
  const items = new Map<string, BulkItem>();
  forEachItem('keys', checkedIterable('keys', keys, 'an array of keys'), (key) => {
    const keyBytes = encodeKey(key);
    items.set(textOf(keyBytes), { key, keyBytes, valueBytes: NO_BYTES });
  });
  const whole = requests.whole();
  const outcome = new ProcessOutcome<K, R>(whole);
  const run = async (partition: number, batch: readonly BulkItem[]) => {
    for (let rest = batch; rest.length > 0; ) {
      const taken = rest;
      const request = { keys: taken.map(({ keyBytes }) => keyBytes), ...processing };
      try {
        const add = (reply: Page) => outcome.add(taken, reply);
        const count = await whole.sendTo(MAP_OPERATIONS.executeOnKeys, partition, request, add);
        rest = taken.slice(count);
      } catch (reason) {
        outcome.failed(taken, reason);
        return;
      }
    }
  };
  const list = [...items.values()];
  const groups = divide(list, (keyBytes) => whole.partition(keyBytes));
  const keyBytes = list.map((item) => item.keyBytes);
  await whole.changing(keyBytes, () =>
    inParallel(groups, BULK_CONCURRENCY, async ({ partition, batches }) => {
      for (const batch of batches) await run(partition, batch);
    }),
  );
  return outcome.finish('executeOnKeys', 'keys');
}

export async function onEntries<K, V, R>(
  requests: KeyedRequests<K, V>,
  processor: Processor,
  meant: Predicate | undefined,
): Promise<[K, R][]> {
  const processing = processingOf(requests, processor);
  const predicate = meant === undefined ? null : checkedPredicate(meant);
  const whole = requests.whole();
  const outcome = new ProcessOutcome<K, R>(whole);
  const addPage = (reply: EntriesPage) => {
    const items = reply.keys.map((bytes) => ({
      key: decodeKey(bytes),
      keyBytes: NO_BYTES,
      valueBytes: NO_BYTES,
    }));
    outcome.add(items, reply);
    return reply.next;
  };
  const run = async (partition: number) => {
    try {
      for (let cursor = 0; cursor >= 0; ) {
        const request = { cursor, predicate, ...processing };
        cursor = await whole.sendTo(MAP_OPERATIONS.executeOnEntries, partition, request, addPage);
      }
    } catch (reason) {
      outcome.failed([{ key: { partition }, keyBytes: NO_BYTES, valueBytes: NO_BYTES }], reason);
    }
  };
  await whole.changing('all', () => whole.everywhere(run));
  return outcome.finish('executeOnEntries', 'entries');
}

/** What became of the entries of one call. */
class ProcessOutcome<K, R> {
  readonly #requests: KeyedRequests<K, unknown>;
  readonly #outcome = new BulkOutcome();
  readonly #results: [K, R][] = [];
  /** The processor was run, whatever the codec here makes of its result. */
  #undecodable: unknown = null;
  #unknown: UnknownFunctionError | null = null;
  #isAllUnknown = true;

  constructor(requests: KeyedRequests<K, unknown>) {
    this.#requests = requests;
  }

  /** Takes the results of the first items, of as many as there are; gives their number. Called while the reply is there. */
  add(items: readonly BulkItem[], { results, failed }: Page): number {
    const count = Math.min(results.length, items.length);
    if (count === 0 && items.length > 0)
      throw new ProtocolError('a reply without any of the keys that were asked for');
    const failures = new Map(failed.map((one) => [one.index, one]));
    for (let i = 0; i < count; i++) {
      const item = items[i] as BulkItem;
      const failure = failures.get(i);
      this.#isAllUnknown = false;
      if (failure !== undefined) this.#outcome.failed([item], errorFromWire(failure.error, failure.message));
      else {
        this.#outcome.succeeded([item]);
        this.#keep(item.key as K, results[i] as Uint8Array | null);
      }
    }
    return count;
  }

  #keep(key: K, result: Uint8Array | null): void {
    if (result === null) return;
    try {
      this.#results.push([key, this.#requests.decode(result) as R]);
    } catch (error) {
      this.#undecodable ??= error;
    }
  }

  failed(items: readonly BulkItem[], reason: unknown): void {
    if (reason instanceof UnknownFunctionError) this.#unknown = reason;
    else this.#isAllUnknown = false;
    this.#outcome.failed(items, reason);
  }

  finish(what: string, items: string): [K, R][] {
    // Nothing was done anywhere: the one thing that is wrong is said as for a single key.
    if (this.#unknown !== null && this.#isAllUnknown) throw this.#unknown;
    this.#outcome.finish(what, items);
    if (this.#undecodable !== null) throw this.#undecodable;
    return this.#results;
  }
}
