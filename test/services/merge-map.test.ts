/** Merging two sides of a split of a map: every policy, user functions, what is reported, and what comes twice. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MERGE_POLICIES, type MergeFunction, MergeFunctions } from '../../partitions/merge-policies.js';
import type { Actor, MergeContext } from '../../partitions/service.js';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import { ProtocolError } from '../../src/base/errors.js';
import { decodeKey, encodeKey } from '../../src/wire/keys.js';
import type { ReplyOf } from '../../src/wire/message.js';
import { ValueCodec } from '../../src/wire/values.js';
import { type Merged, Primary, Replica } from './partition-harness.js';

const codec = new ValueCodec();
const KEY = encodeKey('k');
const NONE: ReadonlyMap<number, Uint8Array> = new Map();
const actor = (n: number): Actor => ({ memberHi: n, memberLo: n, lineage: n, epoch: n });

const put = (side: Primary, value: unknown, key = KEY) =>
  side.run(ops.set, { key, value: codec.encode(value) });
const remove = (side: Primary, key = KEY) => side.run(ops.delete, { key });
const read = (side: Primary, key = KEY): unknown => {
  const { value } = side.run(ops.get, { key }).reply as ReplyOf<typeof ops.get>;
  return value === null ? null : codec.decode(value);
};
const hit = (side: Primary, times: number) => {
  for (let i = 0; i < times; i++) side.run(ops.get, { key: KEY });
};
const plain = (bytes: Uint8Array | null) => (bytes === null ? null : codec.decode(bytes));

/** Two sides that parted with these contents; what only one of them does later has later versions. */
function parted(...contents: (readonly [string, unknown])[]): {
  owner: Primary;
  source: Primary;
  at: number;
} {
  const before = new Primary(MAP.service, 'users');
  for (const [key, value] of contents) put(before, value, encodeKey(key));
  return { owner: before.fork(actor(1)), source: before.fork(actor(2)), at: before.seq };
}

/** What the versions of a side are from here on is later than those of the other. */
function later(side: Primary, than: Primary): void {
  side.versions = Math.max(side.versions, than.versions) + 100;
  side.wallMs = Math.max(side.wallMs, than.wallMs) + 100;
}

/** Merges, twice as a network may, and checks that a backup of the owner goes along. */
function merge(
  owner: Primary,
  source: Primary,
  at: number,
  options: Partial<MergeContext> & { readonly maxBytes?: number } = {},
): Merged {
  const { maxBytes, ...rest } = options;
  const told: Merged = { merged: 0, discarded: [], resurrected: [], failed: [] };
  for (const page of source.changes({ sharedSeq: at, skipped: NONE }, maxBytes)) {
    const { merged, discarded, resurrected, failed } = owner.merge(page, { sharedSeq: at, ...rest });
    told.merged += merged;
    told.discarded.push(...discarded);
    told.resurrected.push(...resurrected);
    told.failed.push(...failed);
    const once = owner.state.dump();
    const again = owner.merge(page, { sharedSeq: at, ...rest });
    expect(owner.state.dump()).toEqual(once);
    expect([again.discarded, again.resurrected, again.failed]).toEqual([[], [], []]);
  }
  const backup = new Replica(MAP.service);
  for (const entry of owner.log) backup.apply(entry);
  expect(backup.state.dump()).toEqual(owner.state.dump());
  expect(backup.state.sizeBytes).toBe(owner.state.sizeBytes);
  return told;
}

/** `[side, kept, discarded]` of each entry. */
const lost = ({ discarded }: Merged) =>
  discarded.map((entry) => [entry.side, plain(entry.kept), plain(entry.discarded)]);

const functions = (name: string, decide: MergeFunction) => {
  const registered = new MergeFunctions(codec);
  registered.register(name, decide);
  return { policy: name, functions: registered };
};

const taking = MERGE_POLICIES.map(({ name }) => name).filter((name) => name !== 'Discard');

describe.each(taking)('a merge by %s', (policy) => {
  it('takes what only the source changed, removals and new entries too', () => {
    const { owner, source, at } = parted(['k', 'old'], ['gone', 1], ['same', 1]);
    put(source, 'new');
    remove(source, encodeKey('gone'));
    put(source, 'first', encodeKey('fresh'));
    const told = merge(owner, source, at, { policy });
    expect(['k', 'gone', 'same', 'fresh'].map((key) => read(owner, encodeKey(key)))).toEqual([
      'new',
      null,
      1,
      'first',
    ]);
    expect([told.merged, told.discarded, told.resurrected]).toEqual([3, [], []]);
  });

  it('leaves alone what only the owner changed', () => {
    const { owner, source, at } = parted(['k', 'old'], ['gone', 1]);
    put(owner, 'new');
    remove(owner, encodeKey('gone'));
    const told = merge(owner, source, at, { policy });
    expect([read(owner), read(owner, encodeKey('gone'))]).toEqual(['new', null]);
    expect([told.merged, told.discarded]).toEqual([0, []]);
  });

  it('tells nothing of an equal value, and of a removal on both sides', () => {
    for (const change of [(side: Primary) => put(side, 'new'), (side: Primary) => remove(side)]) {
      const { owner, source, at } = parted(['k', 'old']);
      change(owner);
      later(source, owner);
      change(source);
      const told = merge(owner, source, at, { policy });
      expect([told.merged, told.discarded]).toEqual([1, []]);
    }
  });

  it('of a removal of what the owner does not know changes nothing that a user can see, and is not forgotten', () => {
    const { owner, source, at } = parted();
    put(source, 1);
    remove(source);
    expect(merge(owner, source, at, { policy })).toMatchObject({ merged: 0, discarded: [] });
    expect(owner.state.entryCount).toBe(0);
    expect(owner.state.dump()).toEqual(source.state.dump());
  });
});

interface Conflict {
  readonly policy: string;
  /** What each side does; `last` does it later. */
  readonly owner: (side: Primary) => void;
  readonly source: (side: Primary) => void;
  readonly last: 'owner' | 'source';
  readonly kept: unknown;
  readonly lost: 'owner' | 'source';
}

const A = (side: Primary) => void put(side, 'a');
const B = (side: Primary) => void put(side, 'b');
const GONE = (side: Primary) => void remove(side);
const readTimes = (times: number, write: (side: Primary) => void) => (side: Primary) => {
  write(side);
  hit(side, times);
};
const both = (
  policy: string,
  rows: readonly (readonly [Conflict['owner'], Conflict['source'], Conflict['last'], unknown])[],
) =>
  rows.map(
    ([owner, source, last, kept]): Conflict => ({
      policy,
      owner,
      source,
      last,
      kept,
      lost: kept === 'a' ? 'source' : 'owner',
    }),
  );

const conflicts: Conflict[] = [
  ...both('LatestUpdate', [
    [A, B, 'source', 'b'],
    [A, B, 'owner', 'a'],
    [A, GONE, 'source', null],
    [A, GONE, 'owner', 'a'],
    [GONE, B, 'source', 'b'],
  ]),
  ...both('PassThrough', [
    [A, B, 'source', 'b'],
    [A, B, 'owner', 'b'],
    [A, GONE, 'owner', null],
    [GONE, B, 'owner', 'b'],
  ]),
  ...both('PutIfAbsent', [
    [A, B, 'source', 'a'],
    [A, B, 'owner', 'a'],
    [A, GONE, 'source', 'a'],
    [GONE, B, 'owner', 'b'],
  ]),
  ...both('HigherHits', [
    [readTimes(2, A), readTimes(5, B), 'owner', 'b'],
    [readTimes(5, A), readTimes(2, B), 'source', 'a'],
    [A, B, 'source', 'b'],
    [readTimes(5, A), GONE, 'source', null],
    [A, GONE, 'owner', 'a'],
    [GONE, readTimes(5, B), 'source', 'b'],
  ]),
  ...both('LatestAccess', [
    [readTimes(1, A), B, 'source', 'a'],
    [A, readTimes(1, B), 'owner', 'b'],
    [A, B, 'owner', 'a'],
    [readTimes(1, A), GONE, 'source', null],
  ]),
  ...both('ExpirationTime', [
    [A, B, 'source', 'b'],
    [A, B, 'owner', 'a'],
    [A, GONE, 'source', null],
  ]),
  ...both('Discard', [
    [A, B, 'source', 'a'],
    [A, GONE, 'source', 'a'],
  ]),
];

describe('an entry that both sides changed', () => {
  it.each(conflicts.map((row, i) => [i, row.policy, row.last, row.kept, row] as const))(
    '%i: by %s, the later change on the side of the %s, becomes %s',
    (_i, policy, last, kept, row) => {
      const { owner, source, at } = parted(['k', 'old']);
      if (last === 'source') {
        row.owner(owner);
        later(source, owner);
        row.source(source);
      } else {
        row.source(source);
        later(owner, source);
        row.owner(owner);
      }
      const values = { owner: read(owner.fork(owner.actor)), source: read(source.fork(source.actor)) };
      const told = merge(owner, source, at, { policy });
      expect(read(owner)).toBe(kept);
      expect(lost(told)).toEqual([[row.lost, kept, values[row.lost]]]);
      expect(told.discarded[0]).toMatchObject({ reason: policy });
      expect(decodeKey(told.discarded[0]?.key as Uint8Array)).toBe('k');
    },
  );

  it('is decided for good: what is kept against the order of versions is the latest from then on', () => {
    for (const policy of ['PassThrough', 'PutIfAbsent']) {
      const { owner, source, at } = parted(['k', 'old']);
      const third = owner.fork(actor(3));
      const [first, second] = policy === 'PassThrough' ? [source, owner] : [owner, source];
      put(first, 'kept');
      later(second, first);
      put(second, 'lost');
      put(third, 'oldest');
      const mark = owner.seq;
      merge(owner, source, at, { policy });
      expect(read(owner)).toBe('kept');
      expect(owner.seq).toBeGreaterThan(mark);
      merge(owner, second === owner ? source : second, at, { policy: 'LatestUpdate' });
      expect(read(owner)).toBe('kept');
      merge(owner, third, at, { policy: 'LatestUpdate' });
      expect(read(owner)).toBe('kept');
    }
  });

  it('compares expiry times, never being the latest', () => {
    const decide = MERGE_POLICIES.find(({ name }) => name === 'ExpirationTime')!.decide;
    const entry = (expiresMs: number, ms: number) => ({
      ...{ ms, counter: 0, memberHi: 0, memberLo: 0, tombstone: false, hits: 0, accessedMs: 0 },
      ...{ updatedMs: 0, ttlMs: 0, maxIdleMs: 0, staleMs: 0 },
      expiresMs,
    });
    expect(decide(entry(100, 2), entry(200, 1))).toBe('source');
    expect(decide(entry(200, 1), entry(100, 2))).toBe('owner');
    expect(decide(entry(0, 1), entry(100, 2))).toBe('owner');
    expect(decide(entry(100, 2), entry(0, 1))).toBe('source');
    expect(decide(entry(0, 1), entry(0, 2))).toBe('source');
  });
});

describe('what expired or was evicted on one side', () => {
  const TTL_MS = 1_000;
  const putFor = (side: Primary, value: unknown) =>
    side.run(ops.set, { key: KEY, value: codec.encode(value), life: { ttlMs: TTL_MS, maxIdleMs: 0 } });
  const expire = (side: Primary) => {
    side.wallMs += TTL_MS;
    side.versions += 4 * TTL_MS;
    expect(side.expireAll()).toBe(1);
  };
  const evict = (side: Primary) => side.evict([KEY]);
  const policies = MERGE_POLICIES.filter(({ takes }) => takes).map(({ name }) => name);

  it.each(policies)('leaves what the owner has, by %s', (policy) => {
    const { owner, source, at } = parted(['k', 'old']);
    evict(source);
    const told = merge(owner, source, at, { policy });
    expect([read(owner), lost(told)]).toEqual(['old', []]);
  });

  it.each(policies)('leaves what the owner wrote later than the value that ended, by %s', (policy) => {
    const { owner, source, at } = parted();
    putFor(source, 'short');
    later(owner, source);
    put(owner, 'later');
    expire(source);
    const told = merge(owner, source, at, { policy });
    expect([read(owner), lost(told)]).toEqual(['later', []]);
  });

  it.each(policies)('is replaced at the owner by what the source wrote later, by %s', (policy) => {
    const { owner, source, at } = parted();
    putFor(owner, 'short');
    later(source, owner);
    put(source, 'later');
    expire(owner);
    const told = merge(owner, source, at, { policy });
    expect([read(owner), lost(told)]).toEqual(['later', []]);
  });

  it('does not bring back the value that the one which ended had replaced', () => {
    const { owner, source, at } = parted(['k', 'old']);
    later(source, owner);
    putFor(source, 'short');
    expire(source);
    merge(owner, source, at);
    expect(read(owner)).toBeNull();
  });

  it('travels with its times: an entry of the source ends where it is taken', () => {
    const { owner, source, at } = parted();
    putFor(source, 'short');
    const endMs = source.wallMs - 1 + TTL_MS;
    merge(owner, source, at);
    owner.wallMs = endMs - 1;
    expect(read(owner)).toBe('short');
    owner.wallMs = endMs;
    expect(read(owner)).toBeNull();
  });
});

describe('a merge by Discard', () => {
  it('takes nothing, conflict or not, and tells each change of the source', () => {
    const { owner, source, at } = parted(['k', 'old'], ['gone', 1], ['same', 1]);
    put(source, 'new');
    remove(source, encodeKey('gone'));
    put(source, 'first', encodeKey('fresh'));
    put(source, 1, encodeKey('same'));
    const told = merge(owner, source, at, { policy: 'Discard' });
    expect(['k', 'gone', 'fresh'].map((key) => read(owner, encodeKey(key)))).toEqual(['old', 1, null]);
    expect(lost(told).sort()).toEqual(
      [
        ['source', 'old', 'new'],
        ['source', 1, null],
        ['source', null, 'first'],
      ].sort(),
    );
  });
});

describe('a merge function', () => {
  it('gets both entries with their values, times and versions, and gives the value that stays', () => {
    const { owner, source, at } = parted(['k', ['x']]);
    put(owner, ['x', 'a']);
    hit(owner, 3);
    later(source, owner);
    put(source, ['x', 'b']);
    const seen: unknown[] = [];
    const union: MergeFunction = (conflict) => {
      seen.push(conflict);
      return [...new Set([conflict.existing, conflict.merging].flatMap((entry) => entry?.value as string[]))];
    };
    const told = merge(owner, source, at, functions('union', union));
    expect(read(owner)).toEqual(['x', 'a', 'b']);
    expect(seen).toMatchObject([
      {
        name: 'users',
        key: 'k',
        existing: { key: 'k', value: ['x', 'a'], hits: 3, expirationTime: Number.POSITIVE_INFINITY },
        merging: { value: ['x', 'b'], hits: 0, version: { member: '0000000200000002' } },
      },
    ]);
    expect(lost(told)).toEqual([
      ['source', ['x', 'a', 'b'], ['x', 'b']],
      ['owner', ['x', 'a', 'b'], ['x', 'a']],
    ]);
  });

  it('is not asked again about what comes again, even when something was written since', () => {
    const { owner, source, at } = parted(['k', 1]);
    put(owner, 10);
    put(source, 100);
    const sum = functions(
      'sum',
      ({ existing, merging }) => (existing?.value as number) + (merging?.value as number),
    );
    merge(owner, source, at, sum);
    expect(read(owner)).toBe(110);
    put(owner, 5);
    expect(merge(owner, source, at, sum).discarded).toEqual([]);
    expect(read(owner)).toBe(5);
  });

  it.each([
    ['existing', 'a', [['source', 'a', 'b']]],
    ['merging', 'b', [['owner', 'b', 'a']]],
    [
      'null',
      null,
      [
        ['source', null, 'b'],
        ['owner', null, 'a'],
      ],
    ],
    [
      'undefined',
      null,
      [
        ['source', null, 'b'],
        ['owner', null, 'a'],
      ],
    ],
  ])('that gives %s decides for %s', (what, kept, discarded) => {
    const { owner, source, at } = parted(['k', 'old']);
    put(source, 'b');
    later(owner, source);
    put(owner, 'a');
    const decide: MergeFunction = ({ existing, merging }) =>
      ({ existing: existing?.value, merging: merging?.value, null: null })[what as 'null'];
    const told = merge(owner, source, at, functions('f', decide));
    expect(read(owner)).toBe(kept);
    expect(lost(told)).toEqual(discarded);
    expect(told.failed).toEqual([]);
  });

  it('sees null for an entry that was removed', () => {
    const { owner, source, at } = parted(['k', 'old']);
    remove(owner);
    put(source, 'b');
    const keep = functions('keep', ({ existing, merging }) => existing ?? merging?.value);
    expect(lost(merge(owner, source, at, keep))).toEqual([['owner', 'b', null]]);
    expect(read(owner)).toBe('b');
  });

  it.each<[string, MergeFunction, RegExp]>([
    [
      'throws',
      () => {
        throw new Error('no idea');
      },
      /merge function f: no idea/,
    ],
    [
      'throws no error',
      () => {
        throw 'nothing';
      },
      /merge function f: nothing/,
    ],
    ['gives what cannot be stored', () => () => 1, /merge function f: value/],
    ['gives a promise', () => Promise.reject(new Error('late')), /it gave a promise/],
  ])('that %s leaves the entry as it is, and says so', (_what, decide, reason) => {
    const { owner, source, at } = parted(['k', 'old'], ['other', 1]);
    put(owner, 'a');
    put(source, 'b');
    put(source, 2, encodeKey('other'));
    const told = merge(owner, source, at, functions('f', decide));
    expect([read(owner), read(owner, encodeKey('other'))]).toEqual(['a', 2]);
    expect(told.failed.map(({ reason }) => reason)).toEqual([expect.stringMatching(reason)]);
    expect(lost(told)).toEqual([['source', 'a', 'b']]);
    expect(told.discarded[0]?.reason).toMatch(reason);
  });

  it('that is not registered here decides nothing', () => {
    const { owner, source, at } = parted(['k', 'old']);
    put(owner, 'a');
    put(source, 'b');
    const told = merge(owner, source, at, { policy: 'elsewhere' });
    expect(read(owner)).toBe('a');
    expect(told.failed[0]?.reason).toMatch(/elsewhere: it is not registered/);
  });

  it('has a free name and is synchronous', () => {
    const registered = new MergeFunctions(codec);
    registered.register('mine', () => 1);
    expect(registered.names).toEqual(['mine']);
    for (const [name, decide, message] of [
      ['mine', () => 2, /already/],
      ['Discard', () => 2, /already/],
      ['', () => 2, /1 to 256/],
      ['later', async () => 2, /not async/],
      ['none', 5, /expected a function/],
    ] as const) {
      expect(() => registered.register(name, decide as MergeFunction)).toThrow(message);
    }
  });
});

describe('a merge of a map', () => {
  it('leaves out what calls did that the owner has applied itself', () => {
    const { owner, source, at } = parted();
    put(source, 'mine');
    const repeated = put(source, 'theirs', encodeKey('other')).seq;
    const skipped = new Map([[repeated, source.log.at(-1)?.delta as Buffer]]);
    for (const page of source.changes({ sharedSeq: at, skipped })) owner.merge(page, { sharedSeq: at });
    expect([read(owner), read(owner, encodeKey('other'))]).toEqual(['mine', null]);
  });

  it('keeps versions, so that the order of writes is the same on both sides, and later writes are later', () => {
    const { owner, source, at } = parted(['k', 'old']);
    later(source, owner);
    put(source, 'new');
    merge(owner, source, at);
    expect(owner.state.dump()).toEqual(source.state.dump());
    put(owner, 'newest');
    const version = (side: Primary) =>
      (side.run(ops.getEntryView, { key: KEY }).reply as ReplyOf<typeof ops.getEntryView>).entry?.versionMs ??
      0;
    expect(version(owner)).toBeGreaterThanOrEqual(version(source));
    merge(owner, source, at);
    expect(read(owner)).toBe('newest');
  });

  it('reports a removal that it brings back when its mark is gone', () => {
    const { owner, source, at } = parted(['k', 'old'], ['steady', 1]);
    remove(owner);
    owner.purgeAll();
    put(source, 'changed');
    put(source, 'fresh', encodeKey('fresh'));
    const told = merge(owner, source, at);
    expect(read(owner)).toBe('changed');
    expect(told.resurrected.map(decodeKey)).toEqual(['k']);
  });

  it('goes in pages, and makes a delta of bounded size', () => {
    const { owner, source, at } = parted();
    const big = Buffer.alloc(600 * 1024, 7);
    for (let i = 0; i < 9; i++) put(source, big, encodeKey(i));
    const pages = source.changes({ sharedSeq: at, skipped: NONE }, 100_000_000);
    expect(pages).toHaveLength(1);
    const before = owner.log.length;
    expect(owner.merge(pages[0] as Buffer, { sharedSeq: at }).merged).toBe(9);
    const sizes = owner.log.slice(before).map(({ delta }) => delta.length);
    expect(sizes.length).toBeGreaterThan(3);
    expect(Math.max(...sizes)).toBeLessThan(2 * 1024 * 1024);
    expect(source.changes({ sharedSeq: at, skipped: NONE }, 1)).toHaveLength(9);
    expect(owner.state.dump()).toEqual(source.state.dump());
  });

  it('refuses records with impossible times', () => {
    const { owner, source, at } = parted();
    put(source, 1);
    const page = source.changes({ sharedSeq: at, skipped: NONE })[0] as Buffer;
    page.writeDoubleLE(Number.POSITIVE_INFINITY, 2);
    expect(() => owner.merge(page, { sharedSeq: at })).toThrow(ProtocolError);
    expect(owner.state.dump()).toEqual([]);
  });

  it('copies what it has merged to new replicas, until housekeeping forgets it', () => {
    const { owner, source, at } = parted(['k', 1]);
    put(owner, 10);
    put(source, 100);
    const pages = source.changes({ sharedSeq: at, skipped: NONE });
    const pass = { policy: 'PassThrough', sharedSeq: at };
    for (const page of pages) owner.merge(page, pass);
    put(owner, 'later');
    const successor = new Primary(MAP.service, 'users');
    for (let cursor = 0; cursor >= 0; ) {
      const { chunk, next } = owner.copy(cursor, 50);
      successor.paste(chunk);
      cursor = next;
    }
    successor.seq = owner.seq;
    successor.versions = owner.versions;
    for (const page of pages) successor.merge(page, pass);
    expect([read(successor), successor.state.sizeBytes]).toEqual(['later', owner.state.sizeBytes]);
    owner.purgeAll();
    const backup = new Replica(MAP.service);
    for (const entry of owner.log) backup.apply(entry);
    expect(owner.state.sizeBytes).toBeLessThan(successor.state.sizeBytes);
    expect(backup.state.sizeBytes).toBe(owner.state.sizeBytes);
  });

  it('by LatestUpdate has the same outcome in whatever order sides come in', () => {
    const step = fc.record({
      side: fc.nat({ max: 2 }),
      key: fc.nat({ max: 4 }),
      value: fc.option(fc.nat({ max: 3 })),
    });
    const property = fc.property(
      fc.array(step, { maxLength: 10 }),
      fc.array(step, { maxLength: 30 }),
      (before, steps) => {
        const start = new Primary(MAP.service);
        const write = (side: Primary, { key, value }: { key: number; value: number | null }) => {
          const bytes = encodeKey(key);
          if (value === null) remove(side, bytes);
          else put(side, value, bytes);
        };
        for (const each of before) write(start, each);
        const sides = [1, 2, 3].map((n) => start.fork(actor(n)));
        const latest = new Map<number, number | null>(before.map(({ key, value }) => [key, value]));
        for (const each of steps) {
          const side = sides[each.side] as Primary;
          const known = read(side, encodeKey(each.key));
          for (const other of sides) side.versions = Math.max(side.versions, other.versions);
          write(side, each);
          // A removal of what the side does not have is no change.
          if (each.value !== null || known !== null) latest.set(each.key, each.value);
        }
        const at = start.seq;
        const outcomes = [
          [0, 1, 2],
          [0, 2, 1],
          [1, 0, 2],
          [2, 1, 0],
          [1, 2, 0],
        ].map((order) => {
          const [owner, ...others] = order.map((i) => (sides[i] as Primary).fork(actor(i + 1))) as [
            Primary,
            ...Primary[],
          ];
          for (const other of others) merge(owner, other, at);
          merge(owner, others[0] as Primary, at);
          return [0, 1, 2, 3, 4].map((key) => read(owner, encodeKey(key)));
        });
        const wanted = [0, 1, 2, 3, 4].map((key) => latest.get(key) ?? null);
        for (const outcome of outcomes) expect(outcome).toEqual(wanted);
      },
    );
    fc.assert(property, { numRuns: 60 });
  });
});
