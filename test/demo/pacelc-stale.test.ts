/** Which reads count as stale, how old they truly are, and when a told bound was exceeded. */
import { describe, expect, it } from 'vitest';
import { staleReads } from '../../demo/pacelc/stale.js';
import { read, write } from './records.js';

const CUT_MS = 1_000;
const stale = (reads: Parameters<typeof staleReads>[0], writes: Parameters<typeof staleReads>[1]) =>
  staleReads(reads, writes, CUT_MS);

describe('a read', () => {
  const writes = [write(1, 0, 10), write(2, 100, 110), write(3, 200, 210)];

  it('is stale when a newer value had been acknowledged before it began, and its age goes from the first of these', () => {
    const [one, ...more] = stale([read('majority:1', 300)], writes);
    expect(one).toMatchObject({ ageMs: 190, ownAgeMs: 190 });
    expect(more).toEqual([]);
    expect(stale([read('majority:2', 300)], writes)).toMatchObject([{ ageMs: 90 }]);
  });

  it('is not stale when it shows the newest, or a newer one was acknowledged only while it ran', () => {
    expect(stale([read('majority:3', 300), read('majority:2', 205)], writes)).toEqual([]);
  });

  it('is not stale for a write that ran at the same time as the one that it shows', () => {
    const both = [write(1, 0, 50), write(1, 10, 40, { side: 'minority' })];
    expect(stale([read('majority:1', 100), read('minority:1', 100)], both)).toEqual([]);
  });

  it('of an absent key is stale as soon as a value was acknowledged', () => {
    expect(stale([read(null, 5)], writes)).toEqual([]);
    expect(stale([read(null, 30)], writes)).toMatchObject([{ ageMs: 20 }]);
  });

  it('that was refused, or shows a write of unknown outcome, says nothing', () => {
    const unknown = [write(1, 0, 10, { outcome: 'unknown' }), write(2, 100, 110)];
    expect(stale([read('majority:1', 300), read(null, 300, { error: 'TimeoutError' })], unknown)).toEqual([]);
  });

  it('misses nothing that was refused, of another key, or of another map', () => {
    const others = [
      write(1, 0, 10),
      write(2, 20, 30, { outcome: 'refused' }),
      write(3, 20, 30, { key: 'other' }),
      write(4, 20, 30, { preset: 'PC/EC' }),
    ];
    expect(stale([read('majority:1', 300)], others)).toEqual([]);
  });
});

describe('in a split', () => {
  it('a read may miss the other side alone, or its own side too', () => {
    const writes = [
      write(1, 0, 10),
      write(2, 1_100, 1_110, { side: 'minority' }),
      write(3, 1_200, 1_210, { side: 'majority' }),
    ];
    expect(stale([read('majority:1', 1_150)], writes)).toMatchObject([{ ageMs: 40, ownAgeMs: null }]);
    expect(stale([read('majority:1', 1_300)], writes)).toMatchObject([{ ageMs: 190, ownAgeMs: 90 }]);
  });

  it('what a side wrote before the cut may have stayed on the other side', () => {
    const writes = [write(1, 0, 10), write(2, 900, 910)];
    expect(stale([read('majority:1', 1_300)], writes)).toMatchObject([{ ageMs: 390, ownAgeMs: null }]);
  });
});

describe('a bound', () => {
  const el = { preset: 'PA/EL', history: 'aa/1' } as const;
  const writes = [write(1, 0, 10, el), write(2, 100, 110, el)];
  const exceeds = (boundMs: number, history: string) =>
    stale([read('majority:1', 300, { preset: 'PA/EL', history, boundMs })], writes)[0]?.isBeyondBound;

  it('is exceeded when a write of the same history is missing for longer', () => {
    expect(exceeds(100, 'aa/1')).toBe(true);
    expect(exceeds(190, 'aa/1')).toBe(false);
    expect(exceeds(Number.POSITIVE_INFINITY, 'aa/1')).toBe(false);
  });

  it('says under PA nothing of another history', () => {
    expect(exceeds(100, 'bb/7')).toBe(false);
  });

  it('holds under PC for everything', () => {
    const pc = [
      write(1, 0, 10, { preset: 'PC/EL' }),
      write(2, 100, 110, { preset: 'PC/EL', side: 'minority' }),
    ];
    const reads = [100, 190].map((boundMs) => read('majority:1', 300, { preset: 'PC/EL', boundMs }));
    expect(stale(reads, pc).map(({ isBeyondBound }) => isBeyondBound)).toEqual([true, false]);
  });
});
