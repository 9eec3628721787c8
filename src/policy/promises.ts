/**
 * The guarantees one by one: the text that users read, and whether it holds for given options and a given state of
 * the cluster. `explain` puts them together.
 */
import type { Facts, Promised } from './explanation.js';

interface PromiseRow {
  readonly id: string;
  readonly text: string;
  readonly check: (facts: Facts) => Pick<Promised, 'holds' | 'because'>;
}

const yes = (because: string) => ({ holds: true, because });
const no = (because: string) => ({ holds: false, because });

const STOPS =
  'not in this version: a side without a majority stops and answers ERR_NO_MAJORITY, and sides are not merged';

export const PROMISES: readonly PromiseRow[] = [
  {
    id: 'G1',
    text: 'single-key operations are linearizable, also through up to B crashes, while nobody is cut off or wrongly suspected',
    check: (facts) => {
      if (mayAnswerEarly(facts))
        return no('onBackupTimeout is success: an answer may come before the backups have the write');
      if (facts.options.backups.sync === 0) return yes('only without crashes: backups.sync is 0, so B is 0');
      if (facts.covered === 0) return yes(`only without crashes: B is 0 ${nowText(facts)}`);
      return yes(`B is ${coveredText(facts)}`);
    },
  },
  {
    id: 'G2',
    text: 'an acknowledged write survives any B crashes, and B more once re-replication has finished',
    check: (facts) => {
      if (facts.options.backups.sync === 0)
        return no('backups.sync is 0: one crash may lose an acknowledged write');
      if (mayAnswerEarly(facts))
        return no('onBackupTimeout is success: a write may be acknowledged that no backup has');
      if (facts.covered === 0)
        return no(`B is 0 ${nowText(facts)}: one crash may lose an acknowledged write`);
      return yes(`B is ${coveredText(facts)}`);
    },
  },
  {
    id: 'G3',
    text: 'linearizable always: cuts, crashes up to B, process pauses, clock steps',
    check: () => no('only the PC presets promise it, and this version does not have them'),
  },
  {
    id: 'G4',
    text: 'outside the majority nothing is acknowledged later than one lease after the cut',
    check: () => no('only the PC presets promise it, and this version does not have them'),
  },
  {
    id: 'G5',
    text: 'every side of a split serves the partitions that it has a replica of',
    check: () => no(STOPS),
  },
  {
    id: 'G6',
    text: 'after a split all replicas become equal, and every acknowledged write that was not kept is reported',
    check: () => no(STOPS),
  },
  { id: 'G7', text: 'items and additions of all sides of a split are merged', check: () => no(STOPS) },
  {
    id: 'G8',
    text: 'replicas serve reads of known age; a session reads its own writes',
    check: () =>
      no('only the EL presets promise it, and this version does not have them; all reads go to the primary'),
  },
  {
    id: 'G9',
    text: 'a retried call takes effect at most once; an unknown outcome has its own error type',
    check: () =>
      yes('call ids travel with the data, and ERR_INDETERMINATE is never reported as done or not done'),
  },
  {
    id: 'G10',
    text: 'a near-cache hit is never older than maxStalenessMs',
    check: () => no('this version has no near cache'),
  },
  {
    id: 'G11',
    text: 'clusters that are linked by WAN replication converge',
    check: () => no('this version has no WAN replication'),
  },
  {
    id: 'G12',
    text: 'queues, buffers, windows and logs are bounded; overload is a typed, retryable error',
    check: () => yes('the options under limits bound them; beyond them calls fail with ERR_OVERLOAD'),
  },
];

/** A write may be answered before its sync backups have it. */
export function mayAnswerEarly({ options }: Facts): boolean {
  return options.backups.sync > 0 && options.onBackupTimeout === 'success';
}

function coveredText(facts: Facts): string {
  const { options, covered, reduced, measured } = facts;
  if (reduced) return `${covered} ${nowText(facts)}; backups.sync asks for ${options.backups.sync}`;
  return measured === null
    ? `${covered}, as backups.sync says, once the cluster is safe`
    : `${covered} (backups.sync)`;
}

function nowText({ options, measured }: Facts): string {
  if (measured === null) return 'now';
  if (measured.syncBackupsPossible < options.backups.sync) {
    const members = measured.members === 1 ? '1 member' : `${measured.members} members`;
    return `now, because a cluster of ${members} holds no more than ${measured.syncBackupsPossible} backups`;
  }
  const partitions =
    measured.partitionsBelow === 1 ? '1 partition has' : `${measured.partitionsBelow} partitions have`;
  return `now, because ${partitions} backups that are missing or syncing`;
}
