/** The health pages of members in the simulator: what each says before, during and after what can go wrong. */
import { describe, expect, it } from 'vitest';
import { SimCluster } from '../../chaos/sim/cluster.js';
import { healthPages } from '../../src/member/health.js';
import { clusterOf, fill, isolate, memberOf, REMOVAL_MS, SUSPICION_MS } from '../cluster/scenario.js';

const FINE = { status: 200, ok: true, reasons: [] };

function healthOf(cluster: SimCluster, host: string, page: 'live' | 'ready' | 'safe') {
  const reply = healthPages(memberOf(cluster, host).member.node)(`/health/${page}`);
  if (reply === undefined) throw new Error(`there is no page ${page}`);
  expect(reply.contentType).toBe('application/json');
  return { status: reply.status, ...(JSON.parse(String(reply.body)) as { ok: boolean; reasons: string[] }) };
}

const unwell = (...reasons: unknown[]) => ({ status: 503, ok: false, reasons });

describe('the health pages', () => {
  it('are fine on every member of a safe cluster, and are no other pages', async () => {
    const cluster = await clusterOf(3);
    for (const host of cluster.members.keys()) {
      for (const page of ['live', 'ready', 'safe'] as const)
        expect(healthOf(cluster, host, page)).toEqual(FINE);
    }
    const pages = healthPages(memberOf(cluster, 'm1').member.node);
    expect(pages('/health')).toBeUndefined();
    expect(pages('/health/other')).toBeUndefined();
  });

  it('of a member that nobody has let in yet say that it lives and is in no view', async () => {
    const cluster = new SimCluster({ seed: 1 });
    cluster.start('m1', { join: ['nobody:5701'] });
    await cluster.scheduler.runFor(100);
    expect(healthOf(cluster, 'm1', 'live')).toEqual(FINE);
    const outside = unwell('this member is in no view yet');
    expect(healthOf(cluster, 'm1', 'ready')).toEqual(outside);
    expect(healthOf(cluster, 'm1', 'safe')).toEqual(outside);
  });

  it('of a member that has just joined say what is still on its way, until the grid is safe', async () => {
    const cluster = await clusterOf(1);
    await fill(cluster, 'm1', 'x', 200);
    const { member } = cluster.start('m2');
    const hasJoined = () => member.node.view !== null;
    expect(await cluster.scheduler.runUntil(hasJoined, cluster.scheduler.now + 10_000)).toBe(true);
    for (const host of ['m1', 'm2']) {
      const { status, ok, reasons } = healthOf(cluster, host, 'safe');
      expect([status, ok]).toEqual([503, false]);
      expect(reasons.join()).toMatch(/\d+ replicas? (is|are) (missing|syncing)/);
      expect(healthOf(cluster, host, 'live')).toEqual(FINE);
    }
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    for (const host of ['m1', 'm2']) expect(healthOf(cluster, host, 'safe')).toEqual(FINE);
    expect(healthOf(cluster, 'm2', 'ready')).toEqual(FINE);
  });

  it('say after a crash that replicas are missing, and when they are back', async () => {
    const cluster = await clusterOf(3);
    await fill(cluster, 'm1', 'x', 200);
    cluster.crash('m3');
    const isUnsafe = () => healthOf(cluster, 'm1', 'safe').status === 503;
    expect(await cluster.scheduler.runUntil(isUnsafe, cluster.scheduler.now + REMOVAL_MS + 1_000)).toBe(true);
    expect(healthOf(cluster, 'm1', 'safe').reasons.join()).toMatch(/\d+ (replica|partition)/);
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    for (const host of ['m1', 'm2']) {
      expect(healthOf(cluster, host, 'safe')).toEqual(FINE);
      expect(healthOf(cluster, host, 'ready')).toEqual(FINE);
    }
  });

  it('of a new primary say how many partitions it does not serve yet', async () => {
    const cluster = await clusterOf(3, { member: { maps: { x: { backups: { sync: 2, async: 0 } } } } });
    await fill(cluster, 'm1', 'x', 200);
    cluster.crash('m3');
    const isWaiting = () => healthOf(cluster, 'm1', 'ready').status === 503;
    expect(await cluster.scheduler.runUntil(isWaiting, cluster.scheduler.now + REMOVAL_MS + 1_000)).toBe(
      true,
    );
    expect(healthOf(cluster, 'm1', 'ready')).toEqual(
      unwell(expect.stringMatching(/^\d+ partitions? of this member not served yet$/)),
    );
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    expect(healthOf(cluster, 'm1', 'ready')).toEqual(FINE);
  });

  it('of a member that is cut off say that it is not ready, and that it lives', async () => {
    const cluster = await clusterOf(3);
    isolate(cluster, 'm3', 'both');
    await cluster.scheduler.runFor(SUSPICION_MS + 1_000);
    expect(healthOf(cluster, 'm3', 'ready')).toEqual(
      unwell('this member does not hear a majority of its view'),
    );
    expect(healthOf(cluster, 'm3', 'live')).toEqual(FINE);
    expect(healthOf(cluster, 'm1', 'ready')).toEqual(FINE);
  });
});
