/**
 * The calls of one client session: opens them, sends them to the primary of their partition, sends them again under
 * the same call id after refusals and broken connections, and settles each exactly once inside its deadline - done,
 * refused, or of unknown outcome, and never the wrong one. Shared by the client and the embedded member; one
 * promise for each call is made here and nowhere else.
 */
import { type AnswerPlace, placeFrom, writePrefix } from '../../partitions/call.js';
import type { Invoker, RequestOptions } from '../../partitions/invoker.js';
import type { NearValues } from '../../partitions/near.js';
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
  TimeoutError,
} from '../../src/base/errors.js';
import type { Clock, Random } from '../../src/base/ports.js';
import type { Header } from '../../src/wire/frame.js';
import type { OperationDef } from '../../src/wire/message.js';
import * as messages from '../../src/wire/messages.js';
import type { ValueCodec } from '../../src/wire/values.js';
import { type OpenCall, voided, waitsForLock } from './open-call.js';
import { Questions } from './questions.js';
import type { Route, Routes } from './routes.js';
import { Seen } from './session.js';
import { askOf, wishOf } from './wish.js';

/** How often deadlines and silence are looked at while calls are open. */
const SWEEP_MS = 25;
/** An attempt that was not answered this long after it had left is sent again; doubled for each attempt. */
const SILENCE_MS = 2000;
/** A large call gets longer: this many bytes a millisecond at the least. */
const SLOWEST_BYTES_PER_MS = 4 * 1024;
/** While this much waits to be sent to a member, further calls to it wait in this process. */
const FULL_ROUTE_BYTES = 64 * 1024 * 1024;
const FIRST_BACKOFF_MS = 4;
const MAX_BACKOFF_MS = 500;
/** The watermark is computed anew after this many calls. */
const WATERMARK_EVERY = 128;
/** With so few open calls it costs nothing to compute it each time. */
const FEW_CALLS = 32;

export interface CallsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly routes: Routes;
  readonly codec: ValueCodec;
  readonly timeoutMs: number;
  readonly maxInFlightCalls: number;
  /** Default: no map has one. */
  readonly nearCache?: (map: string) => NearValues | null;
  /** Only for tests: a retry goes out under a new call id. */
  readonly freshRetryIds?: boolean;
}

export class Calls implements Invoker {
  readonly #options: CallsOptions;
  readonly clock: Clock;
  readonly #open = new Map<number, OpenCall>();
  readonly #questions: Questions;
  readonly #aborts = new Aborts();
  /** Number of this session, a random count of 53 bits. */
  readonly client: number;
  /** What this client has seen, for calls with EL that name no session. */
  readonly seen = new Seen();
  #next = 1;
  #tokens = 0;
  #below = 1;
  #sweeping = false;
  #closed: string | null = null;
  retries = 0;
  listening: Invoker['listening'];

  constructor(options: CallsOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.client =
      (options.random.uint32() & 0x1f_ffff) * 0x1_0000_0000 + Math.max(1, options.random.uint32());
    this.#questions = new Questions({
      clock: options.clock,
      routes: options.routes,
      client: this.client,
      timeoutMs: options.timeoutMs,
      below: () => this.#below,
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

  nearCache(map: string): NearValues | null {
    return this.#options.nearCache?.(map) ?? null;
  }

  /** The grid may forget what it answered to calls below this one. */
  get watermark(): number {
    this.#computeWatermark();
    return this.#below;
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
    const { signal, waitMs = 0 } = options;
    if (this.#closed !== null) return Promise.reject(new ClientClosedError(this.#closed));
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (this.#open.size >= this.#options.maxInFlightCalls) {
      return Promise.reject(
        new OverloadError(`${this.#open.size} calls are in flight, the limit of maxInFlightCalls`),
      );
    }
    return new Promise<R>((resolve, reject) => {
      const startedMs = this.clock.now();
      const call: OpenCall = {
        sequence: this.#next++,
        operation,
        isWrite: operation.kind === 'write',
        partition,
        structure,
        request,
        decode,
        resolve,
        reject,
        startedMs,
        deadlineMs:
          (options.deadlineMs ?? startedMs + (options.timeoutMs ?? this.#options.timeoutMs)) + waitMs,
        waits: waitMs > 0,
        lockWaitMs: 0,
        wish: wishOf(operation, structure, options, this.#options.routes, this.seen),
        lineage: this.#options.routes.lineage,
        held: null,
        isBehind: false,
        route: null,
        attempts: 0,
        attemptMs: startedMs,
        patienceMs: SILENCE_MS,
        retryAtMs: startedMs,
        uncertain: false,
        refusal: null,
        unlisten: null,
      };
      this.#open.set(call.sequence, call);
      if (signal !== undefined) this.#listen(call, signal);
      if ((call.sequence & (WATERMARK_EVERY - 1)) === 0 || this.#open.size <= FEW_CALLS)
        this.#computeWatermark();
      this.#attempt(call, startedMs);
      this.#startSweep();
    });
  }

  #listen(call: OpenCall, signal: AbortSignal): void {
    const aborted = () => {
      const sent = call.attempts > 0;
      if (!sent || !call.isWrite) this.#fail(call, signal.reason);
      else
        this.#fail(
          call,
          this.#indeterminate(call, 'the call was aborted after it had been sent', signal.reason),
        );
    };
    call.unlisten = this.#aborts.listen(signal, aborted);
  }

  #attempt(call: OpenCall, nowMs: number): void {
    const { routes } = this.#options;
    // A call is bound to a lineage as soon as an attempt may have been applied in it.
    if (!call.uncertain) call.lineage = routes.lineage;
    if (call.isWrite && call.lineage !== 0 && routes.lineage !== 0 && routes.lineage !== call.lineage) {
      this.#fail(
        call,
        this.#indeterminate(
          call,
          'the cluster is in another lineage since the first attempt',
          new LineageError('lineage changed'),
        ),
      );
      return;
    }
    const route = this.#routeOf(call);
    if (route === null || route.queuedBytes > FULL_ROUTE_BYTES) {
      call.retryAtMs = nowMs + FIRST_BACKOFF_MS * 5;
      return;
    }
    if (call.attempts > 0) {
      this.retries++;
      this.#computeWatermark();
    }
    call.attempts++;
    call.attemptMs = nowMs;
    call.route = route;
    if (call.attempts > 1 && this.#options.freshRetryIds === true) this.#renumber(call);
    this.#send(call, route, nowMs);
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
    const { operation, partition } = call;
    const { routes } = this.#options;
    const at = route.writeOffset;
    const writer = route.begin(operation.id, {
      partition,
      view: routes.view,
      lineage: routes.lineage,
      client: this.client,
      sequence: call.sequence,
    });
    try {
      const ask = askOf(call.wish, partition, call.lockWaitMs);
      if (call.attempts === 1) call.held = ask.atLeast;
      writePrefix(writer, call.structure, this.#below, Math.ceil(nowMs - call.startedMs), ask);
      operation.request.write(writer, call.request);
    } catch (error) {
      // Half a message would break the connection for all others, and no attempt could write it.
      writer.length = at;
      this.#fail(call, error);
      return;
    }
    const sizeBytes = writer.length - at;
    const doublings = call.waits ? 0 : Math.min(call.attempts - 1, 4);
    call.patienceMs = SILENCE_MS * 2 ** doublings + sizeBytes / SLOWEST_BYTES_PER_MS;
    route.end(at);
  }

  #renumber(call: OpenCall): void {
    this.#open.delete(call.sequence);
    (call as { sequence: number }).sequence = this.#next++;
    this.#open.set(call.sequence, call);
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
    this.#close(call);
    let value: unknown;
    try {
      value = call.decode(reply as never, place);
    } catch (error) {
      const { isWrite, operation, structure } = call;
      call.reject(isWrite ? unreadableReply(operation.name, structure, reply, error) : error);
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
      else this.#refusedWaiting(call, errorFromWire(error, message));
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
    this.#close(call);
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
    for (const call of this.#open.values()) {
      if (call.route !== route) continue;
      call.uncertain = true;
      call.route = null;
      call.retryAtMs = nowMs;
    }
    this.#questions.routeClosed(route);
  }

  /** Routing has changed: calls that wait, and those that are with a member that is not their primary any more, go. */
  routesChanged(): void {
    const nowMs = this.clock.now();
    for (const call of this.#open.values()) {
      if (call.route !== null && (!call.route.isOpen || !this.#isStillRight(call, call.route))) {
        call.uncertain = true;
        call.route = null;
        call.retryAtMs = nowMs;
      }
      if (call.route === null && (call.retryAtMs > nowMs ? call.attempts < 3 : true))
        this.#attempt(call, nowMs);
    }
  }

  #isStillRight(call: OpenCall, route: Route): boolean {
    return call.isBehind || this.#options.routes.toPrimary(call.partition) === route;
  }

  // --- settling

  #close(call: OpenCall): void {
    this.#open.delete(call.sequence);
    call.unlisten?.();
  }

  #fail(call: OpenCall, error: unknown): void {
    if (!this.#open.has(call.sequence)) return;
    this.#close(call);
    call.reject(error);
  }

  #indeterminate(call: OpenCall, why: string, cause?: unknown): IndeterminateError {
    this.#questions.remember(call);
    this.#startSweep();
    const message = `${call.operation.name} on '${call.structure}' may or may not have taken effect: ${why}`;
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
    const why = call.refusal ?? this.#whyUnanswered(call);
    const message = `${call.operation.name} on '${call.structure}' was not done within ${seconds}: ${why.message}`;
    this.#fail(call, sameKind(why, message));
  }

  #whyUnanswered({ partition, attempts }: OpenCall): GridError {
    const { routes } = this.#options;
    if (routes.toPrimary(partition) === null) return routes.whyNoRoute(partition);
    return new TimeoutError(attempts === 0 ? 'earlier calls still wait to be sent' : 'no answer');
  }

  #computeWatermark(): void {
    let below = this.#next;
    for (const call of this.#open.values()) {
      if (call.isWrite && call.sequence < below) below = call.sequence;
      // Calls are opened in order, so the first open write is the lowest unless one was sent under a new number.
      if (call.isWrite) break;
    }
    below = Math.min(below, this.#questions.lowest);
    if (below > this.#below) this.#below = below;
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
    for (const call of this.#open.values()) {
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
    for (const call of due) if (this.#open.has(call.sequence)) this.#attempt(call, nowMs);
    this.#questions.tick(nowMs);
    if (this.#open.size > 0 || this.#questions.size > 0) this.#startSweep();
  }

  /** Ends all calls; what was sent may have happened. */
  close(message: string): void {
    this.#closed = message;
    for (const call of [...this.#open.values()]) {
      const sent = call.isWrite && (call.uncertain || call.route !== null);
      this.#fail(call, sent ? this.#indeterminate(call, message) : new ClientClosedError(message));
    }
    this.#questions.close();
  }
}
