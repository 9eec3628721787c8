/**
 * One case of the swarm as plain data: cluster, clients, workload and faults. Drawn from a seed by `draw.ts`, or written
 * by hand in directed schedules; run by `run.ts`.
 */
import type { PresetName } from '../src/policy/presets.js';
import type { Knobs } from './knobs.js';
import type { Fault } from './nemesis/fault.js';
import type { LinkOptions } from './sim/link.js';

/**
 * What the faults of a case go up to. `promised`: what all guarantees hold for. `suspicion`: pauses and holds that
 * may make a healthy member look dead, after which linearizability is not promised. `beyond`: more crashes than
 * sync backups; only agreement, convergence and the return of service are judged.
 */
export type Profile = 'promised' | 'suspicion' | 'beyond';

export interface ClientPlan {
  /** A client of its own, or the API of a member. */
  readonly kind: 'client' | 'member';
  readonly routing: 'all' | 'single';
  /** Loops that call one operation after the other. */
  readonly workers: number;
}

/** Presets that change under load. */
export interface TogglePlan {
  /** One of them at a time. */
  readonly loose: readonly PresetName[];
  readonly strict: readonly PresetName[];
  /** The grid as a whole, in the place of the pattern of the workload. */
  readonly isAll: boolean;
}

export interface Case {
  readonly seed: number;
  readonly profile: Profile;
  readonly members: number;
  readonly partitionCount: number;
  readonly timings: 'lan' | 'local';
  /** Silence after which a member is suspected. */
  readonly suspicionMs: number;
  /** The same for all structures: the B of the guarantees. */
  readonly syncBackups: number;
  readonly asyncBackups: { readonly maps: number; readonly atomicLongs: number };
  readonly minSynced: number;
  readonly backupTimeoutMs: number;
  /** Left out, the suite chooses. */
  readonly knobs?: Knobs;
  readonly link: Partial<LinkOptions>;
  readonly drift: number;
  readonly clients: readonly ClientPlan[];
  readonly keys: number;
  readonly counters: number;
  /** Mean pause of a worker between two calls. */
  readonly thinkMs: number;
  /** Share of calls of unknown outcome that are asked about. */
  readonly resolveShare: number;
  /** Of the workload, from the first call to the heal. */
  readonly durationMs: number;
  readonly faults: readonly Fault[];
  /** The workload is one of presets that change; left out: the usual one. */
  readonly toggles?: TogglePlan;
}
