/**
 * The table of promises: each that `explain` prints as kept is held against runs that must not break it, each that it
 * prints as broken needs a run that does. Called by the command line and by tests. Invariant: a finding that no broken
 * promise accounts for counts against the row.
 */
import type { Promised } from '../../src/policy/explanation.js';
import type { Finding } from '../workload/recorder.js';
import { promisesOf, type Row } from './rows.js';
import type { SuiteRun } from './suite-run.js';
import { JUDGED_BY, runSuite, type SuiteName, suitesOf } from './suites.js';

/** One promise of a row. */
export interface Cell {
  readonly id: string;
  readonly expected: 'kept' | 'broken' | 'does not apply';
  /** Runs that could have broken it. */
  runs: number;
  /** The first run that broke it, and how. */
  brokenBy: Breach | null;
}

export interface Breach {
  readonly suite: SuiteName;
  readonly seed: number;
  readonly text: string;
}

export interface RowResult {
  readonly row: Row;
  readonly cells: readonly Cell[];
  /** Whether broken promises were looked for. */
  readonly isSought: boolean;
  /** Findings that are no breach of a promise that the row does not keep. */
  readonly violations: readonly Breach[];
  readonly operations: number;
}

export interface RowOptions {
  readonly seeds: number;
  readonly firstSeed: number;
  /** How many seeds of each suite are tried to break a promise that is printed as broken; null: none is looked for. */
  readonly breakSeeds: number | null;
  /** Where such a promise is known to break. */
  readonly pinned?: (row: string, id: string) => Pick<Breach, 'suite' | 'seed'> | undefined;
  /** Left out: all that say something about promises that the row keeps. */
  readonly suites?: readonly SuiteName[];
}

/** `promises`: what is printed of the row. */
export async function runRow(
  row: Row,
  options: RowOptions,
  promises: readonly Promised[] = promisesOf(row),
): Promise<RowResult> {
  const run = remembering(row);
  const cells = promises.map(({ id, holds, applies }): Cell => {
    return { id, expected: holds ? 'kept' : applies ? 'broken' : 'does not apply', runs: 0, brokenBy: null };
  });
  const violations: Breach[] = [];
  let operations = 0;
  for (const suite of options.suites ?? suitesOf(row)) {
    for (let i = 0; i < options.seeds; i++) {
      const seed = options.firstSeed + i;
      const result = await run(suite, seed);
      operations += result.operations;
      for (const cell of cells) if (JUDGED_BY[cell.id]?.includes(suite) === true) cell.runs++;
      for (const finding of result.findings) violations.push(...note(cells, finding, { suite, seed }));
    }
  }
  for (const cell of cells)
    if (cell.expected === 'broken' && options.breakSeeds !== null) await breakIt(row, cell, run, options);
  return { row, cells, isSought: options.breakSeeds !== null, violations, operations };
}

type Run = (suite: SuiteName, seed: number) => Promise<SuiteRun>;

/** A run says something about several promises. */
function remembering(row: Row): Run {
  const runs = new Map<string, Promise<SuiteRun>>();
  return (suite, seed) => {
    const key = `${suite} ${seed}`;
    const known = runs.get(key);
    if (known !== undefined) return known;
    // The rest of a run is large.
    const small = ({ findings, operations }: SuiteRun) => ({ findings, operations });
    const result = runSuite(row, suite, seed).then(small).catch(nothingShown);
    runs.set(key, result);
    return result;
  };
}

/** What a finding says: a breach of a promise that is not kept anyway, or a violation. */
function note(cells: readonly Cell[], finding: Finding, where: Pick<Breach, 'suite' | 'seed'>): Breach[] {
  const breach = { ...where, text: `${finding.guarantee}: ${finding.text}` };
  const cell = cells.find(({ id }) => id === idOf(finding));
  if (cell?.expected !== 'broken') return [breach];
  cell.brokenBy ??= breach;
  return [];
}

function idOf({ guarantee }: Finding): string {
  return /^G\d+/.exec(guarantee)?.[0] ?? '';
}

/** Runs in which other promises may break as well count for this one only. */
async function breakIt(row: Row, cell: Cell, run: Run, { breakSeeds, pinned }: RowOptions): Promise<void> {
  const known = pinned?.(row.name, cell.id);
  if (known !== undefined) {
    cell.brokenBy ??= await broken(run, cell.id, known.suite, known.seed);
    return;
  }
  for (const suite of JUDGED_BY[cell.id] ?? []) {
    for (let seed = 1; cell.brokenBy === null && seed <= (breakSeeds ?? 0); seed++)
      cell.brokenBy = await broken(run, cell.id, suite, seed);
  }
}

async function broken(run: Run, id: string, suite: SuiteName, seed: number): Promise<Breach | null> {
  const { findings } = await run(suite, seed);
  const found = findings.find((finding) => idOf(finding) === id);
  return found === undefined ? null : { suite, seed, text: `${found.guarantee}: ${found.text}` };
}

/** A directed story that does not come to its moment with this seed. */
function nothingShown(error: unknown): SuiteRun {
  if (error instanceof Error && error.message.startsWith('never reached'))
    return { findings: [], operations: 0 };
  throw error;
}

/** What is wrong with a row, a line each; empty when the table is true of it. */
export function problemsOf(
  { row, cells, violations, isSought }: RowResult,
  replay: (breach: Breach) => string,
): string[] {
  return [
    ...violations.map(
      (breach) => `${row.name}: ${breach.suite}, seed ${breach.seed}: ${breach.text}\n  ${replay(breach)}`,
    ),
    ...cells
      .filter(({ expected, brokenBy }) => isSought && expected === 'broken' && brokenBy === null)
      .map(({ id }) => `${row.name}: ${id} is printed as broken, and no run broke it`),
  ];
}

/** The row as a line: `G1 kept 200`, `G3 broken by split as PC 2`. */
export function rowText({ row, cells, violations, isSought }: RowResult): string {
  const texts = cells.map(({ id, expected, runs, brokenBy }) => {
    if (expected === 'does not apply') return `${id} -`;
    if (expected === 'kept') return `${id} kept (${runs})`;
    if (brokenBy === null) return isSought ? `${id} NOT BROKEN` : `${id} broken (not looked for)`;
    return `${id} broken (${brokenBy.suite} ${brokenBy.seed})`;
  });
  const wrong = violations.length === 0 ? '' : `  ${violations.length} VIOLATIONS`;
  return `${row.name.padEnd(30)} ${texts.join('  ')}${wrong}`;
}
