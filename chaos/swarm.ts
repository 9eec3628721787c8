/**
 * Many seeds: draws a case from each, runs it, and adds up what they reached. A suite passes when no run found
 * anything and every required state was reached by some seed. Called by tests and by the command line.
 */
import { drawCase } from './draw.js';
import { LOAD_STATES } from './load.js';
import { REQUIRED_STATES } from './reached.js';
import { type PlantedFault, type RunOptions, type RunResult, runCase } from './run.js';
import { runSeeds, type SeedsOptions, type SeedsResult } from './seeds.js';

export interface SwarmOptions extends SeedsOptions<RunResult> {
  readonly planted?: PlantedFault;
  readonly workload?: 'usual' | 'load';
  /** Share of the usual time of a workload. */
  readonly scale?: number;
}

export interface SwarmResult extends SeedsResult<RunResult> {
  /** Required states that no seed reached. */
  readonly missing: readonly string[];
}

export async function runSwarm({ planted, workload, scale, ...options }: SwarmOptions): Promise<SwarmResult> {
  const how = {
    ...(planted === undefined ? {} : { planted }),
    ...(workload === undefined ? {} : { workload }),
  };
  const total = await runSeeds(options, (seed) => runSeed(seed, how, scale));
  return { ...total, missing: total.reached.missing(workload === 'load' ? LOAD_STATES : REQUIRED_STATES) };
}

export function runSeed(seed: number, options: RunOptions = {}, scale = 1): Promise<RunResult> {
  return runCase(drawCase(seed, scale), options);
}

/** The command that runs a seed again. */
export function replayCommand(seed: number, planted?: PlantedFault, suite = 'crash'): string {
  const other = suite === 'crash' ? '' : ` --suite ${suite}`;
  const fault = planted === undefined ? '' : ` --fault ${planted}`;
  return `node dist/chaos/main.js${other} --seeds 1 --seed ${seed}${fault} --verbose`;
}
