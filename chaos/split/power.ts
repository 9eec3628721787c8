/**
 * Who may have a lease, by what was cut and when: the times in which a host reaches nobody that is joined with a quorum of
 * the chain. Called by the checks.
 */
import { isQuorum, type View } from '../../src/cluster/view.js';
import type { Connectivity, Stretch } from './connectivity.js';
import type { SplitContext } from './context.js';

export interface Period {
  readonly host: string;
  readonly fromMs: number;
  toMs: number;
}

/** When nobody that the host reaches can be joined with a quorum of any view of the chain that may count. */
export function powerlessPeriods(run: SplitContext, connectivity: Connectivity, host: string): Period[] {
  const periods: Period[] = [];
  for (const stretch of connectivity.stretches) {
    const before = periods.at(-1);
    if (isPowerIn(run, connectivity, stretch, connectivity.around(stretch, host))) continue;
    if (before?.toMs === stretch.fromMs) before.toMs = stretch.toMs;
    else periods.push({ host, fromMs: stretch.fromMs, toMs: stretch.toMs });
  }
  return periods;
}

/** Whether one of these hosts is joined with a quorum of a view of the chain that may count in the stretch. */
export function isPowerIn(
  run: SplitContext,
  connectivity: Connectivity,
  stretch: Stretch,
  hosts: ReadonlySet<string>,
): boolean {
  const views = run.lineages.chainViews();
  const hostOf = new Map(run.cluster.processes.map(({ host: its, member }) => [member.id, its]));
  const last = views.findLastIndex(({ atMs }) => atMs <= stretch.fromMs);
  const until = views.findLastIndex(({ atMs }) => atMs <= stretch.toMs);
  return views
    .slice(Math.max(0, last), until + 1)
    .some(({ view }) => hasPower(view, hosts, connectivity, stretch, hostOf));
}

function hasPower(
  view: View,
  reached: ReadonlySet<string>,
  connectivity: Connectivity,
  stretch: Stretch,
  hostOf: ReadonlyMap<string, string>,
): boolean {
  return view.members.some(({ id }) => {
    const its = hostOf.get(id);
    if (its === undefined || !reached.has(its)) return false;
    const hears = (other: string) => {
      const at = hostOf.get(other);
      return other === id || (at !== undefined && connectivity.areJoined(stretch, its, at));
    };
    return isQuorum(view.members, hears);
  });
}
