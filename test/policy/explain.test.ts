/** What explain says, for each option and each state of the cluster that changes it. */
import { describe, expect, it } from 'vitest';
import { isLoose } from '../../partitions/behind.js';
import { ASKS_NOTHING } from '../../partitions/call.js';
import { isConsistent } from '../../partitions/service.js';
import { classOf } from '../../src/policy/class.js';
import { explain } from '../../src/policy/explain.js';
import type { ExplainedOptions, ExplainInput } from '../../src/policy/explanation.js';
import { PRESET_NAMES, PRESETS, presetOf } from '../../src/policy/presets.js';
import { reportOf, viewOf } from './views.js';

type Given = Partial<Omit<ExplainedOptions, 'backups'>> & { sync?: number; async?: number };

function optionsOf({ sync = 1, async = 0, ...more }: Given): ExplainedOptions {
  return {
    consistency: 'PA/EC',
    backups: { sync, async },
    minSynced: 0,
    backupTimeoutMs: 5_000,
    onBackupTimeout: 'indeterminate',
    mergePolicy: 'LatestUpdate',
    splitBrainProtection: '',
    ...more,
  };
}

const explained = (given: Given, view?: ReturnType<typeof viewOf>, more: Partial<ExplainInput> = {}) =>
  explain({
    structure: 'users',
    kind: 'map',
    options: optionsOf(given),
    ...(view === undefined ? {} : { state: { view } }),
    ...more,
  });

const crash = (explanation: ReturnType<typeof explained>) =>
  explanation.losses.map(({ failure, knob }) => `${knob}: ${failure}`);

describe('the presets', () => {
  it('are the four combinations of the two policies, all of which are names that options take', () => {
    expect(PRESETS.map(({ p, e }) => `${p} ${e}`).sort()).toEqual([
      'available consistent',
      'available latency',
      'consistent consistent',
      'consistent latency',
    ]);
    expect(PRESETS.map(({ name }) => name)).toEqual([...PRESET_NAMES]);
    expect(presetOf('PC/EL')?.p).toBe('consistent');
    expect(presetOf('pc/el')).toBeUndefined();
  });
});

describe('the promises', () => {
  it('that hold with the defaults are G1, G2, G5, G6, G9 and G12', () => {
    const { promises } = explained({});
    expect(promises.map(({ id }) => id)).toEqual(Array.from({ length: 12 }, (_, i) => `G${i + 1}`));
    expect(promises.filter(({ holds }) => holds).map(({ id }) => id)).toEqual([
      'G1',
      'G2',
      'G5',
      'G6',
      'G9',
      'G12',
    ]);
    for (const { because } of promises) expect(because.length).toBeGreaterThan(8);
  });

  const safe = viewOf(3, 2, ['0 1 2', '1 2 0', '2 0 1']);
  const alone = viewOf(1, 1, ['0', '0']);
  const half = viewOf(3, 1, ['0 1', '1 2?', '2 0']);

  it.each<[string, Given, ReturnType<typeof viewOf> | undefined, [boolean, RegExp], [boolean, RegExp]]>([
    ['the defaults', {}, undefined, [true, /B is 1/], [true, /B is 1.*once the cluster is safe/]],
    ['the defaults, safe', {}, safe, [true, /B is 1 \(backups\.sync\)/], [true, /B is 1/]],
    ['two sync backups', { sync: 2 }, safe, [true, /B is 2/], [true, /B is 2/]],
    [
      'no backups',
      { sync: 0 },
      safe,
      [true, /only without crashes: backups\.sync is 0/],
      [false, /one crash may lose/],
    ],
    [
      'async backups only',
      { sync: 0, async: 2 },
      safe,
      [true, /only without crashes/],
      [false, /one crash may lose/],
    ],
    [
      'success after a timeout',
      { onBackupTimeout: 'success' },
      safe,
      [false, /onBackupTimeout is success/],
      [false, /onBackupTimeout is success/],
    ],
    [
      'success after a timeout, without anything to wait for',
      { sync: 0, onBackupTimeout: 'success' },
      safe,
      [true, /only without crashes/],
      [false, /backups\.sync is 0/],
    ],
    [
      'a cluster of one member',
      {},
      alone,
      [true, /only without crashes: B is 0 now, because a cluster of 1 member holds no more than 0 backups/],
      [false, /B is 0 now.*one crash may lose/],
    ],
    [
      'a backup that is syncing',
      {},
      half,
      [true, /only without crashes: B is 0 now, because 1 partition has/],
      [false, /B is 0 now/],
    ],
    [
      'more backups than the cluster holds',
      { sync: 2 },
      half,
      [true, /B is 0 now|B is 1 now/],
      [false, /B is 0 now/],
    ],
  ])('with %s', (_, given, view, g1, g2) => {
    const { promises } = explained(given, view);
    for (const [index, [holds, because]] of [g1, g2].entries()) {
      expect(promises[index]?.because).toMatch(because);
      expect(promises[index]?.holds).toBe(holds);
    }
  });

  it('never include those of features that do not exist', () => {
    for (const consistency of PRESET_NAMES) {
      const { promises } = explained({ consistency, sync: 3, async: 3, minSynced: 3 }, safe);
      for (const id of ['G10', 'G11'])
        expect(promises.find((promise) => promise.id === id)?.holds).toBe(false);
    }
  });
});

describe('the promises for a split', () => {
  const safe = viewOf(3, 1, ['0 1', '1 2', '2 0']);
  const founded = { ...safe, ordered: true };
  const fork = { ...founded, parent: { lineage: '22222222-2222-4222-8222-222222222222', number: 3 } };
  const alone = { ...viewOf(1, 1, ['0']), ordered: true };
  const protection = { minimumClusterSize: 3, protectOn: 'WRITE' } as const;
  const guarded: Given = { splitBrainProtection: 'three' };
  const counter: Partial<ExplainInput> = { kind: 'atomicLong' };
  const holding = (given: Given, view?: ReturnType<typeof viewOf>, more?: Partial<ExplainInput>) =>
    explained(given, view, more)
      .promises.filter(({ id, holds }) => holds && /^G[3-7]$/.test(id))
      .map(({ id }) => id);
  const because = (id: string, ...input: Parameters<typeof explained>) =>
    explained(...input).promises.find((promise) => promise.id === id)?.because;

  it.each<[string, Parameters<typeof explained>, string[]]>([
    ['PA/EC', [{}], ['G5', 'G6']],
    ['PA/EC in a running cluster', [{}, safe], ['G5', 'G6']],
    ['PA/EL', [{ consistency: 'PA/EL' }, founded], ['G5', 'G6']],
    ['a PA counter', [{}, safe, counter], ['G5', 'G6', 'G7']],
    ['PA under a split-brain protection', [guarded, safe, { protection }], ['G6']],
    ['PC/EC that is only configured', [{ consistency: 'PC/EC' }], ['G3', 'G4']],
    ['PC/EC in a cluster that was founded by order', [{ consistency: 'PC/EC' }, founded], ['G3', 'G4']],
    ['PC/EC in a cluster that was not', [{ consistency: 'PC/EC' }, safe], []],
    ['PC/EC in a fork', [{ consistency: 'PC/EC' }, fork], ['G3', 'G4']],
    ['PC/EL', [{ consistency: 'PC/EL' }, founded], ['G4']],
    ['a PC counter', [{ consistency: 'PC/EC' }, founded, counter], ['G3', 'G4']],
  ])('%s', (_, input, promised) => {
    expect(holding(...input)).toEqual(promised);
  });

  it.each<[string, string, Parameters<typeof explained>, RegExp]>([
    ['the preset, under PA', 'G3', [{}], /^PA\/EC lets every side go on \(consistency\)$/],
    [
      'the preset, under PC',
      'G5',
      [{ consistency: 'PC/EC' }],
      /refuses outside the majority \(consistency\)/,
    ],
    ['the founding', 'G3', [{ consistency: 'PC/EC' }, safe], /ERR_NOT_FOUNDED: run elsegrid cluster found/],
    [
      'the founding to come',
      'G3',
      [{ consistency: 'PC/EC' }],
      /once the cluster was founded by order \(option founds\)/,
    ],
    ['the lease', 'G4', [{ consistency: 'PC/EC' }, founded], /ERR_NO_LEASE.*timings\.leaseMs$/],
    ['the fork', 'G4', [{ consistency: 'PC/EC' }, fork], /this side is a fork, and refuses$/],
    [
      'the missing backups',
      'G3',
      [{ consistency: 'PC/EC' }, alone],
      /B is 0 now, because a cluster of 1 member/,
    ],
    [
      'the merge policy and the report',
      'G6',
      [{ mergePolicy: 'HigherHits' }],
      /mergePolicy HigherHits.*client\.merges\(\)/,
    ],
    ['the one history of PC', 'G6', [{ consistency: 'PC/EC' }], /only one side acknowledges writes/],
    [
      'the split-brain protection',
      'G5',
      [guarded, safe, { protection }],
      /^splitBrainProtection "three" refuses WRITE with fewer than 3 members$/,
    ],
    ['what has no replica', 'G5', [{}], /ERR_PARTITION_UNAVAILABLE/],
    [
      'what EL loosens under PA',
      'G1',
      [{ consistency: 'PA/EL' }],
      /^PA\/EL answers writes at once and reads from any/,
    ],
    [
      'what a crash may lose under EL',
      'G2',
      [{ consistency: 'PA/EL' }],
      /answers writes at once \(consistency\)/,
    ],
    [
      'what EL loosens under PC',
      'G3',
      [{ consistency: 'PC/EL' }],
      /may be behind.*\{ consistency: 'EC' \} are linearizable/,
    ],
    [
      'that EL reads go on in a cut',
      'G4',
      [{ consistency: 'PC/EL' }, founded],
      /reads with EL go on, and tell their age/,
    ],
    [
      'how to bound an age',
      'G8',
      [{ consistency: 'PC/EL' }],
      /getWithMeta.*maxStalenessMs.*ERR_SESSION_LOST/,
    ],
    [
      'how to ask for EL',
      'G8',
      [{}],
      /under PA\/EC reads go to the primary; a call can ask for it with \{ consistency: 'EL' \}/,
    ],
  ])('name %s: %s', (_, id, input, text) => {
    expect(because(id, ...input)).toMatch(text);
  });
});

describe('the losses', () => {
  const splits = [
    'mergePolicy: a network split (or a member that is wrongly taken for dead)',
    'forkRetentionMs: a network split that lasts longer than forkRetentionMs',
    'backups.sync: a network split, and crashes on the smaller side before it is merged',
  ];
  const always = [...splits, 'none: the end of all members'];
  const later = 'before re-replication has finished';
  const fewer = (least: number) =>
    `while fewer than ${least} sync backups are synced (after a crash, in a cluster that is too small)`;

  it.each<[string, Given, string[]]>([
    ['no backups', { sync: 0 }, ['backups.sync: 1 crash']],
    [
      'async backups only',
      { sync: 0, async: 1 },
      ['backups.sync: 1 crash', `backups.async: 2 crashes ${later}`],
    ],
    ['the defaults', {}, [`backups.sync: 2 crashes ${later}`, `minSynced: 1 crash ${fewer(1)}`]],
    ['minSynced as high as the backups', { sync: 2, minSynced: 2 }, [`backups.sync: 3 crashes ${later}`]],
    [
      'sync and async backups',
      { sync: 2, async: 1, minSynced: 1 },
      [
        `backups.sync: 3 crashes ${later}`,
        `backups.async: 4 crashes ${later}`,
        `minSynced: 2 crashes ${later} ${fewer(2)}`,
      ],
    ],
    [
      'success after a timeout',
      { minSynced: 1, onBackupTimeout: 'success' },
      [`backups.sync: 2 crashes ${later}`, 'onBackupTimeout: 1 crash after a backup was silent for 5000 ms'],
    ],
  ])('with %s', (_, given, losses) => {
    expect(crash(explained(given))).toEqual([...losses, ...always]);
  });

  it.each([
    [
      'write-through',
      { sync: 0 },
      ['none: crashes, and the end of all members'],
      /^no write that was answered: the store has it/,
    ],
    [
      'write-behind',
      { sync: 1, minSynced: 1 },
      [
        'backups.sync: 2 crashes before re-replication has finished',
        'store.delayMs: the end of all members without a graceful shutdown, or while the store is down',
      ],
      /^acknowledged writes that the store does not have yet \(storeStatus\(\) tells how many\)/,
    ],
    [
      'read-through',
      { sync: 0 },
      ['backups.sync: 1 crash', 'store.mode: the end of all members'],
      /^all that was written to the map: the store is only read/,
    ],
  ] as const)(
    'of a map with a store are those of what the store lacks: %s',
    (mode, given, expected, atTheEnd) => {
      const explanation = explained({ ...given, consistency: 'PC/EC', store: { mode } });
      const { losses, promises } = explanation;
      expect(crash(explanation).filter((text) => !text.startsWith('number of members'))).toEqual(expected);
      expect(losses.at(-1)?.effect).toMatch(atTheEnd);
      for (const { knob, effect } of losses)
        if (knob === 'backups.sync') expect(effect).toMatch(/^what the store does not have of this: /);
      const survives = mode === 'write-through' || given.sync > 0;
      expect(promises.find(({ id }) => id === 'G2')?.holds).toBe(survives);
    },
  );

  it('do not include splits under PC, but the end of the majority', () => {
    expect(crash(explained({ consistency: 'PC/EC', minSynced: 1 }))).toEqual([
      `backups.sync: 2 crashes ${later}`,
      'number of members: the end of a majority of the members for good',
      'none: the end of all members',
    ]);
  });

  it('tell for counters that additions of all sides count', () => {
    const { losses } = explained({}, undefined, { kind: 'atomicLong' });
    expect(losses.find(({ knob }) => knob === 'consistency')?.effect).toContain(
      'additions of all sides count',
    );
  });

  it('tell for queues that no item is lost, and that some may be given out twice', () => {
    const { losses, promises } = explained({}, undefined, { kind: 'queue' });
    expect(losses.find(({ knob }) => knob === 'consistency')?.effect).toContain('given out more than once');
    expect(losses.filter(({ knob }) => knob === 'mergePolicy')).toEqual([]);
    expect(promises.find(({ id }) => id === 'G7')).toMatchObject({ holds: true });
    expect(promises.find(({ id }) => id === 'G6')?.because).not.toContain('mergePolicy');
  });

  it('tell nothing of a split for multimaps, whose pairs are all kept', () => {
    const { losses, promises } = explained({}, undefined, { kind: 'multiMap' });
    expect(losses.filter(({ knob }) => knob === 'consistency' || knob === 'mergePolicy')).toEqual([]);
    expect(promises.find(({ id }) => id === 'G7')).toMatchObject({ holds: true });
    const merged = promises.find(({ id }) => id === 'G6');
    expect([merged?.holds, merged?.because]).toEqual([true, expect.not.stringContaining('mergePolicy')]);
  });

  it('name the state of the cluster when it covers less than the options', () => {
    const losses = crash(explained({ minSynced: 1 }, viewOf(1, 1, ['0'])));
    expect(losses).toContain('number of members: 1 crash, as the cluster is now');
    expect(crash(explained({ minSynced: 1 }, viewOf(2, 1, ['0 1'])))).not.toContain(
      'number of members: 1 crash, as the cluster is now',
    );
  });
});

const NEAR = { entries: 3, hits: 9, hitsBelowMs: 16, maxStalenessMs: 500 };

describe('the promise of near caches', () => {
  const state = { view: viewOf(2, 1, ['0 1']), nearCache: NEAR };
  const g10 = (given: Given, more: Partial<ExplainInput>) =>
    explained(given, undefined, more).promises.find(({ id }) => id === 'G10');

  it('holds for calls with EL of a process that has one', () => {
    for (const [given, call] of [
      [{ consistency: 'PA/EL' }, null],
      [{ consistency: 'PC/EC' }, 'EL'],
    ] as const) {
      expect(g10(given, { state, call })).toMatchObject({ holds: true, applies: true });
      expect(g10(given, { state, call })?.because).toMatch(/older than 500 ms \(maxStalenessMs\)/);
    }
  });

  it('does not apply to others', () => {
    expect(g10({}, { state })?.because).toBe('does not apply: a near cache serves calls with EL alone');
    expect(g10({ consistency: 'PA/EL' }, {})?.because).toMatch(/no near cache for it \(option nearCaches\)$/);
  });
});

describe('what is so now', () => {
  it('is nothing without a view', () => {
    expect(explained({}).now).toBeNull();
  });

  it('names the partitions that lack backups of this structure, not of others', () => {
    const view = viewOf(
      4,
      2,
      ['0 1 2', '1 2 0?', '2 3?', '', '3!'],
      ['0 1 2', '1 2 0', '2 3 0', '0 1 2', '3 0 1'],
    );
    expect(explained({ sync: 1, async: 1, minSynced: 1 }, view).now).toEqual({
      ordered: false,
      fork: false,
      members: 4,
      crashesAtOnce: 1,
      syncBackupsPossible: 1,
      syncBackupsNow: 0,
      missing: { sync: 3, async: 4, syncPartitions: [2, 3, 4], asyncPartitions: [1, 2, 3, 4] },
      refusing: [2, 3, 4],
      lost: [3],
      unsettled: [4],
      reported: null,
      nearCache: null,
    });
    expect(explained({ sync: 2 }, view).now).toMatchObject({
      syncBackupsPossible: 2,
      missing: { sync: 7, async: 0, syncPartitions: [1, 2, 3, 4], asyncPartitions: [] },
    });
  });

  it.each([
    [1, 0],
    [2, 0],
    [3, 1],
    [5, 2],
  ])('of %d members, %d may crash at once', (members, crashes) => {
    expect(explained({}, viewOf(members, 0, ['0'])).now?.crashesAtOnce).toBe(crashes);
  });

  it('puts together what the members report, by sync and async backups, and names who is silent', () => {
    const view = viewOf(3, 2, ['0 1 2', '1 2 0', '2 0 1']);
    const row = { place: 1, backups: 1, behind: 1, unknown: 0, positions: 3, bytes: 300, ageMs: 7 };
    const reports = new Map([
      [
        'm0',
        reportOf(['m0'], {
          backups: [row, { ...row, place: 2, positions: 50, bytes: 5_000, ageMs: 90 }],
          divergent: [2, 99],
          leftovers: 1,
          leftoverBytes: 40,
        }),
      ],
      [
        'm1',
        reportOf(['m1'], {
          backups: [
            { ...row, unknown: 1, ageMs: 4 },
            { ...row, place: 3 },
          ],
          divergent: [0, 2],
          leftovers: 2,
          leftoverBytes: 2,
        }),
      ],
    ]);
    const state = { view, reports, nearCache: NEAR };
    const { now } = explained({ sync: 1, async: 1 }, undefined, { state });
    expect(now?.reported).toEqual({
      silent: ['host:3'],
      sync: { backups: 2, behind: 2, unknown: 1, positions: 6, bytes: 600, ageMs: 7 },
      async: { backups: 1, behind: 1, unknown: 0, positions: 50, bytes: 5_000, ageMs: 90 },
      divergent: [0, 2],
      leftovers: 3,
      leftoverBytes: 42,
    });
    expect(now?.nearCache).toEqual(NEAR);
  });
});

describe('what does not apply', () => {
  const outside = (given: Given, more: Partial<ExplainInput> = {}) =>
    explained(given, undefined, more).promises.flatMap(({ id, applies, holds, knob, because }) => {
      if (applies) return [];
      expect([holds, knob]).toEqual([false, null]);
      expect(because).toMatch(/^does not apply: /);
      return [id];
    });

  it.each<[string, Given, Partial<ExplainInput>, string[]]>([
    ['a PA/EC map', {}, {}, ['G7', 'G8', 'G10', 'G11']],
    ['a PA/EC counter', {}, { kind: 'atomicLong' }, ['G8', 'G10', 'G11']],
    ['a PA/EL map', { consistency: 'PA/EL' }, {}, ['G7', 'G10', 'G11']],
    ['a PC/EC map', { consistency: 'PC/EC' }, {}, ['G6', 'G7', 'G8', 'G10', 'G11']],
    ['a PC/EL counter', { consistency: 'PC/EL' }, { kind: 'atomicLong' }, ['G6', 'G7', 'G10', 'G11']],
    ['a PA/EC queue', {}, { kind: 'queue' }, ['G8', 'G10', 'G11']],
    ['a PC/EC queue', { consistency: 'PC/EC' }, { kind: 'queue' }, ['G6', 'G7', 'G8', 'G10', 'G11']],
    ['a PA/EC multimap', {}, { kind: 'multiMap' }, ['G8', 'G10', 'G11']],
    ['a PC/EC multimap', { consistency: 'PC/EC' }, { kind: 'multiMap' }, ['G6', 'G7', 'G8', 'G10', 'G11']],
    ['calls with EL', {}, { call: 'EL' }, ['G7', 'G10', 'G11']],
  ])('to %s', (_, given, more, ids) => {
    expect(outside(given, more)).toEqual(ids);
  });

  it('is told from what is broken, which names its knob', () => {
    for (const consistency of PRESET_NAMES) {
      for (const { applies, holds, knob, id } of explained({ consistency }).promises)
        expect([id, knob === null]).toEqual([id, holds || !applies]);
    }
    const knobs = (given: Given) =>
      explained(given).promises.flatMap(({ id, knob }) => (knob === null ? [] : [`${id} ${knob}`]));
    expect(knobs({ sync: 0 })).toEqual(['G2 backups.sync', 'G3 consistency', 'G4 consistency']);
    expect(knobs({ minSynced: 1 })).toEqual(['G3 consistency', 'G4 consistency', 'G5 minSynced']);
    expect(knobs({ onBackupTimeout: 'success' }).slice(0, 2)).toEqual([
      'G1 onBackupTimeout',
      'G2 onBackupTimeout',
    ]);
  });
});

describe('calls that loosen or tighten', () => {
  const holding = (given: Given, call: 'EC' | 'EL' | null) =>
    explained(given, undefined, { call })
      .promises.filter(({ holds }) => holds)
      .map(({ id }) => id)
      .join(' ');

  it.each<[string, Given, string, string]>([
    ['PA/EC', {}, 'G1 G2 G5 G6 G9 G12', 'G5 G6 G8 G9 G12'],
    ['PA/EL', { consistency: 'PA/EL' }, 'G1 G2 G5 G6 G9 G12', 'G5 G6 G8 G9 G12'],
    ['PC/EC', { consistency: 'PC/EC' }, 'G1 G2 G3 G4 G9 G12', 'G2 G4 G8 G9 G12'],
    ['PC/EL', { consistency: 'PC/EL' }, 'G1 G2 G3 G4 G9 G12', 'G2 G4 G8 G9 G12'],
  ])('of %s get the same as the presets that do so', (_, given, ec, el) => {
    expect([holding(given, 'EC'), holding(given, 'EL')]).toEqual([ec, el]);
    expect(holding(given, null)).toBe(given.consistency?.endsWith('EL') ? el : ec);
  });

  it('are told beside what calls get that ask for nothing', () => {
    expect(explained({}).otherCalls).toEqual({
      consistency: 'EL',
      classText:
        'writes answer after the primary alone, 1 backup follows; reads go to the nearest replica, and may be behind',
      gains: ['G8'],
      givesUp: ['G1', 'G2'],
    });
    expect(explained({ consistency: 'PC/EL' }).otherCalls).toMatchObject({
      consistency: 'EC',
      gains: ['G1', 'G3'],
      givesUp: ['G8'],
    });
    expect(explained({ consistency: 'PA/EL', sync: 0 }).otherCalls).toMatchObject({ gains: ['G1'] });
  });

  it('are named where they differ', () => {
    const { promises, classText, losses, call } = explained({}, undefined, { call: 'EL' });
    expect(call).toBe('EL');
    expect(classText).toMatch(
      /^PA\/EC, called with \{ consistency: 'EL' \}: writes answer after the primary/,
    );
    expect(promises[1]?.because).toMatch(/^\{ consistency: 'EL' \} answers writes at once/);
    expect(losses[0]).toMatchObject({ failure: '1 crash', knob: 'consistency' });
    const tightened = explained({ consistency: 'PA/EL' }, undefined, { call: 'EC' });
    expect(tightened.promises[0]?.because).toMatch(/for keys that only such calls write$/);
  });
});

describe('the class that the options give', () => {
  it('is the one that the members serve by', () => {
    for (const consistency of PRESET_NAMES) {
      for (const call of [null, 'EC', 'EL'] as const) {
        const options = { ...optionsOf({ consistency }), store: undefined };
        const ask = { ...ASKS_NOTHING, consistency: call };
        const { writes, reads, p } = classOf(options, call);
        expect([consistency, call, writes === 'latency', reads === 'latency', p === 'consistent']).toEqual([
          consistency,
          call,
          isLoose(ask, options, true),
          isLoose(ask, options, false),
          isConsistent(options),
        ]);
      }
    }
  });

  it.each<[Given, string]>([
    [{}, 'PA/EC'],
    [{ sync: 0, async: 2 }, 'PA/EL'],
    [{ consistency: 'PA/EL' }, 'PA/EL'],
    [{ consistency: 'PC/EL' }, 'PC/EL'],
    [{ consistency: 'PC/EC' }, 'PC/EC'],
  ])('of %j is %s', (given, name) => {
    expect(explained(given).given.name).toBe(name);
  });
});

describe('the class', () => {
  const safe = viewOf(3, 1, ['0 1', '1 2', '2 0']);
  const goesOn =
    'in a split every side goes on with what it has, and the sides are merged when the network heals';
  const refuses =
    'in a split only the side with the majority serves, the others refuse when their lease ends';

  it.each<[string, Parameters<typeof explained>, string]>([
    ['the defaults', [{}], `PA/EC: writes wait for 1 sync backup; reads go to the primary; ${goesOn}`],
    [
      'more backups',
      [{ sync: 2, async: 1 }],
      `PA/EC: writes wait for 2 sync backups, 1 async backup follows; reads go to the primary; ${goesOn}`,
    ],
    [
      'async backups only',
      [{ sync: 0, async: 2 }],
      `PA/EC, with the writes of PA/EL: writes answer after the primary alone (backups.sync is 0), 2 async backups follow; reads go to the primary; ${goesOn}`,
    ],
    [
      'PA/EL',
      [{ consistency: 'PA/EL' }],
      `PA/EL: writes answer after the primary alone, 1 backup follows; reads go to the nearest replica, and may be behind; ${goesOn}`,
    ],
    [
      'a split-brain protection',
      [
        { splitBrainProtection: 'q' },
        safe,
        { protection: { minimumClusterSize: 2, protectOn: 'READ_WRITE' } },
      ],
      'PA/EC: writes wait for 1 sync backup; reads go to the primary; in a split every side goes on with what it has, but with fewer than 2 members refuses all calls, and the sides are merged when the network heals',
    ],
    [
      'PC/EC, configured',
      [{ consistency: 'PC/EC' }],
      `PC/EC: writes wait for 1 sync backup; reads go to the primary; ${refuses}`,
    ],
    [
      'PC/EL in a cluster that was not founded by order',
      [{ consistency: 'PC/EL' }, safe],
      `PC/EL: writes wait for 1 sync backup; reads go to the nearest replica, and may be behind; ${refuses}; not served now, because the cluster was not founded by order (ERR_NOT_FOUNDED)`,
    ],
  ])('of %s', (_, input, text) => {
    expect(explained(...input).classText).toBe(text);
  });
});
