/** Why a member that does not serve a partition refuses its calls. Called by `replication.ts`. */
import type { Refusal } from '../partitions/replicator.js';
import type { TableEntry } from '../src/cluster/view.js';

/** `entry`: of the view that the member is in; `isTaken`: it is about to serve; `isHollow`: it should, and has nothing. */
export function refusalOf(
  partition: number,
  entry: TableEntry | undefined,
  isTaken: boolean,
  isHollow: boolean,
): Refusal {
  if (isTaken) return { error: 'NotServing', message: `partition ${partition} is being taken over` };
  if (isHollow) {
    const message = `this member was taken for a holder of partition ${partition}, and has nothing of it`;
    return { error: 'PartitionUnavailable', message };
  }
  if (entry?.replicas.length === 0) {
    const holders = entry.lastSynced.join(', ');
    const message = `nobody in the view holds partition ${partition}; last held by ${holders}`;
    return { error: 'PartitionUnavailable', message };
  }
  return { error: 'WrongTarget', message: `this member is not the primary of partition ${partition}` };
}
