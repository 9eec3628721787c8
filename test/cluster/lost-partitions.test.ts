/** Partitions that nobody in the view holds: a typed error, a holder that comes back, and a start from nothing. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { partitionOfKey } from '../../partitions/placement.js';
import { PartitionUnavailableError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import {
  clusterOf,
  done,
  fill,
  hostsOf,
  isolate,
  memberOf,
  missing,
  runUntilView,
  settle,
  viewOf,
} from './scenario.js';

const FIVE = ['m1', 'm2', 'm3', 'm4', 'm5'];
const NO_BACKUPS = { maps: { default: { backups: { sync: 0, async: 0 } } } };
const LOSS_MS = 20_000;
const PARTITIONS = 11;

/** Without backups each partition has one holder. */
async function cluster5(seed: number): Promise<SimCluster> {
  const cluster = await clusterOf(5, {
    seed,
    member: {
      ...NO_BACKUPS,
      atomicLongs: { default: NO_BACKUPS.maps.default },
      queues: { default: NO_BACKUPS.maps.default },
      multimaps: { default: NO_BACKUPS.maps.default },
      topics: { default: NO_BACKUPS.maps.default },
      partitionLossTimeoutMs: LOSS_MS,
    },
  });
  await fill(cluster, 'm1', 'x', 100);
  return cluster;
}

function partitionOfText(key: string): number {
  return partitionOfKey(encodeKey(key), PARTITIONS);
}

/** A key of `fill` whose partition this member leads, and has the only replica of. */
function keyAt(cluster: SimCluster, host: string): string {
  const { node } = memberOf(cluster, host).member;
  for (let i = 0; i < 100; i++) {
    const partition = partitionOfText(`k${i}`);
    const replicas = node.view?.table[partition]?.replicas ?? [];
    if (replicas[0]?.member === node.id && replicas.length === 1) return `k${i}`;
  }
  throw new Error(`${host} has none of the keys alone`);
}

async function without(cluster: SimCluster, host: string): Promise<void> {
  expect(
    await runUntilView(
      cluster,
      FIVE.filter((other) => other !== host),
      10_000,
    ),
  ).toBe(true);
}

function lossesSeenBy(cluster: SimCluster, host: string): number[] {
  const lost: number[] = [];
  memberOf(cluster, host).member.on('partitionLost', ({ partition }) => lost.push(partition));
  return lost;
}

describe('a partition that nobody in the view holds', () => {
  it('answers PartitionUnavailableError that names the last holder, and everything else is served', async () => {
    const cluster = await cluster5(1);
    const holder = memberOf(cluster, 'm3').member.id;
    const lost = keyAt(cluster, 'm3');
    const kept = keyAt(cluster, 'm2');
    isolate(cluster, 'm3', 'both');
    await without(cluster, 'm3');
    const map = memberOf(cluster, 'm1').member.getMap<string, number>('x').with({ timeoutMs: 2_000 });
    for (const call of [() => map.get(lost), () => map.put(lost, 1)]) {
      const { error } = await settle(cluster, call());
      expect(error).toBeInstanceOf(PartitionUnavailableError);
      expect(error?.message).toContain(holder);
    }
    expect(await done(cluster, map.get(kept))).toBe(Number(kept.slice(1)));
  });

  it.each(['cut off', 'paused'])(
    'is there again when its holder comes back with its memory (%s)',
    async (how) => {
      for (const seed of [1, 2, 3, 4]) {
        const cluster = await cluster5(seed);
        const lost = lossesSeenBy(cluster, 'm1');
        if (how === 'paused') memberOf(cluster, 'm3').clock.pause();
        else isolate(cluster, 'm3', 'both');
        await without(cluster, 'm3');
        await cluster.scheduler.runFor(3_000);
        if (how === 'paused') memberOf(cluster, 'm3').clock.resume();
        else cluster.network.healAll();
        expect(await runUntilView(cluster, FIVE, 15_000), `seed ${seed}`).toBe(true);
        expect(await cluster.runUntilSafe(30_000)).toBe(true);
        for (const host of FIVE) expect(await missing(cluster, host, 'x', 100), `seed ${seed}`).toEqual([]);
        expect(lost).toEqual([]);
      }
    },
  );

  it('starts empty after partitionLossTimeoutMs, with an event on every member', async () => {
    const cluster = await cluster5(1);
    const key = keyAt(cluster, 'm3');
    const partition = partitionOfText(key);
    const lost = lossesSeenBy(cluster, 'm2');
    isolate(cluster, 'm3', 'both');
    await without(cluster, 'm3');
    await cluster.scheduler.runFor(LOSS_MS - 3_000);
    expect(lost).toEqual([]);
    expect(viewOf(cluster, 'm2')?.table[partition]?.replicas).toEqual([]);
    await cluster.scheduler.runFor(6_000);
    expect(lost).toContain(partition);
    const map = memberOf(cluster, 'm1').member.getMap<string, number>('x');
    expect(await done(cluster, map.get(key))).toBeNull();
    await done(cluster, map.set(key, 7));
    cluster.network.healAll();
    expect(await runUntilView(cluster, FIVE, 15_000)).toBe(true);
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    // What the returned member still had of the lost generation does not come back over what was written since.
    for (const host of FIVE) {
      const other = memberOf(cluster, host).member.getMap<string, number>('x');
      expect(await done(cluster, other.get(key))).toBe(7);
    }
  });

  it('starts empty at once when its last holder is known to be dead', async () => {
    const cluster = await cluster5(1);
    const key = keyAt(cluster, 'm3');
    const lost = lossesSeenBy(cluster, 'm1');
    cluster.crash('m3');
    await cluster.scheduler.runFor(200);
    cluster.start('m3', { ...NO_BACKUPS, partitionLossTimeoutMs: LOSS_MS });
    expect(await cluster.runUntilSafe(12_000)).toBe(true);
    expect(lost.length).toBeGreaterThan(0);
    const map = memberOf(cluster, 'm1').member.getMap<string, number>('x');
    expect(await done(cluster, map.get(key))).toBeNull();
    expect(hostsOf(cluster, 'm1')).toHaveLength(5);
  });

  it('is not lost by a leave, however the holders leave', async () => {
    const cluster = await cluster5(2);
    const lost = lossesSeenBy(cluster, 'm5');
    for (const host of ['m1', 'm2', 'm3']) await done(cluster, cluster.leave(host), 60_000);
    expect(await missing(cluster, 'm5', 'x', 100)).toEqual([]);
    expect(lost).toEqual([]);
  });

  it('waits for any one of several last holders', async () => {
    const cluster = await clusterOf(5, { seed: 4, member: { partitionLossTimeoutMs: 60_000 } });
    await fill(cluster, 'm1', 'x', 100);
    const lost = lossesSeenBy(cluster, 'm3');
    // Both replicas of some partitions are behind the cut; one of the two holders never comes back.
    cluster.network.partition(['m1', 'm2'], ['m3', 'm4', 'm5']);
    expect(await runUntilView(cluster, ['m3', 'm4', 'm5'], 10_000)).toBe(true);
    const orphans = viewOf(cluster, 'm3')?.table.filter(({ replicas }) => replicas.length === 0) ?? [];
    expect(orphans.length).toBeGreaterThan(0);
    expect(orphans.every(({ lastSynced }) => lastSynced.length === 2)).toBe(true);
    cluster.crash('m1');
    cluster.network.healAll();
    expect(await runUntilView(cluster, ['m2', 'm3', 'm4', 'm5'], 15_000)).toBe(true);
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    expect(await missing(cluster, 'm5', 'x', 100)).toEqual([]);
    expect(lost).toEqual([]);
  });
});
