/**
 * The suite of queries: the cases of the crash suite with the workload of `workload/queries.ts` in place of the usual one, the
 * queries of the end, when nobody writes any more, and its own verdict. Called by the runners of both suites.
 */
import { partitionOfKey } from '../partitions/placement.js';
import { SeededRandom } from '../src/base/random.js';
import { encodeKey } from '../src/wire/keys.js';
import type { Case } from './case.js';
import type { HistoryOperation } from './checker/history.js';
import { checkLinearizable } from './checker/linearizable.js';
import type { Call, Model } from './checker/models.js';
import { isQuery, queriedModel } from './checker/queried.js';
import { checkQueries, LOOSE, type QueriesProblem, readingsOf } from './checker/queries.js';
import { MAX_STATES_PER_KEY } from './judge.js';
import type { Reached } from './reached.js';
import { RETURN_LIMIT_MS, type RunContext } from './run-context.js';
import {
  type Asking,
  ask,
  INDEXED,
  KINDS,
  Pages,
  QUERIED,
  QUERIED_MAPS,
  type QueryLog,
  readItem,
} from './workload/queries.js';
import { type Entry, type Finding, keyOf, toHistory } from './workload/recorder.js';

/** What the seeds of a suite have to reach together. */
export const OF_QUERIES: readonly string[] = [
  ...[...KINDS.map(({ f }) => f), 'page', LOOSE, 'write', 'remove', 'read'].map((f) => `ok ${QUERIED}/${f}`),
  ...['valuesWithPredicate', 'page', 'addIndex'].map((f) => `ok ${INDEXED}/${f}`),
  'query that used an index',
  'query that met a write',
  'query that met a write of unknown outcome',
  'query of pages that went on',
  'partition that takes several steps',
];

/** Errors that reads of any replica may end with. */
export const QUERY_CODES: readonly string[] = ['ERR_SESSION_LOST', 'ERR_TOO_STALE'];

/** One seed in so many has values that do not fit into one step of a partition. */
const LARGE_EVERY = 10;
const LARGE_BYTES = 100 * 1024;
/** What a step of a scan or of a query answers with at the most. */
const STEP_BYTES = 256 * 1024;
const PAGE_SIZE = 4;

export function padOf(seed: number): number {
  return new SeededRandom(seed, 'queries').below(LARGE_EVERY) === 0 ? LARGE_BYTES : 0;
}

/** One case in four has so many partitions that each member has several, and a page is asked for in rounds. */
export function manyPartitions(seed: number): Partial<Case> {
  const random = new SeededRandom(seed, 'partitions of queries');
  return random.below(4) === 0 ? { partitionCount: 20 + random.below(45) } : {};
}

/** Once nobody writes any more: reads every key, then asks in every way. */
export async function finalQueries(run: RunContext, log: QueryLog): Promise<void> {
  log.restMs = run.cluster.scheduler.now;
  const caller = run.workload.clientCaller({ routing: 'all' });
  const how: Asking = { caller, recorder: run.recorder, log, timeoutMs: RETURN_LIMIT_MS };
  let isDone = false;
  const note = (entry: Entry) => {
    if (entry.type !== 'ok')
      run.find('service returns', `${entry.f} of ${entry.k} after the heal: ${entry.code ?? entry.type}`);
  };
  const one = async (name: string) => {
    await Promise.all(
      [...(log.keys.get(name) ?? [])].map(async (key) => note(await readItem(how, name, key))),
    );
    for (const which of KINDS)
      for (const where of [{}, { group: 'g1' }, { from: log.last >> 2, to: log.last >> 1 }])
        if (which.isWhere || Object.keys(where).length === 0) note(await ask(how, name, which, where));
    for (const pages = new Pages(name, {}, PAGE_SIZE); !pages.isOver; ) note(await pages.next(how));
  };
  const all = async () => {
    await caller.ready;
    await Promise.all(QUERIED_MAPS.map(one));
    isDone = true;
  };
  void all().catch((error) => run.find('final reads', String(error)));
  if (!(await run.cluster.until(() => isDone, 3 * RETURN_LIMIT_MS)))
    run.find('service returns', 'the final queries did not end');
}

/** Where keys have one order: each query is a reading of all of them. With G3 no replica shows what is not committed. */
export function judgeQueries(run: RunContext, log: QueryLog, promise: 'G1' | 'G3' = 'G1'): Finding[] {
  return [
    ...QUERIED_MAPS.flatMap((name) => {
      const history = run.recorder.history(`${name}/`);
      const voided = promise === 'G1' ? { voided: voidedOf(run, name) } : {};
      const problems = checkQueries({ history, ...voided });
      return [...wrongQueries(problems, promise), ...judgeReadings(history, history, queriedModel, promise)];
    }),
    ...judgeAtRest(run, log),
  ];
}

export function wrongQueries(problems: readonly QueriesProblem[], promise: string): Finding[] {
  return problems.map(({ text }) => ({ guarantee: `${promise} queries show what is there`, text }));
}

/** The queries of a map as readings of its keys, in one order with what was done to them; `all` as in `readingsOf`. */
export function judgeReadings(
  history: readonly HistoryOperation[],
  all: readonly HistoryOperation[],
  model: Model<string, Call, unknown>,
  promise: string,
): Finding[] {
  const result = checkLinearizable(readingsOf(history, all), model, { maxStatesPerKey: MAX_STATES_PER_KEY });
  return result.verdict === 'ok' ? [] : [{ guarantee: `${promise} linearizable per key`, text: result.text }];
}

/** When nobody writes any more, queries show what was read key by key before them, and nothing else. */
export function judgeAtRest({ recorder }: RunContext, { restMs }: QueryLog): Finding[] {
  if (restMs === null) return [];
  return QUERIED_MAPS.flatMap((name) => {
    const last = recorder.entries.filter(({ k, callMs }) => k.startsWith(`${name}/`) && callMs >= restMs);
    const history = last.map(toHistory).flatMap((operation): HistoryOperation[] => {
      if (isQuery(operation)) return [operation];
      const { out, ...read } = operation;
      return [out === null ? { ...read, f: 'remove' } : { ...read, f: 'write', v: out }];
    });
    // A key that could not be read is a finding already, and says nothing about what is there.
    const isWhole = history.every(({ type }) => type === 'ok');
    return isWhole ? wrongQueries(checkQueries({ history }), 'at rest') : [];
  });
}

/** Numbers of writes that took effect somewhere, maybe, and were declared void. */
export function voidedOf({ recorder }: Pick<RunContext, 'recorder'>, name: string): ReadonlySet<number> {
  const own = recorder.entries.filter(({ k, v, resolution }) => {
    return k.startsWith(`${name}/`) && v !== undefined && resolution === 'not done';
  });
  return new Set(own.map(({ v }) => (v as { readonly n: number }).n));
}

export function reachedByQueries(reached: Reached, run: RunContext, log: QueryLog): void {
  const { recorder } = run;
  reached.add('query that used an index', log.usedIndex);
  reached.add('partition that takes several steps', longPartitions(run, log));
  for (const name of QUERIED_MAPS) {
    const own = recorder.entries.filter(({ k }) => k.startsWith(`${name}/`));
    const writes = own.filter((entry) => entry.isWrite && !isQuery(entry));
    for (const query of own) {
      if (!isQuery(query) || query.type !== 'ok' || query.isWrite) continue;
      const met = writes.filter(
        ({ callMs, retMs }) => callMs <= (query.retMs as number) && (retMs ?? callMs) >= query.callMs,
      );
      if (met.length > 0) reached.add('query that met a write');
      if (met.some(({ type }) => type === 'info')) reached.add('query that met a write of unknown outcome');
      const page = (query.v as { readonly page?: { readonly after: number | null } }).page;
      if (page !== undefined && page.after !== null) reached.add('query of pages that went on');
    }
  }
}

/** Partitions that have more at rest than one step answers with. */
function longPartitions({ plan, recorder }: RunContext, { restMs }: QueryLog): number {
  const counts = new Map<number, number>();
  if (restMs === null) return 0;
  for (const { k, f, out, callMs } of recorder.entries) {
    if (callMs < restMs || f !== 'read' || out === null || !k.startsWith(`${QUERIED}/`)) continue;
    const partition = partitionOfKey(encodeKey(keyOf({ k, f })), plan.partitionCount);
    counts.set(partition, (counts.get(partition) ?? 0) + 1);
  }
  return [...counts.values()].filter((count) => count * padOf(plan.seed) > STEP_BYTES).length;
}
