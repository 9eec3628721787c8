/** The service side of the multimap: the contract of structures for both types, what replies wait for, and bounds. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_PAGE_VALUES, MULTI_MAP_OPERATIONS as ops } from '../../partitions/services/multimap/ops.js';
import { ID_BYTES } from '../../partitions/services/multimap/pair.js';
import { MULTI_MAP } from '../../partitions/services/multimap/proxy.js';
import { ProtocolError, ValueTooLargeError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { ReplyOf } from '../../src/wire/message.js';
import { type Arbitraries, serviceContract } from '../contract/service.contract.js';
import { Primary, Replica, START_MS } from './partition-harness.js';

const key = fc.integer({ min: 0, max: 4 }).map((n) => encodeKey(`key-${n}`));
const value = fc.oneof(
  fc.constantFrom('a', 'b', '').map((text) => Buffer.from(text)),
  fc.integer({ min: 0, max: 300 }).map((size) => Buffer.alloc(size, `${size};`)),
);
const few = fc.constantFrom('a', 'b', 'c').map((text) => Buffer.from(text));
const cursor = fc.constantFrom(0, 0, 0x8000_0000, 0xffff_ffff);
const after = fc.constantFrom(null, null, Buffer.alloc(ID_BYTES, 0x42), Buffer.alloc(ID_BYTES, 0xff));
const upTo = fc.constantFrom(0, 0, 5);
const pair = fc.record({ key, value: fc.oneof(few, value) });

const arbitraries: Arbitraries<typeof ops> = {
  put: pair,
  putAll: fc.record({ pairs: fc.array(pair, { maxLength: 5 }) }),
  get: fc.record({ key, after }),
  remove: fc.record({ key, value: few }),
  removeAll: fc.record({ key, after, upTo, withValues: fc.boolean() }),
  containsKey: fc.record({ key }),
  containsEntry: pair,
  valueCount: fc.record({ key }),
  size: fc.constant({}),
  containsValue: fc.record({ value, cursor }),
  scan: fc.record({
    cursor,
    what: fc.constantFrom('keys' as const, 'values' as const, 'entries' as const),
    maxBytes: fc.nat({ max: 500 }),
  }),
  clear: fc.record({ cursor, upTo }),
  lock: fc.record({
    key,
    token: fc.constantFrom(1, 2),
    waitMs: fc.constant(0),
    leaseMs: fc.constantFrom(0, 30_000),
  }),
  unlock: fc.record({
    key,
    token: fc.constantFrom(0, 1, 2),
    fence: fc.constantFrom(null, { epoch: 1, seq: 3 }),
  }),
  forceUnlock: fc.record({ key }),
  isLocked: fc.record({ key }),
};

serviceContract(MULTI_MAP, ops, arbitraries);

describe('as lists', () => {
  serviceContract(MULTI_MAP, ops, arbitraries, MULTI_MAP.options.parse({ valueCollectionType: 'LIST' }));
});

const k = (n: number | string) => encodeKey(`key-${n}`);
const v = (text: string) => Buffer.from(text);

function start(valueCollectionType: 'SET' | 'LIST' = 'SET'): Primary {
  const primary = new Primary(MULTI_MAP.service);
  primary.options = MULTI_MAP.options.parse({ valueCollectionType });
  return primary;
}

const put = (primary: Primary, key: Uint8Array, value: string) =>
  primary.run(ops.put, { key, value: v(value) });

function valuesOf(primary: Primary, key: Uint8Array): string[] {
  const found: string[] = [];
  let after: Uint8Array | null = null;
  do {
    const reply = primary.run(ops.get, { key, after }).reply as ReplyOf<typeof ops.get>;
    found.push(...reply.values.map((value) => Buffer.from(value).toString()));
    after = reply.next;
  } while (after !== null);
  return found;
}

describe('a SET', () => {
  it('takes a value once, and tells so', () => {
    const primary = start();
    expect([
      put(primary, k(1), 'a').reply,
      put(primary, k(1), 'a').reply,
      put(primary, k(2), 'a').reply,
    ]).toEqual([{ added: true }, { added: false }, { added: true }]);
    expect([valuesOf(primary, k(1)), primary.state.entryCount, primary.seq]).toEqual([['a'], 2, 2]);
  });

  it('takes a value of one request once', () => {
    const primary = start();
    const pairs = ['a', 'b', 'a', 'c', 'b'].map((text) => ({ key: k(1), value: v(text) }));
    primary.run(ops.putAll, { pairs });
    expect(valuesOf(primary, k(1))).toEqual(['a', 'b', 'c']);
  });
});

describe('a LIST', () => {
  it('keeps equal values in the order in which they were put, and removes the first', () => {
    const primary = start('LIST');
    for (const text of ['a', 'b', 'a', 'c', 'a']) put(primary, k(1), text);
    expect(valuesOf(primary, k(1))).toEqual(['a', 'b', 'a', 'c', 'a']);
    expect(primary.run(ops.remove, { key: k(1), value: v('a') }).reply).toEqual({ removed: true });
    expect(valuesOf(primary, k(1))).toEqual(['b', 'a', 'c', 'a']);
    expect(primary.run(ops.remove, { key: k(1), value: v('x') }).reply).toEqual({ removed: false });
    expect(primary.run(ops.valueCount, { key: k(1) }).reply).toEqual({ values: 4 });
  });
});

describe('a multimap whose type was changed', () => {
  it('shows what was put under either type, and goes by today’s for what comes', () => {
    const primary = start('LIST');
    for (const text of ['a', 'a', 'b']) put(primary, k(1), text);
    primary.options = MULTI_MAP.options.parse({});
    expect(put(primary, k(1), 'a').reply).toEqual({ added: false });
    expect(put(primary, k(1), 'c').reply).toEqual({ added: true });
    expect(valuesOf(primary, k(1))).toEqual(['a', 'a', 'b', 'c']);
    expect(primary.run(ops.remove, { key: k(1), value: v('a') }).reply).toEqual({ removed: true });
    expect(valuesOf(primary, k(1))).toEqual(['b', 'c']);
    primary.options = MULTI_MAP.options.parse({ valueCollectionType: 'LIST' });
    expect(put(primary, k(1), 'c').reply).toEqual({ added: true });
    expect(primary.run(ops.remove, { key: k(1), value: v('c') }).reply).toEqual({ removed: true });
    expect(valuesOf(primary, k(1))).toEqual(['b', 'c']);
    expect(primary.state.entryCount).toBe(2);
  });
});

describe('a reply', () => {
  it('waits for the last change of the key that it shows, and of no other', () => {
    const primary = start();
    put(primary, k(1), 'a');
    put(primary, k(1), 'b');
    put(primary, k(2), 'a');
    for (const [operation, request] of [
      [ops.get, { key: k(1), after: null }],
      [ops.containsKey, { key: k(1) }],
      [ops.containsEntry, { key: k(1), value: v('x') }],
      [ops.valueCount, { key: k(1) }],
      [ops.put, { key: k(1), value: v('a') }],
      [ops.remove, { key: k(1), value: v('x') }],
    ] as const)
      expect(primary.run(operation, request).dependsOn, operation.name).toBe(2);
    expect(primary.run(ops.size, {}).dependsOn).toBe(3);
  });

  it('that a key has nothing waits for what made it so', () => {
    const primary = start();
    put(primary, k(1), 'a');
    primary.run(ops.remove, { key: k(1), value: v('a') });
    put(primary, k(2), 'a');
    for (const [operation, request] of [
      [ops.get, { key: k(1), after: null }],
      [ops.containsKey, { key: k(1) }],
      [ops.removeAll, { key: k(1), after: null, upTo: 0, withValues: true }],
    ] as const)
      expect(primary.run(operation, request).dependsOn, operation.name).toBe(2);
  });
});

describe('a key with very many values', () => {
  const many = MAX_PAGE_VALUES * 2 + 5;

  it.each(['SET', 'LIST'] as const)('is read and removed page by page, as a %s', (type) => {
    const primary = start(type);
    const texts = Array.from({ length: many }, (_, i) => (type === 'SET' ? `value-${i}` : 'same'));
    for (let i = 0; i < many; i += 4_000) {
      const pairs = texts.slice(i, i + 4_000).map((text) => ({ key: k(1), value: v(text) }));
      primary.run(ops.putAll, { pairs });
    }
    expect(valuesOf(primary, k(1))).toEqual(texts);
    const backup = new Replica(MULTI_MAP.service);
    for (let cursor = 0; cursor >= 0; ) {
      const { chunk, next } = primary.copy(cursor, 100_000);
      expect(chunk.length).toBeLessThan(150_000);
      backup.paste(chunk);
      cursor = next;
    }
    expect(backup.state.dump()).toEqual(primary.state.dump());
    const removed: string[] = [];
    let at: { after: Uint8Array | null; upTo: number } = { after: null, upTo: 0 };
    let requests = 0;
    do {
      const request = { key: k(1), ...at, withValues: true };
      const { values, next, upTo } = primary.run(ops.removeAll, request).reply as ReplyOf<
        typeof ops.removeAll
      >;
      removed.push(...values.map((value) => Buffer.from(value).toString()));
      at = { after: next, upTo };
      if (requests++ === 0) put(primary, k(1), 'late');
    } while (at.after !== null);
    expect(removed).toEqual(texts);
    expect([requests, valuesOf(primary, k(1)), primary.state.entryCount]).toEqual([3, ['late'], 1]);
  });

  it('is found and taken apart with little work', () => {
    const primary = start();
    for (let i = 0; i < 5_000; i++) put(primary, k(1), `value-${i}`);
    for (let i = 0; i < 5_000; i += 2) {
      const request = { key: k(1), value: v(`value-${i}`) };
      expect(primary.run(ops.remove, request).reply).toEqual({ removed: true });
    }
    expect(valuesOf(primary, k(1))).toEqual(Array.from({ length: 2_500 }, (_, i) => `value-${2 * i + 1}`));
  });
});

describe('a request', () => {
  it('to putAll that is above what one change may be is refused, definitely, and changes nothing', () => {
    const primary = start();
    const pairs = [1, 2].map((n) => ({ key: k(n), value: Buffer.alloc(9 * 1024 * 1024) }));
    expect(() => primary.run(ops.putAll, { pairs })).toThrow(ValueTooLargeError);
    expect([primary.seq, primary.log.length, primary.state.dump()]).toEqual([0, 0, []]);
  });

  it('with an id of the wrong size is refused', () => {
    const primary = start();
    expect(() => primary.run(ops.get, { key: k(1), after: Buffer.alloc(3) })).toThrow(ProtocolError);
  });

  it('may hold the largest pair', () => {
    const primary = start();
    const pair = { key: encodeKey('k'.repeat(64 * 1024 - 1)), value: Buffer.alloc(16 * 1024 * 1024 + 1) };
    primary.run(ops.put, pair);
    const backup = new Replica(MULTI_MAP.service);
    for (const entry of primary.log) backup.apply(entry);
    expect(backup.state.dump()).toEqual(primary.state.dump());
    expect(primary.run(ops.containsEntry, pair).reply).toEqual({ found: true });
  });
});

describe('bytes from elsewhere', () => {
  const image = (change: (bytes: Buffer) => void) => {
    const primary = start();
    put(primary, k(1), 'a');
    const delta = Buffer.from(primary.log[0]?.delta ?? []);
    change(delta);
    return () => new Replica(MULTI_MAP.service).apply({ seq: 1, delta });
  };
  const keyBytes = k(1).length;
  /** Behind the kind of the delta, the flags and the length of the record's key. */
  const tailAt = 1 + 1 + 4 + keyBytes;

  it.each([
    ['another kind of delta', (bytes: Buffer) => bytes.writeUInt8(9, 0)],
    ['a pair that is no pair', (bytes: Buffer) => bytes.writeUInt8(7, tailAt)],
    ['a pair without a key', (bytes: Buffer) => bytes.writeUInt32LE(23, 2)],
    ['a time that is none', (bytes: Buffer) => bytes.writeDoubleBE(Number.NaN, tailAt + 23)],
    ['a time after the end of time', (bytes: Buffer) => bytes.writeDoubleBE(2 ** 50, tailAt + 23)],
  ])('are refused: %s', (_what, change) => {
    expect(image(change)).toThrow(ProtocolError);
  });
});

describe('purging', () => {
  it('forgets removals, and keeps what the index says', () => {
    const primary = start('LIST');
    for (let i = 0; i < 50; i++) put(primary, k(i % 5), `value-${i % 7}`);
    for (let i = 0; i < 50; i += 3) primary.run(ops.remove, { key: k(i % 5), value: v(`value-${i % 7}`) });
    const before = [0, 1, 2, 3, 4].map((n) => valuesOf(primary, k(n)));
    primary.purgeAll({ seq: primary.seq, ms: START_MS + 1_000_000 });
    expect([0, 1, 2, 3, 4].map((n) => valuesOf(primary, k(n)))).toEqual(before);
    expect(primary.state.dump()).toHaveLength(primary.state.entryCount);
  });
});
