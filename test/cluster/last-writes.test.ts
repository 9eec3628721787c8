/** What stores of maps are told when members leave: by others where they stay, else by those who leave. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { Scheduler } from '../../chaos/sim/virtual-clock.js';
import { SimStore } from '../../chaos/workload/sim-store.js';
import { LeaveTimeoutError } from '../../src/base/errors.js';
import { SeededRandom } from '../../src/base/random.js';
import { clusterOf, connected, done, memberOf, settle } from './scenario.js';

interface Wishes {
  readonly members?: number;
  readonly sync?: number;
  readonly store?: Record<string, unknown>;
  readonly member?: Record<string, unknown>;
  readonly takesMs?: () => number;
}

async function start({ members = 1, sync = 0, store: more = {}, member = {}, takesMs }: Wishes = {}) {
  const scheduler = new Scheduler();
  const random = new SeededRandom(7, 'store');
  const store = new SimStore({ scheduler, random, ...(takesMs === undefined ? {} : { takesMs }) });
  const options = { name: 'sim', mode: 'write-behind', delayMs: 60_000, ...more };
  const cluster = await clusterOf(members, {
    scheduler,
    member: {
      founds: true,
      maps: { m: { store: options, backups: { sync, async: 0 } } },
      ...member,
    } as never,
    register: (registry, host, isAlive) => registry.mapStore('sim', store.at(host, isAlive)),
  });
  const client = await connected(cluster);
  return { cluster, store, map: client.getMap<string, string>('m').with({ timeoutMs: 5_000 }) };
}

const KEYS = Array.from({ length: 40 }, (_, i) => `k${i}`);

const warningsOf = (cluster: SimCluster) =>
  cluster.logs.filter((line) => line.includes('the store of a map lacks writes'));

/** Leaves, and says how long it took. */
async function leave(cluster: SimCluster, ...hosts: string[]) {
  const beforeMs = cluster.scheduler.now;
  const problems = await done(cluster, Promise.all(hosts.map((host) => cluster.leave(host))), 120_000);
  return { problems, tookMs: cluster.scheduler.now - beforeMs };
}

describe('what a member owes a store when it leaves', () => {
  it('is told by the last member before it ends', async () => {
    const { cluster, store, map } = await start();
    await done(cluster, map.set('a', '1'));
    await done(cluster, map.set('b', '2'));
    const { problems, tookMs } = await leave(cluster, 'm1');
    expect(problems).toEqual([null]);
    expect([...store.data].sort()).toEqual([
      ['m/a', '1'],
      ['m/b', '2'],
    ]);
    expect(tookMs).toBeLessThan(500);
    expect(warningsOf(cluster)).toEqual([]);
  });

  it.each([0, 1])('goes along with its data, down to the last (%i sync backups)', async (sync) => {
    const { cluster, store, map } = await start({ members: 3, sync });
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    for (const host of ['m1', 'm3']) {
      expect((await leave(cluster, host)).problems).toEqual([null]);
      expect((await done(cluster, map.storeStatus())).pending).toBe(KEYS.length);
    }
    expect(store.data.size).toBe(0);
    const { tookMs } = await leave(cluster, 'm2');
    expect(store.data.size).toBe(KEYS.length);
    // What the former primary may have been writing is left alone until then.
    expect(tookMs).toBeLessThan(6_000);
    expect(warningsOf(cluster)).toEqual([]);
  });

  it.each([
    [3, 0],
    [3, 1],
    [5, 1],
  ])('is told when all %i leave together (%i sync backups)', async (members, sync) => {
    // One call of the store for each key, one at a time: long enough for others to be gone.
    const { cluster, store, map } = await start({
      members,
      sync,
      store: { batchSize: 1, concurrency: 1 },
      takesMs: () => 400,
    });
    const { id } = memberOf(cluster, 'm1').member;
    const table = memberOf(cluster, 'm1').member.node.view?.table ?? [];
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    expect(table.some(({ replicas }) => replicas[0]?.member === id)).toBe(true);
    const hosts = [...cluster.members.keys()];
    const { problems } = await leave(cluster, ...hosts);
    expect(problems).toEqual(hosts.map(() => null));
    expect(store.data.size).toBe(KEYS.length);
    expect(warningsOf(cluster)).toEqual([]);
  });

  it('is not more while it is told: the writes of others are refused, and none that was answered is lost', async () => {
    const { cluster, store, map } = await start({ takesMs: () => 200 });
    const answered: string[] = [];
    let isOver = false;
    const writing = (async () => {
      for (let i = 0; !isOver; i++) {
        const { error } = await map
          .with({ timeoutMs: 300 })
          .set(`w${i}`, 'x')
          .then(
            () => ({ error: null }),
            (reason: Error) => ({ error: reason }),
          );
        if (error === null) answered.push(`m/w${i}`);
      }
    })();
    await cluster.scheduler.runFor(500);
    const before = answered.length;
    expect(before).toBeGreaterThan(5);
    await leave(cluster, 'm1');
    isOver = true;
    await settle(cluster, writing);
    expect([...store.data.keys()]).toEqual(expect.arrayContaining(answered));
  });

  it('is given up when the store takes nothing, and the log says how much of which map it lacks', async () => {
    const { cluster, store, map } = await start();
    store.isDown = true;
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    const { problems, tookMs } = await leave(cluster, 'm1');
    expect(problems).toEqual([null]);
    // timeoutMs of the store is 5 s.
    expect(tookMs).toBeLessThan(6_000);
    expect(warningsOf(cluster)).toHaveLength(1);
    expect(warningsOf(cluster)[0]).toContain(
      '{"map":"m","writes":40,"setAside":0,"reason":"the store is down"}',
    );
  });

  it('is told when the store comes back meanwhile, and when it is slow but alive', async () => {
    const { cluster, store, map } = await start({
      takesMs: () => 2_000,
      store: { batchSize: 1, concurrency: 4 },
    });
    store.isDown = true;
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    cluster.scheduler.schedule(cluster.scheduler.now + 3_000, () => {
      store.isDown = false;
    });
    await leave(cluster, 'm1');
    expect(store.data.size).toBe(KEYS.length);
  });

  it('is told but for what the store refuses', async () => {
    const { cluster, store, map } = await start();
    store.refuses = (key) => key === 'k3';
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    const { problems } = await leave(cluster, 'm1');
    expect(problems).toEqual([null]);
    expect(store.data.size).toBe(KEYS.length - 1);
    expect(warningsOf(cluster)[0]).toContain('"writes":1,"setAside":1,"reason":"refuses k3"');
  });

  it('takes no longer than leaveTimeoutMs', async () => {
    const { cluster, store, map } = await start({
      takesMs: () => 1_000,
      store: { batchSize: 1, concurrency: 1 },
      member: { leaveTimeoutMs: 4_500 },
    });
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    const { problems, tookMs } = await leave(cluster, 'm1');
    expect(problems[0]).toBeInstanceOf(LeaveTimeoutError);
    expect(problems[0]?.message).toContain('stores of maps still lack writes');
    expect(tookMs).toBeLessThan(5_000);
    expect(store.data.size).toBe(4);
    expect(warningsOf(cluster)[0]).toContain('"writes":36');
  });

  it('is told by a fork that may write to the store', async () => {
    const { cluster, store, map } = await start({
      members: 2,
      sync: 1,
      store: { writeInFork: true },
      member: { founds: false },
    });
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    cluster.crash('m1');
    await cluster.scheduler.runFor(10_000);
    expect(memberOf(cluster, 'm2').member.node.membership.isInFork).toBe(true);
    expect(store.data.size).toBe(0);
    await leave(cluster, 'm2');
    expect(store.data.size).toBe(KEYS.length);
  });
});
