/**
 * Queues whose items have to be acknowledged: each worker puts in items of its own, each once, and consumes what it gets,
 * sometimes too late, sometimes never, and some consumers end with what they have. One worker calls one operation after the
 * other.
 */
import type { Delivery } from '../../partitions/services/queue/proxy-delivery.js';
import type { SeededRandom } from '../../src/base/random.js';
import type { Caller, WorkerContext } from './caller.js';
import { MAX_SIZE } from './queue.js';
import type { Recorder } from './recorder.js';
import type { StepsFor } from './workload.js';

/** Structures of the histories: `acks/<queue>`. */
export const ACKS = 'acks';
export const ACK_QUEUES = ['acks0', 'acks1'] as const;
export const DEAD_LETTERS = 'dead-letters';
export const MAX_DELIVERIES = 3;
const MAX_ACK_ITEMS = 12;

/** Options of all queues of a run. */
export function queueOptions<O extends object>(common: O) {
  const limits = { maxDeliveries: MAX_DELIVERIES, deadLetterQueue: DEAD_LETTERS };
  return {
    default: { ...common, maxSize: MAX_SIZE },
    'acks*': { ...common, maxSize: MAX_ACK_ITEMS, ...limits },
    [DEAD_LETTERS]: { ...common, maxSize: 0 },
  };
}

const ACK_MS = 1_500;
/** Of one whose consumer ends: long enough for the grid to notice that before. */
const LONG_ACK_MS = 30_000;
const LONGEST_WAIT_MS = 800;
const SHARE_OF_MORTALS = 0.02;

/** What the checker has to know beside the history. */
export class DeliveryLog {
  /** When the process of a consumer ended, by its number; virtual ms. It may have an item without knowing. */
  readonly deaths = new Map<number, number>();
  /** Those that knew. */
  holders = 0;
}

export interface Passing {
  readonly now: number;
  schedule(atMs: number, run: () => void): unknown;
}

/** A consumer of its own, that ends. */
export type Mortal = () => { readonly caller: Caller; end(): Promise<void> };

export class DeliveryWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  readonly #time: Passing;
  readonly #log: DeliveryLog;
  readonly #mortal: Mortal | null;
  #next = 0;

  /** `mortal`: null where consumers do not end. */
  constructor(
    context: WorkerContext,
    recorder: Recorder,
    random: SeededRandom,
    time: Passing,
    log: DeliveryLog,
    mortal: Mortal | null,
  ) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
    this.#time = time;
    this.#log = log;
    this.#mortal = mortal;
  }

  async step(): Promise<void> {
    const draw = this.#random.float();
    const name = ACK_QUEUES[this.#random.below(ACK_QUEUES.length)] as string;
    const { caller } = this.#context;
    if (draw < 0.4) return this.#offer(name);
    if (draw < 0.45) return this.#poll(name);
    if (draw < 0.45 + SHARE_OF_MORTALS && this.#mortal !== null) return this.#dying(name, this.#mortal());
    const timeoutMs = this.#context.timeoutMs();
    const delivery = await this.#take(caller, name, ACK_MS, timeoutMs);
    if (delivery !== null) await this.#consume(caller, name, delivery);
  }

  async #offer(name: string): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    const { caller } = this.#context;
    const item = `${this.#context.worker}:${this.#next++}`;
    const queue = caller.grid.getQueue<string>(name).with({ timeoutMs });
    const step = { k: `${ACKS}/${name}`, f: 'offer', v: [item] };
    await this.#recorder.call(
      caller,
      step,
      true,
      timeoutMs,
      () => queue.offer(item),
      (out) => out === true,
    );
  }

  async #poll(name: string): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    const { caller } = this.#context;
    const queue = caller.grid.getQueue<string>(name).with({ timeoutMs });
    const step = { k: `${ACKS}/${name}`, f: 'poll', v: 1 };
    const outOf = (out: string | null) => (out === null ? [] : [out]);
    await this.#recorder.call(caller, step, true, timeoutMs, () => queue.poll(), outOf);
  }

  /** Null when nothing came, or it is not known what. */
  async #take(
    caller: Caller,
    name: string,
    ackTimeoutMs: number,
    timeoutMs: number,
  ): Promise<Delivery<string> | null> {
    const waitMs = this.#random.float() < 0.5 ? 0 : this.#random.below(LONGEST_WAIT_MS);
    const queue = caller.grid.getQueue<string>(name).with({ timeoutMs });
    let got: Delivery<string> | null = null;
    const step = { k: `${ACKS}/${name}`, f: 'hand', v: ackTimeoutMs };
    const invoke = async () => {
      got = await queue.poll({ ackTimeoutMs, timeoutMs: waitMs });
      return got;
    };
    // What asking about it brings is a list.
    const outOf = (out: Delivery<string> | null | readonly Delivery<string>[]) => {
      const [one] = Array.isArray(out) ? out : [out as Delivery<string> | null];
      return one ? [one.item, one.deliveryCount] : [];
    };
    await this.#recorder.call(caller, step, true, timeoutMs + waitMs, invoke, outOf);
    return got;
  }

  async #consume(caller: Caller, name: string, delivery: Delivery<string>): Promise<void> {
    const draw = this.#random.float();
    if (draw < 0.12) return;
    if (draw < 0.2) {
      await this.#sleep(this.#random.below(ACK_MS));
      const ms = this.#random.below(2 * ACK_MS) + 1;
      await this.#tell(caller, name, delivery, 'extend', ms, () => delivery.extend(ms));
    }
    // Some of them later than they may.
    await this.#sleep(draw < 0.35 ? this.#random.below(2 * ACK_MS) : this.#random.below(200));
    if (draw > 0.75) {
      const delayMs = this.#random.float() < 0.5 ? 0 : this.#random.below(500);
      await this.#tell(caller, name, delivery, 'nack', delayMs, () => delivery.nack({ delayMs }));
    } else await this.#tell(caller, name, delivery, 'ack', 0, () => delivery.ack());
  }

  async #tell(
    caller: Caller,
    name: string,
    { item, deliveryCount }: Delivery<string>,
    f: 'ack' | 'nack' | 'extend',
    ms: number,
    invoke: () => Promise<boolean>,
  ): Promise<void> {
    // The deadline of a delivery's calls is that of the view that it was taken through.
    const step = { k: `${ACKS}/${name}`, f, v: [item, deliveryCount, ms] };
    await this.#recorder.call(caller, step, true, LONGEST_CALL_MS, invoke, (out) => out === true);
  }

  async #dying(name: string, { caller, end }: ReturnType<Mortal>): Promise<void> {
    await caller.ready;
    const got = await this.#take(caller, name, LONG_ACK_MS, LONGEST_CALL_MS);
    if (got !== null) this.#log.holders++;
    this.#log.deaths.set(caller.number, this.#time.now);
    await end();
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#time.schedule(this.#time.now + ms, resolve);
    });
  }
}

/** As the calls of workers at the most. */
const LONGEST_CALL_MS = 5_000;

/** Steps of workers that call nothing but such queues. */
export function deliverySteps(
  time: Passing,
  recorder: Recorder,
  log: DeliveryLog,
  mortal: Mortal | null,
): StepsFor {
  return (context, random) => {
    const worker = new DeliveryWorker(context, recorder, random.fork('deliveries'), time, log, mortal);
    return () => worker.step();
  };
}
