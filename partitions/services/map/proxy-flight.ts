/**
 * One key that this process wants loaded: asks the primary for a lease, runs the loader under it and hands in what it
 * brings, or waits for whoever else loads. All calls of the process for the key wait together. Invariants: a call is
 * given only what a request found that was sent after the call came; a loader never runs longer than its lease, as far
 * as the process can tell; every waiting call ends at its deadline or when its signal fires. Started by `proxy-load.ts`.
 */
import type { Aborts } from '../../../src/base/aborts.js';
import {
  type GridError,
  IndeterminateError,
  LoadFailedError,
  OverloadError,
  TimeoutError,
} from '../../../src/base/errors.js';
import type { Timer } from '../../../src/base/ports.js';
import { reasonOf } from '../../../src/base/reason.js';
import type { OperationDef, ReplyOf } from '../../../src/wire/message.js';
import type { RequestOptions } from '../../invoker.js';
import { type KeyedRequests, pause } from '../proxy-requests.js';
import { type Fence, isSameFence } from './load-leases.js';
import { MAP_OPERATIONS as ops } from './ops.js';

/** Between two questions whether another loader is done; the pause grows from the first to the last. */
const FIRST_PAUSE_MS = 20;
const LAST_PAUSE_MS = 500;
const PAUSE_GROWTH = 1.5;
/** A loader runs so often for one call when its key is written or removed each time. */
const MAX_ROUNDS = 3;
/** Calls that wait for one load; one more is refused. */
export const MAX_WAITING = 65_536;
/** A request that runs out of time says why; a call waits for that a little longer. */
const GRACE_MS = 50;

/** What a loader is told. */
export interface LoadContext {
  /** Larger than that of every earlier load of the key on this side of a split: for systems that refuse late writers. */
  readonly fence: bigint;
  /** Fires when `loadTimeoutMs` is over, or the client or member has ended: the value would not be stored any more. */
  readonly signal: AbortSignal;
}

export type Loader<K, V> = (
  key: K,
  load: LoadContext,
) => V | null | undefined | Promise<V | null | undefined>;

export interface LoadTimes {
  readonly ttlMs: number;
  readonly staleMs: number;
  readonly loadTimeoutMs: number;
}

interface Waiting<V> {
  /** Requests of the flight that had been sent when it came. */
  readonly since: number;
  readonly resolve: (value: V | null) => void;
  readonly reject: (error: unknown) => void;
  readonly end: () => void;
}

interface Attempt {
  readonly token: number;
  /** When the lease was asked for: it began no earlier. */
  readonly beganMs: number;
}

/** What a loader brought, in case the answer to handing it in got lost. */
interface Loaded {
  readonly fence: Fence;
  readonly bytes: Uint8Array | null;
}

type Begun = Pick<ReplyOf<typeof ops.beginLoad>, 'outcome' | 'fence' | 'leftMs'>;

export class Flight<K, V> {
  readonly #requests: KeyedRequests<K, V>;
  readonly #key: K;
  readonly #keyBytes: Uint8Array;
  readonly #loader: Loader<K, V>;
  readonly #times: LoadTimes;
  readonly #aborts: Aborts;
  readonly #waiting = new Set<Waiting<V>>();
  #sent = 0;
  /** Of all calls that ever waited: a request may outlast a call that left, but no call has to be looked at for it. */
  #lastDeadlineMs = 0;
  #attempt: Attempt | null = null;
  #loaded: Loaded | null = null;
  /** Leases that came to nothing. */
  #rounds = 0;
  /** Why it is not known what became of the last request for a lease. */
  #unknown: IndeterminateError | null = null;

  constructor(
    requests: KeyedRequests<K, V>,
    key: K,
    keyBytes: Uint8Array,
    loader: Loader<K, V>,
    times: LoadTimes,
    aborts: Aborts,
  ) {
    const { session } = requests.options;
    this.#requests = requests.with({ isStrict: true, ...(session === undefined ? {} : { session }) });
    this.#key = key;
    this.#keyBytes = keyBytes;
    this.#loader = loader;
    this.#times = times;
    this.#aborts = aborts;
  }

  get #clock() {
    return this.#requests.invoker.clock;
  }

  /** Waits with the others; `options` are those of the call, with its deadline. */
  join({ deadlineMs = 0, signal }: RequestOptions): Promise<V | null> {
    if (this.#waiting.size >= MAX_WAITING) return Promise.reject(this.#tooMany());
    this.#lastDeadlineMs = Math.max(this.#lastDeadlineMs, deadlineMs);
    return new Promise((resolve, reject) => {
      const leave = (error: unknown) => {
        if (!this.#waiting.delete(waiting)) return;
        waiting.end();
        reject(error);
      };
      const timer = this.#clock.setTimer(deadlineMs + GRACE_MS - this.#clock.now(), () =>
        leave(
          new TimeoutError(
            `getOrLoad on '${this.#requests.name}': the value was not there in time; its load goes on`,
          ),
        ),
      );
      const unlisten =
        signal === undefined ? undefined : this.#aborts.listen(signal, () => leave(signal.reason));
      let unclose = () => {};
      const end = () => {
        timer.cancel();
        unlisten?.();
        unclose();
      };
      const waiting: Waiting<V> = { since: this.#sent, resolve, reject, end };
      this.#waiting.add(waiting);
      unclose = this.#requests.invoker.whenClosed(leave);
    });
  }

  /** Goes on until no call waits; `detach` is called when further calls must not join, at the latest at the end. */
  async run(detach: () => void): Promise<void> {
    try {
      while (this.#waiting.size > 0) await this.#step(detach);
    } catch (error) {
      for (const { end, reject } of this.#waiting) {
        end();
        reject(error);
      }
      this.#waiting.clear();
    } finally {
      detach();
      if (this.#unknown !== null) this.#giveBack(this.#unknown);
    }
  }

  async #step(detach: () => void): Promise<void> {
    if (this.#rounds === MAX_ROUNDS) throw this.#overtaken();
    const answer = await this.#begin();
    if (answer === null) await this.#pause(FIRST_PAUSE_MS);
    else if (answer.outcome === 'wait') await this.#awaitOther(answer.leftMs);
    else if (answer.outcome === 'load') {
      if (this.#waiting.size === 0) {
        this.#abandon(answer.fence);
        return;
      }
      // Who takes what is stale need not wait for this load.
      if (this.#times.staleMs > 0) detach();
      await this.#load(answer.fence);
    }
  }

  /** Nobody waits any more, and the lease that was asked for may be ours: others need not wait for its end. */
  #giveBack(unknown: IndeterminateError): void {
    void unknown.resolve().then((found) => {
      const begun = found.outcome === 'done' ? (found.reply as Begun) : null;
      if (begun?.outcome === 'load') this.#abandon(begun.fence);
    });
  }

  /** Asks for the lease; what there is instead is given to who waits. Null when nobody knows what became of it. */
  async #begin(): Promise<Begun | null> {
    const { invoker } = this.#requests;
    this.#attempt ??= { token: invoker.nextToken(), beganMs: this.#clock.now() };
    const { token } = this.#attempt;
    const { loadTimeoutMs: leaseMs, staleMs } = this.#times;
    const request = { key: this.#keyBytes, client: invoker.client, token, leaseMs, staleMs };
    try {
      const begun = await this.#send(ops.beginLoad, request, ({ value, ...rest }, number): Begun => {
        if (value !== null) this.#give(value, number);
        return rest;
      });
      this.#unknown = null;
      return begun;
    } catch (error) {
      if (!(error instanceof IndeterminateError)) throw error;
      // All that may have happened is that the lease is ours, and the same token gets it again.
      this.#unknown = error;
      return null;
    }
  }

  /** Until there is a value, or nobody loads any more. */
  async #awaitOther(leftMs: number): Promise<void> {
    this.#attempt = null;
    let left = leftMs;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * PAUSE_GROWTH, LAST_PAUSE_MS)) {
      await this.#pause(Math.min(pauseMs, left + 1));
      if (this.#waiting.size === 0) return;
      const answer = await this.#send(ops.awaitLoad, { key: this.#keyBytes }, (reply, number) => {
        if (reply.value !== null) this.#give(reply.value, number);
        return { outcome: reply.outcome, leftMs: reply.leftMs };
      });
      if (answer.outcome !== 'wait') return;
      left = answer.leftMs;
    }
  }

  async #load(fence: Fence): Promise<void> {
    const endMs = (this.#attempt as Attempt).beganMs + this.#times.loadTimeoutMs;
    // What was brought under a lease that was lost with its side of a split is not stored under another one.
    if (this.#loaded !== null && !isSameFence(this.#loaded.fence, fence)) this.#loaded = null;
    if (this.#loaded === null) {
      if (this.#clock.now() >= endMs) {
        // The answer came too late to be used; the next request asks for another lease, and must not wait for this one.
        this.#abandon(fence);
        this.#attempt = null;
        this.#rounds++;
        return;
      }
      try {
        this.#loaded = { fence, bytes: await this.#runLoader(fence, endMs) };
      } catch (error) {
        this.#abandon(fence);
        throw error;
      }
    }
    await this.#finish(this.#loaded);
  }

  /** What the loader gives, encoded; rejects with a `LoadFailedError`. */
  #runLoader(fence: Fence, endMs: number): Promise<Uint8Array | null> {
    const { name } = this.#requests;
    const controller = new AbortController();
    const load = { fence: (BigInt(fence.epoch) << 53n) | BigInt(fence.seq), signal: controller.signal };
    return new Promise((resolve, reject) => {
      let unclose = () => {};
      const over = () => {
        timer.cancel();
        unclose();
      };
      const giveUp = (error: GridError) => {
        over();
        controller.abort(error);
        reject(error);
      };
      const late = () => {
        const why = `the loader took longer than loadTimeoutMs, ${this.#times.loadTimeoutMs} ms`;
        giveUp(new LoadFailedError(`getOrLoad on '${name}': ${why}`));
      };
      const timer: Timer = this.#clock.setTimer(endMs - this.#clock.now(), late);
      unclose = this.#requests.invoker.whenClosed(giveUp);
      const failed = (cause: unknown) => {
        over();
        const text = reasonOf(cause);
        reject(new LoadFailedError(`getOrLoad on '${name}': the loader failed: ${text}`, { cause }));
      };
      const run = async () => this.#loader(this.#key, load);
      const done = (value: V | null | undefined) => {
        const bytes = value === null || value === undefined ? null : this.#requests.encode(value);
        over();
        resolve(bytes);
      };
      run().then(done).catch(failed);
    });
  }

  async #finish({ fence, bytes }: Loaded): Promise<void> {
    const { ttlMs, staleMs } = this.#times;
    const request = { key: this.#keyBytes, fence, value: bytes, ttlMs, staleMs };
    try {
      await this.#send(
        ops.finishLoad,
        request,
        ({ isCurrent }, number) => {
          if (isCurrent) this.#give(bytes, number);
          else this.#rounds++;
        },
        'unbounded',
      );
    } catch (error) {
      // Whether it is stored is asked by the next request for the lease, with the same token.
      if (error instanceof IndeterminateError) return;
      this.#abandon(fence);
      throw error;
    }
    this.#attempt = null;
    this.#loaded = null;
  }

  /** So that the next one need not wait for the end of the lease; when it fails, that is what ends it. */
  #abandon(fence: Fence): void {
    const request = { key: this.#keyBytes, fence };
    this.#send(ops.abandonLoad, request, () => {}, 'unbounded').catch(() => {});
  }

  #overtaken(): LoadFailedError {
    const why = `its key was written and removed, or the lease ended, during each of ${MAX_ROUNDS} loads`;
    return new LoadFailedError(`getOrLoad on '${this.#requests.name}': ${why}`);
  }

  #tooMany(): OverloadError {
    const why = `${MAX_WAITING} calls of this process wait for its key, which is the limit`;
    return new OverloadError(`getOrLoad on '${this.#requests.name}': ${why}`);
  }

  /** Ends by the last deadline of the calls that joined, unless it has to be done whoever waits. */
  #send<Q, P, R>(
    operation: OperationDef<Q, P>,
    request: Q,
    decode: (reply: P, number: number) => R,
    bound: 'unbounded' | undefined = undefined,
  ): Promise<R> {
    const number = ++this.#sent;
    const { options } = this.#requests;
    const deadlineMs = this.#lastDeadlineMs;
    const requests = bound === 'unbounded' ? this.#requests : this.#requests.with({ ...options, deadlineMs });
    return requests.send(operation, this.#keyBytes, request, (reply) => decode(reply, number));
  }

  /** Each call gets a value of its own, so that nobody changes it behind the back of another. */
  #give(bytes: Uint8Array | null, number: number): void {
    for (const waiting of [...this.#waiting]) {
      if (waiting.since >= number) continue;
      this.#waiting.delete(waiting);
      waiting.end();
      try {
        waiting.resolve(bytes === null ? null : this.#requests.decode(bytes));
      } catch (error) {
        waiting.reject(error);
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return pause(this.#requests.invoker, ms);
  }
}
