/** The check of reads that may be behind finds each way in which one can break its promise. */
import { describe, expect, it } from 'vitest';
import { type BehindInput, checkBehind } from '../../chaos/checker/behind.js';
import { runSplitSwarm } from '../../chaos/split/swarm.js';
import type { BehindCall } from '../../chaos/workload/behind.js';

const place = (seq: number, epoch = 3) => ({ lineage: 7, epoch, seq });

const call = (changes: Partial<BehindCall>): BehindCall => ({
  seen: changes.place === undefined ? place(5) : changes.place,
  session: 'a/1',
  host: 'm1',
  key: 'k',
  partition: 0,
  kind: 'read',
  value: 'new',
  callMs: 100,
  retMs: 101,
  place: place(5),
  source: 'backup',
  side: '00000000-7/3',
  ageMs: 10,
  maxStalenessMs: null,
  code: null,
  ...changes,
});

const old = call({ kind: 'write', value: 'old', source: null, callMs: 10, retMs: 20, place: place(4) });
const write = call({ kind: 'write', value: 'new', source: null, callMs: 50, retMs: 60 });

const check = (calls: readonly BehindCall[], changes: Partial<BehindInput> = {}) =>
  checkBehind({
    calls,
    final: new Map([[0, { seq: 9, history: [{ lineage: 7, epoch: 3, start: 0 }] }]]),
    drift: 0.01,
    isLeased: true,
    isWhole: true,
    ...changes,
  });

describe('the check of reads that may be behind', () => {
  it('accepts what is behind and says so', () => {
    const behind = call({ session: 'b/1', value: 'old', place: place(4), ageMs: 60 });
    expect(check([old, write, call({}), behind])).toEqual([]);
  });

  it.each([
    ['an age beyond what was allowed', [old, write, call({ maxStalenessMs: 9 })], 'older than the 9 ms'],
    ['an older value at a later position', [old, write, call({ value: 'old' })], 'not a prefix'],
    ['an absent value after a write', [write, call({ value: null })], 'not a prefix'],
    [
      'an age that hides a write',
      [old, write, call({ value: 'old', place: place(4), ageMs: 10 })],
      'older than it says',
    ],
    [
      'a session that goes back',
      [old, write, call({}), call({ value: 'old', place: place(4), callMs: 102, ageMs: 90 })],
      'went back',
    ],
    [
      'a session that goes on although what it had seen was lost',
      [call({ place: place(3, 2), seen: place(3, 2) }), call({ place: place(9), callMs: 102 })],
      'went on without a word',
    ],
    [
      'a session lost with nothing',
      [write, call({}), call({ place: null, code: 'ERR_SESSION_LOST' })],
      'lost, although',
    ],
  ])('finds %s', (_name, calls, text) => {
    expect(check(calls as BehindCall[]).join('\n')).toContain(text);
  });

  it('allows a session to be lost with what it had seen', () => {
    const gone = call({ place: place(12) });
    expect(check([gone, call({ place: null, code: 'ERR_SESSION_LOST' })])).toEqual([]);
  });
});

describe('reads that may be behind, under cuts and crashes', () => {
  it.each(['PA/EC', 'PC/EC'] as const)(
    'keep what EL promises beside %s',
    async (preset) => {
      const texts: string[] = [];
      const swarm = await runSplitSwarm({
        wishes: { preset, workloads: ['map-behind'] },
        firstSeed: 1,
        seeds: 20,
        onResult: ({ seed, findings }) => {
          for (const { guarantee, text } of findings) texts.push(`seed ${seed}: ${guarantee}: ${text}`);
        },
      });
      expect(texts.join('\n')).toBe('');
      expect(swarm.reached.counts.get('ok behind/read at a backup')).toBeGreaterThan(0);
    },
    60_000,
  );
});
