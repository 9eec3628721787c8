/**
 * Whether all is one again after a heal: one view with every replica in its place, nobody in a fork, nothing left to
 * merge. Called by the runner, which waits for it.
 */
import type { MemberId, View } from '../../src/cluster/view.js';
import type { SimCluster, SimMember } from '../sim/cluster.js';
import type { SplitContext } from './context.js';

const NONE: ReadonlySet<number> = new Set();

/** What a member says about replicas that are still to be merged; there is nobody to merge into in a dead partition. */
export function leftoversOf({ member }: SimMember, dead: ReadonlySet<number> = NONE): number {
  return member.node.replication.leftovers.status().filter(({ partition }) => !dead.has(partition)).length;
}

/** Why it is not one lineage yet, or null. `dead`: partitions that nobody can bring back. */
export function notOneLineage(cluster: SimCluster, dead: ReadonlySet<number>): string | null {
  const running = cluster.running();
  const first = running[0]?.member.node.view;
  for (const { host, member } of running) {
    const { view } = member.node;
    if (view === null || view === undefined) return `${host} is in no view`;
    if (view.lineage !== first?.lineage) return `${running[0]?.host} and ${host} are in different lineages`;
    if (view.number !== first.number) return `${host} is not in the newest view`;
  }
  if (first === null || first === undefined) return 'nobody runs';
  if (first.members.length !== running.length)
    return `the view has ${first.members.length} members, and ${running.length} run`;
  for (const [partition, { replicas, settled, moving }] of first.table.entries()) {
    const target = first.target[partition] ?? [];
    if (dead.has(partition)) continue;
    const isThere = replicas.length === target.length && replicas.every(({ synced }) => synced);
    if (!settled || moving || !isThere) return `partition ${partition} is not safe`;
  }
  const holder = running.find((entry) => leftoversOf(entry, dead) > 0);
  if (holder !== undefined)
    return `${holder.host} has ${leftoversOf(holder, dead)} replicas that were not merged`;
  return null;
}

/** Partitions of which every last holder has crashed: no protocol can bring them back. */
export function deadPartitions(run: SplitContext): Set<number> {
  const dead = new Set<number>();
  const view = run.lineages.newestOfChain();
  view?.table.forEach(({ replicas, lastSynced }, partition) => {
    const holders = replicas.length > 0 ? replicas.filter((r) => r.synced).map((r) => r.member) : lastSynced;
    if (!holders.some((id) => run.isAlive(id))) dead.add(partition);
  });
  return dead;
}

/** Partitions that the member leads in the view, and that somebody led before who is not in it any more. */
export function takenFromRemoved(id: MemberId, view: View, before: View | null): number[] {
  const present = new Set(view.members.map((member) => member.id));
  return view.table.flatMap(({ replicas }, partition) => {
    const former =
      before?.lineage === view.lineage ? before.table[partition]?.replicas[0]?.member : undefined;
    return replicas[0]?.member === id && former !== undefined && !present.has(former) ? [partition] : [];
  });
}
