/** What a member says about itself for status pages, from its view and its replicas. Pure. */
import type { ReplicationCounters } from '../../replication/host.js';
import type { PartitionStatus } from '../../replication/partition-status.js';
import type { Replication } from '../../replication/replication.js';
import type { Lineages } from '../cluster/lineages.js';
import { MAX_BACKUPS, type MemberId, missingFrom, type View } from '../cluster/view.js';
import type { BackupReport, MemberReport, MissingMember } from '../policy/status.js';

/** What the view and the replicas do not tell. */
export interface MemberFigures {
  /** For how long the member still holds its lease, or null. */
  readonly leaseMs: number | null;
  /** Replicas of an earlier lineage that wait to be merged. */
  readonly leftovers: { readonly size: number; readonly sizeBytes: number };
  readonly counters: ReplicationCounters;
  /** See `LastWrites`. */
  readonly owed: number;
}

/** As it is now. */
export function ownReport(
  membership: Lineages,
  replication: Replication,
  owed: number,
  nowMs: number,
): MemberReport {
  const { counters, leftovers } = replication;
  const hears = (id: MemberId) => membership.roster.detector.hears(id, nowMs);
  const leaseMs = membership.lease.holds(nowMs) ? membership.lease.untilMs - nowMs : null;
  return memberReport(membership, replication.status(), hears, { leaseMs, leftovers, counters, owed });
}

export function memberReport(
  { view, chainView }: { readonly view: View | null; readonly chainView: View | null },
  partitions: readonly PartitionStatus[],
  hears: (id: MemberId) => boolean,
  { leaseMs, leftovers, counters, owed }: MemberFigures,
): MemberReport {
  let entries = 0;
  let sizeBytes = 0;
  for (const status of partitions) {
    if (status.role === 'primary') entries += status.entries;
    sizeBytes += status.sizeBytes;
  }
  const migrations = partitions.flatMap(({ partition, copies }) => {
    return copies.map(({ to, copiedBytes, sizeBytes: totalBytes }) => ({
      partition,
      to,
      copiedBytes,
      totalBytes,
    }));
  });
  const heard = (view?.members ?? []).filter(({ id }) => hears(id)).map(({ id }) => id);
  return {
    lineage: view?.lineage ?? '',
    view: view?.number ?? 0,
    parent: view?.parent ?? null,
    missing: missingOf(view, chainView),
    ordered: view?.ordered ?? false,
    leaseMs: leaseMs === null ? null : Math.floor(leaseMs),
    leftovers: leftovers.size,
    leftoverBytes: leftovers.sizeBytes,
    backups: backupReports(partitions),
    divergent: partitions.flatMap(({ partition, backups }) =>
      backups.some(({ isDivergent }) => isDivergent) ? [partition] : [],
    ),
    antiEntropy: {
      compared: counters.digestsCompared,
      differing: counters.digestsDiffering,
      repaired: counters.entriesRepaired,
      bytes: counters.antiEntropyBytes,
    },
    entries,
    sizeBytes,
    owed,
    hears: heard,
    migrations,
  };
}

/** A row for each place in which some partition has a synced backup. */
function backupReports(partitions: readonly PartitionStatus[]): BackupReport[] {
  const none = { backups: 0, behind: 0, unknown: 0, positions: 0, bytes: 0 };
  const rows = Array.from({ length: MAX_BACKUPS }, (_, i) => {
    return { place: i + 1, ...none, ageMs: 0 as number | null };
  });
  for (const { place, lag } of partitions.flatMap(({ backups }) => backups)) {
    const row = rows[place - 1];
    if (row === undefined) continue;
    row.backups++;
    if (lag === null) row.unknown++;
    else if (lag.positions > 0) {
      row.behind++;
      row.positions += lag.positions;
      row.bytes += lag.bytes;
      row.ageMs = oldest(row.ageMs, lag.ageMs);
    }
  }
  return rows.filter(({ backups }) => backups > 0);
}

function oldest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : Math.max(a, Math.ceil(b));
}

/** A member that came to the fork from elsewhere does not know the chain that the fork has left. */
function missingOf(view: View | null, chain: View | null): MissingMember[] {
  if (view === null || view.parent === null || chain?.lineage !== view.parent.lineage) return [];
  return missingFrom(chain, view.members).map(({ id, address }) => ({ id, address }));
}
