/**
 * Which failures can lose what, and by which option: the part of `explain` that nobody likes to print. Each row
 * is a function of the facts, so that what cannot happen under the options is not listed.
 */
import type { Facts, Loss } from './explanation.js';
import { mayAnswerEarly } from './promises.js';

type LossRow = (facts: Facts) => Loss[];

/** Writes wait for no backup although there are some: the preset or the call says so. */
const answersAtOnce = ({ given }: Facts) => given.writeKnob === 'consistency';

const crashes = (count: number) =>
  count === 1 ? '1 crash' : `${count} crashes before re-replication has finished`;

const withoutBackups: LossRow = ({ options: { backups } }) => {
  if (backups.sync > 0) return [];
  const effect =
    backups.async === 0
      ? 'all entries of the partitions whose primary it was'
      : 'acknowledged writes that the async backups had not received';
  return [{ failure: '1 crash', effect, knob: 'backups.sync' }];
};

/** Backups follow, and no write waits for them. */
const atOnce: LossRow = (facts) => {
  if (!answersAtOnce(facts) || facts.options.backups.sync === 0) return [];
  const effect =
    'acknowledged writes that no backup had received; a session that has seen them is told (ERR_SESSION_LOST)';
  return [{ failure: '1 crash', effect, knob: 'consistency' }];
};

const beyondSync: LossRow = (facts) => {
  const { backups } = facts.options;
  const loss: Loss[] = [];
  if (backups.sync > 0 && backups.async > 0 && !answersAtOnce(facts)) {
    const effect = 'acknowledged writes that the async backups had not received';
    loss.push({ failure: crashes(backups.sync + 1), effect, knob: 'backups.sync' });
  }
  if (backups.sync + backups.async > 0) {
    const failure = crashes(backups.sync + backups.async + 1);
    const effect = 'all entries of the partitions whose replicas were on them';
    loss.push({ failure, effect, knob: backups.async > 0 ? 'backups.async' : 'backups.sync' });
  }
  return loss;
};

const fewerSynced: LossRow = (facts) => {
  const { options } = facts;
  const { sync } = options.backups;
  if (options.minSynced >= sync || answersAtOnce(facts)) return [];
  const failure = `${crashes(options.minSynced + 1)} while fewer than ${sync} sync backups are synced (after a crash, in a cluster that is too small)`;
  const effect = 'writes that were acknowledged with fewer copies';
  return [{ failure, effect, knob: 'minSynced' }];
};

const degradedNow: LossRow = (facts) => {
  const { options, reduced, covered } = facts;
  if (!reduced || covered >= options.backups.sync || answersAtOnce(facts)) return [];
  const effect = 'acknowledged writes of the partitions with fewest synced backups';
  return [{ failure: `${crashes(covered + 1)}, as the cluster is now`, effect, knob: 'number of members' }];
};

const silentBackup: LossRow = (facts) => {
  if (!mayAnswerEarly(facts) || answersAtOnce(facts)) return [];
  const failure = `1 crash after a backup was silent for ${facts.options.backupTimeoutMs} ms`;
  return [{ failure, effect: 'writes that were acknowledged meanwhile', knob: 'onBackupTimeout' }];
};

/** Of structures that merge in one way only. */
const CONFLICTS: Readonly<Record<string, string>> = {
  topic:
    'messages of one side are never told to listeners of the others, which are told of a gap (reason lineage)',
  atomicLong:
    'of values that were set on several sides one is kept; the others are in the merge report, additions of all sides count',
  queue: 'no item; one that several sides gave out was given out more than once, and is in the merge report',
};

/** Under PC only one side acknowledges, so a split takes nothing; what can be lost is the majority itself. */
const cut: LossRow = ({ given, options, kind }) => {
  if (given.p === 'consistent') {
    return [
      {
        failure: 'the end of a majority of the members for good',
        effect:
          'all calls are refused until a person orders elsegrid cluster recover, which may lose acknowledged writes whose replicas were all on dead members',
        knob: 'number of members',
      },
    ];
  }
  const conflict =
    CONFLICTS[kind] ??
    `of writes of one key on several sides mergePolicy ${options.mergePolicy} keeps one; the others are in the merge report, with both values`;
  const split = 'a network split (or a member that is wrongly taken for dead)';
  const knob = kind in CONFLICTS ? 'consistency' : 'mergePolicy';
  // Nothing of a topic waits to be merged.
  if (kind === 'topic') return [{ failure: split, effect: conflict, knob }];
  return [
    // The pairs of a multimap are all kept.
    ...(kind === 'multiMap' ? [] : [{ failure: split, effect: conflict, knob }]),
    {
      failure: 'a network split that lasts longer than forkRetentionMs',
      effect:
        'removals of entries that the other side still has: they come back, and are reported as resurrected',
      knob: 'forkRetentionMs',
    },
    {
      failure: 'a network split, and crashes on the smaller side before it is merged',
      effect: 'writes that only the crashed members had acknowledged',
      knob: 'backups.sync',
    },
  ];
};

const ALL_END = 'the end of all members';

const everything: LossRow = ({ options: { store } }) => {
  switch (store?.mode) {
    case undefined:
      return [{ failure: ALL_END, effect: 'all data: it is in memory only', knob: 'none' }];
    case 'read-through':
      return [
        {
          failure: ALL_END,
          effect: 'all that was written to the map: the store is only read',
          knob: 'store.mode',
        },
      ];
    case 'write-behind':
      return [
        {
          failure: `${ALL_END} without a graceful shutdown, or while the store is down`,
          effect:
            'acknowledged writes that the store does not have yet (storeStatus() tells how many); the rest is in the store',
          knob: 'store.delayMs',
        },
      ];
    case 'write-through':
      return [
        {
          failure: `crashes, and ${ALL_END}`,
          effect:
            'no write that was answered: the store has it, and reads load it again; what putTransient puts is in memory only',
          knob: 'none',
        },
      ];
  }
};

/** Of entries of members that crash. */
const ofCrashes: readonly LossRow[] = [
  withoutBackups,
  atOnce,
  beyondSync,
  fewerSynced,
  degradedNow,
  silentBackup,
];

/** What a store has is loaded again, and of a map that is written through it has everything. */
const crashLosses: LossRow = (facts) => {
  const { store } = facts.options;
  if (store?.mode === 'write-through') return [];
  const losses = ofCrashes.flatMap((row) => row(facts));
  if (store === undefined) return losses;
  return losses.map((loss) => ({ ...loss, effect: `what the store does not have of this: ${loss.effect}` }));
};

export const LOSSES: readonly LossRow[] = [crashLosses, cut, everything];
