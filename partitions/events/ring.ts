/**
 * The latest events of one structure in one partition, as a replica keeps them while somebody listens. Invariants: all
 * events of positions beyond `after` are here, in their order; what is dropped goes by whole positions, the oldest first;
 * one ring and all rings of a member are bounded in bytes. Owned by the replica, read by `listeners/teller.ts`.
 */
import {
  ALL_OF_POSITION,
  type ChangeEvent,
  type ChangeSink,
  type EventKind,
  type EventPlace,
  isBeyond,
} from './event.js';

/** Of all rings without events: most have none, so they are to cost little. Nothing is ever put into it. */
const NONE: ChangeEvent[] = [];

/** Beside keys and values. */
const EVENT_BYTES = 160;

export interface RingLimits {
  /** Of one ring. */
  readonly events: number;
  readonly bytes: number;
  /** Of all rings of a member. */
  readonly memberBytes: number;
}

/** All rings of a member share it. */
export class EventBudget {
  readonly limits: RingLimits;
  /** Those with events. */
  readonly #filled = new Set<EventRing>();
  rings = 0;
  sizeBytes = 0;

  constructor(limits: RingLimits) {
    this.limits = limits;
  }

  filled(ring: EventRing): void {
    this.#filled.add(ring);
  }

  emptied(ring: EventRing): void {
    this.#filled.delete(ring);
  }

  /** The largest ring gives up the older half of what it has until all together are small enough. */
  keep(): void {
    while (this.sizeBytes > this.limits.memberBytes) {
      let largest: EventRing | null = null;
      for (const ring of this.#filled)
        if (largest === null || ring.sizeBytes > largest.sizeBytes) largest = ring;
      if (largest === null || largest.sizeBytes === 0) return;
      largest.dropHalf();
    }
  }
}

export class EventRing implements ChangeSink {
  readonly partition: number;
  readonly #budget: EventBudget;
  readonly #told: (partition: number) => void;
  #events: ChangeEvent[] = NONE;
  /** Index of the first event that is still in the ring; the array is cut when much lies before it. */
  #first = 0;
  #lastSeq = 0;
  #nextIndex = 0;
  #isClosed = false;
  after: number;
  /** Events were dropped because there were too many. */
  hasDropped = false;
  sizeBytes = 0;

  /** Of positions beyond `after`; `told` is called for each event. */
  constructor(partition: number, after: number, budget: EventBudget, told: (partition: number) => void) {
    this.partition = partition;
    this.after = after;
    this.#budget = budget;
    this.#told = told;
    budget.rings++;
  }

  /** Position of the last event; 0 when there is none. */
  get lastSeq(): number {
    return this.#events.length === this.#first ? 0 : this.#lastSeq;
  }

  get length(): number {
    return this.#events.length - this.#first;
  }

  tell(
    seq: number,
    kind: EventKind,
    key: Uint8Array,
    value: Uint8Array | null,
    old: Uint8Array | null,
    entries = 1,
  ): void {
    const index = seq === this.#lastSeq ? this.#nextIndex : 0;
    this.#lastSeq = seq;
    this.#nextIndex = index + 1;
    // A part of the position was dropped already, because all of it is too much.
    if (seq <= this.after) return;
    const event = { seq, index, kind, key: copy(key), value: copyOf(value), old: copyOf(old), entries };
    if (this.#events === NONE) {
      this.#events = [];
      this.#budget.filled(this);
    }
    this.#events.push(event);
    this.#count(bytesOf(event));
    const { events, bytes } = this.#budget.limits;
    while (this.length > events || (this.sizeBytes > bytes && this.length > 1)) this.#dropPosition();
    this.#budget.keep();
    this.#told(this.partition);
  }

  #count(bytes: number): void {
    this.sizeBytes += bytes;
    this.#budget.sizeBytes += bytes;
  }

  #dropPosition(): void {
    this.after = (this.#events[this.#first] as ChangeEvent).seq;
    this.hasDropped = true;
    while (this.length > 0 && (this.#events[this.#first] as ChangeEvent).seq <= this.after) {
      this.#count(-bytesOf(this.#events[this.#first] as ChangeEvent));
      this.#first++;
    }
    if (this.#first > 64 && this.#first * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#first);
      this.#first = 0;
    }
  }

  dropHalf(): void {
    const most = this.sizeBytes / 2;
    while (this.length > 0 && this.sizeBytes > most) this.#dropPosition();
  }

  restart(seq: number): void {
    this.after = Math.max(this.after, seq, this.#lastSeq);
    this.hasDropped = false;
    this.#clear();
  }

  #clear(): void {
    this.#count(-this.sizeBytes);
    this.#events = NONE;
    this.#first = 0;
    this.#budget.emptied(this);
  }

  /** Nobody listens any more, or the contents are gone. */
  close(): void {
    this.#clear();
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#budget.rings--;
  }

  /** Whether all events beyond the place are here. */
  covers({ seq, index }: EventPlace): boolean {
    // Of a position that was dropped some events may be missing.
    return seq > this.after || (seq === this.after && index === ALL_OF_POSITION);
  }

  /** Number, for `at`, of the first event beyond the place. */
  search(place: EventPlace): number {
    let low = this.#first;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBeyond(this.#events[middle] as ChangeEvent, place)) high = middle;
      else low = middle + 1;
    }
    return low - this.#first;
  }

  /** Undefined behind the last one. */
  at(number: number): ChangeEvent | undefined {
    return this.#events[this.#first + number];
  }
}

function copy(bytes: Uint8Array): Uint8Array {
  return Buffer.from(bytes);
}

function copyOf(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : copy(bytes);
}

function bytesOf({ key, value, old }: ChangeEvent): number {
  return EVENT_BYTES + key.length + (value?.length ?? 0) + (old?.length ?? 0);
}
