/**
 * Listeners in runs with splits: which there are, where cuts place them, and what each must have been told. Called by the
 * drawing of cases, the runner and the judge.
 */

import { dueOf, Ears } from '../listen.js';
import type { Fault } from '../nemesis/fault.js';
import type { Reached } from '../reached.js';
import type { SimCluster } from '../sim/cluster.js';
import { CONTESTED } from '../workload/contested.js';
import type { Finding } from '../workload/recorder.js';
import { calmTimes, isInside } from './calm.js';
import type { SplitCase, SplitPreset } from './case.js';
import type { Connectivity } from './connectivity.js';
import type { SplitContext } from './context.js';
import { SIDE_CLIENTS } from './shapes.js';

/** What the seeds of the suite with listeners have to reach together. */
const OF_LISTENERS: readonly string[] = [
  'listener added',
  'listener of a member',
  'listener through one member',
  'event told',
  'event held against the one before',
  'write that a listener had to hear of',
  'gap for the reason overflow',
];
/** Besides, where sides go on by themselves. */
const OF_SIDES: readonly string[] = ['gap for the reason lineage'];

export function ofListeners(preset: SplitPreset): readonly string[] {
  return preset === 'PC/EC' ? OF_LISTENERS : [...OF_LISTENERS, ...OF_SIDES];
}

/** The clients that listen come behind the usual ones: one goes with each side, and one reaches everyone. */
const LISTENING: Readonly<Record<string, string>> = { [SIDE_CLIENTS[0]]: 'c4', [SIDE_CLIENTS[1]]: 'c5' };

/** Cuts that take clients along take listeners along, too. */
export function withListeners(faults: readonly Fault[]): Fault[] {
  const placed = (name: string) => (LISTENING[name] === undefined ? name : `${name}+${LISTENING[name]}`);
  return faults.map((fault) =>
    fault.kind === 'cut' ? { ...fault, scope: fault.scope.replace(/\bc[12]\b/g, placed) } : fault,
  );
}

export function earsOf(plan: SplitCase, cluster: SimCluster, dead: () => ReadonlySet<number>): Ears | null {
  if (!plan.workloads.includes('map-listen')) return null;
  const isConsistent = plan.preset === 'PC/EC';
  const maps = isConsistent ? ['register', 'bulk'] : [CONTESTED];
  const oneKey = isConsistent ? 'k0' : 'hot.0';
  return new Ears({ ...plan, cluster, maps, oneKey, dead, cutsOff: false });
}

/**
 * Under a consistent preset nobody is told of a fork, and every write must be told of. Under an available one that goes for
 * who is on the same side as the writer, or before anything is cut.
 */
export function judgeEars(run: SplitContext, connectivity: Connectivity, reached: Reached): Finding[] {
  const { ears, plan, recorder } = run;
  if (ears === null) return [];
  const isConsistent = plan.preset === 'PC/EC';
  const calm = isConsistent ? [] : calmTimes(run, connectivity);
  const dueFor = dueOf(
    recorder.entries,
    ({ host }, entry) => isConsistent || calm.some((time) => time.hosts.has(host) && isInside(time, entry)),
  );
  return ears.judge(isConsistent ? ['lost', 'lineage'] : [], reached, dueFor);
}
