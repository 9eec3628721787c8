/** State of one partition at a member, for status pages and tests. Pure; called by `replication.ts`. */
import type { PartitionReplica } from '../partitions/replica.js';
import type { MemberId } from '../src/cluster/view.js';
import type { PrimaryStream } from './primary.js';
import type { SlotLag } from './slot.js';

export type PartitionRole = 'primary' | 'taking over' | 'backup' | 'syncing' | 'kept';

export interface PartitionStatus {
  readonly partition: number;
  readonly role: PartitionRole;
  readonly epoch: number;
  readonly seq: number;
  readonly entries: number;
  readonly sizeBytes: number;
  readonly copies: readonly {
    readonly to: MemberId;
    readonly copiedBytes: number;
    readonly sizeBytes: number;
  }[];
  /** Of a primary: its synced backups. */
  readonly backups: readonly BackupStatus[];
}

export interface BackupStatus {
  /** 1 for the first backup. */
  readonly place: number;
  /** How far it is behind; null while it has not said where it is. */
  readonly lag: SlotLag | null;
  /** It has something else or too little, and has to be copied anew. */
  readonly isDivergent: boolean;
}

/** `synced`: what the view says of this member's replica; undefined when it has none there. */
export function partitionStatus(
  replica: PartitionReplica,
  primary: PrimaryStream | undefined,
  isTakingOver: boolean,
  synced: boolean | undefined,
  nowMs: number,
): PartitionStatus {
  const { sizeBytes, id: partition, epoch, seq, entryCount: entries } = replica;
  const slots = [...(primary?.slots.values() ?? [])];
  const copies = slots
    .filter((slot) => slot.migration !== null && !slot.synced)
    .map((slot) => ({ to: slot.member, copiedBytes: slot.migration?.copiedBytes ?? 0, sizeBytes }));
  const backups = slots
    .filter((slot) => slot.synced)
    .map((slot) => ({ place: slot.index, lag: slot.lag(replica, nowMs), isDivergent: slot.behind }));
  const role = roleOf(primary !== undefined, isTakingOver, synced);
  return { partition, role, epoch, seq, entries, sizeBytes, copies, backups };
}

function roleOf(isPrimary: boolean, isTakingOver: boolean, synced: boolean | undefined): PartitionRole {
  if (isPrimary) return 'primary';
  if (isTakingOver) return 'taking over';
  if (synced === undefined) return 'kept';
  return synced ? 'backup' : 'syncing';
}
