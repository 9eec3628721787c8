/**
 * Which states of splits a run reached, with counts; a suite fails when no seed reached one that it requires. Filled by
 * the runner from what views, calls and members say.
 */

import type { ReplicationCounters } from '../../replication/host.js';
import { isQuery } from '../checker/queried.js';
import { reachedByExpiry } from '../expiry.js';
import { reachedByLocks } from '../locks.js';
import { OF_QUERIES, reachedByQueries } from '../queries.js';
import { OF_ACKS, OF_QUEUES, Reached, reachedByCalls, reachedByFaults } from '../reached.js';
import { OF_STORES, reachedByStores } from '../stores.js';
import { BEHIND } from '../workload/behind.js';
import { NEMESES, type NemesisName, type SplitPreset, WORKLOADS, type WorkloadName } from './case.js';
import type { SplitContext } from './context.js';
import type { SplitWishes } from './draw.js';
import { OF_EXPIRY } from './expiring.js';
import type { Figures } from './figures.js';
import { OF_PROCESSORS } from './judge-processed.js';
import { ofListeners } from './listening.js';

const BOTH = [
  'overlapped a fault',
  'call refused for certain',
  'call of unknown outcome',
  'fork formed',
  'chain continued from forks',
  'fork merged into chain',
  'member left behind',
  'partition brought back by a returning member',
  'crash while sides were cut',
  'crash after a heal',
  'restart while sides were cut',
  'cut',
  'crash',
  'restart',
  'pause',
  'wall',
  'delay',
  'loss',
  'ok through a member',
  'ok through one-member routing',
] as const;

/** What the seeds of a suite that runs all of `WORKLOADS` have to reach together. */
const REQUIRED: Readonly<Record<SplitPreset, readonly string[]>> = {
  'PC/EC': [
    ...BOTH,
    'lease refused a call',
    'call refused in a fork',
    'takeover that waited for a lease',
    'takeover that did not need to wait',
    'service looked at under a lasting cut',
    'ok register/cas',
    'ok counter/addAndGet',
    'ok set/write',
    'ok readback/read',
  ],
  'PA/EC': [
    ...BOTH,
    'fork merged with fork',
    'cluster founded apart merged',
    'merge',
    'merge discarded something',
    'crash of a holder in a merge',
    'crash of another member in a merge',
    'call on a cut-off side acknowledged',
    'ok contested/put',
    'ok contested/cas',
    'ok counter/addAndGet',
    'ok set/write',
    'ok readback/read',
  ],
};

const OF_BEHIND = [
  'ok behind/write',
  'ok behind/read at the primary',
  'ok behind/read at a backup',
  'error ERR_TOO_STALE',
  'error ERR_SESSION_LOST',
] as const;

const OF_LOCKS = [
  'ok lock/lock',
  'ok lock/unlock',
  'ok locks/write',
  'lock that had to wait',
  'lock of a client that died',
] as const;

const OF_NEAR = [
  'ok behind/write',
  'ok behind/read at the primary',
  'ok behind/read at a backup',
  'ok behind/read at a near cache',
  'near cache: entry dropped because its key had changed',
  'near cache: entry that was too old',
  'near cache: entry behind its session',
  'near cache: answer that came too late',
  'near cache: hit at rest',
] as const;

/** A query of all partitions was answered while members were cut apart; on a side that has all of them, and nothing else. */
const QUERY_IN_CUT = 'query answered while sides were cut';
const QUERY_OF_SIDE = 'query answered on a side of its own';

/** What only a workload or a fault brings about that a run may leave out. */
const BROUGHT_BY: readonly (readonly [RegExp, WorkloadName | NemesisName])[] = [
  [/^ok (register|contested)/, 'map-register'],
  [/^ok (set|readback)\//, 'map-set'],
  [/^ok counter\//, 'counter'],
  [/crash|restart/, 'crash'],
  [/^pause$/, 'pause'],
  [/^wall$/, 'clock'],
  [/^delay$/, 'delay'],
  [/^loss$/, 'loss'],
];

/** What the seeds of a suite have to reach together, as far as its workloads and faults can. */
export function requiredStates(wishes: SplitWishes): string[] {
  const { preset, workloads = WORKLOADS, nemeses = NEMESES } = wishes;
  const wished: readonly string[] = [...workloads, ...nemeses];
  const hasCuts = nemeses.some((name) => name === 'partition' || name === 'one-way');
  const hasOthers = workloads.some((name) => name !== 'map-behind' && name !== 'map-near');
  const required = [
    ...REQUIRED[preset].filter((state) => hasOthers || !/^ok |^call |^overlapped|^service/.test(state)),
    ...(workloads.includes('map-behind') ? OF_BEHIND : []),
    ...(workloads.includes('map-near') ? OF_NEAR : []),
    ...(workloads.includes('queue') ? OF_QUEUES : []),
    ...(workloads.includes('locks') ? OF_LOCKS : []),
    ...(workloads.includes('map-store') ? OF_STORES : []),
    ...(workloads.includes('map-listen') ? ofListeners(preset) : []),
    ...(workloads.includes('processors') ? OF_PROCESSORS : []),
    ...(workloads.includes('map-expiry') ? OF_EXPIRY : []),
    ...(workloads.includes('queue-acks') ? OF_ACKS : []),
    ...(workloads.includes('queries')
      ? [...OF_QUERIES, QUERY_IN_CUT, ...(preset === 'PA/EC' ? [QUERY_OF_SIDE] : [])]
      : []),
  ];
  return required.filter((state) => {
    if (!hasCuts && /cut|fork|merge|lease|left behind|side of its own/.test(state)) return false;
    return BROUGHT_BY.every(([pattern, name]) => wished.includes(name) || !pattern.test(state));
  });
}

/** Names that members count under, and the states that they stand for. */
const COUNTED: readonly (readonly [counter: keyof ReplicationCounters, state: string])[] = [
  ['promotions', 'promotion'],
  ['handovers', 'planned handover'],
  ['divergent', 'replica that diverged'],
  ['mergesCompleted', 'merge'],
  ['mergedEntries', 'entry merged'],
  ['mergeDiscarded', 'merge discarded something'],
];

export function reachedOf(run: SplitContext, figures: Figures): Reached {
  const reached = new Reached();
  const { nemesis, recorder, cluster, lineages } = run;
  reachedByFaults(reached, nemesis);
  reachedByCalls(reached, recorder.entries, nemesis);
  reachedByLocks(reached, recorder, run.locks);
  if (run.stores !== null) reachedByStores(reached, run.stores);
  reachedByExpiry(reached, run, run.expiry);
  reachedByQueries(reached, run, run.queries);
  for (const event of [...lineages.events, ...run.events]) reached.add(event);
  for (const { member } of cluster.processes) {
    const { replication, executor, admission } = member.node;
    for (const [counter, state] of COUNTED) reached.add(state, replication.counters[counter]);
    reached.add('retry answered from the window', executor.replayed);
    reached.add('lease refused a call', admission.leaseRefusals);
    reached.add('call refused in a fork', admission.forkRefusals);
  }
  reached.add('partition brought back by a returning member', broughtBack(run));
  for (const { kind, source, code, place } of run.behind.calls) {
    const at = source === 'backup' ? 'a backup' : source === 'nearCache' ? 'a near cache' : 'the primary';
    if (code !== null) reached.add(`error ${code}`);
    else if (place !== null) reached.add(kind === 'write' ? 'ok behind/write' : `ok behind/read at ${at}`);
  }
  for (const grid of [...cluster.clients, ...cluster.processes.map(({ member }) => member)]) {
    const stats = grid.getMap(BEHIND).getNearCacheStats();
    if (stats === null) continue;
    reached.add('near cache: entry dropped because its key had changed', stats.invalidations);
    reached.add('near cache: entry that was too old', stats.tooOld);
    reached.add('near cache: entry behind its session', stats.behindSession);
    reached.add('near cache: answer that came too late', stats.lateFills);
  }
  reached.add('near cache: hit at rest', figures.nearHitsAtRest ?? 0);
  const cutMs = nemesis.cuts.map(({ fromMs, toMs }) => [fromMs, toMs ?? cluster.scheduler.now] as const);
  const inCut = recorder.entries.filter(
    (entry) =>
      isQuery(entry) &&
      entry.type === 'ok' &&
      cutMs.some(([from, to]) => entry.callMs >= from + run.plan.suspicionMs && (entry.retMs ?? to) < to),
  );
  reached.add(QUERY_IN_CUT, inCut.length);
  reached.add(QUERY_OF_SIDE, figures.sideQueries ?? 0);
  reached.add('service looked at under a lasting cut', figures.probes ?? 0);
  reached.add('call on a cut-off side acknowledged', figures.sideAcknowledged ?? 0);
  for (const { shape } of run.plan.rounds) reached.add(`shape ${shape}`);
  crashesByTime(run, reached);
  return reached;
}

/** Partitions of the chain that nobody in one view held, and somebody in the next. */
function broughtBack(run: SplitContext): number {
  const views = run.lineages.chainViews().map(({ view }) => view);
  let count = 0;
  views.forEach((view, index) => {
    view.table.forEach(({ replicas, generation }, partition) => {
      const before = views[index - 1]?.table[partition];
      if (before?.replicas.length === 0 && replicas.length > 0 && before.generation === generation) count++;
    });
  });
  return count;
}

function crashesByTime(run: SplitContext, reached: Reached): void {
  const { nemesis, plan } = run;
  for (const { fault, fromMs } of nemesis.log) {
    if (fromMs === null || (fault.kind !== 'crash' && fault.kind !== 'restart')) continue;
    const isCut = nemesis.cuts.some((cut) => cut.fromMs <= fromMs && (cut.toMs ?? fromMs) >= fromMs);
    const isAfter = nemesis.cuts.some(
      ({ toMs }) => toMs !== null && toMs <= fromMs && fromMs - toMs < 3 * plan.suspicionMs,
    );
    if (isCut) reached.add(`${fault.kind} while sides were cut`);
    else if (isAfter) reached.add(`${fault.kind} after a heal`);
  }
}
