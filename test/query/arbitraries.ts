/** Random values, entries and predicates over a few fields, so that conditions often meet what is there. */
import fc from 'fast-check';
import type { Predicate } from '../../partitions/query/predicate.js';
import type { Scalar } from '../../partitions/query/scalars.js';

export const scalar: fc.Arbitrary<Scalar> = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -3, max: 5 }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom('', 'a', 'ab', 'abc', 'Ab', "it's", 'b%', 'ß', '😀', '\u0000text a'),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Scalar[]>(
      null,
      true,
      false,
      Number.NaN,
      -0,
      0.5,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      2n,
      -3n,
      2n ** 53n,
      2n ** 53n + 1n,
      2 ** 53,
      2 ** 60,
      2n ** 60n,
      1e300,
      new Date(0),
      new Date(1_700_000_000_000),
    ),
  },
);

/** Fields a, b, c.d, tags and list, each there or not. */
export const value: fc.Arbitrary<unknown> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record(
      {
        a: scalar,
        b: scalar,
        c: fc.oneof(scalar, fc.record({ d: scalar }, { requiredKeys: [] })),
        tags: fc.oneof(scalar, fc.array(scalar, { maxLength: 4 })),
        list: fc.array(fc.record({ n: scalar }), { maxLength: 3 }),
        'odd name': scalar,
      },
      { requiredKeys: [] },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(scalar, scalar).map(
      ([a, d]) =>
        new Map<unknown, unknown>([
          ['a', a],
          ['c', new Map([['d', d]])],
          ['tags', new Set([a, d])],
        ]),
    ),
  },
  { weight: 1, arbitrary: scalar.filter((one) => one !== null) },
);

export const key: fc.Arbitrary<unknown> = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 0, max: 9 }).map((id) => `k${id}`),
  fc.integer({ min: 0, max: 3 }).map((id) => ({ id })),
);

export const path: fc.Arbitrary<string> = fc.constantFrom(
  'a',
  'b',
  'c.d',
  'c',
  'tags[any]',
  'tags[0]',
  'list[any].n',
  'list[1].n',
  '"odd name"',
  'missing',
  'missing.too',
  '__key',
  '__key.id',
  'this',
  'a.length',
  'constructor',
  'tags.length',
);

const pattern = fc
  .array(fc.constantFrom('a', 'b', '%', '_', '%', 'A', '😀', 'ß'), { maxLength: 6 })
  .map((all) => all.join(''));

const leaf: fc.Arbitrary<Predicate> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('compare' as const),
      path,
      is: fc.constantFrom(
        '=' as const,
        '!=' as const,
        '<' as const,
        '<=' as const,
        '>' as const,
        '>=' as const,
      ),
      value: scalar,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('between' as const), path, from: scalar, to: scalar }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('in' as const),
      path,
      values: fc.array(scalar, { minLength: 1, maxLength: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('like' as const),
      path,
      pattern,
      escapeBy: fc.constantFrom('\\', '!', ''),
      ignoreCase: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('regex' as const),
      path,
      pattern: fc.constantFrom('a+b*', '(a|b)*', '.', '[A-Z].*', "it's", 'a{1,2}b?c?'),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom<Predicate[]>({ kind: 'alwaysTrue' }, { kind: 'alwaysFalse' }) },
);

export const predicate: fc.Arbitrary<Predicate> = fc.letrec<{ node: Predicate }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.record({
      kind: fc.constantFrom('and' as const, 'or' as const),
      parts: fc.array(tie('node'), { minLength: 2, maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('not' as const), part: tie('node') }),
  ),
})).node;
