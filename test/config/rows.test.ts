/** Structure options by name and pattern, as members take them from the rows of a view. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StructureRow } from '../../src/cluster/view.js';
import { matches, mostSpecific } from '../../src/config/patterns.js';
import {
  consistentSyncBackups,
  mostSyncBackups,
  optionsFor,
  rowDifferences,
  rowProblems,
  servedOptions,
  slotsOf,
  structureRows,
} from '../../src/config/rows.js';
import { STRUCTURES } from '../../src/config/structures.js';
import { memberConfig } from '../../src/config.js';
import { configErrorOf } from './problem-of.js';

const row = (pattern: string, options: object = {}, service = 'map'): StructureRow => ({
  service,
  pattern,
  options: JSON.stringify(options),
});

/** A row for all names of each kind. */
const everyKind = (options: object): StructureRow[] =>
  STRUCTURES.map(({ service }) => row('*', options, service));

const protection: StructureRow = {
  service: 'splitBrainProtection',
  pattern: 'three',
  options: '{"minimumClusterSize":3,"protectOn":"WRITE"}',
};

describe('a pattern', () => {
  it.each([
    ['users', 'users', true],
    ['users', 'users2', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['cache-*', 'cache-', true],
    ['cache-*', 'cache', false],
    ['*-v1', 'a-v1', true],
    ['a*b', 'ab', true],
    ['a*a', 'a', false],
    ['a*b*c', 'a-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['ab*ba', 'aba', false],
    ['a.c', 'abc', false],
    ['**', 'x', true],
  ])('%s and the name %j: %s', (pattern, name, expected) => {
    expect(matches(pattern, name)).toBe(expected);
  });

  it('agrees with the regular expression of the same meaning', () => {
    const text = (extra: string) => fc.string({ unit: fc.constantFrom('a', 'b', ...extra), maxLength: 8 });
    fc.assert(
      fc.property(text('*'), text(''), (pattern, name) => {
        expect(matches(pattern, name)).toBe(new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name));
      }),
      { numRuns: 1_000 },
    );
  });

  it('with many stars is no work', () => {
    expect(matches(`${'a*'.repeat(120)}b`, 'a'.repeat(240))).toBe(false);
  });

  it('counts for a name when no other fits more specifically', () => {
    const rows = ['*', 'a*', 'abc*', '*bcde', 'abcde', 'x*', 'y*', '*y'].map((pattern) => row(pattern));
    const found = (name: string) => mostSpecific(rows, name)?.pattern;
    expect(['abcde', 'abcd', 'xbcde', 'az', 'q', 'yy'].map(found)).toEqual([
      'abcde',
      'abc*',
      '*bcde',
      'a*',
      '*',
      'y*',
    ]);
  });
});

describe('rows of a configuration', () => {
  it('carry all options, and default as the pattern for everything', () => {
    const rows = structureRows(
      memberConfig({
        splitBrainProtections: { three: { minimumClusterSize: 3 } },
        maps: { users: { backups: { sync: 2 } }, default: {} },
        atomicLongs: { n: {} },
      }),
    );
    expect(rows.map(({ service, pattern }) => [service, pattern])).toEqual([
      ['grid', '*'],
      ['splitBrainProtection', 'three'],
      ['map', 'users'],
      ['map', '*'],
      ['atomicLong', 'n'],
    ]);
    expect(rows.map(({ options }) => JSON.parse(options) as object)).toMatchObject([
      { consistency: 'PA/EC' },
      { minimumClusterSize: 3, protectOn: 'READ_WRITE' },
      { consistency: 'PA/EC', backups: { sync: 2, async: 0 }, minSynced: 0 },
      {},
      {},
    ]);
    expect(rowProblems(rows)).toEqual([]);
  });

  it('give each name its options, and the defaults where none fits', () => {
    const rows = [
      row('users', { backups: { sync: 2 } }),
      row('u*', { minSynced: 1 }),
      row('users', {}, 'atomicLong'),
    ];
    expect(optionsFor('map', 'users', rows).backups.sync).toBe(2);
    expect(optionsFor('map', 'us', rows)).toMatchObject({ minSynced: 1, backups: { sync: 1, async: 0 } });
    expect(optionsFor('map', 'other', rows)).toEqual(optionsFor('map', 'other', []));
    expect(optionsFor('atomicLong', 'users', rows).backups.sync).toBe(1);
  });

  it('carry the preset of the grid to structures that have none, also to those without a row', () => {
    const config = memberConfig({ consistency: 'PC/EC', maps: { 'a*': {}, b: { consistency: 'PA/EC' } } });
    const rows = structureRows(config);
    const presetOf = (service: string, name: string) => optionsFor(service, name, rows).consistency;
    expect(['a1', 'b', 'other'].map((name) => presetOf('map', name))).toEqual(['PC/EC', 'PA/EC', 'PC/EC']);
    expect(presetOf('atomicLong', 'n')).toBe('PC/EC');
    expect(optionsFor('map', 'a', [...rows, row('a')]).consistency).toBe('PC/EC');
    expect(optionsFor('map', 'a', [row('a')]).consistency).toBe('PA/EC');
    expect(rowProblems(rows)).toEqual([]);
  });

  it('of the grid and of protections that this version cannot read are reported', () => {
    expect(
      rowProblems([
        { service: 'grid', pattern: '*', options: '{"consistency":"XX"}' },
        { service: 'grid', pattern: 'a', options: '{"consistency":"PA/EC"}' },
        { service: 'grid', pattern: '*', options: '{' },
        { service: 'splitBrainProtection', pattern: 'three', options: '{"minimumClusterSize":1}' },
        { service: 'splitBrainProtection', pattern: 'four', options: 'x' },
      ]),
    ).toEqual([
      'consistency: the row of the grid names no preset',
      'grid options for "a": there is one grid',
      'consistency: the row of the grid names no preset',
      'splitBrainProtections.three: this version cannot read the definition',
      'splitBrainProtections.four: this version cannot read the definition',
    ]);
  });

  it('are read once for each name', () => {
    const rows = [row('users')];
    expect(optionsFor('map', 'users', rows)).toBe(optionsFor('map', 'users', rows));
    expect(optionsFor('map', 'users', [...rows])).not.toBe(optionsFor('map', 'users', rows));
  });

  it('do not keep an unbounded number of names', () => {
    const rows = [row('*', { minSynced: 1 })];
    const first = optionsFor('map', 'n0', rows);
    for (let i = 1; i <= 10_001; i++) optionsFor('map', `n${i}`, rows);
    expect(optionsFor('map', 'n0', rows)).not.toBe(first);
    expect(optionsFor('map', 'n0', rows)).toEqual(first);
  });

  it('of another member that this version cannot read are reported with their place', () => {
    const rows = [
      row('a', { backups: { sync: 7 } }),
      { ...row('b'), options: '{' },
      row('c', {}, 'tree'),
      row('fine', { backups: { sync: 0 } }),
    ];
    expect(rowProblems(rows)).toEqual([
      expect.stringContaining('maps.a: backups.sync: 7 is not in the range 0 to 6'),
      'maps.b: the options of this row are not JSON',
      'there is no data structure "tree" in this version',
    ]);
    expect(configErrorOf(() => optionsFor('map', 'a', rows)).path).toBe('maps.a');
    expect(configErrorOf(() => optionsFor('tree', 'a', rows)).message).toContain(
      'there is no data structure "tree"',
    );
  });

  it('that differ from those of the cluster are listed by path', () => {
    const cluster = [row('users', { backups: { sync: 1 }, minSynced: 1 }), row('same', { minSynced: 0 })];
    const joiner = [
      row('users', { backups: { sync: 2 }, minSynced: 1 }),
      row('same', { minSynced: 0 }),
      row('new'),
    ];
    expect(rowDifferences(cluster, joiner)).toEqual([
      { path: 'maps.users.backups.sync', cluster: 1, joiner: 2 },
    ]);
  });

  it('that differ in the grid or in a protection have the paths of the configuration', () => {
    const rowsOf = (consistency: 'PA/EC' | 'PC/EC', minimumClusterSize: number) =>
      structureRows(memberConfig({ consistency, splitBrainProtections: { q: { minimumClusterSize } } }));
    expect(rowDifferences(rowsOf('PA/EC', 2), rowsOf('PC/EC', 3))).toEqual([
      { path: 'consistency', cluster: 'PA/EC', joiner: 'PC/EC' },
      { path: 'splitBrainProtections.q.minimumClusterSize', cluster: 2, joiner: 3 },
    ]);
  });
});

describe('backup slots', () => {
  const backups = (sync: number, async = 0) => ({ backups: { sync, async } });

  it.each<[string, StructureRow[], number]>([
    ['no rows: the defaults', [], 1],
    ['a row with most', [row('a', backups(2, 3)), row('b', backups(1))], 5],
    ['a default without backups of one kind only', [row('*', backups(0))], 1],
    ['no backups anywhere', everyKind(backups(0)), 0],
    ['rows that cannot be read', [{ ...row('a'), options: '[' }, row('b', backups(2))], 2],
  ])('with %s', (_, rows, slots) => {
    expect(slotsOf(rows)).toBe(slots);
  });
});

describe('sync backups', () => {
  const sync = (count: number, consistency = 'PA/EC') => ({ backups: { sync: count }, consistency });
  const grid = (consistency: string): StructureRow => ({
    service: 'grid',
    pattern: '*',
    options: JSON.stringify({ consistency }),
  });

  it.each<[string, StructureRow[], number, number | null]>([
    ['no rows: the defaults', [], 1, null],
    ['available structures only', [row('a', sync(3)), row('*', sync(0))], 3, null],
    ['one consistent structure', [row('a', sync(3)), row('b', sync(2, 'PC/EC'))], 3, 3],
    ['two consistent ones', [row('a*', sync(4, 'PC/EL')), row('b', sync(2, 'PC/EC'))], 4, 4],
    ['a consistent grid: what has no row counts', [grid('PC/EC'), row('a', sync(3, 'PC/EC'))], 3, 3],
    [
      'a consistent grid in which every name has more',
      [grid('PC/EC'), ...everyKind(sync(2)).slice(0, 1), ...everyKind(sync(2, 'PC/EC')).slice(1)],
      2,
      2,
    ],
    ['rows that cannot be read, and protections', [{ ...row('a'), options: '[' }, protection], 1, null],
  ])('with %s', (_, rows, most, consistent) => {
    expect([mostSyncBackups(rows), consistentSyncBackups(rows)]).toEqual([most, consistent]);
  });

  it('of all structures are waited for by the writes of a consistent one, and of its own by those of an available one', () => {
    const rows = [row('a', sync(3)), row('b', sync(1, 'PC/EC')), row('c', sync(1))];
    expect(['a', 'b', 'c'].map((name) => servedOptions('map', name, rows).backups.sync)).toEqual([3, 3, 1]);
    expect(servedOptions('map', 'b', rows)).toBe(servedOptions('map', 'b', rows));
  });
});
