/** Queries in whole clusters: indexes through promotion and migration, reads that may be behind, a split that heals. */
import { describe, expect, it, vi } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { Aggregators } from '../../partitions/query/aggregators.js';
import { Predicates } from '../../partitions/query/predicates.js';
import type { GridMap } from '../../partitions/services/map/proxy.js';
import type { MapState } from '../../partitions/services/map/state.js';
import { LocalRoute } from '../../src/member/local-route.js';
import { LinkSink } from '../../src/member/sinks.js';
import { clusterOf, connected, done, memberOf } from './scenario.js';

interface Person {
  readonly n: number;
  readonly group: number;
}
const COUNT = 300;

async function filled(cluster: SimCluster) {
  const client = await connected(cluster);
  const people = client.getMap<number, Person>('people');
  await done(cluster, people.addIndex({ attributes: ['n'] }));
  await done(cluster, people.addIndex({ attributes: ['group'], type: 'HASH' }));
  const all = Array.from({ length: COUNT }, (_, n) => [n, { n, group: n % 10 }] as const);
  await done(cluster, people.putAll(all));
  return { client, people };
}

/** Asks twice: the first time a new primary may have to build what is in its index. */
async function costs(cluster: SimCluster, people: GridMap<number, Person>, where: string) {
  const predicate = Predicates.sql(where);
  const first = await done(cluster, people.explainQuery(predicate));
  const second = await done(cluster, people.explainQuery(predicate));
  expect(second.matched).toBe(first.matched);
  return second;
}

const partitionsOf = (cluster: SimCluster) =>
  memberOf(cluster, cluster.running()[0]?.host ?? '').member.node.config.partitionCount;

describe('an index', () => {
  it('goes on through the crash of a member and the coming of another one', async () => {
    const cluster = await clusterOf(3);
    const { people } = await filled(cluster);
    const all = partitionsOf(cluster);
    expect(await costs(cluster, people, 'n BETWEEN 10 AND 19')).toMatchObject({
      matched: 10,
      visited: 10,
      used: { 'sorted(n)': all },
    });
    cluster.crash('m2');
    await cluster.runUntilSafe(30_000);
    expect(await costs(cluster, people, 'n BETWEEN 10 AND 19')).toMatchObject({
      matched: 10,
      visited: 10,
      used: { 'sorted(n)': all },
    });
    await done(cluster, people.removeAll(Predicates.lessThan('n', 15)));
    cluster.start('m4');
    await cluster.runUntilSafe(60_000);
    expect(await costs(cluster, people, 'group = 3 AND n < 100')).toMatchObject({ matched: 8 });
    const found = await costs(cluster, people, 'n BETWEEN 10 AND 19');
    expect(found).toMatchObject({ matched: 5, visited: 5, used: { 'sorted(n)': all } });
    // The newcomer leads some partitions, and has the list of indexes for all that it holds.
    const { node } = memberOf(cluster, 'm4').member;
    const states = Array.from(
      { length: all },
      (_, p) => node.replication.replica(p)?.find(1, 'people') as MapState | undefined,
    );
    const held = states.filter((state) => state !== undefined);
    expect(held.length).toBeGreaterThan(0);
    for (const state of held)
      expect(state.indexes.definitions.map(({ name }) => name)).toEqual(['sorted(n)', 'hash(group)']);
    await cluster.shutdown();
  });

  it('answers reads of backups, and costs backups that are not asked nothing', async () => {
    const cluster = await clusterOf(2);
    const { people } = await filled(cluster);
    const sizes = () =>
      cluster.running().map(({ member }) => {
        const { replication, config } = member.node;
        const states = Array.from(
          { length: config.partitionCount },
          (_, p) => replication.replica(p)?.find(1, 'people') as MapState | undefined,
        );
        return states.filter((state) => (state?.derivedBytes ?? 0) > 0).length;
      });
    const primaries = sizes();
    expect(primaries.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(partitionsOf(cluster));
    const loose = people.with({ consistency: 'EL' });
    expect(await done(cluster, loose.keySetWithPredicate(Predicates.equal('n', 7)))).toEqual([7]);
    expect(await done(cluster, loose.aggregate(Aggregators.longSum('n')))).toBe(
      BigInt((COUNT * (COUNT - 1)) / 2),
    );
    await cluster.shutdown();
  });

  it('is there on both sides of a split, and both lists are after the heal', async () => {
    const cluster = await clusterOf(3, { member: { maps: { people: { backups: { sync: 2 } } } } });
    const { client } = await filled(cluster);
    await done(cluster, client.shutdown());
    for (const other of ['m1', 'm2']) {
      cluster.network.cut('m3', other);
      cluster.network.cut(other, 'm3');
    }
    await cluster.scheduler.runFor(20_000);
    const alone = memberOf(cluster, 'm3').member.getMap<number, Person>('people');
    await done(cluster, alone.set(1_000, { n: 1_000, group: 77 }));
    await done(cluster, alone.addIndex({ attributes: ['group', 'n'] }), 60_000);
    cluster.network.healAll();
    await cluster.runUntilSafe(60_000);
    await cluster.scheduler.runFor(10_000);
    const whole = memberOf(cluster, 'm1').member.getMap<number, Person>('people');
    expect(await done(cluster, whole.keySetWithPredicate(Predicates.equal('group', 77)))).toEqual([1_000]);
    expect(await costs(cluster, whole, 'group = 3 AND n > 250')).toMatchObject({ matched: 5, visited: 5 });
    await cluster.shutdown();
  });
});

describe('a read of all partitions', () => {
  const asked = {
    'a client': async (cluster: SimCluster) => {
      const client = await connected(cluster);
      return { grid: client, retries: () => client.retries, sink: LinkSink.prototype };
    },
    'a member': async (cluster: SimCluster) => {
      const { member } = memberOf(cluster, 'm1');
      return { grid: member, retries: () => member.node.calls.retries, sink: LocalRoute.prototype };
    },
  };

  it.each([
    ['a client', 'small values', 8],
    ['a client', 'values of more than a member sends at a time', 150_000],
    ['a member', 'small values', 8],
    ['a member', 'values of more than a member sends at a time', 150_000],
  ] as const)(
    'from %s, of %s, is answered together, and the rest in a second turn',
    async (who, _what, bytes) => {
      const cluster = await clusterOf(3, { member: { partitionCount: 31 } });
      const { grid, retries, sink } = await asked[who](cluster);
      const map = grid.getMap<number, Buffer>('values');
      const joined = vi.spyOn(sink, 'joined');
      const rest = vi.spyOn(sink, 'rest');
      const all = Array.from({ length: 60 }, (_, key) => [key, Buffer.alloc(bytes, key)] as const);
      await done(cluster, map.putAll(all));
      const before = retries();
      const entries = await done(cluster, map.entrySetWithPredicate(Predicates.alwaysTrue()));
      expect(entries.map(([key]) => key).sort((a, b) => a - b)).toEqual(all.map(([key]) => key));
      for (const [key, value] of entries) expect(value.equals(Buffer.alloc(bytes, key))).toBe(true);
      expect(await done(cluster, map.size())).toBe(60);
      // Nobody waited for an answer that did not come.
      expect(retries()).toBe(before);
      expect(joined).toHaveBeenCalled();
      expect(rest.mock.calls.length > 0).toBe(bytes > 8);
      vi.restoreAllMocks();
      await cluster.shutdown();
    },
  );
});
