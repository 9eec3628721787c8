/**
 * Merging atomic longs under every combination of short sequences of additions and of calls that set a value, on two sides
 * of a split and on three, in every order in time: against `long-model.ts`, with what each call answers and each report.
 */
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Actor } from '../../partitions/service.js';
import { ATOMIC_LONG_OPERATIONS as ops } from '../../partitions/services/atomiclong/ops.js';
import { ATOMIC_LONG } from '../../partitions/services/atomiclong/proxy.js';
import { ValueCodec } from '../../src/wire/values.js';
import { LongSide } from './long-model.js';
import { Primary } from './partition-harness.js';

const codec = new ValueCodec();
const NOTHING_SKIPPED: ReadonlyMap<number, Uint8Array> = new Map();
const KINDS = ['add', 'set', 'casHit', 'casMiss', 'getAndSet', 'alter'] as const;
type Kind = (typeof KINDS)[number];
type Sequence = readonly Kind[];

const actor = (member: number): Actor => ({ memberHi: member, memberLo: 0, lineage: member, epoch: 1 });

/** All sequences of up to so many kinds. */
function sequences(length: number): Sequence[] {
  if (length === 0) return [[]];
  const shorter = sequences(length - 1);
  const longest = shorter.filter((one) => one.length === length - 1);
  return [...shorter, ...longest.flatMap((one) => KINDS.map((kind) => [...one, kind]))];
}

/** All orders in which the steps of sides can happen: lists of indexes of sides. */
function orders(counts: readonly number[]): number[][] {
  if (counts.every((count) => count === 0)) return [[]];
  return counts.flatMap((count, side) =>
    count === 0
      ? []
      : orders(counts.map((other, i) => (i === side ? other - 1 : other))).map((rest) => [side, ...rest]),
  );
}

/** One side in the grid and in the model. */
class Side {
  readonly primary: Primary;
  readonly model: LongSide;

  constructor(primary: Primary, model: LongSide) {
    this.primary = primary;
    this.model = model;
  }

  /** One call, at a time that is later than all before; `mark` makes its value one that no other call has. */
  run(kind: Kind, time: number, mark: bigint): void {
    const { primary, model } = this;
    primary.versions = 4 * time;
    const before = model.value;
    const ask = (operation: (typeof ops)[keyof typeof ops], request: unknown) =>
      primary.run(operation, request).reply;
    if (kind === 'add') {
      equal(ask(ops.getAndAdd, { delta: mark }), { value: before }, kind);
      model.add(mark);
    } else if (kind === 'set') {
      ask(ops.set, { value: mark });
      model.record(mark, time);
    } else if (kind === 'getAndSet') {
      equal(ask(ops.getAndSet, { value: mark }), { value: before }, kind);
      model.record(mark, time);
    } else if (kind === 'alter') {
      const argument = codec.encode(Number(mark));
      equal(ask(ops.alter, { function: 'plus', argument }), { before, after: before + mark }, kind);
      model.record(before + mark, time);
    } else {
      const expected = kind === 'casHit' ? before : before + 1n;
      equal(ask(ops.compareAndSet, { expected, value: mark }), { changed: kind === 'casHit' }, kind);
      if (kind === 'casHit') model.record(mark, time);
    }
  }

  get value(): bigint {
    return (this.primary.run(ops.get, {}).reply as { value: bigint }).value;
  }
}

/** Cheaper than `expect`, which is called for what differs only. */
function equal(actual: unknown, wanted: unknown, what: string): void {
  if (!isDeepStrictEqual(actual, wanted)) expect(actual, what).toEqual(wanted);
}

interface Story {
  readonly before: Sequence;
  readonly sides: readonly Sequence[];
  readonly order: readonly number[];
}

/** Plays a story on sides that part, merges all into the first one, and holds it against the model. Returns reports. */
function play({ before, sides, order }: Story): number {
  const common = new Side(new Primary(ATOMIC_LONG.service, 'n'), new LongSide());
  let time = 1;
  let mark = 1n;
  const next = () => {
    mark *= 3n;
    return mark;
  };
  for (const kind of before) common.run(kind, time++, next());
  const at = common.primary.seq;
  const all = sides.map((_, i) => new Side(common.primary.fork(actor(i + 2)), new LongSide(common.model)));
  const steps = sides.map((sequence) => [...sequence]);
  for (const side of order) all[side]?.run(steps[side]?.shift() as Kind, time++, next());
  const [owner, ...sources] = all as [Side, ...Side[]];
  let reports = 0;
  for (const source of sources) {
    const lost = owner.model.merge(source.model);
    const discarded = source.primary
      .changes({ sharedSeq: at, skipped: NOTHING_SKIPPED })
      .flatMap((page) => owner.primary.merge(page, { sharedSeq: at }).discarded);
    const told = discarded.map((one) => ({
      value: codec.decode(one.discarded as Uint8Array),
      side: one.side,
      kept: codec.decode(one.kept as Uint8Array),
    }));
    const wanted = lost === null ? [] : [{ ...lost, kept: owner.model.value }];
    const story = `${before} | ${sides.join(' | ')} in the order ${order}`;
    equal(told, wanted, `what is reported of ${story}`);
    equal(owner.value, owner.model.value, `the value after ${story}`);
    reports += discarded.length;
  }
  return reports;
}

function playAll(befores: readonly Sequence[], sides: readonly (readonly Sequence[])[]) {
  const counts = { stories: 0, reports: 0 };
  const chosen = (list: readonly (readonly Sequence[])[]): Sequence[][] =>
    list.length === 0
      ? [[]]
      : (list[0] as Sequence[]).flatMap((one) => chosen(list.slice(1)).map((rest) => [one, ...rest]));
  for (const before of befores)
    for (const each of chosen(sides))
      for (const order of orders(each.map((one) => one.length))) {
        counts.reports += play({ before, sides: each, order });
        counts.stories++;
      }
  return counts;
}

describe('merging atomic longs, every combination', () => {
  it.each<{ before: Sequence }>([{ before: [] }, { before: ['add'] }, { before: ['set', 'add'] }])(
    'of up to two calls on each of two sides comes to what the design says, and reports what lost, after $before',
    ({ before }) => {
      const counts = playAll([before], [sequences(2), sequences(2)]);
      // In so many of all pairs of sequences and their orders both sides set a value.
      expect(counts).toEqual({ stories: 9_229, reports: 6_944 });
    },
  );

  it('of three calls on one side and one on the other does', () => {
    const counts = playAll([['add']], [sequences(3), sequences(1)]);
    expect(counts.stories).toBeGreaterThan(5_000);
  });

  it('of one call on each of three sides does, merged one after the other', () => {
    const counts = playAll([[], ['set', 'add']], [sequences(1), sequences(1), sequences(1)]);
    expect(counts.stories).toBeGreaterThan(1_000);
  });
});
