/**
 * The guarantees one by one: the text that users read, and whether it holds for given options and a given state of
 * the cluster. `explain` puts them together; `chaos/table` holds each verdict against runs.
 */
import type { Facts, Verdict } from './explanation.js';

interface PromiseRow {
  readonly id: string;
  readonly text: string;
  readonly check: (facts: Facts) => Verdict;
}

const yes = (because: string): Verdict => ({ holds: true, applies: true, because, knob: null });
const no = (knob: string, because: string): Verdict => ({ holds: false, applies: true, because, knob });
const doesNotApply = (why: string): Verdict => {
  return { holds: false, applies: false, because: `does not apply: ${why}`, knob: null };
};

export const PROMISES: readonly PromiseRow[] = [
  {
    id: 'G1',
    text: 'single-key operations are linearizable, also through up to B crashes, while nobody is cut off or wrongly suspected',
    check: (facts) => {
      if (facts.given.reads === 'latency') return no('consistency', loosened(facts));
      if (mayAnswerEarly(facts))
        return no('onBackupTimeout', `${EARLY}, and a crash takes back what was seen`);
      const crashless = withoutBackups(facts);
      return yes(
        `${crashless === null ? `B is ${coveredText(facts)}` : `only without crashes: ${crashless}`}${tightenedText(facts)}`,
      );
    },
  },
  {
    id: 'G2',
    text: 'an acknowledged write survives any B crashes, and B more once re-replication has finished',
    check: (facts) => {
      if (facts.options.store?.mode === 'write-through')
        return yes('the store has each write before it is answered (store.mode), and reads load it again');
      if (facts.given.writeKnob === 'consistency')
        return no('consistency', `${answersText(facts)}: one crash may lose an acknowledged write`);
      if (facts.given.writeKnob === 'backups.sync')
        return no('backups.sync', 'backups.sync is 0: one crash may lose an acknowledged write');
      if (mayAnswerEarly(facts)) return no('onBackupTimeout', `${EARLY}, and one crash may lose it`);
      if (facts.covered === 0)
        return no('number of members', `B is 0 ${nowText(facts)}: one crash may lose an acknowledged write`);
      return yes(`B is ${coveredText(facts)}${tightenedText(facts)}`);
    },
  },
  {
    id: 'G3',
    text: 'linearizable always: cuts, crashes up to B, process pauses, clock steps',
    check: (facts) => {
      if (facts.given.p !== 'consistent') return no('consistency', everySideText(facts));
      if (facts.given.reads === 'latency') return no('consistency', loosened(facts));
      if (isUnfounded(facts)) return no('founding', UNFOUNDED);
      const crashes = facts.covered === 0 ? `; B is 0 ${nowText(facts)}` : '';
      return yes(`only the majority serves, under a lease${foundingText(facts)}${crashes}`);
    },
  },
  {
    id: 'G4',
    text: 'outside the majority no write and no EC read is acknowledged later than one lease after the cut',
    check: (facts) => {
      if (facts.given.p !== 'consistent') return no('consistency', everySideText(facts));
      if (isUnfounded(facts)) return no('founding', UNFOUNDED);
      const here = facts.now?.fork ? '; this side is a fork, and refuses' : '';
      const reads = facts.given.reads === 'latency' ? '; reads with EL go on, and tell their age' : '';
      return yes(
        `a member refuses (ERR_NO_LEASE, in a fork ERR_IN_FORK) when a majority has not acknowledged it for timings.leaseMs${reads}${here}`,
      );
    },
  },
  {
    id: 'G5',
    text: 'every side of a split serves the partitions that it has a replica of',
    check: ({ given, protection, options }) => {
      if (given.p !== 'available')
        return no('consistency', `${options.consistency} refuses outside the majority (consistency)`);
      if (protection !== null) {
        const { minimumClusterSize, protectOn } = protection;
        return no(
          'splitBrainProtection',
          `splitBrainProtection ${JSON.stringify(options.splitBrainProtection)} refuses ${protectOn} with fewer than ${minimumClusterSize} members`,
        );
      }
      if (options.minSynced > 0)
        return no(
          'minSynced',
          `minSynced is ${options.minSynced}: a side with fewer synced backups of a partition refuses writes to it (ERR_NOT_ENOUGH_BACKUPS)`,
        );
      return yes(
        'a side without the majority goes on as a fork (after about 2 times timings.suspicionMs); what it has no replica of answers ERR_PARTITION_UNAVAILABLE, and more backups leave less of that',
      );
    },
  },
  {
    id: 'G6',
    text: 'after a split all replicas become equal, and every acknowledged write that was not kept is reported',
    check: ({ given, options, kind }) => {
      if (given.p !== 'available') return doesNotApply(ONE_SIDE);
      if (kind === 'topic')
        return doesNotApply(
          'a topic keeps no message that could be merged; its listeners are told of a gap where messages may be missing',
        );
      return yes(
        `${notKept(kind, options)} is in the merge report (client.merges(), elsegrid cluster merges)`,
      );
    },
  },
  {
    id: 'G7',
    text: 'items and additions of all sides of a split are merged',
    check: ({ given, kind }) => {
      if (given.p !== 'available') return doesNotApply(ONE_SIDE);
      if (kind === 'queue')
        return yes(
          'the queue keeps what any side added and none took; items that several sides gave out are in the merge report',
        );
      if (kind === 'topic')
        return doesNotApply(
          'a topic keeps no message: each side of a split tells its own listeners, and those of the other sides a gap',
        );
      if (kind === 'multiMap')
        return yes(
          'the pairs of all sides are there afterwards, and a removal takes out the pairs that it saw',
        );
      if (kind !== 'atomicLong')
        return doesNotApply(
          `it is for queues, counters and multimaps; entries of a ${kind} are merged as G6 says`,
        );
      return yes(
        'the additions of all sides are added up; a set that another side overtook is in the merge report',
      );
    },
  },
  {
    id: 'G8',
    text: 'replicas serve reads of known age; a session reads its own writes',
    check: ({ given, options, call }) => {
      if (given.reads === 'latency')
        return yes(
          'answers of replicas tell their age (getWithMeta), calls can bound it (maxStalenessMs), and sessions go on from what they have seen or end with ERR_SESSION_LOST',
        );
      const who = call === null ? options.consistency : "{ consistency: 'EC' }";
      const how = call === null ? "; a call can ask for it with { consistency: 'EL' }" : '';
      return doesNotApply(`under ${who} reads go to the primary${how}`);
    },
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
    check: ({ nearCache, given }) => {
      if (nearCache === null)
        return doesNotApply('the process that asks has no near cache for it (option nearCaches)');
      if (given.reads !== 'latency') return doesNotApply('a near cache serves calls with EL alone');
      return yes(
        `a value that may be older than ${nearCache.maxStalenessMs} ms (maxStalenessMs) is not used, within the lineage that this process follows`,
      );
    },
  },
  {
    id: 'G11',
    text: 'clusters that are linked by WAN replication converge',
    check: () => doesNotApply('this version has no WAN replication'),
  },
  {
    id: 'G12',
    text: 'queues, buffers, windows and logs are bounded; overload is a typed, retryable error',
    check: () => yes('the options under limits bound them; beyond them calls fail with ERR_OVERLOAD'),
  },
];

const ONE_SIDE = 'only one side acknowledges writes, so nothing has to be merged';
const EARLY = 'onBackupTimeout is success: a write may be acknowledged that no backup has';
const UNFOUNDED =
  'the cluster was not founded by order, so every call answers ERR_NOT_FOUNDED: run elsegrid cluster found once';

/** What a merge may not keep of a structure of this kind. */
function notKept(kind: string, options: Facts['options']): string {
  if (kind === 'atomicLong') return 'a set that another side overtook';
  if (kind === 'queue')
    return 'an item that several sides gave out, or that a call counted elsewhere had added,';
  if (kind === 'multiMap')
    return 'a pair that was removed by a call which both sides applied, or which is void,';
  return `the sides are merged by mergePolicy ${options.mergePolicy}; what it did not keep`;
}

/** Who answers so: the preset, or the call. */
function chosenBy({ options, call }: Facts): string {
  return call === null ? options.consistency : `{ consistency: '${call}' }`;
}

/** EL loosens reads always, and writes where every side may go on. */
function loosened(facts: Facts): string {
  const { given, call } = facts;
  const who = chosenBy(facts);
  if (given.p === 'available')
    return `${who} answers writes at once and reads from any replica (consistency)`;
  const strict = call === null ? "; calls with { consistency: 'EC' } are linearizable" : '';
  return `${who} reads from any replica, and may be behind (consistency)${strict}`;
}

function answersText(facts: Facts): string {
  return `${chosenBy(facts)} answers writes at once (consistency)`;
}

function everySideText({ options }: Facts): string {
  return `${options.consistency} lets every side go on (consistency)`;
}

/** Of a PA/EL structure: others may answer writes of the same keys at once. */
function tightenedText({ options, call, given }: Facts): string {
  return call === 'EC' && given.p === 'available' && options.consistency.endsWith('EL')
    ? ', for keys that only such calls write'
    : '';
}

/** Why no crash is covered, or null. */
function withoutBackups(facts: Facts): string | null {
  if (facts.options.backups.sync === 0) return 'backups.sync is 0, so B is 0';
  return facts.covered === 0 ? `B is 0 ${nowText(facts)}` : null;
}

function isUnfounded({ now }: Facts): boolean {
  return now !== null && !now.ordered;
}

function foundingText({ now }: Facts): string {
  return now === null ? ', once the cluster was founded by order (option founds)' : '';
}

/** A write may be answered before its sync backups have it, although it waits for them. */
export function mayAnswerEarly({ options, given }: Facts): boolean {
  return given.writes === 'consistent' && options.onBackupTimeout === 'success';
}

function coveredText(facts: Facts): string {
  const { options, covered, reduced, now } = facts;
  if (reduced) return `${covered} ${nowText(facts)}; backups.sync asks for ${options.backups.sync}`;
  return now === null
    ? `${covered}, as backups.sync says, once the cluster is safe`
    : `${covered} (backups.sync)`;
}

function nowText({ options, now }: Facts): string {
  if (now === null) return 'now';
  if (now.syncBackupsPossible < options.backups.sync) {
    const members = now.members === 1 ? '1 member' : `${now.members} members`;
    return `now, because a cluster of ${members} holds no more than ${now.syncBackupsPossible} backups`;
  }
  const { length } = now.missing.syncPartitions;
  const partitions = length === 1 ? '1 partition has' : `${length} partitions have`;
  return `now, because ${partitions} backups that are missing or syncing`;
}
