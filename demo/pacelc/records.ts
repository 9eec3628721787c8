/**
 * What happened in a run: one record for each call, with times of one clock (`performance.now()` of the process of the
 * demonstration), and when the phases began. Written by `load.ts`, read by the arithmetic.
 */
import type { Phase, PresetName, Side } from './plan.js';

export interface WriteRecord {
  readonly preset: PresetName;
  /** Of the client that wrote. */
  readonly side: Side;
  readonly key: string;
  /** `side:n`; no other write of the key has it. */
  readonly value: string;
  readonly n: number;
  readonly outcome: 'acknowledged' | 'refused' | 'unknown';
  /** Name of the error, or empty. */
  readonly error: string;
  /** Lineage and view of the takeover of the primary that answered, where the answer tells; else empty. */
  readonly history: string;
  readonly startMs: number;
  readonly endMs: number;
}

export interface ReadRecord {
  readonly preset: PresetName;
  readonly side: Side;
  readonly key: string;
  /** Null for an absent key, and for a read that was not answered. */
  readonly value: string | null;
  readonly error: string;
  readonly source: 'primary' | 'backup' | 'nearCache' | null;
  /** Upper bound of its age that the answer told; Infinity when it told none. */
  readonly boundMs: number;
  readonly history: string;
  readonly startMs: number;
  readonly endMs: number;
}

/** When each phase began, and when the last one ended. */
export interface Times {
  readonly togetherMs: number;
  readonly splitMs: number;
  readonly healMs: number;
  readonly wholeMs: number;
  readonly endMs: number;
}

/** What merges did with the map of one preset. */
export interface Merged {
  /** Entries that came from the other side. */
  readonly taken: number;
  /** `key=value` of acknowledged writes that were not kept, as the merge reports list them. */
  readonly discarded: readonly string[];
}

export interface Outcome {
  readonly times: Times;
  readonly writes: readonly WriteRecord[];
  readonly reads: readonly ReadRecord[];
  /** By preset: the entries that are there in the end. */
  readonly found: ReadonlyMap<PresetName, ReadonlyMap<string, string>>;
  readonly merged: ReadonlyMap<PresetName, Merged>;
  /** A merge report had no room for all. */
  readonly isTruncated: boolean;
  /** Members were taken for dead while nobody was cut off: promises for that time are not judged. */
  readonly isDisturbed: boolean;
}

export function phaseAt(times: Times, ms: number): Phase | null {
  if (ms < times.togetherMs || ms >= times.endMs) return null;
  if (ms < times.splitMs) return 'together';
  if (ms < times.healMs) return 'split';
  return ms < times.wholeMs ? 'healing' : 'whole';
}
