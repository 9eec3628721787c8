/**
 * What splits promise of maps that are kept in a store: a side without the majority does not write to it, nor does a
 * member that has lost its lease; what callers were told holds as without cuts, and under a consistent preset there is
 * one history of everything. Called by `judge.ts`.
 */
import type { StoreRig } from '../stores.js';
import { judgeStores } from '../stores.js';
import type { Finding } from '../workload/recorder.js';
import type { Connectivity } from './connectivity.js';
import type { SplitContext } from './context.js';
import { powerlessPeriods } from './power.js';

/** What passes between the look at the lease and the call, beside a turn in the queue. */
const TURN_MS = 50;
const SHOWN = 3;

export function judgeStoresOf(run: SplitContext, rig: StoreRig, connectivity: Connectivity): Finding[] {
  const wrong = [...byForks(run, rig), ...byThePowerless(run, rig, connectivity)];
  const found = judgeStores(run, rig, run.plan.preset === 'PC/EC');
  if (wrong.length === 0) return found;
  const text = `${wrong.length} times a side without the majority wrote: ${wrong.slice(0, SHOWN).join('; ')}`;
  return [...found, { guarantee: 'stores: the majority writes', text }];
}

/** A call may wait for its turn as long as it has time. */
function patienceMs({ plan }: SplitContext, rig: StoreRig): number {
  return rig.plan.timeoutMs * (1 + 2 * plan.drift) + TURN_MS;
}

function byForks(run: SplitContext, rig: StoreRig): string[] {
  const { lineages } = run;
  return rig.store.writes.flatMap(({ host, askedMs, map, key, value }) => {
    const [then, now] = [askedMs - patienceMs(run, rig), askedMs].map((ms) => lineages.viewAt(host, ms));
    const isFork = now?.parent != null && now.lineage !== lineages.chain && then?.lineage === now.lineage;
    return isFork ? [`${host}, in a fork, ${map}/${key} to ${value} at ${askedMs.toFixed(0)}`] : [];
  });
}

/** A process that starts where it finds nobody founds a cluster of its own, and is the majority of it. */
function byThePowerless(run: SplitContext, rig: StoreRig, connectivity: Connectivity): string[] {
  const { plan, lineages } = run;
  const graceMs = plan.leaseMs * (1 + 2 * plan.drift) + patienceMs(run, rig);
  const hosts = [...new Set(rig.store.writes.map(({ host }) => host))];
  return hosts.flatMap((host) => {
    const periods = powerlessPeriods(run, connectivity, host);
    const its = rig.store.writes.filter((write) => write.host === host);
    return its.flatMap(({ askedMs, map, key, value }) => {
      const isIn = periods.some(({ fromMs, toMs }) => askedMs > fromMs + graceMs && askedMs <= toMs);
      if (!isIn || lineages.viewAt(host, askedMs)?.lineage !== lineages.chain) return [];
      return [`${host}, cut off, ${map}/${key} to ${value} at ${askedMs.toFixed(0)}`];
    });
  });
}
