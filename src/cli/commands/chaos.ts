/** `elsegrid chaos run`: a campaign of the simulator that ships with the product, with figures per guarantee. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { reasonOf } from '../../base/reason.js';
import { nearest } from '../../config/nearest.js';
import { DEFAULT_PRESET } from '../../policy/presets.js';
import type { ChaosOptions, ChaosProgress, ChaosSummary } from '../chaos-api.js';
import { jsonFlag } from '../connection.js';
import { type CliContext, CommandError, type ExitCode } from '../context.js';
import { jsonText, table } from '../output.js';
import { countOf, durationOf, listOf } from '../values.js';

/** As the simulator knows them; here for the help, which does not load it. A test compares. */
export const WORKLOADS = ['map-register', 'map-set', 'counter', 'all'];
export const NEMESES = ['partition', 'crash', 'pause', 'clock', 'delay', 'loss', 'one-way', 'all'];
/** Campaigns check what EC promises; what EL promises is checked in the repository, by `map-behind`. */
export const PRESETS = ['PA/EC', 'PC/EC'];

const MAX_SEEDS = 1_000_000;
const MAX_SEED = 2 ** 32 - 1;
const MIN_MEMBERS = 2;
const MAX_MEMBERS = 9;
const BAR_WIDTH = 30;
/** Failing seeds that are printed in full; the others are listed. */
const SHOWN_FAILURES = 3;

interface ChaosFlags {
  readonly preset: string;
  readonly workload: string;
  readonly nemesis: string;
  readonly seed: string;
  readonly seeds: string;
  readonly members?: string;
  readonly time?: string;
  readonly history?: string;
  readonly json?: boolean;
}

const EXIT_CODES: Readonly<Record<ChaosSummary['verdict'], ExitCode>> = { held: 0, violated: 1, unknown: 3 };

export function registerChaos(program: Command, context: CliContext, exit: (code: ExitCode) => void): void {
  program
    .command('chaos')
    .description('test the guarantees under faults, in the simulator')
    .command('run')
    .description('run whole clusters under virtual time, one from each seed, and check what they promise')
    .addOption(
      new Option('--preset <preset>', 'preset of the structures').choices(PRESETS).default(DEFAULT_PRESET),
    )
    .option('--workload <names>', `what clients do, with commas: ${WORKLOADS.join(', ')}`, 'all')
    .option('--nemesis <names>', `faults, with commas: ${NEMESES.join(', ')}`, 'all')
    .option('--seed <number>', 'the first seed', '1')
    .option('--seeds <count>', 'how many seeds, from the first on', '100')
    .option('--members <count>', 'members of each cluster (default: drawn from the seed)')
    .option('--time <duration>', 'virtual time of the work of each seed, for example 60s (default: drawn)')
    .option('--history <file>', 'write every operation to this file, one JSON object a line')
    .addOption(jsonFlag())
    .addHelpText(
      'after',
      `
A seed always gives the same run. Exit codes: 0 every guarantee held, 1 one was violated (the command that replays the
seed is printed), 2 wrong usage, 3 neither: a check gave up, or too little was reached to prove anything.

Example: elsegrid chaos run --preset PC/EC --nemesis partition,crash --seeds 200`,
    )
    .action(async (flags: ChaosFlags) => exit(await run(context, flags)));
}

async function run(context: CliContext, flags: ChaosFlags): Promise<ExitCode> {
  const options = optionsOf(context, flags);
  const { chaosRun } = await context.chaos();
  try {
    const summary = await chaosRun({
      ...options,
      onProgress: (progress) => context.progress(progressText(progress)),
    });
    context.progress('');
    context.out(flags.json ? jsonText(summary) : summaryText(options, summary));
    return EXIT_CODES[summary.verdict];
  } catch (error) {
    // A campaign that broke off has violated nothing, and has proved nothing either.
    const message = reasonOf(error);
    throw new CommandError(message, error instanceof RangeError ? 2 : EXIT_CODES.unknown, { cause: error });
  } finally {
    context.progress('');
  }
}

function optionsOf(context: CliContext, flags: ChaosFlags): ChaosOptions {
  const { members, time, history } = flags;
  return {
    preset: flags.preset,
    workloads: namesOf('--workload', flags.workload, WORKLOADS),
    nemeses: namesOf('--nemesis', flags.nemesis, NEMESES),
    seed: countOf('--seed', flags.seed, 0, MAX_SEED),
    seeds: countOf('--seeds', flags.seeds, 1, MAX_SEEDS),
    ...(members === undefined ? {} : { members: countOf('--members', members, MIN_MEMBERS, MAX_MEMBERS) }),
    ...(time === undefined ? {} : { timeMs: durationOf('--time', time) }),
    ...(history === undefined ? {} : { historyFile: resolve(context.cwd, history) }),
  };
}

function namesOf(flag: string, text: string, known: readonly string[]): string[] {
  const names = [...new Set(listOf(text))];
  const wrong = names.find((name) => !known.includes(name));
  if (names.length > 0 && wrong === undefined) return names;
  const near = wrong === undefined ? undefined : nearest(wrong, known);
  const advice = near === undefined ? `expected ${known.join(', ')}` : `did you mean ${near}?`;
  throw new CommandError(`${flag}: unknown name ${JSON.stringify(wrong ?? text)}; ${advice}`, 2);
}

function progressText({ done, seeds, failed }: ChaosProgress): string {
  const filled = Math.round((BAR_WIDTH * done) / seeds);
  const bar = `${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}`;
  return `[${bar}] ${done} of ${countText(seeds, 'seed')}${failed === 0 ? '' : `, ${failed} with violations`}`;
}

function summaryText(options: ChaosOptions, summary: ChaosSummary): string {
  const { preset, workloads, nemeses } = options;
  const { seeds, operations, guarantees, failing } = summary;
  const rows = guarantees.map(({ id, text, checked, violations }) => [
    id,
    violations > 0 ? 'violated' : checked === 0 ? 'not checked' : 'held',
    Math.round(checked),
    violations,
    text,
  ]);
  const what = `${preset}, workloads ${workloads.join(', ')}, faults ${nemeses.join(', ')}`;
  return [
    `${what}: ${countText(seeds, 'seed')}, ${countText(operations, 'operation')}`,
    table(['guarantee', 'verdict', 'checked', 'violations', 'what it says'], rows),
    ...failing.slice(0, SHOWN_FAILURES).map(({ seed, text }) => {
      return `seed ${seed}: ${text}\nreplay: ${replayText(options, seed)}`;
    }),
    ...(failing.length > SHOWN_FAILURES ? [moreText(options, summary)] : []),
    summary.verdict === 'unknown' ? unknownText(summary) : VERDICTS[summary.verdict],
  ].join('\n\n');
}

/** The same campaign for one seed: what is drawn depends on the other flags as well. */
function replayText({ preset, workloads, nemeses, members, timeMs }: ChaosOptions, seed: number): string {
  const flags = [
    `--preset ${preset} --workload ${workloads.join(',')} --nemesis ${nemeses.join(',')}`,
    `--seed ${seed} --seeds 1`,
    ...(members === undefined ? [] : [`--members ${members}`]),
    ...(timeMs === undefined ? [] : [`--time ${timeMs}ms`]),
  ];
  return `elsegrid chaos run ${flags.join(' ')}`;
}

function moreText(options: ChaosOptions, { failing }: ChaosSummary): string {
  const others = failing.slice(SHOWN_FAILURES).map(({ seed }) => `  ${replayText(options, seed)}`);
  return `further seeds with violations:\n${others.join('\n')}`;
}

const VERDICTS = {
  held: 'held: no violation was found',
  violated: 'violated: a guarantee was broken',
} as const;

/** What was too little, and what to do about it. */
function unknownText({ guarantees, missing }: ChaosSummary): string {
  const unchecked = guarantees.filter(({ checked }) => checked === 0).map(({ id }) => id);
  return [
    'unknown: no violation was found, but too little was reached to prove anything',
    ...(unchecked.length === 0 ? [] : [`nothing to check: ${unchecked.join(', ')}`]),
    ...(missing.length === 0 ? [] : [`states that no seed reached: ${missing.join('; ')}`]),
    'take more seeds (--seeds)',
  ].join('\n');
}

function countText(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`;
}
