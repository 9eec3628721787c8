/**
 * What a primary may say about a call that its client does not know the outcome of. Invariant: nothing is told as done or
 * as not done that another side of a split may turn round. Called by the executor.
 */
import type { PartitionReplica } from './replica.js';
import type { Replicator } from './replicator.js';
import { isConsistent, type StructureOptions } from './service.js';
import { isUnknown, type WindowEntry } from './sessions.js';

/** The contents began empty after a call this old: it may have been applied without a trace being left of it. */
export function isForgotten({ emptySinceMs }: PartitionReplica, ageMs: number, nowMs: number): boolean {
  return emptySinceMs !== null && nowMs - emptySinceMs < ageMs;
}

/**
 * An earlier primary, which went to another side, may have applied the call, and that side may be the one that stays. A
 * consistent structure has one history, and a call that began under this primary was tried nowhere else.
 */
export function mayBeElsewhere(
  { ledSinceMs }: Pick<PartitionReplica, 'ledSinceMs'>,
  options: StructureOptions,
  ageMs: number,
  nowMs: number,
): boolean {
  return !isConsistent(options) && nowMs - ledSinceMs < ageMs;
}

/** `later`: that it is void is not to be told yet. */
export function outcomeOf(
  entry: WindowEntry,
  replica: PartitionReplica,
  options: StructureOptions,
  ageMs: number,
  nowMs: number,
  isInFork: boolean,
  replicator: Replicator,
): 'done' | 'not done' | 'unknown' | 'later' {
  if (!entry.isVoid) return 'done';
  if (isUnknown(entry)) return 'unknown';
  if (!mayBeElsewhere(replica, options, ageMs, nowMs)) return 'not done';
  if (isInFork) return 'unknown';
  // So it may when this primary is cut off before anybody else knows of the void: then the earlier one leads again.
  const { id } = replica;
  const { sync } = options.backups;
  const isAlone = sync > 0 && replicator.awaitsBackup(id) && replicator.syncedBackups(id, sync) === 0;
  return isAlone ? 'later' : 'not done';
}
