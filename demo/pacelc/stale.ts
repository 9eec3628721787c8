/**
 * Which reads were stale, and by how much. A read is stale when a newer value of its key had been acknowledged, on any
 * side, before it began; a write is newer than another one when it began after that one had been answered, so writes at
 * the same time prove nothing. Pure; all times are of one clock, so the true age needs no trust in the grid.
 */
import { groupBy } from './lost.js';
import { isAvailable } from './plan.js';
import type { ReadRecord, WriteRecord } from './records.js';

/** Of an age that is told, which is rounded on its way. */
const SLACK_MS = 2;

export interface StaleRead {
  readonly read: ReadRecord;
  /** Since when there had been an acknowledged newer value, ms. */
  readonly ageMs: number;
  /** The same, of the writes of the reader's own side, in a split those since the cut; null when it missed none of these. */
  readonly ownAgeMs: number | null;
  /** It was older than its answer said. */
  readonly isBeyondBound: boolean;
}

/** The stale ones among the reads that were answered. The records may be of several presets. `cutMs`: when sides parted. */
export function staleReads(
  reads: readonly ReadRecord[],
  writes: readonly WriteRecord[],
  cutMs: number,
): StaleRead[] {
  const byKey = groupBy(writes, keyOf);
  return reads.flatMap((read) => {
    if (read.error !== '') return [];
    const stale = staleness(read, byKey.get(keyOf(read)) ?? [], cutMs);
    return stale === null ? [] : [stale];
  });
}

function keyOf({ preset, key }: ReadRecord | WriteRecord): string {
  return `${preset} ${key}`;
}

function staleness(read: ReadRecord, writes: readonly WriteRecord[], cutMs: number): StaleRead | null {
  const source = read.value === null ? null : writes.find(({ value }) => value === read.value);
  // The moment at which a write of unknown outcome took effect is not known.
  if (source !== null && source?.outcome !== 'acknowledged') return null;
  const sinceMs = source?.endMs ?? Number.NEGATIVE_INFINITY;
  const missed = writes.filter(
    ({ outcome, startMs, endMs }) =>
      outcome === 'acknowledged' && startMs >= sinceMs && endMs <= read.startMs,
  );
  if (missed.length === 0) return null;
  const ageOf = (some: readonly WriteRecord[]) => read.startMs - Math.min(...some.map(({ endMs }) => endMs));
  // What was written before the cut may have stayed on the other side.
  const ownSinceMs = read.startMs < cutMs ? Number.NEGATIVE_INFINITY : cutMs;
  const own = missed.filter(({ side, startMs }) => side === read.side && startMs >= ownSinceMs);
  const promised = missed.filter((write) => isPromised(read, write));
  return {
    read,
    ageMs: ageOf(missed),
    ownAgeMs: own.length === 0 ? null : ageOf(own),
    isBeyondBound: promised.length > 0 && ageOf(promised) > read.boundMs + SLACK_MS,
  };
}

/** PC has one history; under PA an age is relative to the history that answered. */
function isPromised(read: ReadRecord, write: WriteRecord): boolean {
  return !isAvailable(read.preset) || (write.history !== '' && write.history === read.history);
}
