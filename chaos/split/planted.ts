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
export type SplitFault = (typeof SPLIT_FAULTS)[number];
