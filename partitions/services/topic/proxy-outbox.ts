/**
 * Sends the messages of one topic object in the order in which they were published: one request at a time, and what comes
 * meanwhile goes with the next one. So a request that has to be repeated is never overtaken by a later one. Invariants: each
 * publish settles once, with the outcome of the one request that carried it; what waits is bounded. Owned by the proxy.
 */
import { OverloadError, TimeoutError } from '../../../src/base/errors.js';
import type { Clock } from '../../../src/base/ports.js';
import type { RequestOptions } from '../../invoker.js';
import { MAX_MESSAGES, MAX_TOGETHER_BYTES } from './ops.js';

/** While so much waits, one more is refused. */
export const MAX_WAITING = 65_536;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** A publish goes with an earlier one that ends by this part of the time that is left sooner. */
const SOONER = 1 / 20;

/** One publish. */
interface Waiting {
  readonly messages: readonly Uint8Array[];
  readonly sizeBytes: number;
  readonly options: RequestOptions;
  resolve(): void;
  reject(error: unknown): void;
}

export class Outbox {
  readonly #clock: Clock;
  readonly #send: (messages: readonly Uint8Array[], options: RequestOptions) => Promise<void>;
  #waiting: Waiting[] = [];
  /** Index of the first that still waits; the array is cut when much lies before it. */
  #first = 0;
  #messages = 0;
  #bytes = 0;
  #isSending = false;

  constructor(
    clock: Clock,
    send: (messages: readonly Uint8Array[], options: RequestOptions) => Promise<void>,
  ) {
    this.#clock = clock;
    this.#send = send;
  }

  /** `options` have a deadline; messages that fit into one request. Rejects as the request that carries them does. */
  publish(messages: readonly Uint8Array[], options: RequestOptions): Promise<void> {
    if (this.#messages >= MAX_WAITING || this.#bytes >= MAX_WAITING_BYTES) {
      const what = `${this.#messages} messages with ${this.#bytes} bytes`;
      return Promise.reject(new OverloadError(`${what} wait to be published through this object`));
    }
    const sizeBytes = messages.reduce((sum, { length }) => sum + length, 0);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ messages, sizeBytes, options, resolve, reject });
      this.#messages += messages.length;
      this.#bytes += sizeBytes;
      if (this.#isSending) return;
      this.#isSending = true;
      // What is published in the same turn goes along.
      void Promise.resolve().then(() => this.#next());
    });
  }

  #next(): void {
    const batch = this.#takeBatch();
    const [first] = batch;
    if (first === undefined) {
      this.#isSending = false;
      return;
    }
    const done = (settle: (one: Waiting) => void) => {
      for (const one of batch) settle(one);
      this.#next();
    };
    this.#sent(batch, first.options).then(
      () => done((one) => one.resolve()),
      (error: unknown) => done((one) => one.reject(error)),
    );
  }

  /** What goes into the next request: it ends for all of them when it ends for the first. */
  #takeBatch(): Waiting[] {
    const batch: Waiting[] = [];
    let messages = 0;
    let bytes = 0;
    let latestMs = Number.POSITIVE_INFINITY;
    for (let one = this.#waiting[this.#first]; one !== undefined; one = this.#waiting[this.#first]) {
      const endMs = one.options.deadlineMs as number;
      messages += one.messages.length;
      bytes += one.sizeBytes;
      const fits = messages <= MAX_MESSAGES && bytes <= MAX_TOGETHER_BYTES && endMs <= latestMs;
      if (batch.length > 0 && !fits) break;
      if (batch.length === 0) latestMs = endMs + Math.max(0, endMs - this.#clock.now()) * SOONER;
      batch.push(one);
      this.#first++;
      this.#messages -= one.messages.length;
      this.#bytes -= one.sizeBytes;
    }
    if (this.#first * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    return batch;
  }

  #sent(batch: readonly Waiting[], options: RequestOptions): Promise<void> {
    // Sent now, nobody could tell in time what became of it.
    if ((options.deadlineMs as number) <= this.#clock.now())
      return Promise.reject(
        new TimeoutError('earlier messages of this object were on their way all the time'),
      );
    return this.#send(
      batch.flatMap(({ messages }) => messages),
      options,
    );
  }
}
