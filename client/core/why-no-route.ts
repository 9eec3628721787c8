/** Why a call finds no way to its primary, in words for the error message. */
import type { View } from '../../src/cluster/view.js';

export function whyNoRoute(view: View | null, partition: number): string {
  if (view === null) return 'there is no view of a cluster';
  const entry = view.table[partition];
  const primary = entry?.replicas[0]?.member;
  if (primary === undefined) {
    return `nobody in view ${view.number} holds partition ${partition}; last held by ${entry?.lastSynced.join(', ')}`;
  }
  const address = view.members.find((member) => member.id === primary)?.address;
  return `there is no connection to ${address}, the primary of partition ${partition}`;
}
