/**
 * A case with splits of the network as plain data: what the usual case has, and beside it the preset, how conflicts are
 * merged, and what cuts the members apart. Drawn by `draw.ts`, or written by hand in directed schedules.
 */
import type { Case } from '../case.js';

/** The presets whose promises this suite holds runs against. */
export const SPLIT_PRESETS = ['PA/EC', 'PC/EC'] as const;
export type SplitPreset = (typeof SPLIT_PRESETS)[number];

export const MERGE_POLICIES = [
  'LatestUpdate',
  'PassThrough',
  'PutIfAbsent',
  'HigherHits',
  'LatestAccess',
  'ExpirationTime',
  'Discard',
] as const;
export type MergePolicyName = (typeof MERGE_POLICIES)[number];

/** What a case runs when nobody chooses. */
export const WORKLOADS = ['map-register', 'map-set', 'counter'] as const;
/**
 * `map-behind`: reads that may be behind, of a map with EL; `map-near`: the same with near caches, and less luck for them;
 * `queue`: items that everybody puts in and takes out; `queue-acks`: items that have to be acknowledged; `multimap`: pairs that are put and removed; `locks`: locks of keys;
 * `map-listen`: the calls of `map-register`, with listeners; `processors`: functions of users; `map-expiry`: entries that end;
 * `map-store`: maps that are kept in a store; `queries`: queries of whole maps beside writes of their keys.
 */
export const ALL_WORKLOADS = [
  ...WORKLOADS,
  'map-behind',
  'map-near',
  'queue',
  'queue-acks',
  'multimap',
  'locks',
  'map-store',
  'map-listen',
  'processors',
  'map-expiry',
  'queries',
] as const;
export type WorkloadName = (typeof ALL_WORKLOADS)[number];

export const NEMESES = ['partition', 'crash', 'pause', 'clock', 'delay', 'loss', 'one-way'] as const;
export type NemesisName = (typeof NEMESES)[number];

/** Members that are cut apart for a time. Times are since the workload began. */
export interface Round {
  readonly shape: string;
  readonly fromMs: number;
  /** Null: until the end of the workload, when the state on the sides has been checked. */
  readonly toMs: number | null;
}

export interface SplitCase extends Case {
  readonly preset: SplitPreset;
  readonly mergePolicy: MergePolicyName;
  readonly leaseMs: number;
  /** With it, members get these times in the place of the preset of timings. */
  readonly heartbeatMs?: number;
  /** Left out: longer than any cut lasts. */
  readonly partitionLossTimeoutMs?: number;
  readonly wallOffsetMs: number;
  readonly workloads: readonly WorkloadName[];
  readonly rounds: readonly Round[];
}
