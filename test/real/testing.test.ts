import { describe, expect, it } from 'vitest';
import { connect } from '../../src/index.js';
import { startCluster } from '../../src/testing.js';

describe('startCluster', () => {
  it('gives three members and a client that are safe, and keeps what was written when one is killed', async () => {
    await using cluster = await startCluster();
    const { client, members } = cluster;
    expect(members).toHaveLength(3);
    expect(await client.isSafe()).toBe(true);
    const map = client.getMap<number, number>('numbers');
    const keys = Array.from({ length: 500 }, (_, i) => i);
    await Promise.all(keys.map((key) => map.set(key, 2 * key)));

    await cluster.kill(0);
    expect(members).toHaveLength(3);
    expect(cluster.addresses).toEqual(members.slice(1).map(({ address }) => address));
    for (const key of keys) expect(await map.get(key)).toBe(2 * key);

    await client.waitUntilSafe({ timeoutMs: 20_000 });
    const added = await cluster.add();
    expect(await client.isSafe()).toBe(true);
    const { members: inView } = await client.status();
    expect(inView.map(({ address }) => address)).toContain(added.address);
    await cluster.kill(1);
    expect(await map.size()).toBe(500);
  });

  it('passes options on to the members and to the client', async () => {
    await using cluster = await startCluster({
      members: 2,
      member: {
        clusterName: 'mine',
        partitionCount: 7,
        maps: { default: { backups: { sync: 0, async: 1 } } },
      },
      client: { timeoutMs: 1234 },
    });
    const status = await cluster.client.status();
    expect([status.clusterName, status.partitions.count, status.members.length]).toEqual(['mine', 7, 2]);
    await using other = await connect({ clusterName: 'mine', members: cluster.addresses });
    await cluster.client.getAtomicLong('hits').set(3);
    expect(await other.getAtomicLong('hits').get()).toBe(3n);
  });

  it('leaves nothing behind after shutdown, also when it is called twice', async () => {
    const cluster = await startCluster({ members: 1, member: { partitionCount: 1 } });
    const { addresses, client } = cluster;
    await cluster.shutdown();
    await cluster.shutdown();
    expect(cluster.addresses).toEqual([]);
    await expect(client.getMap('m').get('k')).rejects.toThrow('shut down');
    await expect(connect({ members: addresses, connectTimeoutMs: 200 })).rejects.toThrow(
      'connection refused',
    );
  });

  it('tells stores what they lack before it ends, for no longer than they take', async () => {
    const table = new Map<unknown, unknown>();
    const closed: number[] = [];
    const cluster = await startCluster({
      members: 2,
      member: {
        maps: { m: { store: { name: 's', mode: 'write-behind', delayMs: 60_000, timeoutMs: 300 } } },
      },
      register: (registry) =>
        registry.mapStore('s', {
          load: () => null,
          store: (key, value) => {
            if (key === 99) throw new Error('no');
            table.set(key, value);
          },
          delete: (key) => void table.delete(key),
          close: () => void closed.push(table.size),
        }),
    });
    const map = cluster.client.getMap<number, string>('m');
    for (let i = 90; i < 100; i++) await map.set(i, 'x');
    expect(table.size).toBe(0);
    await cluster.shutdown();
    expect(table.size).toBe(9);
    expect(closed).toEqual([9, 9]);
  });

  it('says what is wrong with its options, and which member there is not', async () => {
    await expect(startCluster({ members: 0 })).rejects.toThrow('members: expected a whole number from 1 on');
    await expect(startCluster({ member: { partitionCount: 0 } })).rejects.toThrow('partitionCount');
    await expect(startCluster({ members: 1, client: { timeoutMs: -1 } })).rejects.toThrow('timeoutMs');
    await using cluster = await startCluster({ members: 1, member: { partitionCount: 1 } });
    await expect(cluster.kill(1)).rejects.toThrow('there is no member 1: 1 were started');
  });
});
