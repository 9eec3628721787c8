/**
 * Many seeds: draws a case from each, runs it, and adds up what they reached. A suite passes when no run found
 * anything and every required state was reached by some seed. Called by tests and by the command line.
 */
import { drawCase, drawToggleCase } from './draw.js';
import { REQUIRED_STATES, TOGGLE_STATES } from './reached.js';
import { type PlantedFault, type RunOptions, type RunResult, runCase } from './run.js';
import { runSeeds, type SeedsOptions, type SeedsResult } from './seeds.js';

export interface SwarmOptions extends SeedsOptions<RunResult> {
  readonly planted?: PlantedFault;
  /** Share of the usual time of a workload. */
  readonly scale?: number;
  /** Presets change under load, in the place of the usual workload. */
  readonly toggles?: boolean;
}

export interface SwarmResult extends SeedsResult<RunResult> {
  /** Required states that no seed reached. */
  readonly missing: readonly string[];
}

export async function runSwarm({
  planted,
  scale,
  toggles = false,
  ...options
}: SwarmOptions): Promise<SwarmResult> {
  const run = toggles ? runToggleSeed : runSeed;
  const total = await runSeeds(options, (seed) => run(seed, planted === undefined ? {} : { planted }, scale));
  return { ...total, missing: total.reached.missing(toggles ? TOGGLE_STATES : REQUIRED_STATES) };
}

export function runSeed(seed: number, options: RunOptions = {}, scale = 1): Promise<RunResult> {
  return runCase(drawCase(seed, scale), options);
}

export function runToggleSeed(seed: number, options: RunOptions = {}, scale = 1): Promise<RunResult> {
  return runCase(drawToggleCase(seed, scale), options);
}

/** The command that runs a seed again. */
export function replayCommand(seed: number, planted?: PlantedFault, toggles = false): string {
  const workload = toggles ? ' --workload map-toggle' : '';
  const fault = planted === undefined ? '' : ` --fault ${planted}`;
  return `node dist/chaos/main.js --seeds 1 --seed ${seed}${workload}${fault} --verbose`;
}
