/** Records of calls as the PACELC demonstration makes them, for the tests of its arithmetic. */
import { PRESETS } from '../../demo/pacelc/plan.js';
import type { Outcome, ReadRecord, Times, WriteRecord } from '../../demo/pacelc/records.js';

/** Together from 0, apart from 1,000, healed at 5,000, merged at 6,000, over at 7,000. */
export const TIMES: Times = { togetherMs: 0, splitMs: 1_000, healMs: 5_000, wholeMs: 6_000, endMs: 7_000 };

/** An acknowledged write of the majority to the PA/EC map; value `side:n`. */
export function write(
  n: number,
  startMs: number,
  endMs: number,
  more: Partial<WriteRecord> = {},
): WriteRecord {
  const side = more.side ?? 'majority';
  return {
    preset: 'PA/EC',
    side,
    key: 'k',
    value: `${side}:${n}`,
    n,
    outcome: 'acknowledged',
    error: '',
    history: '',
    startMs,
    endMs,
    ...more,
  };
}

/** A read of the majority from a primary, answered after 1 ms. */
export function read(value: string | null, startMs: number, more: Partial<ReadRecord> = {}): ReadRecord {
  return {
    preset: 'PA/EC',
    side: 'majority',
    key: 'k',
    value,
    error: '',
    source: 'primary',
    boundMs: 0,
    history: '',
    startMs,
    endMs: startMs + 1,
    ...more,
  };
}

/** What is there in the end is, for each preset, what its last acknowledged writes left. */
export function outcomeOf(
  writes: readonly WriteRecord[],
  reads: readonly ReadRecord[] = [],
  more: Partial<Outcome> = {},
): Outcome {
  const found = PRESETS.map((preset) => {
    const left = new Map<string, string>();
    for (const one of writes)
      if (one.preset === preset && one.outcome === 'acknowledged') left.set(one.key, one.value);
    return [preset, left] as const;
  });
  return {
    times: TIMES,
    writes,
    reads,
    found: new Map(found),
    merged: new Map(),
    isTruncated: false,
    isDisturbed: false,
    ...more,
  };
}
