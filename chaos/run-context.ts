/** What the final reads and the verdict see of a run, of any suite, and how it starts. Implemented by `run.ts`. */
import type { Case } from './case.js';
import type { ViewLedger } from './checker/views.js';
import type { Nemesis } from './nemesis/nemesis.js';
import type { SimCluster, SimMember } from './sim/cluster.js';
import type { Recorder } from './workload/recorder.js';
import type { Workload } from './workload/workload.js';

/** How long the cluster may take after the heal until it is safe, and each key until it answers. */
export const RETURN_LIMIT_MS = 15_000;
const START_LIMIT_MS = 30_000;

export interface RunContext {
  /** When the processes of callers ended, by their number, virtual ms; left out where none do. */
  readonly deaths?: ReadonlyMap<number, number>;
  readonly plan: Case;
  readonly cluster: SimCluster;
  readonly views: ViewLedger;
  readonly recorder: Recorder;
  readonly nemesis: Nemesis;
  readonly workload: Workload;
  startMember(host: string): SimMember;
  /** Notes that a promise was broken. */
  find(guarantee: string, text: string): void;
}

/** Starts the first members; false (and a finding) when they did not become a safe cluster. */
export async function startTogether(run: RunContext): Promise<boolean> {
  const { cluster, plan } = run;
  for (let i = 1; i <= plan.members; i++) run.startMember(`m${i}`);
  const isUp = () => cluster.running().length === plan.members && cluster.isSafe();
  if (await cluster.until(isUp, START_LIMIT_MS)) return true;
  run.find('start', `${plan.members} members were no safe cluster after ${START_LIMIT_MS} ms`);
  return false;
}
