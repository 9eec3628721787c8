/** Entries that end in whole clusters: in the background, through takeovers, under clocks that are set, on backups. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { MapState } from '../../partitions/services/map/state.js';
import { clusterOf, connected, done, keyAt, memberOf, REMOVAL_MS } from './scenario.js';

const PARTITIONS = 11;

/** Entries and marks of the map `m` that members hold, replica by replica. */
function held(cluster: SimCluster): { entries: number; records: number } {
  let entries = 0;
  let records = 0;
  for (const { member } of cluster.running())
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const state = member.node.replication.replica(partition).find(1, 'm') as MapState | undefined;
      entries += state?.entryCount ?? 0;
      records += state?.dump().length ?? 0;
    }
  return { entries, records };
}

describe('entries that are over', () => {
  it('are removed on every replica within a second, and their marks soon after', async () => {
    const cluster = await clusterOf(3, { seed: 1 });
    const map = memberOf(cluster, 'm1').member.getMap<number, number>('m');
    const sets = Array.from({ length: 500 }, (_, i) => map.set(i, i, i % 5 === 0 ? 2_000 : 0));
    await done(cluster, Promise.all(sets));
    expect(held(cluster).entries).toBe(1_000);
    await cluster.scheduler.runFor(1_500);
    expect(held(cluster).entries).toBe(1_000);
    await cluster.scheduler.runFor(1_500);
    expect(held(cluster).entries).toBe(800);
    expect(await done(cluster, map.size())).toBe(400);
    await cluster.scheduler.runFor(3_000);
    expect(held(cluster).records).toBe(800);
    const { expirations } = memberOf(cluster, 'm1').member.node.replication.counters;
    expect(expirations).toBeGreaterThan(0);
  });

  it('do not come back at a new primary whose clock is behind', async () => {
    const cluster = await clusterOf(2, { seed: 2 });
    const client = await connected(cluster);
    const map = client.getMap<string, number>('m');
    const key = keyAt(cluster, 'm2', 0);
    memberOf(cluster, 'm1').clock.stepWall(-60_000);
    await done(cluster, map.set(key, 1, 1_000));
    await cluster.scheduler.runFor(1_000);
    expect(await done(cluster, map.get(key))).toBeNull();
    cluster.crash('m2');
    await cluster.scheduler.runFor(REMOVAL_MS + 1_000);
    expect(await done(cluster, map.get(key))).toBeNull();
  });

  it('end by the clock of who answers, later or earlier by as much as it was set', async () => {
    const cluster = await clusterOf(1, { seed: 3 });
    const { member, clock } = memberOf(cluster, 'm1');
    const map = member.getMap<string, number>('m');
    await done(cluster, map.set('k', 1, 10_000));
    clock.stepWall(9_000);
    expect(await done(cluster, map.get('k'))).toBe(1);
    clock.stepWall(-9_000);
    await cluster.scheduler.runFor(9_000);
    expect(await done(cluster, map.get('k'))).toBe(1);
    await cluster.scheduler.runFor(1_000);
    expect(await done(cluster, map.get('k'))).toBeNull();
  });
});

describe('entries with a max idle time', () => {
  it('that are used stay through a crash of the primary; others go, and do not come back', async () => {
    const cluster = await clusterOf(3, { seed: 4 });
    const client = await connected(cluster);
    const map = client.getMap<string, number>('m');
    const used = keyAt(cluster, 'm3', 0);
    await done(cluster, Promise.all([map.set(used, 1, 0, 8_000), map.set(`${used}/idle`, 1, 0, 8_000)]));
    for (let i = 0; i < 7; i++) {
      await cluster.scheduler.runFor(1_000);
      expect(await done(cluster, map.get(used))).toBe(1);
    }
    cluster.crash('m3');
    await cluster.scheduler.runFor(REMOVAL_MS + 1_000);
    expect(await done(cluster, map.get(`${used}/idle`))).toBeNull();
    expect(await done(cluster, map.get(used))).toBe(1);
    await cluster.scheduler.runFor(7_900);
    expect(await done(cluster, map.get(used))).toBe(1);
    await cluster.scheduler.runFor(8_500);
    expect(held(cluster).entries).toBe(0);
  });

  it('are read at backups only while it is certain that they are there', async () => {
    const maps = { m: { consistency: 'PA/EL', backups: { sync: 1, async: 1 } } } as const;
    const cluster = await clusterOf(3, { seed: 5, member: { maps } });
    const key = keyAt(cluster, 'm1', 0);
    const atPrimary = memberOf(cluster, 'm1').member.getMap<string, number>('m').with({ consistency: 'EC' });
    const atBackup = memberOf(cluster, 'm2').member.getMap<string, number>('m');
    await done(cluster, atPrimary.set(key, 1, 0, 4_000));
    await cluster.scheduler.runFor(500);
    const sources = new Set<string>();
    for (let i = 0; i < 12; i++) {
      await cluster.scheduler.runFor(900);
      if (i % 2 === 0) await done(cluster, atPrimary.get(key));
      const { value, source } = await done(cluster, atBackup.getWithMeta(key));
      expect(value).toBe(1);
      sources.add(source);
    }
    expect(sources).toContain('backup');
    await cluster.scheduler.runFor(4_000);
    expect(await done(cluster, atBackup.get(key))).toBeNull();
  });
});

describe('a map with a bound', () => {
  it('has no more entries than its members may lead, also when there are fewer members', async () => {
    const eviction = { policy: 'LRU', maxEntries: 40 } as const;
    const cluster = await clusterOf(3, { seed: 6, member: { maps: { m: { eviction } } } });
    const client = await connected(cluster);
    const map = client.getMap<number, number>('m');
    for (let i = 0; i < 300; i++) {
      await done(cluster, map.set(i, i));
      expect(await done(cluster, map.get(i))).toBe(i);
    }
    const size = await done(cluster, map.size());
    expect(size).toBeLessThanOrEqual(120);
    expect(size).toBeGreaterThan(100);
    expect(held(cluster).entries).toBe(2 * size);
    cluster.crash('m3');
    await cluster.scheduler.runFor(REMOVAL_MS + 5_000);
    expect(await done(cluster, map.size())).toBeLessThanOrEqual(80);
    expect(held(cluster).entries).toBe(2 * (await done(cluster, map.size())));
    const evictions = cluster.running().map(({ member }) => member.node.replication.counters.evictions);
    expect(Math.min(...evictions)).toBeGreaterThan(50);
  });

  it('keeps what is used, by LRU and by LFU, nearly as if all had been compared', async () => {
    for (const policy of ['LRU', 'LFU'] as const) {
      const eviction = { policy, maxEntries: 100 };
      const cluster = await clusterOf(1, { seed: 7, member: { maps: { m: { eviction } } } });
      const map = memberOf(cluster, 'm1').member.getMap<number, number>('m');
      for (let i = 0; i < 1_000; i++) {
        await done(cluster, map.set(i, i));
        await cluster.scheduler.runFor(20);
        if (i >= 20) for (let hot = 0; hot < 20; hot += 4) await done(cluster, map.get(hot + (i % 4)));
      }
      const kept = await done(cluster, map.getAll(Array.from({ length: 20 }, (_, i) => i)));
      expect(kept.length, policy).toBeGreaterThanOrEqual(18);
      expect(await done(cluster, map.size()), policy).toBe(100);
    }
  });

  it('counts bytes, if that is what is bounded', async () => {
    const eviction = { policy: 'RANDOM', maxBytes: 20_000 } as const;
    const cluster = await clusterOf(1, { seed: 8, member: { maps: { m: { eviction } } } });
    const map = memberOf(cluster, 'm1').member.getMap<number, string>('m');
    for (let i = 0; i < 200; i++) await done(cluster, map.set(i, 'x'.repeat(1_000)));
    const size = await done(cluster, map.size());
    expect(size).toBeGreaterThan(14);
    expect(size).toBeLessThan(20);
    expect(await done(cluster, map.get(199))).toBe('x'.repeat(1_000));
  });
});
