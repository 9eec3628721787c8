/** Merging sides of a split of an atomic long: against the model of sums and bases, in any order, and bounded. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Actor, MergeContext } from '../../partitions/service.js';
import { ATOMIC_LONG_OPERATIONS as ops } from '../../partitions/services/atomiclong/ops.js';
import { ATOMIC_LONG } from '../../partitions/services/atomiclong/proxy.js';
import { ProtocolError } from '../../src/base/errors.js';
import { decodeKey } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';
import { type Merged, Primary, Replica } from './partition-harness.js';

const codec = new ValueCodec();
const NONE: ReadonlyMap<number, Uint8Array> = new Map();
const actor = (member: number, epoch = 1): Actor => ({
  memberHi: member,
  memberLo: 0,
  lineage: member,
  epoch,
});
const start = () => new Primary(ATOMIC_LONG.service, 'hits');
const add = (side: Primary, delta: number | bigint) => side.run(ops.getAndAdd, { delta: BigInt(delta) });
const set = (side: Primary, value: number | bigint) => side.run(ops.set, { value: BigInt(value) });
const longOf = (side: Primary) => (side.run(ops.get, {}).reply as { value: bigint }).value;
const plain = (bytes: Uint8Array | null) => (bytes === null ? null : codec.decode(bytes));
const wrap = (value: bigint) => BigInt.asIntN(64, value);

/** Merges what a side changed since `at`, twice, and checks that a backup of the owner goes along. */
function merge(
  owner: Primary,
  source: Primary,
  at: number,
  skipped = NONE,
  options: Partial<MergeContext> = {},
): Merged {
  const told: Merged = { merged: 0, discarded: [], resurrected: [], failed: [] };
  for (const page of source.changes({ sharedSeq: at, skipped })) {
    const { merged, discarded } = owner.merge(page, { sharedSeq: at, ...options });
    told.merged += merged;
    told.discarded.push(...discarded);
    const { seq } = owner;
    owner.merge(page, { sharedSeq: at, ...options });
    expect(owner.seq, 'a page that comes again changes nothing').toBe(seq);
  }
  const backup = new Replica(ATOMIC_LONG.service, 'hits');
  for (const entry of owner.log) backup.apply(entry);
  expect(backup.state.dump()).toEqual(owner.state.dump());
  return told;
}

interface Step {
  readonly side: number;
  readonly kind: 'add' | 'set' | 'getAndSet' | 'cas' | 'destroy' | 'takeover';
  readonly value: bigint;
  /** The owner applies the call as well, because its client sent it there again. */
  readonly isRepeated: boolean;
}

interface Addition {
  readonly amount: bigint;
}

interface Setting {
  readonly value: bigint;
  /** Order of all settings of all sides. */
  readonly time: number;
  readonly saw: ReadonlySet<Addition>;
}

/** What the design says of one side: the additions it knows and the last value set, with the additions that it saw. */
class Model {
  readonly additions: Set<Addition>;
  settings: Setting[];

  constructor(from?: Model) {
    this.additions = new Set(from?.additions);
    this.settings = [...(from?.settings ?? [])];
  }

  value(): bigint {
    const last = this.settings.reduce<Setting | null>(
      (a, b) => (a === null || b.time > a.time ? b : a),
      null,
    );
    let value = last?.value ?? 0n;
    for (const one of this.additions) if (last?.saw.has(one) !== true) value += one.amount;
    return wrap(value);
  }

  set(value: bigint, time: number): Setting {
    const setting = { value, time, saw: new Set(this.additions) };
    this.settings.push(setting);
    return setting;
  }

  /** With what another side did, except for what does not count. */
  merge(other: Model, without: ReadonlySet<unknown> = new Set()): void {
    for (const one of other.additions) if (!without.has(one)) this.additions.add(one);
    this.settings = [...this.settings, ...other.settings.filter((one) => !without.has(one))];
  }
}

interface Side {
  readonly primary: Primary;
  readonly model: Model;
  readonly member: number;
  /** Calls that the owner has applied as well: position here, and what they were in the model. */
  readonly skipped: Map<number, unknown>;
}

const long = fc.oneof(
  { weight: 4, arbitrary: fc.bigInt({ min: -5n, max: 5n }) },
  { weight: 1, arbitrary: fc.constantFrom(2n ** 63n - 1n, -(2n ** 63n)) },
);
const step: fc.Arbitrary<Step> = fc.record({
  side: fc.nat({ max: 2 }),
  kind: fc.constantFrom('add', 'add', 'add', 'set', 'getAndSet', 'cas', 'destroy', 'takeover'),
  value: long,
  isRepeated: fc.boolean(),
});

let clock = 0;

/** One step on a side, in the grid and in the model; gives the model's record of the change, or null. */
function run({ primary, model, member }: Side, { kind, value }: Step): Addition | Setting | null {
  clock++;
  if (kind === 'takeover') {
    primary.actor = actor(member, primary.actor.epoch + 1);
    return null;
  }
  if (kind === 'add') {
    add(primary, value);
    const addition = { amount: value };
    model.additions.add(addition);
    return addition;
  }
  if (kind === 'destroy') {
    return primary.run(ops.destroy, {}).seq > 0 ? model.set(0n, clock) : null;
  }
  if (kind === 'cas') primary.run(ops.compareAndSet, { expected: model.value(), value });
  else primary.run(kind === 'set' ? ops.set : ops.getAndSet, { value });
  return model.set(value, clock);
}

/** Three sides of one past that did these steps; later steps have later versions, on whatever side. */
function sidesAfter(
  before: readonly Step[],
  steps: readonly Step[],
  repeats: boolean,
): { sides: Side[]; at: number } {
  const past: Side = { primary: start(), model: new Model(), member: 9, skipped: new Map() };
  for (const each of before) run(past, each);
  const sides = [1, 2, 3].map(
    (member): Side => ({
      primary: past.primary.fork(actor(member)),
      model: new Model(past.model),
      member,
      skipped: new Map(),
    }),
  );
  const owner = sides[0] as Side;
  const catchUp = (side: Side) => {
    for (const { primary } of sides)
      side.primary.versions = Math.max(side.primary.versions, primary.versions);
  };
  for (const each of steps) {
    const side = sides[each.side] as Side;
    catchUp(side);
    const change = run(side, each);
    if (change !== null && repeats && each.isRepeated && side !== owner) {
      catchUp(owner);
      if (run(owner, each) !== null) side.skipped.set(side.primary.seq, change);
    }
    expect(longOf(side.primary)).toBe(side.model.value());
  }
  return { sides, at: past.primary.seq };
}

function skippedOf({ primary, skipped }: Side): Map<number, Uint8Array> {
  return new Map([...skipped.keys()].map((seq) => [seq, primary.log[seq - 1]?.delta as Buffer]));
}

describe('a merge of an atomic long', () => {
  const past = fc.array(step, { maxLength: 6 });
  const steps = fc.array(step, { maxLength: 30, size: 'max' });

  it('gives what the design says, the same in whatever order and over whatever way the sides come', () => {
    const property = fc.property(past, steps, (before, list) => {
      const { sides, at } = sidesAfter(before, list, false);
      const wanted = new Model();
      for (const { model } of sides) wanted.merge(model);
      const outcomes = [];
      for (const [a, b, c] of [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [2, 0, 1],
      ] as const) {
        const [first, second, third] = [a, b, c].map((i) => {
          const { primary, member } = sides[i] as Side;
          return primary.fork(actor(member, 99));
        }) as [Primary, Primary, Primary];
        merge(first, second, at);
        // To the third comes what the first has taken in already.
        if (a === 1) merge(third, first, at);
        else merge(first, third, at);
        outcomes.push(longOf(a === 1 ? third : first));
      }
      expect(outcomes).toEqual(outcomes.map(() => wanted.value()));
    });
    fc.assert(property, { numRuns: 150 });
  });

  it('counts a call once that both sides have applied', () => {
    const property = fc.property(past, steps, (before, list) => {
      const { sides, at } = sidesAfter(before, list, true);
      const [owner, ...others] = sides as [Side, Side, Side];
      const wanted = new Model(owner.model);
      for (const side of others) wanted.merge(side.model, new Set(side.skipped.values()));
      for (const side of others) merge(owner.primary, side.primary, at, skippedOf(side));
      expect(longOf(owner.primary)).toBe(wanted.value());
    });
    fc.assert(property, { numRuns: 150 });
  });

  it('goes on where a backup of the source with fewer positions had begun', () => {
    const property = fc.property(past, steps, steps, (before, list, more) => {
      const { sides, at } = sidesAfter(before, [...list, ...more], true);
      const [owner, source] = sides as [Side, Side, Side];
      const wanted = new Model(owner.model);
      wanted.merge(source.model, new Set(source.skipped.values()));
      const cut = at + ((source.primary.seq - at) >> 1);
      const behind = start();
      for (const entry of source.primary.log.slice(0, cut)) behind.apply(entry);
      const skipped = skippedOf(source);
      const shorter = new Map([...skipped].filter(([seq]) => seq <= cut));
      for (const page of behind.changes({ sharedSeq: at, skipped: shorter })) {
        owner.primary.merge(page, { sharedSeq: at });
      }
      merge(owner.primary, source.primary, at, skipped);
      expect(longOf(owner.primary)).toBe(wanted.value());
    });
    fc.assert(property, { numRuns: 100 });
  });

  it('adds no addition twice when the owner names calls that it knows by an earlier merge', () => {
    const before = start();
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    for (const amount of [1, 2, 4]) add(source, amount);
    merge(owner, source, 0);
    add(source, 8);
    const known = new Map(source.log.slice(0, 3).map(({ seq, delta }) => [seq, delta]));
    merge(owner, source, 0, known);
    expect(longOf(owner)).toBe(15n);
  });

  it('goes by the value before calls that the owner has declared void', () => {
    const before = start();
    set(before, 1);
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    const seqs = [10, 20, 30].map((value) => set(source, value).seq).slice(1);
    add(source, 3);
    seqs.push(add(source, 100).seq);
    const skipped = new Map(seqs.map((seq) => [seq, source.log[seq - 1]?.delta as Buffer]));
    expect(merge(owner, source, 1, skipped).discarded).toEqual([]);
    expect(longOf(owner)).toBe(13n);
  });

  it('reports a value that was set and overtaken, with the value that is there now', () => {
    for (const winner of ['owner', 'source'] as const) {
      const before = start();
      set(before, 1);
      const sides = { owner: before.fork(actor(1)), source: before.fork(actor(2)) };
      const loser = winner === 'owner' ? 'source' : 'owner';
      set(sides[loser], 10);
      add(sides[loser], 3);
      sides[winner].versions = sides[loser].versions + 100;
      set(sides[winner], 20);
      const { discarded } = merge(sides.owner, sides.source, 1);
      expect(longOf(sides.owner)).toBe(23n);
      expect(discarded.map((entry) => [entry.side, plain(entry.kept), plain(entry.discarded)])).toEqual([
        [loser, 23n, 10n],
      ]);
      expect(decodeKey(discarded[0]?.key as Uint8Array)).toBe('hits');
    }
  });

  it('reports nothing when only one side set a value, or both the same', () => {
    const before = start();
    set(before, 1);
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    set(source, 10);
    add(owner, 5);
    expect(merge(owner, source, 1)).toMatchObject({ merged: 1, discarded: [] });
    expect(longOf(owner)).toBe(15n);
    const [a, b] = [before.fork(actor(1)), before.fork(actor(2))];
    set(a, 7);
    set(b, 7);
    expect(merge(a, b, 1).discarded).toEqual([]);
    expect(longOf(a)).toBe(7n);
  });

  it('keeps a removal against additions that it saw, and additions against a removal that did not see them', () => {
    const before = start();
    add(before, 5);
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    source.run(ops.destroy, {});
    const alone = owner.fork(actor(3));
    merge(alone, source, 1);
    expect([longOf(alone), alone.state.entryCount]).toEqual([0n, 0]);
    add(owner, 2);
    merge(owner, source, 1);
    expect([longOf(owner), owner.state.entryCount]).toEqual([2n, 1]);
    owner.purgeAll();
    expect(longOf(owner)).toBe(2n);
  });

  it('knows what a removal had seen when the owner has forgotten the removal', () => {
    const before = start();
    add(before, 100);
    before.run(ops.destroy, {});
    const source = before.fork(before.actor);
    const owner = before.fork(actor(1));
    owner.purgeAll();
    add(owner, 1);
    add(source, 2);
    merge(owner, source, 2);
    expect(longOf(owner)).toBe(3n);
  });

  it('takes nothing under Discard, and reports the value of the source once it has one of its own', () => {
    const before = start();
    add(before, 5);
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    add(source, 2);
    const page = source.changes({ sharedSeq: 1, skipped: NONE })[0] as Buffer;
    const { discarded } = owner.merge(page, { sharedSeq: 1, policy: 'Discard' });
    expect(discarded.map((entry) => [entry.side, plain(entry.kept), plain(entry.discarded)])).toEqual([
      ['source', 5n, 7n],
    ]);
    expect([longOf(owner), owner.seq]).toEqual([5n, 1]);
    const both = new Map([[2, source.log[1]?.delta as Buffer]]);
    const known = source.changes({ sharedSeq: 1, skipped: both })[0] as Buffer;
    expect(owner.merge(known, { sharedSeq: 1, policy: 'Discard' }).discarded).toEqual([]);
  });

  it('refuses a page that lies about its size', () => {
    const [owner, source] = [start(), start().fork(actor(2))];
    add(source, 1);
    const page = source.changes({ sharedSeq: 0, skipped: NONE })[0] as Buffer;
    page.writeUInt32LE(0xffff_ffff, 9);
    expect(() => owner.merge(page, { sharedSeq: 0 })).toThrow(ProtocolError);
    expect(owner.state.dump()).toEqual([]);
  });
});

describe('an atomic long of many takeovers', () => {
  /** `count` primaries, one after the other, each of which adds its number. */
  function taken(count: number): { side: Primary; sum: bigint } {
    const side = start();
    let sum = 0n;
    for (let i = 1; i <= count; i++) {
      side.actor = actor(1, i);
      add(side, i);
      sum += BigInt(i);
    }
    return { side, sum };
  }

  it('folds the sums of long ago into its base, down to what it always keeps, at the backup too', () => {
    const { side, sum } = taken(100);
    const before = side.state.sizeBytes;
    side.purgeAll();
    expect(longOf(side)).toBe(sum);
    expect(side.state.sizeBytes).toBeLessThan(before);
    const backup = new Replica(ATOMIC_LONG.service);
    for (const entry of side.log) backup.apply(entry);
    expect(backup.state.dump()).toEqual(side.state.dump());
    side.purgeAll();
    expect(side.log.length).toBe(101);
  });

  it('folds nothing that a fork of within the retention may still have to do with', () => {
    const { side } = taken(100);
    side.purgeAll({ seq: side.seq, ms: 0 });
    expect(side.log.length).toBe(100);
  });

  it('merges sides that parted before the folding', () => {
    const { side, sum } = taken(100);
    const source = side.fork(actor(2));
    const last = side.fork(side.actor);
    side.actor = actor(3);
    add(side, 1_000);
    side.purgeAll();
    add(source, 10_000);
    add(last, 100_000);
    merge(side, source, 100);
    merge(side, last, 100);
    expect(longOf(side)).toBe(sum + 111_000n);
  });

  it('has a bound whatever its age', () => {
    const { side, sum } = taken(1_100);
    expect(longOf(side)).toBe(sum);
    expect(side.log.at(-1)?.delta.length).toBeLessThan(64 * 1024);
  });
});
