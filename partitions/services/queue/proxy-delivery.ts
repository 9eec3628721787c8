/**
 * An item that its consumer has to acknowledge, as users see it, and what they may ask for. The grid decides whether it is
 * still theirs; this only asks. Made by the proxy of the queue.
 */

import { checkKnown } from '../../../src/base/option-names.js';
import type { OperationDef, ReplyOf } from '../../../src/wire/message.js';
import { checkWait } from '../../invoker.js';
import { QUEUE_OPERATIONS } from './ops.js';

/** A day. */
const MAX_ACK_TIMEOUT_MS = 86_400_000;

export type Handed = ReplyOf<typeof QUEUE_OPERATIONS.handOut>['deliveries'][number];

export interface DeliveryOptions {
  /** The item comes back to the queue unless it is acknowledged in so long: 1 to 86,400,000 ms. */
  readonly ackTimeoutMs: number;
}

export interface PollOptions extends DeliveryOptions {
  /** How long to wait for an item; default 0. */
  readonly timeoutMs?: number;
}

export interface NackOptions {
  /** The item comes back after so long, 0 to 86,400,000 ms; default 0: at once. */
  readonly delayMs?: number;
}

/** How a delivery asks the primary of its queue. */
export type Ask = <Q>(
  operation: OperationDef<Q, { readonly isCurrent: boolean }>,
  request: Q,
) => Promise<boolean>;

/**
 * An item that is handed out. It is the caller's until it is acknowledged or given back, its time is over, or the grid
 * takes the caller's process for dead; then the item is at its old place in the queue again. Each method tells
 * whether it was still the caller's: `false` means that it came back before, and somebody else gets it or has got it. They
 * reject with a `GridError` as other calls do.
 */
export class Delivery<E> {
  readonly item: E;
  /** 1 the first time. */
  readonly deliveryCount: number;
  readonly #ask: Ask;
  readonly #which: Pick<Handed, 'name' | 'fence'>;
  #isSettled = false;

  /** Made by the queue. */
  constructor(item: E, { name, fence, deliveries }: Handed, ask: Ask) {
    this.item = item;
    this.deliveryCount = deliveries;
    this.#which = { name, fence };
    this.#ask = ask;
  }

  /** It was acknowledged or given back, or found to be somebody else's. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** The item is done: removes it for good. False: it was not the caller's any more, and is done again by somebody else. */
  ack(): Promise<boolean> {
    return this.#settle(QUEUE_OPERATIONS.acknowledge, this.#which);
  }

  /** Puts the item back to its old place, for whoever asks next; or to the dead-letter queue when that was its last try. */
  async nack(options: NackOptions = {}): Promise<boolean> {
    const { delayMs = 0 } = checked(options, ['delayMs']);
    checkMs('delayMs', delayMs, 0);
    return this.#settle(QUEUE_OPERATIONS.giveBack, { ...this.#which, delayMs });
  }

  /** The caller needs so much time from now on, whatever was left: 1 to 86,400,000 ms. */
  async extend(ackTimeoutMs: number): Promise<boolean> {
    checkMs('extend', ackTimeoutMs, 1);
    const isCurrent = await this.#ask(QUEUE_OPERATIONS.extend, { ...this.#which, ackTimeoutMs });
    if (!isCurrent) this.#isSettled = true;
    return isCurrent;
  }

  async #settle<Q>(
    operation: OperationDef<Q, { readonly isCurrent: boolean }>,
    request: Q,
  ): Promise<boolean> {
    const isCurrent = await this.#ask(operation, request);
    this.#isSettled = true;
    return isCurrent;
  }
}

export function checkedDelivery(options: DeliveryOptions): DeliveryOptions {
  const given = checked(options, ['ackTimeoutMs']);
  checkMs('ackTimeoutMs', given.ackTimeoutMs, 1);
  return given;
}

export function checkedPoll(options: PollOptions): Required<PollOptions> {
  const { ackTimeoutMs, timeoutMs = 0 } = checked(options, ['ackTimeoutMs', 'timeoutMs']);
  checkMs('ackTimeoutMs', ackTimeoutMs, 1);
  checkWait('timeoutMs', timeoutMs);
  return { ackTimeoutMs, timeoutMs };
}

function checked<O extends object>(options: O, known: readonly string[]): O {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new TypeError(`options: expected an object with ${known.join(', ')}, got ${String(options)}`);
  checkKnown(options, known);
  return options;
}

function checkMs(name: string, ms: unknown, least: number): void {
  if (Number.isInteger(ms) && (ms as number) >= least && (ms as number) <= MAX_ACK_TIMEOUT_MS) return;
  const range = `${least} to ${MAX_ACK_TIMEOUT_MS}`;
  throw new TypeError(`${name}: expected whole milliseconds, ${range}, got ${String(ms)}`);
}
