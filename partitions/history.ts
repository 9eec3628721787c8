/**
 * Where a replica's contents come from: for each epoch that is part of them, the lineage and view of its primary and
 * the position after which it began. Two replicas share what lies before the point at which their histories part.
 * Invariants: starts ascend strictly (an epoch that none of the contents are of is left out), and a position belongs
 * to the last epoch that began before it. Called by replication and merge.
 */

import type { Reader, Writer } from '../src/base/bytes.js';
import { count, type Field, list, record, u32 } from '../src/wire/fields.js';

export interface EpochStart {
  /** Tag of the lineage; with the epoch it names one primary. */
  readonly lineage: number;
  /** Number of the view in which the primary took over. */
  readonly epoch: number;
  /** Positions after this one are of this epoch, up to the start of the next. */
  readonly start: number;
}

/** Names one primary: views of two lineages may have the same number. */
export type EpochName = Pick<EpochStart, 'lineage' | 'epoch'>;

export const epochNameField: Field<EpochName> = record({ lineage: u32, epoch: u32 });

export function isSameEpoch(a: EpochName | undefined, b: EpochName | undefined): boolean {
  return a !== undefined && b !== undefined && a.lineage === b.lineage && a.epoch === b.epoch;
}

/** Contents are of this epoch last: whoever leads them still leads in it. */
export function isOfEpoch({ history }: Pick<Contents, 'history'>, epoch: EpochName | undefined): boolean {
  return isSameEpoch(history.at(-1), epoch);
}

export const epochField: Field<EpochStart> = record({ lineage: u32, epoch: u32, start: count });

/** A position of a partition, with the history that it is of. */
export interface Place {
  /** Tag of the lineage. */
  readonly lineage: number;
  /** Number of the view in which the primary took over that made this position. */
  readonly epoch: number;
  readonly seq: number;
}

export function writePlace(writer: Writer, { lineage, epoch, seq }: Place): void {
  writer.u32(lineage);
  writer.u32(epoch);
  writer.f64(seq);
}

export function readPlace(reader: Reader): Place {
  return { lineage: reader.u32(), epoch: reader.u32(), seq: count.read(reader) };
}

export const placeField: Field<Place> = {
  type: '{lineage: u32, epoch: u32, seq: count}',
  write: writePlace,
  read: readPlace,
};

/** Epochs that a replica remembers; with one that is older than all of them nothing is known to be shared. */
export const MAX_HISTORY = 64;

export const historyField: Field<readonly EpochStart[]> = list(epochField, MAX_HISTORY);

/** How far contents go, and where they come from. */
export interface Contents {
  readonly seq: number;
  readonly history: readonly EpochStart[];
}

/** The history with a further epoch, which begins after `start`; what lay beyond is void. */
export function withEpoch(history: readonly EpochStart[], entry: EpochStart): EpochStart[] {
  const kept = history.filter(({ start }) => start < entry.start);
  return [...kept.slice(-(MAX_HISTORY - 1)), entry];
}

/** The epoch that a position is of; undefined when it is older than all that is remembered. */
export function epochOf(history: readonly EpochStart[], seq: number): EpochStart | undefined {
  return history.findLast(({ start }) => start < seq);
}

/** The position of a history at `seq`; one that is older than all that is remembered counts to the oldest epoch. */
export function placeAt(history: readonly EpochStart[], seq: number): Place {
  const { lineage = 0, epoch = 0 } = epochOf(history, seq) ?? history[0] ?? {};
  return { lineage, epoch, seq };
}

/**
 * Whether contents have all that somebody has seen at a position. `behind`: not yet. `lost`: the position is of a history
 * that these contents have left, or so old that nobody remembers. `elsewhere`: it is of a lineage that is unknown here.
 */
export function seenBy({ seq, history }: Contents, place: Place): 'here' | 'behind' | 'lost' | 'elsewhere' {
  if (place.seq === 0) return 'here';
  const at = history.findIndex((one) => isSameEpoch(one, place));
  if (at < 0) {
    const last = history.findLast(({ lineage }) => lineage === place.lineage);
    if (last === undefined) return 'elsewhere';
    return last.epoch > place.epoch || last !== history.at(-1) ? 'lost' : 'behind';
  }
  const end = history[at + 1]?.start;
  if (end !== undefined && place.seq > end) return 'lost';
  // A backup learns where epochs began before it has their positions.
  return place.seq <= seq ? 'here' : 'behind';
}

/** Tag of the lineage that the contents come from last; 0 when there are none. */
export function lineageOf(history: readonly EpochStart[]): number {
  return history.at(-1)?.lineage ?? 0;
}

/** The highest position up to which both have the same contents. */
export function sharedUpTo(a: Contents, b: Contents): number {
  const [i, j] = align(a.history, b.history);
  if (i < 0) return 0;
  let same = 0;
  while (isSame(a.history[i + same], b.history[j + same])) same++;
  const endA = a.history[i + same]?.start ?? a.seq;
  const endB = b.history[j + same]?.start ?? b.seq;
  return Math.min(endA, endB, a.seq, b.seq);
}

/** All contents of `a` are contents of `b`. */
export function isPrefix(a: Contents, b: Contents): boolean {
  return a.seq === 0 || sharedUpTo(a, b) === a.seq;
}

/** Indexes of the first epoch that both remember; the older ones were forgotten by one of them. */
function align(a: readonly EpochStart[], b: readonly EpochStart[]): [number, number] {
  for (let i = 0; i < a.length; i++) {
    const j = b.findIndex((entry) => isSame(a[i], entry));
    if (j >= 0)
      return i === 0 || j === 0 || a.length === MAX_HISTORY || b.length === MAX_HISTORY ? [i, j] : [-1, -1];
  }
  return [-1, -1];
}

function isSame(a: EpochStart | undefined, b: EpochStart | undefined): boolean {
  return isSameEpoch(a, b) && a?.start === b?.start;
}
