/**
 * The state of a grid for people and programs: `client.status()`, `isSafe`, `/health/safe`, `elsegrid status`.
 * Computed from a view and what its members report about themselves; pure.
 * Invariant: `safe` is true exactly when `unsafeReasons` is empty, and then any crash that the synced backups
 * cover loses nothing.
 */
import type { MemberId, TableEntry, View } from '../cluster/view.js';

/** A partition on its way to another member. */
export interface MigrationReport {
  readonly partition: number;
  readonly to: MemberId;
  readonly copiedBytes: number;
  /** As far as the sender knows; null when it does not yet. */
  readonly totalBytes: number | null;
}

/** What one member says about itself. */
export interface MemberReport {
  /** Of the partitions whose primary it is; what users can see. */
  readonly entries: number;
  /** Of all its replicas, backups included. */
  readonly sizeBytes: number;
  /** The members of its view that it hears. */
  readonly hears: readonly MemberId[];
  /** Those that it sends. */
  readonly migrations: readonly MigrationReport[];
}

export interface MemberStatus {
  readonly id: MemberId;
  /** `host:port` */
  readonly address: string;
  readonly leaving: boolean;
  /** Partitions whose primary it is. */
  readonly primaries: number;
  /** Synced backup replicas that it holds. */
  readonly backups: number;
  /** Replicas that it is still getting. */
  readonly syncing: number;
  /** Null when the member did not answer. */
  readonly entries: number | null;
  readonly sizeBytes: number | null;
  /** Other members that answered and hear it. */
  readonly heardBy: number;
}

export interface PartitionStatus {
  readonly count: number;
  /** Backups of each partition that the structures want. */
  readonly slots: number;
  /** Wanted replicas that nobody holds or is getting. */
  readonly missingReplicas: number;
  /** Those of the missing that have no place: the cluster has too few members (or hosts). */
  readonly unplaceableReplicas: number;
  /** Replicas that are being copied. */
  readonly syncingReplicas: number;
  /** Partitions whose primary has not yet reported that it serves and that its backups are level. */
  readonly unsettled: number;
  /** Partitions of which no member holds a synced replica; calls to them fail with ERR_PARTITION_UNAVAILABLE. */
  readonly lost: number;
}

export interface MigrationStatus extends MigrationReport {
  readonly from: MemberId;
}

export interface GridStatus {
  readonly clusterName: string;
  readonly lineage: string;
  /** Number of the view. */
  readonly view: number;
  /** Oldest first. */
  readonly members: readonly MemberStatus[];
  readonly partitions: PartitionStatus;
  readonly migrations: readonly MigrationStatus[];
  /** All replicas that the cluster can hold are synced. */
  readonly safe: boolean;
  /** Why not, a sentence each. */
  readonly unsafeReasons: readonly string[];
}

/**
 * The status under a view. With `reports`, a member that is not in them did not answer, and the grid is not
 * safe; without, only what the view tells counts (a member that asks itself).
 */
export function statusFromView(
  clusterName: string,
  view: View,
  reports?: ReadonlyMap<MemberId, MemberReport>,
): GridStatus {
  const partitions = partitionStatus(view);
  const unsafeReasons = reasons(view, partitions, reports);
  return {
    clusterName,
    lineage: view.lineage,
    view: view.number,
    members: memberStatus(view, reports),
    partitions,
    migrations: migrationStatus(view, reports),
    safe: unsafeReasons.length === 0,
    unsafeReasons,
  };
}

function partitionStatus(view: View): PartitionStatus {
  const wanted = view.slots + 1;
  const sum = { missing: 0, unplaceable: 0, syncing: 0, unsettled: 0, lost: 0 };
  for (const [partition, entry] of view.table.entries()) {
    sum.missing += Math.max(0, wanted - entry.replicas.length);
    sum.unplaceable += Math.max(0, wanted - Math.max(places(view, partition), entry.replicas.length));
    sum.syncing += entry.replicas.filter((replica) => !replica.synced).length;
    if (isLost(entry)) sum.lost++;
    else if (!entry.settled) sum.unsettled++;
  }
  return {
    count: view.table.length,
    slots: view.slots,
    missingReplicas: sum.missing,
    unplaceableReplicas: sum.unplaceable,
    syncingReplicas: sum.syncing,
    unsettled: sum.unsettled,
    lost: sum.lost,
  };
}

/** Replicas that the members of the view can hold of the partition. */
function places(view: View, partition: number): number {
  return view.target[partition]?.length ?? 0;
}

export function isLost(entry: TableEntry): boolean {
  return !entry.replicas.some((replica) => replica.synced);
}

interface Roles {
  primaries: number;
  backups: number;
  syncing: number;
}

function memberStatus(view: View, reports?: ReadonlyMap<MemberId, MemberReport>): MemberStatus[] {
  const roles = new Map<MemberId, Roles>(
    view.members.map(({ id }) => [id, { primaries: 0, backups: 0, syncing: 0 }]),
  );
  for (const entry of view.table) {
    for (const [index, replica] of entry.replicas.entries()) {
      const role = roles.get(replica.member);
      if (role === undefined) continue;
      if (!replica.synced) role.syncing++;
      else if (index === 0) role.primaries++;
      else role.backups++;
    }
  }
  return view.members.map(({ id, address, leaving }) => {
    const report = reports?.get(id);
    const heardBy = [...(reports ?? [])].filter(
      ([from, { hears }]) => from !== id && hears.includes(id),
    ).length;
    const { primaries, backups, syncing } = roles.get(id)!;
    const entries = report?.entries ?? null;
    return {
      id,
      address,
      leaving,
      primaries,
      backups,
      syncing,
      entries,
      sizeBytes: report?.sizeBytes ?? null,
      heardBy,
    };
  });
}

function migrationStatus(view: View, reports?: ReadonlyMap<MemberId, MemberReport>): MigrationStatus[] {
  const all = view.members.flatMap(({ id }) =>
    (reports?.get(id)?.migrations ?? []).map((migration) => ({ ...migration, from: id })),
  );
  return all.sort((a, b) => a.partition - b.partition);
}

function reasons(
  view: View,
  partitions: PartitionStatus,
  reports?: ReadonlyMap<MemberId, MemberReport>,
): string[] {
  const found: string[] = [];
  const say = (count: number, one: string, more: string) => {
    if (count > 0) found.push(`${count} ${count === 1 ? one : more}`);
  };
  say(
    partitions.lost,
    'partition has no synced replica left and waits for one of its last holders',
    'partitions have no synced replica left and wait for one of their last holders',
  );
  const placeable = partitions.missingReplicas - partitions.unplaceableReplicas;
  say(placeable, 'replica is missing', 'replicas are missing');
  say(partitions.syncingReplicas, 'replica is syncing', 'replicas are syncing');
  say(partitions.unsettled, 'partition is being taken over', 'partitions are being taken over');
  for (const { id, address } of reports === undefined ? [] : view.members) {
    if (!reports?.has(id)) found.push(`member ${address} does not answer`);
  }
  return found;
}
