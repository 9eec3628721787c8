/**
 * `node dist/chaos/main.js --seeds 1000 --seed 1 [--fault name] [--verbose]`: runs the swarm and prints what it
 * found. Ends with 0 when nothing was found and everything was reached, 1 on findings, 2 on wrong options, 3 when a
 * required state was not reached.
 */
import { parseArgs } from 'node:util';
import { explainResult, PLANTED_FAULTS, type PlantedFault, type RunResult } from './run.js';
import { replayCommand, runSwarm } from './swarm.js';

/** With fewer seeds than this nobody can expect that everything was reached. */
const SEEDS_THAT_REACH_ALL = 100;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '100' },
      seed: { type: 'string', default: '1' },
      fault: { type: 'string' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const [seeds, firstSeed] = [Number(values.seeds), Number(values.seed)];
  const planted = PLANTED_FAULTS.find((name) => name === values.fault);
  const isWrong = ![seeds, firstSeed].every((number) => Number.isSafeInteger(number) && number >= 0);
  if (isWrong || (values.fault !== undefined && planted === undefined)) {
    console.error(`--seeds and --seed are whole numbers; --fault is one of ${PLANTED_FAULTS.join(', ')}`);
    return 2;
  }
  const startMs = performance.now();
  const onResult = (result: RunResult) => print(result, planted, values.verbose);
  const { failed, reached, missing, operations, virtualMs } = await runSwarm({
    seeds,
    firstSeed,
    onResult,
    ...(planted === undefined ? {} : { planted }),
  });
  const seconds = (performance.now() - startMs) / 1000;
  console.log(`\nreached by all seeds together:\n${reached.format()}`);
  console.log(
    `\n${seeds} seeds, ${operations} operations, ${(virtualMs / 1000).toFixed(0)} s of virtual time in ${seconds.toFixed(1)} s (${(seeds / seconds).toFixed(1)} seeds/s)`,
  );
  if (failed.length > 0) {
    console.log(`${failed.length} seeds with findings: ${failed.map(({ seed }) => seed).join(' ')}`);
    return 1;
  }
  if (missing.length > 0 && seeds >= SEEDS_THAT_REACH_ALL && planted === undefined) {
    console.log(`not reached by any seed: ${missing.join('; ')}`);
    return 3;
  }
  console.log('no findings');
  return 0;
}

function print(result: RunResult, planted: PlantedFault | undefined, isVerbose: boolean): void {
  if (result.findings.length > 0 || isVerbose) {
    console.log(`\n${explainResult(result, replayCommand(result.seed, planted))}`);
  }
}

process.exitCode = await main();
