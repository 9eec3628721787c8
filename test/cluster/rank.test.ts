/** Which of two lineages stays: a total order, so that any number of them that meet end as one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareLineages, refuseEachOther, rootOf } from '../../src/cluster/rank.js';
import type { View } from '../../src/cluster/view.js';
import { viewOf } from './lineages-bench.js';

/** Few values of each kind, so that equal ones are frequent. */
const view: fc.Arbitrary<View> = fc
  .record({
    lineage: fc.constantFrom('a', 'b', 'c', 'd'),
    ordered: fc.boolean(),
    parent: fc.constantFrom(null, { lineage: 'a', number: 3 }, { lineage: 'z', number: 3 }),
    size: fc.integer({ min: 1, max: 3 }),
    number: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ size, ...rest }) =>
    viewOf(
      Array.from({ length: size }, (_, i) => i + 1),
      rest,
    ),
  );

const isSameRank = (a: View, b: View) =>
  a.lineage === b.lineage &&
  a.ordered === b.ordered &&
  (a.parent === null) === (b.parent === null) &&
  a.members.length === b.members.length;

describe('the order of lineages', () => {
  it('is antisymmetric, transitive and total', () => {
    fc.assert(
      fc.property(view, view, view, (a, b, c) => {
        expect(Math.sign(compareLineages(a, b))).toBe(0 - Math.sign(compareLineages(b, a)));
        expect(compareLineages(a, b) === 0).toBe(isSameRank(a, b));
        if (compareLineages(a, b) <= 0 && compareLineages(b, c) <= 0)
          expect(compareLineages(a, c)).toBeLessThanOrEqual(0);
      }),
      { seed: 1, numRuns: 2_000 },
    );
  });

  it('leaves one lineage whatever the order of meetings', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(view, { minLength: 1, maxLength: 6, selector: ({ lineage }) => lineage }),
        (all) => {
          const stays = (left: readonly View[]) => left.reduce((a, b) => (compareLineages(a, b) < 0 ? a : b));
          expect(stays(all).lineage).toBe(stays(all.toReversed()).lineage);
        },
      ),
      { seed: 2 },
    );
  });

  const fork = { parent: { lineage: 'c', number: 4 } };
  it.each([
    ['founded by order before a larger one', viewOf([1], { ordered: true }), viewOf([1, 2, 3])],
    [
      'a fork of an ordered one before a chain that was not',
      viewOf([1], { ordered: true, ...fork }),
      viewOf([1, 2]),
    ],
    ['a chain before a larger fork', viewOf([1]), viewOf([1, 2, 3], fork)],
    [
      'the larger of two forks',
      viewOf([1, 2], { lineage: 'z', ...fork }),
      viewOf([3], { lineage: 'a', ...fork }),
    ],
    ['the lower id of equals', viewOf([1, 2], { lineage: 'a' }), viewOf([3, 4], { lineage: 'b' })],
  ])('puts first %s', (_name, first, second) => {
    expect(compareLineages(first, second)).toBeLessThan(0);
    expect(compareLineages(second, first)).toBeGreaterThan(0);
  });

  it('is refused only between two orders that are not the same cluster', () => {
    const cluster = viewOf([1], { lineage: 'c', ordered: true });
    const ownFork = viewOf([2], { lineage: 'f', ordered: true, ...fork });
    const other = viewOf([3], { lineage: 'd', ordered: true });
    expect([rootOf(cluster), rootOf(ownFork), rootOf(other)]).toEqual(['c', 'c', 'd']);
    expect([
      refuseEachOther(cluster, ownFork),
      refuseEachOther(cluster, other),
      refuseEachOther(ownFork, other),
      refuseEachOther(other, { ...cluster, ordered: false }),
    ]).toEqual([false, true, true, false]);
  });
});
