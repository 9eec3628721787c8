/** Why the primary does not run a write that it has not seen before, although it serves the partition. Called by the executor. */
import type { PartitionReplica } from './replica.js';
import type { Refusal, Replicator } from './replicator.js';
import type { StructureOptions } from './service.js';
import type { Session } from './sessions.js';

/** Null when it is run. `hasReply`: its answer has to be remembered. */
export function newCallRefusal(
  replicator: Replicator,
  { id, sessions }: PartitionReplica,
  session: Session,
  { minSynced, backups }: StructureOptions,
  hasReply: boolean,
): Refusal | null {
  if (minSynced > 0 && replicator.syncedBackups(id, backups.sync) < minSynced) {
    const message = `fewer than ${minSynced} sync backups of partition ${id} are synced`;
    return { error: 'NotEnoughBackups', message };
  }
  if (session.isFull)
    return { error: 'Overload', message: 'the session has too many calls that it may still ask about' };
  if (hasReply && sessions.isOverBudget)
    return { error: 'Overload', message: 'the member remembers too many bytes of replies' };
  return null;
}
