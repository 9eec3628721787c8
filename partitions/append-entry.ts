/** How a change that was made on a primary becomes the next position of its partition. Called by whoever makes one. */
import type { HybridClock } from '../src/base/hlc.js';
import { type EntryBody, encodeEntry } from './entry-body.js';
import type { PartitionReplica } from './replica.js';

/** What it needs of replication. */
export interface StreamOut {
  /** Whether the partition has other replicas, which need what is applied here. */
  isReplicated(partition: number): boolean;
  /** Takes the change at position replica.seq to the other replicas. */
  append(replica: PartitionReplica, body: Uint8Array): void;
}

/** Keys of these hashes have another value from a position on; `hashes` is valid during the call only. */
export type Changed = (
  partition: number,
  serviceId: number,
  structure: string,
  seq: number,
  hashes: readonly number[],
) => void;

/** `entry` is made only when somebody needs it. */
export function appendEntry(
  stream: StreamOut,
  replica: PartitionReplica,
  hlc: HybridClock,
  entry: () => Omit<EntryBody, 'hlcMs' | 'hlcCounter'>,
): void {
  replica.seq++;
  if (!stream.isReplicated(replica.id)) return;
  const { ms: hlcMs, counter: hlcCounter } = hlc.latest;
  stream.append(replica, encodeEntry({ ...entry(), hlcMs, hlcCounter }));
}
