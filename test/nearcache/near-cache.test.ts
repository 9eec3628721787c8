/** Near caches in whole clusters: hits, invalidations, ages, sessions, and what ends what is kept. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Client } from '../../client/api.js';
import { NearMap } from '../../nearcache/near-map.js';
import { Watchers } from '../../nearcache/watchers.js';
import { Freshness } from '../../replication/freshness.js';
import { clusterOf, done, keyAt, memberOf, viewOf } from '../cluster/scenario.js';

const EL = { consistency: 'PA/EL', backups: { sync: 1 } } as const;
const NEAR = { near: { maxStalenessMs: 300 } };

async function nearCluster(seed: number): Promise<SimCluster> {
  return clusterOf(3, { seed, member: { maps: { near: EL, strict: { consistency: 'PA/EC' } } } });
}

async function clientWith(cluster: SimCluster, nearCaches: object = NEAR): Promise<Client> {
  const client = cluster.client({ nearCaches: nearCaches as never });
  await done(cluster, client.connect());
  await cluster.scheduler.runFor(1_500);
  return client;
}

function statsOf(client: Client, name = 'near') {
  return client.getMap(name).getNearCacheStats();
}

/** Reads a key until it is kept, and a little longer, so that the next read is a hit. */
async function warm(cluster: SimCluster, client: Client, key: unknown): Promise<void> {
  const map = client.getMap('near');
  await done(cluster, map.get(key));
  await cluster.scheduler.runFor(20);
  await done(cluster, map.get(key));
  await cluster.scheduler.runFor(20);
}

afterEach(() => void vi.restoreAllMocks());

describe('a near cache', () => {
  it('gives a value that was read before without asking, with its age', async () => {
    const cluster = await nearCluster(1);
    const client = await clientWith(cluster);
    const map = client.getMap<string, { n: number }>('near');
    await done(cluster, map.set('a', { n: 1 }));
    await warm(cluster, client, 'a');
    const before = cluster.scheduler.now;
    const { value, source, ageMs, lineage, position } = await done(cluster, map.getWithMeta('a'));
    expect([value, source, cluster.scheduler.now]).toEqual([{ n: 1 }, 'nearCache', before]);
    expect(ageMs).toBeGreaterThanOrEqual(0);
    expect(ageMs).toBeLessThan(300);
    expect(lineage).toBe(viewOf(cluster, 'm1')?.lineage.slice(0, 8));
    expect(position.sequence).toBeGreaterThan(0);
    expect(statsOf(client)?.hits).toBeGreaterThan(0);
    expect(statsOf(client)?.entries).toBe(1);
  });

  it('drops what another client changes, soon after', async () => {
    const cluster = await nearCluster(2);
    const client = await clientWith(cluster);
    const other = await clientWith(cluster, {});
    await done(cluster, other.getMap('near').set('a', 1));
    await warm(cluster, client, 'a');
    await done(cluster, other.getMap('near').set('a', 2));
    await cluster.scheduler.runFor(30);
    expect(statsOf(client)?.invalidations).toBe(1);
    expect(await done(cluster, client.getMap('near').get('a'))).toBe(2);
  });

  it('gives a writer what it has written', async () => {
    const cluster = await nearCluster(3);
    const client = await clientWith(cluster);
    const map = client.getMap<string, number>('near');
    for (let i = 1; i < 50; i++) {
      await done(cluster, map.set('a', i));
      expect(await done(cluster, map.get('a'))).toBe(i);
      expect(await done(cluster, map.get('a'))).toBe(i);
    }
  });

  it('stays on when nothing changes, and asks only while somebody reads', async () => {
    const cluster = await nearCluster(4);
    const client = await clientWith(cluster);
    const map = client.getMap<string, number>('near');
    await done(cluster, map.set('a', 1));
    await warm(cluster, client, 'a');
    for (let i = 0; i < 20; i++) {
      await cluster.scheduler.runFor(250);
      expect((await done(cluster, map.getWithMeta('a'))).source).toBe('nearCache');
    }
    await cluster.scheduler.runFor(30_000);
    expect((await done(cluster, map.getWithMeta('a'))).source).not.toBe('nearCache');
    await cluster.scheduler.runFor(50);
    expect((await done(cluster, map.getWithMeta('a'))).source).toBe('nearCache');
  });

  it('rejects when a value cannot be decoded, and throws nothing', async () => {
    const cluster = await nearCluster(6);
    const client = await clientWith(cluster);
    const map = client.getMap('near');
    vi.spyOn(NearMap.prototype, 'find').mockImplementation(() => {
      throw new Error('no such type');
    });
    const calls = [() => map.get('a'), () => map.getWithMeta('a'), () => map.containsKey('a')];
    for (const call of calls) await expect(call()).rejects.toThrow('no such type');
  });

  it.each(['near cache', 'backup'])(
    'asks often only as long as somebody wants values so new: %s',
    async (place) => {
      const cluster = await nearCluster(5);
      const isNear = place === 'near cache';
      const reader = isNear
        ? await clientWith(cluster, { near: { maxStalenessMs: 3_000 } })
        : memberOf(cluster, 'm1').member;
      const usual = reader.getMap('near').with({ consistency: 'EL', maxStalenessMs: 3_000 });
      const questions = isNear
        ? vi.spyOn(Watchers.prototype, 'ask')
        : vi.spyOn(Freshness.prototype, 'receive');
      const askedIn = async (ms: number) => {
        const before = questions.mock.calls.length;
        for (let i = 0; i < ms / 250; i++) {
          void usual.get(`k${i % 10}`);
          await cluster.scheduler.runFor(250);
        }
        return questions.mock.calls.length - before;
      };
      const before = await askedIn(5_000);
      const sharp = usual.with({ maxStalenessMs: 1 });
      for (let i = 0; i < 10; i++) void sharp.get(`k${i}`).catch(() => {});
      const during = await askedIn(5_000);
      await askedIn(7_000);
      const after = await askedIn(5_000);
      expect(before).toBeGreaterThan(0);
      expect(during).toBeGreaterThan(2 * before);
      expect(after).toBeLessThan(1.2 * before);
    },
  );

  it('keeps what is read right after the start, however seldom it asks later', async () => {
    const cluster = await nearCluster(9);
    const client = cluster.client({ nearCaches: { near: { maxStalenessMs: 60_000 } } });
    await done(cluster, client.connect());
    const map = client.getMap('near');
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 20; i++) await done(cluster, map.get(`k${i}`));
      await cluster.scheduler.runFor(100);
    }
    expect(statsOf(client)?.entries).toBe(20);
  });

  it('is not asked by calls of a map with EC, nor by a call that asks for EC', async () => {
    const cluster = await nearCluster(5);
    const client = await clientWith(cluster, { '*': { maxStalenessMs: 300 } });
    await done(cluster, client.getMap('near').set('a', 1));
    await warm(cluster, client, 'a');
    const strict = client.getMap('near').with({ consistency: 'EC' });
    expect((await done(cluster, strict.getWithMeta('a'))).source).toBe('primary');
    const map = client.getMap('strict');
    await done(cluster, map.set('a', 1));
    for (let i = 0; i < 3; i++) expect((await done(cluster, map.getWithMeta('a'))).source).toBe('primary');
    expect(statsOf(client, 'strict')?.hits).toBe(0);
  });

  it('does not give values when answers stop, after maxStalenessMs', async () => {
    const cluster = await nearCluster(6);
    const client = await clientWith(cluster);
    const map = client.getMap<string, number>('near');
    await done(cluster, map.set('a', 1));
    await warm(cluster, client, 'a');
    for (const host of cluster.members.keys()) {
      cluster.network.cut('c1', host);
      cluster.network.cut(host, 'c1');
    }
    await cluster.scheduler.runFor(250);
    const quick = map.with({ timeoutMs: 100 });
    expect(await done(cluster, quick.get('a'))).toBe(1);
    await cluster.scheduler.runFor(300);
    await expect(done(cluster, quick.get('a'))).rejects.toThrow();
    expect(statsOf(client)?.tooOld).toBeGreaterThan(0);
  });

  it('forgets a partition when its primary dies, and keeps on with the new one', async () => {
    const cluster = await nearCluster(7);
    const client = await clientWith(cluster);
    const map = client.getMap<string, number>('near');
    const key = keyAt(cluster, 'm2');
    await done(cluster, map.set(key, 1));
    await warm(cluster, client, key);
    cluster.crash('m2');
    await cluster.scheduler.runFor(10_000);
    expect((await done(cluster, map.getWithMeta(key))).source).not.toBe('nearCache');
    await warm(cluster, client, key);
    expect(await done(cluster, map.getWithMeta(key))).toMatchObject({ value: 1, source: 'nearCache' });
  });

  it('works in an embedded member as well', async () => {
    const cluster = await nearCluster(8);
    const { member } = cluster.start('m4', { nearCaches: { near: { maxStalenessMs: 300 } } });
    await cluster.runUntilSafe(20_000);
    const map = member.getMap<string, number>('near');
    for (const host of ['m1', 'm4']) {
      const key = keyAt(cluster, host);
      await done(cluster, memberOf(cluster, 'm1').member.getMap('near').set(key, 7));
      await done(cluster, map.get(key));
      await cluster.scheduler.runFor(30);
      await done(cluster, map.get(key));
      await cluster.scheduler.runFor(30);
      expect(await done(cluster, map.getWithMeta(key))).toMatchObject({ value: 7, source: 'nearCache' });
      await done(cluster, memberOf(cluster, 'm1').member.getMap('near').set(key, 8));
      await cluster.scheduler.runFor(30);
      expect(await done(cluster, map.get(key))).toBe(8);
    }
  });
});
