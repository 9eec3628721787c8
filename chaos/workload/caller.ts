/**
 * Who calls: a client, or the embedded API of a member, with what the recorder has to know about it. Made by the
 * runner, used by workloads.
 */
import type { Grid } from '../../client/core/grid.js';

export interface Caller {
  readonly number: number;
  /** `a member`, `one-member routing`, or empty for a client that reaches all members. */
  readonly kind: string;
  readonly grid: Grid;
  /** Its name in the simulated network. */
  readonly host: string;
  /** Resolves when it is connected, or has given up. */
  readonly ready: Promise<void>;
  /** False once the process behind it has crashed: its calls never settle. */
  readonly isAlive: () => boolean;
  /** How long the process may have stood still, in all. */
  readonly stalledMs: () => number;
}

/** What a worker of a workload works with. */
export interface WorkerContext {
  readonly caller: Caller;
  /** Unique among all workers of a run. */
  readonly worker: string;
  readonly timeoutMs: () => number;
}
