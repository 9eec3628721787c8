/** What the table of promises takes of a run, whatever the suite. */
import type { Finding } from '../workload/recorder.js';

export interface SuiteRun {
  readonly findings: readonly Finding[];
  readonly operations: number;
}
