/** What a run with splits brought. Made by the runner, printed and added up by the swarm. */
import type { HistoryOperation } from '../checker/history.js';
import type { AppliedFault } from '../nemesis/fault.js';
import type { Reached } from '../reached.js';
import type { Finding } from '../workload/recorder.js';
import type { SplitCase } from './case.js';
import type { Figures } from './figures.js';

export interface SplitResult {
  readonly seed: number;
  readonly plan: SplitCase;
  readonly findings: readonly Finding[];
  readonly figures: Figures;
  readonly reached: Reached;
  readonly faults: readonly AppliedFault[];
  readonly digest: string;
  readonly operations: number;
  readonly virtualMs: number;
  readonly lines: readonly string[];
  readonly logs: readonly string[];
  readonly history: () => readonly HistoryOperation[];
}
