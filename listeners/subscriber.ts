/**
 * A process's side of listeners, in a client or a member: asks every member of the view to keep events and the leaders of
 * partitions to tell them, says how far it has heard, and goes on from there with another member, connection or view.
 * Invariants: what a member sends in a round is taken in the order of its numbers, what is missing begins a new round;
 * nothing runs while nobody listens. Owned by the composition of client and member.
 */
import type { Listening, ListenRequest } from '../partitions/events/listening.js';
import type { Reader } from '../src/base/bytes.js';
import { ClientClosedError, ListenersFullError, TimeoutError } from '../src/base/errors.js';
import type { Clock, Logger, Timer } from '../src/base/ports.js';
import { lineageTag, type MemberId, type View } from '../src/cluster/view.js';
import type { BodyOf, MessageDef } from '../src/wire/message.js';
import { ProcessListener } from './listener.js';
import * as messages from './messages.js';

const TICK_MS = 100;
/** A question that is not answered is asked again after so long, and then after twice as long each time. */
const FIRST_PATIENCE_MS = 250;
const MAX_PATIENCE_MS = 4_000;
/** Every so many questions without an answer what the member has under way is given up. */
const ASKS_OF_A_ROUND = 3;
/** What was heard is said after so long at the latest, and after so many messages at once. */
const SAY_HEARD_MS = 20;
const SAY_HEARD_AFTER = 16;
const RENEW_MS = 2_000;
/** Messages that came before their turn. */
const MAX_EARLY = 128;
/** A message that is missing for so long is lost; a large one takes its time. */
const LOST_MS = 1_000;
const LARGE_LOST_MS = 8_000;
/** Members that do not answer are not waited for longer than this, when all leaders have. */
const GRACE_MS = 1_000;

/** Numbers of messages have 32 bits. */
const MAX_NUMBER = 2 ** 31;

type Events = BodyOf<typeof messages.events>;

export interface SubscriberHost {
  readonly clock: Clock;
  readonly logger: Logger;
  uuid(): string;
  /** Default of `timeoutMs`. */
  readonly timeoutMs: number;
  /** Of a message of a round, before another round begins; for tests. */
  readonly maxNumber?: number;
  /** May be lost. */
  send<T>(to: MemberId, def: MessageDef<T>, body: T): void;
}

interface Asking {
  atMs: number;
  readonly patienceMs: number;
  readonly times: number;
  /** The member has answered that it has no room. */
  isRefused: boolean;
}

const ANSWERS: ReadonlySet<number> = new Set([messages.listening.id, messages.told.id, messages.events.id]);

/** A member of the view. */
interface Source {
  readonly member: MemberId;
  round: number;
  /** Since when. */
  roundMs: number;
  /** Number of the message that comes next. */
  next: number;
  said: number;
  readonly early: Map<number, Events>;
  /** Since when a message is known to be missing; Infinity when none is. */
  missingMs: number;
  lostMs: number;
  /** Listeners that it knows in this round. */
  readonly known: Set<number>;
  /** By listener. */
  readonly asked: Map<number, Asking>;
  askedMs: number;
}

export class Subscriber implements Listening {
  readonly #host: SubscriberHost;
  readonly #sources = new Map<MemberId, Source>();
  readonly #listeners = new Map<number, ProcessListener>();
  #view: View | null = null;
  #lineage = 0;
  #rounds = 0;
  #numbers = 0;
  #timer: Timer | null = null;
  #sayTimer: Timer | null = null;
  #isStopped = false;

  constructor(host: SubscriberHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#listeners.size;
  }

  // --- listeners

  listen(request: ListenRequest): string {
    const { clock, logger } = this.#host;
    const number = ++this.#numbers;
    const listener = new ProcessListener(number, this.#host.uuid(), request, clock.now(), logger);
    if (this.#listeners.size >= messages.MAX_LISTENERS || this.#isStopped) {
      const most = `this process takes no listener: it has ${messages.MAX_LISTENERS} listeners`;
      const why = this.#isStopped ? new ClientClosedError('it was shut down') : new ListenersFullError(most);
      clock.defer(() => request.settled(why));
      return listener.id;
    }
    this.#listeners.set(number, listener);
    if (this.#view !== null) {
      if (this.#sources.size === 0) this.#follow(this.#view);
      listener.adopted(this.#view, this.#lineage);
    }
    clock.defer(() => this.#tick());
    return listener.id;
  }

  remove(id: string): boolean {
    for (const listener of this.#listeners.values()) {
      if (listener.id !== id) continue;
      this.#end(listener);
      return true;
    }
    return false;
  }

  #end(listener: ProcessListener): void {
    const { number } = listener;
    listener.isEnded = true;
    this.#listeners.delete(number);
    for (const { member, known, asked } of this.#sources.values()) {
      known.delete(number);
      asked.delete(number);
      this.#host.send(member, messages.unlisten, { to: member, listener: number });
    }
    if (this.#listeners.size === 0) this.#sources.clear();
  }

  // --- views and connections

  adopted(view: View): void {
    const lineage = lineageTag(view.lineage);
    const isSwitched = this.#view !== null && lineage !== this.#lineage;
    this.#view = view;
    this.#lineage = lineage;
    if (this.#listeners.size === 0) return;
    this.#follow(view);
    for (const listener of this.#listeners.values()) listener.adopted(view, lineage);
    // Members count places within the lineage in which they were asked.
    if (isSwitched) for (const source of this.#sources.values()) this.#renew(source);
    this.#askAll(this.#host.clock.now());
  }

  #follow(view: View): void {
    for (const id of this.#sources.keys())
      if (!view.members.some((member) => member.id === id)) this.#sources.delete(id);
    for (const { id } of view.members) if (!this.#sources.has(id)) this.#sources.set(id, this.#newSource(id));
  }

  #newSource(member: MemberId): Source {
    return {
      member,
      round: this.#nextRound(),
      roundMs: this.#host.clock.now(),
      next: 0,
      said: 0,
      early: new Map(),
      missingMs: Number.POSITIVE_INFINITY,
      lostMs: LOST_MS,
      known: new Set(),
      asked: new Map(),
      askedMs: this.#host.clock.now(),
    };
  }

  #nextRound(): number {
    this.#rounds = (this.#rounds + 1) >>> 0;
    return this.#rounds;
  }

  /** A member can be reached from now on: what was under way before may be lost. */
  connected(member: MemberId): void {
    const source = this.#sources.get(member);
    if (source === undefined) return;
    this.#renew(source);
    this.#ask(source, this.#host.clock.now());
  }

  /** All ways are new: the one member through which everything goes is another one. */
  connectedAnew(): void {
    for (const source of this.#sources.values()) this.#renew(source);
    this.#askAll(this.#host.clock.now());
  }

  /** What the member says from now on goes on from what was told until now. */
  #renew(source: Source): void {
    source.round = this.#nextRound();
    source.roundMs = this.#host.clock.now();
    source.next = 0;
    source.said = 0;
    source.early.clear();
    source.missingMs = Number.POSITIVE_INFINITY;
    source.known.clear();
    for (const asked of source.asked.values()) asked.atMs = Number.NEGATIVE_INFINITY;
    for (const listener of this.#listeners.values()) listener.rest(source.member);
  }

  // --- asking

  #tick(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#isStopped || this.#listeners.size === 0) return;
    const { clock } = this.#host;
    const nowMs = clock.now();
    this.#askAll(nowMs);
    for (const listener of [...this.#listeners.values()]) this.#settle(listener, nowMs);
    this.#timer = clock.setTimer(TICK_MS, () => this.#tick());
  }

  #askAll(nowMs: number): void {
    for (const source of this.#sources.values()) this.#ask(source, nowMs);
  }

  #ask(source: Source, nowMs: number): void {
    if (nowMs - source.missingMs >= source.lostMs) {
      source.lostMs = Math.min(LARGE_LOST_MS, 2 * source.lostMs);
      this.#renew(source);
    }
    for (const listener of this.#listeners.values()) this.#askFor(source, listener, nowMs);
    if (nowMs - source.askedMs >= RENEW_MS) {
      source.askedMs = nowMs;
      this.#sayHeard(source, true);
    }
  }

  #askFor(source: Source, listener: ProcessListener, nowMs: number): void {
    const { number } = listener;
    const missing = listener.missing(source.member);
    if (missing.length === 0 && source.known.has(number)) {
      source.asked.delete(number);
      return;
    }
    const before = source.asked.get(number);
    if (before !== undefined && nowMs - before.atMs < before.patienceMs) return;
    const { patienceMs = FIRST_PATIENCE_MS / 2, times = 0, isRefused = false } = before ?? {};
    // An answer may have come when it could not be used. A round that another listener began just now has its time first.
    const isOld = nowMs - source.roundMs >= patienceMs;
    if (isOld && !isRefused && times > 0 && times % ASKS_OF_A_ROUND === 0) this.#renew(source);
    const nextMs = Math.min(MAX_PATIENCE_MS, 2 * patienceMs);
    const next = { atMs: nowMs, patienceMs: nextMs, times: times + 1, isRefused: false };
    source.asked.set(number, next);
    const { serviceId: service, structure, kinds, withValue, key, predicate } = listener.request;
    this.#host.send(source.member, messages.listen, {
      to: source.member,
      round: source.round,
      listener: number,
      service,
      structure,
      kinds,
      withValue,
      key,
      predicate,
      partitions: listener.missing(source.member).map(({ left, partition, epoch, place }) => ({
        partition,
        epoch,
        place,
        left: [...(left?.values() ?? [])],
      })),
    });
  }

  /** Tells who asked for the listener whether it is told of everything by now. */
  #settle(listener: ProcessListener, nowMs: number): void {
    if (listener.isSettled) return;
    const { timeoutMs = this.#host.timeoutMs, settled } = listener.request;
    const tookMs = nowMs - listener.startedMs;
    const isKnown = [...this.#sources.values()].every(({ known }) => known.has(listener.number));
    if (listener.isLive && (isKnown || tookMs >= GRACE_MS)) {
      listener.isSettled = true;
      settled(null);
    } else if (tookMs >= timeoutMs) {
      listener.isSettled = true;
      this.#end(listener);
      const silent = listener.tracks.filter(({ isLive, leader }) => !isLive && leader !== null);
      settled(
        new TimeoutError(
          `the listener was not added within ${timeoutMs} ms: ${silent.length} partitions are not served, or not told of`,
        ),
      );
    }
  }

  // --- being told

  /** Whether it is one of the messages that members send to whoever listens. */
  static knows(message: number): boolean {
    return ANSWERS.has(message);
  }

  /** Takes one of them. */
  receive(message: number, reader: Reader): void {
    if (message === messages.listening.id) this.#onListening(messages.listening.read(reader));
    else if (message === messages.told.id) this.#onTold(messages.told.read(reader));
    else this.#onEvents(messages.events.read(reader));
  }

  #onListening({ member, round, listener: number, refused }: BodyOf<typeof messages.listening>): void {
    const source = this.#sources.get(member);
    const listener = this.#listeners.get(number);
    if (source === undefined || listener === undefined || source.round !== round) return;
    if (!refused) {
      source.known.add(number);
      return;
    }
    if (listener.isSettled) {
      const asking = source.asked.get(number);
      if (asking !== undefined) asking.isRefused = true;
      const { structure } = listener.request;
      if (listener.refused(member))
        this.#host.logger.log('warn', 'a member has no room for a listener', { structure, member });
      return;
    }
    listener.isSettled = true;
    this.#end(listener);
    listener.request.settled(new ListenersFullError('a member has too many listeners'));
  }

  #onTold({ member, round, below, known }: BodyOf<typeof messages.told>): void {
    const source = this.#sources.get(member);
    if (source === undefined || source.round !== round) return;
    // Whoever was not asked for anything yet knows nothing.
    if (!known && source.known.size > 0) this.#renew(source);
    else if (below > source.next) source.missingMs = Math.min(source.missingMs, this.#host.clock.now());
  }

  #onEvents(body: Events): void {
    const source = this.#sources.get(body.member);
    if (source === undefined || source.round !== body.round || body.number < source.next) return;
    if (body.number > source.next) {
      const { early } = source;
      // What comes early is kept as it is: its bytes belong to the frame, which nobody uses again.
      if (early.size < MAX_EARLY) early.set(body.number, body);
      source.missingMs = Math.min(source.missingMs, this.#host.clock.now());
      return;
    }
    this.#take(source, body);
    for (;;) {
      const next = source.early.get(source.next);
      if (next === undefined) break;
      source.early.delete(source.next);
      this.#take(source, next);
    }
    source.missingMs = source.early.size === 0 ? Number.POSITIVE_INFINITY : this.#host.clock.now();
    source.lostMs = LOST_MS;
    if (source.next >= (this.#host.maxNumber ?? MAX_NUMBER)) this.#renew(source);
    if (source.next - source.said >= SAY_HEARD_AFTER) this.#sayHeard(source, false);
    else this.#sayTimer ??= this.#host.clock.setTimer(SAY_HEARD_MS, () => this.#sayAll());
  }

  #take(source: Source, { listener, parts }: Events): void {
    source.next++;
    const present = this.#listeners.get(listener);
    if (present !== undefined) for (const part of parts) present.told(source.member, part);
    else this.#host.send(source.member, messages.unlisten, { to: source.member, listener });
  }

  #sayAll(): void {
    this.#sayTimer = null;
    for (const source of this.#sources.values()) if (source.next > source.said) this.#sayHeard(source, false);
  }

  #sayHeard(source: Source, asks: boolean): void {
    const { member, round, next } = source;
    source.said = next;
    this.#host.send(member, messages.heard, { to: member, round, below: next, asks });
  }

  stop(): void {
    this.#isStopped = true;
    for (const listener of [...this.#listeners.values()]) {
      this.#end(listener);
      listener.request.ended?.();
    }
    this.#timer?.cancel();
    this.#sayTimer?.cancel();
  }
}
