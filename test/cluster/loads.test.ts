/** `getOrLoad` in whole clusters: one loader for all callers, and what becomes of the others when it fails, dies or is slow. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { GridMap } from '../../partitions/services/map/proxy.js';
import type { LoadContext } from '../../partitions/services/map/proxy-flight.js';
import { LoadFailedError, TimeoutError } from '../../src/base/errors.js';
import { clusterOf, done, isolate, keyAt, memberOf, REMOVAL_MS, settle } from './scenario.js';

const BACKUPS = { sync: 1, async: 0 };
const OPTIONS = {
  maps: { el: { consistency: 'PA/EL', backups: { sync: 1, async: 1 } }, default: { backups: BACKUPS } },
} as const;

type Texts = GridMap<string, string>;

/** Three members and some clients, with the map of the first two. */
async function start(count: number) {
  const cluster = await clusterOf(3, { member: OPTIONS });
  const clients = Array.from({ length: count }, () => cluster.client());
  for (const client of clients) await done(cluster, client.connect());
  const [first, second] = clients.map((client) => client.getMap<string, string>('x'));
  return { cluster, clients, first: first as Texts, second: second as Texts };
}

/** A loader that takes virtual time and counts its runs. */
function loaderOf<V>(cluster: SimCluster, takesMs: number, value: (run: number) => V) {
  const loader = async (_key: string, context: LoadContext): Promise<V> => {
    loader.runs++;
    loader.fences.push(context.fence);
    loader.signals.push(context.signal);
    const run = loader.runs;
    await pause(cluster, takesMs);
    return value(run);
  };
  loader.runs = 0;
  loader.fences = [] as bigint[];
  loader.signals = [] as AbortSignal[];
  return loader;
}

function pause(cluster: SimCluster, ms: number): Promise<void> {
  const { scheduler } = cluster;
  return new Promise((resolve) => {
    scheduler.schedule(scheduler.now + ms, resolve);
  });
}

describe('getOrLoad', () => {
  it('runs one loader for callers of all processes, and gives each a value of its own', async () => {
    const { cluster, clients } = await start(3);
    const loader = loaderOf(cluster, 300, (run) => ({ run }));
    const grids = [...clients, memberOf(cluster, 'm1').member, memberOf(cluster, 'm2').member];
    const maps = grids.map((grid) => grid.getMap<string, { run: number }>('x'));
    const calls = maps.flatMap((map) => Array.from({ length: 4 }, () => map.getOrLoad('a', loader)));
    const values = await done(cluster, Promise.all(calls));
    expect(loader.runs).toBe(1);
    expect(values).toEqual(Array.from({ length: 20 }, () => ({ run: 1 })));
    expect(new Set(values).size).toBe(20);
    expect(await done(cluster, Promise.all(maps.map((map) => map.getOrLoad('a', loader))))).toHaveLength(5);
    expect(loader.runs).toBe(1);
  });

  it('gives the error of a loader to its process, and the next one to who waits elsewhere', async () => {
    const { cluster, first, second } = await start(2);
    const cause = new Error('the database is away');
    const failing = loaderOf(cluster, 200, () => {
      throw cause;
    });
    const loader = loaderOf(cluster, 100, () => 'x');
    const failed = Promise.allSettled([first.getOrLoad('a', failing), first.getOrLoad('a', loader)]);
    await cluster.scheduler.runFor(50);
    const waited = second.getOrLoad('a', loader);
    for (const outcome of await done(cluster, failed)) {
      const { reason } = outcome as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(LoadFailedError);
      expect([reason.cause, reason.definite]).toEqual([cause, true]);
      expect(reason.message).toContain("getOrLoad on 'x'");
      expect(reason.message).toContain('the database is away');
    }
    expect(await done(cluster, waited)).toBe('x');
    expect([failing.runs, loader.runs]).toEqual([1, 1]);
  });

  it.each([[null], [undefined]])(
    'stores nothing when the loader gives %s, and answers null',
    async (nothing) => {
      const { cluster, first } = await start(1);
      const loader = loaderOf(cluster, 10, () => nothing as unknown as string);
      expect(await done(cluster, first.getOrLoad('a', loader))).toBeNull();
      expect(await done(cluster, first.containsKey('a'))).toBe(false);
      expect(
        await done(
          cluster,
          first.getOrLoad('a', () => 'now'),
        ),
      ).toBe('now');
      expect(loader.runs).toBe(1);
    },
  );

  it('refuses what cannot be stored, with the path inside the value', async () => {
    const { cluster, first } = await start(1);
    const { error } = await settle(
      cluster,
      first.getOrLoad('a', () => ({ f: () => 1 }) as unknown as string),
    );
    expect(error).toBeInstanceOf(LoadFailedError);
    expect(error?.message).toContain('value.f');
    expect(
      await done(
        cluster,
        first.getOrLoad('a', () => 'x'),
      ),
    ).toBe('x');
  });

  it('lets the next one load when the process of the loader has died, after loadTimeoutMs', async () => {
    const { cluster, first } = await start(1);
    const key = keyAt(cluster, 'm1');
    const dead = loaderOf(cluster, 1e9, () => 'never');
    const options = { loadTimeoutMs: 4_000 };
    void memberOf(cluster, 'm3').member.getMap<string, string>('x').getOrLoad(key, dead, options);
    await cluster.scheduler.runFor(100);
    cluster.crash('m3');
    const { now } = cluster.scheduler;
    const loader = loaderOf(cluster, 10, () => 'x');
    expect(await done(cluster, first.getOrLoad(key, loader, options))).toBe('x');
    expect([dead.runs, loader.runs]).toEqual([1, 1]);
    expect(cluster.scheduler.now - now).toBeGreaterThan(3_900);
    expect(cluster.scheduler.now - now).toBeLessThan(5_000);
    expect(loader.fences[0]).toBeGreaterThan(dead.fences[0] as bigint);
  });

  it('has one loader through the crash of the primary', async () => {
    const { cluster, first, second } = await start(2);
    const key = keyAt(cluster, 'm3');
    const loader = loaderOf(cluster, 2 * REMOVAL_MS, () => 'x');
    const calls = [first, second].map((map) => map.with({ timeoutMs: 30_000 }).getOrLoad(key, loader));
    await cluster.scheduler.runFor(100);
    cluster.crash('m3');
    expect(await done(cluster, Promise.all(calls))).toEqual(['x', 'x']);
    expect(loader.runs).toBe(1);
    expect(await done(cluster, first.get(key))).toBe('x');
  });

  it('ends at the deadline or by the signal of each call, while the load goes on', async () => {
    const { cluster, first, second } = await start(2);
    const loader = loaderOf(cluster, 1_000, () => 'x');
    const controller = new AbortController();
    const calls = [first, second].flatMap((map) => [
      map.with({ timeoutMs: 300 }).getOrLoad('a', loader),
      map.with({ signal: controller.signal }).getOrLoad('a', loader),
      map.getOrLoad('a', loader),
    ]);
    const outcomes = Promise.allSettled(calls);
    await cluster.scheduler.runFor(500);
    controller.abort('enough');
    const [timedOut, aborted, loaded, ...others] = await done(cluster, outcomes);
    expect((timedOut as PromiseRejectedResult).reason).toBeInstanceOf(TimeoutError);
    expect((aborted as PromiseRejectedResult).reason).toBe('enough');
    expect(loaded).toEqual({ status: 'fulfilled', value: 'x' });
    expect(others.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
    expect(loader.runs).toBe(1);
    await expect(first.with({ signal: controller.signal }).getOrLoad('b', loader)).rejects.toBe('enough');
  });

  it('gives a lease back that was granted when nobody waited for it any more', async () => {
    const { cluster, first, second } = await start(2);
    const key = keyAt(cluster, 'm1');
    const loader = loaderOf(cluster, 10, () => 'x');
    // The lease is granted, and has to wait for the backup.
    for (const backup of ['m2', 'm3']) cluster.network.hold('m1', backup);
    const { error } = await settle(cluster, first.with({ timeoutMs: 300 }).getOrLoad(key, loader));
    expect(error).toBeInstanceOf(TimeoutError);
    for (const backup of ['m2', 'm3']) cluster.network.release('m1', backup);
    const quick = second.with({ timeoutMs: 2_000 });
    expect(await done(cluster, quick.getOrLoad(key, loader))).toBe('x');
    expect(loader.runs).toBe(1);
  });

  it('tells a loader when its time is over, and stores nothing of it', async () => {
    const { cluster, first } = await start(1);
    const slow = loaderOf(cluster, 900, () => 'late');
    const { error } = await settle(cluster, first.getOrLoad('a', slow, { loadTimeoutMs: 500 }));
    expect(error).toBeInstanceOf(LoadFailedError);
    expect(error?.message).toContain('loadTimeoutMs, 500 ms');
    expect(slow.signals[0]?.reason).toBe(error);
    await cluster.scheduler.runFor(1_000);
    expect(await done(cluster, first.get('a'))).toBeNull();
  });

  it('gives what was put meanwhile in the place of what was loaded', async () => {
    const { cluster, first, second } = await start(2);
    const loader = loaderOf(cluster, 300, () => 'loaded');
    const call = first.getOrLoad('a', loader);
    await cluster.scheduler.runFor(100);
    await done(cluster, second.set('a', 'put'));
    expect(await done(cluster, call)).toBe('put');
  });

  it('loads again when the key was removed meanwhile, but not for ever', async () => {
    const { cluster, first, second } = await start(2);
    const loader = loaderOf(cluster, 300, (run) => `loaded ${run}`);
    const call = first.getOrLoad('a', loader);
    await cluster.scheduler.runFor(100);
    await done(cluster, second.delete('a'));
    expect(await done(cluster, call)).toBe('loaded 2');
    const removing = loaderOf(cluster, 0, () => 'x');
    const outcome = await settle(
      cluster,
      first.getOrLoad('b', async (key, context) => {
        await second.delete('b');
        return removing(key, context);
      }),
    );
    expect(outcome.error).toBeInstanceOf(LoadFailedError);
    expect(removing.runs).toBe(3);
    expect(await done(cluster, first.get('b'))).toBeNull();
  });

  it('gives an expired value to those who take it, while one loads', async () => {
    const { cluster, first, second } = await start(2);
    const times = { ttlMs: 1_000, staleMs: 5_000 };
    expect(
      await done(
        cluster,
        first.getOrLoad('a', () => 'old', times),
      ),
    ).toBe('old');
    await cluster.scheduler.runFor(1_500);
    expect(await done(cluster, first.get('a'))).toBeNull();
    const loader = loaderOf(cluster, 2_000, () => 'new');
    const loading = first.getOrLoad('a', loader, times);
    await cluster.scheduler.runFor(100);
    for (const map of [first, second])
      expect(await done(cluster, map.getOrLoad('a', loader, times))).toBe('old');
    expect(await done(cluster, second.getOrLoad('a', loader, { ttlMs: 1_000 }))).toBe('new');
    expect([await done(cluster, loading), loader.runs]).toEqual(['new', 1]);
  });

  it('asks the primary also with EL, and the client reads what it was given on any replica', async () => {
    const { cluster, clients } = await start(1);
    const [map] = clients.map((client) => client.getMap<string, number>('el')) as [GridMap<string, number>];
    for (let i = 0; i < 20; i++) {
      expect(
        await done(
          cluster,
          map.getOrLoad(`k${i}`, () => i),
        ),
      ).toBe(i);
      expect(await done(cluster, map.get(`k${i}`))).toBe(i);
    }
  });

  it('is served by a near cache, and not for longer than the value is good', async () => {
    const { cluster } = await start(0);
    const client = cluster.client({ nearCaches: { el: { maxStalenessMs: 600 } } });
    await done(cluster, client.connect());
    const map = client.getMap<string, string>('el');
    await done(cluster, map.get('a'));
    await cluster.scheduler.runFor(1_500);
    const loader = loaderOf(cluster, 0, (run) => `${run}`);
    const times = { ttlMs: 2_000 };
    for (let i = 0; i < 4; i++) {
      expect(await done(cluster, map.getOrLoad('a', loader, times))).toBe('1');
      await cluster.scheduler.runFor(100);
    }
    expect(map.getNearCacheStats()?.hits).toBeGreaterThan(0);
    // Read all the time, so that it stays fresh as a copy of what the grid has.
    for (let i = 0; i < 17; i++) {
      await cluster.scheduler.runFor(100);
      await done(cluster, map.getOrLoad('a', loader, times));
    }
    expect(await done(cluster, map.getOrLoad('a', loader, times))).toBe('2');
  });

  it('loads on each side of a split, and is one map again after the heal', async () => {
    const { cluster } = await start(0);
    isolate(cluster, 'm3', 'both');
    await cluster.scheduler.runFor(9_000);
    const sides = ['m1', 'm3'].map((host) => memberOf(cluster, host).member.getMap<string, string>('x'));
    const loaders = sides.map((_, i) => loaderOf(cluster, 100, () => `side ${i}`));
    const calls = sides.map((map, i) => map.getOrLoad('a', loaders[i] as (typeof loaders)[number]));
    expect(await done(cluster, Promise.all(calls))).toEqual(['side 0', 'side 1']);
    for (const other of ['m1', 'm2']) {
      cluster.network.heal(other, 'm3');
      cluster.network.heal('m3', other);
    }
    await cluster.runUntilSafe(60_000);
    await cluster.scheduler.runFor(5_000);
    const values = await done(cluster, Promise.all(sides.map((map) => map.get('a'))));
    expect(new Set(values).size).toBe(1);
    expect(await done(cluster, Promise.all(sides.map((map) => map.getOrLoad('b', () => 'b'))))).toEqual([
      'b',
      'b',
    ]);
  });
});
