/** The hash tree of a record store: a function of the contents alone, and honest about memory that changed by itself. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { murmur3 } from '../../partitions/hash.js';
import { type DigestBudget, emptySum, lastHash } from '../../partitions/store/digest.js';
import { REMOVAL, type RecordMeta } from '../../partitions/store/record-layout.js';
import { RecordStore } from '../../partitions/store/record-store.js';
import { Slab } from '../../partitions/store/slab.js';

const META: RecordMeta = {
  ms: 1_700_000_000_000,
  counter: 1,
  memberHi: 2,
  memberLo: 3,
  tombstone: false,
  cause: REMOVAL.removed,
  origin: 0,
  seq: 1,
  createdMs: 1,
  updatedMs: 1,
  expiresMs: 0,
  ttlMs: 0,
  maxIdleMs: 0,
  staleMs: 0,
  accessedMs: 0,
  hits: 0,
};

const plenty = (): DigestBudget => ({ bytes: Number.POSITIVE_INFINITY, records: 0 });

function storeOf(): RecordStore {
  return new RecordStore(new Slab({ blockBytes: 65_536 }));
}

function put(store: RecordStore, id: number, value: string, fields: Partial<RecordMeta> = {}): void {
  const key = Buffer.from(`key-${id}`);
  store.put(murmur3(key), key, Buffer.from(value), { ...META, ...fields });
}

function remove(store: RecordStore, id: number): void {
  const key = Buffer.from(`key-${id}`);
  const ref = store.find(murmur3(key), key);
  if (ref >= 0) store.remove(ref);
}

function nodeOf(store: RecordStore, depth = 0, prefix = 0): string {
  const sum = emptySum();
  expect(store.digest.digestOf(depth, prefix, plenty(), sum)).toBe(true);
  return `${sum.hi >>> 0}.${sum.lo >>> 0}`;
}

/** Straight from the contents. */
function rootFromContents(store: RecordStore): string {
  const sum = emptySum();
  store.sumRange(0, lastHash(0, 0), sum);
  return `${sum.hi >>> 0}.${sum.lo >>> 0}`;
}

const command = fc.record({
  kind: fc.constantFrom('put', 'put', 'put', 'put', 'remove', 'tombstone', 'ask', 'part', 'clear'),
  id: fc.nat({ max: 400 }),
  times: fc.constantFrom(1, 1, 1, 40, 200),
  value: fc.string({ maxLength: 40 }),
  ms: fc.nat({ max: 2 ** 40 }),
});
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

function run(store: RecordStore, { kind, id, times, value, ms }: Command): void {
  for (let i = id; i < id + times; i++) {
    if (kind === 'put') put(store, i, value, { ms });
    else if (kind === 'tombstone') put(store, i, '', { ms, tombstone: true });
    else if (kind === 'remove') remove(store, i);
  }
  if (kind === 'clear' && times > 1) store.clear();
  else if (kind === 'ask') nodeOf(store);
  else if (kind === 'part') store.digest.digestOf(0, 0, { bytes: 1_000, records: 0 }, emptySum());
}

describe('the digest of a record store', () => {
  it('is what the contents say, whatever was asked in between', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), (commands) => {
        const store = storeOf();
        for (const one of commands) run(store, one);
        expect(nodeOf(store)).toBe(rootFromContents(store));
      }),
      { numRuns: 300 },
    );
  });

  it('is equal, node by node, for equal contents that came in another order and through other sizes', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat({ max: 3_000 }), { maxLength: 600 }),
        fc.nat({ max: 2_000 }),
        fc.infiniteStream(fc.integer()),
        (ids, passing, noise) => {
          const [a, b] = [storeOf(), storeOf()];
          nodeOf(b);
          for (const id of ids) put(a, id, `value ${id}`, { seq: 7, hits: 1 });
          for (let i = 0; i < passing; i++) put(b, 10_000 + i, 'passing');
          nodeOf(b);
          const shuffled = ids
            .map((id) => ({ id, at: noise.next().value as number }))
            .sort((x, y) => x.at - y.at);
          for (const { id } of shuffled) put(b, id, `value ${id}`);
          for (let i = 0; i < passing; i++) remove(b, 10_000 + i);
          for (const depth of [0, 1, 3, 6])
            for (let prefix = 0; prefix < 2 ** depth; prefix++)
              expect(nodeOf(b, depth, prefix)).toBe(nodeOf(a, depth, prefix));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('tells apart a value, a version, a removal, and where a key ends', () => {
    const seen = new Set<string>();
    const one = (key: string, value: string, fields: Partial<RecordMeta> = {}) => {
      const store = storeOf();
      const bytes = Buffer.from(key);
      store.put(murmur3(bytes), bytes, Buffer.from(value), { ...META, ...fields });
      seen.add(nodeOf(store));
    };
    one('ab', 'cdef');
    one('abc', 'def');
    one('ab', 'cdeg');
    one('ab', 'cde');
    one('ab', 'cde\0');
    one('ab', '');
    one('ab', '', { tombstone: true });
    one('ab', 'cdef', { ms: META.ms + 1 });
    one('ab', 'cdef', { counter: 2 });
    one('ab', 'cdef', { memberHi: 9 });
    one('ab', 'cdef', { memberLo: 9 });
    expect(seen.size).toBe(11);
  });

  it('changes in one path only, and is computed in steps of the budget', () => {
    const store = storeOf();
    for (let i = 0; i < 5_000; i++) put(store, i, `value ${i}`);
    let steps = 0;
    const sum = emptySum();
    for (let isDone = false; !isDone; steps++) {
      const budget = { bytes: 20_000, records: 0 };
      isDone = store.digest.digestOf(0, 0, budget, sum);
      expect(budget.bytes).toBeGreaterThan(-5_000);
    }
    expect(steps).toBeGreaterThan(10);
    const before = Array.from({ length: 16 }, (_, prefix) => nodeOf(store, 4, prefix));
    put(store, 77, 'another value');
    const budget = plenty();
    store.digest.digestOf(0, 0, budget, sum);
    expect(budget.records).toBeLessThan(64);
    const changed = before.filter((digest, prefix) => nodeOf(store, 4, prefix) !== digest);
    expect(changed).toHaveLength(1);
  });

  it('finds, in a scrub, a bit that fell over, and keeps the digest until the leaf is doubted', () => {
    const store = storeOf();
    for (let i = 0; i < 2_000; i++) put(store, i, `value ${i}`);
    const root = nodeOf(store);
    const faults: number[] = [];
    const scrub = () => store.digest.scrub(0, plenty(), (depth, prefix) => faults.push(depth, prefix));
    expect(scrub()).toBe(-1);
    expect(faults).toEqual([]);
    const key = Buffer.from('key-1234');
    const hash = murmur3(key);
    const value = store.valueOf(store.find(hash, key));
    value[3]! ^= 0x10;
    expect(nodeOf(store)).toBe(root);
    scrub();
    scrub();
    const [depth, prefix] = faults as [number, number];
    expect(faults).toHaveLength(2);
    expect(prefix).toBe(hash >>> (32 - depth));
    expect(store.digest.isFaulty(depth, prefix)).toBe(true);
    expect(nodeOf(store)).toBe(root);
    store.digest.doubt(hash, hash);
    expect(nodeOf(store)).toBe(rootFromContents(store));
    expect(nodeOf(store)).not.toBe(root);
    value[3]! ^= 0x10;
    expect(store.digest.holds(hash, plenty())).toBe(false);
  });
});
