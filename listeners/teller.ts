/**
 * A member's side of listeners: who listens to what, how far each was told of each partition that this member leads, and
 * what to tell next. Invariants: only positions are told that can not be lost any more by the crashes that the sync backups
 * of the structure cover, and of a consistent structure only under the lease; what a listener is told goes on exactly from
 * the place up to which it was told before, or says that there is a gap; nothing is kept for a slow listener but its places,
 * events come out of the rings that all listeners share. Owned by the member's composition.
 */
import { ALL_OF_POSITION, type EventPlace } from '../partitions/events/event.js';
import type { GapReason } from '../partitions/events/listening.js';
import { EventBudget, type EventRing, type RingLimits } from '../partitions/events/ring.js';
import { placeAt, seenBy } from '../partitions/history.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { Clock, Timer } from '../src/base/ports.js';
import type { MemberId } from '../src/cluster/view.js';
import type { BodyOf } from '../src/wire/message.js';
import { EntryFilter } from './filter.js';
import { type Interest, Interests } from './interests.js';
import * as messages from './messages.js';
import { type ListenerLink, type TellFaults, Telling } from './telling.js';

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
  /** Of the replica, when this began: in another one the process has to ask again. */
  readonly epoch: number;
  /** Up to where the process was told. */
  place: EventPlace;
  /** Up to where events were looked at; none of those beyond `place` is for this listener. */
  seen: EventPlace;
}

/** Where a process goes on, and up to where it was told of lineages that it has left. */
interface Wanted {
  readonly place: EventPlace | null;
  readonly left: readonly EventPlace[];
}

interface Listener {
  readonly number: number;
  readonly subscriber: Subscriber;
  readonly interest: Interest<Listener>;
  readonly withValue: boolean;
  readonly filter: EntryFilter;
  readonly cursors: Map<number, Cursor>;
  /** Asked for, and not begun. */
  readonly wanted: Map<number, Wanted>;
}

type Part = BodyOf<typeof messages.events>['parts'][number];

export class Teller {
  readonly #host: TellerHost;
  readonly budget: EventBudget;
  readonly #interests: Interests<Listener>;
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #dirty = new Set<Interest<Listener>>();
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
    for (const { partition, place, left } of body.partitions) {
      const present = listener.cursors.get(partition);
      // The answer to an earlier question is on its way.
      if (present !== undefined && present.epoch === this.#host.find(partition)?.epoch) continue;
      if (!this.#host.leads(partition)) continue;
      listener.wanted.set(partition, { place, left });
      listener.interest.dirty.add(partition);
    }
    if (listener.wanted.size > 0) this.#soon(listener.interest);
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

  #begin(subscriber: Subscriber, body: BodyOf<typeof messages.listen>): Listener {
    const { listener: number, service, structure, withValue } = body;
    const interest = this.#interests.of(service, structure);
    const listener: Listener = {
      number,
      subscriber,
      interest,
      withValue,
      filter: new EntryFilter(body),
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
    const dueMs = clock.now() + inMs;
    if (this.#timer !== null && this.#dueMs <= dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = clock.setTimer(inMs, () => this.#flush());
  }

  #flush(): void {
    this.#timer = null;
    let againMs = Number.POSITIVE_INFINITY;
    for (const interest of [...this.#dirty]) {
      if (interest.listeners.size === 0) interest.dirty.clear();
      for (const partition of [...interest.dirty])
        againMs = Math.min(againMs, this.#tell(interest, partition));
      if (interest.dirty.size === 0) this.#dirty.delete(interest);
    }
    if (againMs < Number.POSITIVE_INFINITY) this.#flushIn(againMs);
  }

  /** Tells what may be told of a partition; gives after how long to look again, Infinity when there is nothing left. */
  #tell(interest: Interest<Listener>, partition: number): number {
    const { serviceId, structure, dirty, listeners } = interest;
    const replica = this.#host.leads(partition) ? this.#host.find(partition) : undefined;
    const ring = replica?.rings.find(serviceId, structure) ?? null;
    if (replica === undefined || ring === null) {
      dirty.delete(partition);
      for (const listener of listeners) listener.wanted.delete(partition);
      return Number.POSITIVE_INFINITY;
    }
    const limit = this.#limit(replica, serviceId, structure);
    if (limit < 0) return LATER_MS;
    let isLeft = Math.max(ring.lastSeq, ring.after) > limit;
    let isFull = false;
    for (const listener of listeners) {
      if (listener.wanted.has(partition) && !this.#start(listener, replica, ring, limit)) isLeft = true;
      if (!this.#advance(listener, replica, ring, limit)) isFull = true;
    }
    if (isLeft) return FLUSH_MS;
    // Who has no room says so when it has: looked at all the same, because it may be the link that is full.
    if (isFull) return LATER_MS;
    dirty.delete(partition);
    return Number.POSITIVE_INFINITY;
  }

  #limit(replica: PartitionReplica, serviceId: number, structure: string): number {
    const limit = this.#host.tellable(replica.id, serviceId, structure);
    return this.#host.faults.tellsUncommitted === true && limit >= 0 ? replica.seq : limit;
  }

  /** Answers where a listener goes on; false when that can not be said yet. */
  #start(listener: Listener, replica: PartitionReplica, ring: EventRing, limit: number): boolean {
    const { subscriber, wanted, cursors } = listener;
    const { telling } = subscriber;
    const asked = wanted.get(replica.id) ?? NOWHERE;
    const { place } = asked;
    const { reason, from } = whereToGoOn(replica, ring, asked, limit);
    if (from.seq > limit || !telling.hasRoom) return false;
    wanted.delete(replica.id);
    cursors.set(replica.id, { epoch: replica.epoch, place: from, seen: from });
    const isGap = reason !== null && this.#host.faults.forgetsGap !== true;
    const what = place === null ? 'begin' : isGap ? 'gap' : 'on';
    const part = { partition: replica.id, what, reason, before: place, through: from, events: [] } as const;
    telling.tell(listener.number, [part], 0);
    return true;
  }

  /** Tells a listener what it was not told yet; false when it has no room for all of it. */
  #advance(listener: Listener, replica: PartitionReplica, ring: EventRing, limit: number): boolean {
    const { cursors, subscriber, number } = listener;
    const { telling } = subscriber;
    const cursor = cursors.get(replica.id);
    if (cursor === undefined) return true;
    if (cursor.epoch !== replica.epoch) {
      cursors.delete(replica.id);
      return true;
    }
    for (;;) {
      if (!ring.covers(cursor.seen)) {
        // What was dropped before it was committed may be lost yet: nobody is to be told of a place behind it.
        if (ring.after > limit) return true;
        if (!telling.hasRoom) return false;
        this.#skip(listener, cursor, replica, ring);
      }
      const next = ring.at(ring.search(cursor.seen));
      if (next === undefined || next.seq > limit) return true;
      if (!telling.hasRoom) return false;
      const { events, bytes, seen } = this.#collect(listener, cursor.seen, replica, ring, limit);
      cursor.seen = seen;
      if (events.length === 0) continue;
      const { place: before } = cursor;
      cursor.place = seen;
      const part: Part = { partition: replica.id, what: 'on', reason: null, before, through: seen, events };
      telling.tell(number, [part], bytes);
    }
  }

  /** Events that the listener was not told are gone. */
  #skip({ subscriber, number }: Listener, cursor: Cursor, replica: PartitionReplica, ring: EventRing): void {
    const through = placeIn(replica, ring.after);
    const part = { partition: replica.id, reason: reasonOf(ring), before: cursor.place, through, events: [] };
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
      const { lineage, epoch } = placeAt(replica.history, event.seq);
      seen = { lineage, epoch, seq: event.seq, index: event.index + 1 };
      const told = listener.filter.of(event);
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
      const replica = this.#host.leads(partition) ? this.#host.find(partition) : undefined;
      const ring = replica?.rings.find(interest.serviceId, interest.structure);
      if (replica === undefined || ring == null || cursor.epoch !== replica.epoch) continue;
      const limit = this.#limit(replica, interest.serviceId, interest.structure);
      const isDone = ring.covers(cursor.seen) && ring.at(ring.search(cursor.seen)) === undefined;
      if (!isDone || limit <= cursor.place.seq) continue;
      const { place: before } = cursor;
      cursor.place = placeIn(replica, limit);
      cursor.seen = cursor.place;
      parts.push({ partition, what: 'on', reason: null, before, through: cursor.place, events: [] });
    }
    if (parts.length > 0) subscriber.telling.tell(number, parts, 0);
  }
}

const NOWHERE: Wanted = { place: null, left: [] };
const NO_VALUES = { value: null, old: null };

function placeIn({ history }: PartitionReplica, seq: number): EventPlace {
  const { lineage, epoch } = placeAt(history, seq);
  return { lineage, epoch, seq, index: ALL_OF_POSITION };
}

function reasonOf({ hasDropped }: EventRing): GapReason {
  return hasDropped ? 'overflow' : 'moved';
}

/** From where on a listener can be told everything, and why that is not from the place where it is. */
function whereToGoOn(
  replica: PartitionReplica,
  ring: EventRing,
  { place, left }: Wanted,
  limit: number,
): { readonly reason: GapReason | null; readonly from: EventPlace } {
  const now = placeIn(replica, Math.max(ring.after, limit));
  if (place === null) return { reason: null, from: now };
  const seen = seenBy(replica, place);
  // All that came after the positions which it shares with this history is told.
  const own = sharedPlace(replica, place);
  const known = left.map((one) => sharedPlace(replica, one)).reduce(later, own);
  if (seen === 'here' && known === own) {
    if (ring.covers(place)) return { reason: null, from: place };
    return { reason: reasonOf(ring), from: placeIn(replica, ring.after) };
  }
  const isLost = seen !== 'here' && seen !== 'elsewhere' && place.lineage === replica.history.at(-1)?.lineage;
  const from = known ?? now;
  return {
    reason: isLost ? 'lost' : 'lineage',
    from: ring.covers(from) ? from : placeIn(replica, ring.after),
  };
}

/** Of two places in one history; the first when they are equal. */
function later(a: EventPlace | null, b: EventPlace | null): EventPlace | null {
  if (a === null || b === null) return a ?? b;
  return b.seq > a.seq || (b.seq === a.seq && b.index > a.index) ? b : a;
}

/** Up to where whoever was told up to a place knows this history; null when that cannot be said. */
function sharedPlace(replica: PartitionReplica, place: EventPlace): EventPlace | null {
  if (seenBy(replica, place) === 'here') return place;
  const { history } = replica;
  // Of an epoch that this history does not have, what was told before it is not known: the end of the one before counts.
  const at = history.findLastIndex(({ lineage, epoch }) => lineage === place.lineage && epoch <= place.epoch);
  const end = at < 0 ? undefined : history[at + 1]?.start;
  return end === undefined ? null : placeIn(replica, end);
}
