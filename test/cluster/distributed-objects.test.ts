/** Which structures there are, and what is left of one that was destroyed, also in the middle of writes and of a load. */
import { describe, expect, it } from 'vitest';
import { PartitionUnavailableError } from '../../src/base/errors.js';
import { clusterOf, connected, done, memberOf, settle } from './scenario.js';

async function start() {
  const cluster = await clusterOf(3);
  const client = await connected(cluster);
  const { member } = memberOf(cluster, 'm1');
  const listed = async () => {
    const lists = await done(
      cluster,
      Promise.all([client.getDistributedObjects(), member.getDistributedObjects()]),
    );
    expect(lists[1]).toEqual(lists[0]);
    return lists[0].map(({ service, name }) => `${service} ${name}`);
  };
  return { cluster, client, listed };
}

describe('the structures of a grid', () => {
  it('are those that have data, each once, and not those that were only asked for', async () => {
    const { cluster, client, listed } = await start();
    expect(await listed()).toEqual([]);
    const entries = Array.from({ length: 40 }, (_, i) => [`k${i}`, i] as const);
    await done(cluster, client.getMap('map').putAll(entries));
    await done(cluster, client.getMultiMap('multi').put('k', 1));
    await done(cluster, client.getQueue('queue').add(1));
    await done(cluster, client.getAtomicLong('long').set(0));
    await done(cluster, client.getTopic('topic').publish(1));
    await done(cluster, client.getMap('same name').set('k', 1));
    await done(cluster, client.getQueue('same name').add(1));
    await done(cluster, client.getMap('only read').get('k'));
    expect(await listed()).toEqual([
      'atomicLong long',
      'map map',
      'map same name',
      'multiMap multi',
      'queue queue',
      'queue same name',
      'topic topic',
    ]);
  });

  it('come in pages when there are many', async () => {
    const { cluster, client, listed } = await start();
    const names = Array.from({ length: 1_500 }, (_, i) => `n${String(i).padStart(4, '0')}`);
    // All of them in the partition of one key.
    await done(cluster, Promise.all(names.map((name) => client.getMap(name).set('k', 1))));
    expect(await listed()).toEqual(names.map((name) => `map ${name}`));
  });

  it('are there after a primary died, and nothing is left out while a partition has nobody', async () => {
    const { cluster, client, listed } = await start();
    const names = Array.from({ length: 30 }, (_, i) => `long${i}`);
    await done(cluster, Promise.all(names.map((name) => client.getAtomicLong(name).set(1))));
    cluster.crash('m3');
    expect(await listed()).toHaveLength(30);
    await cluster.runUntilSafe(20_000);
    expect(await listed()).toHaveLength(30);
    cluster.crash('m2');
    cluster.crash('m1');
    const { error } = await settle(cluster, client.getDistributedObjects());
    expect(error).toBeDefined();
    expect(error).not.toBeInstanceOf(TypeError);
    expect(error instanceof PartitionUnavailableError || 'code' in (error as object)).toBe(true);
  });
});

describe('a structure that is destroyed', () => {
  it('has nothing left, whatever it is, and is not listed', async () => {
    const { cluster, client, listed } = await start();
    const map = client.getMap<string, number>('map');
    const multi = client.getMultiMap<string, number>('multi');
    const queue = client.getQueue<number>('queue');
    const long = client.getAtomicLong('long');
    const keys = Array.from({ length: 3_000 }, (_, i) => `k${i}`);
    await done(cluster, map.putAll(keys.map((key, i) => [key, i])));
    await done(cluster, multi.putAll(keys.map((key) => [key, [1, 2]])));
    await done(cluster, queue.addAll(keys.map((_, i) => i)));
    await done(cluster, long.set(5));
    const topic = client.getTopic<number>('topic');
    await done(cluster, topic.publish(5));
    expect(await listed()).toHaveLength(5);
    for (const one of [map, multi, queue, long, topic]) await done(cluster, one.destroy());
    expect(await listed()).toEqual([]);
    const left = [map.size(), multi.size(), queue.size(), long.get()];
    expect(await done(cluster, Promise.all(left as Promise<unknown>[]))).toEqual([0, 0, 0, 0n]);
    expect(client.getMap('map')).not.toBe(map);
  });

  it('loses all that was acknowledged before, and keeps to what it says in the middle of writes', async () => {
    const { cluster, client, listed } = await start();
    const map = client.getMap<string, string>('map');
    const before = Array.from({ length: 500 }, (_, i) => [`k${i}`, 'before'] as const);
    await done(cluster, map.putAll(before));
    const destroyed = map.destroy();
    const writes = before.map(([key], i) => (i % 3 === 0 ? map.set(key, 'meanwhile') : Promise.resolve()));
    await done(cluster, Promise.all([destroyed, ...writes]));
    const left = await done(cluster, map.entrySet());
    expect(left.every(([, value]) => value === 'meanwhile')).toBe(true);
    await done(cluster, map.destroy());
    expect(await done(cluster, map.size())).toBe(0);
    expect(await listed()).toEqual([]);
  });

  it('takes nothing from a loader that began before', async () => {
    const { cluster, client } = await start();
    const map = client.getMap<string, string>('map');
    const { scheduler } = cluster;
    const loader = () =>
      new Promise<string>((resolve) => scheduler.schedule(scheduler.now + 500, () => resolve('loaded')));
    const loading = map.getOrLoad('k', loader);
    await scheduler.runFor(100);
    await done(cluster, map.destroy());
    await settle(cluster, loading);
    // Loaded anew, or not at all: what was read before the end is not stored behind it.
    const value = await done(cluster, map.getEntryView('k'));
    expect(value === null || value.value === 'loaded').toBe(true);
    expect(await done(cluster, client.getMap<string, string>('map').destroy())).toBeUndefined();
    expect(await done(cluster, map.size())).toBe(0);
  });
});
