/** The check of entries that end finds each way in which one can be wrong; seeds find none, and what is planted. */
import { describe, expect, it } from 'vitest';
import {
  checkExpiry,
  checkRemoved,
  type ExpiryCall,
  type ExpiryInput,
} from '../../chaos/checker/expiring.js';
import { explainResult } from '../../chaos/run.js';
import { explainSplit, runSplitSwarm, splitReplay } from '../../chaos/split/swarm.js';
import { replayCommand, runSeed, runSwarm } from '../../chaos/swarm.js';

const call = (changes: Partial<ExpiryCall>): ExpiryCall => ({
  k: 'ending/a',
  f: 'read',
  callMs: 0,
  retMs: (changes.callMs ?? 0) + 10,
  type: 'ok',
  ...changes,
});
const write = (changes: Partial<ExpiryCall> = {}) => call({ f: 'write', v: 'v', ...changes });
const read = (callMs: number, out: string | null, changes: Partial<ExpiryCall> = {}) =>
  call({ callMs, out, ...changes });
const asked: ExpiryInput['asked'] = new Map([
  ['v', { ttlMs: 100, idleMs: 0 }],
  ['idle', { ttlMs: 0, idleMs: 100 }],
]);
const check = (...calls: ExpiryCall[]) => checkExpiry({ calls, asked, clocksMs: 5 });
const idle = write({ v: 'idle' });

describe('the check of entries that end', () => {
  it('accepts what was promised', () => {
    expect(check(write(), read(50, 'v'), read(110, 'v'), read(120, null))).toEqual([]);
    expect(check(idle, read(90, 'idle'), read(185, 'idle'), read(300, null))).toEqual([]);
    // After a change of the primary, a quarter longer.
    expect(check(idle, read(130, 'idle'))).toEqual([]);
    expect(check(write(), call({ f: 'remove', callMs: 20 }), read(40, null))).toEqual([]);
    expect(
      check(write(), call({ f: 'remove', callMs: 20, retMs: null, type: 'info' }), read(40, null)),
    ).toEqual([]);
    expect(check(write(), read(30, null, { f: 'glance' }))).toEqual([]);
  });

  it.each([
    ['what is shown after its time', [write(), read(116, 'v')], 'for 100 ms'],
    ['that of a glance', [write(), read(116, 'v', { f: 'glance' })], 'for 100 ms'],
    ['what is shown although it was not used', [idle, read(141, 'idle')], 'max idle time'],
    ['what is missing before its time', [write(), read(40, null)], 'gave nothing'],
    ['what is missing although it was used', [idle, read(90, 'idle'), read(150, null)], 'gave nothing'],
    ['what comes back', [idle, read(96, null), read(120, 'idle')], 'which was gone'],
    ['what nobody wrote', [read(5, 'other')], 'nobody wrote'],
  ] as const)('finds %s', (_what, calls, text) => {
    expect(check(...calls).join()).toContain(text);
  });
});

describe('the check of entries that end, by sides', () => {
  const only = (part: 'times' | 'presence', ...calls: ExpiryCall[]) =>
    checkExpiry({ calls, asked, clocksMs: 5, only: part }).join();

  it('looks at times alone where another side may have changed the key', () => {
    expect(only('times', write(), read(40, null), read(60, 'v'))).toBe('');
    expect(only('times', write(), read(116, 'v'))).toContain('for 100 ms');
    expect(only('times', idle, read(141, 'idle'))).toContain('max idle time');
  });

  it('looks at what is there where nobody else could come in', () => {
    expect(only('presence', write(), read(116, 'v'), read(130, null))).toBe('');
    expect(only('presence', read(10, 'of before'))).toBe('');
    expect(only('presence', write(), read(40, null))).toContain('gave nothing');
    expect(only('presence', idle, read(96, null), read(120, 'idle'))).toContain('which was gone');
    const unknown = write({ v: 'v', retMs: null, type: 'info' });
    expect(only('presence', write({ v: 'idle' }), unknown, read(40, null))).toBe('');
  });

  it('finds what a replica has for too long, and nothing else', () => {
    const kept = (value: string, atMs: number) => [{ where: 'm1', value, atMs }];
    const removed = (value: string, atMs: number, ...calls: ExpiryCall[]) =>
      checkRemoved(kept(value, atMs), { calls, asked, clocksMs: 5 }, 1_000).join();
    // Written until 10 for 100 ms, a second for the removal, and what clocks differ by.
    expect(removed('v', 1_115, write())).toBe('');
    expect(removed('v', 1_116, write())).toContain('was over at 110.0');
    expect(removed('idle', 1_140, idle)).toBe('');
    expect(removed('idle', 1_141, idle)).toContain('was over at 135.0');
    expect(removed('idle', 1_141, idle, read(50, 'idle'))).toBe('');
    expect(removed('other', 0)).toContain('nobody wrote');
    const forever = new Map([['v', { ttlMs: 0, idleMs: 0 }]]);
    expect(checkRemoved(kept('v', 1e6), { calls: [write()], asked: forever, clocksMs: 5 }, 1_000)).toEqual(
      [],
    );
  });
});

describe('entries that end', () => {
  it('keep their promises under faults', async () => {
    const result = await runSwarm({ seeds: 12, firstSeed: 1, workload: 'map-expiry' });
    const told = result.failed.map((each) =>
      explainResult(each, replayCommand(each.seed, undefined, 'map-expiry')),
    );
    expect(told.join('\n')).toBe('');
    expect(result.missing).toEqual([]);
  }, 120_000);

  it.each([
    ['neverSwept', /more than a second ago/],
    ['usesUntold', /gave nothing|which was gone/],
    ['clocksApart', /gave nothing|written until/],
  ] as const)(
    'show it when %s is planted',
    async (planted, expected) => {
      const found: string[] = [];
      for (let seed = 1; seed <= 30 && !found.some((text) => expected.test(text)); seed++) {
        const { findings } = await runSeed(seed, { planted }, 1, 'map-expiry');
        found.push(...findings.map(({ text }) => text));
      }
      expect(found.join('\n')).toMatch(expected);
    },
    120_000,
  );

  it.each([
    ['PA/EC', 1, 3],
    ['PC/EC', 1, 2],
  ] as const)(
    'keep their promises in splits under %s, in seeds from %i on, in %i',
    async (preset, firstSeed, seeds) => {
      const wishes = { preset, workloads: ['map-expiry'] } as const;
      const { failed, reached } = await runSplitSwarm({ wishes, firstSeed, seeds });
      expect(failed.map((each) => explainSplit(each, splitReplay(each.seed, wishes))).join('\n\n')).toBe('');
      const states = [
        'value shown',
        'value that had ended',
        'glance at a value',
        'entry removed in the background',
      ];
      expect(reached.missing(states)).toEqual([]);
    },
    60_000,
  );

  it.each([
    ['neverSwept', 'PA/EC', 'entries that ended are removed within a second'],
    ['clocksApart', 'PA/EC', 'entries end at their time'],
  ] as const)(
    'are found in splits by the swarm with the fault %s',
    async (planted, preset, guarantee) => {
      const wishes = { preset, workloads: ['map-expiry'] } as const;
      const { failed } = await runSplitSwarm({ wishes, firstSeed: 1, seeds: 8, planted, maxFailures: 1 });
      expect(failed.flatMap(({ findings }) => findings.map((one) => one.guarantee))).toContain(guarantee);
    },
    60_000,
  );
});
