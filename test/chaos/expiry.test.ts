/** The check of entries that end finds each way in which one can be wrong; seeds find none, and what is planted. */
import { describe, expect, it } from 'vitest';
import { checkExpiry, type ExpiryCall, type ExpiryInput } from '../../chaos/checker/expiring.js';
import { explainResult } from '../../chaos/run.js';
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
});
