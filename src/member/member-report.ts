/** What a member says about itself for status pages, from its view and its replicas. Pure. */
import type { ReplicationCounters } from '../../replication/host.js';
import type { PartitionStatus } from '../../replication/partition-status.js';
import type { Replication } from '../../replication/replication.js';
import type { Lineages } from '../cluster/lineages.js';
import { type MemberId, missingFrom, type View } from '../cluster/view.js';
import type { MemberReport, MissingMember } from '../policy/status.js';

/** What the view and the replicas do not tell. */
export interface MemberFigures {
  /** For how long the member still holds its lease, or null. */
  readonly leaseMs: number | null;
  /** Replicas of an earlier lineage that wait to be merged. */
  readonly leftovers: number;
  readonly counters: ReplicationCounters;
}

export function reportOf(lineages: Lineages, replication: Replication, nowMs: number): MemberReport {
  const { lease, roster } = lineages;
  return memberReport(lineages, replication.status(), (id) => roster.detector.hears(id, nowMs), {
    leaseMs: lease.holds(nowMs) ? lease.untilMs - nowMs : null,
    leftovers: replication.leftovers.size,
    counters: replication.counters,
  });
}

export function memberReport(
  { view, chainView }: { readonly view: View | null; readonly chainView: View | null },
  partitions: readonly PartitionStatus[],
  hears: (id: MemberId) => boolean,
  { leaseMs, leftovers, counters }: MemberFigures,
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
    leftovers,
    antiEntropy: {
      compared: counters.digestsCompared,
      differing: counters.digestsDiffering,
      repaired: counters.entriesRepaired,
      bytes: counters.antiEntropyBytes,
    },
    entries,
    sizeBytes,
    hears: heard,
    migrations,
  };
}

/** A member that came to the fork from elsewhere does not know the chain that the fork has left. */
function missingOf(view: View | null, chain: View | null): MissingMember[] {
  if (view === null || view.parent === null || chain?.lineage !== view.parent.lineage) return [];
  return missingFrom(chain, view.members).map(({ id, address }) => ({ id, address }));
}
