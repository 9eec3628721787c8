/**
 * Many seeds: draws a case from each, runs it, and adds up what they reached. A suite passes when no run found
 * anything and every required state was reached by some seed. Called by tests and by the command line.
 */
import { drawCase, drawToggleCase } from './draw.js';
import { EXPIRY_STATES } from './expiry.js';
import { LISTEN_STATES } from './listen.js';
import { LOAD_STATES } from './load.js';
import { LOCK_STATES } from './locks.js';
import { manyPartitions, OF_QUERIES } from './queries.js';
import { OF_ACKS, OF_PROCESSORS, OF_QUEUES, REQUIRED_STATES, TOGGLE_STATES } from './reached.js';
import { type PlantedFault, type RunOptions, type RunResult, runCase } from './run.js';
import { runSeeds, type SeedsOptions, type SeedsResult } from './seeds.js';
import { STORE_STATES, withoutDoubles } from './stores.js';
import { TOPIC_STATES } from './topics.js';

/** States that only the usual workload reaches. */
const OF_USUAL = /^ok (register|counter|bulk|set)\/|cas/;

/** `usual`: registers, counters, sets and bulk calls; `processors`: entry processors and functions of atomic longs. */
export const CRASH_WORKLOADS = [
  'usual',
  'map-load',
  'map-toggle',
  'map-listen',
  'map-expiry',
  'queue',
  'queue-acks',
  'processors',
  'locks',
  'map-store',
  'topic',
  'queries',
] as const;
export type CrashWorkload = (typeof CRASH_WORKLOADS)[number];

export interface SwarmOptions extends SeedsOptions<RunResult> {
  readonly planted?: PlantedFault;
  readonly workload?: CrashWorkload;
  /** Share of the usual time of a workload. */
  readonly scale?: number;
}

export interface SwarmResult extends SeedsResult<RunResult> {
  /** Required states that no seed reached. */
  readonly missing: readonly string[];
}

const NOT_OF_USUAL = REQUIRED_STATES.filter((state) => !OF_USUAL.test(state));

/** What the seeds of each workload have to reach together. */
const STATES: Readonly<Record<CrashWorkload, readonly string[]>> = {
  usual: REQUIRED_STATES,
  'map-load': LOAD_STATES,
  'map-toggle': TOGGLE_STATES,
  'map-listen': [...LISTEN_STATES, ...REQUIRED_STATES],
  'map-expiry': EXPIRY_STATES,
  locks: LOCK_STATES,
  'map-store': STORE_STATES,
  queue: [...OF_QUEUES, ...NOT_OF_USUAL],
  'queue-acks': [...OF_ACKS, 'consumer that ended with an item', ...NOT_OF_USUAL],
  // A topic has no reads.
  topic: [...TOPIC_STATES, ...NOT_OF_USUAL.filter((state) => state !== 'read that waited')],
  processors: [...OF_PROCESSORS, ...NOT_OF_USUAL],
  queries: [...OF_QUERIES, ...NOT_OF_USUAL],
};

export async function runSwarm({
  planted,
  workload = 'usual',
  scale,
  ...options
}: SwarmOptions): Promise<SwarmResult> {
  const how = planted === undefined ? {} : { planted };
  const total = await runSeeds(options, (seed) => runSeed(seed, how, scale, workload));
  return { ...total, missing: total.reached.missing(STATES[workload]) };
}

export function runSeed(
  seed: number,
  options: RunOptions = {},
  scale = 1,
  workload: CrashWorkload = 'usual',
): Promise<RunResult> {
  const fixed = workload === 'queries' ? manyPartitions(seed) : {};
  const drawn = workload === 'map-toggle' ? drawToggleCase(seed, scale) : drawCase(seed, scale, fixed);
  const plan = workload === 'map-store' ? withoutDoubles(drawn) : drawn;
  const name = workload === 'map-load' ? 'load' : workload === 'map-listen' ? 'listen' : workload;
  return runCase(plan, name === 'map-toggle' ? options : { ...options, workload: name });
}

/** The command that runs a seed again. */
export function replayCommand(
  seed: number,
  planted?: PlantedFault,
  workload: CrashWorkload = 'usual',
): string {
  const other = workload === 'usual' ? '' : ` --workload ${workload}`;
  const fault = planted === undefined ? '' : ` --fault ${planted}`;
  return `node dist/chaos/main.js --seeds 1 --seed ${seed}${other}${fault} --verbose`;
}
