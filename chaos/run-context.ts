/** What the final reads and the verdict see of a run. Implemented by `run.ts`. */
import type { Case } from './case.js';
import type { ViewLedger } from './checker/views.js';
import type { Nemesis } from './nemesis/nemesis.js';
import type { SimCluster } from './sim/cluster.js';
import type { Recorder } from './workload/recorder.js';
import type { Workload } from './workload/workload.js';

/** How long the cluster may take after the heal until it is safe, and each key until it answers. */
export const RETURN_LIMIT_MS = 15_000;

export interface RunContext {
  readonly plan: Case;
  readonly cluster: SimCluster;
  readonly views: ViewLedger;
  readonly recorder: Recorder;
  readonly nemesis: Nemesis;
  readonly workload: Workload;
  /** Notes that a promise was broken. */
  find(guarantee: string, text: string): void;
  /** Runs until the condition holds, asked every few milliseconds; false when it did not within `limitMs`. */
  until(condition: () => boolean, limitMs: number, pollMs?: number): Promise<boolean>;
}
