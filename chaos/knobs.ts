/**
 * Options of structures and calls that the promises depend on, beside the numbers of backups: a case that has them runs
 * under them, whatever its suite would have chosen. Drawn by nobody; the table of promises sets them.
 */
import type { Grid } from '../client/core/grid.js';
import type { CallOptions } from '../partitions/invoker.js';
import type { MemberOptions } from '../src/config.js';
import { type CallConsistency, classOf } from '../src/policy/class.js';
import type { PresetName } from '../src/policy/presets.js';
import type { Caller } from './workload/caller.js';

export interface Knobs {
  /** Of the grid. */
  readonly consistency: PresetName;
  readonly onBackupTimeout: 'indeterminate' | 'success';
  /** What all calls of the workload ask for; null: nothing. */
  readonly call: CallConsistency | null;
  /** Members below which calls are refused; null: there is no such protection. */
  readonly minimumClusterSize: number | null;
}

/** What a case says of them. */
export interface KnobbedCase {
  readonly knobs?: Knobs;
  readonly syncBackups: number;
}

const PROTECTION = 'table';

/** Of every structure. */
export function structureKnobs({ knobs }: KnobbedCase): object {
  if (knobs === undefined) return {};
  const { onBackupTimeout, minimumClusterSize } = knobs;
  return {
    onBackupTimeout,
    ...(minimumClusterSize === null ? {} : { splitBrainProtection: PROTECTION }),
  };
}

/** Of the members. */
export function memberKnobs({ knobs }: KnobbedCase): Partial<MemberOptions> {
  if (knobs === undefined) return {};
  const { consistency, minimumClusterSize } = knobs;
  return {
    consistency,
    ...(minimumClusterSize === null
      ? {}
      : { splitBrainProtections: { [PROTECTION]: { minimumClusterSize } } }),
  };
}

/** Errors that these options bring, beside those of every case. */
export function codesOfKnobs(plan: KnobbedCase): string[] {
  const { knobs } = plan;
  if (knobs === undefined) return [];
  return [
    ...(knobs.consistency.startsWith('PC') ? ['ERR_NO_LEASE'] : []),
    ...(readsBehind(plan) ? ['ERR_SESSION_LOST', 'ERR_TOO_STALE'] : []),
    ...(knobs.minimumClusterSize === null ? [] : ['ERR_SPLIT_BRAIN_PROTECTION']),
  ];
}

/** Whether calls of the workload may read what is behind. */
export function readsBehind({ knobs, syncBackups }: KnobbedCase): boolean {
  if (knobs === undefined) return false;
  const { consistency, call } = knobs;
  return classOf({ consistency, backups: { sync: syncBackups } }, call).reads === 'latency';
}

interface Adjustable {
  with(options: CallOptions): unknown;
}

/** The structures that the caller gets ask for this. */
export function askingFor(caller: Caller, consistency: CallConsistency | null): Caller {
  return consistency === null ? caller : { ...caller, grid: gridAsking(caller.grid, consistency) };
}

export function gridAsking(given: Grid, consistency: CallConsistency): Grid {
  // The getters of a grid cannot be changed, so the proxy stands in front of nothing.
  return new Proxy({} as Grid, {
    get(_, key) {
      const found: unknown = Reflect.get(given, key, given);
      if (typeof found !== 'function') return found;
      const method = found.bind(given) as (...args: unknown[]) => unknown;
      if (key !== 'getMap' && key !== 'getAtomicLong') return method;
      return (...args: unknown[]) => (method(...args) as Adjustable).with({ consistency });
    },
  });
}
