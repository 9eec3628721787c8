/** Members that leave, die, or are replaced by a new process at their address, in the simulator. */
import { describe, expect, it } from 'vitest';
import { SimCluster } from '../../chaos/sim/cluster.js';
import { LeaveTimeoutError } from '../../src/base/errors.js';
import {
  clusterOf,
  done,
  fill,
  HEARTBEAT_MS,
  hostsOf,
  isolate,
  memberOf,
  missing,
  REMOVAL_MS,
  runUntilView,
  SUSPICION_MS,
  viewOf,
} from './scenario.js';

const THREE = ['m1', 'm2', 'm3'];

describe('a graceful leave', () => {
  it.each(THREE)('of %s hands over all data, without a backup to help', async (leaver) => {
    const cluster = await clusterOf(3, { member: { maps: { x: { backups: { sync: 0, async: 0 } } } } });
    await fill(cluster, leaver, 'x', 300);
    const rest = THREE.filter((host) => host !== leaver);
    await done(cluster, cluster.leave(leaver), 60_000);
    expect(memberOf(cluster, leaver).state).toBe('left');
    expect(await runUntilView(cluster, rest, 5_000)).toBe(true);
    for (const host of rest) expect(await missing(cluster, host, 'x', 300)).toEqual([]);
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
  });

  it('of one after the other down to the last keeps the data', async () => {
    const cluster = await clusterOf(4);
    await fill(cluster, 'm1', 'x', 200);
    for (const host of ['m1', 'm3', 'm2']) await done(cluster, cluster.leave(host), 60_000);
    expect(await runUntilView(cluster, ['m4'], 5_000)).toBe(true);
    expect(await missing(cluster, 'm4', 'x', 200)).toEqual([]);
  });

  it('of two of four at the same time keeps the data', async () => {
    const cluster = await clusterOf(4, { member: { maps: { x: { backups: { sync: 0, async: 0 } } } } });
    await fill(cluster, 'm1', 'x', 300);
    await done(cluster, Promise.all([cluster.leave('m1'), cluster.leave('m2')]), 60_000);
    expect(await runUntilView(cluster, ['m3', 'm4'], 5_000)).toBe(true);
    expect(await missing(cluster, 'm3', 'x', 300)).toEqual([]);
  });

  it('that cannot hand over ends after leaveTimeoutMs and says what was left', async () => {
    const cluster = await clusterOf(3, { member: { leaveTimeoutMs: 1_000 } });
    isolate(cluster, 'm3', 'both');
    const held = viewOf(cluster, 'm3')?.table.filter(({ replicas }) =>
      replicas.some(({ member }) => member === memberOf(cluster, 'm3').member.id),
    );
    const error = await done(cluster, cluster.leave('m3'), 10_000);
    expect(error).toBeInstanceOf(LeaveTimeoutError);
    expect(held?.length).toBeGreaterThan(1);
    expect(error?.message).toMatch(
      new RegExp(
        `leaveTimeoutMs \\(1000 ms\\): it still holds ${held?.length} partitions of 11, \\d+ of them`,
      ),
    );
  });

  it('of the last member ends at once', async () => {
    const cluster = await clusterOf(1);
    const before = cluster.scheduler.now;
    await done(cluster, cluster.leave('m1'));
    expect(cluster.scheduler.now - before).toBeLessThan(1_000);
  });

  it('of all together ends within 5 s and hands over to nobody', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const cluster = await clusterOf(5, { seed });
      await fill(cluster, 'm1', 'x', 100);
      const before = cluster.scheduler.now;
      const hosts = [...cluster.members.keys()];
      await done(cluster, Promise.all(hosts.map((host) => cluster.leave(host))), 60_000);
      expect(cluster.scheduler.now - before).toBeLessThan(5_000);
    }
  });

  it('of all within two seconds ends within 5 s of the last signal', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const cluster = await clusterOf(3, { seed });
      await fill(cluster, 'm1', 'x', 100);
      const leaves: Promise<unknown>[] = [];
      for (const host of THREE) {
        leaves.push(cluster.leave(host));
        await cluster.scheduler.runFor(cluster.random.below(1_000));
      }
      const before = cluster.scheduler.now;
      await done(cluster, Promise.all(leaves), 60_000);
      expect(cluster.scheduler.now - before).toBeLessThan(5_000);
    }
  });
});

describe('a crashed member', () => {
  it.each(['m2', 'm3'])('(%s) is removed within the suspicion time and two heartbeats', async (victim) => {
    for (let seed = 1; seed <= 10; seed++) {
      const cluster = await clusterOf(3, { seed });
      await cluster.scheduler.runFor(cluster.random.below(500));
      cluster.crash(victim);
      const rest = THREE.filter((host) => host !== victim);
      expect(await runUntilView(cluster, rest, REMOVAL_MS), `seed ${seed}`).toBe(true);
    }
  });

  it('is not removed earlier than its silence allows', async () => {
    const cluster = await clusterOf(3);
    cluster.crash('m3');
    await cluster.scheduler.runFor(SUSPICION_MS - 2 * HEARTBEAT_MS);
    expect(hostsOf(cluster, 'm1')).toEqual(THREE);
  });

  it('(the oldest) is removed as well, and the next oldest goes on', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const cluster = await clusterOf(3, { seed });
      await fill(cluster, 'm2', 'x', 60);
      cluster.crash('m1');
      expect(await runUntilView(cluster, ['m2', 'm3'], REMOVAL_MS + 2 * HEARTBEAT_MS), `seed ${seed}`).toBe(
        true,
      );
      expect(hostsOf(cluster, 'm3')).toEqual(['m2', 'm3']);
      expect(await missing(cluster, 'm3', 'x', 60)).toEqual([]);
      expect(await cluster.runUntilSafe(30_000)).toBe(true);
    }
  });

  it('(two of five) are removed, with two sync backups nothing is lost', async () => {
    const cluster = await clusterOf(5, { member: { maps: { x: { backups: { sync: 2, async: 0 } } } } });
    await fill(cluster, 'm3', 'x', 200);
    cluster.crash('m1');
    cluster.crash('m4');
    expect(await runUntilView(cluster, ['m2', 'm3', 'm5'], REMOVAL_MS + 4 * HEARTBEAT_MS)).toBe(true);
    expect(await missing(cluster, 'm5', 'x', 200)).toEqual([]);
  });

  it('of two leaves the older one alone and serving', async () => {
    const cluster = await clusterOf(2);
    await fill(cluster, 'm2', 'x', 40);
    cluster.crash('m2');
    expect(await runUntilView(cluster, ['m1'], REMOVAL_MS)).toBe(true);
    expect(await missing(cluster, 'm1', 'x', 40)).toEqual([]);
  });
});

describe('a restart at the same address', () => {
  it.each(THREE)('replaces %s in one view: the old process out, the new one in', async (host) => {
    for (let seed = 1; seed <= 5; seed++) {
      const cluster = await clusterOf(3, { seed });
      await fill(cluster, host, 'x', 60);
      const old = memberOf(cluster, host).member.id;
      const witness = THREE.find((other) => other !== host) as string;
      const seen: string[][] = [];
      memberOf(cluster, witness).member.node.events.on('view', (view) =>
        seen.push(view.members.map(({ id }) => id)),
      );
      cluster.crash(host);
      await cluster.scheduler.runFor(100);
      const { member } = cluster.start(host);
      expect(await cluster.runUntilSafe(30_000), `seed ${seed}`).toBe(true);
      const before = seen.findIndex((ids) => !ids.includes(old));
      expect(seen[before], `seed ${seed}`).toContain(member.id);
      expect(seen.every((ids) => ids.length === 3)).toBe(true);
      expect(viewOf(cluster, witness)?.members.at(-1)?.id).toBe(member.id);
      expect(await missing(cluster, witness, 'x', 60)).toEqual([]);
    }
  });

  it('of all members one after the other keeps the data', async () => {
    const cluster = await clusterOf(3);
    await fill(cluster, 'm1', 'x', 100);
    for (const host of THREE) {
      cluster.crash(host);
      await cluster.scheduler.runFor(50);
      cluster.start(host);
      expect(await cluster.runUntilSafe(30_000)).toBe(true);
    }
    expect(await missing(cluster, 'm1', 'x', 100)).toEqual([]);
  });

  it('of a member that left brings in a new one', async () => {
    const cluster = await clusterOf(3);
    await done(cluster, cluster.leave('m2'), 60_000);
    cluster.start('m2');
    expect(await runUntilView(cluster, THREE, 10_000)).toBe(true);
    expect(hostsOf(cluster, 'm1')).toEqual(['m1', 'm3', 'm2']);
  });
});

describe('a copy that is interrupted', () => {
  it('by the death of its target holds back no copy after it', async () => {
    const cluster = new SimCluster({
      seed: 1,
      link: { bytesPerMs: 2_000 },
      member: { maps: { x: { backups: { sync: 1, async: 0 } } } },
    });
    cluster.start('m1');
    await cluster.runUntilSafe(10_000);
    const map = memberOf(cluster, 'm1').member.getMap<string, string>('x');
    const value = 'v'.repeat(64 * 1024);
    await done(cluster, Promise.all(Array.from({ length: 300 }, (_, i) => map.set(`k${i}`, value))));
    for (let i = 0; i < 4; i++) {
      cluster.start('m2');
      await cluster.scheduler.runUntil(
        () =>
          memberOf(cluster, 'm1')
            .member.node.report()
            .migrations.some(({ copiedBytes }) => copiedBytes > 0),
        cluster.scheduler.now + 20_000,
      );
      cluster.crash('m2');
      expect(await runUntilView(cluster, ['m1'], 20_000)).toBe(true);
    }
    cluster.start('m3');
    expect(await cluster.runUntilSafe(120_000)).toBe(true);
  });
});
