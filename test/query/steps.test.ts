/** What predicates may take of a member's time, counted in steps: of one entry, and of a step of a query. */
import { describe, expect, it } from 'vitest';
import { type Matcher, matcherOf } from '../../partitions/query/matcher.js';
import { checkedPredicate, type Predicate } from '../../partitions/query/predicate.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { ALL_ENTRIES, runSlice } from '../../partitions/query/slice.js';
import type { OperationContext } from '../../partitions/service.js';
import { RecordStore } from '../../partitions/store/record-store.js';
import { Slab } from '../../partitions/store/slab.js';
import { QueryTooLargeError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';

const codec = new ValueCodec();
const key = encodeKey('k');
const many = (count: number, one: (i: number) => Predicate) =>
  checkedPredicate(Predicates.or(...Array.from({ length: count }, (_, i) => one(i))));

describe('one entry', () => {
  it.each<[string, Predicate, unknown]>([
    [
      'elements',
      many(1_000, (i) => Predicates.equal('a[any].x', i + 10)),
      { a: Array(5_000).fill({ x: 1 }) },
    ],
    [
      'elements of elements',
      many(2, (i) => Predicates.equal('this[any][any]', i)),
      Array(900).fill(Array(900).fill(2)),
    ],
    [
      'long texts that are looked for',
      many(900, (i) => Predicates.inPredicate('this[any]', 'x'.repeat(i % 200))),
      Array.from({ length: 900 }, () => `\0${'z'.repeat(9_000)}`),
    ],
    [
      'long texts that are compared',
      many(900, (i) => Predicates.lessThan('this[any]', 'x'.repeat(200) + i)),
      Array.from({ length: 5_000 }, () => 'x'.repeat(201)),
    ],
    ['a long text and a regular expression', Predicates.regex('this', '(a|b)*c'), 'ab'.repeat(200_000)],
    ['a long text and LIKE', many(8, (i) => Predicates.like('this', `%b%${i}`)), 'a'.repeat(900_000)],
  ])('ends where it would take too long: %s', (_what, predicate, value) => {
    const matcher = matcherOf(predicate);
    expect(() => matcher.matches(key, codec.encode(value))).toThrow(QueryTooLargeError);
    expect(matcher.spent).toBeLessThanOrEqual(6_000_000);
    // The next one begins anew.
    expect(matcher.matches(key, codec.encode('ab'))).toBe(false);
  });

  it('may be given fewer steps', () => {
    const predicate = Predicates.equal('this[any]', 1);
    const value = codec.encode(Array(1_000).fill(2));
    expect(matcherOf(predicate, 5_000).matches(key, value)).toBe(false);
    expect(() => matcherOf(predicate, 4_999).matches(key, value)).toThrow(/more than 4999 steps/);
  });

  it('costs nothing for texts that are too long to be among the wanted ones', () => {
    const matcher = matcherOf(many(900, (i) => Predicates.inPredicate('this', `x${i}`)));
    expect(matcher.matches(key, codec.encode('x'.repeat(1_000_000)))).toBe(false);
    expect(matcher.spent).toBe(900);
  });
});

describe('a step of a query', () => {
  /** Entries with a list each; time goes on with the steps of the matcher. */
  function stepOver(
    entries: number,
    elements: number,
    predicate: Predicate,
  ): { visited: number; next: number } {
    const store = new RecordStore(new Slab({ blockBytes: 65_536 }));
    const meta = {
      seq: 1,
      version: 1n,
      createdMs: 0,
      expiresMs: 0,
      ttlMs: 0,
      maxIdleMs: 0,
      tombstone: false,
    };
    const value = codec.encode(Array(elements).fill(2));
    for (let i = 0; i < entries; i++) store.put(1_000 * i, encodeKey(i), value, meta as never);
    const matcher: Matcher = matcherOf(predicate);
    const context = {
      get nowMs() {
        return matcher.spent / 40_000;
      },
    } as OperationContext;
    const limits = { records: 2_000, bytes: 1 << 20, matches: 2_000 };
    return runSlice({ store, isVisible: () => true }, matcher, ALL_ENTRIES, 0, limits, context, () => 1);
  }

  it('looks at the clock behind each entry that took long, whatever the conditions are', () => {
    // 60,000 steps each: 1.5 ms.
    const { visited, next } = stepOver(100, 12_000, Predicates.equal('this[any]', 1));
    expect(visited).toBe(4);
    expect(next).toBe(3_001);
    const nested = Array.from({ length: 12 }, (_, i) =>
      many(12, (j) => Predicates.equal('this[any]', i * j + 3)),
    );
    expect(stepOver(100, 100, Predicates.and(...nested)).visited).toBe(36);
  });

  it('goes over many entries that take little', () => {
    expect(stepOver(500, 10, Predicates.equal('this[any]', 1)).visited).toBe(500);
  });
});
