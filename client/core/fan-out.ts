/**
 * Several calls that are one for whoever asked: of one read in several partitions. Each has its own number, deadline and
 * answer; together they are done when all are, or as soon as one fails or gives enough. Invariants: those that go to one member
 * at a time go as one message, first and again, because a member does one such message for a bounded time and a single call each
 * in the turn in which it comes; no partition is taken twice. Called by `calls.ts`.
 */
import type { Reader } from '../../src/base/bytes.js';
import type { Clock } from '../../src/base/ports.js';
import { type OpenCall, SILENCE_MS, type Together } from './open-call.js';
import type { OpenCalls } from './open-calls.js';
import { type Caller, sendFanOut } from './outgoing.js';
import type { Route } from './routes.js';

/** What is done with answers: `partitions` have given it together. True: enough is known. */
export type Take<P> = (reply: P, partitions: readonly number[]) => boolean;

export class FanOut<P> implements Together {
  /** Those that were begun. */
  readonly calls: OpenCall[] = [];
  readonly #take: Take<P>;
  readonly #end: (error: { readonly error: unknown } | null) => void;
  #unanswered: number;

  /** `end` is called once: with an error, or with null when enough is known. */
  constructor(size: number, take: Take<P>, end: (error: { readonly error: unknown } | null) => void) {
    this.#unanswered = size;
    this.#take = take;
    this.#end = end;
  }

  answered(reply: P, calls: readonly OpenCall[]): void {
    const partitions = calls.map(({ partition }) => partition);
    let isEnough: boolean;
    try {
      isEnough = this.#take(reply, partitions);
    } catch (error) {
      this.failed(error);
      return;
    }
    this.#unanswered -= calls.length;
    if (isEnough || this.#unanswered === 0) this.#end(null);
  }

  failed(error: unknown): void {
    this.#end({ error });
  }
}

/** What it needs of the calls of a session. */
export interface FanOutsHost {
  readonly clock: Clock;
  readonly open: OpenCalls;
  readonly caller: Caller;
  /** The way of the next attempt; null when there is none now, or the call is over. */
  prepared(call: OpenCall, nowMs: number): Route | null;
  fail(call: OpenCall, error: unknown): void;
}

export class FanOuts {
  readonly #host: FanOutsHost;
  #again: OpenCall[] = [];

  constructor(host: FanOutsHost) {
    this.#host = host;
  }

  /** Calls of one fan-out. Its own partitions a member asks when the others have been sent what concerns them. */
  attempt(calls: readonly OpenCall[]): void {
    const { clock, open } = this.#host;
    const nowMs = clock.now();
    const groups = new Map<Route, OpenCall[]>();
    for (const call of calls) {
      const route = this.#host.prepared(call, nowMs);
      if (route === null) continue;
      const group = groups.get(route);
      if (group === undefined) groups.set(route, [call]);
      else group.push(call);
    }
    for (const [route, group] of groups) {
      if (!route.isLocal || groups.size === 1) this.#send(group, route);
      // What was written for the others leaves at the end of this turn.
      else
        clock.defer(() =>
          this.#send(
            group.filter((call) => open.has(call) && call.route === route),
            route,
          ),
        );
    }
  }

  #send(calls: readonly OpenCall[], route: Route): void {
    if (calls.length === 0) return;
    const { caller, clock } = this.#host;
    const inOrder = [...calls].sort((a, b) => a.sequence - b.sequence);
    try {
      sendFanOut(inOrder, route, caller, clock.now());
    } catch (error) {
      for (const call of calls) this.#host.fail(call, error);
    }
  }

  /** A call is sent again in the next turn, with all others of its fan-out that are. */
  again(call: OpenCall): void {
    const { clock } = this.#host;
    call.route = null;
    // Until then nobody else sends it.
    call.retryAtMs = clock.now() + SILENCE_MS;
    if (this.#again.push(call) === 1) clock.defer(() => this.#attemptAgain());
  }

  #attemptAgain(): void {
    const groups = new Map<Together | null, Set<OpenCall>>();
    for (const call of this.#again) {
      if (call.route !== null || !this.#host.open.has(call)) continue;
      const group = groups.get(call.fanOut);
      if (group === undefined) groups.set(call.fanOut, new Set([call]));
      else group.add(call);
    }
    this.#again = [];
    for (const group of groups.values()) this.attempt([...group]);
  }

  /** The answers to several calls of one fan-out. */
  joined(sequences: readonly number[], reader: Reader): void {
    const { open } = this.#host;
    const calls = open.some(sequences);
    const [first] = calls;
    if (first === undefined || first.fanOut === null) return;
    const { fanOut, operation } = first;
    if (calls.length < sequences.length || calls.some((call) => call.fanOut !== fanOut)) {
      // One of them was asked again meanwhile, and its answer is known: it must not be taken twice.
      for (const call of calls) if (call.fanOut !== null) this.again(call);
      return;
    }
    const reply = operation.reply.read(reader);
    for (const call of calls) open.close(call);
    fanOut.answered(reply as never, calls);
  }

  /** What a member did not get to. */
  rest(sequences: readonly number[]): void {
    for (const call of this.#host.open.some(sequences)) {
      if (call.fanOut === null || call.route === null) continue;
      // It is no retry: the call was not looked at.
      call.attempts--;
      this.again(call);
    }
  }
}
