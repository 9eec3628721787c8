/** Indexes: what they find against a scan, what they have against ones made anew, what becomes of them in copies and merges. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AttributeIndex } from '../../partitions/query/attribute-index.js';
import {
  checkedIndex,
  type IndexConfig,
  type IndexDefinition,
} from '../../partitions/query/index-definition.js';
import { HashKeys, SortedKeys } from '../../partitions/query/index-keys.js';
import { compareKeys, type Key } from '../../partitions/query/key-ranges.js';
import { checkedPredicate, type Predicate } from '../../partitions/query/predicate.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { type GridMap, MAP } from '../../partitions/services/map/proxy.js';
import type { MapState } from '../../partitions/services/map/state.js';
import { Writer } from '../../src/base/bytes.js';
import { OperationFailedError, ValueNotReadableError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';
import { InMemoryInvoker } from '../services/in-memory-invoker.js';
import { Primary, Replica } from '../services/partition-harness.js';
import * as any from './arbitraries.js';
import { holds } from './naive.js';

const codec = new ValueCodec();
const CONFIGS: readonly IndexConfig[] = [
  { attributes: ['a'] },
  { attributes: ['a'], type: 'HASH' },
  { attributes: ['b'], type: 'HASH' },
  { attributes: ['b', 'a'] },
  { attributes: ['a', 'c.d'], type: 'HASH' },
  { attributes: ['c'] },
  { attributes: ['tags[any]'] },
  { attributes: ['list[any].n'], type: 'HASH' },
  { attributes: ['this'] },
  { attributes: ['__key'] },
  { attributes: ['missing'] },
];
const definitions = CONFIGS.map(checkedIndex);
const someIndexes = fc.subarray(definitions, { minLength: 1 });

const stateOf = (replica: Replica) => replica.state as MapState;

/** All entries that a query finds in a partition, by as many steps as it takes; with how many were looked at. */
function ask(primary: Primary, predicate: Predicate) {
  const keys: string[] = [];
  let [visited, index] = [0, ''];
  for (let cursor = 0; cursor >= 0; ) {
    const request = { predicate, cursor, what: 'keys', maxBytes: 1e6 };
    const reply = primary.run(ops.query, request).reply as {
      next: number;
      keys: Uint8Array[];
      visited: number;
      index: string;
    };
    keys.push(...reply.keys.map((key) => Buffer.from(key).toString('hex')));
    visited += reply.visited;
    index = reply.index;
    cursor = reply.next;
  }
  return { keys, visited, index };
}

/** The same index, made from the records as they are. */
function anew(state: MapState, made: readonly IndexDefinition[]): string[] {
  return made.flatMap((definition) => {
    const index = new AttributeIndex(definition);
    index.build(state.store, Number.POSITIVE_INFINITY, () => false);
    return index.dump();
  });
}

function warm(primary: Primary, made: readonly IndexDefinition[]): void {
  for (const index of made) {
    primary.run(ops.setIndex, { index });
    while (!(primary.run(ops.warmIndex, { index }).reply as { isBuilt: boolean }).isBuilt);
  }
}

type Step =
  | { readonly kind: 'set'; readonly key: unknown; readonly value: unknown }
  | { readonly kind: 'junk'; readonly key: unknown }
  | { readonly kind: 'remove'; readonly key: unknown }
  | { readonly kind: 'setAll'; readonly entries: readonly (readonly [unknown, unknown])[] }
  | { readonly kind: 'removeWhere'; readonly predicate: Predicate }
  | { readonly kind: 'clear' | 'purge' | 'paste' | 'merge' | 'mend' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('set' as const), key: any.key, value: any.value }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('junk' as const), key: any.key }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), key: any.key }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('setAll' as const),
      entries: fc.array(fc.tuple(any.key, any.value), { maxLength: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('removeWhere' as const),
      predicate: fc.constant(Predicates.lessThan('__key', 5)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'clear' as const,
        'purge' as const,
        'paste' as const,
        'merge' as const,
        'mend' as const,
      ),
    }),
  },
);

/** One partition, beside another one from which it gets copies, merges and repairs. */
class World {
  readonly primary = new Primary(MAP.service);
  readonly other = new Primary(MAP.service);

  constructor() {
    this.other.versions = 1_000;
    this.other.actor = { memberHi: 7, memberLo: 7, lineage: 7, epoch: 7 };
  }

  run(step: Step): void {
    const { primary, other } = this;
    switch (step.kind) {
      case 'set': {
        const request = { key: encodeKey(step.key), value: codec.encode(step.value) };
        primary.run(ops.set, request);
        if (primary.seq % 2 === 0)
          other.run(ops.set, { ...request, value: codec.encode({ a: primary.seq % 3 }) });
        break;
      }
      case 'junk':
        primary.run(ops.set, { key: encodeKey(step.key), value: Buffer.from([6, 1]) });
        break;
      case 'remove':
        primary.run(ops.delete, { key: encodeKey(step.key) });
        break;
      case 'setAll': {
        const entries = step.entries.map(([key, value]) => ({
          key: encodeKey(key),
          value: codec.encode(value),
        }));
        primary.run(ops.setAll, { entries });
        break;
      }
      case 'removeWhere':
        primary.run(ops.removeWhere, { predicate: step.predicate, cursor: 0, upTo: 0 });
        break;
      case 'clear':
        primary.run(ops.clear, { cursor: 0, upTo: 0 });
        break;
      case 'purge':
        primary.purgeAll();
        break;
      case 'paste':
        primary.paste(other.copy(0, 1e6).chunk);
        primary.seq = Math.max(primary.seq, other.seq);
        break;
      case 'merge':
        for (const page of other.changes({ sharedSeq: 0, skipped: new Map() }))
          primary.merge(page, { sharedSeq: 0 });
        break;
      case 'mend':
        this.#mend();
        break;
    }
  }

  /** As anti-entropy: some hashes become what the other replica has. */
  #mend(): void {
    const hashes: number[] = [];
    const { store } = stateOf(this.other);
    store.scan(0, { records: 5, bytes: 1e6 }, (ref) => hashes.push(store.hashOf(ref)));
    stateOf(this.primary).store.scan(0, { records: 2, bytes: 1e6 }, (ref) =>
      hashes.push(stateOf(this.primary).store.hashOf(ref)),
    );
    const named = [...new Set(hashes)];
    const out = new Writer();
    for (const hash of named) stateOf(this.other).writeHash(hash, out);
    this.primary.mend(named, out.toBytes(), Math.max(this.primary.seq, this.other.seq));
  }
}

describe('an index', () => {
  it('has after any changes what one has that is made anew', () => {
    const property = fc.property(
      someIndexes,
      fc.array(step, { maxLength: 25 }),
      fc.array(step, { maxLength: 40 }),
      (made, before, after) => {
        const world = new World();
        for (const each of before) world.run(each);
        warm(world.primary, made);
        for (const each of after) {
          world.run(each);
          expect(stateOf(world.primary).indexes.dumpContents()).toEqual(anew(stateOf(world.primary), made));
        }
      },
    );
    fc.assert(property, { numRuns: 120 });
  });

  it('is right when records change while it is built', () => {
    const [index] = definitions as [IndexDefinition];
    const property = fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.array(step, { minLength: 1, maxLength: 10 }),
      (before, during) => {
        const { primary } = new World();
        for (const each of before)
          if (each.kind === 'set' || each.kind === 'junk') new WorldOf(primary).run(each);
        const made = new AttributeIndex(index);
        const { store } = stateOf(primary);
        store.watcher = {
          replacing: (hash, key, old, value) => made.changed(hash, key, old, value),
          cleared: () => made.clear(),
        };
        for (const each of during) {
          made.build(store, 1, () => true);
          if (each.kind === 'set' || each.kind === 'remove' || each.kind === 'clear')
            new WorldOf(primary).run(each);
        }
        made.build(store, Number.POSITIVE_INFINITY, () => false);
        expect(made.dump()).toEqual(anew(stateOf(primary), [index]));
      },
    );
    fc.assert(property, { numRuns: 60 });
  });

  it('finds what a scan finds, in the same order, and looks at no more', () => {
    const property = fc.property(
      someIndexes,
      fc.array(fc.tuple(any.key, any.value), { maxLength: 40 }),
      fc.array(any.predicate, { minLength: 1, maxLength: 4 }),
      (made, entries, predicates) => {
        const [plain, indexed] = [new Primary(MAP.service), new Primary(MAP.service)];
        for (const primary of [plain, indexed])
          for (const [key, value] of entries)
            primary.run(ops.set, { key: encodeKey(key), value: codec.encode(value) });
        warm(indexed, made);
        for (const predicate of predicates.map(checkedPredicate)) {
          const [scan, found] = [ask(plain, predicate), ask(indexed, predicate)];
          expect(found.keys).toEqual(scan.keys);
          expect(found.visited).toBeLessThanOrEqual(scan.visited);
        }
      },
    );
    fc.assert(property, { numRuns: 400 });
  });

  it('says of values that cannot be decoded what a scan says', () => {
    const primary = new Primary(MAP.service);
    primary.run(ops.set, { key: encodeKey('good'), value: codec.encode({ a: 1 }) });
    primary.run(ops.set, { key: encodeKey('bad'), value: Buffer.from([6, 1]) });
    warm(primary, [checkedIndex({ attributes: ['a'] })]);
    expect(() => ask(primary, Predicates.equal('a', 1))).toThrow(ValueNotReadableError);
    primary.run(ops.delete, { key: encodeKey('bad') });
    expect(ask(primary, Predicates.equal('a', 1)).keys).toHaveLength(1);
  });

  it('is used for equality, lists, ranges, beginnings of texts, and parts of AND and OR', () => {
    const primary = new Primary(MAP.service);
    for (let n = 0; n < 1_000; n++) {
      const value = {
        n,
        group: n % 10,
        name: `name-${String(n).padStart(4, '0')}`,
        tags: [`t${n % 50}`, 'all'],
      };
      primary.run(ops.set, { key: encodeKey(n), value: codec.encode(value) });
    }
    const configs: IndexConfig[] = [
      { name: 'n', attributes: ['n'] },
      { name: 'group', attributes: ['group'], type: 'HASH' },
      { name: 'name', attributes: ['name'] },
      { name: 'tags', attributes: ['tags[any]'], type: 'HASH' },
      { name: 'both', attributes: ['group', 'n'] },
    ];
    warm(primary, configs.map(checkedIndex));
    const cases: readonly [string, string, number, number][] = [
      ['n = 7', 'n', 1, 1],
      ['n = 7 AND group = 7', 'n', 1, 1],
      ['n IN (1, 2, 3)', 'n', 3, 3],
      ['n BETWEEN 10 AND 19', 'n', 10, 10],
      ['n > 990', 'n', 9, 9],
      ['n >= 990 AND n < 995', 'n', 5, 5],
      ['n < 0', 'n', 0, 0],
      ["n > 'text'", 'n', 0, 0],
      ['group = 3', 'group', 100, 100],
      ["name LIKE 'name-000%'", 'name', 10, 10],
      ["name LIKE 'name-0%5_' AND group IN (1, 2)", 'name', 1_000, 200],
      ["tags[any] = 't7'", 'tags', 20, 20],
      ['group = 3 AND n BETWEEN 100 AND 199', 'both', 10, 10],
      ['n = 1 OR group = 5', 'n + group', 101, 101],
      ['n = 1 OR n = 2 OR n > 998', 'n', 3, 3],
      ["(n = 1 OR n = 2) AND name LIKE '%1'", 'n', 2, 2],
      ['n = 1 OR missing = 2', '', 1_000, 1_000],
      ['NOT n = 1', '', 1_000, 1_000],
      ['n >= 0', '', 1_000, 1_000],
      ['FALSE', '', 0, 0],
    ];
    for (const [where, index, most, least] of cases) {
      const predicate = Predicates.sql(where);
      const found = ask(primary, predicate);
      if (index !== 'name' || most === least) expect(found.index, where).toBe(index);
      expect(found.visited, where).toBeGreaterThanOrEqual(0);
      expect(found.visited, where).toBeLessThanOrEqual(most);
      let matching = 0;
      for (let n = 0; n < 1_000; n++) {
        const value = {
          n,
          group: n % 10,
          name: `name-${String(n).padStart(4, '0')}`,
          tags: [`t${n % 50}`, 'all'],
        };
        if (holds(predicate, n, value)) matching++;
      }
      expect(found.keys.length, where).toBe(matching);
    }
  });

  it('is left alone when looking things up would be more work than going through all', () => {
    const primary = new Primary(MAP.service);
    for (let n = 0; n < 100; n++)
      primary.run(ops.set, { key: encodeKey(n), value: codec.encode({ a: n, b: n }) });
    warm(primary, [checkedIndex({ attributes: ['a', 'b'] })]);
    const some = Array.from({ length: 32 }, (_, n) => n);
    const both = Predicates.and(Predicates.inPredicate('a', ...some), Predicates.inPredicate('b', ...some));
    expect(ask(primary, both)).toMatchObject({ index: 'sorted(a, b)', visited: 32 });
    const many = Predicates.or(...Array.from({ length: 100 }, () => both));
    expect(ask(primary, many)).toMatchObject({ index: '', visited: 100 });
  });

  it('takes memory that is told, and gives it back', () => {
    const primary = new Primary(MAP.service);
    const state = stateOf(primary);
    for (let n = 0; n < 500; n++)
      primary.run(ops.set, { key: encodeKey(n), value: codec.encode({ a: `text ${n}` }) });
    const before = state.sizeBytes;
    warm(primary, definitions.slice(0, 2));
    expect(state.derivedBytes).toBeGreaterThan(500 * 2 * 20);
    expect(state.sizeBytes - before).toBe(2 * 256);
    for (let n = 0; n < 500; n++) primary.run(ops.delete, { key: encodeKey(n) });
    expect(state.derivedBytes).toBe(0);
    primary.run(ops.setIndex, { index: null });
    primary.purgeAll();
    expect(state.sizeBytes).toBe(0);
  });

  it('costs a backup nothing until it is asked, and is dropped there when nobody asks any more', () => {
    const primary = new Primary(MAP.service);
    warm(primary, definitions.slice(0, 1));
    const backup = new Replica(MAP.service);
    const write = (n: number) => {
      primary.run(ops.set, { key: encodeKey(n % 100), value: codec.encode({ a: n }) });
    };
    for (let n = 0; n < 200; n++) write(n);
    let applied = 0;
    const follow = () => {
      for (const entry of primary.log.slice(applied)) backup.apply(entry);
      applied = primary.log.length;
    };
    follow();
    const state = stateOf(backup);
    expect([state.indexes.definitions.length, state.derivedBytes]).toEqual([1, 0]);
    // Now it answers a query, as a new primary or for a read that may be behind.
    const clock = { nowMs: 0, wallMs: primary.wallMs };
    expect(state.indexes.find(Predicates.equal('a', 150), [], clock)).toMatchObject({
      candidates: { index: 'sorted(a)' },
    });
    expect(state.derivedBytes).toBeGreaterThan(0);
    expect(state.indexes.dumpContents()).toEqual(anew(state, definitions.slice(0, 1)));
    for (let n = 0; n < 1_200; n++) write(n);
    follow();
    expect(state.derivedBytes).toBe(0);
    expect(state.indexes.find(Predicates.equal('a', 1_150), [], clock)).toMatchObject({
      candidates: { index: 'sorted(a)', hashes: { length: 1 } },
    });
  });

  it('is built in bounded steps, and the query waits for it', () => {
    const primary = new Primary(MAP.service);
    for (let n = 0; n < 7_000; n++)
      primary.run(ops.set, { key: encodeKey(n), value: codec.encode({ a: n }) });
    primary.run(ops.setIndex, { index: checkedIndex({ attributes: ['a'] }) });
    const request = { predicate: Predicates.equal('a', 5), cursor: 0, what: 'keys', maxBytes: 1e6 };
    const replies: { next: number; visited: number; matched: number }[] = [];
    for (let cursor = 0; cursor >= 0; cursor = replies.at(-1)?.next ?? -1)
      replies.push(
        primary.run(ops.query, { ...request, cursor }).reply as {
          next: number;
          visited: number;
          matched: number;
        },
      );
    expect(replies.length).toBeGreaterThan(3);
    expect(Math.max(...replies.map(({ visited }) => visited))).toBeLessThanOrEqual(2_100);
    expect(replies.at(-1)).toMatchObject({ next: -1, visited: 1, matched: 1 });
  });
});

/** Steps on a primary that is there already. */
class WorldOf {
  readonly #primary: Primary;
  constructor(primary: Primary) {
    this.#primary = primary;
  }
  run(step: Step): void {
    const world = Object.assign(Object.create(World.prototype) as World, {
      primary: this.#primary,
      other: new Primary(MAP.service),
    });
    world.run(step);
  }
}

describe('the list of indexes', () => {
  it('is united in a merge, and comes with a copy unless a later one is there', () => {
    const [a, b] = definitions as [IndexDefinition, IndexDefinition];
    const [owner, source] = [new Primary(MAP.service), new Primary(MAP.service)];
    owner.run(ops.setIndex, { index: a });
    source.run(ops.setIndex, { index: b });
    for (const page of source.changes({ sharedSeq: 0, skipped: new Map() }))
      owner.merge(page, { sharedSeq: 0 });
    expect(stateOf(owner).indexes.definitions).toEqual([a, b]);
    const backup = new Replica(MAP.service);
    for (const entry of owner.log) backup.apply(entry);
    expect(backup.state.dump()).toEqual(owner.state.dump());
    const { chunk } = owner.copy(0, 1e6);
    owner.run(ops.setIndex, { index: null });
    owner.paste(chunk);
    expect(stateOf(owner).indexes.definitions).toEqual([]);
    const late = new Replica(MAP.service);
    late.paste(chunk);
    expect(stateOf(late).indexes.definitions).toEqual([a, b]);
  });

  it('does not travel when both sides have it', () => {
    const side = new Primary(MAP.service);
    side.run(ops.setIndex, { index: definitions[0] });
    expect(side.changes({ sharedSeq: side.seq, skipped: new Map() })).toEqual([]);
  });
});

describe('addIndex', () => {
  const mapOf = (): { map: GridMap<unknown, unknown>; invoker: InMemoryInvoker } => {
    const invoker = new InMemoryInvoker(5);
    return { map: MAP.createProxy('x', invoker, {}, () => {}), invoker };
  };

  it('adds an index to all partitions, once, and a destroyed map has none', async () => {
    const { map, invoker } = mapOf();
    await map.putAll(Array.from({ length: 500 }, (_, n) => [n, { n }] as const));
    await map.addIndex({ attributes: ['n'] });
    await map.addIndex({ attributes: ['n'], name: 'again' });
    expect(await map.explainQuery(Predicates.equal('n', 7))).toMatchObject({
      matched: 1,
      visited: 1,
      used: { 'sorted(n)': 5 },
    });
    await map.destroy();
    for (const primary of invoker.primaries.values())
      expect(stateOf(primary).indexes.definitions).toEqual([]);
  });

  it('takes indexes of the configuration as they are', async () => {
    const { map, invoker } = mapOf();
    invoker.structureOptions = MAP.options.parse({ indexes: [{ attributes: ['n'], type: 'HASH' }] });
    await map.putAll(Array.from({ length: 500 }, (_, n) => [n, { n }] as const));
    const predicate = Predicates.inPredicate('n', 7, 8);
    // The first query builds it.
    expect(await map.keySetWithPredicate(predicate)).toHaveLength(2);
    expect(await map.explainQuery(predicate)).toMatchObject({
      matched: 2,
      visited: 2,
      used: { 'hash(n)': 5 },
    });
  });

  it.each<[IndexConfig, RegExp]>([
    [{} as never, /array of 1 to 4 paths/],
    [null as never, /expected \{ name/],
    [{ attributes: ['a'], type: 'BITMAP' as never }, /'SORTED' or 'HASH', got "BITMAP"/],
    [{ attributes: ['a..b'] }, /the name of a field/],
    [{ attributes: ['a', 'a'] }, /twice/],
    [{ attributes: ['a', 'tags[any]'] }, /indexed alone/],
    [{ attributes: ['a'], name: '' }, /name of 1 to 128/],
    [{ attributes: ['a'], unique: true } as never, /unique is none of/],
  ])('refuses %j before it sends anything', async (config, message) => {
    const { map, invoker } = mapOf();
    await expect(map.addIndex(config)).rejects.toThrow(message);
    await expect(map.addIndex(config)).rejects.toThrow(TypeError);
    expect(invoker.sent).toEqual([]);
  });

  it('refuses a name that another index has, and a seventeenth index', async () => {
    const { map } = mapOf();
    await map.addIndex({ name: 'x', attributes: ['a'] });
    await expect(map.addIndex({ name: 'x', attributes: ['b'] })).rejects.toThrow(OperationFailedError);
    for (let i = 1; i < 16; i++) await map.addIndex({ attributes: [`f${i}`] });
    await expect(map.addIndex({ attributes: ['f16'] })).rejects.toThrow(/16 indexes, which is the limit/);
  });

  it('is refused in the configuration with what is wrong', () => {
    const problem = (index: unknown) => MAP.options.safeParse({ indexes: [index] }).error?.issues[0]?.message;
    expect(problem({ attributes: ['a..b'] })).toMatch(/the name of a field/);
    expect(problem({ attributes: [] })).toBeDefined();
    expect(MAP.options.parse({ indexes: [{ attributes: ['a'] }] }).indexes).toEqual([
      { name: 'sorted(a)', type: 'SORTED', attributes: ['a'] },
    ]);
  });
});

describe('the tables of indexes', () => {
  it('have what was put and not dropped, in order', () => {
    const key: fc.Arbitrary<Key> = fc.oneof(
      any.scalar.map((one) => [one]),
      fc.tuple(any.scalar, any.scalar),
    );
    const change = fc.record({ key, hash: fc.nat({ max: 5 }), drop: fc.boolean() });
    const property = fc.property(fc.array(change, { maxLength: 1_500, size: 'max' }), (changes) => {
      const same = (a: Key, b: Key) => a.length === b.length && compareKeys(a, b) === 0;
      const [sorted, hashed] = [new SortedKeys(), new HashKeys()];
      const plain: [Key, number][] = [];
      for (const { key: one, hash, drop } of changes) {
        const at = plain.findIndex(([other, otherHash]) => same(one, other) && hash === otherHash);
        // Keys of one index have one length.
        if (one.length !== changes[0]?.key.length || (drop && at < 0)) continue;
        for (const table of [sorted, hashed]) drop ? table.drop(one, hash) : table.put(one, hash);
        if (drop) plain.splice(at, 1);
        else plain.push([one, hash]);
      }
      const wanted = plain
        .sort(([a, aHash], [b, bHash]) => compareKeys(a, b) || aHash - bHash)
        .map(([, hash]) => hash);
      expect(sorted.all().map(([, hash]) => hash)).toEqual(wanted);
      expect(hashed.all().map(([, hash]) => hash)).toEqual(wanted);
      expect([sorted.pairs, hashed.pairs]).toEqual([plain.length, plain.length]);
      for (const [one] of plain.slice(0, 20)) {
        const range = { from: { key: one, included: true }, to: { key: one, included: true } };
        const equal = plain.filter(([other]) => same(one, other)).length;
        expect([sorted.count(range), hashed.count(range)]).toEqual([equal, equal]);
      }
    });
    fc.assert(property, { numRuns: 60 });
  });
});
