/**
 * `node dist/chaos/main.js [--suite crash|load|partition] [--preset PC/EC] --seeds 1000 --seed 1 [--fault name] [--verbose]`:
 * runs a suite and prints what it found. Ends with 0 when nothing was found and everything was reached, 1 on findings,
 * 2 on wrong options, 3 when a required state was not reached.
 */
import { parseArgs } from 'node:util';
import { explainResult, PLANTED_FAULTS, type PlantedFault, type RunResult } from './run.js';
import { ALL_WORKLOADS, NEMESES, type NemesisName, SPLIT_PRESETS, type WorkloadName } from './split/case.js';
import type { SplitWishes } from './split/draw.js';
import { SWARM_FAULTS, type SwarmFault } from './split/planted.js';
import type { SplitResult } from './split/result.js';
import { explainSplit, isSplitPreset, runSplitSwarm, splitReplay } from './split/swarm.js';
import { CRASH_WORKLOADS, type CrashWorkload, replayCommand, runSwarm } from './swarm.js';

/** With fewer seeds than this nobody can expect that everything was reached. */
const SEEDS_THAT_REACH_ALL = 100;

/** What the swarms of all suites say in the end. */
interface Outcome {
  readonly seeds: number;
  readonly failed: readonly { readonly seed: number }[];
  readonly reached: { format(): string };
  readonly missing: readonly string[];
  readonly operations: number;
  readonly virtualMs: number;
}

const { values } = parseArgs({
  options: {
    suite: { type: 'string', default: 'crash' },
    preset: { type: 'string', default: 'PC/EC' },
    seeds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    fault: { type: 'string' },
    workload: { type: 'string', default: 'all' },
    nemesis: { type: 'string', default: 'all' },
    members: { type: 'string' },
    time: { type: 'string' },
    'stop-after': { type: 'string' },
    logs: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
const [seeds, firstSeed] = [Number(values.seeds), Number(values.seed)];
const maxFailures =
  values['stop-after'] === undefined ? Number.POSITIVE_INFINITY : Number(values['stop-after']);

async function main(): Promise<number> {
  const isWrong = ![seeds, firstSeed].every((number) => Number.isSafeInteger(number) && number >= 0);
  if (isWrong) return refuse('--seeds and --seed are whole numbers');
  const startMs = performance.now();
  const outcome = values.suite === 'partition' ? await partitionSuite() : await crashSuite();
  if (typeof outcome === 'number') return outcome;
  return conclude(outcome, (performance.now() - startMs) / 1000);
}

function refuse(text: string): number {
  console.error(text);
  return 2;
}

async function crashSuite(): Promise<Outcome | number> {
  const planted = PLANTED_FAULTS.find((name) => name === values.fault);
  if (values.suite !== 'crash') return refuse('--suite is crash or partition');
  if (values.fault !== undefined && planted === undefined)
    return refuse(`--fault is one of ${PLANTED_FAULTS.join(', ')}`);
  const name = values.workload === 'all' ? 'usual' : values.workload;
  const workload = CRASH_WORKLOADS.find((known) => known === name);
  if (workload === undefined)
    return refuse(`--workload of the suite crash is one of ${CRASH_WORKLOADS.join(', ')}`);
  const onResult = (result: RunResult) => print(result, planted, workload);
  const how = { workload, ...(planted === undefined ? {} : { planted }) } as const;
  return runSwarm({ seeds, firstSeed, maxFailures, onResult, ...how });
}

function print(result: RunResult, planted: PlantedFault | undefined, workload: CrashWorkload): void {
  if (result.findings.length > 0 || values.verbose) {
    console.log(`\n${explainResult(result, replayCommand(result.seed, planted, workload))}`);
  }
}

async function partitionSuite(): Promise<Outcome | number> {
  const planted = SWARM_FAULTS.find((name) => name === values.fault);
  if (values.fault !== undefined && planted === undefined)
    return refuse(`--fault is one of ${SWARM_FAULTS.join(', ')}`);
  if (!isSplitPreset(values.preset)) return refuse(`--preset is one of ${SPLIT_PRESETS.join(', ')}`);
  const workloads = namesIn<WorkloadName>(values.workload, ALL_WORKLOADS);
  const nemeses = namesIn<NemesisName>(values.nemesis, NEMESES);
  if (workloads === null) return refuse(`--workload is some of ${ALL_WORKLOADS.join(', ')}, or all`);
  if (nemeses === null) return refuse(`--nemesis is some of ${NEMESES.join(', ')}, or all`);
  const wishes: SplitWishes = {
    preset: values.preset,
    ...(values.workload === 'all' ? {} : { workloads }),
    ...(values.nemesis === 'all' ? {} : { nemeses }),
    ...(values.members === undefined ? {} : { members: Number(values.members) }),
    ...(values.time === undefined ? {} : { timeMs: Number(values.time) }),
  };
  const onResult = (result: SplitResult) => printSplit(result, wishes, planted);
  const swarm = await runSplitSwarm({ wishes, seeds, firstSeed, planted, maxFailures, onResult });
  console.log(`\nmeasured over all seeds: ${JSON.stringify(swarm.figures)}`);
  return swarm;
}

function namesIn<T extends string>(text: string, known: readonly T[]): readonly T[] | null {
  if (text === 'all') return known;
  const names = text.split(',');
  return names.every((name) => (known as readonly string[]).includes(name)) ? (names as T[]) : null;
}

function printSplit(result: SplitResult, wishes: SplitWishes, planted: SwarmFault | undefined): void {
  if (result.findings.length === 0 && !values.verbose) return;
  console.log(`\n${explainSplit(result, splitReplay(result.seed, wishes, planted))}`);
  if (values.logs) console.log(result.logs.join('\n'));
}

function conclude(
  { failed, reached, missing, operations, virtualMs, ...run }: Outcome,
  seconds: number,
): number {
  console.log(`\nreached by all seeds together:\n${reached.format()}`);
  console.log(
    `\n${run.seeds} seeds, ${operations} operations, ${(virtualMs / 1000).toFixed(0)} s of virtual time in ${seconds.toFixed(1)} s (${(run.seeds / seconds).toFixed(1)} seeds/s)`,
  );
  if (failed.length > 0) {
    console.log(`${failed.length} seeds with findings: ${failed.map(({ seed }) => seed).join(' ')}`);
    return 1;
  }
  if (missing.length > 0 && seeds >= SEEDS_THAT_REACH_ALL && values.fault === undefined) {
    console.log(`not reached by any seed: ${missing.join('; ')}`);
    return 3;
  }
  console.log('no findings');
  return 0;
}

process.exitCode = await main();
