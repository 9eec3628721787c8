/** The health pages of a member: `/health/live`, `/health/ready` and `/health/safe`; 200 or 503, with the reasons. */
import type { HttpReply, ListenOptions } from '../base/ports.js';
import { statusFromView } from '../policy/status.js';
import type { MemberNode } from './node.js';

export function healthPages(node: MemberNode): NonNullable<ListenOptions['http']> {
  const pages = new Map<string, () => HttpReply>([
    ['/health/live', () => answer([])],
    ['/health/ready', () => answer(notReady(node))],
    ['/health/safe', () => answer(notSafe(node))],
  ]);
  return (path) => pages.get(path)?.();
}

function answer(reasons: readonly string[]): HttpReply {
  const body = JSON.stringify({ ok: reasons.length === 0, reasons });
  return { status: reasons.length === 0 ? 200 : 503, contentType: 'application/json', body: `${body}\n` };
}

/** In a view, heard by a quorum, and serving every partition whose primary it is. */
function notReady(node: MemberNode): string[] {
  const { view } = node;
  if (view === null) return ['this member is in no view yet'];
  // A member without partitions has nothing to serve, and is cut off all the same.
  if (!node.replication.hasQuorum) return ['this member does not hear a majority of its view'];
  const waiting = view.table.filter((entry, partition) => {
    return entry.replicas[0]?.member === node.id && !node.replication.isServing(partition);
  }).length;
  if (waiting === 0) return [];
  return [`${waiting === 1 ? '1 partition' : `${waiting} partitions`} of this member not served yet`];
}

function notSafe(node: MemberNode): readonly string[] {
  const { view } = node;
  if (view === null) return ['this member is in no view yet'];
  const { unsafeReasons } = statusFromView(node.config.clusterName, view);
  return [...unsafeReasons, ...unmerged(node.replication.leftovers.size)];
}

/** What this member has and its cluster has not. */
export function unmerged(leftovers: number): string[] {
  if (leftovers === 0) return [];
  return [`${leftovers === 1 ? '1 replica' : `${leftovers} replicas`} of this member not merged yet`];
}
