/** What happened in a run of `split-run.ts`, computed from the ends of all writes. Pure. */
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

/**
 * Acknowledged writes that are neither there nor replaced by a later write of the same writer nor in a merge report.
 * Only the last acknowledged write of each writer to a key can be missed, and any write of unknown outcome may have
 * taken its place.
 */
export function lostWrites({ records, found, reports }: SplitOutcome, map: string): string[] {
  const discarded = new Set(
    reports.discarded
      .filter(({ structure }) => structure === map)
      .map(({ key, discarded: value }) => `${key}=${value}`),
  );
  const byWriter = new Map<string, WriteRecord[]>();
  for (const record of records) {
    if (record.map !== map || record.outcome === 'refused') continue;
    const name = `${record.key} of ${record.value.slice(0, record.value.indexOf(':'))}`;
    const writes = byWriter.get(name);
    if (writes === undefined) byWriter.set(name, [record]);
    else writes.push(record);
  }
  const lost: string[] = [];
  for (const [name, writes] of byWriter) {
    const { key } = writes[0] as WriteRecord;
    const last = Math.max(0, ...writes.filter(({ outcome }) => outcome === 'acknowledged').map(({ n }) => n));
    if (last === 0) continue;
    const there = found.get(`${map}/${key}`);
    // A write of unknown outcome may take effect late, so also an earlier one.
    const candidates = writes
      .filter(({ n, outcome }) => n === last || outcome === 'unknown')
      .map(({ value }) => value);
    if (candidates.some((value) => value === there || discarded.has(`${key}=${value}`))) continue;
    lost.push(`${name}: ${last} was acknowledged, ${there ?? 'nothing'} is there`);
  }
  return lost;
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
