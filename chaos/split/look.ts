/**
 * A cut that is not healed, looked at while it lasts: the side that has a majority serves again within ten seconds of
 * virtual time, and then the owners of partitions stop changing. Called by the runner.
 */
import { partitionOfKey } from '../../partitions/placement.js';
import { isQuorum, type MemberId, type View } from '../../src/cluster/view.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { Caller } from '../workload/caller.js';
import type { SplitContext } from './context.js';

export const SERVICE_LIMIT_MS = 10_000;
/** Part of the limit that one call may take, with its retries. */
const PROBE_MS = 3000;
/** Changes of owner that a minute may see, once the first ten seconds are over. */
const MOST_OWNER_CHANGES = 3;
const MINUTE_MS = 60_000;

export interface Probes {
  readonly caller: Caller;
  /** A key in each partition. */
  readonly keys: readonly string[];
}

/** A client that no cut concerns, connected while everything is whole. */
export function probesFor(run: SplitContext): Probes {
  const caller = run.workload.clientCaller({ routing: 'all' });
  const count = run.plan.partitionCount;
  const keys = Array.from({ length: count }, (_, partition) => keyIn(partition, count));
  return { caller, keys };
}

function keyIn(partition: number, count: number): string {
  for (let i = 0; ; i++) {
    const key = `p${i}`;
    if (partitionOfKey(encodeKey(key), count) === partition) return key;
  }
}

/** Called right after the cut; returns with the workload's end near. */
export async function lookAtLastingCut(run: SplitContext, probes: Probes, endMs: number): Promise<void> {
  const { scheduler } = run.cluster;
  const cutMs = scheduler.now;
  const before = run.lineages.newestOfChain();
  await scheduler.run(cutMs + SERVICE_LIMIT_MS - PROBE_MS);
  // Members may join in the very moment of the cut: then a majority of the new view is needed as well.
  const views = [before, run.lineages.newestOfChain()].filter((view) => view !== null);
  const sides = views.map((view) => majoritySides(run, view));
  const isCalm = !run.nemesis.log.some(({ fault: { kind }, fromMs, toMs }) => {
    return (kind === 'loss' || kind === 'delay') && fromMs !== null && (toMs ?? scheduler.now) > cutMs;
  });
  // The limit is one for cuts: frames that are lost or late at the same time make rounds of agreement last as well.
  if (isCalm && sides.every((some) => some.length > 0)) await probe(run, probes, views, sides.flat());
  const fromMs = cutMs + SERVICE_LIMIT_MS;
  await scheduler.run(Math.max(endMs, fromMs));
  const most = mostOwnerChanges(run, fromMs);
  run.figures.ownerChanges = most;
  if (most > MOST_OWNER_CHANGES)
    run.find(
      'G4 owners settle',
      `a partition changed its primary ${most} times in a minute of a cut that lasts`,
    );
}

/**
 * Sets of living members that are joined with each other and have a quorum of the chain's last view, of which at least
 * one of them has heard: a view that only the other side knows nobody here can continue.
 */
function majoritySides(run: SplitContext, chain: View): MemberId[][] {
  const connectivity = run.connectivity();
  const now = connectivity.stretches.at(-1);
  const hostOf = new Map(run.cluster.running().map(({ host, member }) => [member.id, host]));
  const alive = chain.members.map(({ id }) => id).filter((id) => hostOf.has(id));
  if (now === undefined) return [];
  const joined = (a: MemberId, b: MemberId) => {
    return connectivity.areJoined(now, hostOf.get(a) as string, hostOf.get(b) as string);
  };
  const isSame = (view: View) => view.lineage === chain.lineage && view.number === chain.number;
  const knowers = new Set(run.lineages.adoptions.flatMap(({ id, view }) => (isSame(view) ? [id] : [])));
  const sides: MemberId[][] = [];
  for (let mask = 1; mask < 1 << alive.length; mask++) {
    const side = alive.filter((_, i) => (mask & (1 << i)) !== 0);
    const isWhole = side.every((a) => side.every((b) => a === b || joined(a, b)));
    const isKnown = side.some((id) => knowers.has(id));
    if (isWhole && isKnown && isQuorum(chain.members, (id) => side.includes(id))) sides.push(side);
  }
  return sides;
}

async function probe(
  run: SplitContext,
  { caller, keys }: Probes,
  views: readonly View[],
  sides: readonly MemberId[][],
): Promise<void> {
  const map = caller.grid.getMap<string, string>('probe').with({ timeoutMs: PROBE_MS });
  const has = (id: MemberId, partition: number) =>
    views.every(
      ({ table }) =>
        table[partition]?.replicas.some(({ member, synced }) => synced && member === id) === true,
    );
  const due = keys.filter((_, partition) => sides.every((side) => side.some((id) => has(id, partition))));
  // What is looked at is the service under the cut: lossy links alone may swallow all attempts of a short call, on its
  // way to the primary or from there to a backup.
  run.cluster.network.setAllLinks({ loss: 0 });
  let open = due.length;
  for (const key of due) {
    void map.put(key, 'served').then(
      () => open--,
      (error: Error) => {
        open--;
        const text = `${SERVICE_LIMIT_MS} ms after a cut that left a majority, a write ended with ${error.message}`;
        run.find('G4 the majority serves', text);
      },
    );
  }
  run.figures.probes = due.length;
  await run.cluster.until(() => open === 0, PROBE_MS + 2000);
}

function mostOwnerChanges(run: SplitContext, fromMs: number): number {
  const views = run.lineages.chainViews();
  const changes = new Map<number, number[]>();
  views.forEach(({ atMs, view }, index) => {
    const before = views[index - 1]?.view;
    if (before === undefined || atMs < fromMs) return;
    view.table.forEach(({ replicas }, partition) => {
      const [now, then] = [replicas[0]?.member, before.table[partition]?.replicas[0]?.member];
      if (now !== then) changes.set(partition, [...(changes.get(partition) ?? []), atMs]);
    });
  });
  const inMinute = (times: readonly number[], at: number) =>
    times.filter((time) => time >= at && time < at + MINUTE_MS).length;
  return Math.max(
    0,
    ...[...changes.values()].map((times) => Math.max(...times.map((t) => inMinute(times, t)))),
  );
}
