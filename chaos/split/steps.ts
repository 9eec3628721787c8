/**
 * What the workers of a case with splits call: under a consistent preset the usual registers, counters, sets and bulk
 * calls; under an available one keys that both sides contest, additions, and keys that are read back. Called by the
 * runner.
 */

import { lockStep } from '../locks.js';
import { padOf } from '../queries.js';
import type { Scheduler } from '../sim/virtual-clock.js';
import type { StoreRig } from '../stores.js';
import { AdditionsWorker } from '../workload/additions.js';
import { type BehindLog, BehindWorker } from '../workload/behind.js';
import { BulkWorker } from '../workload/bulk.js';
import { ContestedWorker } from '../workload/contested.js';
import { CounterWorker } from '../workload/counter.js';
import { DeliveryLog, DeliveryWorker } from '../workload/deliveries.js';
import { type ExpiryLog, longExpiryStep } from '../workload/expiring.js';
import type { LockHost, LockLog } from '../workload/locks.js';
import { PairsWorker } from '../workload/pairs.js';
import { ProcessorWorker } from '../workload/processors.js';
import { type QueryLog, querySteps } from '../workload/queries.js';
import { QueueWorker } from '../workload/queue.js';
import { ReadBackWorker } from '../workload/read-back.js';
import type { Recorder } from '../workload/recorder.js';
import { RegisterWorker } from '../workload/register.js';
import type { Step, StepsFor } from '../workload/workload.js';
import { isPlaced } from './calm.js';
import type { SplitCase, WorkloadName } from './case.js';

/** `sinceMs`: since the workload began; `nearMs`: how old a value from a near cache may be, null without any. */
export function splitSteps(
  plan: SplitCase,
  recorder: Recorder,
  behind: BehindLog,
  scheduler: Scheduler,
  sinceMs: () => number,
  nearMs: number | null,
  locks: { readonly log: LockLog; readonly host: LockHost },
  stores: StoreRig | null,
  expiry: ExpiryLog,
  queries: QueryLog,
): StepsFor {
  return (context, random, used) => {
    const isConsistent = plan.preset === 'PC/EC';
    const register = isConsistent
      ? new RegisterWorker(context, recorder, random.fork('register'), plan.keys, used)
      : new ContestedWorker(context, recorder, random.fork('contested'), plan.keys, () =>
          // A client that reaches all sides may overwrite anything anywhere, and where it does, nothing can be said about what
          // was overwritten: it has keys of its own, besides those that everybody uses.
          isPlaced(context.caller.host) ? eraOf(plan, sinceMs()) : 'free',
        );
    const counter = isConsistent
      ? new CounterWorker(context, recorder, random.fork('counter'), plan.counters, used)
      : new AdditionsWorker(context, recorder, random.fork('additions'), plan.counters);
    const set = new ReadBackWorker(context, recorder, random.fork('set'));
    const bulk = new BulkWorker(context, recorder, random.fork('bulk'));
    // Made only where it is asked for: another fork would shift what seeds without it draw.
    const reads = plan.workloads.includes('map-behind') || nearMs !== null;
    const reader = reads
      ? new BehindWorker(context, behind, scheduler, random.fork('behind'), { ...plan, nearMs })
      : null;
    const queue = plan.workloads.includes('queue')
      ? new QueueWorker(context, recorder, random.fork('queue'))
      : null;
    const pairs = plan.workloads.includes('multimap')
      ? new PairsWorker(context, recorder, random.fork('pairs'))
      : null;
    const lock = plan.workloads.includes('locks')
      ? lockStep(context, recorder, locks.log, locks.host, random)
      : null;
    const stored = stores === null ? null : stores.step(context, recorder, random);
    const deliveries = plan.workloads.includes('queue-acks')
      ? new DeliveryWorker(context, recorder, random.fork('deliveries'), scheduler, new DeliveryLog(), null)
      : null;
    const processor = plan.workloads.includes('processors')
      ? new ProcessorWorker(context, recorder, random.fork('processors'), used, isConsistent)
      : null;
    const expiring = plan.workloads.includes('map-expiry')
      ? longExpiryStep(context, recorder, expiry, random.fork('expiry'))
      : null;
    const query = plan.workloads.includes('queries')
      ? querySteps(recorder, queries, padOf(plan.seed))(context, random, used)
      : null;
    const mapOrBulk: Step = () => (isConsistent && random.float() < 0.06 ? bulk.step() : register.step());
    const all: readonly (readonly [WorkloadName, number, Step])[] = [
      ['map-register', 55, mapOrBulk],
      ['counter', 20, () => counter.step()],
      ['map-set', 25, () => set.step()],
      ['map-behind', 100, () => reader?.step() ?? Promise.resolve()],
      ['map-near', 100, () => reader?.step() ?? Promise.resolve()],
      ['queue', 100, () => queue?.step() ?? Promise.resolve()],
      ['locks', 100, () => lock?.() ?? Promise.resolve()],
      ['map-store', 100, () => stored?.() ?? Promise.resolve()],
      ['map-listen', 100, mapOrBulk],
      ['processors', 100, () => processor?.step() ?? Promise.resolve()],
      ['map-expiry', 100, () => expiring?.() ?? Promise.resolve()],
      ['queries', 100, () => query?.() ?? Promise.resolve()],
      ['queue-acks', 100, () => deliveries?.step() ?? Promise.resolve()],
      ['multimap', 60, () => pairs?.step() ?? Promise.resolve()],
    ];
    const chosen = all.filter(([name]) => plan.workloads.includes(name));
    const total = chosen.reduce((sum, [, weight]) => sum + weight, 0);
    return () => {
      let draw = random.float() * total;
      for (const [, weight, step] of chosen) {
        draw -= weight;
        if (draw < 0) return step();
      }
      return (chosen[0] as (typeof chosen)[number])[2]();
    };
  };
}

/** The keys of a round are left alone from its heal on; those of the quiet times have their own. */
function eraOf({ rounds, suspicionMs }: SplitCase, nowMs: number): string {
  const at = rounds.findIndex(({ fromMs, toMs }) => {
    return nowMs >= fromMs - suspicionMs && (toMs === null || nowMs < toMs);
  });
  if (at >= 0) return `cut${at}`;
  return `calm${rounds.filter(({ toMs }) => toMs !== null && toMs <= nowMs).length}`;
}
