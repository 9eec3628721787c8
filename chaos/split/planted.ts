/** Faults put into members and clients on purpose, by name, to show that the checks of splits find them. */
import type { ClientFaults } from '../../client/client.js';
import type { NodeFaults } from '../../src/member/parts.js';
import { EXPIRY_FAULTS } from '../expiry.js';
import { LISTEN_FAULTS, plantedInTelling } from '../listen.js';

/** Each is found by a directed schedule. */
export const SPLIT_FAULTS = [
  'leaseUnchecked',
  'ackAfterAccept',
  'ageWithoutEntry',
  'confirmWithoutWait',
  'mergeDropsLosers',
  'mergeRepeatsCalls',
  'wallClockVersions',
  'forkServesConsistent',
  'goneWhileCut',
] as const;
export type SplitFault = (typeof SPLIT_FAULTS)[number];
/** Of maps that are kept in a store. */
export const SPLIT_STORE_FAULTS = ['storeWritesInFork', 'storeLoadsOverNewer'] as const;

/** Those that some workload finds by itself, under crashes too. */
export const WORKLOAD_FAULTS = ['freshRetryIds', ...LISTEN_FAULTS, ...EXPIRY_FAULTS] as const;
export type SwarmFault = SplitFault | (typeof SPLIT_STORE_FAULTS)[number] | (typeof WORKLOAD_FAULTS)[number];
export const SWARM_FAULTS: readonly SwarmFault[] = [
  ...SPLIT_FAULTS,
  ...SPLIT_STORE_FAULTS,
  ...WORKLOAD_FAULTS,
];

/** Wall clocks are so far off while the check knows of none. */
const APART_MS = 3_000;

export interface Planted {
  readonly members: NodeFaults;
  readonly clients: ClientFaults;
  /** Null: as the case says. */
  readonly wallOffsetMs: number | null;
}

export function plantedBy(fault: SwarmFault | undefined): Planted {
  const nothing: Planted = { members: {}, clients: {}, wallOffsetMs: null };
  const ofListeners = LISTEN_FAULTS.find((name) => name === fault);
  if (ofListeners !== undefined) return { ...nothing, members: plantedInTelling(ofListeners) };
  if (fault === undefined) return nothing;
  if (fault === 'freshRetryIds') return { ...nothing, clients: { freshRetryIds: true } };
  if (fault === 'clocksApart') return { ...nothing, wallOffsetMs: APART_MS };
  // The next step of upkeep would tell of them all the same.
  if (fault === 'usesUntold') return { ...nothing, members: { usesUntold: true, neverSwept: true } };
  return { ...nothing, members: { [fault]: true } };
}

/** Faults of near caches, with what they are in members and clients. */
export const NEAR_FAULTS = {
  'a change is not told': { loseChangeEvery: 5 },
  'a late answer is kept': { keepsLateFills: true },
  'what a session has seen is not looked at': { ignoresSession: true },
  'the word of a deposed primary counts': { believesDeposed: true },
  'what is kept outlives a takeover': { keepsBeyondTakeover: true },
} as const;
export type NearFault = keyof typeof NEAR_FAULTS;
