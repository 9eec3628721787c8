/**
 * The calls of one client session: opens them, sends them to the primary of their partition, sends them again under
 * the same call id after refusals and broken connections, and settles each exactly once inside its deadline - done,
 * refused, or of unknown outcome, and never the wrong one. Shared by the client and the embedded member; one
 * promise for each call is made here and nowhere else.
 */
import { type AnswerPlace, placeFrom } from '../../partitions/call.js';
import { fanOutReply, fanOutRest } from '../../partitions/fan-out-messages.js';
import type { Invoker, RequestOptions } from '../../partitions/invoker.js';
import type { NearValues } from '../../partitions/near.js';
import { nothing } from '../../partitions/services/proxy-requests.js';
import { unreadableReply } from '../../partitions/services/proxy-unreadable.js';
import { Aborts } from '../../src/base/aborts.js';
import type { Reader } from '../../src/base/bytes.js';
import {
  ClientClosedError,
  ERROR_ROWS,
  errorFromWire,
  errorRow,
  type GridError,
  IndeterminateError,
  LineageError,
  OverloadError,
  sameKind,
} from '../../src/base/errors.js';
import type { Clock } from '../../src/base/ports.js';
import type { Header } from '../../src/wire/frame.js';
import type { OperationDef } from '../../src/wire/message.js';
import * as messages from '../../src/wire/messages.js';
import type { ValueCodec } from '../../src/wire/values.js';
import { callName } from './call-name.js';
import type { CallsOptions } from './calls-options.js';
import { FanOut, FanOuts, type Take } from './fan-out.js';
import { type Called, type OpenCall, openCall, voided, waitsForLock } from './open-call.js';
import { OpenCalls } from './open-calls.js';
import { type Caller, sendCall } from './outgoing.js';
import { Questions } from './questions.js';
import type { Route } from './routes.js';
import { Seen } from './session.js';
import { whyUnanswered } from './why-no-route.js';

/** How often deadlines and silence are looked at while calls are open. */
const SWEEP_MS = 25;
/** While this much waits to be sent to a member, further calls to it wait in this process. */
const FULL_ROUTE_BYTES = 64 * 1024 * 1024;
const FIRST_BACKOFF_MS = 4;
const MAX_BACKOFF_MS = 500;

export class Calls implements Invoker {
  readonly #options: CallsOptions;
  readonly clock: Clock;
  readonly #open = new OpenCalls(() => this.#questions.lowest);
  readonly #questions: Questions;
  readonly #caller: Caller;
  readonly #fanOuts: FanOuts;
  readonly #aborts = new Aborts();
  /** Number of this session, a random count of 53 bits. */
  readonly client: number;
  /** What this client has seen, for calls with EL that name no session. */
  readonly seen = new Seen();
  #tokens = 0;
  #sweeping = false;
  #closed: string | null = null;
  readonly #whenClosed = new Set<(error: GridError) => void>();
  retries = 0;
  listening: Invoker['listening'];

  constructor(options: CallsOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.client =
      (options.random.uint32() & 0x1f_ffff) * 0x1_0000_0000 + Math.max(1, options.random.uint32());
    const below = () => this.#open.below;
    this.#caller = { routes: options.routes, client: this.client, below };
    this.#fanOuts = new FanOuts({
      clock: options.clock,
      open: this.#open,
      caller: this.#caller,
      prepared: (call, nowMs) => this.#prepared(call, nowMs),
      fail: (call, error) => this.#fail(call, error),
    });
    this.#questions = new Questions({
      clock: options.clock,
      routes: options.routes,
      client: this.client,
      timeoutMs: options.timeoutMs,
      below,
      asked: () => this.#startSweep(),
    });
  }

  nextToken(): number {
    return ++this.#tokens;
  }

  get partitionCount(): number {
    return this.#options.routes.partitionCount;
  }

  get codec(): ValueCodec {
    return this.#options.codec;
  }

  get fansOut(): boolean {
    return this.#options.routes.fansOut;
  }

  nearCache(map: string): NearValues | null {
    return this.#options.nearCache?.(map) ?? null;
  }

  /** The grid may forget what it answered to calls below this one. */
  get watermark(): number {
    this.#open.computeWatermark();
    return this.#open.below;
  }

  whenClosed(fn: (error: GridError) => void): () => void {
    if (this.#closed !== null) fn(new ClientClosedError(this.#closed));
    else this.#whenClosed.add(fn);
    return () => {
      this.#whenClosed.delete(fn);
    };
  }

  bounded(options: RequestOptions): RequestOptions {
    const deadlineMs = this.clock.now() + (options.timeoutMs ?? this.#options.timeoutMs);
    return { ...options, deadlineMs: Math.min(deadlineMs, options.deadlineMs ?? deadlineMs) };
  }

  invoke<Q, P, R>(
    operation: OperationDef<Q, P>,
    partition: number,
    structure: string,
    request: Q,
    options: RequestOptions,
    decode: (reply: P, place: AnswerPlace | null) => R,
  ): Promise<R> {
    const refusal = this.#refusal(options.signal);
    if (refusal !== null) return Promise.reject(refusal.error);
    return new Promise<R>((resolve, reject) => {
      const startedMs = this.clock.now();
      const what = { operation, structure, request, decode, resolve, reject, fanOut: null };
      const sequence = this.#open.nextSequence();
      this.#attempt(this.#begin(what, sequence, partition, options, startedMs), startedMs);
      this.#startSweep();
    });
  }

  invokeEach<Q, P>(
    operation: OperationDef<Q, P>,
    partitions: readonly number[],
    structure: string,
    request: Q,
    options: RequestOptions,
    take: Take<P>,
  ): Promise<void> {
    const refusal = this.#refusal(options.signal);
    if (refusal !== null) return Promise.reject(refusal.error);
    if (partitions.length === 0) return Promise.resolve();
    return new Promise<void>((resolve, reject) => {
      const startedMs = this.clock.now();
      const fanOut = new FanOut(partitions.length, take, (failed) => {
        for (const call of fanOut.calls) this.#open.close(call);
        if (failed === null) resolve();
        else reject(failed.error);
      });
      const failed = (error: unknown) => fanOut.failed(error);
      const what = {
        operation,
        structure,
        request,
        decode: nothing,
        resolve: nothing,
        reject: failed,
        fanOut,
      };
      const first = this.#open.nextBlock();
      partitions.forEach((partition, i) => {
        fanOut.calls.push(this.#begin(what, first + i, partition, options, startedMs));
      });
      this.#fanOuts.attempt(fanOut.calls);
      this.#startSweep();
    });
  }

  /** Why no call begins now. */
  #refusal(signal: AbortSignal | undefined): { readonly error: unknown } | null {
    if (this.#closed !== null) return { error: new ClientClosedError(this.#closed) };
    if (signal?.aborted === true) return { error: signal.reason };
    const { weight } = this.#open;
    if (weight < this.#options.maxInFlightCalls) return null;
    const message = `${weight} calls are in flight, the limit of maxInFlightCalls`;
    return { error: new OverloadError(message) };
  }

  #begin(what: Called, sequence: number, partition: number, of: RequestOptions, startedMs: number) {
    const { routes, timeoutMs } = this.#options;
    const origin = { sequence, startedMs, timeoutMs, routes, seen: this.seen };
    const call = openCall(what, partition, of, origin);
    this.#open.add(call);
    if (of.signal !== undefined) this.#listen(call, of.signal);
    return call;
  }

  #listen(call: OpenCall, signal: AbortSignal): void {
    const aborted = () => {
      const why = 'the call was aborted after it had been sent';
      const isUnknown = call.attempts > 0 && call.isWrite;
      this.#fail(call, isUnknown ? this.#indeterminate(call, why, signal.reason) : signal.reason);
    };
    call.unlisten = this.#aborts.listen(signal, aborted);
  }

  /** A part of a fan-out goes with the others of it. */
  #attempt(call: OpenCall, nowMs: number): void {
    if (call.fanOut !== null) {
      this.#fanOuts.again(call);
      return;
    }
    const route = this.#prepared(call, nowMs);
    if (route !== null) this.#send(call, route, nowMs);
  }

  /** The way of the next attempt; null when there is none now, or the call is over. */
  #prepared(call: OpenCall, nowMs: number): Route | null {
    const { routes } = this.#options;
    // A call is bound to a lineage as soon as an attempt may have been applied in it.
    if (!call.uncertain) call.lineage = routes.lineage;
    if (call.isWrite && call.lineage !== 0 && routes.lineage !== 0 && routes.lineage !== call.lineage) {
      const why = 'the cluster is in another lineage since the first attempt';
      this.#fail(call, this.#indeterminate(call, why, new LineageError('lineage changed')));
      return null;
    }
    const route = this.#routeOf(call);
    if (route === null || route.queuedBytes > FULL_ROUTE_BYTES) {
      call.retryAtMs = nowMs + FIRST_BACKOFF_MS * 5;
      return null;
    }
    if (call.attempts > 0) {
      this.retries++;
      this.#open.computeWatermark();
    }
    call.attempts++;
    call.attemptMs = nowMs;
    call.route = route;
    if (call.attempts > 1 && this.#options.freshRetryIds === true) this.#open.renumber(call);
    return route;
  }

  /** A read that may be behind goes to the nearest replica first, and to it again only when there is no primary. */
  #routeOf(call: OpenCall): Route | null {
    const { routes } = this.#options;
    const { partition, wish } = call;
    const nearest = wish?.anyReplica === true ? routes.toReplica(partition) : null;
    // One that takes nothing now is not the nearest.
    call.isBehind = nearest !== null && nearest.queuedBytes <= FULL_ROUTE_BYTES;
    if (call.isBehind) return nearest;
    const primary = routes.toPrimary(partition);
    if (primary !== null || wish?.mayBeBehind !== true) return primary;
    const replica = routes.toReplica(partition);
    call.isBehind = replica !== null;
    return replica;
  }

  #send(call: OpenCall, route: Route, nowMs: number): void {
    try {
      sendCall(call, route, this.#caller, nowMs);
    } catch (error) {
      this.#fail(call, error);
    }
  }

  // --- answers

  /** Handles reply, failure and resolvedCall; false when the message is another one. */
  receive(header: Header, reader: Reader): boolean {
    switch (header.message) {
      case messages.reply.id:
        this.#onReply(header, reader, null);
        return true;
      case messages.placedReply.id:
        this.#onReply(header, reader, placeFrom(messages.placedReply.read(reader)));
        return true;
      case messages.failure.id: {
        const { error, maybeApplied, message } = messages.failure.read(reader);
        this.#onFailure(header, error, maybeApplied, message);
        return true;
      }
      case fanOutReply.id:
        this.#fanOuts.joined(fanOutReply.read(reader).sequences, reader);
        return true;
      case fanOutRest.id:
        this.#fanOuts.rest(fanOutRest.read(reader).sequences);
        return true;
      case messages.resolvedCall.id: {
        const { outcome, reply } = messages.resolvedCall.read(reader);
        this.#questions.answered(header.sequence, outcome, reply);
        return true;
      }
      default:
        return false;
    }
  }

  #onReply(header: Header, reader: Reader, place: AnswerPlace | null): void {
    const call = this.#open.get(header.sequence);
    if (call === undefined) return;
    if (place !== null) call.wish?.session?.saw(call.partition, place.position, call.held);
    const reply = call.operation.reply.read(reader);
    this.#open.close(call);
    if (call.fanOut !== null) {
      call.fanOut.answered(reply as never, [call]);
      return;
    }
    let value: unknown;
    try {
      value = call.decode(reply as never, place);
    } catch (error) {
      const { isWrite } = call;
      call.reject(isWrite ? unreadableReply(callName(call), reply, error) : error);
      return;
    }
    call.resolve(value as never);
  }

  #onFailure(header: Header, error: number, maybeApplied: boolean, message: string): void {
    if (this.#questions.refused(header.sequence)) return;
    const call = this.#open.get(header.sequence);
    if (call === undefined) return;
    if (header.view > this.#options.routes.view) this.#options.routes.refresh(header.view);
    if (maybeApplied) call.uncertain = true;
    const row = errorRow(error);
    const nowMs = this.clock.now();
    if (call.isBehind && call.wish?.anyReplica === true) {
      // Whatever a replica has against it, the primary is asked, and at once.
      call.refusal = errorFromWire(error, message);
      call.wish.anyReplica = false;
      call.route = null;
      this.#attempt(call, nowMs);
      return;
    }
    if (row?.code === ERROR_ROWS.KeyLocked.code) {
      if (waitsForLock(call)) this.#attempt(call, nowMs);
      else this.#refusedWaiting(call, errorFromWire(error, `${callName(call)}: ${message}`));
      return;
    }
    if (row?.retryable === true) {
      call.refusal = errorFromWire(error, message);
      this.#retryLater(call, nowMs);
      return;
    }
    if (row?.code === ERROR_ROWS.SessionLost.code && call.wish?.session === this.seen)
      this.seen.forget(call.partition);
    if (call.isWrite && (call.uncertain || row?.definite === false))
      this.#fail(call, this.#indeterminate(call, message));
    else this.#fail(call, errorFromWire(error, message));
  }

  /** A copy of a call that was asked for again may be on its way still: the grid makes it void first. */
  #refusedWaiting(call: OpenCall, error: GridError): void {
    if (!call.uncertain) {
      this.#fail(call, error);
      return;
    }
    const unknown = this.#indeterminate(call, error.message, error);
    this.#open.close(call);
    void voided(unknown, call, error, this.clock);
  }

  #retryLater(call: OpenCall, nowMs: number): void {
    call.route = null;
    const backoff = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(call.attempts - 1, 10));
    call.retryAtMs = nowMs + backoff * (0.5 + this.#options.random.float());
  }

  /** A route has ended: what was on it may or may not have arrived. */
  routeClosed(route: Route): void {
    const nowMs = this.clock.now();
    for (const call of this.#open.all()) {
      if (call.route !== route) continue;
      call.uncertain = true;
      call.route = null;
      call.retryAtMs = nowMs;
    }
    this.#questions.routeClosed(route);
  }

  /** Routing has changed: calls that wait, and those that are with a member that is not their primary any more, go. */
  routesChanged(): void {
    const { routes } = this.#options;
    const nowMs = this.clock.now();
    for (const call of this.#open.all()) {
      const { route, partition, isBehind } = call;
      const isRight = route?.isOpen === true && (isBehind || routes.toPrimary(partition) === route);
      if (route !== null && !isRight) {
        call.uncertain = true;
        call.route = null;
        call.retryAtMs = nowMs;
      }
      if (call.route === null && (call.retryAtMs > nowMs ? call.attempts < 3 : true))
        this.#attempt(call, nowMs);
    }
  }

  // --- settling

  #fail(call: OpenCall, error: unknown): void {
    if (!this.#open.has(call)) return;
    this.#open.close(call);
    call.reject(error);
  }

  #indeterminate(call: OpenCall, why: string, cause?: unknown): IndeterminateError {
    this.#questions.remember(call);
    this.#startSweep();
    const message = `${callName(call)} may or may not have taken effect: ${why}`;
    const ask = this.#questions.asker(call);
    // A call that is given up must not take effect when what it waited for comes: asking makes it void.
    if (call.waits) void ask();
    return new IndeterminateError(message, ask, cause === undefined ? undefined : { cause });
  }

  #expired(call: OpenCall): void {
    // A part of a bulk call may begin when its time is over.
    const seconds = `${Math.max(0, Math.round(call.deadlineMs - call.startedMs))} ms`;
    if (call.isWrite && (call.uncertain || call.route !== null)) {
      this.#fail(call, this.#indeterminate(call, `no answer within ${seconds}`, call.refusal ?? undefined));
      return;
    }
    const why = call.refusal ?? whyUnanswered(this.#options.routes, call);
    const message = `${callName(call)} was not done within ${seconds}: ${why.message}`;
    this.#fail(call, sameKind(why, message));
  }

  // --- time

  #startSweep(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.clock.setTimer(SWEEP_MS, () => {
      this.#sweeping = false;
      this.#sweep();
    });
  }

  #sweep(): void {
    const nowMs = this.clock.now();
    // First who is due, then sending: what one call puts on a route must not make the next one look unsent.
    const due: OpenCall[] = [];
    for (const call of this.#open.all()) {
      if (nowMs >= call.deadlineMs) this.#expired(call);
      else if (call.route === null) {
        if (nowMs >= call.retryAtMs) due.push(call);
      } else if (call.route.queuedBytes > 0) {
        call.attemptMs = nowMs;
      } else if (nowMs - Math.max(call.attemptMs, call.route.receivedMs) >= call.patienceMs) {
        call.uncertain = true;
        // A replica that is silent is not asked again while there is a primary.
        if (call.wish !== null && call.isBehind) call.wish.anyReplica = false;
        due.push(call);
      }
    }
    for (const call of due) if (this.#open.has(call)) this.#attempt(call, nowMs);
    this.#questions.tick(nowMs);
    if (!this.#open.isEmpty || this.#questions.size > 0) this.#startSweep();
  }

  /** Ends all calls; what was sent may have happened. */
  close(message: string): void {
    this.#closed = message;
    for (const call of [...this.#open.all()]) {
      const sent = call.isWrite && (call.uncertain || call.route !== null);
      this.#fail(call, sent ? this.#indeterminate(call, message) : new ClientClosedError(message));
    }
    this.#questions.close();
    for (const fn of [...this.#whenClosed]) fn(new ClientClosedError(message));
    this.#whenClosed.clear();
  }
}
