/**
 * What one call does in all partitions. Invariants: a read asks each member once for all the partitions that it has, because a
 * request to each of them would take longer than what it asks for; what is under way at a time has a bound. Called by the proxies
 * of structures with keys.
 */
import type { OperationDef } from '../../src/wire/message.js';
import { MAX_FAN_OUT } from '../fan-out-messages.js';
import type { Invoker, RequestOptions } from '../invoker.js';

/** Requests of one call to all partitions that are under way at a time, where each goes by itself. */
const SWEEP_CONCURRENCY = 16;

/** Who asks: the structure, and how its requests are sent. */
interface Asking {
  readonly name: string;
  readonly invoker: Invoker;
  readonly options: RequestOptions;
}

/** Visits all partitions, some at a time. */
export function everywhere(
  { partitionCount }: Pick<Invoker, 'partitionCount'>,
  visit: (partition: number) => Promise<void>,
): Promise<void> {
  return inParallel([...Array(partitionCount).keys()], SWEEP_CONCURRENCY, visit);
}

/** Asks all partitions; ends early when `take` has given true. */
export async function readAll<Q, P>(
  asking: Asking,
  operation: OperationDef<Q, P>,
  request: Q,
  take: (reply: P, partitions: readonly number[]) => boolean,
): Promise<void> {
  let isEnough = false;
  for (const partitions of waves(asking, MAX_FAN_OUT)) {
    if (isEnough) return;
    await readEach(asking, operation, partitions, request, (reply, of) => {
      isEnough ||= take(reply, of);
      return isEnough;
    });
  }
}

/**
 * Goes from the start to the end of each partition, in pages; ends early when `take` has given true. All are asked for their
 * first page at once, which is the only one of most, and some at a time for the others. `askedFirst`: so many are asked at first,
 * and twice as many each time after it, for requests that get narrower with what is known.
 */
export async function readPages<Q, P extends { readonly next: number }>(
  asking: Asking,
  operation: OperationDef<Q, P>,
  requestAt: (cursor: number) => Q,
  take: (page: P, partitions: readonly number[]) => boolean,
  askedFirst: number = MAX_FAN_OUT,
): Promise<void> {
  const longer: { readonly partition: number; readonly next: number }[] = [];
  let isEnough = false;
  for (const partitions of waves(asking, askedFirst)) {
    if (isEnough) return;
    await readEach(asking, operation, partitions, requestAt(0), (page, of) => {
      if (page.next >= 0) for (const partition of of) longer.push({ partition, next: page.next });
      isEnough ||= take(page, of);
      return isEnough;
    });
  }
  const { name, invoker, options } = asking;
  await inParallel(longer, SWEEP_CONCURRENCY, async ({ partition, next }) => {
    for (let cursor = next; cursor >= 0 && !isEnough; ) {
      cursor = await invoker.invoke(operation, partition, name, requestAt(cursor), options, (page) => {
        isEnough ||= take(page, [partition]);
        return page.next;
      });
    }
  });
}

async function readEach<Q, P>(
  { name, invoker, options }: Asking,
  operation: OperationDef<Q, P>,
  partitions: readonly number[],
  request: Q,
  take: (reply: P, partitions: readonly number[]) => boolean,
): Promise<void> {
  if (invoker.fansOut) {
    await invoker.invokeEach(operation, partitions, name, request, options, take);
    return;
  }
  let isEnough = false;
  await inParallel(partitions, SWEEP_CONCURRENCY, async (partition) => {
    if (isEnough) return;
    await invoker.invoke(operation, partition, name, request, options, (reply) => {
      isEnough ||= take(reply, [partition]);
    });
  });
}

function* waves({ invoker }: Asking, askedFirst: number): Generator<readonly number[]> {
  const { partitionCount } = invoker;
  for (let from = 0, size = askedFirst; from < partitionCount; size = Math.min(2 * size, MAX_FAN_OUT)) {
    const first = from;
    from = Math.min(first + size, partitionCount);
    yield Array.from({ length: from - first }, (_, i) => first + i);
  }
}

/**
 * Runs the task for every item, `limit` at a time; after the first failure no further one is started, and the failure is
 * thrown when those under way have ended: what a caller was told has failed does nothing afterwards.
 */
export async function inParallel<T>(
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
  const ended = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, work));
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
}
