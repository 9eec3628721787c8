/**
 * Holds what a run wrote down against the guarantees. Called by the runner once everything is quiet. Invariant: a
 * verdict that the checker could not reach is a finding, never a pass.
 */

import { checkDeliveries, checkTurns, type Left } from './checker/deliveries.js';
import { checkLinearizable } from './checker/linearizable.js';
import { atomicLongModel, type Call, type Model, registerModel } from './checker/models.js';
import { checkInOrder, checkProcessed } from './checker/processed.js';
import { checkOrder } from './checker/queues.js';
import { compareReplicas, type ReplicaDump } from './checker/replicas.js';
import { checkCounterBounds, checkWrittenOnce } from './checker/sets.js';
import type { FinalState } from './final-reads.js';
import { newestView } from './nemesis/targets.js';
import type { RunContext } from './run-context.js';
import { BULK_KEYS } from './workload/bulk.js';
import { ACK_QUEUES, ACKS, DEAD_LETTERS, MAX_DELIVERIES } from './workload/deliveries.js';
import { PROCESSED } from './workload/processors.js';
import { MAX_SIZE } from './workload/queue.js';
import type { Finding } from './workload/recorder.js';

const NO_DEATHS: ReadonlyMap<number, number> = new Map();
export const MAX_STATES_PER_KEY = 300_000;
const LOST = 'G2 no acknowledged write is lost';
const ONCE = 'G9 at most once';

/** All findings; `notJudged` says why linearizability and loss are left out. */
export function judge(run: RunContext, final: FinalState, notJudged: string | null): Finding[] {
  const findings = [
    ...run.views.problems.map((text) => ({ guarantee: 'one view of each number', text })),
    ...judgeReplicas(run),
  ];
  if (run.nemesis.lostSinceSafe > 0 && run.plan.profile === 'promised' && run.nemesis.exceeded)
    findings.push({ guarantee: 'harness', text: 'the nemesis crashed more members than it may' });
  if (notJudged !== null) return findings;
  return [
    ...findings,
    ...judgeKeys(run, 'register/', registerModel),
    ...judgeKeys(run, 'bulk/', registerModel),
    ...judgeKeys(run, 'counter/', atomicLongModel),
    ...judgeLoss(run, final),
    ...judgeQueues(run, final),
    ...judgeDeliveries(run, final, run.deaths ?? NO_DEATHS, timedCallers(run)),
    ...judgeSizes(run),
  ];
}

export function judgeKeys<State>(
  run: RunContext,
  prefix: string,
  model: Model<State, Call, unknown>,
): Finding[] {
  const history = run.recorder.history(prefix);
  const result = checkLinearizable(history, model, { maxStatesPerKey: MAX_STATES_PER_KEY });
  return result.verdict === 'ok' ? [] : [{ guarantee: 'G1 linearizable per key', text: result.text }];
}

export function judgeLoss(run: RunContext, { set, counters }: FinalState): Finding[] {
  const found = set === null ? [] : [...checkWrittenOnce(run.recorder.history('set/'), set)];
  for (const [k, value] of counters)
    for (const text of checkCounterBounds(run.recorder.history(k), value)) found.push(`${k}: ${text}`);
  return found.map((text) => ({ guarantee: text.includes('acknowledged') ? LOST : ONCE, text }));
}

/** Each queue in one total order. */
export function judgeQueues(run: RunContext, { queues }: Pick<FinalState, 'queues'>): Finding[] {
  return [...queues]
    .filter(([k]) => !k.startsWith(`${ACKS}/`))
    .flatMap(([k, left]) =>
      checkOrder(run.recorder.history(k), left, MAX_SIZE).map((text) => ({
        guarantee: 'G1 queue in one order',
        text: `${k}: ${text}`,
      })),
    );
}

/** Items that have to be acknowledged; null when there were none. */
export function deliveriesLeft({ queues }: Pick<FinalState, 'queues'>): Left | null {
  const [first, ...others] = ACK_QUEUES.map((name) => queues.get(`${ACKS}/${name}`));
  const dead = queues.get(`${ACKS}/${DEAD_LETTERS}`);
  if (first === undefined || dead === undefined) return null;
  return { items: [...first, ...others.flatMap((items) => items ?? [])], dead };
}

/** The same where there is one order; `isTimed`: callers that the grid hears as long as they live. */
export function judgeDeliveries(
  run: RunContext,
  final: Pick<FinalState, 'queues'>,
  deaths: ReadonlyMap<number, number>,
  isTimed: (caller: number) => boolean,
): Finding[] {
  const left = deliveriesLeft(final);
  if (left === null) return [];
  const history = run.recorder.history(`${ACKS}/`);
  return [
    ...checkDeliveries(history, left, { maxDeliveries: MAX_DELIVERIES, reported: [] }),
    ...checkTurns(history, left, MAX_DELIVERIES, deaths, isTimed),
  ].map((text) => ({ guarantee: 'G1 deliveries', text }));
}

/** Clients: members may stand still for longer than a consumer may be silent. */
export function timedCallers(run: RunContext): (caller: number) => boolean {
  const members = new Set(
    run.recorder.entries.filter(({ caller }) => caller.kind === 'a member').map(({ c }) => c),
  );
  return (caller) => !members.has(caller);
}

/** `left`: the lists that were read in the end; null when there was nothing to read, or it could not be read. */
export function judgeProcessors(run: RunContext, left: ReadonlyMap<string, unknown> | null): Finding[] {
  if (left === null) return [];
  const history = run.recorder.history(`${PROCESSED}/`);
  const problems = checkProcessed(history, left);
  return [
    ...checkInOrder(history, left).map((text) => ({ guarantee: 'G1 linearizable per key', text })),
    ...problems.map((text) => ({ guarantee: text.includes('acknowledged') ? LOST : ONCE, text })),
  ];
}

export function judgeSizes(run: RunContext): Finding[] {
  const sizes = run.recorder.history('size/').filter(({ type }) => type === 'ok');
  const wrong = sizes.filter(({ out }) => !((out as number) >= 0 && (out as number) <= BULK_KEYS.length));
  return wrong.map(({ out }) => ({
    guarantee: 'size',
    text: `a map that never had more than ${BULK_KEYS.length} keys said that it has ${String(out)}`,
  }));
}

export function judgeReplicas(run: RunContext): Finding[] {
  const { cluster } = run;
  const view = newestView(cluster);
  if (view === null) return [{ guarantee: 'replicas are equal', text: 'nobody is in a view' }];
  const problems = view.table.flatMap(({ replicas }, partition) => {
    const dumps = replicas.flatMap(({ member: id, synced }, index): ReplicaDump[] => {
      const process = cluster.running().find(({ member }) => member.id === id);
      if (process === undefined || !synced) return [];
      const replica = process.member.node.replication.replica(partition);
      const structures = new Map(
        replica
          .structures()
          .map(({ serviceId, name, state }) => [`${serviceId}/${name}`, state.dump()] as const),
      );
      return [{ host: process.host, isPrimary: index === 0, seq: replica.seq, structures }];
    });
    return compareReplicas(partition, dumps);
  });
  return problems.map((text) => ({ guarantee: 'replicas are equal', text }));
}
