/** Which ranges of hashes a map has forgotten writes in, and that replicas agree at least on those. */
import { describe, expect, it } from 'vitest';
import { boundsOf, Forgotten, RANGES } from '../../partitions/services/map/forgotten.js';
import { Reader, Writer } from '../../src/base/bytes.js';

describe('forgotten writes', () => {
  it('are known by range and last position', () => {
    const forgotten = new Forgotten();
    expect([forgotten.isOn, forgotten.sizeBytes, forgotten.beyond(0)]).toEqual([false, 0, []]);
    forgotten.begin();
    expect([forgotten.isOn, forgotten.sizeBytes]).toEqual([true, 0]);
    forgotten.note(0, 5);
    forgotten.note(0xffffffff, 9);
    forgotten.note(0xff000000, 7);
    forgotten.note(3, 2);
    expect([0, 4, 5, 8, 9].map((seq) => forgotten.beyond(seq))).toEqual([
      [0, 255],
      [0, 255],
      [255],
      [255],
      [],
    ]);
    forgotten.clear();
    expect([forgotten.isOn, forgotten.beyond(0)]).toEqual([false, []]);
  });

  it('cover all hashes', () => {
    const bounds = Array.from({ length: RANGES }, (_, range) => boundsOf(range));
    expect(bounds[0]?.[0]).toBe(0);
    expect(bounds.at(-1)?.[1]).toBe(2 ** 32 - 1);
    for (const [i, [first]] of bounds.entries()) if (i > 0) expect(first).toBe((bounds[i - 1]?.[1] ?? 0) + 1);
  });

  it('are all there in a copy, beside what came meanwhile', () => {
    const [from, to] = [new Forgotten(), new Forgotten()];
    from.note(1 << 24, 5);
    from.note(2 << 24, 8);
    to.note(2 << 24, 9);
    to.note(3 << 24, 10);
    const out = new Writer();
    from.copy(out);
    const input = new Reader(out.toBytes());
    to.paste(input);
    expect(input.remaining).toBe(0);
    expect([0, 5, 8, 9].map((seq) => to.beyond(seq))).toEqual([[1, 2, 3], [2, 3], [2, 3], [3]]);
  });
});
