/** The index of keys of a multimap against a plain sorted list, with ids that come and go in any order. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyIndex } from '../../partitions/services/multimap/key-index.js';
import {
  idOf,
  KIND,
  type Kind,
  pairKey,
  tailOf,
  valueHashOf,
} from '../../partitions/services/multimap/pair.js';
import { Slab } from '../../partitions/store/slab.js';

const KEYS = ['a', 'b'].map((text) => Buffer.from(text));

interface Item {
  readonly id: number;
  readonly kind: Kind;
  readonly valueHash: number;
  readonly tail: Buffer;
}

function itemOf(key: Buffer, id: number): Item {
  const kind = id % 3 === 0 ? KIND.unique : KIND.repeatable;
  const valueHash = id % 5;
  const call = { client: 1, sequence: id, index: 0 };
  const pair = pairKey(key, kind, valueHash, call, {
    ms: id >> 1,
    counter: id & 1,
    memberHi: 1,
    memberLo: 2,
  });
  expect(valueHashOf(pair)).toBe(valueHash);
  return { id, kind, valueHash, tail: Buffer.from(tailOf(pair)) };
}

function check(index: KeyIndex, key: Buffer, items: readonly Item[]): void {
  const ref = index.find(key);
  expect(ref >= 0).toBe(items.length > 0);
  if (ref < 0) return;
  expect(index.count(ref)).toBe(items.length);
  items.forEach(({ tail }, i) => {
    expect(Buffer.compare(index.tail(ref, i), tail)).toBe(0);
    expect(index.rank(ref, idOf(tail))).toBe(i);
  });
  expect(index.rank(ref, Buffer.alloc(18, 0xff))).toBe(items.length);
  const repeatable = items.filter(({ kind }) => kind === KIND.repeatable);
  expect(index.hasRepeatable(ref)).toBe(repeatable.length > 0);
  for (let hash = 0; hash < 5; hash++) {
    const found: number[] = [];
    for (let at = index.nextRepeatable(ref, hash, 0); at >= 0; at = index.nextRepeatable(ref, hash, at + 1))
      found.push((items[at] as Item).id);
    expect(found).toEqual(repeatable.filter(({ valueHash }) => valueHash === hash).map(({ id }) => id));
  }
}

describe('the index of keys', () => {
  it('has the pairs of each key in the order of their ids', () => {
    const step = fc.record({
      key: fc.nat({ max: 1 }),
      id: fc.oneof(fc.nat({ max: 40 }), fc.constant(-1)),
      isRemoval: fc.boolean(),
      /** Which one is removed, of those that are there. */
      pick: fc.oneof(fc.constant(0), fc.nat({ max: 100 })),
    });
    const property = fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (steps) => {
      const slab = new Slab();
      const index = new KeyIndex(slab);
      const lists: Item[][] = KEYS.map(() => []);
      let latest = 1_000;
      for (const { key, id, isRemoval, pick } of steps) {
        const bytes = KEYS[key] as Buffer;
        const items = lists[key] as Item[];
        if (isRemoval && items.length > 0) {
          const [gone] = items.splice(pick % items.length, 1);
          index.remove(bytes, (gone as Item).tail, false);
        } else if (!items.some((item) => item.id === id)) {
          // Most ids are later than all that are there.
          const item = itemOf(bytes, id < 0 ? latest++ : id);
          index.add(bytes, item.tail, false);
          items.push(item);
          items.sort((a, b) => a.id - b.id);
        }
        check(index, bytes, items);
      }
      KEYS.forEach((bytes, i) => {
        check(index, bytes, lists[i] as Item[]);
        for (const { tail } of lists[i] as Item[]) index.remove(bytes, tail, false);
      });
      expect([slab.usedBytes, index.sizeBytes]).toEqual([0, 0]);
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('gives memory back when pairs go, and keeps what it says of the key', () => {
    const index = new KeyIndex(new Slab());
    const key = KEYS[0] as Buffer;
    const items = Array.from({ length: 1_000 }, (_, id) => itemOf(key, id));
    for (const { tail } of items) index.add(key, tail, false);
    index.touch(key, 77);
    const full = index.sizeBytes;
    for (const { tail } of items.slice(0, 950)) index.remove(key, tail, false);
    expect(index.sizeBytes).toBeLessThan(full / 4);
    check(index, key, items.slice(950));
    expect(index.lastSeq(index.find(key))).toBe(77);
    expect(index.touch(KEYS[1] as Buffer, 78)).toBe(false);
  });
});
