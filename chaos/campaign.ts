/**
 * One call that runs many seeds of cuts and crashes for a preset and says what held: the door of `elsegrid chaos`.
 * Invariant: what could not be run is said, and never counts as held.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { formatHistory } from './checker/history.js';
import { NEMESES, type NemesisName, SPLIT_PRESETS, WORKLOADS, type WorkloadName } from './split/case.js';
import type { SplitWishes } from './split/draw.js';
import type { Figures } from './split/figures.js';
import type { SplitResult } from './split/result.js';
import {
  explainSplit,
  isSplitPreset,
  runSplitSwarm,
  type SplitSwarmResult,
  splitReplay,
} from './split/swarm.js';

export const WORKLOAD_NAMES: readonly string[] = [...WORKLOADS, 'all'];
export const NEMESIS_NAMES: readonly string[] = [...NEMESES, 'all'];
export const PRESETS_UNDER_TEST: readonly string[] = SPLIT_PRESETS;

export interface ChaosOptions {
  /** `PA/EC` or `PC/EC`. */
  readonly preset: string;
  /** Some of `WORKLOAD_NAMES`. */
  readonly workloads: readonly string[];
  /** Some of `NEMESIS_NAMES`. */
  readonly nemeses: readonly string[];
  /** The first seed. */
  readonly seed: number;
  readonly seeds: number;
  /** 2 to 9; default 5. */
  readonly members?: number;
  /** Virtual time of the workload of each seed; default: drawn. */
  readonly timeMs?: number;
  /** Gets every operation of every seed, one a line; keys are `<seed>/<structure>/<key>`. */
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
  readonly id: string;
  readonly text: string;
  /** What was judged: operations, entries or seeds, as the text says. */
  readonly checked: number;
  readonly violations: number;
}

export interface ChaosFailure {
  readonly seed: number;
  readonly text: string;
  /** The command that runs this seed again. */
  readonly replay: string;
}

export interface ChaosSummary {
  /** `unknown`: nothing was violated, but some guarantee had nothing to be held against. */
  readonly verdict: 'held' | 'violated' | 'unknown';
  readonly preset: string;
  readonly seeds: number;
  readonly operations: number;
  readonly virtualMs: number;
  readonly seedsPerSecond: number;
  readonly guarantees: readonly ChaosGuarantee[];
  readonly failing: readonly ChaosFailure[];
  /** What the seeds met, by name. */
  readonly reached: Readonly<Record<string, number>>;
  /** States that prove something about the workloads and faults of the run, and that no seed met. */
  readonly missing: readonly string[];
  readonly figures: Figures;
}

const SHOWN_FAILURES = 5;
const MAX_MEMBERS = 9;

/** Throws a RangeError for options that make no sense, and for a history file that cannot be written. */
export async function chaosRun(options: ChaosOptions): Promise<ChaosSummary> {
  const { seed: firstSeed, seeds, onProgress, historyFile } = options;
  const wishes = wishesOf(options);
  const file = historyFile === undefined ? null : opened(historyFile);
  const startMs = performance.now();
  const progress = { done: 0, failed: 0 };
  const onResult = (result: SplitResult) => {
    progress.done++;
    if (result.findings.length > 0) progress.failed++;
    if (file !== null) writeSync(file, historyOf(result));
    onProgress?.({ ...progress, seeds });
  };
  try {
    const swarm = await runSplitSwarm({ wishes, seeds, firstSeed, onResult });
    return summaryOf(swarm, wishes, (performance.now() - startMs) / 1000);
  } finally {
    if (file !== null) closeSync(file);
  }
}

const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such folder',
  ENOTDIR: 'there is no such folder',
  EISDIR: 'it is a folder',
  EACCES: 'it may not be written',
};

function opened(file: string): number {
  try {
    return openSync(file, 'w');
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw new RangeError(`the history cannot be written to ${file}: ${FILE_PROBLEMS[code] ?? message}`, {
      cause: error,
    });
  }
}

function wishesOf({ preset, workloads, nemeses, members, timeMs, seed, seeds }: ChaosOptions): SplitWishes {
  if (!isSplitPreset(preset))
    throw new RangeError(`${preset} cannot be run by this suite; use ${SPLIT_PRESETS.join(' or ')}`);
  for (const [name, value] of [['seed', seed] as const, ['seeds', seeds] as const])
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`${name} is ${value}, not a whole number`);
  if (members !== undefined && !(members >= 2 && members <= MAX_MEMBERS))
    throw new RangeError(`members is ${members}; use 2 to ${MAX_MEMBERS}`);
  return {
    preset,
    ...chosen('workloads', workloads, WORKLOADS),
    ...chosen('nemeses', nemeses, NEMESES),
    ...(members === undefined ? {} : { members }),
    ...(timeMs === undefined ? {} : { timeMs }),
  };
}

/** `all`, or no name, leaves the choice to the drawing. */
function chosen<N extends 'workloads' | 'nemeses', T extends WorkloadName | NemesisName>(
  option: N,
  names: readonly string[],
  known: readonly T[],
): { readonly [K in N]?: readonly T[] } {
  const wrong = names.find((name) => name !== 'all' && !(known as readonly string[]).includes(name));
  if (wrong !== undefined) throw new RangeError(`${option}: ${wrong} is none of ${known.join(', ')}, all`);
  if (names.length === 0 || names.includes('all')) return {};
  return { [option]: names as readonly T[] } as { readonly [K in N]?: readonly T[] };
}

function historyOf({ seed, history }: SplitResult): string {
  return formatHistory(history().map((operation) => ({ ...operation, k: `${seed}/${operation.k}` })));
}

function summaryOf(swarm: SplitSwarmResult, wishes: SplitWishes, seconds: number): ChaosSummary {
  const { failed, seeds, operations, virtualMs, figures, reached, missing } = swarm;
  const guarantees = guaranteesOf(swarm, wishes);
  const isEmpty = guarantees.some(({ checked }) => checked === 0) || operations === 0;
  return {
    verdict: failed.length > 0 ? 'violated' : isEmpty ? 'unknown' : 'held',
    preset: wishes.preset,
    seeds,
    operations,
    virtualMs,
    seedsPerSecond: seeds / Math.max(seconds, 0.001),
    guarantees,
    failing: failed.slice(0, SHOWN_FAILURES).map((result) => {
      const replay = splitReplay(result.seed, wishes);
      return { seed: result.seed, text: explainSplit(result, replay), replay };
    }),
    reached: Object.fromEntries([...reached.counts].sort(([a], [b]) => (a < b ? -1 : 1))),
    missing,
    figures,
  };
}

type Row = readonly [id: string, text: string, checked: number];

/** A guarantee that the workloads and faults of the run say nothing about has no row. */
function guaranteesOf(
  { failed, seeds, figures, reached }: SplitSwarmResult,
  wishes: SplitWishes,
): ChaosGuarantee[] {
  const { workloads = WORKLOADS, nemeses = NEMESES } = wishes;
  const cuts = reached.counts.get('cut') ?? 0;
  const hasCuts = nemeses.includes('partition');
  const ok = (prefix: string) =>
    [...reached.counts].reduce((sum, [name, n]) => sum + (name.startsWith(`ok ${prefix}`) ? n : 0), 0);
  const rowIf = (isJudged: boolean, ...row: Row): Row[] => (isJudged ? [row] : []);
  const outside = 'no acknowledgement outside the majority after one lease (ms without a majority)';
  const afterHeal = 'equal replicas and no silent loss after the heal (acknowledged writes)';
  const hasMaps = workloads.some((name) => name !== 'counter' && name !== 'multimap');
  const consistent: Row[] = [
    ['G3', 'linearizable per key, always (acknowledged operations)', figures.linearizable ?? 0],
    ...rowIf(hasCuts, 'G4', outside, figures.powerlessMs ?? 0),
    ...rowIf(
      workloads.includes('map-set'),
      'G2',
      'no acknowledged write is lost (writes of the set)',
      ok('set/write'),
    ),
  ];
  const available: Row[] = [
    ...rowIf(hasCuts, 'G5', 'every side serves what it holds (calls on sides)', figures.sideCalls ?? 0),
    ...rowIf(hasMaps, 'G6', afterHeal, (figures.acknowledged ?? 0) + ok('set/write')),
    ...rowIf(workloads.includes('counter'), 'G7', 'no addition is lost (additions)', ok('counter/')),
    ...rowIf(
      workloads.includes('multimap'),
      'G7',
      'no pair is lost, no removal is undone (calls)',
      ok('tags/'),
    ),
  ];
  const rows: Row[] = [
    ...(wishes.preset === 'PC/EC' ? consistent : available),
    ['G9', 'calls take effect at most once, and unknown outcomes are said to be unknown (seeds)', seeds],
    ['views', `one view of each number (cuts: ${cuts}; seeds)`, seeds],
  ];
  const all = failed.flatMap(({ findings }) => findings);
  const named = new Set(rows.map(([id]) => id));
  const others = all.filter(({ guarantee }) => !named.has(idOf(guarantee))).length;
  const count = (id: string) => all.filter(({ guarantee }) => idOf(guarantee) === id).length;
  return [
    ...rows.map(([id, text, checked]) => ({ id, text, checked, violations: count(id) })),
    {
      id: 'other',
      text: 'calls end, errors are typed, service returns (seeds)',
      checked: seeds,
      violations: others,
    },
  ];
}

function idOf(guarantee: string): string {
  return guarantee.startsWith('one view') ? 'views' : (/^G\d+/.exec(guarantee)?.[0] ?? 'other');
}
