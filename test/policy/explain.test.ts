/** What explain says, for each option and each state of the cluster that changes it. */
import { describe, expect, it } from 'vitest';
import { explain } from '../../src/policy/explain.js';
import type { ExplainedOptions } from '../../src/policy/explanation.js';
import { AVAILABLE_PRESETS, PRESETS, presetOf } from '../../src/policy/presets.js';
import { viewOf } from './views.js';

type Given = Partial<Omit<ExplainedOptions, 'backups'>> & { sync?: number; async?: number };

function optionsOf({ sync = 1, async = 0, ...more }: Given): ExplainedOptions {
  return {
    consistency: 'PA/EC',
    backups: { sync, async },
    minSynced: 0,
    backupTimeoutMs: 5_000,
    onBackupTimeout: 'indeterminate',
    ...more,
  };
}

const explained = (given: Given, view?: ReturnType<typeof viewOf>) =>
  explain({ structure: 'users', kind: 'map', options: optionsOf(given), view });

const crash = (explanation: ReturnType<typeof explained>) =>
  explanation.losses.map(({ failure, knob }) => `${knob}: ${failure}`);

describe('the presets', () => {
  it('are the four combinations of the two policies, of which one exists', () => {
    expect(PRESETS.map(({ p, e }) => `${p} ${e}`).sort()).toEqual([
      'available consistent',
      'available latency',
      'consistent consistent',
      'consistent latency',
    ]);
    expect(PRESETS.filter(({ exists }) => exists).map(({ name }) => name)).toEqual([...AVAILABLE_PRESETS]);
    expect(presetOf('PC/EL')?.p).toBe('consistent');
    expect(presetOf('pc/el')).toBeUndefined();
  });
});

describe('the promises', () => {
  it('that hold with the defaults are G1, G2, G9 and G12', () => {
    const { promises } = explained({});
    expect(promises.map(({ id }) => id)).toEqual(Array.from({ length: 12 }, (_, i) => `G${i + 1}`));
    expect(promises.filter(({ holds }) => holds).map(({ id }) => id)).toEqual(['G1', 'G2', 'G9', 'G12']);
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

  it('never include those of presets and features that do not exist', () => {
    for (const given of [{}, { sync: 6 }, { sync: 3, async: 3, minSynced: 3 }]) {
      const { promises } = explained(given, safe);
      for (const id of ['G3', 'G4', 'G5', 'G6', 'G7', 'G8', 'G10', 'G11']) {
        expect(promises.find((promise) => promise.id === id)?.holds).toBe(false);
      }
    }
    expect(explained({}).promises[4]?.because).toContain('ERR_NO_MAJORITY');
  });
});

describe('the losses', () => {
  const always = [
    'consistency: a network split (or a member that is wrongly taken for dead)',
    'none: the end of all members',
  ];
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

  it('name the state of the cluster when it covers less than the options', () => {
    const losses = crash(explained({ minSynced: 1 }, viewOf(1, 1, ['0'])));
    expect(losses).toContain('number of members: 1 crash, as the cluster is now');
    expect(crash(explained({ minSynced: 1 }, viewOf(2, 1, ['0 1'])))).not.toContain(
      'number of members: 1 crash, as the cluster is now',
    );
  });
});

describe('what was measured', () => {
  it('is nothing without a view', () => {
    expect(explained({}).measured).toBeNull();
  });

  it('counts the backups of this structure, not of others', () => {
    const view = viewOf(
      4,
      2,
      ['0 1 2', '1 2 0?', '2 3?', '', '3'],
      ['0 1 2', '1 2 0', '2 3 0', '0 1 2', '3 0 1'],
    );
    expect(explained({ sync: 1, minSynced: 1 }, view).measured).toEqual({
      members: 4,
      crashesAtOnce: 1,
      syncBackupsPossible: 1,
      syncBackupsNow: 0,
      partitionsBelow: 3,
      partitionsLost: 1,
      partitionsRefusing: 3,
    });
    expect(explained({ sync: 2 }, view).measured).toMatchObject({
      syncBackupsPossible: 2,
      partitionsBelow: 4,
    });
  });

  it.each([
    [1, 0],
    [2, 0],
    [3, 1],
    [5, 2],
  ])('of %d members, %d may crash at once', (members, crashes) => {
    expect(explained({}, viewOf(members, 0, ['0'])).measured?.crashesAtOnce).toBe(crashes);
  });
});

describe('the class', () => {
  it.each<[Given, string]>([
    [{}, 'PA/EC: writes wait for 1 sync backup; reads go to the primary; '],
    [{ sync: 2, async: 1 }, 'PA/EC: writes wait for 2 sync backups, 1 async backup follows; reads'],
    [
      { sync: 0, async: 2 },
      'PA/EC: writes answer after the primary alone (backups.sync is 0), 2 async backups follow;',
    ],
  ])('of %j', (given, text) => {
    expect(explained(given).classText).toContain(text);
    expect(explained(given).classText).toContain('serves only the side with the majority');
  });
});
