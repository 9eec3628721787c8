/** The service side of the map: the contract of structures, and what its replies wait for and how large they get. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkedIndex, type IndexConfig } from '../../partitions/query/index-definition.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { parseWhere } from '../../partitions/query/where-parser.js';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import { ValueTooLargeError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { ReplyOf } from '../../src/wire/message.js';
import { ValueCodec } from '../../src/wire/values.js';
import { type Arbitraries, serviceContract } from '../contract/service.contract.js';
import { Primary, Replica, START_MS } from './partition-harness.js';

const key = fc.integer({ min: 0, max: 9 }).map((n) => encodeKey(`key-${n}`));
const value = fc.oneof(
  fc.constantFrom('a', 'b', '').map((text) => Buffer.from(text)),
  fc.integer({ min: 0, max: 300 }).map((size) => Buffer.alloc(size, `${size};`)),
);
/** Milliseconds of the harness, one of which passes with each call. */
const ms = fc.constantFrom(-1, 0, 3, 20, 1_000);
const life = fc.option(fc.record({ ttlMs: ms, maxIdleMs: ms }), { nil: null });
const cursor = fc.constantFrom(0, 0, 0x8000_0000, 0xffff_ffff);
/** Of small positions, so that some are those of a lease. */
const fence = fc.record({
  lineage: fc.constant(1),
  epoch: fc.constant(1),
  seq: fc.integer({ min: 1, max: 40 }),
});
const page = fc.record({ cursor, upTo: fc.constantFrom(0, 0, 5) });

const what = fc.constantFrom('keys' as const, 'values' as const, 'entries' as const);
/** Of keys alone: the values here are bytes that nobody can decode. */
const where = {
  predicate: fc
    .constantFrom('TRUE', 'FALSE', "__key LIKE '%-1'", "__key > 'key-4'")
    .map((text) => parseWhere(text)),
  cursor,
};
/** Those that do not look at values: these here are bytes that no codec made. */
const processor = fc.constantFrom('mark', 'remove', 'fade');
/** In bulk also one that fails. */
const anyProcessor = fc.oneof(processor, fc.constant('throw'));
const predicate = fc.constantFrom(null, Predicates.notEqual('__key', 'key-3'), Predicates.alwaysFalse());
const argument = fc.constantFrom(0, 1_000_000).map((ttlMs) => new ValueCodec().encode(ttlMs));

const index = fc
  .constantFrom<IndexConfig>(
    { attributes: ['__key'] },
    { attributes: ['__key'], type: 'HASH' },
    { attributes: ['a', 'b'] },
  )
  .map(checkedIndex);

const arbitraries: Arbitraries<typeof ops> = {
  get: fc.record({ key }),
  put: fc.record({ key, value, life }),
  set: fc.record({ key, value, life }),
  putIfAbsent: fc.record({ key, value, life }),
  putTransient: fc.record({ key, value, life }),
  setTtl: fc.record({ key, ttlMs: ms }),
  tryPut: fc.record({ key, value, waitMs: fc.constant(0) }),
  tryRemove: fc.record({ key, waitMs: fc.constant(0) }),
  replace: fc.record({ key, value }),
  replaceIfSame: fc.record({ key, expected: value, value }),
  remove: fc.record({ key }),
  removeIfSame: fc.record({ key, expected: value }),
  delete: fc.record({ key }),
  evict: fc.record({ key }),
  containsKey: fc.record({ key }),
  getEntryView: fc.record({ key }),
  getAll: fc.record({ keys: fc.array(key, { maxLength: 5 }) }),
  setAll: fc.record({ entries: fc.array(fc.record({ key, value }), { maxLength: 5 }) }),
  size: fc.constant({}),
  containsValue: fc.record({ value, cursor }),
  scan: fc.record({
    cursor,
    what,
    maxBytes: fc.nat({ max: 500 }),
  }),
  clear: page,
  evictAll: page,
  beginLoad: fc.record({
    key,
    client: fc.constantFrom(1, 2),
    token: fc.constantFrom(1, 2),
    leaseMs: fc.constant(30_000),
    staleMs: fc.constantFrom(0, 1_000),
  }),
  finishLoad: fc.record({
    key,
    fence,
    value: fc.option(value),
    ttlMs: fc.constantFrom(0, 1_000_000),
    staleMs: fc.constantFrom(0, 1_000),
  }),
  abandonLoad: fc.record({ key, fence }),
  awaitLoad: fc.record({ key }),
  // Of a map without a store.
  loadKeys: fc.record({ keys: fc.constant([]), evicts: fc.boolean() }),
  fillMap: fc.record({ client: fc.constant(1), token: fc.constant(1), replaces: fc.boolean() }),
  flushStore: fc.record({ upTo: fc.constantFrom(0, 5) }),
  storeStatus: fc.constant({}),
  retryFailed: fc.constant({}),
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
  query: fc.record({ ...where, what, maxBytes: fc.nat({ max: 500 }) }),
  removeWhere: fc.record({ ...where, upTo: fc.constantFrom(0, 0, 5) }),
  aggregate: fc.record({ ...where, aggregator: fc.constant({ kind: 'count' as const, attribute: '__key' }) }),
  project: fc.record({ ...where, attributes: fc.constant(['__key']), maxBytes: fc.nat({ max: 500 }) }),
  queryPage: fc.record({
    ...where,
    attribute: fc.constant('__key'),
    order: fc.constantFrom('asc' as const, 'desc' as const),
    after: fc.option(key.map((one) => ({ sort: 'key-3', key: one }))),
    before: fc.constant(null),
    limit: fc.constantFrom(1, 3),
    withValues: fc.constantFrom('no' as const, 'yes' as const),
  }),
  setIndex: fc.record({ index: fc.option(index, { freq: 3 }) }),
  warmIndex: fc.record({ index }),
  executeOnKey: fc.record({ key, processor, argument }),
  executeOnKeys: fc.record({ keys: fc.array(key, { maxLength: 5 }), processor: anyProcessor, argument }),
  executeOnEntries: fc.record({ cursor, predicate, processor: anyProcessor, argument }),
};

serviceContract(MAP, ops, arbitraries);

const k = (n: number | string) => encodeKey(`key-${n}`);
const v = (text: string) => Buffer.from(text);
const start = () => new Primary(MAP.service);

function filled(count: number, valueBytes = 8): Primary {
  const primary = start();
  for (let i = 0; i < count; i++) primary.run(ops.set, { key: k(i), value: Buffer.alloc(valueBytes, i) });
  return primary;
}

describe('a request to setAll', () => {
  it('that is above what one change may be is refused, definitely, and changes nothing', () => {
    const primary = start();
    const entries = [1, 2].map((n) => ({ key: k(n), value: Buffer.alloc(9 * 1024 * 1024) }));
    let refusal: unknown;
    try {
      primary.run(ops.setAll, { entries });
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(ValueTooLargeError);
    expect((refusal as ValueTooLargeError).definite).toBe(true);
    expect([primary.seq, primary.log.length, primary.state.dump()]).toEqual([0, 0, []]);
  });

  it('may hold the largest entry', () => {
    const primary = start();
    const key = encodeKey('k'.repeat(64 * 1024 - 1));
    expect(key).toHaveLength(64 * 1024);
    primary.run(ops.setAll, { entries: [{ key, value: Buffer.alloc(16 * 1024 * 1024 + 1) }] });
    expect(primary.state.entryCount).toBe(1);
  });
});

describe('what a reply of a map waits for', () => {
  it('is the last write of the key, a removal included, and nothing for a key that was never written', () => {
    const primary = start();
    primary.run(ops.set, { key: k(1), value: v('a') });
    primary.run(ops.set, { key: k(2), value: v('a') });
    primary.run(ops.delete, { key: k(1) });
    for (const read of [ops.get, ops.containsKey, ops.getEntryView]) {
      expect(primary.run(read, { key: k(1) }).dependsOn).toBe(3);
      expect(primary.run(read, { key: k(2) }).dependsOn).toBe(2);
      expect(primary.run(read, { key: k(3) }).dependsOn).toBe(0);
    }
    expect(primary.run(ops.getAll, { keys: [k(3), k(2)] }).dependsOn).toBe(2);
  });

  it('is the last write of all for what looks at every entry', () => {
    const primary = start();
    primary.run(ops.set, { key: k(1), value: v('a') });
    primary.run(ops.delete, { key: k(1) });
    expect(primary.run(ops.size, {})).toMatchObject({ dependsOn: 2, reply: { entries: 0 } });
    expect(primary.run(ops.scan, { cursor: 0, what: 'keys', maxBytes: 1 }).dependsOn).toBe(2);
    expect(primary.run(ops.containsValue, { value: v('a'), cursor: 0 }).dependsOn).toBe(2);
    expect(primary.run(ops.clear, { cursor: 0, upTo: 0 })).toMatchObject({ seq: 0, dependsOn: 2 });
  });

  it('is what it saw for a write that changes nothing', () => {
    const primary = start();
    primary.run(ops.set, { key: k(1), value: v('a') });
    primary.run(ops.set, { key: k(2), value: v('a') });
    primary.run(ops.delete, { key: k(2) });
    const seen = { seq: 0, dependsOn: 1 };
    expect(primary.run(ops.putIfAbsent, { key: k(1), value: v('b') })).toMatchObject(seen);
    expect(primary.run(ops.replaceIfSame, { key: k(1), expected: v('b'), value: v('c') })).toMatchObject(
      seen,
    );
    expect(primary.run(ops.removeIfSame, { key: k(1), expected: v('b') })).toMatchObject(seen);
    for (const removal of [ops.remove, ops.delete, ops.evict]) {
      expect(primary.run(removal, { key: k(2) })).toMatchObject({ seq: 0, dependsOn: 3 });
    }
    expect(primary.run(ops.replace, { key: k(2), value: v('b') })).toMatchObject({ seq: 0, dependsOn: 3 });
    expect(primary.run(ops.setAll, { entries: [] }).seq).toBe(0);
  });

  it('is known to a backup after a replay and after a copy', () => {
    const primary = filled(3);
    primary.run(ops.delete, { key: k(0) });
    const { chunk } = primary.copy(0, 1_000_000);
    const [replayed, copied] = [start(), start()];
    for (const entry of primary.log) replayed.apply(entry);
    copied.paste(chunk);
    for (const promoted of [replayed, copied]) {
      promoted.seq = primary.seq;
      expect(promoted.run(ops.size, {}).dependsOn).toBe(4);
      expect(promoted.run(ops.get, { key: k(0) }).dependsOn).toBe(4);
      expect(promoted.run(ops.get, { key: k(1) }).dependsOn).toBe(2);
    }
  });
});

describe('removing everything', () => {
  it('goes by pages of a bounded number of explicit keys', () => {
    const primary = filled(1_200);
    const backup = new Replica(MAP.service);
    const removed: number[] = [];
    for (let next = 0, upTo = 0; next >= 0; ) {
      const reply = primary.run(ops.clear, { cursor: next, upTo }).reply as ReplyOf<typeof ops.clear>;
      removed.push(reply.removed);
      expect(reply.upTo).toBe(1_200);
      ({ next, upTo } = reply);
    }
    expect(removed).toEqual([500, 500, 200]);
    expect(primary.state.entryCount).toBe(0);
    for (const entry of primary.log) backup.apply(entry);
    expect(backup.state.dump()).toEqual(primary.state.dump());
    expect(backup.state.dump()).toHaveLength(1_200);
  });

  it('leaves what was written after it began', () => {
    const primary = filled(600);
    const first = primary.run(ops.clear, { cursor: 0, upTo: 0 }).reply as ReplyOf<typeof ops.clear>;
    for (let i = 0; i < 600; i += 2) primary.run(ops.set, { key: k(i), value: v('new') });
    const { next, upTo } = first;
    expect(primary.run(ops.clear, { cursor: next, upTo }).reply).toMatchObject({ next: -1 });
    const { values } = primary.run(ops.scan, { cursor: 0, what: 'values', maxBytes: 1_000_000 })
      .reply as ReplyOf<typeof ops.scan>;
    expect(values).toHaveLength(300);
    for (const left of values) expect(Buffer.from(left).toString()).toBe('new');
  });

  it('bounds a page also by the bytes of its keys', () => {
    const primary = start();
    for (let i = 0; i < 20; i++)
      primary.run(ops.set, { key: encodeKey(`${i}`.padEnd(29_999)), value: v('a') });
    const { removed } = primary.run(ops.clear, { cursor: 0, upTo: 0 }).reply as ReplyOf<typeof ops.clear>;
    expect(removed).toBe(4);
  });
});

describe('pages of a map', () => {
  it('are within their limit unless one record alone is larger', () => {
    const primary = filled(50, 100);
    primary.run(ops.set, { key: k('large'), value: Buffer.alloc(5_000) });
    let entries = 0;
    let larger = 0;
    for (let cursor = 0; cursor >= 0; ) {
      const outcome = primary.run(ops.scan, { cursor, what: 'entries', maxBytes: 1_000 });
      const { keys, values, next } = outcome.reply as ReplyOf<typeof ops.scan>;
      expect(values).toHaveLength(keys.length);
      if (outcome.replyBytes > 1_016) larger += keys.length;
      entries += keys.length;
      cursor = next;
    }
    expect(entries).toBe(51);
    expect(larger).toBe(1);
  });

  it('carry only what was asked for', () => {
    const primary = filled(3);
    const scan = (what: string) => primary.run(ops.scan, { cursor: 0, what, maxBytes: 1_000 }).reply;
    expect(scan('keys')).toMatchObject({ next: -1, keys: { length: 3 }, values: [] });
    expect(scan('values')).toMatchObject({ next: -1, keys: [], values: { length: 3 } });
    expect(scan('entries')).toMatchObject({ next: -1, keys: { length: 3 }, values: { length: 3 } });
  });

  it('of getAll hold at least one value and about 1 MiB', () => {
    const primary = start();
    for (let i = 0; i < 4; i++) primary.run(ops.set, { key: k(i), value: Buffer.alloc(600_000, i) });
    primary.run(ops.set, { key: k('large'), value: Buffer.alloc(3_000_000) });
    const get = (keys: Uint8Array[]) => primary.run(ops.getAll, { keys }).reply as ReplyOf<typeof ops.getAll>;
    expect(get([k(0), k(1), k(2)]).values).toHaveLength(1);
    expect(get([k('none'), k(1), k(2)]).values.map((value) => value?.length)).toEqual([undefined, 600_000]);
    expect(get([k('large'), k(1)]).values.map((value) => value?.length)).toEqual([3_000_000]);
  });
});

describe('records of a map', () => {
  it('keep creation time and accesses when they are overwritten, and lose them when removed', () => {
    const primary = start();
    const view = () =>
      (primary.run(ops.getEntryView, { key: k(1) }).reply as ReplyOf<typeof ops.getEntryView>).entry;
    primary.run(ops.set, { key: k(1), value: v('a') });
    expect(view()).toMatchObject({ createdMs: START_MS, updatedMs: START_MS, accessedMs: 0, hits: 0 });
    primary.wallMs = START_MS + 500.75;
    primary.run(ops.get, { key: k(1) });
    primary.run(ops.getAll, { keys: [k(1)] });
    primary.wallMs = START_MS + 900.25;
    primary.run(ops.put, { key: k(1), value: v('b') });
    const times = { createdMs: START_MS, updatedMs: START_MS + 900, accessedMs: START_MS + 501, hits: 2 };
    expect(view()).toMatchObject(times);
    expect(view()).toMatchObject({ expiresMs: 0, ttlMs: 0, maxIdleMs: 0, versionMemberHi: 0xfedcba98 });
    const backup = start();
    for (const entry of primary.log) backup.apply(entry);
    backup.seq = primary.seq;
    const { entry } = backup.run(ops.getEntryView, { key: k(1) }).reply as ReplyOf<typeof ops.getEntryView>;
    expect(entry).toEqual(view());
    primary.run(ops.delete, { key: k(1) });
    expect(view()).toBeNull();
    primary.run(ops.set, { key: k(1), value: v('c') });
    expect(view()).toMatchObject({ hits: 0, accessedMs: 0 });
    expect(view()?.createdMs).toBeGreaterThan(START_MS + 900);
  });

  it('are purged by position and by time, in bounded steps, everywhere alike', () => {
    const primary = filled(2_500);
    for (let i = 0; i < 2_500; i++) if (i % 5 > 0) primary.run(ops.delete, { key: k(i) });
    const backup = new Replica(MAP.service);
    const behind = (line: string, limit: number) => Number(line.split(' ')[1]?.split('.')[0]) < limit;
    const limitMs = START_MS + 1_000;
    const left = primary.state.dump().filter((line) => !line.endsWith('tombstone') || !behind(line, limitMs));
    for (const entry of primary.log) backup.apply(entry);
    const steps: number[] = [];
    for (let cursor = 0; cursor >= 0; ) {
      const known = primary.log.length;
      cursor = primary.purge(cursor, { seq: primary.seq, ms: limitMs });
      steps.push(cursor);
      for (const entry of primary.log.slice(known)) backup.apply(entry);
      expect(backup.state.dump()).toEqual(primary.state.dump());
    }
    expect(steps).toHaveLength(3);
    expect(primary.state.dump()).toEqual(left);
    expect(left.length).toBeGreaterThan(500);
    expect(left.length).toBeLessThan(2_500);
    primary.purgeAll({ seq: 2_500, ms: Number.POSITIVE_INFINITY });
    expect(primary.state.dump()).toEqual(left);
  });

  it('are purged by a replica only in the range of the step, also while its copy is still arriving', () => {
    const primary = filled(3_000);
    for (let i = 0; i < 3_000; i++) primary.run(ops.delete, { key: k(i) });
    const before = primary.log.length;
    const { chunk } = primary.copy(0x8000_0000, Number.MAX_SAFE_INTEGER);
    const replica = new Replica(MAP.service);
    replica.paste(chunk);
    const contents = replica.state.dump();
    expect(contents.length).toBeGreaterThan(1_000);
    const next = primary.purge(0, { seq: primary.seq, ms: Number.POSITIVE_INFINITY });
    expect(next).toBeLessThan(0x8000_0000);
    for (const entry of primary.log.slice(before)) replica.apply(entry);
    expect(replica.state.dump()).toEqual(contents);
  });
});
