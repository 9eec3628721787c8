/** Pauses and cuts, whole and one-way: the majority goes on, the rest refuses, and comes back after the heal. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
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
const SEEDS = [1, 2, 3, 4, 5, 6];
/** A removal of the oldest takes a prepare phase more. */
const TAKEOVER_MS = REMOVAL_MS + 4 * HEARTBEAT_MS;
/** A deaf one first has to miss the others, and then they miss themselves in what it says. */
const DEAF_TAKEOVER_MS = 2 * SUSPICION_MS + 3 * HEARTBEAT_MS;
const BACK_MS = 15_000;

/** What members of a side without majority answer to writes within half a second. */
async function refusals(cluster: SimCluster, ...hosts: readonly string[]): Promise<Set<string>> {
  const writes = hosts.flatMap((host) => {
    const map = memberOf(cluster, host).member.getMap<string, number>('x').with({ timeoutMs: 500 });
    return Array.from({ length: 12 }, (_, i) => map.set(`k${i}`, i));
  });
  const outcomes = await done(cluster, Promise.allSettled(writes));
  const codes = outcomes.map((outcome) => {
    if (outcome.status === 'fulfilled') return 'done';
    const error = outcome.reason as Error & { readonly code?: string };
    return (error.cause as { readonly code?: string } | undefined)?.code ?? error.code ?? error.name;
  });
  return new Set(codes);
}

async function comesBack(cluster: SimCluster, hosts: readonly string[], entries: number): Promise<void> {
  cluster.network.healAll();
  expect(await runUntilView(cluster, hosts, BACK_MS)).toBe(true);
  expect(await cluster.runUntilSafe(30_000)).toBe(true);
  for (const host of hosts) expect(await missing(cluster, host, 'x', entries)).toEqual([]);
}

describe('the oldest', () => {
  it('paused is replaced at the head of the view, and comes back as a follower', async () => {
    for (const seed of SEEDS) {
      const cluster = await clusterOf(3, { seed });
      await fill(cluster, 'm2', 'x', 40);
      memberOf(cluster, 'm1').clock.pause();
      expect(await runUntilView(cluster, ['m2', 'm3'], TAKEOVER_MS), `seed ${seed}`).toBe(true);
      expect(await missing(cluster, 'm3', 'x', 40)).toEqual([]);
      memberOf(cluster, 'm1').clock.resume();
      expect(await runUntilView(cluster, THREE, BACK_MS), `seed ${seed}`).toBe(true);
      expect(hostsOf(cluster, 'm2')).toEqual(['m2', 'm3', 'm1']);
      await comesBack(cluster, THREE, 40);
    }
  });

  it.each(['deaf', 'mute', 'both'] as const)('cut off (%s) is removed and the view goes on', async (what) => {
    for (const seed of SEEDS) {
      const cluster = await clusterOf(3, { seed });
      await fill(cluster, 'm2', 'x', 40);
      isolate(cluster, 'm1', what);
      const limitMs = what === 'deaf' ? DEAF_TAKEOVER_MS : TAKEOVER_MS;
      expect(await runUntilView(cluster, ['m2', 'm3'], limitMs), `seed ${seed}`).toBe(true);
      expect(await missing(cluster, 'm3', 'x', 40)).toEqual([]);
      await comesBack(cluster, THREE, 40);
    }
  });

  it('cut off at any moment of its own proposal leaves one view that goes on', async () => {
    for (let step = 0; step < 40; step++) {
      const cluster = await clusterOf(3, { seed: 100 + step });
      const before = viewOf(cluster, 'm2')?.number ?? 0;
      cluster.start('m4');
      // From the first vote on, a little later each time: between accept, accepted and the spread of the view.
      await cluster.scheduler.runUntil(
        () => memberOf(cluster, 'm1').member.node.membership.isProposing,
        cluster.scheduler.now + 10_000,
      );
      await cluster.scheduler.runFor(step * 0.05);
      isolate(cluster, 'm1', step % 3 === 0 ? 'both' : step % 3 === 1 ? 'mute' : 'deaf');
      const rest = ['m2', 'm3', 'm4'];
      expect(await runUntilView(cluster, rest, 20_000), `step ${step}`).toBe(true);
      expect(viewOf(cluster, 'm2')?.number).toBeGreaterThan(before);
      await comesBack(cluster, [...THREE, 'm4'], 0);
    }
  });

  it('dying in the middle of its own proposal leaves one view that goes on', async () => {
    for (let step = 0; step < 20; step++) {
      const cluster = await clusterOf(3, { seed: 200 + step });
      cluster.start('m4');
      await cluster.scheduler.runUntil(
        () => memberOf(cluster, 'm1').member.node.membership.isProposing,
        cluster.scheduler.now + 10_000,
      );
      await cluster.scheduler.runFor(step * 0.1);
      cluster.crash('m1');
      expect(await runUntilView(cluster, ['m2', 'm3', 'm4'], 20_000), `step ${step}`).toBe(true);
      expect(await cluster.runUntilSafe(30_000)).toBe(true);
    }
  });
});

describe('a member', () => {
  it.each(['m2', 'm3'])('(%s) that can speak but not hear is removed, and comes back', async (deaf) => {
    for (const seed of SEEDS) {
      const cluster = await clusterOf(3, { seed });
      await fill(cluster, 'm1', 'x', 40);
      isolate(cluster, deaf, 'deaf');
      const rest = THREE.filter((host) => host !== deaf);
      expect(await runUntilView(cluster, rest, TAKEOVER_MS), `seed ${seed}`).toBe(true);
      await comesBack(cluster, THREE, 40);
    }
  });

  it('that only the oldest cannot hear costs one member, not the view', async () => {
    for (const seed of SEEDS) {
      const cluster = await clusterOf(3, { seed });
      await fill(cluster, 'm2', 'x', 40);
      cluster.network.cut('m3', 'm1');
      await cluster.scheduler.runFor(TAKEOVER_MS + 2_000);
      const hosts = hostsOf(cluster, 'm2');
      expect(hosts, `seed ${seed}`).toHaveLength(2);
      expect(hosts).toContain('m2');
      expect(await missing(cluster, 'm2', 'x', 40)).toEqual([]);
      await comesBack(cluster, THREE, 40);
    }
  });

  it('paused for less than the suspicion time stays', async () => {
    const cluster = await clusterOf(3);
    const number = viewOf(cluster, 'm1')?.number;
    memberOf(cluster, 'm2').clock.pause();
    await cluster.scheduler.runFor(1_500);
    memberOf(cluster, 'm2').clock.resume();
    await cluster.scheduler.runFor(5_000);
    expect(viewOf(cluster, 'm1')?.number).toBe(number);
  });
});

describe('a side without a majority', () => {
  it('stops serving with NoMajorityError until it is a fork, and is back after the heal', async () => {
    for (const seed of SEEDS) {
      const cluster = await clusterOf(5, { seed });
      await fill(cluster, 'm1', 'x', 60);
      cluster.network.partition(['m1', 'm2'], ['m3', 'm4', 'm5']);
      await cluster.scheduler.runFor(REMOVAL_MS);
      const codes = await refusals(cluster, 'm1', 'm2');
      expect(codes, `seed ${seed}`).toContain('ERR_NO_MAJORITY');
      expect(codes, `seed ${seed}`).not.toContain('done');
      for (const host of ['m1', 'm2']) expect(hostsOf(cluster, host), `seed ${seed}`).toHaveLength(5);
      expect(await runUntilView(cluster, ['m3', 'm4', 'm5'], TAKEOVER_MS), `seed ${seed}`).toBe(true);
      expect(await runUntilView(cluster, ['m1', 'm2'], 2 * SUSPICION_MS), `seed ${seed}`).toBe(true);
      expect(viewOf(cluster, 'm1')?.parent?.lineage).toBe(viewOf(cluster, 'm3')?.lineage);
      await comesBack(cluster, ['m1', 'm2', 'm3', 'm4', 'm5'], 60);
    }
  });

  it('is every side when three pieces have no majority, and one cluster goes on after the heal', async () => {
    const cluster = await clusterOf(5);
    await fill(cluster, 'm1', 'x', 60);
    const chainOf = (host: string) => memberOf(cluster, host).member.node.membership.chainView?.number;
    const number = chainOf('m1');
    cluster.network.partition(['m1', 'm2'], ['m3', 'm4'], ['m5']);
    await cluster.scheduler.runFor(REMOVAL_MS);
    for (const host of ['m1', 'm3', 'm5']) expect(hostsOf(cluster, host)).toHaveLength(5);
    const codes = await refusals(cluster, 'm1', 'm3', 'm5');
    expect(codes).toContain('ERR_NO_MAJORITY');
    expect(codes).not.toContain('done');
    await cluster.scheduler.runFor(10_000);
    for (const host of ['m1', 'm3', 'm5']) expect(chainOf(host)).toBe(number);
    await comesBack(cluster, ['m1', 'm2', 'm3', 'm4', 'm5'], 60);
  });

  it('is the younger one of two until it is a fork; the older goes on', async () => {
    const cluster = await clusterOf(2);
    await fill(cluster, 'm1', 'x', 40);
    cluster.network.partition(['m1'], ['m2']);
    expect(await runUntilView(cluster, ['m1'], REMOVAL_MS)).toBe(true);
    expect(viewOf(cluster, 'm1')?.parent).toBeNull();
    expect(await refusals(cluster, 'm2')).not.toContain('done');
    expect(await missing(cluster, 'm1', 'x', 40)).toEqual([]);
    await comesBack(cluster, ['m1', 'm2'], 40);
  });

  it('loses nothing that the majority acknowledged while it was away', async () => {
    for (const seed of SEEDS) {
      const member = { maps: { x: { backups: { sync: 2, async: 0 } } } };
      const cluster = await clusterOf(5, { seed, member });
      await fill(cluster, 'm1', 'x', 30);
      cluster.network.partition(['m1', 'm4'], ['m2', 'm3', 'm5']);
      await runUntilView(cluster, ['m2', 'm3', 'm5'], TAKEOVER_MS);
      const map = memberOf(cluster, 'm2').member.getMap<string, number>('x');
      for (let i = 30; i < 60; i++) await done(cluster, map.set(`k${i}`, i));
      await comesBack(cluster, ['m1', 'm2', 'm3', 'm4', 'm5'], 60);
    }
  });
});
