/** State of one partition at a member, for status pages and tests. Pure; called by `replication.ts`. */
import type { PartitionReplica } from '../partitions/replica.js';
import type { MemberId } from '../src/cluster/view.js';
import type { PrimaryStream } from './primary.js';

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
}

/** `synced`: what the view says of this member's replica; undefined when it has none there. */
export function partitionStatus(
  replica: PartitionReplica,
  primary: PrimaryStream | undefined,
  isTakingOver: boolean,
  synced: boolean | undefined,
): PartitionStatus {
  const { sizeBytes, id: partition, epoch, seq, entryCount: entries } = replica;
  const copies = [...(primary?.slots.values() ?? [])]
    .filter((slot) => slot.migration !== null && !slot.synced)
    .map((slot) => ({ to: slot.member, copiedBytes: slot.migration?.copiedBytes ?? 0, sizeBytes }));
  const role = roleOf(primary !== undefined, isTakingOver, synced);
  return { partition, role, epoch, seq, entries, sizeBytes, copies };
}

function roleOf(isPrimary: boolean, isTakingOver: boolean, synced: boolean | undefined): PartitionRole {
  if (isPrimary) return 'primary';
  if (isTakingOver) return 'taking over';
  if (synced === undefined) return 'kept';
  return synced ? 'backup' : 'syncing';
}
