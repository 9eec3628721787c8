/** What happened in a run of `split-run.ts`, computed from the ends of all writes. Pure. */
import { lostWrites as lostOf } from '../../demo/pacelc/lost.js';
import type { SplitOutcome } from './split-run.js';
import type { WriteRecord } from './split-writer.js';

/** How long after the split began writes of the minority's client to a map were still acknowledged, ms. */
export function acknowledgedForMs({ records, splitMs, healMs }: SplitOutcome, map: string): number {
  const ends = records
    .filter(({ outcome, value }) => outcome === 'acknowledged' && value.startsWith('right:'))
    .filter((record) => record.map === map && record.endMs > splitMs && record.endMs < healMs)
    .map(({ endMs }) => endMs - splitMs);
  return Math.max(0, ...ends);
}

/** Acknowledged writes of a side in the last quarter of the split. */
export function acknowledgedLate(
  { records, splitMs, healMs }: SplitOutcome,
  side: string,
  map: string,
): number {
  const fromMs = splitMs + (healMs - splitMs) * 0.75;
  return records.filter(
    ({ outcome, value, startMs, endMs, ...record }) =>
      record.map === map &&
      outcome === 'acknowledged' &&
      value.startsWith(`${side}:`) &&
      startMs > fromMs &&
      endMs < healMs,
  ).length;
}

/** How many writes of a side to a map ended with each error while it was apart. */
export function errorsDuring(
  { records, splitMs, healMs }: SplitOutcome,
  side: string,
  map: string,
): Map<string, number> {
  const errors = new Map<string, number>();
  for (const record of records) {
    if (record.map !== map || record.error === '' || !record.value.startsWith(`${side}:`)) continue;
    if (record.endMs < splitMs || record.startMs > healMs) continue;
    errors.set(record.error, (errors.get(record.error) ?? 0) + 1);
  }
  return errors;
}

/** Acknowledged writes of a map that are gone: neither there nor replaced by a later write nor in a merge report. */
export function lostWrites({ records, found, reports, splitMs }: SplitOutcome, map: string): string[] {
  const discarded = new Set(
    reports.discarded.flatMap(({ structure, key, discarded: value }) =>
      structure === map ? [`${key}=${value}`] : [],
    ),
  );
  const writes = records.filter((record) => record.map === map);
  const there = new Map(
    [...found].flatMap(([name, value]) =>
      name.startsWith(`${map}/`) ? [[name.slice(map.length + 1), value]] : [],
    ),
  );
  return lostOf(writes, there, discarded).map(({ write, writer, instead }) => {
    const what = instead === undefined ? 'nothing known' : describe(instead, splitMs);
    return `${write.key}: ${describe(write, splitMs)} of ${writer} is lost, ${what} is there`;
  });
}

function describe({ value, outcome, startMs, endMs }: WriteRecord, splitMs: number): string {
  return `${value} (${outcome}, ${Math.round(startMs - splitMs)} to ${Math.round(endMs - splitMs)} ms)`;
}

/** Values that are there and that nobody wrote, or whose write was refused. */
export function inventedValues({ records, found }: SplitOutcome, map: string): string[] {
  const written = new Set(
    records
      .filter((record) => record.map === map && record.outcome !== 'refused')
      .map(({ key, value }) => `${map}/${key}=${value}`),
  );
  return [...found]
    .filter(([name, value]) => name.startsWith(`${map}/`) && !written.has(`${name}=${value}`))
    .map(([name, value]) => `${name} is ${value}`);
}
