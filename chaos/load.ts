/**
 * The suite of loads: the cases of the crash suite with the workload of `workload/load.ts` in place of the usual one, and
 * its own verdict. Called by the runner.
 */
import { SeededRandom } from '../src/base/random.js';
import { checkLinearizable } from './checker/linearizable.js';
import { checkLoads, type Stop, storesOf } from './checker/loads.js';
import { registerModel } from './checker/models.js';
import { judgeReplicas, MAX_STATES_PER_KEY } from './judge.js';
import type { Nemesis } from './nemesis/nemesis.js';
import type { Reached } from './reached.js';
import { RETURN_LIMIT_MS, type RunContext } from './run-context.js';
import type { SimCluster } from './sim/cluster.js';
import { LOAD, LOAD_KEYS, type LoadLog, LoadWorker } from './workload/load.js';
import type { Finding, Recorder } from './workload/recorder.js';
import type { StepsFor } from './workload/workload.js';

/** What the seeds of the suite have to reach together. */
export const LOAD_STATES: readonly string[] = [
  'loader brought a value',
  'loader found nothing',
  'loader failed',
  'loader was told to stop',
  'loader of a process that crashed',
  'value of a loader elsewhere',
  'value that may be stale',
  'loader that began after another had not ended well',
  'value that was refused',
  'error ERR_LOAD_FAILED',
  'error ERR_TIMEOUT',
  'ok through a member',
  'crash',
  'promotion',
  'planned handover',
  'migration completed',
  'retry answered from the window',
];

const MAX_TRIES = 12;
const LEVEL_LIMIT_MS = 2_000;

/** Errors that only calls which load end with. */
export const LOAD_CODES: readonly string[] = ['ERR_LOAD_FAILED'];

export function loadSteps(cluster: SimCluster, recorder: Recorder, log: LoadLog): StepsFor {
  return (context, random, used) => {
    const worker = new LoadWorker(context, recorder, log, cluster.scheduler, random.fork('load'), used);
    return () => worker.step();
  };
}

/** After the heal every key must be loaded again: what a dead process held back has ended. */
export async function finalLoads(run: RunContext, log: LoadLog): Promise<void> {
  const { cluster, recorder, workload, plan } = run;
  const caller = workload.clientCaller({ routing: 'all' });
  const context = { caller, worker: 'final', timeoutMs: () => RETURN_LIMIT_MS };
  const random = new SeededRandom(plan.seed, 'final loads');
  const worker = new LoadWorker(context, recorder, log, cluster.scheduler, random, new Map());
  let isDone = false;
  const all = LOAD_KEYS.map(async (k) => {
    const key = k.slice(k.indexOf('/') + 1);
    await caller.ready;
    // A loader may fail on purpose, but not so many times.
    for (let tries = 0; tries < MAX_TRIES; tries++)
      if (await worker.load(k, key, RETURN_LIMIT_MS, false)) return;
    run.find('service returns', `${k} could not be loaded after the heal`);
  });
  void Promise.all(all).then(() => {
    isDone = true;
  });
  if (!(await run.cluster.until(() => isDone, 3 * RETURN_LIMIT_MS)))
    run.find('service returns', `the final loads did not end; ${log.runs.length} loaders ran`);
}

/** What expires, and locks of sessions that end, change something while nobody calls, too, and that has to arrive. */
export function untilLevel(run: RunContext): Promise<boolean> {
  return run.cluster.until(() => judgeReplicas(run).length === 0, LEVEL_LIMIT_MS, 50);
}

export function judgeLoads(run: RunContext, log: LoadLog): Finding[] {
  const { recorder, nemesis } = run;
  const { runs, reads } = log;
  const changes = recorder.entries.filter(({ f, type }) => f !== 'read' && type !== 'fail');
  const input = { runs, reads, changes, stops: stopsOf(nemesis) };
  const prefix = `${LOAD}/`;
  const stores = storesOf(runs, reads).filter(({ k }) => k.startsWith(prefix));
  const history = [...recorder.history(prefix), ...stores];
  const result = checkLinearizable(history, registerModel, { maxStatesPerKey: MAX_STATES_PER_KEY });
  return [
    ...checkLoads(input).map((text) => ({ guarantee: 'one loader of a key', text })),
    ...(result.verdict === 'ok' ? [] : [{ guarantee: 'G1 linearizable per key', text: result.text }]),
  ];
}

function stopsOf({ log }: Nemesis): Stop[] {
  return log.flatMap(({ fault: { kind }, met, fromMs }) =>
    fromMs !== null && (kind === 'crash' || kind === 'pause') ? met.map((host) => ({ host, fromMs })) : [],
  );
}

export function reachedByLoads(reached: Reached, run: RunContext, { runs, reads }: LoadLog): void {
  const shown = new Set(reads.map(({ value }) => value));
  const crashes = new Set(
    run.nemesis.log.flatMap(({ fault, met, fromMs }) =>
      fault.kind === 'crash' && fromMs !== null ? met.map((host) => ({ host, fromMs })) : [],
    ),
  );
  const last = new Map<string, (typeof runs)[number]>();
  for (const each of runs) {
    const { outcome, abortedMs, k, value } = each;
    if (outcome === 'value') reached.add('loader brought a value');
    if (outcome === 'nothing') reached.add('loader found nothing');
    if (outcome === 'failed') reached.add('loader failed');
    if (abortedMs !== null) reached.add('loader was told to stop');
    if (
      outcome === null &&
      [...crashes].some(({ host, fromMs }) => host === each.host && fromMs >= each.fromMs)
    )
      reached.add('loader of a process that crashed');
    if (outcome === 'value' && !shown.has(value)) reached.add('value that was refused');
    const before = last.get(k);
    if (before !== undefined && (before.outcome === null || before.abortedMs !== null))
      reached.add('loader that began after another had not ended well');
    last.set(k, each);
  }
  const hosts = new Map(runs.map(({ value, host }) => [value, host]));
  for (const { k, f, out, caller } of run.recorder.entries)
    if (
      f === 'read' &&
      k.startsWith(LOAD) &&
      typeof out === 'string' &&
      (hosts.get(out) ?? caller.host) !== caller.host
    )
      reached.add('value of a loader elsewhere');
  reached.add('value that may be stale', reads.filter(({ mayBeStale }) => mayBeStale).length);
}
