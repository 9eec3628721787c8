/**
 * Holds a run with splits against the guarantees: views and replicas for all presets, then what the preset promises.
 * Called by the runner once everything is quiet. Invariant: a verdict that the checker could not reach is a finding.
 */
import type { PartitionReplica } from '../../partitions/replica.js';
import { checkBehind } from '../checker/behind.js';
import { judgeReplicas } from '../judge.js';
import { readsBehind } from '../knobs.js';
import { judgeLocks } from '../locks.js';
import { HOLDER_MS } from '../workload/locks.js';
import type { Entry, Finding } from '../workload/recorder.js';
import { mayBeApart } from './calm.js';
import type { Connectivity } from './connectivity.js';
import type { SplitContext } from './context.js';
import { judgeExpiring } from './expiring.js';
import type { SplitFinal } from './final.js';
import { judgeAvailable } from './judge-available.js';
import { judgeConsistent } from './judge-consistent.js';
import { judgePairs } from './judge-pairs.js';
import { judgeProcessed } from './judge-processed.js';
import { judgeQueriesOf } from './judge-queries.js';
import { judgeStoresOf } from './judge-stores.js';
import type { Judged } from './judged.js';

export function judgeSplit(run: SplitContext, final: SplitFinal, connectivity: Connectivity): Judged {
  const queries = judgeQueriesOf(run, connectivity);
  const general = [
    ...run.lineages.problems.map((text) => ({ guarantee: 'one view of each number', text })),
    ...judgeReplicas(run).map(({ text }) => ({ guarantee: 'G6 replicas are equal', text })),
    ...judgeReadBack(run, connectivity),
    ...judgeBehind(run),
    ...judgePairs(run, final),
    ...judgeExpiring(run, connectivity),
    ...judgeProcessed(run, final, connectivity),
    ...queries.findings,
    ...judgeLocksOf(run),
    ...(run.stores === null ? [] : judgeStoresOf(run, run.stores, connectivity)),
  ];
  const judged =
    run.plan.preset === 'PC/EC'
      ? judgeConsistent(run, final, connectivity)
      : judgeAvailable(run, final, connectivity);
  return { findings: [...general, ...judged.findings], figures: { ...judged.figures, ...queries.figures } };
}

/**
 * Under a consistent preset all sides are one. Under an available one a primary that was cut off gives locks in the same
 * lineage until it notices: what is given while nothing is cut is judged there, of each lineage for itself.
 */
function judgeLocksOf(run: SplitContext): Finding[] {
  const { plan, locks, nemesis } = run;
  if (plan.preset === 'PC/EC') return judgeLocks(run, locks, false, false);
  const isCalm = (fromMs: number, untilMs: number) =>
    nemesis.cuts.every(
      (cut) => cut.fromMs > untilMs || (cut.toMs ?? Number.POSITIVE_INFINITY) + 4 * plan.suspicionMs < fromMs,
    );
  const holds = locks.holds.filter(({ callMs }) => isCalm(callMs, callMs + HOLDER_MS));
  const intrusions = locks.intrusions.filter(({ entry }) => isCalm(entry.callMs, entry.deadlineMs));
  return judgeLocks(run, { ...locks, holds, intrusions }, true, false);
}

function judgeBehind({ behind, cluster, plan, nemesis }: SplitContext): Finding[] {
  const final = new Map<number, PartitionReplica>();
  for (const { member } of cluster.running()) {
    const { replication, view } = member.node;
    for (const [partition, { replicas }] of (view?.table ?? []).entries())
      if (replicas[0]?.member === member.id) final.set(partition, replication.replica(partition));
  }
  const isLeased = plan.preset === 'PC/EC';
  const isWhole = nemesis.cuts.length === 0;
  return checkBehind({ calls: behind.calls, final, drift: plan.drift, isLeased, isWhole }).map((text) => ({
    guarantee: 'G8 reads that may be behind',
    text,
  }));
}

/**
 * A key that was acknowledged before anything was cut is held wherever its partition is, and nobody removes it: it is
 * never answered as absent. Under a consistent preset that goes for every acknowledged key.
 */
function judgeReadBack(run: SplitContext, connectivity: Connectivity): Finding[] {
  // A read that may be behind may miss what was written just before.
  if (readsBehind(run.plan)) return [];
  const wholeUntilMs = run.nemesis.cuts[0]?.fromMs ?? Number.POSITIVE_INFINITY;
  const isConsistent = run.plan.preset === 'PC/EC';
  const writtenMs = new Map<string, number>();
  for (const { k, type, retMs } of run.recorder.entries)
    if (k.startsWith('set/') && type === 'ok') writtenMs.set(k.slice('set/'.length), retMs as number);
  const wrong = run.recorder.entries.filter(({ k, type, out, callMs }) => {
    const doneMs = writtenMs.get(k.slice('readback/'.length)) ?? Number.POSITIVE_INFINITY;
    if (!k.startsWith('readback/') || type !== 'ok' || out !== null) return false;
    return doneMs < callMs && (isConsistent || doneMs < wholeUntilMs);
  });
  const promise = isConsistent ? 'G3' : 'G5';
  return wrongOf(
    wrong.filter((entry) => isConsistent || !mayBeApart(run, connectivity, entry)),
    promise,
  );
}

function wrongOf(wrong: readonly Entry[], promise: 'G3' | 'G5'): Finding[] {
  return wrong.slice(0, 3).map(({ k, callMs, caller }) => ({
    guarantee: `${promise} no invented absence`,
    text: `${k} was acknowledged, and ${caller.host} read it as absent at ${callMs.toFixed(0)} ms (${wrong.length} such reads)`,
  }));
}
