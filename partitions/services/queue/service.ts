/**
 * What each operation of a queue does with its items. A call that changes nothing waits for what it saw; one that
 * changes something waits for its own position, which lies behind all that it saw.
 */
import { ValueTooLargeError } from '../../../src/base/errors.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import type { OperationContext, PurgeHorizon, Service, StateEnvironment } from '../../service.js';
import type { HandlersOf } from '../structure.js';
import { errandsOf } from './dead-letters.js';
import { handOutHandlers, tendQueue } from './handing.js';
import type { Item } from './items.js';
import { mergeRecords } from './merge.js';
import { MAX_ITEMS, QUEUE_OPERATIONS } from './ops.js';
import { emptyTtlOf, maxSizeOf } from './options.js';
import { page } from './page.js';
import { traceOf } from './records.js';
import { hashOf, QueueState } from './state.js';

/** Of one request to `addAll`; the largest item fits. */
const MAX_ADDED_BYTES = MAX_VALUE_BYTES + 1024 * 1024;

const handlers: HandlersOf<QueueState, typeof QUEUE_OPERATIONS> = {
  offer(state, { item, waitMs }, context) {
    const isFull = state.entryCount >= maxSizeOf(context.options);
    if (isFull && context.wait(waitMs)) return { accepted: false };
    return { accepted: add(state, [item], context) };
  },

  addAll(state, { items }, context) {
    const sizeBytes = items.reduce((sum, { length }) => sum + length, 0);
    if (sizeBytes > MAX_ADDED_BYTES) {
      const limit = `the limit is ${MAX_ADDED_BYTES} bytes`;
      throw new ValueTooLargeError(`items: they have ${sizeBytes} bytes together; ${limit}`);
    }
    return { accepted: add(state, items, context) };
  },

  poll(state, { waitMs }, context) {
    if (state.items.count === 0 && context.wait(waitMs)) return { item: null };
    const { items } = taken(state, 1, context);
    return { item: items[0] ?? null };
  },

  drain: (state, { max }, context) => taken(state, Math.min(max, MAX_ITEMS), context),

  peek(state, _request, context) {
    context.dependsOn(state.lastSeq);
    return { item: state.items.count === 0 ? null : state.bytesOf(state.items.at(0)) };
  },

  size(state, _request, context) {
    context.dependsOn(state.lastSeq);
    const maxSize = maxSizeOf(context.options);
    const isBounded = Number.isFinite(maxSize);
    const inFlight = state.handed.away.count;
    return { items: state.items.count, maxSize: isBounded ? maxSize : 0, inFlight };
  },

  remove(state, { item }, context) {
    const hash = hashOf(item);
    const [found] = select(state, (each) => state.equals(each, item, hash), 1);
    if (found !== undefined) state.remove([found], true, context);
    return { removed: found !== undefined };
  },

  removeAll: (state, { items }, context) => removeWhere(state, oneOf(state, items), context),

  retainAll(state, { items }, context) {
    const isKept = oneOf(state, items);
    return removeWhere(state, (item) => !isKept(item), context);
  },

  containsAll(state, { items }, context) {
    context.dependsOn(state.lastSeq);
    const wanted = new Wanted(items);
    for (let i = 0; i < state.items.count && wanted.left > 0; i++) wanted.found(state, state.items.at(i));
    return { found: wanted.left === 0 };
  },

  list(state, { after }, context) {
    context.dependsOn(state.lastSeq);
    // The counter of a place is below the next one by one at the least, so the place behind it is the next half.
    const from = after === null ? 0 : indexBehind(state, after);
    const items = page(state, from, MAX_ITEMS);
    const last = items.at(-1);
    const isEnd = last === undefined || from + items.length >= state.items.count;
    const next = isEnd ? null : placeOf(last);
    return { items: items.map((item) => state.bytesOf(item)), next };
  },

  clear(state, _request, context) {
    const removed = state.entryCount;
    state.clear(context);
    return { removed };
  },

  ...handOutHandlers,
};

function add(state: QueueState, items: readonly Uint8Array[], context: OperationContext): boolean {
  const fits = state.entryCount + items.length <= maxSizeOf(context.options);
  if (fits && items.length > 0) state.add(items, context);
  return fits;
}

/** Takes from the head; the bytes are copies, because they outlive the change. */
function taken(state: QueueState, max: number, context: OperationContext) {
  const items = page(state, 0, max);
  const bytes = items.map((item) => Buffer.from(state.bytesOf(item)));
  state.remove(items, true, context);
  return { items: bytes, left: state.items.count };
}

function placeOf({ ms, counter, memberHi, memberLo }: Item) {
  return { ms, counter, memberHi, memberLo };
}

function indexBehind(state: QueueState, place: ReturnType<typeof placeOf>): number {
  const index = state.items.indexOf(place);
  const item = index < state.items.count ? state.items.at(index) : undefined;
  const isThere =
    item !== undefined &&
    item.ms === place.ms &&
    item.counter === place.counter &&
    item.memberHi === place.memberHi &&
    item.memberLo === place.memberLo;
  return isThere ? index + 1 : index;
}

function select(state: QueueState, isWanted: (item: Item) => boolean, max: number): Item[] {
  const found: Item[] = [];
  for (let i = 0; i < state.items.count && found.length < max; i++) {
    const item = state.items.at(i);
    if (isWanted(item)) found.push(item);
  }
  return found;
}

function removeWhere(state: QueueState, isWanted: (item: Item) => boolean, context: OperationContext) {
  const found = select(state, isWanted, Number.POSITIVE_INFINITY);
  state.remove(found, false, context);
  return { removed: found.length };
}

function oneOf(state: QueueState, all: readonly Uint8Array[]): (item: Item) => boolean {
  const wanted = new Wanted(all);
  return (item) => wanted.has(state, item);
}

/** Bytes that are looked for, by hash. */
class Wanted {
  readonly #byHash = new Map<number, { readonly bytes: Uint8Array; isFound: boolean }[]>();
  left = 0;

  constructor(all: readonly Uint8Array[]) {
    for (const bytes of all) {
      const hash = hashOf(bytes);
      const same = this.#byHash.get(hash);
      const one = { bytes, isFound: false };
      if (same === undefined) this.#byHash.set(hash, [one]);
      else if (same.every((each) => Buffer.compare(each.bytes, bytes) !== 0)) same.push(one);
      else continue;
      this.left++;
    }
  }

  #find(state: QueueState, item: Item) {
    return this.#byHash.get(item.hash)?.find(({ bytes }) => state.equals(item, bytes, item.hash));
  }

  has(state: QueueState, item: Item): boolean {
    return this.#find(state, item) !== undefined;
  }

  found(state: QueueState, item: Item): void {
    const one = this.#find(state, item);
    if (one === undefined || one.isFound) return;
    one.isFound = true;
    this.left--;
  }
}

export const queueService: Service = {
  id: 3,
  name: 'queue',
  placedBy: 'name',
  operations: Object.values(QUEUE_OPERATIONS),
  createState: (environment: StateEnvironment) => new QueueState(environment),
  handlers,
  traceOf,
  merge: mergeRecords,
  purge(state: QueueState, _cursor: number, horizon: PurgeHorizon, context: OperationContext): number {
    // An empty queue may go sooner than others.
    const emptyMs = context.wallMs - emptyTtlOf(context.options);
    const isSooner = emptyMs > horizon.ms && state.isUnusedSince(emptyMs);
    state.purge(isSooner ? { ...horizon, ms: emptyMs } : horizon, context);
    return -1;
  },
  tend: tendQueue,
  errands: errandsOf,
};
