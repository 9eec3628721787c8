/**
 * The figures of the table, computed from what happened; pure, and what `--json` prints. Calls count for the phase in
 * which they ended. Latencies are of calls that were answered.
 */
import { lostWrites } from './lost.js';
import {
  isAvailable,
  NEAR_STALENESS_MS,
  type Phase,
  PRESETS,
  type PresetName,
  SIDES,
  type Side,
} from './plan.js';
import { type Outcome, phaseAt, type ReadRecord, type WriteRecord } from './records.js';
import { type StaleRead, staleReads } from './stale.js';

/** Of times in ms; null when there are none. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface WriteFigures {
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  readonly latencyMs: Spread | null;
  /** Names of errors with how often each came. */
  readonly errors: Readonly<Record<string, number>>;
}

/** Stale reads by whose writes they missed. */
export interface StaleFigures {
  readonly count: number;
  /** How old they truly were. */
  readonly ageMs: Spread | null;
  /** What their answers told; null when one told no bound, or when what it told does not speak of these writes. */
  readonly boundMs: Spread | null;
}

export interface ReadFigures {
  readonly answered: number;
  readonly refused: number;
  readonly fromNearCache: number;
  readonly fromBackups: number;
  readonly latencyMs: Spread | null;
  /** They missed a write of the own side; while nobody is cut off, of anybody. */
  readonly stale: StaleFigures;
  /** They missed only writes of the other side. */
  readonly behindOther: StaleFigures;
  readonly errors: Readonly<Record<string, number>>;
}

export interface Calls {
  readonly writes: WriteFigures;
  readonly reads: ReadFigures;
}

export interface PresetFigures {
  readonly together: Calls;
  readonly split: Readonly<Record<Side, Calls>>;
  readonly healing: Calls;
  readonly whole: Calls;
  /** From the cut to the answer of the minority's last acknowledged write in the split, ms; null without one. */
  readonly minorityAcknowledgedForMs: number | null;
  /** Calls to primaries that began later than a lease after the cut, and were answered on the side of the minority. */
  readonly answeredAfterLease: number;
  /** Entries that came from the other side. */
  readonly merged: number;
  /** `key=value` of acknowledged writes that a merge did not keep, and reported. */
  readonly discarded: readonly string[];
  /** The same of writes of unknown outcome: nobody was told that they were done. */
  readonly discardedUnknown: readonly string[];
  /** Acknowledged writes that are gone without a word. */
  readonly lost: readonly string[];
  /** Values that nobody wrote, or whose write was refused. */
  readonly invented: readonly string[];
  /** Reads that were older than their answer said. */
  readonly beyondBound: number;
  /** Hits of the near cache that said themselves to be older than its `maxStalenessMs`. */
  readonly hitsTooOld: number;
}

export interface Figures {
  readonly lengthsMs: Readonly<Record<Phase, number>>;
  readonly presets: Readonly<Record<PresetName, PresetFigures>>;
  readonly isTruncated: boolean;
  readonly isDisturbed: boolean;
}

export function figuresOf(outcome: Outcome, leaseMs: number): Figures {
  const { togetherMs, splitMs, healMs, wholeMs, endMs } = outcome.times;
  const presets = PRESETS.map((preset) => [preset, presetFigures(outcome, preset, leaseMs)]);
  return {
    lengthsMs: {
      together: splitMs - togetherMs,
      split: healMs - splitMs,
      healing: wholeMs - healMs,
      whole: endMs - wholeMs,
    },
    presets: Object.fromEntries(presets) as Record<PresetName, PresetFigures>,
    isTruncated: outcome.isTruncated,
    isDisturbed: outcome.isDisturbed,
  };
}

function presetFigures(outcome: Outcome, preset: PresetName, leaseMs: number): PresetFigures {
  const { times } = outcome;
  const writes = outcome.writes.filter((write) => write.preset === preset);
  const reads = outcome.reads.filter((read) => read.preset === preset);
  const stale = new Map(staleReads(reads, writes, times.splitMs).map((one) => [one.read, one]));
  const calls = (phase: Phase, side?: Side): Calls => {
    const isIn = (call: WriteRecord | ReadRecord) =>
      phaseAt(times, call.endMs) === phase && (side === undefined || call.side === side);
    return {
      writes: writeFigures(writes.filter(isIn)),
      reads: readFigures(reads.filter(isIn), stale, phase === 'split'),
    };
  };
  const sides = SIDES.map((side) => [side, calls('split', side)]);
  const isApart = ({ side, endMs }: WriteRecord | ReadRecord) =>
    side === 'minority' && endMs > times.splitMs && endMs < times.healMs;
  const acknowledged = writes.filter((write) => write.outcome === 'acknowledged' && isApart(write));
  const answered = reads.filter((read) => read.source === 'primary' && isApart(read));
  const found = outcome.found.get(preset) ?? new Map<string, string>();
  const merged = outcome.merged.get(preset);
  const discarded = merged?.discarded ?? [];
  const acknowledgedEntries = new Set(
    writes.filter((write) => write.outcome === 'acknowledged').map(({ key, value }) => `${key}=${value}`),
  );
  // PC promises to keep everything: that something was reported does not make up for it.
  const excused = new Set(isAvailable(preset) ? discarded : []);
  return {
    together: calls('together'),
    split: Object.fromEntries(sides) as Record<Side, Calls>,
    healing: calls('healing'),
    whole: calls('whole'),
    minorityAcknowledgedForMs:
      acknowledged.length === 0 ? null : Math.max(...acknowledged.map(({ endMs }) => endMs)) - times.splitMs,
    answeredAfterLease: [...acknowledged, ...answered].filter(
      ({ startMs }) => startMs > times.splitMs + leaseMs,
    ).length,
    merged: merged?.taken ?? 0,
    discarded: discarded.filter((entry) => acknowledgedEntries.has(entry)),
    discardedUnknown: discarded.filter((entry) => !acknowledgedEntries.has(entry)),
    lost: lostWrites(writes, found, excused).map(({ write }) => `${write.key}=${write.value}`),
    invented: inventedValues(writes, found),
    beyondBound: [...stale.values()].filter(({ isBeyondBound }) => isBeyondBound).length,
    hitsTooOld: reads.filter(({ source, boundMs }) => source === 'nearCache' && boundMs > NEAR_STALENESS_MS)
      .length,
  };
}

function writeFigures(writes: readonly WriteRecord[]): WriteFigures {
  const of = (outcome: WriteRecord['outcome']) => writes.filter((write) => write.outcome === outcome);
  const acknowledged = of('acknowledged');
  return {
    acknowledged: acknowledged.length,
    refused: of('refused').length,
    unknown: of('unknown').length,
    latencyMs: spreadOf(acknowledged.map(({ startMs, endMs }) => endMs - startMs)),
    errors: countErrors(writes),
  };
}

function readFigures(
  reads: readonly ReadRecord[],
  stale: ReadonlyMap<ReadRecord, StaleRead>,
  isSplit: boolean,
): ReadFigures {
  const answered = reads.filter(({ error }) => error === '');
  const from = (source: ReadRecord['source']) => answered.filter((read) => read.source === source).length;
  const all = answered.flatMap((read) => stale.get(read) ?? []);
  const isOwn = ({ ownAgeMs }: StaleRead) => !isSplit || ownAgeMs !== null;
  return {
    answered: answered.length,
    refused: reads.length - answered.length,
    fromNearCache: from('nearCache'),
    fromBackups: from('backup'),
    latencyMs: spreadOf(answered.map(({ startMs, endMs }) => endMs - startMs)),
    stale: staleFigures(
      all.filter(isOwn),
      ({ ageMs, ownAgeMs }) => (isSplit ? (ownAgeMs ?? ageMs) : ageMs),
      true,
    ),
    behindOther: staleFigures(
      all.filter((one) => !isOwn(one)),
      ({ ageMs }) => ageMs,
      false,
    ),
    errors: countErrors(reads),
  };
}

function staleFigures(
  stale: readonly StaleRead[],
  ageOf: (one: StaleRead) => number,
  isOwn: boolean,
): StaleFigures {
  const speaks = stale.every(
    ({ read }) => Number.isFinite(read.boundMs) && (isOwn || !isAvailable(read.preset)),
  );
  return {
    count: stale.length,
    ageMs: spreadOf(stale.map(ageOf)),
    boundMs: speaks ? spreadOf(stale.map(({ read }) => read.boundMs)) : null,
  };
}

/** By the nearest rank: the least value that this part of all values does not exceed. */
export function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] as number;
}

export function spreadOf(valuesMs: readonly number[]): Spread | null {
  if (valuesMs.length === 0) return null;
  const sorted = [...valuesMs].sort((a, b) => a - b);
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), max: percentile(sorted, 1) };
}

function countErrors(calls: readonly { readonly error: string }[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { error } of calls) if (error !== '') counts.set(error, (counts.get(error) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([, a], [, b]) => b - a));
}

function inventedValues(writes: readonly WriteRecord[], found: ReadonlyMap<string, string>): string[] {
  const written = new Set(
    writes.filter(({ outcome }) => outcome !== 'refused').map(({ key, value }) => `${key}=${value}`),
  );
  return [...found].map(([key, value]) => `${key}=${value}`).filter((entry) => !written.has(entry));
}
