/**
 * The table of promises: each that `explain` prints as kept is held against runs that must not break it, each that it
 * prints as broken needs a run that does. Called by the command line and by tests. Invariant: a finding that no broken
 * promise accounts for counts against the row.
 */
import type { Finding } from '../workload/recorder.js';
import { promisesOf, type Row } from './rows.js';
import { JUDGED_BY, runSuite, type SuiteName, type SuiteRun, suitesOf } from './suites.js';

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
  /** Findings that are no breach of a promise that the row does not keep. */
  readonly violations: readonly Breach[];
  readonly operations: number;
}

export interface RowOptions {
  readonly seeds: number;
  readonly firstSeed: number;
  /** How many seeds are tried to break a promise that is printed as broken. */
  readonly breakSeeds: number;
  /** Where such a promise is known to break. */
  readonly pinned?: (row: string, id: string) => Pick<Breach, 'suite' | 'seed'> | undefined;
  readonly suites?: readonly SuiteName[];
}

export async function runRow(row: Row, options: RowOptions): Promise<RowResult> {
  const cells = promisesOf(row).map(({ id, holds, applies }): Cell => {
    return { id, expected: holds ? 'kept' : applies ? 'broken' : 'does not apply', runs: 0, brokenBy: null };
  });
  const violations: Breach[] = [];
  let operations = 0;
  for (const suite of suitesOf(row)) {
    if (options.suites?.includes(suite) === false) continue;
    for (let i = 0; i < options.seeds; i++) {
      const seed = options.firstSeed + i;
      const result = await runSuite(row, suite, seed);
      operations += result.operations;
      for (const cell of cells) if (JUDGED_BY[cell.id]?.includes(suite) === true) cell.runs++;
      for (const finding of result.findings) violations.push(...note(cells, finding, { suite, seed }));
    }
  }
  for (const cell of cells) if (cell.expected === 'broken') await breakIt(row, cell, options);
  return { row, cells, violations, operations };
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
async function breakIt(row: Row, cell: Cell, { breakSeeds, pinned }: RowOptions): Promise<void> {
  const known = pinned?.(row.name, cell.id);
  if (known !== undefined) {
    cell.brokenBy ??= await broken(row, cell.id, known.suite, known.seed);
    return;
  }
  for (const suite of JUDGED_BY[cell.id] ?? []) {
    for (let seed = 1; cell.brokenBy === null && seed <= breakSeeds; seed++)
      cell.brokenBy = await broken(row, cell.id, suite, seed);
  }
}

async function broken(row: Row, id: string, suite: SuiteName, seed: number): Promise<Breach | null> {
  const { findings } = await runSuite(row, suite, seed).catch(nothingShown);
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
  { row, cells, violations }: RowResult,
  replay: (breach: Breach) => string,
): string[] {
  return [
    ...violations.map(
      (breach) => `${row.name}: ${breach.suite}, seed ${breach.seed}: ${breach.text}\n  ${replay(breach)}`,
    ),
    ...cells
      .filter(({ expected, brokenBy }) => expected === 'broken' && brokenBy === null)
      .map(({ id }) => `${row.name}: ${id} is printed as broken, and no run broke it`),
  ];
}

/** The row as a line: `G1 kept 200`, `G3 broken by split as PC 2`. */
export function rowText({ row, cells, violations }: RowResult): string {
  const texts = cells.map(({ id, expected, runs, brokenBy }) => {
    if (expected === 'does not apply') return `${id} -`;
    if (expected === 'kept') return `${id} kept (${runs})`;
    return brokenBy === null ? `${id} NOT BROKEN` : `${id} broken (${brokenBy.suite} ${brokenBy.seed})`;
  });
  const wrong = violations.length === 0 ? '' : `  ${violations.length} VIOLATIONS`;
  return `${row.name.padEnd(30)} ${texts.join('  ')}${wrong}`;
}
