/**
 * What running operations and merges needs of replication: who is primary, how far backups are, and a place to wait
 * for them. Implemented by `replication/replication.ts`.
 */
import type { ErrorName } from '../src/base/errors.js';
import type { StreamOut } from './append-entry.js';
import type { CallRef, ReplySink } from './call.js';
import type { PartitionReplica } from './replica.js';

export interface Refusal {
  readonly error: ErrorName;
  readonly message: string;
}

/** An answer that waits until position `seq` can not be lost any more. */
export interface Waiter {
  readonly seq: number;
  readonly deadlineMs: number;
  /** Beyond its deadline a write waits on while no backup was silent for this long; 0 for what does not. */
  readonly silenceMs: number;
  readonly isWrite: boolean;
  readonly succeedOnTimeout: boolean;
  readonly call: CallRef;
  readonly sink: ReplySink;
  readonly done: () => void;
}

/** What the executor needs of replication. */
export interface Replicator extends StreamOut {
  /** Why a call is not served here now, or null. */
  refusal(partition: number, isWrite: boolean): Refusal | null;
  replica(partition: number): PartitionReplica;
  /**
   * What this member holds of a partition that it does not serve as its primary, for reads that may be behind; null when
   * that is nothing, or not all. `isConsistent`: of a structure that a fork keeps as it was.
   */
  readable(partition: number, isConsistent: boolean): PartitionReplica | null;
  /** How old what is held is at the most, ms, for a read that allows so much; Infinity when that is not known. */
  ageMs(replica: PartitionReplica, isConsistent: boolean, maxStalenessMs: number | null): number;
  /** Synced replicas among the first `syncBackups` backups. */
  syncedBackups(partition: number, syncBackups: number): number;
  /** The cluster can hold a backup of the partition, which may be missing or syncing now. */
  awaitsBackup(partition: number): boolean;
  /** Highest position that all of the first `syncBackups` synced backups have. */
  committed(partition: number, syncBackups: number): number;
  wait(partition: number, syncBackups: number, waiter: Waiter): void;
}
