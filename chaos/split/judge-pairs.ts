/** What every preset promises of multimaps: pairs and removals of all sides count. Called by `judge.ts`. */
import { checkPairs, type PairsProblem } from '../checker/pairs.js';
import { PAIRS, SHARED } from '../workload/pairs.js';
import type { Finding } from '../workload/recorder.js';
import type { SplitContext } from './context.js';
import type { SplitFinal } from './final.js';

const GUARANTEES: Readonly<Record<PairsProblem['kind'], string>> = {
  lost: 'G7 no pair is lost',
  back: 'G7 no removal is undone',
  twice: 'G9 at most once',
  undone: 'G9 at most once',
  strange: 'G7 no pair comes from nowhere',
  stale: 'G3 linearizable',
};

export function judgePairs(run: SplitContext, { pairs, reports }: SplitFinal): Finding[] {
  if (pairs === null) return [];
  const named = reports.discarded.filter(({ structure }) => structure === PAIRS);
  const history = run.recorder.history(`${PAIRS}/`);
  return checkPairs({
    history,
    found: pairs,
    reported: new Set(
      reports.isTruncated ? history.map(({ k }) => k) : named.map(({ key }) => `${PAIRS}/${key}`),
    ),
    isShared: (value) => value.startsWith(SHARED),
    isConsistent: run.plan.preset === 'PC/EC',
  }).map(({ kind, text }) => ({ guarantee: GUARANTEES[kind], text }));
}
