/** The check of multimaps under splits finds each way in which one can break its promise. */
import { describe, expect, it } from 'vitest';
import type { HistoryOperation } from '../../chaos/checker/history.js';
import { checkPairs, type PairsInput } from '../../chaos/checker/pairs.js';
import { explainSplit, runSplitSwarm } from '../../chaos/split/swarm.js';

const K = 'tags/t0';

/** Times are in milliseconds. */
function op(
  f: string,
  v: string | undefined,
  out: unknown,
  call: number,
  changes: Partial<HistoryOperation> = {},
): HistoryOperation {
  return {
    c: 0,
    k: K,
    f,
    ...(v === undefined ? {} : { v }),
    call: call * 1e6,
    ret: (call + 5) * 1e6,
    type: 'ok',
    out,
    ...changes,
  };
}

const INFO = { type: 'info', ret: null } as const;
const put = (v: string, call: number, out: unknown = true) => op('put', v, out, call);
const remove = (v: string, call: number, out: unknown = true) => op('remove', v, out, call);

function kinds(history: HistoryOperation[], found: string[], changes: Partial<PairsInput> = {}): string[] {
  const problems = checkPairs({
    history,
    found: new Map(found.length === 0 ? [] : [[K, found]]),
    reported: new Set(),
    isShared: (value) => value.startsWith('shared'),
    isConsistent: false,
    ...changes,
  });
  return problems.map(({ kind }) => kind);
}

const consistent = { isConsistent: true };

describe('the check of pairs', () => {
  it.each<[string, HistoryOperation[], string[], Partial<PairsInput>]>([
    ['what was put and is there', [put('a', 1)], ['a'], {}],
    ['what was removed and is gone', [put('a', 1), remove('a', 10)], [], consistent],
    ['a put of unknown outcome', [op('put', 'a', undefined, 1, INFO)], [], {}],
    ['a put of unknown outcome that took effect', [op('put', 'a', undefined, 1, INFO)], ['a'], {}],
    [
      'what a removal of unknown outcome may have taken',
      [put('a', 1), op('remove', 'a', undefined, 9, INFO)],
      [],
      {},
    ],
    [
      'what a removal of all may have taken',
      [put('a', 1), op('removeAll', undefined, { after: null }, 9)],
      [],
      {},
    ],
    ['what a removal of all took', [put('a', 1), op('removeAll', undefined, ['a'], 9)], [], consistent],
    ['a removal that found nothing', [put('a', 1), remove('a', 9, false)], ['a'], {}],
    ['a loss that was reported', [put('a', 1)], [], { reported: new Set([K]) }],
    ['removals on two sides', [put('a', 1), remove('a', 9), remove('a', 20)], [], {}],
    [
      'a shared value that comes and goes',
      [put('shared', 1), remove('shared', 9), put('shared', 8)],
      ['shared'],
      {},
    ],
    ['a read of the other side', [put('a', 1), op('get', undefined, [], 20)], ['a'], {}],
  ])('accepts %s', (_what, history, found, changes) => {
    expect(kinds(history, found, changes)).toEqual([]);
  });

  it.each<[string, string, HistoryOperation[], string[], Partial<PairsInput>]>([
    ['lost', 'a pair that nobody removed', [put('a', 1)], [], {}],
    ['lost', 'a pair that a removal did not find', [put('a', 1), remove('a', 9, false)], [], {}],
    [
      'lost',
      'a shared pair that was put after all removals',
      [put('shared', 1), remove('shared', 9), put('shared', 20)],
      [],
      {},
    ],
    ['back', 'a pair whose removal was acknowledged', [put('a', 1), remove('a', 10)], ['a'], {}],
    [
      'back',
      'a pair that a removal of all gave',
      [put('a', 1), op('removeAll', undefined, ['a'], 9)],
      ['a'],
      {},
    ],
    ['back', 'a pair that was removed twice', [put('a', 1), remove('a', 9), remove('a', 20)], [], consistent],
    ['undone', 'a pair whose put was refused', [op('put', 'a', undefined, 1, { type: 'fail' })], ['a'], {}],
    ['twice', 'a pair that the set has twice', [put('a', 1)], ['a', 'a'], {}],
    ['twice', 'a first put that found its pair', [put('a', 1, false)], ['a'], {}],
    ['strange', 'a pair that nobody put', [put('a', 1)], ['a', 'b'], {}],
    ['strange', 'a key that nobody touched', [], ['b'], {}],
    [
      'stale',
      'a read after the removal',
      [put('a', 1), remove('a', 9), op('get', undefined, ['a'], 20)],
      [],
      consistent,
    ],
    [
      'stale',
      'a read before the put had ended',
      [put('a', 1), op('get', undefined, [], 20)],
      ['a'],
      consistent,
    ],
  ])('finds %s: %s', (kind, _what, history, found, changes) => {
    expect(kinds(history, found, changes)).toEqual([kind]);
  });
});

describe('multimaps under splits', () => {
  it.each(['PA/EC', 'PC/EC'] as const)(
    'keep what %s promises, with cuts, crashes and pauses',
    async (preset) => {
      const { failed, reached } = await runSplitSwarm({
        firstSeed: 301,
        seeds: 4,
        wishes: { preset, workloads: ['multimap'] },
      });
      expect(failed.map((result) => explainSplit(result, '')).join('\n')).toBe('');
      for (const state of ['ok tags/put', 'ok tags/remove', 'ok tags/removeAll', 'ok tags/get', 'cut'])
        expect(reached.counts.get(state) ?? 0, state).toBeGreaterThan(0);
    },
    60_000,
  );

  it.each([91026, 91305])(
    'keep a removal of a pair that two sides put for one call (seed %d)',
    async (seed) => {
      const wishes = { preset: 'PA/EC', workloads: ['multimap'] } as const;
      const { failed } = await runSplitSwarm({ firstSeed: seed, seeds: 1, wishes });
      expect(failed.map((result) => explainSplit(result, '')).join('\n')).toBe('');
    },
    60_000,
  );
});
