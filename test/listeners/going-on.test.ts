/** Listeners that go on: with another primary, another connection, another lineage; and those that cannot keep up. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Grid } from '../../client/core/grid.js';
import { clusterOf, connected, done, isolate, memberOf, runUntilView } from '../cluster/scenario.js';
import { Chain } from './chain.js';

const PARTITIONS = 5;
const KEYS = 12;
const member = { partitionCount: PARTITIONS, timings: 'local' } as const;

async function chained(cluster: SimCluster, grid: Grid): Promise<Chain> {
  const chain = new Chain(PARTITIONS);
  await done(cluster, grid.getMap<string, unknown>('m').addEntryListener(chain.listener, null, true));
  return chain;
}

/** Writes all the time, one key after the other, each value once; gives how many were acknowledged. */
function writing(cluster: SimCluster, grid: Grid): { stop(): void; acknowledged: number; ended: boolean } {
  let isOn = true;
  const stop = () => {
    isOn = false;
  };
  const state = { stop, acknowledged: 0, ended: false };
  const map = grid.getMap<string, unknown>('m').with({ timeoutMs: 5_000 });
  const run = async () => {
    for (let i = 0; isOn; i++) {
      const key = `k${(i * 7) % KEYS}`;
      const call = i % 5 === 4 ? map.delete(key) : map.set(key, i);
      await call.then(
        () => void state.acknowledged++,
        () => {},
      );
      await new Promise<void>((next) => cluster.scheduler.schedule(cluster.scheduler.now + 3, next));
    }
    state.ended = true;
  };
  void run();
  return state;
}

async function settled(cluster: SimCluster, work: { stop(): void; ended: boolean }): Promise<void> {
  work.stop();
  await cluster.until(() => work.ended, 20_000);
  await cluster.scheduler.runFor(2_000);
}

/** What the listener was told last of each key is what the key has. */
async function expectLatest(cluster: SimCluster, grid: Grid, chain: Chain): Promise<void> {
  for (const [key, value] of chain.now) {
    const now = await done(cluster, grid.getMap<string, unknown>('m').get(key));
    expect([key, now]).toEqual([key, value]);
  }
  expect(chain.problems).toEqual([]);
}

describe('a listener goes on without a gap', () => {
  it.each([1, 2, 3])('when the primary crashes (%i)', async (seed) => {
    const cluster = await clusterOf(3, { seed, member });
    const client = await connected(cluster);
    const chains = [await chained(cluster, client), await chained(cluster, memberOf(cluster, 'm1').member)];
    const work = writing(cluster, client);
    await cluster.scheduler.runFor(500);
    cluster.crash('m2');
    await runUntilView(cluster, ['m1', 'm3'], 10_000);
    await cluster.scheduler.runFor(1_500);
    await settled(cluster, work);
    for (const chain of chains) {
      await expectLatest(cluster, client, chain);
      expect(chain.gaps).toEqual([]);
      expect(chain.told.length).toBeGreaterThan(100);
    }
    expect(work.acknowledged).toBeGreaterThan(100);
  });

  it.each([4, 5])(
    'when partitions move to a member that joins, and from one that leaves (%i)',
    async (seed) => {
      const cluster = await clusterOf(3, { seed, member });
      const client = await connected(cluster);
      const chain = await chained(cluster, client);
      const work = writing(cluster, client);
      await cluster.scheduler.runFor(300);
      cluster.start('m4');
      await cluster.runUntilSafe(20_000);
      await cluster.scheduler.runFor(500);
      void cluster.leave('m1');
      await runUntilView(cluster, ['m2', 'm3', 'm4'], 20_000);
      await cluster.runUntilSafe(20_000);
      await settled(cluster, work);
      await expectLatest(cluster, client, chain);
      expect(chain.gaps).toEqual([]);
      expect(new Set(chain.told.map(({ key }) => key)).size).toBe(KEYS);
    },
  );

  it.each(['all', 'single'] as const)(
    'when the connections of the client break (routing %s)',
    async (routing) => {
      const cluster = await clusterOf(3, { seed: 6, member });
      const writer = await connected(cluster);
      const reader = cluster.client({ routing });
      await done(cluster, reader.connect());
      const chain = await chained(cluster, reader);
      const work = writing(cluster, writer);
      await cluster.scheduler.runFor(300);
      for (let times = 0; times < 3; times++) {
        for (const host of cluster.members.keys()) {
          cluster.network.cut('c2', host);
          cluster.network.cut(host, 'c2');
        }
        // Shorter than the lease, longer than a connection lives.
        await cluster.scheduler.runFor(8_000);
        for (const host of cluster.members.keys()) {
          cluster.network.heal('c2', host);
          cluster.network.heal(host, 'c2');
        }
        await cluster.scheduler.runFor(3_000);
      }
      await settled(cluster, work);
      await expectLatest(cluster, writer, chain);
      expect(chain.gaps).toEqual([]);
      expect(chain.told.length).toBeGreaterThan(work.acknowledged - 30);
    },
  );
});

describe('a listener is told of a gap', () => {
  it('when it was away for longer than members wait', async () => {
    const cluster = await clusterOf(2, { seed: 7, member });
    const writer = await connected(cluster);
    const reader = await connected(cluster);
    const chain = await chained(cluster, reader);
    const work = writing(cluster, writer);
    await cluster.scheduler.runFor(300);
    for (const host of cluster.members.keys()) cluster.network.cut('c2', host);
    await cluster.scheduler.runFor(45_000);
    for (const host of cluster.members.keys()) cluster.network.heal('c2', host);
    await cluster.scheduler.runFor(6_000);
    await settled(cluster, work);
    await expectLatest(cluster, writer, chain);
    expect(new Set(chain.gaps.map(({ reason }) => reason))).toEqual(new Set(['moved']));
    expect(chain.now.size).toBeGreaterThan(0);
  });

  it('when it is too slow, and members keep no more for it than their rings', async () => {
    const rings = { events: 50, bytes: 100_000, memberBytes: 200_000 };
    const cluster = await clusterOf(2, { seed: 8, member, memberFaults: { rings } });
    const writer = await connected(cluster);
    const quick = await chained(cluster, await connected(cluster));
    const slow = await chained(cluster, await connected(cluster));
    const work = writing(cluster, writer);
    for (const host of cluster.members.keys()) cluster.network.cut('c3', host);
    await cluster.scheduler.runFor(5_000);
    for (const { member: one } of cluster.running())
      expect(one.node.near.listening.teller.budget.sizeBytes).toBeLessThan(200_000);
    for (const host of cluster.members.keys()) cluster.network.heal('c3', host);
    await cluster.scheduler.runFor(3_000);
    await settled(cluster, work);
    await expectLatest(cluster, writer, quick);
    await expectLatest(cluster, writer, slow);
    expect(quick.gaps).toEqual([]);
    expect(new Set(slow.gaps.map(({ reason }) => reason))).toEqual(new Set(['overflow']));
  });

  it('when positions that it was told of died with a primary', async () => {
    const maps = { m: { backups: { sync: 0, async: 1 } } };
    const cluster = await clusterOf(3, { seed: 9, member: { ...member, maps } });
    const client = await connected(cluster);
    const chain = await chained(cluster, client);
    const m2 = memberOf(cluster, 'm2').member;
    const work = writing(cluster, client);
    await cluster.scheduler.runFor(200);
    // Its backups get nothing any more, its clients do.
    for (const host of ['m1', 'm3']) cluster.network.cut('m2', host);
    await cluster.scheduler.runFor(200);
    cluster.crash('m2');
    await runUntilView(cluster, ['m1', 'm3'], 10_000);
    await cluster.scheduler.runFor(1_000);
    await settled(cluster, work);
    await expectLatest(cluster, client, chain);
    expect(m2.node.view).not.toBeNull();
    expect(new Set(chain.gaps.map(({ reason }) => reason))).toEqual(new Set(['lost']));
  });

  it('when it goes on in a fork, and when it comes back from there', async () => {
    const maps = { m: { backups: { sync: 2 } } };
    const cluster = await clusterOf(3, { seed: 10, member: { ...member, maps } });
    const inside = memberOf(cluster, 'm3').member;
    const cutOff = await chained(cluster, inside);
    const majority = await chained(cluster, memberOf(cluster, 'm1').member);
    await done(
      cluster,
      inside.getMap<string, unknown>('m').setAll(Array.from({ length: KEYS }, (_, i) => [`k${i}`, 'first'])),
    );
    await cluster.scheduler.runFor(500);
    isolate(cluster, 'm3', 'both');
    await cluster.scheduler.runFor(10_000);
    for (let i = 0; i < KEYS; i++) {
      await done(cluster, inside.getMap<string, unknown>('m').set(`k${i}`, `fork ${i}`));
      if (i % 2 === 0)
        await done(
          cluster,
          memberOf(cluster, 'm1').member.getMap<string, unknown>('m').set(`k${i}`, `chain ${i}`),
        );
    }
    await cluster.scheduler.runFor(500);
    expect(cutOff.gaps.length).toBeGreaterThan(0);
    expect(cutOff.gaps.every(({ reason }) => reason === 'lineage')).toBe(true);
    expect(majority.gaps).toEqual([]);
    for (const host of ['m1', 'm2']) {
      cluster.network.heal('m3', host);
      cluster.network.heal(host, 'm3');
    }
    await cluster.runUntilSafe(30_000);
    await cluster.scheduler.runFor(5_000);
    await expectLatest(cluster, memberOf(cluster, 'm1').member, majority);
    await expectLatest(cluster, memberOf(cluster, 'm1').member, cutOff);
    const merged = majority.told.filter(({ kind }) => kind === 'merged').map(({ value }) => value);
    expect(merged).toContain('fork 1');
    const back = cutOff.told.map(({ value }) => value);
    expect(back).toContain('chain 0');
    expect(cutOff.told.filter(({ kind }) => kind === 'merged').length).toBe(merged.length);
    expect(new Set(back.filter((value) => `${value}`.startsWith('chain'))).size).toBe(
      back.filter((value) => `${value}`.startsWith('chain')).length,
    );
  });
});
