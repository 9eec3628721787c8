/**
 * Queries of whole maps under splits. Under a consistent preset all sides are one. Under an available one, what was settled
 * before anything was disturbed is shown by every query on every side, and nothing is shown twice, or that nobody wrote;
 * on a side that is cut off cleanly, and before the first fault, keys have one order. When all is one again, queries show what
 * single reads do. Called by `judge.ts`.
 */
import type { HistoryOperation } from '../checker/history.js';
import { isQuery, queriedModel, unknownQueriedModel } from '../checker/queried.js';
import { checkQueries, LOOSE } from '../checker/queries.js';
import { judgeAtRest, judgeQueries, judgeReadings, voidedOf, wrongQueries } from '../queries.js';
import { QUERIED_MAPS } from '../workload/queries.js';
import { type Entry, type Finding, toHistory } from '../workload/recorder.js';
import { type Calm, calmTimes, isInside, mattering, mayBeApart } from './calm.js';
import type { Connectivity } from './connectivity.js';
import type { SplitContext } from './context.js';
import type { Judged } from './judged.js';

const NS_PER_MS = 1e6;
/** What a process that founded a cluster of its own knows nothing of. */
const OF_ABSENCE: readonly string[] = ['missing', 'count', 'sum'];

export function judgeQueriesOf(run: SplitContext, connectivity: Connectivity): Judged {
  if (!run.plan.workloads.includes('queries')) return { findings: [], figures: {} };
  if (run.plan.preset === 'PC/EC') return { findings: judgeQueries(run, run.queries, 'G3'), figures: {} };
  const calm = calmTimes(run, connectivity);
  const sides = QUERIED_MAPS.flatMap((name) => {
    const voided = voidedOf(run, name);
    const entries = run.recorder.entries.filter(({ k }) => k.startsWith(`${name}/`)).map(possibly);
    return [
      { findings: judgeEverywhere(run, connectivity, entries, voided, calm), queries: 0 },
      ...calm.map((time) => judgeSide(time, entries)),
    ];
  });
  const sideQueries = sides.reduce((sum, { queries }) => sum + queries, 0);
  const findings = [...sides.flatMap((side) => side.findings), ...judgeAtRest(run, run.queries)];
  return { findings, figures: { sideQueries } };
}

/** What was declared void on one side may have been there on another one. */
function possibly(entry: Entry): Entry {
  return entry.resolution === 'not done' ? { ...entry, type: 'info', retMs: null } : entry;
}

/** What was settled before anything was disturbed is so everywhere. */
function judgeEverywhere(
  run: SplitContext,
  connectivity: Connectivity,
  entries: readonly Entry[],
  voided: ReadonlySet<number>,
  calm: readonly Calm[],
): Finding[] {
  const settledUntil = (calm.find(({ side }) => side === null)?.toMs ?? 0) * NS_PER_MS;
  const isSettled = ({ ret }: HistoryOperation) => ret !== null && ret <= settledUntil;
  const history = entries.map(toHistory);
  const entryOf = new Map(history.map((operation, i) => [operation, entries[i] as Entry]));
  const problems = checkQueries({ history, isSettled, voided }).filter(({ kind, query }) => {
    // A merge may bring a session to another history, in which numbers of a key are others.
    if (kind === 'back') return (query.ret as number) <= settledUntil;
    return !OF_ABSENCE.includes(kind) || !mayBeApart(run, connectivity, entryOf.get(query) as Entry);
  });
  return wrongQueries(problems, 'G5');
}

/** What was settled on the side is so there; and all that was done there has one order. */
function judgeSide(time: Calm, entries: readonly Entry[]): { findings: Finding[]; queries: number } {
  const isChange = (entry: Entry) => entry.isWrite && !isQuery(entry);
  const queries = entries.filter((entry) => isQuery(entry) && !entry.isWrite && isInside(time, entry));
  const all = entries.map(toHistory);
  const inOrder = mattering(time, entries, isChange).map(toHistory);
  const model = time.side === null ? queriedModel : unknownQueriedModel;
  const inside = new Set(entries.filter((entry) => isInside(time, entry)));
  const settled = new Set(all.filter((_, i) => inside.has(entries[i] as Entry)));
  const history = [...all.filter((operation) => !isQuery(operation)), ...queries.map(toHistory)];
  const problems = checkQueries({ history, isSettled: (change) => settled.has(change) });
  const findings = [
    // What may be behind comes from before the cut, too.
    ...wrongQueries(
      problems.filter(({ query }) => query.f !== LOOSE),
      'G1 on a side',
    ),
    ...judgeReadings(inOrder, all, model, 'G1 a side is'),
  ];
  return { findings, queries: time.side === null ? 0 : queries.length };
}
