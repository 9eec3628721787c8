/**
 * The measured part of `explain`: which backups of a structure are missing where, how far the others are behind, what waits
 * to be merged. From a view and what members report about themselves; pure. Called by `explain.ts`.
 */
import { isQuorum, type TableEntry, type View } from '../cluster/view.js';
import type { ExplainedOptions, ExplainedState, Now, Reported } from './explanation.js';
import { isLost, type Lag, type MemberReport } from './status.js';

export function nowOf({ view, reports, nearCache = null }: ExplainedState, options: ExplainedOptions): Now {
  const { sync, async } = options.backups;
  const synced = view.table.map((entry) => syncedBackups(entry, 0, sync));
  const following = view.table.map((entry) => syncedBackups(entry, sync, async));
  const possible = view.target.map((row) => Math.min(sync, Math.max(0, row.length - 1)));
  return {
    ordered: view.ordered,
    fork: view.parent !== null,
    members: view.members.length,
    crashesAtOnce: survivableCrashes(view),
    syncBackupsPossible: least(possible),
    syncBackupsNow: least(synced),
    missing: {
      sync: missing(synced, sync),
      async: missing(following, async),
      syncPartitions: partitionsWhere(synced, (count) => count < sync),
      asyncPartitions: partitionsWhere(following, (count) => count < async),
    },
    refusing: partitionsWhere(synced, (count) => count < options.minSynced),
    lost: partitionsWhere(view.table, isLost),
    unsettled: partitionsWhere(view.table, (entry) => !entry.settled && !isLost(entry)),
    reported: reports === undefined ? null : reportedOf(view, reports, options),
    nearCache,
  };
}

/** The lowest backup slots of the partition are the structure's sync backups, the next ones its async backups. */
function syncedBackups(entry: TableEntry, before: number, count: number): number {
  return entry.replicas.slice(1 + before, 1 + before + count).filter((replica) => replica.synced).length;
}

function missing(counts: readonly number[], wanted: number): number {
  return counts.reduce((sum, count) => sum + wanted - count, 0);
}

function partitionsWhere<T>(rows: readonly T[], fits: (row: T) => boolean): number[] {
  return rows.flatMap((row, partition) => (fits(row) ? [partition] : []));
}

function least(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => Math.min(a, b), numbers[0] ?? 0);
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

function reportedOf(
  view: View,
  reports: ReadonlyMap<string, MemberReport>,
  { backups: { sync, async } }: ExplainedOptions,
): Reported {
  const heard = view.members.flatMap(({ id }) => reports.get(id) ?? []);
  const places = heard.flatMap(({ backups }) => backups);
  const divergent = new Set(heard.flatMap((report) => report.divergent));
  return {
    silent: view.members.filter(({ id }) => !reports.has(id)).map(({ address }) => address),
    sync: lagOf(places.filter(({ place }) => place <= sync)),
    async: lagOf(places.filter(({ place }) => place > sync && place <= sync + async)),
    divergent: [...divergent].filter((p) => p < view.table.length).sort((a, b) => a - b),
    leftovers: sum(heard, ({ leftovers }) => leftovers),
    leftoverBytes: sum(heard, ({ leftoverBytes }) => leftoverBytes),
  };
}

function lagOf(places: readonly Lag[]): Lag {
  return {
    backups: sum(places, ({ backups }) => backups),
    behind: sum(places, ({ behind }) => behind),
    unknown: sum(places, ({ unknown }) => unknown),
    positions: sum(places, ({ positions }) => positions),
    bytes: sum(places, ({ bytes }) => bytes),
    ageMs: places.some(({ ageMs }) => ageMs === null)
      ? null
      : places.reduce((most, { ageMs }) => Math.max(most, ageMs ?? 0), 0),
  };
}

function sum<T>(rows: readonly T[], of: (row: T) => number): number {
  return rows.reduce((total, row) => total + of(row), 0);
}
