/** What explain measures in whole clusters: asked by clients and by members, with backups that are late, silent or gone. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Explanation, Reported } from '../../src/policy/explanation.js';
import { clusterOf, done, memberOf, REMOVAL_MS, settle, viewOf } from './scenario.js';

const maps = { users: { backups: { sync: 1, async: 1 } } };

async function started(seed: number): Promise<SimCluster> {
  return clusterOf(3, { seed, member: { maps } });
}

function reportedIn({ now }: Explanation): Reported {
  expect(now).not.toBeNull();
  expect(now?.reported).not.toBeNull();
  return now?.reported as Reported;
}

const LEVEL = { behind: 0, unknown: 0, positions: 0, bytes: 0, ageMs: 0 };

describe('explain in a cluster', () => {
  it('says the same to a client and to each member, when all is well', async () => {
    const cluster = await started(1);
    const client = cluster.client();
    await done(cluster, client.connect());
    const explanation = await done(cluster, client.explain('map', 'users'));
    const partitions = viewOf(cluster, 'm1')?.table.length as number;
    expect(explanation.now).toMatchObject({
      members: 3,
      syncBackupsNow: 1,
      missing: { sync: 0, async: 0, syncPartitions: [], asyncPartitions: [] },
      unsettled: [],
      nearCache: null,
    });
    expect(reportedIn(explanation)).toEqual({
      silent: [],
      sync: { backups: partitions, ...LEVEL },
      async: { backups: partitions, ...LEVEL },
      divergent: [],
      leftovers: 0,
      leftoverBytes: 0,
    });
    for (const host of ['m1', 'm2', 'm3'])
      expect(await done(cluster, memberOf(cluster, host).member.explain('map', 'users'))).toEqual(
        explanation,
      );
  });

  it('measures how far backups are behind that nothing reaches any more, and how old what they lack is', async () => {
    const cluster = await started(2);
    const { member } = memberOf(cluster, 'm1');
    const map = member.getMap<string, string>('users').with({ consistency: 'EL' });
    await done(cluster, map.set('warm', 'x'));
    cluster.network.partition(['m1'], ['m2', 'm3']);
    const before = cluster.scheduler.now;
    let mine = 0;
    for (let i = 0; i < 40; i++) {
      const { error } = await settle(cluster, map.with({ timeoutMs: 20 }).set(`k${i}`, 'x'.repeat(100)));
      if (error === undefined) mine++;
    }
    expect(mine).toBeGreaterThan(5);
    await cluster.scheduler.runFor(300);
    const { sync, async, silent } = reportedIn(await done(cluster, member.explain('map', 'users')));
    expect(silent).toHaveLength(2);
    for (const { positions, bytes, ageMs, behind } of [sync, async]) {
      expect(positions).toBe(mine);
      expect(bytes).toBeGreaterThan(100 * mine);
      expect(behind).toBeGreaterThan(0);
      expect(ageMs).toBeGreaterThan(300);
      expect(ageMs).toBeLessThanOrEqual(Math.ceil(cluster.scheduler.now - before));
    }
    await cluster.shutdown();
  });

  it('bounds the age also while writes never stop', async () => {
    const cluster = await started(3);
    cluster.network.setAllLinks({ meanLatencyMs: 15 });
    const { member } = memberOf(cluster, 'm1');
    const map = member.getMap<string, number>('users').with({ consistency: 'EL' });
    let isOver = false;
    const write = async (worker: number) => {
      for (let i = 0; !isOver; i++) await map.set(`w${worker}.${i % 50}`, i);
    };
    const workers = [1, 2, 3, 4, 5, 6].map((worker) => write(worker));
    const ages: number[] = [];
    for (let i = 0; i < 20; i++) {
      await cluster.scheduler.runFor(400);
      const { ageMs } = memberOf(cluster, 'm1').member.node.report().backups[0] ?? { ageMs: null };
      if (ageMs !== null) ages.push(ageMs);
    }
    isOver = true;
    await done(cluster, Promise.all(workers));
    expect(ages.length).toBeGreaterThan(15);
    expect(Math.max(...ages)).toBeGreaterThan(0);
    expect(Math.max(...ages)).toBeLessThan(400);
  });

  it('names the partitions whose backups are gone, what that costs, and who does not answer', async () => {
    const cluster = await started(4);
    cluster.crash('m3');
    const { member } = memberOf(cluster, 'm1');
    const silent = reportedIn(await done(cluster, member.explain('map', 'users'))).silent;
    expect(silent).toEqual(['m3:5701']);
    await cluster.scheduler.runFor(2 * REMOVAL_MS);
    await cluster.runUntilSafe(30_000);
    cluster.crash('m2');
    await cluster.scheduler.runFor(4 * REMOVAL_MS);
    const { now, promises } = await done(cluster, member.explain('map', 'users'));
    const all = viewOf(cluster, 'm1')?.table.map((_, partition) => partition);
    expect(now?.missing.syncPartitions).toEqual(all);
    expect(now?.missing.asyncPartitions).toEqual(all);
    expect(promises[1]).toMatchObject({ id: 'G2', holds: false, knob: 'number of members' });
  });

  it('tells of the near cache of the process that asks', async () => {
    const cluster = await started(6);
    const client = cluster.client({ nearCaches: { 'us*': { maxStalenessMs: 600 } } });
    await done(cluster, client.connect());
    const map = client.getMap<string, number>('users').with({ consistency: 'EL' });
    await done(cluster, map.set('a', 1));
    for (let i = 0; i < 20; i++) {
      await done(cluster, map.get('a'));
      await cluster.scheduler.runFor(40);
    }
    const el = { consistency: 'EL' } as const;
    const { now, promises } = await done(cluster, client.explain('map', 'users', el));
    expect(now?.nearCache).toMatchObject({ entries: 1, maxStalenessMs: 600 });
    expect(now?.nearCache?.hits).toBeGreaterThan(5);
    expect(now?.nearCache?.hitsBelowMs).toBeGreaterThan(0);
    expect(now?.nearCache?.hitsBelowMs).toBeLessThanOrEqual(601);
    expect(promises[9]).toMatchObject({ id: 'G10', holds: true });
    expect((await done(cluster, client.explain('map', 'others', el))).now?.nearCache).toBeNull();
  });

  it('explains calls that loosen, and refuses what is none', async () => {
    const cluster = await started(5);
    const client = cluster.client();
    await done(cluster, client.connect());
    const { call, given } = await done(cluster, client.explain('map', 'users', { consistency: 'EL' }));
    expect([call, given.name]).toEqual(['EL', 'PA/EL']);
    const wrong = { consistency: 'EX' } as unknown as { consistency: 'EL' };
    for (const grid of [client, memberOf(cluster, 'm1').member]) {
      const { error } = await settle(cluster, grid.explain('map', 'users', wrong));
      expect(error).toBeInstanceOf(TypeError);
      expect(error?.message).toBe("consistency: expected 'EC' or 'EL', got \"EX\"");
    }
    expect((await settle(cluster, client.explain('maps', 'users'))).error?.message).toMatch(
      /no data structure/,
    );
  });
});
