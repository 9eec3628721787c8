/** From processes to one cluster: founding, joining, and being refused, in the simulator. */
import { describe, expect, it } from 'vitest';
import { SimCluster } from '../../chaos/sim/cluster.js';
import { HandshakeRefusedError } from '../../src/base/errors.js';
import { SeededRandom } from '../../src/base/random.js';
import {
  clusterOf,
  fill,
  hostsOf,
  lineagesOf,
  memberOf,
  missing,
  runUntilView,
  settle,
  startAll,
} from './scenario.js';

const ALL = ['m1', 'm2', 'm3', 'm4', 'm5'];
const joining = (...hosts: string[]) => ({ join: hosts.map((host) => `${host}:5701`) });

describe('founding', () => {
  it('one process without others founds a cluster at once and serves', async () => {
    const cluster = new SimCluster({ seed: 1 });
    const { started } = cluster.start('m1');
    expect((await settle(cluster, started, 2_000)).error).toBeUndefined();
    expect(hostsOf(cluster, 'm1')).toEqual(['m1']);
    await fill(cluster, 'm1', 'x', 10);
    expect(await missing(cluster, 'm1', 'x', 10)).toEqual([]);
  });

  it('a process that waits for addresses where nobody is founds within a few heartbeats', async () => {
    const cluster = new SimCluster({ seed: 1 });
    const { started } = cluster.start('m1', joining('m1', 'nobody', 'm9'));
    await settle(cluster, started, 6_000);
    expect(hostsOf(cluster, 'm1')).toEqual(['m1']);
  });

  it('five processes that start at the same moment found exactly one cluster, for many seeds', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = new SimCluster({ seed });
      for (const host of ALL) cluster.start(host, joining(...ALL));
      expect(await runUntilView(cluster, ALL, 30_000), `seed ${seed}`).toBe(true);
      expect(lineagesOf(cluster).size).toBe(1);
    }
  });

  it('processes that start at random times within three seconds found exactly one cluster', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = new SimCluster({ seed });
      const random = new SeededRandom(seed, 'starts');
      await startAll(
        cluster,
        ALL.map((host) => ({ host, atMs: random.below(3_000), options: joining(...ALL) })),
      );
      expect(await runUntilView(cluster, ALL, 30_000), `seed ${seed}`).toBe(true);
      expect(lineagesOf(cluster).size).toBe(1);
    }
  });

  it('processes that name only some others, but all the first, found exactly one cluster', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = new SimCluster({ seed });
      const random = new SeededRandom(seed, 'starts');
      await startAll(
        cluster,
        ALL.map((host) => ({
          host,
          atMs: random.below(600),
          options: joining('m1', host, ...(host === 'm1' ? ['m5'] : ALL.filter(() => random.below(2) === 0))),
        })),
      );
      expect(await runUntilView(cluster, ALL, 30_000), `seed ${seed}`).toBe(true);
      expect(lineagesOf(cluster).size).toBe(1);
    }
  });

  it('processes that name each other in a chain found exactly one cluster', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = new SimCluster({ seed });
      ALL.forEach((host, i) => {
        cluster.start(host, joining(ALL[Math.max(0, i - 1)] as string));
      });
      expect(await runUntilView(cluster, ALL, 40_000), `seed ${seed}`).toBe(true);
      expect(lineagesOf(cluster).size).toBe(1);
    }
  });
});

describe('joining', () => {
  it.each(['m1', 'm2', 'm3'])('works through the address of %s alone', async (door) => {
    const cluster = await clusterOf(3);
    cluster.start('m4', joining(door));
    expect(await runUntilView(cluster, ['m1', 'm2', 'm3', 'm4'], 5_000)).toBe(true);
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
  });

  it('keeps all data and spreads it', async () => {
    const cluster = await clusterOf(1);
    await fill(cluster, 'm1', 'x', 200);
    for (const host of ['m2', 'm3']) cluster.start(host);
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    for (const host of ['m1', 'm2', 'm3']) {
      expect(await missing(cluster, host, 'x', 200)).toEqual([]);
      expect(memberOf(cluster, host).member.node.report().entries).toBeGreaterThan(20);
    }
  });

  it('works for a process that names nobody of the cluster, when a member names it', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = new SimCluster({ seed });
      cluster.start('m1', joining('m1', 'm2'));
      await cluster.scheduler.runFor(3_000 + seed * 50);
      expect(hostsOf(cluster, 'm1')).toEqual(['m1']);
      cluster.start('m2', joining('m2', 'nobody'));
      expect(await runUntilView(cluster, ['m1', 'm2'], 10_000), `seed ${seed}`).toBe(true);
    }
  });
});

describe('a joiner that does not fit', () => {
  it('is refused for another cluster name, and told both names', async () => {
    const cluster = await clusterOf(2);
    const { started } = cluster.start('m3', { clusterName: 'other' });
    const error = (await settle(cluster, started)) as { value: Error | null };
    expect(error.value).toBeInstanceOf(HandshakeRefusedError);
    expect(error.value?.message).toMatch(/'dev', not to 'other'/);
    expect(hostsOf(cluster, 'm1')).toEqual(['m1', 'm2']);
  });

  it('is refused for another number of partitions, and told both numbers', async () => {
    const cluster = await clusterOf(2);
    const { started } = cluster.start('m3', { partitionCount: 13 });
    const error = (await settle(cluster, started)) as { value: Error | null };
    expect(error.value).toBeInstanceOf(HandshakeRefusedError);
    expect(error.value?.message).toMatch(/11 partitions, you have 13/);
    expect(hostsOf(cluster, 'm1')).toEqual(['m1', 'm2']);
    await fill(cluster, 'm1', 'x', 20);
  });

  it('two clusters of other names at each others addresses stay apart', async () => {
    const cluster = await clusterOf(1);
    const { started } = cluster.start('n1', { clusterName: 'other', ...joining('n1') });
    await settle(cluster, started);
    cluster.start('m2', joining('m1', 'n1'));
    await cluster.scheduler.runFor(10_000);
    expect(hostsOf(cluster, 'm1')).not.toContain('n1');
    expect(hostsOf(cluster, 'n1')).toEqual(['n1']);
  });

  it('a client of another cluster name is refused with the reason', async () => {
    const cluster = await clusterOf(1);
    const client = cluster.client({ clusterName: 'other', connectTimeoutMs: 3_000 });
    const outcome = await settle(cluster, client.connect());
    expect(outcome.error).toBeInstanceOf(HandshakeRefusedError);
    expect(outcome.error?.message).toMatch(/belongs to cluster 'dev'/);
  });
});
