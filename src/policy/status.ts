/**
 * The state of a grid for people and programs: `client.status()`, `isSafe`, `/health/safe`, `elsegrid status`.
 * Computed from a view and what its members report about themselves; pure.
 * Invariant: `safe` is true exactly when `unsafeReasons` is empty, and then any crash that the synced backups
 * cover loses nothing.
 */
import type { ForkPoint, MemberId, TableEntry, View } from '../cluster/view.js';

/** A partition on its way to another member. */
export interface MigrationReport {
  readonly partition: number;
  readonly to: MemberId;
  readonly copiedBytes: number;
  /** As far as the sender knows; null when it does not yet. */
  readonly totalBytes: number | null;
}

/** What comparing replicas in the background found since the member started. */
export interface AntiEntropyReport {
  /** Comparisons of two replicas. */
  readonly compared: number;
  readonly differing: number;
  /** Entries that were repaired. */
  readonly repaired: number;
  /** Sent and received for it. */
  readonly bytes: number;
}

/** How far the backups are behind their primaries; of whole partitions, with everything that is in them. */
export interface Lag {
  /** Synced backups in these places. */
  readonly backups: number;
  /** Those of them that lack something. */
  readonly behind: number;
  /** Those that have not yet told a new primary where they are. */
  readonly unknown: number;
  /** Changes that they lack, all together. */
  readonly positions: number;
  /** Their size in the stream. */
  readonly bytes: number;
  /**
   * The oldest change that one of them lacks was made at most so long ago; 0 when nothing is lacking, null when that is
   * not known, because a primary is new.
   */
  readonly ageMs: number | null;
}

/** How far the synced backups in one place of the partitions that a member leads are behind it. */
export interface BackupReport extends Lag {
  /** 1 for the first backups, up to 6. */
  readonly place: number;
}

/** A member that a fork has lost: by these names an order to recover calls it dead. */
export interface MissingMember {
  readonly id: MemberId;
  /** `host:port`; another process may answer there by now. */
  readonly address: string;
}

/** What one member says about itself. */
export interface MemberReport {
  /** Of the view that it is in; empty while it is in none. */
  readonly lineage: string;
  /** Number of that view, 0 while it is in none. */
  readonly view: number;
  /** Where its lineage left the chain, when it is a fork. */
  readonly parent: ForkPoint | null;
  /** In a fork: the members of the last view of the chain that are not in it. Else empty. */
  readonly missing: readonly MissingMember[];
  /** Its lineage was founded by order: consistent structures are served in it. */
  readonly ordered: boolean;
  /** For how long it still holds its lease, as it knows now; null when it holds none. */
  readonly leaseMs: number | null;
  /** Replicas of an earlier lineage whose changes are not yet merged into the present one. */
  readonly leftovers: number;
  readonly leftoverBytes: number;
  /** Of the partitions whose primary it is, a row for each place. */
  readonly backups: readonly BackupReport[];
  /** Those of them of which it knows a backup that has something else or too little, and has to be copied anew. */
  readonly divergent: readonly number[];
  readonly antiEntropy: AntiEntropyReport;
  /** Of the partitions whose primary it is; what users can see. */
  readonly entries: number;
  /** Of all its replicas, backups included. */
  readonly sizeBytes: number;
  /** Writes that stores of maps lack and that it may tell them, or see told by others. */
  readonly owed: number;
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
  /** The members of its view that it hears; null when it did not answer, as for all that follows. */
  readonly hears: readonly MemberId[] | null;
  /** The lineage that it says to be in: another one than that of this status while a split begins or heals. */
  readonly lineage: string | null;
  /** Milliseconds for which it still holds its lease; null also when it holds none. */
  readonly leaseMs: number | null;
  /** Replicas of an earlier lineage that wait to be merged. */
  readonly leftovers: number | null;
  readonly antiEntropy: AntiEntropyReport | null;
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
  /** Which ones, in their order. */
  readonly lostPartitions: readonly number[];
}

export interface MigrationStatus extends MigrationReport {
  readonly from: MemberId;
}

export interface GridStatus {
  readonly clusterName: string;
  readonly lineage: string;
  /** Number of the view. */
  readonly view: number;
  /** The lineage was founded by order: consistent (PC) structures are served in it. */
  readonly ordered: boolean;
  /** When this is a fork, the side of a split without the majority: the view of the chain that it left. Else null. */
  readonly parent: ForkPoint | null;
  /** In a fork: the members of the last majority that are not in it, as far as members reported; else empty. */
  readonly missing: readonly MissingMember[];
  /** Some structure is consistent (PC). */
  readonly hasConsistent: boolean;
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
 * safe; without, only what the view tells counts (a member that asks itself). `hasConsistent`: what the rows of the view
 * say, which the caller reads.
 */
export function statusFromView(
  clusterName: string,
  view: View,
  reports?: ReadonlyMap<MemberId, MemberReport>,
  hasConsistent = false,
): GridStatus {
  const partitions = partitionStatus(view);
  const unsafeReasons = reasons(view, partitions, reports);
  return {
    clusterName,
    lineage: view.lineage,
    view: view.number,
    ordered: view.ordered,
    parent: view.parent,
    missing: missingMembers(view, reports),
    hasConsistent,
    members: memberStatus(view, reports),
    partitions,
    migrations: migrationStatus(view, reports),
    safe: unsafeReasons.length === 0,
    unsafeReasons,
  };
}

/** What the members of this fork know together: one that joined the fork never was in the chain. */
function missingMembers(view: View, reports?: ReadonlyMap<MemberId, MemberReport>): MissingMember[] {
  const found = new Map<MemberId, MissingMember>();
  for (const { lineage, missing } of reports?.values() ?? []) {
    if (lineage === view.lineage) for (const member of missing) found.set(member.id, member);
  }
  for (const { id } of view.members) found.delete(id);
  return [...found.values()];
}

function partitionStatus(view: View): PartitionStatus {
  const wanted = view.slots + 1;
  const sum = { missing: 0, unplaceable: 0, syncing: 0, unsettled: 0 };
  const lostPartitions: number[] = [];
  for (const [partition, entry] of view.table.entries()) {
    sum.missing += Math.max(0, wanted - entry.replicas.length);
    sum.unplaceable += Math.max(0, wanted - Math.max(places(view, partition), entry.replicas.length));
    sum.syncing += entry.replicas.filter((replica) => !replica.synced).length;
    if (isLost(entry)) lostPartitions.push(partition);
    else if (!entry.settled) sum.unsettled++;
  }
  return {
    count: view.table.length,
    slots: view.slots,
    missingReplicas: sum.missing,
    unplaceableReplicas: sum.unplaceable,
    syncingReplicas: sum.syncing,
    unsettled: sum.unsettled,
    lost: lostPartitions.length,
    lostPartitions,
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
    return {
      id,
      address,
      leaving,
      primaries,
      backups,
      syncing,
      entries: report?.entries ?? null,
      sizeBytes: report?.sizeBytes ?? null,
      heardBy,
      hears: report?.hears ?? null,
      lineage: report?.lineage ?? null,
      leaseMs: report?.leaseMs ?? null,
      leftovers: report?.leftovers ?? null,
      antiEntropy: report?.antiEntropy ?? null,
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
  let leftovers = 0;
  for (const report of reports?.values() ?? []) leftovers += report.leftovers;
  say(leftovers, 'replica waits to be merged', 'replicas wait to be merged');
  for (const { id, address } of reports === undefined ? [] : view.members) {
    if (!reports?.has(id)) found.push(`member ${address} does not answer`);
  }
  return found;
}
