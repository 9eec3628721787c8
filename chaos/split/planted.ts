/** Faults put into members on purpose, by name, to show that the checks of splits find them. */
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
/** Of maps that are kept in a store; the swarm finds them. */
export const SPLIT_STORE_FAULTS = ['storeWritesInFork', 'storeLoadsOverNewer'] as const;
export type SplitFault = (typeof SPLIT_FAULTS)[number] | (typeof SPLIT_STORE_FAULTS)[number];

/** Faults of near caches, with what they are in members and clients. */
export const NEAR_FAULTS = {
  'a change is not told': { loseChangeEvery: 5 },
  'a late answer is kept': { keepsLateFills: true },
  'what a session has seen is not looked at': { ignoresSession: true },
  'the word of a deposed primary counts': { believesDeposed: true },
  'what is kept outlives a takeover': { keepsBeyondTakeover: true },
} as const;
export type NearFault = keyof typeof NEAR_FAULTS;
