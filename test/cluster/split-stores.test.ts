/** Maps with a store of which both sides of a split write to the store: after the heal both have the same again. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { Scheduler } from '../../chaos/sim/virtual-clock.js';
import { SimStore } from '../../chaos/workload/sim-store.js';
import { SeededRandom } from '../../src/base/random.js';
import { clusterOf, done, memberOf } from './scenario.js';

const KEYS = Array.from({ length: 40 }, (_, i) => `k${i}`);
/** What the smaller side writes, and what of it the larger one has written before. */
const [THEIRS, BOTH] = [KEYS.slice(0, 20), KEYS.slice(0, 5)];

async function split(mode: 'write-through' | 'write-behind', mergePolicy: string) {
  const scheduler = new Scheduler();
  const store = new SimStore({ scheduler, random: new SeededRandom(7, 'store') });
  const options = { name: 'sim', mode, writeInFork: true, delayMs: 50 };
  const cluster = await clusterOf(5, {
    scheduler,
    member: {
      founds: true,
      maps: { m: { store: options, backups: { sync: 3, async: 0 }, mergePolicy } },
    } as never,
    register: (registry, host, isAlive) => registry.mapStore('sim', store.at(host, isAlive)),
  });
  const mapOf = (host: string) =>
    memberOf(cluster, host).member.getMap<string, string>('m').with({ timeoutMs: 20_000 });
  await done(cluster, mapOf('m1').putAll(KEYS.map((key) => [key, 'shared'])));
  for (const a of ['m1', 'm2', 'm3']) for (const b of ['m4', 'm5']) cluster.network.cut(a, b);
  await scheduler.runFor(12_000);
  expect(memberOf(cluster, 'm5').member.node.membership.isInFork).toBe(true);
  await done(cluster, mapOf('m1').putAll(BOTH.map((key) => [key, 'major'])));
  await done(cluster, mapOf('m1').flush());
  await done(cluster, mapOf('m5').putAll(THEIRS.map((key) => [key, 'minor'])));
  const heal = async () => {
    await done(cluster, mapOf('m5').flush());
    cluster.network.healAll();
    expect(await cluster.runUntilSafe(60_000)).toBe(true);
    await scheduler.runFor(20_000);
    await done(cluster, mapOf('m1').flush());
    return done(cluster, Promise.all(KEYS.map((key) => mapOf('m1').get(key))));
  };
  return { cluster, store, minor: mapOf('m5'), heal };
}

async function reported(cluster: SimCluster): Promise<string[]> {
  const found: string[] = [];
  for (const report of await memberOf(cluster, 'm1').member.merges())
    for await (const { key, discarded, side } of report.entries())
      if (side === 'owner') found.push(`${String(key)} ${String(discarded)}`);
  return found;
}

const inStore = (store: SimStore) => KEYS.map((key) => store.data.get(`m/${key}`) ?? null);
const MODES = ['write-through', 'write-behind'] as const;

describe('what a side of a split wrote to the store and has not in memory any more', () => {
  it.each(
    MODES.flatMap(
      (mode) =>
        [
          [mode, 'nothing', 100],
          // Marks of what went out of memory are dropped after some seconds.
          [mode, 'nothing', 60_000],
          [mode, 'what it loaded again', 100],
        ] as const,
    ),
  )('is what both sides have after the heal, %s, with %s in memory after %i ms', async (mode, what, ms) => {
    const { cluster, store, minor, heal } = await split(mode, 'LatestUpdate');
    await done(cluster, minor.flush());
    await done(cluster, minor.evictAll());
    if (what !== 'nothing')
      for (const key of THEIRS) expect(await done(cluster, minor.get(key))).toBe('minor');
    await cluster.scheduler.runFor(ms);
    const after = await heal();
    expect(after).toEqual(inStore(store));
    expect(after).toEqual(KEYS.map((key) => (THEIRS.includes(key) ? 'minor' : 'shared')));
    // What the larger side wrote meanwhile is reported, whoever knows what the store has of it.
    expect(await done(cluster, reported(cluster))).toEqual(
      expect.arrayContaining(BOTH.map((key) => `${key} major`)),
    );
  });

  it.each(MODES)('is removed there too, %s', async (mode) => {
    const { cluster, store, minor, heal } = await split(mode, 'LatestUpdate');
    for (const key of THEIRS) await done(cluster, minor.delete(key));
    await done(cluster, minor.flush());
    await done(cluster, minor.evictAll());
    await cluster.scheduler.runFor(60_000);
    const after = await heal();
    expect(after).toEqual(inStore(store));
    expect(after).toEqual(KEYS.map((key) => (THEIRS.includes(key) ? null : 'shared')));
  });

  it.each(MODES)('does not count where the merge takes nothing, %s', async (mode) => {
    const { cluster, store, minor, heal } = await split(mode, 'Discard');
    await done(cluster, minor.flush());
    await done(cluster, minor.evictAll());
    await cluster.scheduler.runFor(60_000);
    const after = await heal();
    expect(after).toEqual(inStore(store));
    expect(after).toEqual(KEYS.map((key) => (BOTH.includes(key) ? 'major' : 'shared')));
  });
});
