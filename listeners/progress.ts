/**
 * How one listener gets on in one partition: from where it is told, what of the ring is told next, and where that ends.
 * Invariants: only positions up to a limit are told; what is told goes on exactly from the place up to which it was told
 * before, or says that there is a gap. Called by the passes of a teller.
 */
import { ALL_OF_POSITION, type EventPlace } from '../partitions/events/event.js';
import type { EventRing } from '../partitions/events/ring.js';
import { type EpochName, isOfEpoch, placeAt } from '../partitions/history.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { BodyOf } from '../src/wire/message.js';
import type { Asked } from './asked.js';
import type { EntryFilter } from './filter.js';
import { placeIn, reasonOf, type Wanted, whereToGoOn } from './going-on.js';
import type { Interest } from './interests.js';
import type { events } from './messages.js';
import { type TellFaults, Telling } from './telling.js';
import type { Turn } from './turn.js';

export interface Cursor {
  /** In which this member led when this began: in another one the process has to ask again. */
  readonly epoch: EpochName;
  /** Up to where the process was told. */
  place: EventPlace;
  /** Up to where events were looked at; none of those beyond `place` is for this listener. */
  seen: EventPlace;
}

/** A process with listeners. */
export interface Recipient {
  readonly telling: Telling;
  /** What there is to look at when it has room again. */
  readonly waiting: Map<Interest<Listener>, Set<number>>;
}

export interface Listener {
  readonly number: number;
  /** In which it was asked for last. */
  round: number;
  readonly subscriber: Recipient;
  readonly interest: Interest<Listener>;
  readonly withValue: boolean;
  readonly filter: EntryFilter;
  readonly asked: Asked | null;
  readonly cursors: Map<number, Cursor>;
  /** Asked for, and not begun. */
  readonly wanted: Map<number, Wanted>;
}

export type Part = BodyOf<typeof events>['parts'][number];

/** `left`: there is more, or will be soon. `full`: there is more, for somebody who has no room. */
export type Advanced = 'done' | 'left' | 'full';

export class Progress {
  readonly #turn: Turn;
  readonly #faults: TellFaults;

  constructor(turn: Turn, faults: TellFaults) {
    this.#turn = turn;
    this.#faults = faults;
  }

  /** Answers where a listener goes on; false when that can not be said yet. */
  start(listener: Listener, replica: PartitionReplica, ring: EventRing, limit: number): boolean {
    const { subscriber, wanted, cursors } = listener;
    const { telling } = subscriber;
    const asked = wanted.get(replica.id) as Wanted;
    if (!isOfEpoch(replica, asked.epoch)) return wanted.delete(replica.id);
    const { place, epoch } = asked;
    const { reason, from } = whereToGoOn(replica, ring, asked, limit);
    if (from.seq > limit || !telling.hasRoom) return false;
    wanted.delete(replica.id);
    cursors.set(replica.id, { epoch, place: from, seen: from });
    const isGap = reason !== null && this.#faults.forgetsGap !== true;
    const what = place === null ? 'begin' : isGap ? 'gap' : 'on';
    const part = { partition: replica.id, epoch, what, reason, before: place, through: from } as const;
    telling.tell(listener.number, [{ ...part, events: [] }], 0);
    return true;
  }

  /** Tells a listener what it was not told yet, as far as it has room, until the turn is over. */
  advance(listener: Listener, replica: PartitionReplica, ring: EventRing, limit: number): Advanced {
    const { cursors, subscriber, number } = listener;
    const { telling } = subscriber;
    const cursor = cursors.get(replica.id);
    if (cursor === undefined) return 'done';
    if (!isOfEpoch(replica, cursor.epoch)) {
      cursors.delete(replica.id);
      return 'done';
    }
    for (let hasLooked = false; ; ) {
      if (!ring.covers(cursor.seen)) {
        // What was dropped before it was committed may be lost yet: nobody is to be told of a place behind it.
        if (ring.after > limit) return 'done';
        if (!telling.hasRoom) return 'full';
        this.#skip(listener, cursor, replica, ring);
      }
      const next = ring.at(ring.search(cursor.seen));
      if (next === undefined || next.seq > limit) return 'done';
      if (!telling.hasRoom) return 'full';
      // Each listener gets on by an event at least.
      if (hasLooked && this.#turn.isOver) return 'left';
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
    const what = this.#faults.forgetsGap === true ? 'on' : 'gap';
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
}

/** Tells on, and moves the place to where that ends. */
export function moved(partition: number, cursor: Cursor, through: EventPlace, events: Part['events']): Part {
  const { epoch, place: before } = cursor;
  cursor.place = through;
  return { partition, epoch, what: 'on', reason: null, before, through, events };
}

const NO_VALUES = { value: null, old: null };
