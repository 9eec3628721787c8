/**
 * What `elsegrid chaos` needs of the simulator, and where it gets it: the campaigns of `chaos/`, read only when a
 * command runs one. Tests hand in another one.
 */

export interface ChaosOptions {
  readonly preset: string;
  readonly workloads: readonly string[];
  readonly nemeses: readonly string[];
  /** The first seed. */
  readonly seed: number;
  readonly seeds: number;
  readonly members?: number;
  /** Virtual time of the workload of each seed. */
  readonly timeMs?: number;
  /** Where `history.jsonl` goes, one operation a line. */
  readonly historyFile?: string;
  readonly onProgress?: (progress: ChaosProgress) => void;
}

export interface ChaosProgress {
  readonly done: number;
  readonly seeds: number;
  /** Seeds with violations so far. */
  readonly failed: number;
}

export interface ChaosGuarantee {
  /** `G3` */
  readonly id: string;
  readonly text: string;
  /** What was judged: operations, entries or seeds, as the text says. */
  readonly checked: number;
  readonly violations: number;
}

export interface ChaosFailure {
  readonly seed: number;
  readonly text: string;
  /** The command of a checkout that runs this seed again. */
  readonly replay: string;
}

export interface ChaosSummary {
  readonly verdict: 'held' | 'violated' | 'unknown';
  readonly seeds: number;
  readonly operations: number;
  readonly guarantees: readonly ChaosGuarantee[];
  readonly failing: readonly ChaosFailure[];
  /** What the seeds met, by name. */
  readonly reached: unknown;
  /** States that the run could have met and did not. */
  readonly missing: readonly string[];
}

export interface ChaosApi {
  chaosRun(options: ChaosOptions): Promise<ChaosSummary>;
}
