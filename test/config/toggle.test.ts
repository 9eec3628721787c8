/** What a change of a preset makes of rows, what is refused, and what became of an order by a view. */
import { describe, expect, it } from 'vitest';
import { fateOf, NO_TOGGLES, type Toggle, type ToggleTarget, withToggle } from '../../src/cluster/toggle.js';
import type { StructureRow } from '../../src/cluster/view.js';
import { optionsFor } from '../../src/config/rows.js';
import { MAX_ROWS_TO_ADD, presetsOf, toggledRows, toggleProblem } from '../../src/config/toggle.js';
import { toggleRequest, toggleResult } from '../../src/config/toggle-request.js';

function row(pattern: string, options: object, service = 'map'): StructureRow {
  return { service, pattern, options: JSON.stringify(options) };
}

const GRID = row('*', { consistency: 'PA/EC' }, 'grid');
const SAFE = row('safe-*', { consistency: 'PA/EC', backups: { sync: 2, async: 0 } });
const BARE = row('bare', { consistency: 'PA/EL', backups: { sync: 0, async: 1 } });
const HASTY = row('hasty', { consistency: 'PA/EC', onBackupTimeout: 'success' });
const ROWS = [GRID, SAFE, BARE, HASTY];

function view(change: object = {}) {
  return { structures: ROWS as readonly StructureRow[], ordered: true, parent: null, ...change };
}

const FORK = { parent: { lineage: 'l', number: 3 } };

describe('rows with another preset', () => {
  it('are new ones only where something changed, and the same list where nothing did', () => {
    const after = toggledRows(ROWS, { service: 'map', pattern: 'bare' }, 'PA/EC');
    expect(after.map((one, i) => one === ROWS[i])).toEqual([true, true, false, true]);
    expect(optionsFor('map', 'bare', after)).toMatchObject({
      consistency: 'PA/EC',
      backups: { sync: 0, async: 1 },
    });
    expect(toggledRows(ROWS, { service: 'map', pattern: 'safe-*' }, 'PA/EC')).toBe(ROWS);
    expect(toggledRows(ROWS, { service: 'map', pattern: 'safe-1' }, 'PA/EC')).toBe(ROWS);
  });

  it('give an exact name the options that it had, with the preset', () => {
    const after = toggledRows(ROWS, { service: 'map', pattern: 'safe-1' }, 'PC/EL');
    expect(after).toHaveLength(ROWS.length + 1);
    expect(optionsFor('map', 'safe-1', after)).toEqual({
      ...optionsFor('map', 'safe-1', ROWS),
      consistency: 'PC/EL',
    });
    expect(optionsFor('map', 'safe-2', after)).toEqual(optionsFor('map', 'safe-2', ROWS));
  });

  it('of the whole grid are all of them, also of names without a row', () => {
    for (const rows of [ROWS, ROWS.slice(1)]) {
      const after = toggledRows(rows, null, 'PA/EL');
      expect(new Set(presetsOf(after).map(({ preset }) => preset))).toEqual(new Set(['PA/EL']));
      expect(optionsFor('atomicLong', 'any', after).consistency).toBe('PA/EL');
      expect(toggledRows(after, null, 'PA/EL')).toBe(after);
    }
  });
});

describe('a change of a preset is refused', () => {
  const map = (pattern: string): ToggleTarget => ({ service: 'map', pattern });

  it.each([
    ['PC without sync backups', view(), map('bare'), 'PC/EC', /maps\.bare: .*0 does not go with PC\/EC/],
    [
      'PC with early success',
      view(),
      map('hasty'),
      'PC/EL',
      /onBackupTimeout.*success does not go with PC\/EL/,
    ],
    ['all, when one cannot carry it', view(), null, 'PC/EC', /maps\.bare.*; maps\.hasty/],
    [
      'PC without an order to found',
      view({ ordered: false }),
      map('safe-*'),
      'PC/EC',
      /elsegrid cluster found/,
    ],
    ['another P side in a fork', view(FORK), map('safe-*'), 'PC/EC', /no majority/],
    ['another P side of one name in a fork', view(FORK), map('safe-1'), 'PC/EC', /no majority/],
    ['an unknown preset', view(), map('bare'), 'PA/XX', /no preset "PA\/XX"; use PA\/EC/],
    ['an unknown kind', view(), { service: 'tree', pattern: 'a' }, 'PA/EC', /no data structure "tree"/],
    ['a pattern that nobody configured', view(), map('b*'), 'PA/EL', /pattern "b\*" \(there are safe-\*\)/],
  ] as const)('for %s', (_name, given, target, preset, reason) => {
    expect(toggleProblem(given, target, preset)).toMatch(reason);
  });

  it('when there are too many rows already', () => {
    const structures = Array.from({ length: MAX_ROWS_TO_ADD }, (_, i) => row(`m${i}`, {}));
    expect(toggleProblem(view({ structures }), map('new'), 'PA/EL')).toMatch(
      /change the preset of a pattern/,
    );
    expect(toggleProblem(view({ structures }), map('m1'), 'PA/EL')).toBeNull();
  });

  it('and not for what goes: E in a fork, all names of a kind, PC where it was founded', () => {
    expect(toggleProblem(view(FORK), map('safe-*'), 'PA/EL')).toBeNull();
    expect(toggleProblem(view(), map('*'), 'PA/EL')).toBeNull();
    expect(toggleProblem(view(), map('safe-*'), 'PC/EL')).toBeNull();
  });
});

describe('an order', () => {
  const order = (member: string, sequence: number, basis: number, pattern = 'a'): Toggle => ({
    id: { member, sequence },
    basis,
    target: { service: 'map', pattern },
    preset: 'PA/EC',
  });

  it('is open, in effect, overtaken by another member that changed the same, or too old to tell', () => {
    const first = order('m1', 1, 0);
    expect(fateOf(NO_TOGGLES, first)).toBe('open');
    const one = withToggle(NO_TOGGLES, first);
    expect(fateOf(one, first)).toBe('in effect');
    expect(fateOf(one, order('m1', 2, 0))).toBe('open');
    expect(fateOf(one, order('m2', 1, 0))).toBe('overtaken');
    expect(fateOf(one, order('m2', 1, 1))).toBe('open');
    expect(fateOf(one, order('m2', 1, 0, 'b'))).toBe('open');
    expect(fateOf(one, { ...order('m2', 1, 0), target: null })).toBe('overtaken');
    let many = one;
    for (let i = 2; i < 30; i++) many = withToggle(many, order('m3', i, i, 'c'));
    expect(fateOf(many, order('m2', 1, 0, 'b'))).toBe('unknown');
    expect(many.latest.length).toBeLessThan(30);
  });
});

describe('a request to change a preset', () => {
  it.each([
    ['an unknown preset', 'all', 'PA', undefined, /preset: expected one of PA\/EC.*got "PA"/],
    ['no target', undefined, 'PA/EC', undefined, /target: expected 'all', or one structure/],
    ['two structures', { map: 'a', atomicLong: 'b' }, 'PA/EC', undefined, /one structure by its kind/],
    [
      'an unknown kind',
      { mep: 'a' },
      'PA/EC',
      undefined,
      /unknown kind of structure "mep"; did you mean map\?/,
    ],
    ['an empty name', { map: '' }, 'PA/EC', undefined, /target\.map: expected the name/],
    [
      'a name that is too long',
      { map: 'ä'.repeat(121) },
      'PA/EC',
      undefined,
      /242 bytes in UTF-8; the limit is 240/,
    ],
    ['a time that is none', 'all', 'PA/EC', { timeoutMs: Number.NaN }, /timeoutMs: expected a number/],
  ])('with %s is a TypeError', (_name, target, preset, options, message) => {
    const given = () => toggleRequest(target as never, preset, options);
    expect(given).toThrow(TypeError);
    expect(given).toThrow(message);
  });

  it('leaves the member time to say what it knows, and tells refusals from open outcomes', () => {
    const { command, timeoutMs } = toggleRequest({ map: 'a' }, 'PC/EL', { timeoutMs: 1_000 });
    expect([command, timeoutMs]).toEqual([
      { kind: 'setConsistency', service: 'map', pattern: 'a', preset: 'PC/EL', withinMs: 900 },
      1_000,
    ]);
    const reply = (outcome: string) => ({ ok: false, text: 'why', details: { outcome } });
    expect(() => toggleResult(reply('refused'))).toThrow(/not changed: why/);
    expect(() => toggleResult(reply('unknown'))).toThrow(/may or may not have changed: why/);
  });
});

describe('the target of a request', () => {
  it('takes default for the row of all names, as a configuration does', () => {
    expect(toggleRequest({ map: 'default' }, 'PA/EL').command).toMatchObject({
      service: 'map',
      pattern: '*',
    });
  });

  it('refuses options that there are not', () => {
    expect(() => toggleRequest('all', 'PA/EL', { timeout: 1 } as object)).toThrow(
      /timeout is none of timeoutMs/,
    );
  });
});
