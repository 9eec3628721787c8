/**
 * What is promised of entry processors under splits: under a consistent preset one order for all, under an available one once
 * for each call and side, and nothing lost but what a merge reports. Called by `judge.ts`.
 */
import { type Append, checkLists, type ListsProblem, type SeenList } from '../checker/lists.js';
import { judgeProcessors } from '../judge.js';
import { PROCESSED } from '../workload/processors.js';
import { type Entry, type Finding, keyOf } from '../workload/recorder.js';
import { calmTimes, isInside } from './calm.js';
import type { Connectivity } from './connectivity.js';
import type { SplitContext } from './context.js';
import type { SplitFinal } from './final.js';

const GUARANTEES: Readonly<Record<ListsProblem['kind'], string>> = {
  twice: 'G9 a processor runs once',
  undone: 'G9 at most once',
  lost: 'G6 no silent loss',
  order: 'G1 a side is linearizable per key',
};

/** What the seeds of the suite with processors have to reach together. */
export const OF_PROCESSORS: readonly string[] = [
  'ok processed/append',
  'ok processed/read',
  'error ERR_FUNCTION_FAILED',
  'retry answered from the window',
];

export function judgeProcessed(
  run: SplitContext,
  { processed, reports }: SplitFinal,
  connectivity: Connectivity,
): Finding[] {
  if (processed === null) return [];
  if (run.plan.preset === 'PC/EC') return judgeProcessors(run, processed);
  const entries = run.recorder.entries.filter(({ k }) => k.startsWith(`${PROCESSED}/`));
  const calm = calmTimes(run, connectivity);
  const keys = [...new Set(entries.map(({ k }) => k))];
  const problems = keys.flatMap((k) => {
    const own = entries.filter((entry) => entry.k === k);
    const told = reports.discarded.filter(
      ({ structure, key }) => structure === PROCESSED && key === keyOf({ k, f: '' }),
    );
    return checkLists({
      k,
      appends: own
        .filter(({ f }) => f === 'append')
        .map(({ v, type, resolution }) => ({ name: String(v), type: typeOf(type, resolution) })),
      seen: own.flatMap(seenBy),
      sides: calm.map((time) => own.filter((entry) => isInside(time, entry)).flatMap(seenBy)),
      final: (processed.get(k) ?? []) as readonly string[],
      discarded: told.flatMap(({ discarded }) => (discarded === null ? [] : [discarded.split(',')])),
      // Nobody removes a list: nothing in its place means that an earlier one may have been lost.
      isExcused: reports.isTruncated || told.some(({ discarded }) => discarded === null),
    });
  });
  return problems.map(({ kind, text }) => ({ guarantee: GUARANTEES[kind], text }));
}

function typeOf(type: Entry['type'], resolution: Entry['resolution']): Append['type'] {
  if (resolution === 'not done') return 'void';
  return type === 'open' ? 'info' : type;
}

function seenBy({ f, v, type, out, callMs, retMs }: Entry): SeenList[] {
  if (type !== 'ok' || retMs === null || (out === undefined && f === 'append')) return [];
  const list = (out ?? []) as readonly string[];
  return [{ list, callMs, retMs, appended: f === 'append' ? String(v) : null }];
}
