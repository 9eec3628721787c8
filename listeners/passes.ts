/**
 * What a member tells whom next: passes over the listeners of a structure in a partition, in turns with a rest behind each, so
 * that calls and heartbeats get on. Invariants: what comes while a pass goes on is not passed over; of a consistent structure
 * only positions are told that are committed, and under the lease. Owned by the teller.
 */
import type { RingLimits } from '../partitions/events/ring.js';
import { isOfEpoch } from '../partitions/history.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { Clock, Timer } from '../src/base/ports.js';
import type { MemberId } from '../src/cluster/view.js';
import type { AskedPredicates } from './asked.js';
import { placeIn } from './going-on.js';
import type { Interest } from './interests.js';
import { type Listener, moved, type Part, Progress } from './progress.js';
import type { TellFaults } from './telling.js';
import { Turn } from './turn.js';

/** Events that come within this time travel together. */
const FLUSH_MS = 5;
/** What may not be told now, and who has no room now, is looked at again after so long. */
const LATER_MS = 50;
/** To find out how far a partition may be told, in looks at a listener. */
const PLACE_LOOKS = 6;

export interface TellerHost {
  readonly self: MemberId;
  readonly clock: Clock;
  /** The highest position that may be told, or -1 when nothing may be told now of the partition, or not by this member. */
  tellable(partition: number, serviceId: number, structure: string): number;
  /** This member is the primary of the partition, be it that nothing may be told now. */
  leads(partition: number): boolean;
  find(partition: number): PartitionReplica | undefined;
  replicas(): Iterable<PartitionReplica>;
  /** There is such a structure. */
  knows(serviceId: number): boolean;
  readonly limits: RingLimits;
  readonly faults: TellFaults;
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

export class Passes {
  readonly #host: TellerHost;
  readonly #turn: Turn;
  readonly #progress: Progress;
  readonly #dirty = new Set<Interest<Listener>>();
  #pass: Pass | null = null;
  /** Listeners that are to be told their places. */
  #placesOf: Listener[] = [];
  #restUntilMs = 0;
  #timer: Timer | null = null;
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(host: TellerHost, asked: AskedPredicates) {
    this.#host = host;
    this.#turn = new Turn(asked);
    this.#progress = new Progress(this.#turn, host.faults);
  }

  /** The replica of a partition that this member leads. */
  led(partition: number): PartitionReplica | undefined {
    return this.#host.leads(partition) ? this.#host.find(partition) : undefined;
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** There is something to look at in the partition. */
  changed(interest: Interest<Listener>, partition: number, inMs = FLUSH_MS): void {
    interest.dirty.add(partition);
    // Some may have had their turn.
    if (this.#pass !== null && this.#isOn(interest, partition)) this.#pass.isLeft = true;
    this.#dirty.add(interest);
    this.#flushIn(inMs);
  }

  /** Tells these how far they were told of everything, unless that is still done for others. */
  places(listeners: Iterable<Listener>): void {
    if (this.#placesOf.length > 0) return;
    this.#placesOf = [...listeners];
    this.#flushIn(0);
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
    if (againMs === null || !this.#tellPlaces()) {
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
      if (listeners.size === 0) {
        dirty.clear();
        if (this.#pass?.interest === interest) this.#pass = null;
      }
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
    const replica = this.led(partition);
    const ring = replica?.rings.find(serviceId, structure) ?? null;
    if (replica === undefined || ring === null) {
      for (const listener of listeners) listener.wanted.delete(partition);
      if (this.#isOn(interest, partition)) this.#pass = null;
      return Number.POSITIVE_INFINITY;
    }
    const limit = this.#limit(replica, serviceId, structure);
    if (limit < 0) return LATER_MS;
    const pass = this.#passOf(interest, partition);
    // Also what was dropped before it was committed: that is a gap when it is.
    if (Math.max(ring.lastSeq, ring.after) > limit) pass.isLeft = true;
    for (const listener of listeners) {
      if (pass.left <= 0) break;
      pass.left--;
      listeners.delete(listener);
      listeners.add(listener);
      if (listener.wanted.has(partition) && !this.#progress.start(listener, replica, ring, limit))
        pass.isLeft = true;
      const advanced = this.#progress.advance(listener, replica, ring, limit);
      if (advanced === 'left') pass.isLeft = true;
      else if (advanced === 'full') {
        pass.isFull = true;
        const { waiting } = listener.subscriber;
        waiting.set(interest, (waiting.get(interest) ?? new Set<number>()).add(partition));
      }
      this.#turn.looked();
      if (pass.left > 0 && this.#turn.isOver) return null;
    }
    this.#pass = null;
    if (pass.isLeft) return FLUSH_MS;
    // Who has no room says so when it has: looked at all the same, because it may be the link that is full.
    return pass.isFull ? LATER_MS : Number.POSITIVE_INFINITY;
  }

  #isOn(interest: Interest<Listener>, partition: number): boolean {
    return this.#pass?.interest === interest && this.#pass.partition === partition;
  }

  #passOf(interest: Interest<Listener>, partition: number): Pass {
    if (this.#pass === null || !this.#isOn(interest, partition))
      this.#pass = { interest, partition, left: interest.listeners.size, isLeft: false, isFull: false };
    return this.#pass;
  }

  #limit(replica: PartitionReplica, serviceId: number, structure: string): number {
    const limit = this.#host.tellable(replica.id, serviceId, structure);
    return this.#host.faults.tellsUncommitted === true && limit >= 0 ? replica.seq : limit;
  }

  /** False when the turn is over before all were told. */
  #tellPlaces(): boolean {
    for (;;) {
      if (this.#turn.isOver) return false;
      const listener = this.#placesOf.pop();
      if (listener === undefined) return true;
      if (listener.interest.listeners.has(listener)) this.#tellPlacesTo(listener);
    }
  }

  /** Of partitions of which a listener was told everything: how far that is. */
  #tellPlacesTo(listener: Listener): void {
    const { interest, cursors, subscriber, number } = listener;
    if (!subscriber.telling.hasRoom) return;
    const parts: Part[] = [];
    for (const [partition, cursor] of cursors) {
      this.#turn.looked(PLACE_LOOKS);
      const replica = this.led(partition);
      const ring = replica?.rings.find(interest.serviceId, interest.structure);
      if (replica === undefined || ring == null) continue;
      if (!isOfEpoch(replica, cursor.epoch)) continue;
      const limit = this.#limit(replica, interest.serviceId, interest.structure);
      const isDone = ring.covers(cursor.seen) && ring.at(ring.search(cursor.seen)) === undefined;
      if (!isDone) {
        // Whatever has been missed until now is not missed for ever.
        this.changed(interest, partition);
        continue;
      }
      if (limit <= cursor.place.seq) continue;
      cursor.seen = placeIn(replica, limit);
      parts.push(moved(partition, cursor, cursor.seen, []));
    }
    if (parts.length > 0) subscriber.telling.tell(number, parts, 0);
  }
}
