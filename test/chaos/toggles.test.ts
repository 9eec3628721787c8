/** Runs with presets that change: the windows in which they are judged, and that the checks can fail. */
import { describe, expect, it } from 'vitest';
import type { HistoryOperation } from '../../chaos/checker/history.js';
import { checkWindows, windowOf } from '../../chaos/checker/windows.js';
import { runSeed } from '../../chaos/swarm.js';

const WINDOW = { fromNs: 100, toNs: 200 };

function op(
  f: string,
  call: number,
  ret: number | null,
  rest: Partial<HistoryOperation> = {},
): HistoryOperation {
  return { c: 1, k: 'k', f, call, ret, type: ret === null ? 'info' : 'ok', ...rest };
}

function verdict(...history: HistoryOperation[]): string {
  return checkWindows(history, [WINDOW], 10_000).failures[0]?.result.verdict ?? 'ok';
}

describe('a window of a history', () => {
  it('takes what began and ended inside, and what else may take effect there', () => {
    const history = [
      op('write', 10, 20, { v: 'before' }),
      op('write', 90, 110, { v: 'into' }),
      op('read', 90, 110, { out: 'x' }),
      op('write', 50, null, { v: 'open' }),
      op('write', 120, 130, { v: 'inside' }),
      op('write', 190, 210, { v: 'out of' }),
      op('write', 200, 220, { v: 'after' }),
      op('write', 120, 130, { v: 'refused', type: 'fail' }),
    ];
    const { operations, inside } = windowOf(history, WINDOW);
    expect(inside).toBe(1);
    expect(operations.map(({ v, type }) => `${String(v)} ${type}`)).toEqual([
      'into info',
      'open info',
      'inside ok',
      'out of info',
    ]);
  });

  it('begins with any value, which the first answer tells', () => {
    expect(verdict(op('read', 110, 120, { out: 'a' }), op('read', 130, 140, { out: 'a' }))).toBe('ok');
    expect(verdict(op('read', 110, 120, { out: 'a' }), op('read', 130, 140, { out: 'b' }))).toBe('illegal');
    const late = op('write', 90, null, { v: 'b' });
    expect(verdict(late, op('read', 110, 120, { out: 'a' }), op('read', 130, 140, { out: 'b' }))).toBe('ok');
    const reads = [op('read', 110, 130, { out: 'new' }), op('read', 110, 130, { out: 'old' })];
    expect(verdict(op('write', 105, 150, { v: 'new' }), ...reads)).toBe('ok');
  });

  it('finds a read of what an acknowledged write has replaced', () => {
    const write = op('write', 110, 120, { v: 'new' });
    expect(verdict(write, op('read', 130, 140, { out: 'old' }))).toBe('illegal');
    expect(verdict(op('read', 130, 140, { out: 'old' }), op('write', 135, 150, { v: 'new' }))).toBe('ok');
  });

  it.each([
    ['putIfAbsent that found nothing', op('putIfAbsent', 110, 120, { v: 'n', out: null }), 'n'],
    ['putIfAbsent that found something', op('putIfAbsent', 110, 120, { v: 'n', out: 'o' }), 'o'],
    ['replace that found nothing', op('replace', 110, 120, { v: 'n', out: null }), null],
    ['replace that found something', op('replace', 110, 120, { v: 'n', out: 'o' }), 'n'],
    ['cas that changed something', op('cas', 110, 120, { from: 'o', to: 'n', out: true }), 'n'],
    ['remove', op('remove', 110, 120, { out: 'o' }), null],
    ['contains that found nothing', op('contains', 110, 120, { out: false }), null],
    ['removeIfSame that removed', op('removeIfSame', 110, 120, { from: 'o', out: true }), null],
  ])('knows what is there after a %s', (_name, first, there) => {
    expect(verdict(first, op('read', 130, 140, { out: there }))).toBe('ok');
    expect(verdict(first, op('read', 130, 140, { out: 'other' }))).toBe('illegal');
  });
});

describe('presets that change under load', () => {
  it('hold what they promise from the return of a change on', async () => {
    for (const seed of [7, 8]) {
      const { findings, reached } = await runSeed(seed, {}, 1, 'map-toggle');
      expect(findings, `seed ${seed}`).toEqual([]);
      expect(reached.missing(['window of a strict preset', 'call judged in a window'])).toEqual([]);
    }
  }, 60_000);

  it.each([
    ['toggleAnswersEarly', 7],
    ['toggleUncommitted', 28],
  ] as const)(
    'are found to break it with %s, by seed %i',
    async (planted, seed) => {
      const { findings } = await runSeed(seed, { planted }, 1, 'map-toggle');
      expect(findings.map(({ guarantee }) => guarantee)).toContain(
        'G2 no acknowledged write is lost while the preset is strict',
      );
    },
    60_000,
  );
});
