import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REMOVAL, type RecordMeta } from '../../partitions/store/record-layout.js';
import { RecordStore } from '../../partitions/store/record-store.js';
import { Slab } from '../../partitions/store/slab.js';

const MAX_U32 = 0xffffffff;
const NO_LIMIT = { records: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };

function meta(fields: Partial<RecordMeta> = {}): RecordMeta {
  return {
    ms: 1_700_000_000_000,
    counter: 1,
    memberHi: 2,
    memberLo: 3,
    tombstone: false,
    cause: REMOVAL.removed,
    origin: 0,
    seq: 1,
    createdMs: 1_700_000_000_000,
    updatedMs: 1_700_000_000_001,
    expiresMs: 0,
    ttlMs: 0,
    maxIdleMs: 0,
    staleMs: 0,
    accessedMs: 0,
    hits: 0,
    ...fields,
  };
}

function keyOf(id: number): Buffer {
  return Buffer.from(`key-${id}`);
}

/** Bytes that depend on the seed, so that a mix-up of two values of one length shows. */
function bytesOf(length: number, seed: number): Buffer {
  return Buffer.alloc(length, `${seed};`);
}

function idOf(store: RecordStore, ref: number): number {
  return Number(Buffer.from(store.keyOf(ref)).toString().slice(4));
}

/** A fixed spread of 32-bit hashes. */
function mix(n: number): number {
  let x = Math.imul(n + 1, 0x9e3779b1);
  x = Math.imul(x ^ (x >>> 15), 0x85ebca6b);
  return (x ^ (x >>> 13)) >>> 0;
}

function scanAll(store: RecordStore): number[] {
  const refs: number[] = [];
  expect(store.scan(0, NO_LIMIT, (ref) => refs.push(ref))).toBe(-1);
  return refs;
}

const u32 = fc.oneof(fc.constantFrom(0, MAX_U32), fc.integer({ min: 0, max: MAX_U32 }));
const u16 = fc.integer({ min: 0, max: 0xffff });
const timeMs = fc.oneof(fc.constantFrom(0, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1), fc.nat({ max: 2 ** 48 - 1 }));
const anyMeta: fc.Arbitrary<RecordMeta> = fc.record({
  ms: timeMs,
  counter: u16,
  memberHi: u32,
  memberLo: u32,
  tombstone: fc.boolean(),
  cause: fc.constantFrom(...Object.values(REMOVAL)),
  origin: u16,
  seq: fc.oneof(fc.constantFrom(0, 2 ** 32, Number.MAX_SAFE_INTEGER), fc.maxSafeNat()),
  createdMs: timeMs,
  updatedMs: timeMs,
  expiresMs: fc.oneof(fc.constant(0), timeMs),
  ttlMs: fc.oneof(fc.constant(0), timeMs),
  maxIdleMs: fc.constantFrom(0, 0, 5000),
  staleMs: fc.oneof(fc.constant(0), timeMs),
  accessedMs: timeMs,
  hits: u32,
});
/** Only what ends can be kept for longer. */
const someMeta = anyMeta.map((one) => {
  const isExpiring = one.expiresMs > 0 || one.ttlMs > 0 || one.maxIdleMs > 0;
  return isExpiring ? one : { ...one, staleMs: 0 };
});
const valueLength = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom(0, 1, 100) },
  { weight: 10, arbitrary: fc.nat({ max: 400 }) },
  { weight: 2, arbitrary: fc.integer({ min: 60_000, max: 110_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 2 ** 20, max: 3 * 2 ** 20 }) },
);
const command = fc.record({
  kind: fc.constantFrom('put', 'put', 'put', 'put', 'put', 'remove', 'remove', 'reads', 'touch', 'clear'),
  id: fc.nat({ max: 60 }),
  length: valueLength,
  meta: someMeta,
  rare: fc.nat({ max: 9 }),
});
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;
/** From "all hashes are equal" to "hardly any are"; the ends of the range exercise both ends of the table. */
const hashes = fc.oneof(
  fc.array(u32, { minLength: 1, maxLength: 3 }),
  fc.constantFrom<number[]>([MAX_U32], [0], [0, MAX_U32], [MAX_U32 - 1, MAX_U32]),
  fc.array(u32, { minLength: 61, maxLength: 61 }),
);

interface ModelRecord {
  value: Buffer;
  meta: RecordMeta;
}

class Pair {
  readonly slab = new Slab({ blockBytes: 65_536 });
  readonly store = new RecordStore(this.slab);
  readonly model = new Map<number, ModelRecord>();
  readonly #hashes: number[];

  constructor(hashSpace: number[]) {
    this.#hashes = hashSpace;
  }

  hash(id: number): number {
    return this.#hashes[id % this.#hashes.length]!;
  }

  find(id: number): number {
    return this.store.find(this.hash(id), keyOf(id));
  }

  apply(c: Command, seed: number): void {
    const record = this.model.get(c.id);
    const ref = this.find(c.id);
    expect(ref >= 0).toBe(record !== undefined);
    if (c.kind === 'put') {
      const value = bytesOf(c.length, seed);
      const put = this.store.put(this.hash(c.id), keyOf(c.id), value, c.meta);
      expect(put).toBe(this.find(c.id));
      this.model.set(c.id, { value, meta: { ...c.meta } });
    } else if (c.kind === 'clear' && c.rare === 0) {
      this.store.clear();
      this.model.clear();
      expect(this.slab.usedBytes).toBe(0);
    } else if (record !== undefined && c.kind === 'remove') {
      this.store.remove(ref);
      this.model.delete(c.id);
    } else if (record !== undefined && c.kind === 'touch') {
      this.store.touch(ref, c.meta.accessedMs);
      record.meta.hits = Math.min(record.meta.hits + 1, MAX_U32);
      record.meta.accessedMs = c.meta.accessedMs;
    } else if (record !== undefined && c.kind === 'reads' && this.store.mayExpire(ref)) {
      const { accessedMs, hits } = c.meta;
      this.store.noteReads(ref, accessedMs, hits);
      Object.assign(record.meta, { accessedMs, hits });
      expect(this.store.toldMs(ref)).toBe(Math.max(accessedMs, record.meta.updatedMs));
    }
  }

  check(): void {
    const { store, model } = this;
    const tombstones = [...model.values()].filter((record) => record.meta.tombstone).length;
    expect(store.tombstoneCount).toBe(tombstones);
    expect(store.liveCount).toBe(model.size - tombstones);
    let sizeBytes = 0;
    let liveBytes = 0;
    for (const [id, { value, meta: expected }] of model) {
      const ref = this.find(id);
      expect(store.metaOf(ref)).toEqual(expected);
      expect(Buffer.compare(store.valueOf(ref), value)).toBe(0);
      expect(idOf(store, ref)).toBe(id);
      this.#checkReaders(ref, id, value, expected);
      sizeBytes += store.headerBytes(ref) + keyOf(id).length + value.length;
      if (!expected.tombstone) liveBytes += store.recordBytes(ref);
    }
    expect([store.sizeBytes, store.liveBytes]).toEqual([sizeBytes, liveBytes]);
    expect(this.slab.usedBytes).toBeGreaterThanOrEqual(sizeBytes);
    const refs = scanAll(store);
    const ids = refs.map((ref) => idOf(store, ref));
    expect([...ids].sort((a, b) => a - b)).toEqual([...model.keys()].sort((a, b) => a - b));
    const order = refs.map((ref) => store.hashOf(ref));
    expect(order).toEqual([...order].sort((a, b) => a - b));
  }

  #checkReaders(ref: number, id: number, value: Buffer, expected: RecordMeta): void {
    const { store } = this;
    expect([store.hashOf(ref), store.isTombstone(ref), store.seqOf(ref), store.versionMs(ref)]).toEqual([
      this.hash(id),
      expected.tombstone,
      expected.seq,
      expected.ms,
    ]);
    expect([store.expiresMs(ref), store.ttlMs(ref), store.maxIdleMs(ref)]).toEqual([
      expected.expiresMs,
      expected.ttlMs,
      expected.maxIdleMs,
    ]);
    expect([store.accessedMs(ref), store.hits(ref), store.keyBytes(ref), store.valueBytes(ref)]).toEqual([
      expected.accessedMs,
      expected.hits,
      keyOf(id).length,
      value.length,
    ]);
    expect(store.compareVersion(ref, expected)).toBe(0);
  }
}

describe('RecordStore as a map', () => {
  it('agrees with a plain Map after any sequence of operations', () => {
    fc.assert(
      fc.property(hashes, fc.array(command, { maxLength: 150, size: 'max' }), (hashSpace, commands) => {
        const pair = new Pair(hashSpace);
        commands.forEach((c, i) => {
          pair.apply(c, i);
          if (i % 16 === 0) pair.check();
        });
        pair.check();
        pair.store.clear();
        expect(pair.slab.usedBytes).toBe(0);
        expect(pair.store.sizeBytes).toBe(0);
        expect(scanAll(pair.store)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('keeps thousands of records of one hash apart, at both ends and in the middle of the table', () => {
    const slab = new Slab();
    const store = new RecordStore(slab);
    const count = 900;
    for (const hash of [0, 0x7fffffff, MAX_U32]) {
      for (let id = 0; id < count; id++) store.put(hash, keyOf(id), bytesOf(id % 50, id), meta());
    }
    expect(store.liveCount).toBe(3 * count);
    for (let i = 0; i < count; i++) {
      const id = (i * 7) % count;
      for (const hash of [MAX_U32, 0, 0x7fffffff]) {
        const ref = store.find(hash, keyOf(id));
        expect(Buffer.compare(store.valueOf(ref), bytesOf(id % 50, id))).toBe(0);
        store.remove(ref);
        expect(store.find(hash, keyOf(id))).toBe(-1);
      }
    }
    expect([store.liveCount, store.sizeBytes, slab.usedBytes, store.indexBytes]).toEqual([0, 0, 0, 0]);
  });

  it('grows and shrinks its table with the number of records, and shares one slab with other stores', () => {
    const slab = new Slab();
    const [a, b] = [new RecordStore(slab), new RecordStore(slab)];
    for (let id = 0; id < 20_000; id++) {
      a.put(mix(id), keyOf(id), bytesOf(8, id), meta());
      if (id < 100) b.put(mix(id), keyOf(id), bytesOf(9, id + 1), meta());
    }
    expect(a.indexBytes).toBeLessThan(20_000 * 20);
    for (let id = 100; id < 20_000; id++) a.remove(a.find(mix(id), keyOf(id)));
    expect(a.indexBytes).toBeLessThan(100 * 48);
    a.clear();
    expect([a.indexBytes, a.liveCount, b.liveCount]).toEqual([0, 0, 100]);
    for (let id = 0; id < 100; id++) {
      expect(Buffer.compare(b.valueOf(b.find(mix(id), keyOf(id))), bytesOf(9, id + 1))).toBe(0);
    }
  });

  it('tells keys apart that have equal hashes and share a prefix, short and long', () => {
    const store = new RecordStore(new Slab());
    const keys = [0, 1, 2, 47, 48, 49, 1000, 70_000].map((length) => Buffer.alloc(length, 'a'));
    const twins = keys.slice(1).map((key) => Buffer.from(key).fill('b', key.length - 1));
    const all = [...keys, ...twins];
    all.forEach((key, i) => {
      store.put(5, key, bytesOf(10, i), meta());
    });
    all.forEach((key, i) => {
      expect(Buffer.compare(store.valueOf(store.find(5, key)), bytesOf(10, i))).toBe(0);
    });
    expect(store.liveCount).toBe(all.length);
  });
});

describe('RecordStore refs and fields', () => {
  it('overwrites in place when the new record fits the cell', () => {
    const store = new RecordStore(new Slab());
    const ref = store.put(1, keyOf(1), bytesOf(100, 1), meta());
    expect(store.put(1, keyOf(1), bytesOf(101, 2), meta({ seq: 2 }))).toBe(ref);
    expect(store.seqOf(ref)).toBe(2);
    expect(store.put(1, keyOf(1), bytesOf(300, 3), meta())).not.toBe(ref);
    expect(store.liveCount).toBe(1);
  });

  it('accepts views of its own slab as key and value', () => {
    for (const length of [20, 100, 5000, 100_000]) {
      const store = new RecordStore(new Slab());
      let ref = store.put(9, keyOf(1), bytesOf(length, 42), meta());
      ref = store.put(9, store.keyOf(ref), store.valueOf(ref), meta({ seq: 7, ttlMs: 5 }));
      expect([store.seqOf(ref), store.ttlMs(ref), idOf(store, ref)]).toEqual([7, 5, 1]);
      expect(Buffer.compare(store.valueOf(ref), bytesOf(length, 42))).toBe(0);
      ref = store.put(9, store.keyOf(ref), store.valueOf(ref).subarray(3), meta({ ttlMs: 5 }));
      expect(Buffer.compare(store.valueOf(ref), bytesOf(length, 42).subarray(3))).toBe(0);
      const other = store.put(10, keyOf(2), store.valueOf(ref), meta());
      expect(Buffer.compare(store.valueOf(other), bytesOf(length, 42).subarray(3))).toBe(0);
    }
  });

  it('moves a record to the longer header when it gets an expiry', () => {
    const store = new RecordStore(new Slab());
    store.put(1, keyOf(1), bytesOf(100, 1), meta({ hits: 4 }));
    const expiry = { expiresMs: 10, ttlMs: 20, maxIdleMs: 30, staleMs: 40 };
    const moved = store.put(1, keyOf(1), bytesOf(100, 1), meta({ hits: 4, ...expiry }));
    expect(moved).toBe(store.find(1, keyOf(1)));
    expect(store.metaOf(moved)).toEqual(meta({ hits: 4, ...expiry }));
    expect([store.mayExpire(moved), store.liveCount]).toEqual([true, 1]);
  });

  it('saturates endless expiries and the hit counter', () => {
    const store = new RecordStore(new Slab());
    const ref = store.put(
      1,
      keyOf(1),
      bytesOf(1, 1),
      meta({ ttlMs: Number.POSITIVE_INFINITY, hits: 2 ** 40 }),
    );
    expect(store.ttlMs(ref)).toBe(2 ** 48 - 1);
    expect(store.hits(ref)).toBe(MAX_U32);
    store.touch(ref, 77);
    expect([store.hits(ref), store.accessedMs(ref)]).toEqual([MAX_U32, 77]);
  });

  it('orders versions by time, counter and member', () => {
    const part = fc.record({ ms: timeMs, counter: u16, memberHi: u32, memberLo: u32 });
    const close = fc.record({
      ms: fc.constantFrom(2 ** 32, 2 ** 32 + 1),
      counter: fc.constantFrom(0, 0xffff),
      memberHi: fc.constantFrom(0, MAX_U32),
      memberLo: fc.constantFrom(0, MAX_U32),
    });
    const version = fc.oneof(part, close);
    const store = new RecordStore(new Slab());
    fc.assert(
      fc.property(version, version, (a, b) => {
        const ref = store.put(1, keyOf(1), bytesOf(1, 1), meta(a));
        const differences = [
          a.ms - b.ms,
          a.counter - b.counter,
          a.memberHi - b.memberHi,
          a.memberLo - b.memberLo,
        ];
        expect(store.compareVersion(ref, b)).toBe(Math.sign(differences.find((d) => d !== 0) ?? 0));
      }),
    );
  });
});

describe('RecordStore scan', () => {
  it('continues on a replica with another table size and insertion order, without a miss or a repeat', () => {
    const narrow = fc.array(
      fc.integer({ min: 0, max: 300 }).map((n) => (n * 14_316_557) >>> 0),
      { maxLength: 400, size: 'max' },
    );
    const wide = fc.array(u32, { maxLength: 400, size: 'max' });
    fc.assert(
      fc.property(fc.oneof(narrow, wide), fc.integer({ min: 1, max: 40 }), u32, (hashList, records, seed) => {
        const stores = [new RecordStore(new Slab()), new RecordStore(new Slab())] as const;
        hashList.forEach((hash, id) => {
          stores[0].put(hash, keyOf(id), bytesOf(id % 90, id), meta());
        });
        // The second one is much larger for a while, and shrinks again to a table of another size.
        const extra = (seed % 7) * 100;
        for (let id = 0; id < extra; id++)
          stores[1].put(mix(id + seed), keyOf(1e6 + id), bytesOf(1, 1), meta());
        for (let id = hashList.length - 1; id >= 0; id--) {
          stores[1].put(hashList[id]!, keyOf(id), bytesOf(id % 90, id), meta());
        }
        for (let id = 0; id < extra; id++) stores[1].remove(stores[1].find(mix(id + seed), keyOf(1e6 + id)));
        const seen: number[] = [];
        let cursor = 0;
        for (let page = seed; cursor >= 0; page = mix(page)) {
          const store = stores[page & 1]!;
          cursor = store.scan(cursor, { records, bytes: NO_LIMIT.bytes }, (ref) =>
            seen.push(idOf(store, ref)),
          );
        }
        expect(seen.sort((a, b) => a - b)).toEqual(hashList.map((_, id) => id));
      }),
      { numRuns: 60 },
    );
  });

  it('visits what stays exactly once while the table grows and shrinks between pages', () => {
    fc.assert(
      fc.property(u32, fc.integer({ min: 1, max: 60 }), fc.constantFrom(0, 20), (seed, records, crowding) => {
        const store = new RecordStore(new Slab({ blockBytes: 65_536 }));
        const hashOf = (id: number) => ((mix(id + seed) >>> crowding) << crowding) >>> 0;
        const stays = 500;
        for (let id = 0; id < stays; id++) store.put(hashOf(id), keyOf(id), bytesOf(30, id), meta());
        const visits = new Map<number, number>();
        let guests = 0;
        let cursor = 0;
        for (let page = 0; cursor >= 0; page++) {
          cursor = store.scan(cursor, { records, bytes: NO_LIMIT.bytes }, (ref) => {
            const id = idOf(store, ref);
            visits.set(id, (visits.get(id) ?? 0) + 1);
          });
          const wanted = page % 2 === 0 ? mix(page + seed) % 1500 : 0;
          for (; guests < wanted; guests++) {
            store.put(hashOf(stays + guests), keyOf(stays + guests), bytesOf(1, 1), meta());
          }
          for (; guests > wanted; guests--) {
            store.remove(store.find(hashOf(stays + guests - 1), keyOf(stays + guests - 1)));
          }
          const moved = mix(page) % stays;
          store.put(hashOf(moved), keyOf(moved), bytesOf(mix(page) % 500, page), meta());
        }
        for (let id = 0; id < stays; id++) expect(visits.get(id)).toBe(1);
        for (const count of visits.values()) expect(count).toBe(1);
      }),
      { numRuns: 15 },
    );
  });

  it('finishes the hash at which a limit of the page is reached, and at least one', () => {
    const store = new RecordStore(new Slab());
    for (let id = 0; id < 30; id++) store.put(Math.floor(id / 10) * 1000, keyOf(id), bytesOf(40, id), meta());
    const page = (from: number, records: number, bytes: number) => {
      let visited = 0;
      const next = store.scan(from, { records, bytes }, () => visited++);
      return { visited, next };
    };
    expect(page(0, 1, NO_LIMIT.bytes)).toEqual({ visited: 10, next: 1 });
    expect(page(1, 11, NO_LIMIT.bytes)).toEqual({ visited: 20, next: -1 });
    expect(page(0, 100, 1)).toEqual({ visited: 10, next: 1 });
    expect(page(0, 0, 0)).toEqual({ visited: 10, next: 1 });
    expect(page(1001, 0, 0)).toEqual({ visited: 10, next: -1 });
    expect(page(2001, 10, 10)).toEqual({ visited: 0, next: -1 });
  });

  it('ends at the highest hash instead of starting over', () => {
    const store = new RecordStore(new Slab());
    for (let id = 0; id < 5; id++) store.put(MAX_U32, keyOf(id), bytesOf(4, id), meta());
    store.put(MAX_U32 - 1, keyOf(9), bytesOf(4, 9), meta());
    const next = store.scan(0, { records: 1, bytes: 1 }, () => undefined);
    expect(next).toBe(MAX_U32);
    let visited = 0;
    expect(store.scan(next, { records: 1, bytes: 1 }, () => visited++)).toBe(-1);
    expect(visited).toBe(5);
  });

  it('refuses a visitor that changes the store', () => {
    const store = new RecordStore(new Slab());
    for (let id = 0; id < 5; id++) store.put(mix(id), keyOf(id), bytesOf(4, id), meta());
    expect(() => store.scan(0, NO_LIMIT, (ref) => store.remove(ref))).toThrow(/visitor/);
    expect(store.liveCount).toBe(4);
  });
});
