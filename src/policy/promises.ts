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

/** EL loosens reads always, and writes where every side may go on. */
const loosened = ({ preset }: Facts) =>
  preset.p === 'available'
    ? `${preset.name} answers writes at once and reads from any replica (consistency)`
    : `${preset.name} reads from any replica, and may be behind (consistency); calls with { consistency: 'EC' } are linearizable`;

export const PROMISES: readonly PromiseRow[] = [
  {
    id: 'G1',
    text: 'single-key operations are linearizable, also through up to B crashes, while nobody is cut off or wrongly suspected',
    check: (facts) => {
      if (facts.preset.e === 'latency') return no(loosened(facts));
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
      if (answersAtOnce(facts))
        return no(
          `${facts.preset.name} answers writes at once (consistency): one crash may lose an acknowledged write`,
        );
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
    check: (facts) => {
      if (facts.preset.p !== 'consistent')
        return no(`${facts.preset.name} lets every side go on (consistency)`);
      if (facts.preset.e === 'latency') return no(loosened(facts));
      if (isUnfounded(facts)) return no(UNFOUNDED);
      const crashes = facts.covered === 0 ? `; B is 0 ${nowText(facts)}` : '';
      return yes(`only the majority serves, under a lease${foundingText(facts)}${crashes}`);
    },
  },
  {
    id: 'G4',
    text: 'outside the majority no write and no EC read is acknowledged later than one lease after the cut',
    check: (facts) => {
      if (facts.preset.p !== 'consistent')
        return no(`${facts.preset.name} lets every side go on (consistency)`);
      if (isUnfounded(facts)) return no(UNFOUNDED);
      const here = facts.measured?.fork ? '; this side is a fork, and refuses' : '';
      const reads = facts.preset.e === 'latency' ? '; reads with EL go on, and tell their age' : '';
      return yes(
        `a member refuses (ERR_NO_LEASE, in a fork ERR_IN_FORK) when a majority has not acknowledged it for timings.leaseMs${reads}${here}`,
      );
    },
  },
  {
    id: 'G5',
    text: 'every side of a split serves the partitions that it has a replica of',
    check: ({ preset, protection, options }) => {
      if (preset.p !== 'available') return no(`${preset.name} refuses outside the majority (consistency)`);
      if (protection !== null) {
        const { minimumClusterSize, protectOn } = protection;
        return no(
          `splitBrainProtection ${JSON.stringify(options.splitBrainProtection)} refuses ${protectOn} with fewer than ${minimumClusterSize} members`,
        );
      }
      return yes(
        'a side without the majority goes on as a fork (after about 2 times timings.suspicionMs); what it has no replica of answers ERR_PARTITION_UNAVAILABLE, and more backups leave less of that',
      );
    },
  },
  {
    id: 'G6',
    text: 'after a split all replicas become equal, and every acknowledged write that was not kept is reported',
    check: ({ preset, options }) => {
      if (preset.p !== 'available') return no('nothing has to be merged: only one side acknowledges writes');
      return yes(
        `the sides are merged by mergePolicy ${options.mergePolicy}; what it did not keep is in the merge report (client.merges(), elsegrid cluster merges)`,
      );
    },
  },
  {
    id: 'G7',
    text: 'items and additions of all sides of a split are merged',
    check: ({ preset, kind }) => {
      if (preset.p !== 'available') return no('nothing has to be merged: only one side acknowledges writes');
      if (kind === 'multiMap')
        return yes(
          'the pairs of all sides are there afterwards, and a removal takes out the pairs that it saw',
        );
      if (kind !== 'atomicLong')
        return no(`it is for counters and multimaps; entries of a ${kind} are merged as G6 says`);
      return yes(
        'the additions of all sides are added up; a set that another side overtook is in the merge report',
      );
    },
  },
  {
    id: 'G8',
    text: 'replicas serve reads of known age; a session reads its own writes',
    check: ({ preset }) =>
      preset.e === 'latency'
        ? yes(
            'answers of replicas tell their age (getWithMeta), calls can bound it (maxStalenessMs), and sessions go on from what they have seen or end with ERR_SESSION_LOST',
          )
        : no(
            `only the EL presets promise it; under ${preset.name} a call can ask for it with { consistency: 'EL' }`,
          ),
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

const UNFOUNDED =
  'the cluster was not founded by order, so every call answers ERR_NOT_FOUNDED: run elsegrid cluster found once';

function isUnfounded({ measured }: Facts): boolean {
  return measured !== null && !measured.ordered;
}

function foundingText({ measured }: Facts): string {
  return measured === null ? ', once the cluster was founded by order (option founds)' : '';
}

/** Writes wait for no backup. */
export function answersAtOnce({ preset }: Facts): boolean {
  return preset.e === 'latency' && preset.p === 'available';
}

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
