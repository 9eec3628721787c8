/**
 * The public API of a queue, the same for clients and embedded members. Invariant: a wrong argument rejects the
 * promise before anything is sent; nothing is thrown. Method names, argument order and results are those of
 * Hazelcast's Node.js client.
 */
import { OperationFailedError } from '../../../src/base/errors.js';
import { isIterable } from '../../../src/base/iterable.js';
import type { OperationDef, ReplyOf } from '../../../src/wire/message.js';
import {
  type CallOptions,
  checkedOptions,
  checkWait,
  type Invoker,
  type RequestOptions,
} from '../../invoker.js';
import { mapItems } from '../bulk.js';
import { NamedRequests } from '../proxy-named.js';
import { attempt, inParts, nothing } from '../proxy-requests.js';
import { unreadableReply } from '../proxy-unreadable.js';
import type { StructureModule } from '../structure.js';
import { MAX_ITEMS, QUEUE_OPERATIONS } from './ops.js';
import { queueOptions } from './options.js';
import {
  type Ask,
  checkedDelivery,
  checkedPoll,
  Delivery,
  type DeliveryOptions,
  type Handed,
  type PollOptions,
} from './proxy-delivery.js';
import { addItemListener, type ItemListener, removeItemListener } from './proxy-items.js';
import { queueService } from './service.js';

/** Where a listing goes on. */
type Place = NonNullable<ReplyOf<typeof QUEUE_OPERATIONS.list>['next']>;

interface Page<E> {
  readonly items: readonly E[];
  readonly next: Place | null;
}

/**
 * A distributed queue, first in first out, in one partition. Items are compared by their encoded bytes and cannot be
 * null or undefined. All methods reject with a `TypeError` for what cannot be an item, with a `ValueTooLargeError` for
 * one above 16 MiB, and with a `GridError` for what happened on the way.
 */
export class GridQueue<E> {
  readonly name: string;
  readonly #requests: NamedRequests;
  readonly #forget: () => void;

  constructor(name: string, invoker: Invoker, options: RequestOptions, forget: () => void) {
    this.name = name;
    this.#requests = new NamedRequests(name, invoker, options);
    this.#forget = forget;
  }

  /** The same queue with options for each call made through it; throws a TypeError for those that mean nothing. */
  with(options: CallOptions): GridQueue<E> {
    const { invoker, options: own } = this.#requests;
    return new GridQueue(this.name, invoker, { ...own, ...checkedOptions(options) }, this.#forget);
  }

  /** The queue for a call that sends several requests: they share its deadline. */
  #whole(): GridQueue<E> {
    const { invoker, options } = this.#requests;
    return new GridQueue(this.name, invoker, invoker.bounded(options), this.#forget);
  }

  /** Puts an item at the tail; rejects with an `OperationFailedError` when the queue is full, else gives true. */
  async add(item: E): Promise<boolean> {
    if (await this.#offer(item, 0, 'add')) return true;
    throw new OperationFailedError(
      `item: the queue '${this.name}' is full; raise its maxSize, or use offer or put, which wait for room`,
    );
  }

  /**
   * Puts items at the tail in their order, in one step: all, or none when they do not fit, which gives false. At most
   * 4,096 items and 17 MiB at a time.
   */
  addAll(items: Iterable<E>): Promise<boolean> {
    return this.#send(
      QUEUE_OPERATIONS.addAll,
      () => ({ items: atMost('items', this.#encodeAll('items', items)) }),
      ({ accepted }) => accepted,
    );
  }

  /** Puts an item at the tail; when the queue is full, waits so long for room, and gives false when there is none. */
  offer(item: E, waitMs = 0): Promise<boolean> {
    return this.#offer(item, waitMs);
  }

  async #offer(item: E, waitMs: number, calledAs?: string): Promise<boolean> {
    const bytes = this.#encode(item);
    const accepted = await this.#waiting(waitMs, (partMs) =>
      this.#send(
        QUEUE_OPERATIONS.offer,
        () => ({ item: bytes, waitMs: partMs }),
        (reply) => (reply.accepted ? true : null),
        calledAs,
        partMs,
      ),
    );
    return accepted ?? false;
  }

  /** Puts an item at the tail; waits for room for as long as it takes. End the waiting by `with({ signal })`. */
  async put(item: E): Promise<void> {
    await this.#offer(item, Number.POSITIVE_INFINITY, 'put');
  }

  /**
   * Takes the item at the head; when there is none, waits so long for one, and gives null when none comes. With
   * `ackTimeoutMs` the item comes back unless the delivery is acknowledged in that time.
   */
  poll(waitMs?: number): Promise<E | null>;
  poll(options: PollOptions): Promise<Delivery<E> | null>;
  async poll(how: number | PollOptions = 0): Promise<E | Delivery<E> | null> {
    if (typeof how === 'object') {
      const { ackTimeoutMs, timeoutMs } = checkedPoll(how);
      return this.#delivery(ackTimeoutMs, timeoutMs, 'poll');
    }
    return this.#poll(how);
  }

  #poll(waitMs: number, calledAs?: string): Promise<E | null> {
    return this.#waiting(waitMs, (partMs) =>
      this.#send(QUEUE_OPERATIONS.poll, () => ({ waitMs: partMs }), this.#decodeItem, calledAs, partMs),
    );
  }

  /**
   * Takes the item at the head; waits for one for as long as it takes. End the waiting by `with({ signal })`. With
   * `ackTimeoutMs` the item comes back unless the delivery is acknowledged in that time.
   */
  take(): Promise<E>;
  take(options: DeliveryOptions): Promise<Delivery<E>>;
  async take(options?: DeliveryOptions): Promise<E | Delivery<E>> {
    if (options === undefined) return (await this.#poll(Number.POSITIVE_INFINITY, 'take')) as E;
    const { ackTimeoutMs } = checkedDelivery(options);
    return (await this.#delivery(ackTimeoutMs, Number.POSITIVE_INFINITY, 'take')) as Delivery<E>;
  }

  /** Takes items for as long as the loop goes on; waits for them. */
  async *[Symbol.asyncIterator](): AsyncGenerator<E, never, undefined> {
    for (;;) yield await this.take();
  }

  /**
   * Items that have to be acknowledged, for as long as the loop goes on; waits for them. What the loop has got and not
   * acknowledged when it ends is given back at once.
   */
  async *consume(options: DeliveryOptions): AsyncGenerator<Delivery<E>, never, undefined> {
    const { ackTimeoutMs } = checkedDelivery(options);
    let open: Delivery<E>[] = [];
    try {
      for (;;) {
        const delivery = await this.take({ ackTimeoutMs });
        // Those whose time is over are not given back for nothing: the grid has them.
        open = open.filter(({ isSettled }) => !isSettled).slice(-MAX_ITEMS);
        open.push(delivery);
        yield delivery;
      }
    } finally {
      // One by one: a call each, and the grid takes back by itself what fails here.
      for (const delivery of open) if (!delivery.isSettled) await delivery.nack().catch(nothing);
    }
  }

  async #delivery(ackTimeoutMs: number, waitMs: number, calledAs: string): Promise<Delivery<E> | null> {
    const deliveries = await this.#waiting(waitMs, async (partMs) => {
      const found = await this.#handOut(1, ackTimeoutMs, partMs, calledAs);
      return found.length > 0 ? found : null;
    });
    return deliveries?.[0] ?? null;
  }

  #handOut(max: number, ackTimeoutMs: number, waitMs: number, calledAs: string): Promise<Delivery<E>[]> {
    const { client } = this.#requests.invoker;
    return this.#send(
      QUEUE_OPERATIONS.handOut,
      () => ({ client, max, ackTimeoutMs, waitMs }),
      ({ deliveries }) => this.#deliveries(deliveries),
      calledAs,
      waitMs,
    );
  }

  /** What cannot be decoded here comes back after its time, for somebody who can, or for the dead-letter queue. */
  #deliveries(handed: readonly Handed[]): Delivery<E>[] {
    const found: Delivery<E>[] = [];
    let problem: unknown = null;
    for (const each of handed) {
      try {
        found.push(new Delivery(this.#decode(each.item), each, this.#ask));
      } catch (error) {
        problem ??= error;
      }
    }
    if (found.length === 0 && problem !== null) throw problem;
    return found;
  }

  readonly #ask: Ask = (operation, request) =>
    this.#send(
      operation,
      () => request,
      ({ isCurrent }) => isCurrent,
    );

  /** Null when the time is over. */
  #waiting<R>(waitMs: number, call: (partMs: number) => Promise<R | null>): Promise<R | null> {
    return attempt(() => {
      checkWait('waitMs', waitMs);
      return inParts(this.#requests.invoker.clock, waitMs, call, (reply) => reply !== null);
    });
  }

  /** The item at the head, which stays; null when there is none. */
  peek(): Promise<E | null> {
    return this.#send(QUEUE_OPERATIONS.peek, () => ({}), this.#decodeItem);
  }

  /**
   * Takes items from the head and puts them at the end of the array, `maxElements` at most (left out: all that are
   * there); gives how many. More than 4,096, or 1 MiB, are taken in several steps: items that earlier steps took are in
   * the array also when a later one fails. With `ackTimeoutMs` what is put into the array are deliveries, at most 4,096 or
   * 1 MiB of them, taken in one step.
   */
  drainTo(array: E[], maxElements?: number): Promise<number>;
  drainTo(array: Delivery<E>[], maxElements: number, options: DeliveryOptions): Promise<number>;
  async drainTo(
    array: E[] | Delivery<E>[],
    maxElements?: number,
    options?: DeliveryOptions,
  ): Promise<number> {
    if (!Array.isArray(array)) throw new TypeError(`array: expected an array, got ${typeof array}`);
    const max = maxElements ?? -1;
    if (!Number.isInteger(max))
      throw new TypeError(`maxElements: expected a whole number, got ${String(maxElements)}`);
    if (options !== undefined) {
      const { ackTimeoutMs } = checkedDelivery(options);
      const found = await this.#handOut(
        max < 0 ? MAX_ITEMS : Math.min(max, MAX_ITEMS),
        ackTimeoutMs,
        0,
        'drainTo',
      );
      for (const delivery of found) (array as Delivery<E>[]).push(delivery);
      return found.length;
    }
    const queue = this.#whole();
    let drained = 0;
    let left = max < 0 ? Number.POSITIVE_INFINITY : max;
    while (left > 0) {
      const request = { max: Math.min(left, MAX_ITEMS) };
      const reply = await queue.#send(
        QUEUE_OPERATIONS.drain,
        () => request,
        ({ items, left: rest }) => ({ ...this.#readable(items), rest }),
      );
      // One by one: what spreads an array into arguments ends at some thousands.
      for (const item of reply.items) (array as E[]).push(item);
      if (reply.unreadable !== null) throw reply.unreadable;
      drained += reply.items.length;
      // What is added while it drains stays, or a busy queue would never be done.
      left = Math.min(left - reply.items.length, reply.rest);
    }
    return drained;
  }

  /** The number of items that can be taken; those that are handed out are not among them. */
  size(): Promise<number> {
    return this.#send(
      QUEUE_OPERATIONS.size,
      () => ({}),
      ({ items }) => items,
    );
  }

  /** The number of items that are handed out and not acknowledged, or on their way back or to the dead-letter queue. */
  inFlight(): Promise<number> {
    return this.#send(
      QUEUE_OPERATIONS.size,
      () => ({}),
      ({ inFlight }) => inFlight,
      'inFlight',
    );
  }

  isEmpty(): Promise<boolean> {
    return this.#send(
      QUEUE_OPERATIONS.size,
      () => ({}),
      ({ items }) => items === 0,
      'isEmpty',
    );
  }

  /** How many items fit: `maxSize` less those that are there or in flight; 2^53 - 1 for a queue without `maxSize`. */
  remainingCapacity(): Promise<number> {
    return this.#send(
      QUEUE_OPERATIONS.size,
      () => ({}),
      ({ items, maxSize, inFlight }) =>
        maxSize === 0 ? Number.MAX_SAFE_INTEGER : Math.max(0, maxSize - items - inFlight),
      'remainingCapacity',
    );
  }

  /** Removes the first item that equals this one; gives whether there was one. */
  remove(item: E): Promise<boolean> {
    return this.#send(
      QUEUE_OPERATIONS.remove,
      () => ({ item: this.#encode(item) }),
      ({ removed }) => removed,
    );
  }

  /** Removes every item that equals one of these (at most 4,096); gives whether there was one. */
  removeAll(items: Iterable<E>): Promise<boolean> {
    return this.#send(
      QUEUE_OPERATIONS.removeAll,
      () => ({ items: atMost('items', this.#encodeAll('items', items)) }),
      ({ removed }) => removed > 0,
    );
  }

  /** Removes every item that equals none of these (at most 4,096); gives whether there was one. */
  retainAll(items: Iterable<E>): Promise<boolean> {
    return this.#send(
      QUEUE_OPERATIONS.retainAll,
      () => ({ items: atMost('items', this.#encodeAll('items', items)) }),
      ({ removed }) => removed > 0,
    );
  }

  /** Whether an item equals this one. */
  contains(item: E): Promise<boolean> {
    return this.#send(
      QUEUE_OPERATIONS.containsAll,
      () => ({ items: [this.#encode(item)] }),
      ({ found }) => found,
      'contains',
    );
  }

  /** Whether each of these (at most 4,096) equals an item of the queue. */
  containsAll(items: Iterable<E>): Promise<boolean> {
    return this.#send(
      QUEUE_OPERATIONS.containsAll,
      () => ({ items: atMost('items', this.#encodeAll('items', items)) }),
      ({ found }) => found,
    );
  }

  /** The items in their order. More than 4,096, or 1 MiB, are read in several steps, between which the queue goes on. */
  async toArray(): Promise<E[]> {
    const queue = this.#whole();
    const found: E[] = [];
    let after: Place | null = null;
    do {
      const request: { after: Place | null } = { after };
      const reply: Page<E> = await queue.#send(
        QUEUE_OPERATIONS.list,
        () => request,
        ({ items, next }) => ({ items: this.#decodeAll(items), next }),
      );
      for (const item of reply.items) found.push(item);
      after = reply.next;
    } while (after !== null);
    return found;
  }

  /**
   * Calls the functions of the listener for each item that is added or removed from the moment on at which this resolves
   * with its id, with the items only when `includeValue` is true. An item that is handed out is removed when its delivery
   * is acknowledged. Events come in order, each once, and when they can not be lost any more; where some may be missing,
   * `gap` is called. Rejects with a `TypeError` for unknown fields and what is no function.
   */
  addItemListener(listener: ItemListener<E>, includeValue = false): Promise<string> {
    return addItemListener(this.#requests, listener, includeValue);
  }

  /** Resolves with whether there was such a listener of this process. */
  removeItemListener(id: string): Promise<boolean> {
    return removeItemListener(this.#requests.invoker, id);
  }

  /** Removes all items, also those that are in flight. */
  clear(): Promise<void> {
    return this.#send(QUEUE_OPERATIONS.clear, () => ({}), nothing);
  }

  /** Removes all items; the next `getQueue` of this name gives a new object. */
  destroy(): Promise<void> {
    this.#forget();
    return this.clear();
  }

  #encode(item: E): Uint8Array {
    return this.#requests.invoker.codec.encode(item);
  }

  #encodeAll(path: string, items: Iterable<E>): Uint8Array[] {
    if (!isIterable(items)) throw new TypeError(`${path}: expected an array or another iterable of items`);
    return mapItems(path, items, (item) => this.#encode(item));
  }

  readonly #decodeItem = ({ item }: { readonly item: Uint8Array | null }): E | null =>
    item === null ? null : this.#decode(item);

  #decode(item: Uint8Array): E {
    return this.#requests.invoker.codec.decode(item) as E;
  }

  /** Of items that were taken: those that can be decoded here, and the others as an error that has their bytes. */
  #readable(items: readonly Uint8Array[]): { readonly items: E[]; readonly unreadable: Error | null } {
    const read: E[] = [];
    const unread: Uint8Array[] = [];
    let cause: unknown = null;
    for (const item of items) {
      try {
        read.push(this.#decode(item));
      } catch (error) {
        cause ??= error;
        unread.push(item);
      }
    }
    const unreadable =
      cause === null ? null : unreadableReply(`queue.drainTo on '${this.name}'`, { items: unread }, cause);
    return { items: read, unreadable };
  }

  #decodeAll(items: readonly Uint8Array[]): E[] {
    return items.map((item) => this.#decode(item));
  }

  /** `calledAs`: the method that was called, when it has another name than the operation. */
  #send<Q, P, R>(
    operation: OperationDef<Q, P>,
    request: () => Q,
    decode: (reply: P) => R,
    calledAs?: string,
    waitMs = 0,
  ): Promise<R> {
    const { options } = this.#requests;
    const own = calledAs === undefined && waitMs === 0 ? options : { ...options, waitMs, calledAs };
    return this.#requests.send(operation, request, decode, own);
  }
}

function atMost(path: string, items: readonly Uint8Array[]): readonly Uint8Array[] {
  if (items.length <= MAX_ITEMS) return items;
  throw new TypeError(`${path}: ${items.length} items; the limit is ${MAX_ITEMS} at a time`);
}

declare module '../structure.js' {
  interface StructureGetters {
    /** The queue of that name: always the same object. */
    getQueue<E = unknown>(name: string): GridQueue<E>;
  }
}

export const QUEUE = {
  service: queueService,
  options: queueOptions,
  configKey: 'queues',
  getter: 'getQueue',
  createProxy: (name: string, invoker: Invoker, options: CallOptions, forget: () => void) =>
    new GridQueue(name, invoker, options, forget),
} as const satisfies StructureModule;
