/**
 * Queries of a real cluster through a real client against a plain `Map`: small maps, random changes and predicates, the same map
 * with indexes and without.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Aggregators } from '../../partitions/query/aggregators.js';
import type { Predicate } from '../../partitions/query/predicate.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { startCluster, type TestCluster } from '../../src/testing.js';
import { encodeKey } from '../../src/wire/keys.js';
import * as any from '../query/arbitraries.js';
import { holds } from '../query/naive.js';

type Change =
  | { readonly kind: 'set'; readonly key: unknown; readonly value: unknown }
  | { readonly kind: 'delete'; readonly key: unknown }
  | { readonly kind: 'removeAll'; readonly predicate: Predicate };

const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('set' as const), key: any.key, value: any.value }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), key: any.key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('removeAll' as const), predicate: any.predicate }) },
);
const entries = fc.uniqueArray(fc.tuple(any.key, any.value), {
  selector: ([key]) => hex(key),
  maxLength: 15,
});

const hex = (key: unknown) => Buffer.from(encodeKey(key)).toString('hex');

let cluster: TestCluster;
beforeAll(async () => {
  const indexes = [
    { attributes: ['a'] },
    { attributes: ['b', 'a'] },
    { attributes: ['b'], type: 'HASH' as const },
    { attributes: ['tags[any]'], type: 'HASH' as const },
    { attributes: ['__key'] },
  ];
  cluster = await startCluster({ members: 2, member: { partitionCount: 3, maps: { indexed: { indexes } } } });
});
afterAll(() => cluster.shutdown());

describe('queries of a cluster', () => {
  it.each(['plain', 'indexed'])(
    'of a map that is %s are those of a plain Map',
    async (name) => {
      const map = cluster.client.getMap<unknown, unknown>(name);
      const property = fc.asyncProperty(
        entries,
        fc.array(change, { maxLength: 4 }),
        any.predicate,
        async (all, changes, predicate) => {
          await map.clear();
          await map.putAll(all);
          const model = new Map(all.map(([key, value]) => [hex(key), [key, value] as const]));
          for (const each of changes) {
            if (each.kind === 'set') {
              await map.set(each.key, each.value);
              model.set(hex(each.key), [each.key, each.value]);
            } else if (each.kind === 'delete') {
              await map.delete(each.key);
              model.delete(hex(each.key));
            } else {
              await map.removeAll(each.predicate);
              for (const [id, [key, value]] of model) if (holds(each.predicate, key, value)) model.delete(id);
            }
          }
          const wanted = [...model.values()].filter(([key, value]) => holds(predicate, key, value));
          const sorted = (found: readonly (readonly [unknown, unknown])[]) =>
            found.map(([key, value]) => [hex(key), value] as const).sort(([a], [b]) => (a < b ? -1 : 1));
          expect(sorted(await map.entrySetWithPredicate(predicate))).toEqual(sorted(wanted));
          expect(await map.aggregateWithPredicate(Aggregators.count(), predicate)).toBe(wanted.length);
        },
      );
      await fc.assert(property, { numRuns: 600 });
    },
    240_000,
  );

  it('use indexes of the configuration', async () => {
    const map = cluster.client.getMap<unknown, unknown>('indexed');
    await map.clear();
    await map.putAll(Array.from({ length: 300 }, (_, n) => [n, { a: n }] as const));
    await map.keySetWithPredicate(Predicates.equal('a', 7));
    const { matched, visited, used } = await map.explainQuery(Predicates.equal('a', 7));
    expect([matched, visited, used]).toEqual([1, 1, { 'sorted(a)': 3 }]);
  });
});
