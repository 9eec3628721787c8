/**
 * What explain prints, against runs: rows of the table of promises with one seed each, and a pinned seed for each promise that
 * is printed as broken. `npm run explain:table` holds the whole table against many seeds.
 */
import { describe, expect, it } from 'vitest';
import { allRows, promisesOf, type Row, spread } from '../../chaos/table/rows.js';
import { JUDGED_BY, SUITES, type SuiteName, suitesOf } from '../../chaos/table/suites.js';
import { type Breach, problemsOf, runRow } from '../../chaos/table/table.js';

/** One of each kind; where each promise that it does not keep is known to break. */
const PINNED: Readonly<Record<string, string>> = {
  'PA/EC 0+0': 'G2 lost write 1, G3 split as PC 1, G4 split as PC 4',
  'PA/EC 1+0': 'G3 split as PC 1, G4 split as PC 3',
  'PA/EC 1+1 minSynced 1 success':
    'G1 lost write 1, G2 lost write 1, G3 split as PC 2, G4 split as PC 2, G5 lone member 1',
  'PA/EL 1+0': 'G1 lost write 1, G2 lost write 1, G3 split as PC 2, G4 split as PC 2',
  'PC/EC 1+0': 'G5 lone member 1',
  'PC/EL 2+1': 'G1 old backup 2, G3 split as PC 2, G5 lone member 1',
  'PA/EC 1+0 calls EL': 'G1 lost write 1, G2 lost write 1, G3 split as PC 2, G4 split as PC 2',
  'PC/EL 1+0 calls EC': 'G5 lone member 1',
  'PA/EC 1+0 protected': 'G3 split as PC 1, G4 split as PC 3, G5 lone member 1',
};

function pinned(row: string, id: string): Pick<Breach, 'suite' | 'seed'> | undefined {
  const words =
    PINNED[row]
      ?.split(', ')
      .find((text) => text.startsWith(`${id} `))
      ?.split(' ') ?? [];
  const suite = words.slice(1, -1).join(' ') as SuiteName;
  return SUITES.includes(suite) ? { suite, seed: Number(words.at(-1)) } : undefined;
}

const brokenIn = (row: Row) =>
  promisesOf(row).flatMap(({ id, applies, holds }) => (applies && !holds ? [id] : []));
const rows = allRows();
const named = (name: string) => rows.find((row) => row.name === name) as Row;

describe('the table of promises', () => {
  it('has a row for each combination of options that configuration allows', () => {
    const names = rows.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const of = (preset: string) =>
      names.filter((name) => name.startsWith(preset) && !/calls|protected/.test(name));
    // PA: minSynced 0 up to the sync backups, 6 pairs; async 0 or 1; both ways to end. PC: 5 pairs, one way.
    expect(['PA/EC', 'PA/EL', 'PC/EC', 'PC/EL'].map((preset) => of(preset).length)).toEqual([24, 24, 10, 10]);
    expect(names.filter((name) => /^PC.* (0\+|.*success)/.test(name))).toEqual([]);
    expect(names.length).toBe(78);
  });

  it('has a suite for each promise that is kept, and for each that is broken', () => {
    for (const row of rows) {
      for (const { id, applies, holds } of promisesOf(row)) {
        if (!applies) continue;
        const judges = JUDGED_BY[id] ?? [];
        expect([row.name, id, judges.length > 0]).toEqual([row.name, id, true]);
        const isJudged = judges.some((suite) => suitesOf(row).includes(suite));
        if (holds) expect([row.name, id, isJudged]).toEqual([row.name, id, true]);
      }
    }
  });

  it('shares seeds only among rows of which the same is printed', () => {
    const shares = spread(rows, 200);
    expect(shares.size).toBe(rows.length);
    const [alone, alike] = [shares.get(named('PC/EL 1+0 calls EC')), shares.get(named('PA/EC 1+0'))];
    expect(alone).toEqual({ firstSeed: 1, seeds: 200 });
    expect(alike).toEqual({ firstSeed: 1, seeds: 100 });
    expect(shares.get(named('PA/EC 1+1'))).toEqual({ firstSeed: 101, seeds: 100 });
  });

  it.each(Object.keys(PINNED))(
    'is true of %s',
    async (name) => {
      const row = named(name);
      expect(brokenIn(row).filter((id) => pinned(name, id) === undefined)).toEqual([]);
      const result = await runRow(row, { seeds: 1, firstSeed: 1, breakSeeds: 0, pinned });
      const replay = ({ suite, seed }: Breach) => `${suite}, seed ${seed}`;
      expect(problemsOf(result, replay).join('\n\n')).toBe('');
      for (const { id, expected, runs } of result.cells)
        if (expected === 'kept') expect([id, runs > 0]).toEqual([id, true]);
    },
    60_000,
  );

  it('is not true of a row that promises too much', async () => {
    const weak = named('PA/EC 0+0');
    const strong = named('PA/EC 1+0');
    const lying = { ...strong, knobs: { ...strong.knobs, onBackupTimeout: 'success' } } as const;
    const options = { seeds: 1, firstSeed: 1, breakSeeds: 0, suites: ['lost write'] } as const;
    const promised = promisesOf(strong);
    expect(
      (await runRow(lying, options, promised)).violations.map(({ text }) => text.slice(0, 2)).sort(),
    ).toEqual(['G1', 'G2']);
    const result = await runRow(strong, options, promisesOf(weak));
    expect(result.violations).toEqual([]);
    expect(problemsOf(result, () => '')).toContain('PA/EC 1+0: G2 is printed as broken, and no run broke it');
  }, 60_000);
});
