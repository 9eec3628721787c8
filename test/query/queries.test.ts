/** Queries of a map through its proxy: scans, removal, aggregators, projections and pages against plain JavaScript. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AggregatorKind, Aggregators } from '../../partitions/query/aggregators.js';
import { ExactSum } from '../../partitions/query/exact-sum.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { Projections } from '../../partitions/query/projections.js';
import { identityOf, type Scalar, sortScalars } from '../../partitions/query/scalars.js';
import type { GridMap } from '../../partitions/services/map/proxy.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import { OperationFailedError, QueryTooLargeError, ValueNotReadableError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import { InMemoryInvoker } from '../services/in-memory-invoker.js';
import * as any from './arbitraries.js';
import { holds, valuesAt } from './naive.js';

type Entries = readonly (readonly [unknown, unknown])[];
const entries = fc.uniqueArray(fc.tuple(any.key, any.value), {
  selector: ([key]) => Buffer.from(encodeKey(key)).toString('hex'),
  maxLength: 40,
});

async function mapOf(
  all: Entries,
  partitionCount = 3,
): Promise<{ map: GridMap<unknown, unknown>; invoker: InMemoryInvoker }> {
  const invoker = new InMemoryInvoker(partitionCount);
  const map = MAP.createProxy('x', invoker, {}, () => {});
  await map.putAll(all);
  return { map, invoker };
}

const byKey = (a: readonly unknown[], b: readonly unknown[]) =>
  Buffer.compare(encodeKey(a[0]), encodeKey(b[0]));

describe('a query', () => {
  it('finds what a filter of all entries finds, as keys, values and entries', async () => {
    const property = fc.asyncProperty(entries, any.predicate, async (all, predicate) => {
      const { map } = await mapOf(all);
      const wanted = all.filter(([key, value]) => holds(predicate, key, value)).sort(byKey);
      expect((await map.entrySetWithPredicate(predicate)).sort(byKey)).toEqual(wanted);
      expect((await map.keySetWithPredicate(predicate)).map((key) => [key]).sort(byKey)).toEqual(
        wanted.map(([key]) => [key]),
      );
      expect((await map.valuesWithPredicate(predicate)).length).toBe(wanted.length);
      expect(await map.aggregateWithPredicate(Aggregators.count(), predicate)).toBe(wanted.length);
      const told = await map.explainQuery(predicate);
      expect(told).toMatchObject({
        matched: wanted.length,
        visited: all.length,
        partitions: 3,
        used: { '': 3 },
      });
    });
    await fc.assert(property, { numRuns: 500 });
  });

  it('removes what matches and nothing else', async () => {
    const property = fc.asyncProperty(entries, any.predicate, async (all, predicate) => {
      const { map } = await mapOf(all);
      await map.removeAll(predicate);
      const left = all.filter(([key, value]) => !holds(predicate, key, value)).sort(byKey);
      expect((await map.entrySet()).sort(byKey)).toEqual(left);
    });
    await fc.assert(property, { numRuns: 300 });
  });

  it('goes over a large partition in steps, and meets each entry once', async () => {
    const all = Array.from({ length: 9_000 }, (_, n) => [n, { n }] as const);
    const { map, invoker } = await mapOf(all, 1);
    const found = await map.entrySetWithPredicate(Predicates.greaterEqual('n', 4_500));
    expect(found.map(([key]) => key).sort((a, b) => (a as number) - (b as number))).toEqual(
      Array.from({ length: 4_500 }, (_, n) => 4_500 + n),
    );
    expect(invoker.count('map.query')).toBeGreaterThan(4);
    await map.removeAll(Predicates.lessThan('n', 8_000));
    expect(await map.size()).toBe(1_000);
    expect(invoker.count('map.removeWhere')).toBeGreaterThan(10);
  });

  it('gives pages of bounded size back', async () => {
    const all = Array.from({ length: 100 }, (_, n) => [n, { text: 'x'.repeat(20_000) }] as const);
    const { map, invoker } = await mapOf(all, 1);
    expect(await map.valuesWithPredicate(Predicates.alwaysTrue())).toHaveLength(100);
    const replies = invoker.sent.filter(({ operation }) => operation === 'map.query');
    expect(Math.max(...replies.map(({ replyBytes }) => replyBytes))).toBeLessThan(
      256 * 1024 + 2 * 128 * 1024,
    );
  });

  it('does not see what has expired', async () => {
    const { map, invoker } = await mapOf([['a', 1]]);
    await map.getOrLoad('b', async () => 2, { ttlMs: 1_000 });
    expect(await map.valuesWithPredicate(Predicates.greaterThan('this', 0))).toHaveLength(2);
    for (const primary of invoker.primaries.values()) primary.wallMs += 2_000;
    expect(await map.valuesWithPredicate(Predicates.greaterThan('this', 0))).toEqual([1]);
  });

  it('waits for all that it saw, also when it found nothing', async () => {
    const { map, invoker } = await mapOf([['a', 1]], 1);
    await map.set('b', 2);
    const [primary] = [...invoker.primaries.values()];
    const { QUERY_OPERATIONS } = await import('../../partitions/services/map/query-ops.js');
    const request = { predicate: Predicates.alwaysFalse(), cursor: 0, what: 'keys', maxBytes: 1_000 };
    expect(primary?.run(QUERY_OPERATIONS.query, request).dependsOn).toBe(2);
  });

  it('says what to do about values that members cannot read', async () => {
    const { map, invoker } = await mapOf([]);
    const custom = {
      encode: (value: unknown) => Buffer.from(String(value)),
      decode: (bytes: Uint8Array) => String(bytes),
    };
    const { ValueCodec } = await import('../../src/wire/values.js');
    Object.assign(invoker, { codec: new ValueCodec(custom) });
    await map.set('a', 5);
    await expect(map.keySetWithPredicate(Predicates.equal('this', 5))).rejects.toThrow(ValueNotReadableError);
    await expect(map.aggregate(Aggregators.longSum())).rejects.toThrow(/ask by __key alone/);
    expect(await map.entrySetWithPredicate(Predicates.equal('__key', 'a'))).toEqual([['a', '5']]);
    expect(await map.aggregate(Aggregators.count())).toBe(1);
  });

  it.each<[string, (map: GridMap<unknown, unknown>) => Promise<unknown>, RegExp]>([
    ['a text', (map) => map.keySetWithPredicate('a = 1' as never), /Predicates makes/],
    ['nothing', (map) => map.valuesWithPredicate(undefined as never), /Predicates makes/],
    [
      'a page for removeAll',
      (map) => map.removeAll(Predicates.paging(Predicates.alwaysTrue(), 3) as never),
      /pages are only for/,
    ],
    ['no aggregator', (map) => map.aggregate({} as never), /Aggregators makes/],
    [
      'no predicate of an aggregate',
      (map) => map.aggregateWithPredicate(Aggregators.count(), undefined as never),
      /Predicates makes/,
    ],
    ['no projection', (map) => map.project('a' as never), /Projections makes/],
    [
      'no predicate of a projection',
      (map) => map.projectWithPredicate(Projections.identity(), null as never),
      /Predicates makes/,
    ],
  ])('refuses %s before it sends anything', async (_what, run, message) => {
    const { map, invoker } = await mapOf([]);
    await expect(run(map)).rejects.toThrow(message);
    await expect(run(map)).rejects.toThrow(TypeError);
    expect(invoker.sent).toEqual([]);
  });
});

describe('an aggregator', () => {
  const present = (values: readonly unknown[]) => values.filter((one) => one !== null && one !== undefined);
  const asBigint = (one: unknown) => (typeof one === 'bigint' ? one : BigInt(Math.trunc(one as number)));
  const wholeSum = (values: readonly unknown[]) =>
    present(values).reduce<bigint>((sum, one) => sum + asBigint(one), 0n);
  const doubleSum = (values: readonly unknown[]) => {
    const sum = new ExactSum();
    for (const one of present(values)) sum.add(Number(one));
    return sum.result;
  };
  const avg = (sum: number, values: readonly unknown[]) =>
    present(values).length === 0 ? null : sum / present(values).length;
  const sorted = (values: readonly unknown[]) => (present(values) as Scalar[]).sort(sortScalars);

  const plain: Record<AggregatorKind, (values: readonly unknown[]) => unknown> = {
    count: (values) => values.length,
    distinct: (values) => new Set(values.map((one) => identityOf((one ?? null) as Scalar))),
    doubleAvg: (values) => avg(doubleSum(values), values),
    numberAvg: (values) => avg(doubleSum(values), values),
    doubleSum,
    floatingPointSum: doubleSum,
    fixedPointSum: wholeSum,
    integerSum: wholeSum,
    longSum: wholeSum,
    integerAvg: (values) => avg(Number(wholeSum(values)), values),
    longAvg: (values) => avg(Number(wholeSum(values)), values),
    max: (values) => sorted(values).at(-1) ?? null,
    min: (values) => sorted(values)[0] ?? null,
  };
  const whole = fc.oneof(fc.integer(), fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n }));
  const double = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e200, max: 1e200 });
  const kinds: readonly [AggregatorKind, fc.Arbitrary<unknown>][] = [
    ['count', any.scalar],
    ['distinct', any.scalar],
    ['doubleAvg', double],
    ['doubleSum', double],
    ['fixedPointSum', fc.oneof(whole, double)],
    ['floatingPointSum', double],
    ['integerAvg', fc.integer()],
    ['integerSum', whole],
    ['longAvg', fc.integer()],
    ['longSum', whole],
    ['max', any.scalar],
    ['min', any.scalar],
    ['numberAvg', double],
  ];

  it.each(kinds)('%s gives what a plain reduction gives', async (kind, value) => {
    const values = fc.array(fc.option(value, { freq: 5, nil: undefined }), { maxLength: 30 });
    const property = fc.asyncProperty(values, async (all) => {
      const { map } = await mapOf(
        all.map((one, n) => [n, one === undefined ? {} : { in: { it: one } }] as const),
      );
      const made = Aggregators[kind] as (path: string) => ReturnType<typeof Aggregators.count>;
      const result = (await map.aggregate(made('in.it'))) as unknown;
      const wanted = plain[kind](all);
      if (kind === 'distinct') expect(new Set((result as Scalar[]).map(identityOf))).toEqual(wanted);
      else if (typeof wanted === 'number' && kind.endsWith('Avg')) expect(result).toBeCloseTo(wanted, 6);
      else if (kind === 'max' || kind === 'min')
        expect(sortScalars(result as Scalar, wanted as Scalar)).toBe(0);
      else expect(result).toEqual(wanted);
    });
    await fc.assert(property, { numRuns: 150 });
  });

  it('works on the value itself, on keys, on several values, and on nothing', async () => {
    const { map } = await mapOf([
      [1, 10],
      [2, 20n],
      [3, 30],
    ]);
    expect(await map.aggregate(Aggregators.longSum())).toBe(60n);
    expect(await map.aggregate(Aggregators.max('__key'))).toBe(3);
    expect(await map.aggregateWithPredicate(Aggregators.integerAvg(), Predicates.lessThan('__key', 3))).toBe(
      15,
    );
    const empty = await mapOf([]);
    const none = [
      Aggregators.count(),
      Aggregators.longSum(),
      Aggregators.doubleSum(),
      Aggregators.max(),
      Aggregators.numberAvg(),
    ];
    expect(await Promise.all(none.map((one) => empty.map.aggregate(one as never)))).toEqual([
      0,
      0n,
      0,
      null,
      null,
    ]);
    const tags = await mapOf([
      ['a', { tags: ['x', 'y'] }],
      ['b', { tags: ['y', 'z'] }],
    ]);
    expect((await tags.map.aggregate(Aggregators.distinct<string>('tags[any]'))).sort()).toEqual([
      'x',
      'y',
      'z',
    ]);
    expect(await tags.map.aggregate(Aggregators.count('tags[any]'))).toBe(4);
  });

  it('tells which values it cannot use', async () => {
    const { map } = await mapOf([
      ['a', { n: 'text' }],
      ['b', { n: 1.5 }],
      ['c', { n: { deep: 1 } }],
    ]);
    await expect(map.aggregate(Aggregators.doubleSum('n'))).rejects.toThrow(OperationFailedError);
    const half = Predicates.equal('__key', 'b');
    await expect(map.aggregateWithPredicate(Aggregators.integerSum('n'), half)).rejects.toThrow(
      /expected whole numbers, found 1.5/,
    );
    expect(await map.aggregateWithPredicate(Aggregators.fixedPointSum('n'), half)).toBe(1n);
    await expect(map.aggregate(Aggregators.max('n'))).rejects.toThrow(/can be compared/);
    expect((await map.aggregate(Aggregators.distinct('n'))).length).toBe(3);
  });

  it('has a limit for different values', async () => {
    const { map } = await mapOf([]);
    for (let from = 0; from < 100_001; from += 10_000)
      await map.putAll(Array.from({ length: 10_000 }, (_, i) => [from + i, from + i] as const));
    await expect(map.aggregate(Aggregators.distinct())).rejects.toThrow(QueryTooLargeError);
  });

  it('adds doubles without rounding on the way, in any order', () => {
    const property = fc.property(
      fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 })),
      fc.infiniteStream(fc.nat()),
      (all, order) => {
        const sum = (list: readonly number[]) => {
          const exact = new ExactSum();
          for (const one of list) exact.add(one);
          return exact.result;
        };
        const shuffled = all
          .map((one) => [order.next().value as number, one] as const)
          .sort((a, b) => a[0] - b[0]);
        expect(sum(shuffled.map(([, one]) => one))).toBe(sum(all));
      },
    );
    fc.assert(property, { numRuns: 500 });
    const exact = new ExactSum();
    for (const one of [1e100, 1, -1e100, 1e-20]) exact.add(one);
    expect(exact.result).toBe(1);
    exact.add(Number.POSITIVE_INFINITY);
    expect(exact.result).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a projection', () => {
  const all = [
    ['a', { name: 'Ann', at: { city: 'Oslo' }, tags: ['x'] }],
    ['b', { name: 'Bo', tags: [] }],
  ] as const;

  it('gives parts of entries', async () => {
    const { map } = await mapOf(all);
    expect((await map.project(Projections.singleAttribute<string>('at.city'))).sort()).toEqual([
      'Oslo',
      null,
    ]);
    const rows = await map.projectWithPredicate(
      Projections.multiAttribute('__key', 'name', 'tags', 'tags[0]'),
      Predicates.equal('name', 'Ann'),
    );
    expect(rows).toEqual([['a', 'Ann', ['x'], 'x']]);
    expect((await map.project(Projections.identity())).sort(byKey)).toEqual(all);
  });

  it('has one value for each attribute', () => {
    expect(() => Projections.singleAttribute('tags[any]')).toThrow(/leave \[any\] out/);
    expect(() => Projections.multiAttribute()).toThrow(/an attribute at least/);
  });
});

describe('a paging predicate', () => {
  it('gives all that matches page by page in one stable order', async () => {
    const order = fc.record({
      attribute: fc.constantFrom('a', 'b', '__key', 'missing'),
      order: fc.constantFrom('asc' as const, 'desc' as const),
    });
    const property = fc.asyncProperty(
      entries,
      any.predicate,
      fc.integer({ min: 1, max: 7 }),
      fc.option(order, { nil: undefined }),
      async (all, predicate, pageSize, by) => {
        const { map } = await mapOf(all);
        const { attribute, order: way } = by ?? { attribute: '__key', order: 'asc' as const };
        const sortOf = ([key, value]: readonly [unknown, unknown]) => {
          const one = valuesAt(attribute, key, value)[0];
          return (typeof one === 'object' && !(one instanceof Date) ? null : (one ?? null)) as Scalar;
        };
        const wanted = all
          .filter(([key, value]) => holds(predicate, key, value))
          .sort((a, b) => (way === 'asc' ? 1 : -1) * sortScalars(sortOf(a), sortOf(b)) || byKey(a, b));
        const paging = Predicates.paging(predicate, pageSize, by);
        const got: unknown[] = [];
        for (;;) {
          const page = await map.entrySetWithPredicate(paging);
          expect(page.length).toBeLessThanOrEqual(pageSize);
          if (page.length === 0) break;
          got.push(...page);
          paging.nextPage();
        }
        expect(got).toEqual(wanted);
        const last = Math.max(0, Math.ceil(wanted.length / pageSize) - 1);
        const lastPage = wanted.slice(last * pageSize).map(([key]) => key);
        expect(await map.keySetWithPredicate(paging.setPage(last))).toEqual(lastPage);
        const anew = Predicates.paging(predicate, pageSize, by).setPage(last);
        expect(await map.keySetWithPredicate(anew)).toEqual(lastPage);
        const before = wanted.slice(Math.max(0, last - 1) * pageSize).slice(0, pageSize);
        expect(await map.entrySetWithPredicate(anew.previousPage())).toEqual(before);
      },
    );
    await fc.assert(property, { numRuns: 200 });
  });

  it('holds about a page at the caller, and asks members for no more', async () => {
    const all = Array.from(
      { length: 5_000 },
      (_, n) => [n, { n: (n * 7_919) % 5_000, text: 'x'.repeat(100) }] as const,
    );
    const { map, invoker } = await mapOf(all, 5);
    const paging = Predicates.paging(Predicates.alwaysTrue(), 10, { attribute: 'n', order: 'desc' });
    const numbers = (await map.valuesWithPredicate(paging)).map((value) => (value as { n: number }).n);
    expect(numbers).toEqual([4_999, 4_998, 4_997, 4_996, 4_995, 4_994, 4_993, 4_992, 4_991, 4_990]);
    const replies = invoker.sent.filter(({ operation }) => operation === 'map.queryPage');
    expect(Math.max(...replies.map(({ replyBytes }) => replyBytes))).toBeLessThan(4_000);
  });

  it('starts anew, and stays at the first page', async () => {
    const { map } = await mapOf([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    const paging = Predicates.paging(Predicates.alwaysTrue(), 2);
    expect([paging.getPage(), paging.getPageSize(), paging.previousPage().page]).toEqual([0, 2, 0]);
    expect(await map.keySetWithPredicate(paging.setPage(7))).toEqual([]);
    expect(await map.keySetWithPredicate(paging.reset())).toEqual([1, 2]);
    expect(() => paging.setPage(-1)).toThrow(TypeError);
  });
});
