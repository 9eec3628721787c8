/**
 * Queries of whole maps under splits. Under a consistent preset all sides are one. Under an available one, what was settled
 * before anything was disturbed is shown by every query on every side, and nothing is shown twice, or that nobody wrote;
 * on a side that is cut off cleanly, and before the first fault, keys have one order. When all is one again, queries show what
 * single reads do. Called by `judge.ts`.
 */
import { isQuery, queriedModel, unknownQueriedModel } from '../checker/queried.js';
import { checkQueries } from '../checker/queries.js';
import { judgeAtRest, judgeQueries, judgeReadings, voidedOf, wrongQueries } from '../queries.js';
import { QUERIED_MAPS } from '../workload/queries.js';
import { type Entry, type Finding, toHistory } from '../workload/recorder.js';
import { type Calm, calmTimes, isInside, mattering, mayBeApart } from './calm.js';
import type { Connectivity } from './connectivity.js';
import type { SplitContext } from './context.js';

const NS_PER_MS = 1e6;
/** What a process that founded a cluster of its own knows nothing of. */
const OF_ABSENCE: readonly string[] = ['missing', 'count', 'sum'];

export function judgeQueriesOf(run: SplitContext, connectivity: Connectivity): Finding[] {
  if (!run.plan.workloads.includes('queries')) return [];
  if (run.plan.preset === 'PC/EC') return judgeQueries(run, run.queries, 'G3');
  const calm = calmTimes(run, connectivity);
  return [
    ...QUERIED_MAPS.flatMap((name) => {
      const voided = voidedOf(run, name);
      const entries = run.recorder.entries.filter(({ k }) => k.startsWith(`${name}/`)).map(possibly);
      return [
        ...judgeEverywhere(run, connectivity, entries, voided, calm),
        ...calm.flatMap((time) => judgeSide(time, entries)),
      ];
    }),
    ...judgeAtRest(run, run.queries),
  ];
}

/** What was declared void on one side may have been there on another one. */
function possibly(entry: Entry): Entry {
  return entry.resolution === 'not done' ? { ...entry, type: 'info', retMs: null } : entry;
}

function judgeEverywhere(
  run: SplitContext,
  connectivity: Connectivity,
  entries: readonly Entry[],
  voided: ReadonlySet<number>,
  calm: readonly Calm[],
): Finding[] {
  const wholeUntilMs = calm.find(({ side }) => side === null)?.toMs ?? 0;
  const settledUntil = wholeUntilMs * NS_PER_MS;
  const history = entries.map(toHistory);
  const entryOf = new Map(history.map((operation, i) => [operation, entries[i] as Entry]));
  const problems = checkQueries({ history, settledUntil, voided }).filter(({ kind, query }) => {
    // A merge may bring a session to another history, in which numbers of a key are others.
    if (kind === 'back') return (query.ret as number) <= settledUntil;
    return !OF_ABSENCE.includes(kind) || !mayBeApart(run, connectivity, entryOf.get(query) as Entry);
  });
  return wrongQueries(problems, 'G5');
}

function judgeSide(time: Calm, entries: readonly Entry[]): Finding[] {
  const own = mattering(time, entries, (entry) => entry.isWrite && !isQuery(entry));
  if (!own.some((entry) => isQuery(entry) && isInside(time, entry))) return [];
  const model = time.side === null ? queriedModel : unknownQueriedModel;
  return judgeReadings(own.map(toHistory), entries.map(toHistory), model, 'G1 a side is');
}
