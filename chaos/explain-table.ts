/**
 * `npm run explain:table -- [--seeds 200] [--spread] [--kept] [--rows "PA/EC 1+0"] [--verbose]`: holds each promise that
 * `elsegrid explain` prints as kept against so many seeds of each suite, finds one that breaks each that it prints as broken,
 * and prints the table. The whole table takes hours; with `--spread` rows of which the same is printed share the seeds. Ends with 0 when the table is true, 1 when it is not, 2 on wrong options.
 */
import { parseArgs } from 'node:util';
import { allRows, type Row, spread } from './table/rows.js';
import { SUITES, type SuiteName } from './table/suites.js';
import { type Breach, problemsOf, rowText, runRow } from './table/table.js';

/** Of each suite, until a promise breaks that is printed as broken. */
const BREAK_SEEDS = 40;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    /** Rows whose name begins so; several with `|` between them. */
    rows: { type: 'string', default: '' },
    /** The row of exactly this name. */
    row: { type: 'string' },
    suite: { type: 'string' },
    list: { type: 'boolean', default: false },
    /** Rows of which the same is printed share the seeds. */
    spread: { type: 'boolean', default: false },
    /** Does not look for what breaks the promises that are printed as broken. */
    kept: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

async function main(): Promise<number> {
  const [seeds, firstSeed] = [Number(values.seeds), Number(values.seed)];
  if (![seeds, firstSeed].every((number) => Number.isSafeInteger(number) && number >= 0))
    return refuse('--seeds and --seed are whole numbers');
  const suites = SUITES.filter((name) => values.suite === name);
  if (values.suite !== undefined && suites.length === 0)
    return refuse(`--suite is one of ${SUITES.join(', ')}`);
  const wanted = values.rows.split('|');
  const rows = allRows().filter(({ name }) =>
    values.row === undefined ? wanted.some((start) => name.startsWith(start)) : name === values.row,
  );
  if (rows.length === 0) return refuse('no row has this name; --list prints all names');
  if (values.list) {
    for (const { name } of rows) console.log(name);
    return 0;
  }
  return run(rows, seeds, firstSeed, suites);
}

function refuse(text: string): number {
  console.error(text);
  return 2;
}

async function run(
  rows: readonly Row[],
  seeds: number,
  firstSeed: number,
  suites: readonly SuiteName[],
): Promise<number> {
  const startMs = performance.now();
  const problems: string[] = [];
  let operations = 0;
  let runs = 0;
  const shares = spread(rows, seeds);
  const chosen = suites.length === 0 ? {} : { suites };
  const breakSeeds = values.kept ? null : BREAK_SEEDS;
  for (const row of rows) {
    const own = values.spread ? shares.get(row) : { seeds, firstSeed };
    const result = await runRow(row, { ...(own ?? { seeds, firstSeed }), ...chosen, breakSeeds });
    const replay = ({ suite, seed }: Breach) =>
      `npm run explain:table -- --row ${JSON.stringify(row.name)} --suite ${JSON.stringify(suite)} --seeds 1 --seed ${seed} --verbose`;
    const shown = problemsOf(result, replay);
    console.log(rowText(result));
    if (values.verbose) for (const text of shown) console.log(text.slice(0, 6000));
    problems.push(...shown);
    operations += result.operations;
    runs += result.cells.reduce((sum, cell) => sum + cell.runs, 0);
  }
  const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
  console.log(`\n${rows.length} rows, ${runs} verdicts, ${operations} operations in ${seconds} s`);
  for (const text of problems) console.log(`\n${text.slice(0, 1500)}`);
  console.log(problems.length === 0 ? 'the table is true' : `\n${problems.length} problems`);
  return problems.length === 0 ? 0 : 1;
}

process.exitCode = await main();
