/**
 * Many seeds: draws a case from each, runs it, and adds up what they reached. A suite passes when no run found
 * anything and every required state was reached by some seed. Called by tests and by the command line.
 */
import { drawCase } from './draw.js';
import { REQUIRED_STATES, Reached } from './reached.js';
import { type PlantedFault, type RunOptions, type RunResult, runCase } from './run.js';

export interface SwarmOptions {
  readonly seeds: number;
  readonly firstSeed: number;
  readonly planted?: PlantedFault;
  /** Share of the usual time of a workload. */
  readonly scale?: number;
  /** Stops after this many seeds with findings; default: never. */
  readonly maxFailures?: number;
  readonly onResult?: (result: RunResult) => void;
}

export interface SwarmResult {
  readonly seeds: number;
  readonly failed: readonly RunResult[];
  readonly reached: Reached;
  /** Required states that no seed reached. */
  readonly missing: readonly string[];
  readonly operations: number;
  readonly virtualMs: number;
}

export async function runSwarm(options: SwarmOptions): Promise<SwarmResult> {
  const { firstSeed, planted, maxFailures = Number.POSITIVE_INFINITY } = options;
  const failed: RunResult[] = [];
  const reached = new Reached();
  const total = { seeds: 0, operations: 0, virtualMs: 0 };
  for (let i = 0; i < options.seeds && failed.length < maxFailures; i++) {
    const result = await runSeed(firstSeed + i, planted === undefined ? {} : { planted }, options.scale);
    total.seeds++;
    total.operations += result.operations;
    total.virtualMs += result.virtualMs;
    reached.addAll(result.reached);
    if (result.findings.length > 0) failed.push(result);
    options.onResult?.(result);
  }
  return { ...total, failed, reached, missing: reached.missing(REQUIRED_STATES) };
}

export function runSeed(seed: number, options: RunOptions = {}, scale = 1): Promise<RunResult> {
  return runCase(drawCase(seed, scale), options);
}

/** The command that runs a seed again. */
export function replayCommand(seed: number, planted?: PlantedFault): string {
  const fault = planted === undefined ? '' : ` --fault ${planted}`;
  return `node dist/chaos/main.js --seeds 1 --seed ${seed}${fault} --verbose`;
}
