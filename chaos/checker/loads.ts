/**
 * Holds what loaders did against what `getOrLoad` promises: one loader of a key at a time, fences that only grow, and
 * nothing shown of a loader that somebody has taken over from. Called by the judge of loads. A run ends for this check
 * when its loader did, when it was told that its time is over, when its process crashed or stood still, because it could
 * not do anything then, and when the key was written or removed.
 */
import type { LoadRead, LoadRun } from '../workload/load.js';
import type { HistoryOperation } from './history.js';

/** A process did not run from then on, for a while or for ever. */
export interface Stop {
  readonly host: string;
  readonly fromMs: number;
}

/** A write or a removal of a key that may have taken effect: it ends the lease of who loads then. */
export interface Change {
  readonly k: string;
  readonly callMs: number;
  /** Null when nobody knows whether it did. */
  readonly retMs: number | null;
}

export interface LoadsInput {
  readonly runs: readonly LoadRun[];
  readonly reads: readonly LoadRead[];
  readonly changes: readonly Change[];
  readonly stops: readonly Stop[];
}

/** A line for each broken promise. */
export function checkLoads({ runs, reads, changes, stops }: LoadsInput): string[] {
  const problems: string[] = [];
  for (const [k, ofKey] of byKey(runs)) {
    ofKey.forEach((run, i) => {
      const before = ofKey[i - 1];
      if (before === undefined) return;
      const endMs = endOf(before, stops);
      if (run.fromMs < endMs && !changes.some((change) => isBetween(change, before, run)))
        problems.push(
          `${k}: ${text(run)} began while ${text(before)} ran, until ${endMs.toFixed(1)} at the least`,
        );
      if (run.fence === before.fence)
        problems.push(`${k}: ${text(before)} and ${text(run)} have the same fence ${run.fence}`);
    });
    problems.push(...shownTooLate(k, ofKey, reads));
  }
  return problems;
}

/** What a run brought is not shown to a call that came after another run had begun. */
function shownTooLate(k: string, runs: readonly LoadRun[], reads: readonly LoadRead[]): string[] {
  const problems: string[] = [];
  const numbers = new Map(runs.map(({ value }, i) => [value, i]));
  for (const { k: key, value, callMs, mayBeStale } of reads) {
    const number = key === k && !mayBeStale ? numbers.get(value) : undefined;
    const next = number === undefined ? undefined : runs[number + 1];
    if (next !== undefined && callMs > next.fromMs)
      problems.push(`${k}: a call of ${callMs.toFixed(1)} got ${value}, after ${text(next)} had begun`);
  }
  return problems;
}

function isBetween({ k, callMs, retMs }: Change, before: LoadRun, after: LoadRun): boolean {
  return k === after.k && callMs < after.fromMs && (retMs === null || retMs > before.calledMs);
}

/**
 * In the order of their fences: that is how leases were granted. The answers of two may come the other way round when the
 * key was written between them; else a run that comes late began while the next one ran.
 */
function byKey(runs: readonly LoadRun[]): Map<string, LoadRun[]> {
  const keys = new Map<string, LoadRun[]>();
  for (const run of [...runs].sort((a, b) => Number(a.fence - b.fence))) {
    const present = keys.get(run.k);
    if (present === undefined) keys.set(run.k, [run]);
    else present.push(run);
  }
  return keys;
}

function endOf({ host, fromMs, toMs, abortedMs }: LoadRun, stops: readonly Stop[]): number {
  const stopped = stops.filter((stop) => stop.host === host && stop.fromMs >= fromMs);
  const ends = [toMs, abortedMs, ...stopped.map((stop) => stop.fromMs)].filter((ms) => ms !== null);
  return Math.min(...ends);
}

function text({ value, host, fromMs }: LoadRun): string {
  return `'${value}' (${host}, ${fromMs.toFixed(1)})`;
}

/** What runs stored, as operations on registers: certainly when somebody got the value, else perhaps. */
export function storesOf(runs: readonly LoadRun[], reads: readonly LoadRead[]): HistoryOperation[] {
  return runs
    .filter(({ outcome }) => outcome === 'value')
    .map(({ k, value, toMs }, i) => {
      const seen = reads.filter((read) => read.value === value).map(({ retMs }) => retMs);
      const operation = { c: 1_000_000 + i, k, f: 'putIfAbsent', v: value, call: ns(toMs as number) };
      if (seen.length === 0) return { ...operation, ret: null, type: 'info' };
      return { ...operation, ret: ns(Math.min(...seen)), type: 'ok', out: null };
    });
}

function ns(ms: number): number {
  return Math.round(ms * 1e6);
}
