/**
 * What the PACELC demonstration does, as data: five members on two sides, one map for each preset, and how long each
 * phase takes. Every file of the demonstration reads it.
 */
import { TIMING_PRESETS } from '../../src/config/timings.js';
import type { PresetName } from '../../src/policy/presets.js';

export type { PresetName };

export const PRESETS = ['PA/EC', 'PA/EL', 'PC/EC', 'PC/EL'] as const satisfies readonly PresetName[];

export const SIDES = ['majority', 'minority'] as const;
export type Side = (typeof SIDES)[number];

/** In the order in which they start: the first one founds the cluster. */
export const MEMBERS = ['m1', 'm2', 'm3', 'm4', 'm5'] as const;
export const MEMBERS_OF: Readonly<Record<Side, readonly string[]>> = {
  majority: ['m1', 'm3', 'm5'],
  minority: ['m2', 'm4'],
};

/** `healing`: from the heal until everything is merged and safe; `whole`: after it. */
export const PHASES = ['together', 'split', 'healing', 'whole'] as const;
export type Phase = (typeof PHASES)[number];

/** The members run with these timings. */
export const TIMINGS = 'local';
export const LEASE_MS = TIMING_PRESETS[TIMINGS].leaseMs;
/** Of the near cache that the clients keep of the PA/EL map. */
export const NEAR_STALENESS_MS = 500;
/** Keys that a merge has to decide on rest so long before the heal, so that the last write of each side is known. */
export const QUIET_MS = 1_500;
/** A call ends within this time, so that refusals are seen while they last. */
export const TIMEOUT_MS = 1_000;
/** From the heal until everything has to be merged. */
export const HEAL_LIMIT_MS = 20_000;

export interface Lengths {
  readonly togetherMs: number;
  readonly splitMs: number;
  readonly wholeMs: number;
}

export const DEFAULT_SECONDS = 20;
/** A fork needs three seconds to form; shorter splits would show nothing. */
export const LEAST_SECONDS = 12;

/** Three parts of ten together, five apart, two after the merge. */
export function lengthsOf(seconds: number): Lengths {
  const partMs = seconds * 100;
  return { togetherMs: 3 * partMs, splitMs: 5 * partMs, wholeMs: 2 * partMs };
}

export function isAvailable(preset: PresetName): boolean {
  return preset.startsWith('PA');
}

export function isLatency(preset: PresetName): boolean {
  return preset.endsWith('EL');
}

/** Name of the map with this preset. */
export function mapOf(preset: PresetName): string {
  return preset.toLowerCase().replace('/', '-');
}
