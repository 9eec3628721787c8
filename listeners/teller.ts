/**
 * A member's side of listeners: who listens to what, how far each was told of each partition that this member leads, and
 * what to tell next. Invariants: only positions are told that can not be lost any more by the crashes that the sync backups
 * of the structure cover, and of a consistent structure only under the lease; what a listener is told goes on exactly from
 * the place up to which it was told before, or says that there is a gap; nothing is kept for a slow listener but its places,
 * events come out of the rings that all listeners share. Owned by the member's composition.
 */
import { ALL_OF_POSITION, type EventPlace } from '../partitions/events/event.js';
import { EventBudget, type EventRing, type RingLimits } from '../partitions/events/ring.js';
import { type EpochName, isSameEpoch, placeAt } from '../partitions/history.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { Clock, Timer } from '../src/base/ports.js';
import type { MemberId } from '../src/cluster/view.js';
import type { BodyOf } from '../src/wire/message.js';
import { type Asked, AskedPredicates } from './asked.js';
import { EntryFilter } from './filter.js';
import { placeIn, reasonOf, type Wanted, whereToGoOn } from './going-on.js';
import { type Interest, Interests } from './interests.js';
import * as messages from './messages.js';
import { type ListenerLink, type TellFaults, Telling } from './telling.js';
import { Turn } from './turn.js';

/** Events that come within this time travel together. */
const FLUSH_MS = 5;
/** What may not be told now, and who has no room now, is looked at again after so long. */
const LATER_MS = 50;
/** Who is not heard of for so long listens no more; and for so long events are kept when nobody listens any more. */
const LEASE_MS = 15_000;
const TICK_MS = 250;
/**
 * Places are told without events, so that a replica which is new, and leads soon, can go on from them: often after a view,
 * then less often.
 */
const PLACES_MS: readonly (readonly [afterViewMs: number, everyMs: number])[] = [
  [1_000, 50],
  [5_000, 250],
  [Number.POSITIVE_INFINITY, 10_000],
];
/** Of all processes that listen at one member. */
const MAX_LISTENERS_IN_ALL = 65_536;

export interface TellerHost {
  readonly self: MemberId;
  readonly clock: Clock;
  /** The highest position that may be told, or -1 when nothing may be told now of the partition, or not by this member. */
  tellable(partition: number, serviceId: number, structure: string): number;
  /** This member leads the partition. */
  leads(partition: number): boolean;
  find(partition: number): PartitionReplica | undefined;
  replicas(): Iterable<PartitionReplica>;
  /** There is such a structure. */
  knows(serviceId: number): boolean;
  readonly limits: RingLimits;
  readonly faults: TellFaults;
}

/** One process that listens. */
interface Subscriber {
  readonly key: string;
  telling: Telling;
  untilMs: number;
  readonly listeners: Map<number, Listener>;
}

interface Cursor {
  /** In which this member led when this began: in another one the process has to ask again. */
  readonly epoch: EpochName;
  /** Up to where the process was told. */
  place: EventPlace;
  /** Up to where events were looked at; none of those beyond `place` is for this listener. */
  seen: EventPlace;
}

interface Listener {
  readonly number: number;
  readonly subscriber: Subscriber;
  readonly interest: Interest<Listener>;
  readonly withValue: boolean;
  readonly filter: EntryFilter;
  readonly asked: Asked | null;
  readonly cursors: Map<number, Cursor>;
  /** Asked for, and not begun. */
  readonly wanted: Map<number, Wanted>;
}

/** All listeners of a structure have their turn in a partition, before it is another one's: it may take several. */
interface Pass {
  readonly interest: Interest<Listener>;
  readonly partition: number;
  /** Listeners that have not had theirs. */
  left: number;
  /** Something is there that was not told. */
  isLeft: boolean;
  /** To somebody who has no room. */
  isFull: boolean;
}

type Part = BodyOf<typeof messages.events>['parts'][number];

export class Teller {
  readonly #host: TellerHost;
  readonly budget: EventBudget;
  readonly #interests: Interests<Listener>;
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #dirty = new Set<Interest<Listener>>();
  readonly #asked = new AskedPredicates();
  readonly #turn = new Turn(this.#asked);
  #pass: Pass | null = null;
  #restUntilMs = 0;
  #timer: Timer | null = null;
  #dueMs = Number.POSITIVE_INFINITY;
  #tick: Timer | null = null;
  #placesMs = 0;
  #viewMs = Number.NEGATIVE_INFINITY;
  #listeners = 0;

  constructor(host: TellerHost) {
    this.#host = host;
    this.budget = new EventBudget(host.limits);
    const replicas = () => host.replicas();
    this.#interests = new Interests(replicas, this.budget, (interest) => this.#soon(interest));
  }

  /** Listeners at this member. */
  get size(): number {
    return this.#listeners;
  }

  // --- who listens

  listen(key: string, link: ListenerLink, body: BodyOf<typeof messages.listen>): void {
    const known = this.#subscribers.get(key)?.telling.round ?? body.round;
    // A late copy of what was asked in an earlier round.
    if ((body.round - known) >>> 0 > 0x7fff_ffff) return;
    const subscriber = this.#subscriber(key, link, body.round);
    let listener = subscriber.listeners.get(body.listener);
    if (listener === undefined) {
      const isFull =
        this.#listeners >= MAX_LISTENERS_IN_ALL ||
        subscriber.listeners.size >= messages.MAX_LISTENERS ||
        !this.#host.knows(body.service);
      if (!isFull) listener = this.#begin(subscriber, body);
    }
    const { self: member } = this.#host;
    const { round, listener: number } = body;
    link.send(messages.listening, { member, round, listener: number, refused: listener === undefined });
    if (listener === undefined) return;
    for (const wanted of body.partitions) {
      const { partition } = wanted;
      const epoch = this.#led(partition)?.history.at(-1);
      // The answer to an earlier question is on its way.
      if (isSameEpoch(listener.cursors.get(partition)?.epoch, epoch)) continue;
      // Who has not adopted the view of the other yet, soon will.
      if (!isSameEpoch(wanted.epoch, epoch)) continue;
      listener.wanted.set(partition, wanted);
      listener.interest.dirty.add(partition);
    }
    if (listener.wanted.size > 0) this.#soon(listener.interest);
  }

  /** The replica of a partition that this member leads. */
  #led(partition: number): PartitionReplica | undefined {
    return this.#host.leads(partition) ? this.#host.find(partition) : undefined;
  }

  #subscriber(key: string, link: ListenerLink, round: number): Subscriber {
    const untilMs = this.#host.clock.now() + LEASE_MS;
    let subscriber = this.#subscribers.get(key);
    if (subscriber === undefined) {
      subscriber = { key, telling: this.#telling(link, round), untilMs, listeners: new Map() };
      this.#subscribers.set(key, subscriber);
      this.#tick ??= this.#host.clock.setTimer(TICK_MS, () => this.#onTick());
    }
    subscriber.untilMs = untilMs;
    if (subscriber.telling.round !== round) {
      subscriber.telling = this.#telling(link, round);
      for (const listener of subscriber.listeners.values()) {
        listener.cursors.clear();
        listener.wanted.clear();
      }
    }
    return subscriber;
  }

  #telling(link: ListenerLink, round: number): Telling {
    return new Telling(this.#host.self, link, round, this.#host.faults);
  }

  /** Undefined when there is no room for its predicate. */
  #begin(subscriber: Subscriber, body: BodyOf<typeof messages.listen>): Listener | undefined {
    const { listener: number, service, structure, withValue, predicate } = body;
    const asked = predicate === null ? null : this.#asked.take(predicate);
    if (predicate !== null && asked === null) return undefined;
    const interest = this.#interests.of(service, structure);
    const listener: Listener = {
      number,
      subscriber,
      interest,
      withValue,
      filter: new EntryFilter({ ...body, asked }),
      asked,
      cursors: new Map(),
      wanted: new Map(),
    };
    interest.listeners.add(listener);
    subscriber.listeners.set(number, listener);
    this.#listeners++;
    return listener;
  }

  unlisten(key: string, number: number): void {
    const subscriber = this.#subscribers.get(key);
    const listener = subscriber?.listeners.get(number);
    if (subscriber === undefined || listener === undefined) return;
    this.#end(listener);
    subscriber.listeners.delete(number);
    if (subscriber.listeners.size === 0) this.#subscribers.delete(key);
  }

  #end(listener: Listener): void {
    this.#listeners--;
    if (listener.asked !== null) this.#asked.release(listener.asked);
    this.#interests.remove(listener.interest, listener, this.#host.clock.now());
  }

  heard(key: string, link: ListenerLink, { round, below, asks }: BodyOf<typeof messages.heard>): void {
    const subscriber = this.#subscribers.get(key);
    const known = subscriber !== undefined && subscriber.telling.round === round;
    if (known) {
      subscriber.untilMs = this.#host.clock.now() + LEASE_MS;
      if (subscriber.telling.heard(below)) this.#goOn(subscriber);
    }
    if (!asks) return;
    const sent = known ? subscriber.telling.next : 0;
    link.send(messages.told, { member: this.#host.self, round, below: sent, known });
  }

  /** There is room again. */
  #goOn({ listeners }: Subscriber): void {
    for (const { interest, cursors, wanted } of listeners.values()) {
      for (const partition of cursors.keys()) interest.dirty.add(partition);
      for (const partition of wanted.keys()) interest.dirty.add(partition);
      this.#soon(interest, 0);
    }
  }

  /** Another view was adopted: who leads what may have changed, and which replicas are here. */
  adopted(): void {
    this.#interests.refresh();
    this.#viewMs = this.#host.clock.now();
    if (this.#tick === null) return;
    this.#tick.cancel();
    this.#tick = this.#host.clock.setTimer(0, () => this.#onTick());
  }

  #onTick(): void {
    const nowMs = this.#host.clock.now();
    for (const [key, { untilMs, listeners }] of this.#subscribers) {
      if (nowMs < untilMs) continue;
      for (const listener of listeners.values()) this.#end(listener);
      this.#subscribers.delete(key);
    }
    this.#interests.sweep(nowMs - LEASE_MS);
    const everyMs = this.#placesEveryMs(nowMs);
    if (nowMs - this.#placesMs >= everyMs) {
      this.#placesMs = nowMs;
      for (const { listeners } of this.#subscribers.values())
        for (const listener of listeners.values()) this.#tellPlaces(listener);
    }
    this.#tick =
      this.#subscribers.size === 0 && this.#interests.isEmpty
        ? null
        : this.#host.clock.setTimer(Math.min(TICK_MS, everyMs), () => this.#onTick());
  }

  #placesEveryMs(nowMs: number): number {
    const sinceMs = nowMs - this.#viewMs;
    const [, everyMs] = PLACES_MS.find(
      ([afterViewMs]) => sinceMs <= afterViewMs,
    ) as (typeof PLACES_MS)[number];
    return everyMs;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#tick?.cancel();
  }

  // --- telling

  #soon(interest: Interest<Listener>, inMs = FLUSH_MS): void {
    this.#dirty.add(interest);
    this.#flushIn(inMs);
  }

  #flushIn(inMs: number): void {
    const { clock } = this.#host;
    const nowMs = clock.now();
    const dueMs = Math.max(nowMs + inMs, this.#restUntilMs);
    if (this.#timer !== null && this.#dueMs <= dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = clock.setTimer(dueMs - nowMs, () => this.#flush());
  }

  #flush(): void {
    this.#timer = null;
    this.#turn.begin();
    const againMs = this.#tellAll();
    if (againMs === null) {
      const { restMs } = this.#turn;
      this.#restUntilMs = this.#host.clock.now() + restMs;
      this.#flushIn(restMs);
    } else if (againMs < Number.POSITIVE_INFINITY) this.#flushIn(againMs);
  }

  /** Gives after how long to look again; null when the turn is over. What has had its turn goes behind the others. */
  #tellAll(): number | null {
    let againMs = Number.POSITIVE_INFINITY;
    for (const interest of [...this.#dirty]) {
      const { dirty, listeners } = interest;
      if (listeners.size === 0) dirty.clear();
      for (const partition of [...dirty]) {
        const laterMs = this.#turn.isOver ? null : this.#tell(interest, partition);
        if (laterMs === null) return null;
        againMs = Math.min(againMs, laterMs);
        if (dirty.delete(partition) && laterMs < Number.POSITIVE_INFINITY) dirty.add(partition);
      }
      this.#dirty.delete(interest);
      if (dirty.size > 0) this.#dirty.add(interest);
    }
    return againMs;
  }

  /**
   * Tells what may be told of a partition; gives after how long to look again, Infinity when there is nothing left, null when
   * the turn is over before every listener has had its own.
   */
  #tell(interest: Interest<Listener>, partition: number): number | null {
    const { serviceId, structure, listeners } = interest;
    const replica = this.#led(partition);
    const ring = replica?.rings.find(serviceId, structure) ?? null;
    if (replica === undefined || ring === null) {
      for (const listener of listeners) listener.wanted.delete(partition);
      return Number.POSITIVE_INFINITY;
    }
    const limit = this.#limit(replica, serviceId, structure);
    if (limit < 0) return LATER_MS;
    const pass = this.#passOf(interest, partition);
    if (ring.lastSeq > limit) pass.isLeft = true;
    for (const listener of listeners) {
      if (pass.left <= 0) break;
      pass.left--;
      listeners.delete(listener);
      listeners.add(listener);
      if (listener.wanted.has(partition) && !this.#start(listener, replica, ring, limit)) pass.isLeft = true;
      this.#advance(listener, replica, ring, limit, pass);
      this.#turn.looked();
      if (pass.left > 0 && this.#turn.isOver) return null;
    }
    this.#pass = null;
    if (pass.isLeft) return FLUSH_MS;
    // Who has no room says so when it has: looked at all the same, because it may be the link that is full.
    return pass.isFull ? LATER_MS : Number.POSITIVE_INFINITY;
  }

  #passOf(interest: Interest<Listener>, partition: number): Pass {
    const { listeners } = interest;
    if (this.#pass?.interest !== interest || this.#pass.partition !== partition)
      this.#pass = { interest, partition, left: listeners.size, isLeft: false, isFull: false };
    return this.#pass;
  }

  #limit(replica: PartitionReplica, serviceId: number, structure: string): number {
    const limit = this.#host.tellable(replica.id, serviceId, structure);
    return this.#host.faults.tellsUncommitted === true && limit >= 0 ? replica.seq : limit;
  }

  /** Answers where a listener goes on; false when that can not be said yet. */
  #start(listener: Listener, replica: PartitionReplica, ring: EventRing, limit: number): boolean {
    const { subscriber, wanted, cursors } = listener;
    const { telling } = subscriber;
    const asked = wanted.get(replica.id) as Wanted;
    if (!isSameEpoch(asked.epoch, replica.history.at(-1))) return wanted.delete(replica.id);
    const { place, epoch } = asked;
    const { reason, from } = whereToGoOn(replica, ring, asked, limit);
    if (from.seq > limit || !telling.hasRoom) return false;
    wanted.delete(replica.id);
    cursors.set(replica.id, { epoch, place: from, seen: from });
    const isGap = reason !== null && this.#host.faults.forgetsGap !== true;
    const what = place === null ? 'begin' : isGap ? 'gap' : 'on';
    const part = { partition: replica.id, epoch, what, reason, before: place, through: from } as const;
    telling.tell(listener.number, [{ ...part, events: [] }], 0);
    return true;
  }

  /** Tells a listener what it was not told yet, as far as it has room, until the turn is over. */
  #advance(listener: Listener, replica: PartitionReplica, ring: EventRing, limit: number, pass: Pass): void {
    const { cursors, subscriber, number } = listener;
    const { telling } = subscriber;
    const cursor = cursors.get(replica.id);
    if (cursor === undefined) return;
    if (!isSameEpoch(cursor.epoch, replica.history.at(-1))) {
      cursors.delete(replica.id);
      return;
    }
    for (let hasLooked = false; ; ) {
      if (!ring.covers(cursor.seen)) {
        // What was dropped before it was committed may be lost yet: nobody is to be told of a place behind it.
        if (ring.after > limit) return;
        if (!telling.hasRoom) {
          pass.isFull = true;
          return;
        }
        this.#skip(listener, cursor, replica, ring);
      }
      const next = ring.at(ring.search(cursor.seen));
      if (next === undefined || next.seq > limit) return;
      if (!telling.hasRoom) {
        pass.isFull = true;
        return;
      }
      // Each listener gets on by an event at least.
      if (hasLooked && this.#turn.isOver) {
        pass.isLeft = true;
        return;
      }
      hasLooked = true;
      const { events, bytes, seen } = this.#collect(listener, cursor.seen, replica, ring, limit);
      cursor.seen = seen;
      if (events.length === 0) continue;
      telling.tell(number, [moved(replica.id, cursor, seen, events)], bytes);
      this.#turn.told(events.length, bytes);
    }
  }

  /** Events that the listener was not told are gone. */
  #skip({ subscriber, number }: Listener, cursor: Cursor, replica: PartitionReplica, ring: EventRing): void {
    const through = placeIn(replica, ring.after);
    const { epoch, place: before } = cursor;
    const part = { partition: replica.id, epoch, reason: reasonOf(ring), before, through, events: [] };
    const what = this.#host.faults.forgetsGap === true ? 'on' : 'gap';
    subscriber.telling.tell(number, [{ ...part, what }], 0);
    cursor.place = through;
    cursor.seen = through;
  }

  /** About a message of events for the listener, and up to where they were looked at. */
  #collect(listener: Listener, from: EventPlace, replica: PartitionReplica, ring: EventRing, limit: number) {
    const events: Part['events'][number][] = [];
    let bytes = 0;
    let seen = from;
    let at = ring.search(from);
    for (; ; at++) {
      const event = ring.at(at);
      if (event === undefined || event.seq > limit || Telling.isFull(events.length, bytes)) break;
      if (seen !== from && this.#turn.isOver) break;
      const { lineage, epoch } = placeAt(replica.history, event.seq);
      seen = { lineage, epoch, seq: event.seq, index: event.index + 1 };
      const told = listener.filter.of(event);
      this.#turn.looked();
      if (told === null) continue;
      const { value, old } = listener.withValue ? told : NO_VALUES;
      events.push({ ...event, kind: told.kind, lineage, epoch, value, old });
      bytes += event.key.length + (value?.length ?? 0) + (old?.length ?? 0) + 64;
    }
    const isWhole = ring.at(at)?.seq !== seen.seq;
    return { events, bytes, seen: isWhole ? { ...seen, index: ALL_OF_POSITION } : seen };
  }

  /** Of partitions of which a listener was told everything: how far that is. */
  #tellPlaces(listener: Listener): void {
    const { interest, cursors, subscriber, number } = listener;
    const parts: Part[] = [];
    for (const [partition, cursor] of cursors) {
      const replica = this.#led(partition);
      const ring = replica?.rings.find(interest.serviceId, interest.structure);
      if (replica === undefined || ring == null) continue;
      if (!isSameEpoch(cursor.epoch, replica.history.at(-1))) continue;
      const limit = this.#limit(replica, interest.serviceId, interest.structure);
      const isDone = ring.covers(cursor.seen) && ring.at(ring.search(cursor.seen)) === undefined;
      if (!isDone || limit <= cursor.place.seq) continue;
      cursor.seen = placeIn(replica, limit);
      parts.push(moved(partition, cursor, cursor.seen, []));
    }
    if (parts.length > 0) subscriber.telling.tell(number, parts, 0);
  }
}

/** Tells on, and moves the place to where that ends. */
function moved(partition: number, cursor: Cursor, through: EventPlace, events: Part['events']): Part {
  const { epoch, place: before } = cursor;
  cursor.place = through;
  return { partition, epoch, what: 'on', reason: null, before, through, events };
}

const NO_VALUES = { value: null, old: null };
