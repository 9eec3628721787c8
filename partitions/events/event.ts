/**
 * What structures tell of their changes while somebody listens. An event is made where a change is applied, from what the
 * change carries and what was there before, so that every replica makes the same events for a position. Invariant: no
 * clock and no option is looked at. Called by the states of structures; kept in rings, told by `listeners/`.
 */
import { count, type Field, record, u32 } from '../../src/wire/fields.js';

/** Their places in this list are on the wire. The last two are about a whole structure, in one partition. */
export const EVENT_KINDS = [
  'added',
  'removed',
  'updated',
  'merged',
  'evicted',
  'expired',
  'loaded',
  'mapEvicted',
  'mapCleared',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

export interface ChangeEvent {
  readonly seq: number;
  /** Among the events of its position, from 0 on. */
  readonly index: number;
  readonly kind: EventKind;
  /** Empty for an event of a whole structure. */
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly old: Uint8Array | null;
  /** Entries that an event of a whole structure is about; else 1. */
  readonly entries: number;
}

/** Where a state tells its changes. */
export interface ChangeSink {
  /** A position changes something. Bytes are copied: they may be views that are valid during the call only. */
  tell(
    seq: number,
    kind: EventKind,
    key: Uint8Array,
    value: Uint8Array | null,
    old: Uint8Array | null,
    entries?: number,
  ): void;
  /** Up to a position contents were repaired, not changed: nothing can be told across it. */
  restart(seq: number): void;
}

/** How far somebody has been told of a partition: all of the positions before `seq`, and `index` events of it. */
export interface EventPlace {
  /** Tag of the lineage, and number of the view of the takeover, that the position is of. */
  readonly lineage: number;
  readonly epoch: number;
  readonly seq: number;
  readonly index: number;
}

/** Of an `EventPlace`: all events of the position. */
export const ALL_OF_POSITION = 0xffff_ffff;

export const eventPlaceField: Field<EventPlace> = record({
  lineage: u32,
  epoch: u32,
  seq: count,
  index: u32,
});

export function isSamePlace(a: EventPlace | null, b: EventPlace | null): boolean {
  if (a === null || b === null) return a === b;
  return a.lineage === b.lineage && a.epoch === b.epoch && a.seq === b.seq && a.index === b.index;
}

/** One that somebody who has been told up to a place was not told of yet. */
export function isBeyond({ seq, index }: ChangeEvent, place: EventPlace): boolean {
  return seq > place.seq || (seq === place.seq && index >= place.index);
}
