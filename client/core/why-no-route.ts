/** Why a call finds no way to its primary, or no answer, as the error that it ends with when that stays so. */
import { type GridError, PartitionUnavailableError, TimeoutError } from '../../src/base/errors.js';
import type { View } from '../../src/cluster/view.js';
import type { OpenCall } from './open-call.js';
import type { Routes } from './routes.js';

export function whyNoRoute(view: View | null, partition: number): GridError {
  if (view === null) return new TimeoutError('there is no view of a cluster');
  const entry = view.table[partition];
  const primary = entry?.replicas[0]?.member;
  if (primary === undefined) {
    const holders = entry?.lastSynced.join(', ');
    return new PartitionUnavailableError(
      `nobody in view ${view.number} holds partition ${partition}; last held by ${holders}`,
    );
  }
  const address = view.members.find((member) => member.id === primary)?.address;
  return new TimeoutError(`there is no connection to ${address}, the primary of partition ${partition}`);
}

/** Why a call has no answer that nobody refused. */
export function whyUnanswered(routes: Routes, { partition, attempts }: OpenCall): GridError {
  if (routes.toPrimary(partition) === null) return routes.whyNoRoute(partition);
  return new TimeoutError(attempts === 0 ? 'earlier calls still wait to be sent' : 'no answer');
}
