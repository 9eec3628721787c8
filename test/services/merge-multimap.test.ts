/** Merging sides of a split of a multimap: union of pairs, removals of what they saw, what is reported, what repeats. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Actor, MergeContext } from '../../partitions/service.js';
import { MULTI_MAP_OPERATIONS as ops } from '../../partitions/services/multimap/ops.js';
import { MULTI_MAP } from '../../partitions/services/multimap/proxy.js';
import { traceOf } from '../../partitions/services/multimap/state.js';
import { Writer } from '../../src/base/bytes.js';
import { decodeKey, encodeKey } from '../../src/wire/keys.js';
import type { ReplyOf } from '../../src/wire/message.js';
import { ValueCodec } from '../../src/wire/values.js';
import { type Merged, Primary, Replica } from './partition-harness.js';

type Type = 'SET' | 'LIST';

const codec = new ValueCodec();
const NONE: ReadonlyMap<number, Uint8Array> = new Map();
const actor = (n: number): Actor => ({ memberHi: n, memberLo: n, lineage: n, epoch: n });

const put = (side: Primary, value: unknown, key: unknown = 'k') =>
  side.run(ops.put, { key: encodeKey(key), value: codec.encode(value) });
const remove = (side: Primary, value: unknown, key: unknown = 'k') =>
  side.run(ops.remove, { key: encodeKey(key), value: codec.encode(value) });
const removeAll = (side: Primary, key: unknown = 'k') =>
  side.run(ops.removeAll, { key: encodeKey(key), after: null, upTo: 0, withValues: false });
const get = (side: Primary, key: unknown = 'k'): unknown[] => {
  const { values } = side.run(ops.get, { key: encodeKey(key), after: null }).reply as ReplyOf<typeof ops.get>;
  return values.map((value) => codec.decode(value));
};
const countOf = (side: Primary, key: unknown = 'k') =>
  (side.run(ops.valueCount, { key: encodeKey(key) }).reply as { values: number }).values;

function start(type: Type = 'SET'): Primary {
  const side = new Primary(MULTI_MAP.service, 'tags');
  side.options = MULTI_MAP.options.parse({ valueCollectionType: type });
  return side;
}

/** Sides that parted with these values of `k`. */
function parted(type: Type, values: readonly unknown[], count = 2): { sides: Primary[]; at: number } {
  const before = start(type);
  for (const value of values) put(before, value);
  return { sides: Array.from({ length: count }, (_, i) => before.fork(actor(i + 1))), at: before.seq };
}

/** Merges, twice as a network may, and checks that a backup of the owner goes along, and the index. */
function merge(
  owner: Primary,
  source: Primary,
  at: number,
  { maxBytes, skipped = NONE, ...options }: Options = {},
): Merged {
  const told: Merged = { merged: 0, discarded: [], resurrected: [], failed: [] };
  for (const page of source.changes({ sharedSeq: at, skipped }, maxBytes)) {
    const { merged, discarded } = owner.merge(page, { sharedSeq: at, ...options });
    told.merged += merged;
    told.discarded.push(...discarded);
    const once = owner.state.dump();
    const again = owner.merge(page, { sharedSeq: at, ...options });
    expect(owner.state.dump()).toEqual(once);
    expect(again.merged).toBe(0);
  }
  const backup = new Replica(MULTI_MAP.service);
  for (const entry of owner.log) backup.apply(entry);
  expect(backup.state.dump()).toEqual(owner.state.dump());
  expect([backup.state.sizeBytes, backup.state.entryCount]).toEqual([
    owner.state.sizeBytes,
    owner.state.entryCount,
  ]);
  checkIndex(owner);
  return told;
}

interface Options extends Partial<MergeContext> {
  readonly maxBytes?: number;
  readonly skipped?: ReadonlyMap<number, Uint8Array>;
}

/** What keys and counts say is what a walk over all pairs gives; also for a copy that arrived in any order. */
function checkIndex(primary: Primary): void {
  const copy = new Primary(MULTI_MAP.service, 'tags');
  const chunks: Buffer[] = [];
  for (let cursor = 0; cursor >= 0; ) {
    const { chunk, next } = primary.copy(cursor, 100);
    chunks.unshift(chunk);
    cursor = next;
  }
  for (const chunk of chunks) copy.paste(chunk);
  copy.seq = primary.seq;
  expect(copy.state.dump()).toEqual(primary.state.dump());
  for (const side of [primary, copy]) {
    const pairs = scan(side, 'entries');
    const byKey = new Map<unknown, unknown[]>();
    for (const [key, value] of pairs) byKey.set(key, [...(byKey.get(key) ?? []), value]);
    expect(new Set(scan(side, 'keys').map(([key]) => key))).toEqual(new Set(byKey.keys()));
    expect(side.state.entryCount).toBe(pairs.length);
    for (const [key, values] of byKey) {
      expect(get(side, key)).toEqual(get(primary, key));
      expect(get(side, key).sort()).toEqual(values.sort());
      expect(countOf(side, key)).toBe(values.length);
    }
  }
}

function scan(side: Primary, what: 'keys' | 'entries'): [unknown, unknown][] {
  const request = { cursor: 0, what, maxBytes: 1_000_000 };
  const { keys, values } = side.run(ops.scan, request).reply as ReplyOf<typeof ops.scan>;
  return keys.map((key, i) => [decodeKey(key), values[i] === undefined ? null : codec.decode(values[i])]);
}

const lost = ({ discarded }: Merged) =>
  discarded.map(({ side, key, kept, discarded: gone }) => [
    side,
    decodeKey(key),
    kept === null ? null : codec.decode(kept),
    gone === null ? null : codec.decode(gone),
  ]);

describe.each(['SET', 'LIST'] as const)('a merge of a %s', (type) => {
  it('takes what the source put and removed, and keeps what the owner did', () => {
    const { sides, at } = parted(type, ['a', 'b', 'c', 'd']);
    const [owner, source] = sides as [Primary, Primary];
    put(owner, 'owner');
    remove(owner, 'a');
    put(source, 'source');
    remove(source, 'b');
    const told = merge(owner, source, at);
    expect(get(owner).sort()).toEqual(['c', 'd', 'owner', 'source']);
    expect([told.merged, told.discarded]).toEqual([2, []]);
  });

  it('leaves a pair that both sides removed removed', () => {
    const { sides, at } = parted(type, ['a', 'b']);
    const [owner, source] = sides as [Primary, Primary];
    removeAll(owner);
    remove(source, 'a');
    const told = merge(owner, source, at);
    expect([get(owner), told.merged, told.discarded]).toEqual([[], 0, []]);
  });

  it('keeps what one side put while the other removed an equal pair', () => {
    const { sides, at } = parted(type, ['a']);
    const [owner, source] = sides as [Primary, Primary];
    remove(owner, 'a');
    put(owner, 'a');
    remove(source, 'a');
    merge(owner, source, at);
    expect(get(owner)).toEqual(['a']);
    const back = parted(type, ['a']);
    const [second, third] = back.sides as [Primary, Primary];
    remove(second, 'a');
    remove(third, 'a');
    put(third, 'a');
    merge(second, third, back.at);
    expect(get(second)).toEqual(['a']);
  });

  it('remembers a removal that it has nothing to remove for', () => {
    const { sides, at } = parted(type, [], 3);
    const [owner, source, third] = sides as [Primary, Primary, Primary];
    put(source, 'a');
    // The third side has the pair by a merge of its own, from before it was removed.
    merge(third, source, at);
    remove(source, 'a');
    expect(merge(owner, source, at).merged).toBe(0);
    expect(merge(owner, third, at).merged).toBe(0);
    expect(get(owner)).toEqual([]);
  });

  it('takes nothing under Discard, and reports each put and each removal', () => {
    const { sides, at } = parted(type, ['a', 'b']);
    const [owner, source] = sides as [Primary, Primary];
    put(source, 'c');
    remove(source, 'a');
    remove(source, 'b');
    remove(owner, 'b');
    const told = merge(owner, source, at, { policy: 'Discard' });
    expect(get(owner)).toEqual(['a']);
    expect(lost(told).sort()).toEqual([
      ['source', 'k', null, 'c'],
      ['source', 'k', 'a', null],
    ]);
    expect(told.merged).toBe(0);
  });

  it('comes in pages of any size', () => {
    const { sides, at } = parted(type, ['a']);
    const [owner, source] = sides as [Primary, Primary];
    for (let i = 0; i < 50; i++) put(source, i, i % 3);
    remove(source, 'a');
    const told = merge(owner, source, at, { maxBytes: 100 });
    expect([told.merged, owner.state.entryCount]).toEqual([51, 50]);
  });
});

describe('equal pairs of two sides', () => {
  it('are one pair of a SET, and go with one removal', () => {
    const { sides, at } = parted('SET', []);
    const [owner, source] = sides as [Primary, Primary];
    put(owner, 'a');
    put(source, 'a');
    put(source, 'b');
    expect(merge(owner, source, at).merged).toBe(2);
    expect([get(owner), countOf(owner), owner.state.entryCount]).toEqual([['a', 'b'], 2, 2]);
    expect(put(owner, 'a').reply).toEqual({ added: false });
    expect(remove(owner, 'a').reply).toEqual({ removed: true });
    expect([get(owner), owner.state.entryCount]).toEqual([['b'], 1]);
  });

  it('are two of a LIST', () => {
    const { sides, at } = parted('LIST', ['a']);
    const [owner, source] = sides as [Primary, Primary];
    put(owner, 'a');
    put(source, 'a');
    merge(owner, source, at);
    expect(get(owner)).toEqual(['a', 'a', 'a']);
  });

  it('of a SET outlive a removal by a third side that saw only one of them', () => {
    const { sides, at } = parted('SET', [], 3);
    const [owner, source, third] = sides as [Primary, Primary, Primary];
    put(owner, 'a');
    merge(third, owner, at);
    put(source, 'a');
    remove(third, 'a');
    merge(owner, source, at);
    merge(owner, third, at);
    expect([get(owner), countOf(owner)]).toEqual([['a'], 1]);
  });

  it('under Discard are no loss when the owner has the value', () => {
    const { sides, at } = parted('SET', []);
    const [owner, source] = sides as [Primary, Primary];
    put(owner, 'a');
    put(source, 'a');
    expect(lost(merge(owner, source, at, { policy: 'Discard' }))).toEqual([]);
  });
});

describe('a call that does not count', () => {
  it('puts nothing, when the owner has put the pair itself', () => {
    const { sides, at } = parted('LIST', ['a']);
    const [owner, source] = sides as [Primary, Primary];
    put(owner, 'twice');
    const { seq } = put(source, 'twice');
    put(source, 'b');
    const told = merge(owner, source, at, { skipped: new Map([[seq, Buffer.alloc(0)]]) });
    expect([get(owner).sort(), told.merged, told.discarded]).toEqual([['a', 'b', 'twice'], 1, []]);
  });

  it('removes nothing that the owner has', () => {
    const { sides, at } = parted('SET', ['a']);
    const [owner, source] = sides as [Primary, Primary];
    const { seq } = remove(source, 'a');
    const told = merge(owner, source, at, { skipped: new Map([[seq, Buffer.alloc(0)]]) });
    expect([get(owner), lost(told)]).toEqual([['a'], []]);
  });

  it('is reported when it removed a pair that the owner never had', () => {
    const { sides, at } = parted('SET', []);
    const [owner, source] = sides as [Primary, Primary];
    put(source, 'a');
    const { seq } = remove(source, 'a');
    const told = merge(owner, source, at, { skipped: new Map([[seq, Buffer.alloc(0)]]) });
    expect(lost(told)).toEqual([['source', 'k', null, null]]);
    expect(told.discarded[0]?.reason).toMatch(/may have been lost/);
  });

  it('does not count either when the source has it from a third side', () => {
    const { sides, at } = parted('LIST', [], 3);
    const [owner, source, third] = sides as [Primary, Primary, Primary];
    put(owner, 'twice');
    put(third, 'twice');
    const trace = traceOf(third.log.at(-1)?.delta as Buffer) as Uint8Array;
    merge(source, third, at);
    merge(owner, source, at, { repeated: [trace] });
    expect(get(owner)).toEqual(['twice']);
  });

  it('is traced by the versions that it gave, unless it did too much', () => {
    const side = start('LIST');
    const many = (count: number) => ({
      pairs: Array.from({ length: count }, (_, i) => ({ key: encodeKey(i), value: codec.encode(i) })),
    });
    side.run(ops.putAll, many(12));
    expect(traceOf(side.log.at(-1)?.delta as Buffer)).toHaveLength(12 * 18);
    side.run(ops.putAll, many(13));
    expect(traceOf(side.log.at(-1)?.delta as Buffer)).toBeNull();
    removeAll(side, 0);
    expect(traceOf(side.log.at(-1)?.delta as Buffer)).toHaveLength(2 * 18);
    side.purgeAll();
    expect(traceOf(side.log.at(-1)?.delta as Buffer)).toBeNull();
  });
});

describe('anti-entropy', () => {
  it('makes the pairs of a hash, and what the index says of them, those of the other replica', () => {
    const right = start('LIST');
    for (let i = 0; i < 30; i++) put(right, i % 4, i % 3);
    const wrong = new Primary(MULTI_MAP.service, 'tags');
    for (const entry of right.log) wrong.apply(entry);
    wrong.seq = right.seq;
    // It lost some pairs, and one came to it from nowhere.
    for (let i = 0; i < 5; i++) remove(wrong, i % 4, i % 3);
    wrong.purgeAll();
    put(wrong, 'stray', 'odd');
    const { digested } = right.state;
    const hashes = new Set<number>();
    for (const { state } of [right, wrong])
      state.digested?.store.listDigests(0, 2 ** 32 - 1, 1_000, (hash) => void hashes.add(hash));
    const out = new Writer();
    for (const hash of hashes) digested?.writeHash(hash, out);
    const repaired = wrong.mend([...hashes], out.toBytes(), right.seq);
    expect(repaired).toBeGreaterThan(5);
    expect(wrong.state.dump()).toEqual(right.state.dump());
    checkIndex(wrong);
  });
});

interface Step {
  readonly side: number;
  readonly what: 'put' | 'remove' | 'removeAll' | 'clear';
  readonly key: number;
  readonly value: number;
}

/** A pair, by the put that made it. */
interface Tag {
  readonly id: number;
  readonly key: number;
  readonly value: number;
}

/** What a side has put, and which of all puts it has removed. */
interface Known {
  readonly put: Map<number, Tag>;
  readonly removed: Set<number>;
}

describe('any history of two or three sides', () => {
  const step: fc.Arbitrary<Step> = fc.record({
    side: fc.nat({ max: 2 }),
    what: fc.constantFrom('put', 'put', 'put', 'remove', 'remove', 'removeAll', 'clear'),
    key: fc.nat({ max: 2 }),
    value: fc.nat({ max: 2 }),
  });

  it.each(['SET', 'LIST'] as const)(
    'gives the union of what was put without what a removal saw, whatever the order of merging, as a %s',
    (type) => {
      const steps = fc.array(step, { maxLength: 25, size: 'max' });
      const property = fc.property(
        steps,
        steps,
        fc.boolean(),
        fc.nat({ max: 300 }),
        (first, then, swap, maxBytes) => {
          const before = start(type);
          const ids = { next: 0 };
          const shared: Known = { put: new Map(), removed: new Set() };
          for (const each of first) act(before, shared, { ...each, side: 0 }, ids, type);
          const at = before.seq;
          const sides = [1, 2, 3].map((n) => before.fork(actor(n)));
          const known = sides.map(() => ({ put: new Map(shared.put), removed: new Set(shared.removed) }));
          for (const each of then)
            act(sides[each.side] as Primary, known[each.side] as Known, each, ids, type);
          const [owner, ...others] = sides as [Primary, Primary, Primary];
          for (const other of swap ? others.reverse() : others) {
            const { discarded } = merge(owner, other, at, { maxBytes });
            expect(discarded).toEqual([]);
          }
          const removed = new Set(known.flatMap((one) => [...one.removed]));
          const alive = new Map(known.flatMap((one) => [...one.put]));
          for (const id of removed) alive.delete(id);
          expect(pairsOf(owner)).toEqual(shown([...alive.values()], type));
        },
      );
      fc.assert(property, { numRuns: 500 });
    },
  );

  /** Does the step to a side, and to what is known of it. */
  function act(side: Primary, known: Known, step: Step, ids: { next: number }, type: Type): void {
    const { what, key, value } = step;
    const here = [...known.put.values()].filter((tag) => !known.removed.has(tag.id) && tag.key === key);
    const equal = here.filter((tag) => tag.value === value);
    if (what === 'put') {
      const added = type === 'LIST' || equal.length === 0;
      expect(put(side, value, key).reply).toEqual({ added });
      if (added) known.put.set(ids.next, { id: ids.next++, key, value });
    } else if (what === 'remove') {
      expect(remove(side, value, key).reply).toEqual({ removed: equal.length > 0 });
      for (const { id } of type === 'SET' ? equal : equal.slice(0, 1)) known.removed.add(id);
    } else if (what === 'removeAll') {
      removeAll(side, key);
      for (const { id } of here) known.removed.add(id);
    } else {
      side.run(ops.clear, { cursor: 0, upTo: 0 });
      for (const id of known.put.keys()) known.removed.add(id);
    }
  }

  const textOf = (key: unknown, value: unknown) => `${key}/${value}`;
  const pairsOf = (side: Primary) =>
    scan(side, 'entries')
      .map((pair) => textOf(...pair))
      .sort();

  function shown(tags: readonly Tag[], type: Type): string[] {
    const texts = tags.map(({ key, value }) => textOf(key, value));
    return (type === 'SET' ? [...new Set(texts)] : texts).sort();
  }
});

describe('a put that both sides have carried out, because its caller tried it again', () => {
  const CALL = { client: 7, sequence: 3 };
  const done = (type: Type): Primary[] => {
    const { sides } = parted(type, ['x']);
    for (const side of sides) {
      side.call = CALL;
      put(side, 'a');
      side.call = null;
    }
    return sides;
  };
  /** What the source's call did, as the owner that has applied it too leaves it out. */
  const skips = (side: Primary): Options => ({
    skipped: new Map([[2, Buffer.from(side.log[1]?.delta ?? [])]]),
  });

  it.each(['SET', 'LIST'] as const)('is one pair: its removal on either side counts (%s)', (type) => {
    for (const remover of [0, 1]) {
      const [owner, source] = done(type) as [Primary, Primary];
      remove(remover === 0 ? owner : source, 'a');
      const { merged } = merge(owner, source, 1, skips(source));
      expect(get(owner)).toEqual(['x']);
      expect(merged).toBe(remover === 0 ? 0 : 1);
    }
  });

  it.each(['SET', 'LIST'] as const)('is one pair also when the owner has forgotten the call (%s)', (type) => {
    for (const remover of [0, 1, 2]) {
      const [owner, source] = done(type) as [Primary, Primary];
      if (remover < 2) remove(remover === 0 ? owner : source, 'a');
      merge(owner, source, 1);
      expect(get(owner)).toEqual(remover < 2 ? ['x'] : ['x', 'a']);
    }
  });

  it('takes no equal pair of another call with it', () => {
    const [owner, source] = done('LIST') as [Primary, Primary];
    put(owner, 'a');
    remove(source, 'a');
    merge(owner, source, 1, skips(source));
    expect(get(owner)).toEqual(['x', 'a']);
  });

  it('reports a removal that Discard does not take under the pair that stays', () => {
    const [owner, source] = done('SET') as [Primary, Primary];
    remove(source, 'a');
    const { discarded } = merge(owner, source, 1, { ...skips(source), policy: 'Discard' });
    expect(discarded.map(({ kept }) => kept !== null && codec.decode(kept))).toEqual(['a']);
  });
});
