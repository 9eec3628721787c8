/**
 * What the options of a structure really give: the class, each promise and why it holds or not, which failures can
 * lose what, and which option is responsible. Pure; `client.explain` and `elsegrid explain` print it.
 * Invariant: it never promises what this version does not do.
 */
import { isQuorum, type TableEntry, type View } from '../cluster/view.js';
import type { ExplainedOptions, ExplainInput, Explanation, Facts, Measured } from './explanation.js';
import { LOSSES } from './losses.js';
import { DEFAULT_PRESET, type Preset, presetOf } from './presets.js';
import { answersAtOnce, PROMISES } from './promises.js';
import { isLost } from './status.js';

export function explain({ structure, kind, options, view, protection = null }: ExplainInput): Explanation {
  const preset = presetOf(options.consistency) ?? (presetOf(DEFAULT_PRESET) as Preset);
  const measured = view === undefined ? null : measure(view, options);
  const covered = Math.min(options.backups.sync, measured?.syncBackupsNow ?? options.backups.sync);
  const reduced = covered < options.backups.sync;
  const facts: Facts = { kind, options, preset, protection, measured, covered, reduced };
  return {
    structure,
    kind,
    preset: options.consistency,
    classText: classText(facts),
    promises: PROMISES.map(({ id, text, check }) => ({ id, text, ...check(facts) })),
    losses: LOSSES.flatMap((loss) => loss(facts)),
    measured,
  };
}

function classText(facts: Facts): string {
  const { options, preset } = facts;
  const { sync, async } = options.backups;
  const waits = answersAtOnce(facts)
    ? 'writes answer after the primary alone'
    : sync === 0
      ? 'writes answer after the primary alone (backups.sync is 0)'
      : `writes wait for ${sync} sync ${sync === 1 ? 'backup' : 'backups'}`;
  const follow = async === 0 ? '' : `, ${async} async ${async === 1 ? 'backup follows' : 'backups follow'}`;
  return `${options.consistency}: ${waits}${follow}; ${readText(preset)}; ${splitText(facts)}`;
}

function splitText({ preset, protection, measured }: Facts): string {
  if (preset.p === 'consistent') {
    const now =
      measured === null || measured.ordered
        ? ''
        : '; not served now, because the cluster was not founded by order (ERR_NOT_FOUNDED)';
    return `in a split only the side with the majority serves, the others refuse when their lease ends${now}`;
  }
  const but =
    protection === null
      ? ''
      : `, but with fewer than ${protection.minimumClusterSize} members refuses ${CALLS[protection.protectOn]}`;
  return `in a split every side goes on with what it has${but}, and the sides are merged when the network heals`;
}

const CALLS = { READ: 'reads', WRITE: 'writes', READ_WRITE: 'all calls' } as const;

function readText({ e }: Preset): string {
  return e === 'latency' ? 'reads go to the nearest replica, and may be behind' : 'reads go to the primary';
}

function measure(view: View, options: ExplainedOptions): Measured {
  const wanted = options.backups.sync;
  const now = view.table.map((entry) => syncedBackups(entry, wanted));
  const possible = view.target.map((row) => Math.min(wanted, Math.max(0, row.length - 1)));
  return {
    ordered: view.ordered,
    fork: view.parent !== null,
    members: view.members.length,
    crashesAtOnce: survivableCrashes(view),
    syncBackupsPossible: least(possible, 0),
    syncBackupsNow: least(now, 0),
    partitionsBelow: now.filter((count) => count < wanted).length,
    partitionsLost: view.table.filter(isLost).length,
    partitionsRefusing: now.filter((count) => count < options.minSynced).length,
  };
}

/** The lowest backup slots of the partition are the structure's sync backups. */
function syncedBackups(entry: TableEntry, sync: number): number {
  return entry.replicas.slice(1, 1 + sync).filter((replica) => replica.synced).length;
}

function least(numbers: readonly number[], none: number): number {
  return numbers.reduce((a, b) => Math.min(a, b), numbers[0] ?? none);
}

/** How many members may crash at once, the oldest first, such that the others are a majority. */
function survivableCrashes(view: View): number {
  let crashes = 0;
  while (crashes < view.members.length) {
    const dead = new Set(view.members.slice(0, crashes + 1).map(({ id }) => id));
    if (!isQuorum(view.members, (id) => !dead.has(id))) break;
    crashes++;
  }
  return crashes;
}
