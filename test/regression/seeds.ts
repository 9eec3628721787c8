/**
 * Seeds that once found something. Each runs with every `npm test`; what a seed does changes when the drawing of cases
 * changes, so the entry also says what it was about.
 */
export interface RegressionSeed {
  readonly seed: number;
  readonly found: string;
}

export const REGRESSION_SEEDS: readonly RegressionSeed[] = [
  {
    seed: 55,
    found:
      'a process whose handshake was slow founded a cluster beside the one that had taken its connection',
  },
  {
    seed: 16,
    found: 'a restarted process founded a cluster although members of one had called it',
  },
  {
    seed: 61,
    found: 'a second copy of a conditional write that had changed nothing changed something after all',
  },
  {
    seed: 1092,
    found: 'of several calls that were due again on one connection, only one was sent every two seconds',
  },
  {
    seed: 193,
    found: 'when a member crashed, the one that missed it first was removed with it',
  },
  {
    seed: 20_075,
    found: 'copies of two primaries had the same number, and a replica took chunks of one for the other',
  },
  {
    seed: 5727,
    found: 'a member that could not hear anybody left without handing over, which nobody noticed',
  },
  {
    seed: 21_312,
    found: 'a copy that began anew counted what the replica had acknowledged of the former one',
  },
  {
    seed: 41_961,
    found: 'a takeover waited for ever for a position that the survivor had as a copy, not in its log',
  },
];
