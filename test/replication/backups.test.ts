/** Primaries and their backups in the simulator: loss, silence, and what calls are told about it. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { partitionOfKey } from '../../partitions/placement.js';
import { IndeterminateError, NotEnoughBackupsError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import { clusterOf, done, fill, memberOf, missing, settle } from '../cluster/scenario.js';

const PARTITIONS = 11;
const HOSTS = ['m1', 'm2', 'm3'];

/** For a key: hosts of its replicas, primary first. */
function replicasOf(cluster: SimCluster, key: string): string[] {
  const { view } = memberOf(cluster, 'm1').member.node;
  const entry = view?.table[partitionOfKey(encodeKey(key), PARTITIONS)];
  return (entry?.replicas ?? []).map(({ member }) => {
    const address = view?.members.find(({ id }) => id === member)?.address ?? '';
    return address.slice(0, address.indexOf(':'));
  });
}

/** Contents of all replicas of all partitions, as texts that are equal when the replicas are. */
function contents(cluster: SimCluster): Map<number, Set<string>> {
  const found = new Map<number, Set<string>>();
  const { view } = memberOf(cluster, 'm1').member.node;
  view?.table.forEach((entry, partition) => {
    const texts = entry.replicas.map(({ member }) => {
      const host = cluster.running().find((one) => one.member.id === member);
      const replica = host?.member.node.replication.replica(partition);
      return JSON.stringify([
        replica?.seq,
        replica?.structures().map(({ name, state }) => [name, state.dump()]),
      ]);
    });
    found.set(partition, new Set(texts));
  });
  return found;
}

const backupsOf = (sync: number, async: number) => ({ backups: { sync, async }, backupTimeoutMs: 1_000 });

describe('backups', () => {
  it('are equal to their primaries after a storm of loss, duplicates and reordering', async () => {
    let repeated = 0;
    for (const seed of [1, 2, 3]) {
      const cluster = await clusterOf(3, { seed, member: { maps: { x: backupsOf(1, 1) } } });
      cluster.network.setAllLinks({ loss: 0.05, duplicate: 0.05, reorder: 0.1, meanLatencyMs: 3 });
      await fill(cluster, 'm1', 'x', 600);
      cluster.network.calm();
      await cluster.scheduler.runFor(3_000);
      for (const [partition, texts] of contents(cluster))
        expect(texts.size, `partition ${partition}`).toBe(1);
      const { counters } = memberOf(cluster, 'm1').member.node.replication;
      const all = HOSTS.map((host) => memberOf(cluster, host).member.node.replication.counters);
      repeated += all.reduce((sum, one) => sum + one.resent + one.repairs, 0);
      expect(counters.divergent).toBe(0);
      expect(await missing(cluster, 'm2', 'x', 600)).toEqual([]);
    }
    expect(repeated).toBeGreaterThan(0);
  });

  it('that are silent make a write indeterminate, and resolve() tells that it was done', async () => {
    const cluster = await clusterOf(3, { member: { maps: { x: backupsOf(1, 0) } } });
    const [primary, backup] = replicasOf(cluster, 'key') as [string, string];
    const map = memberOf(cluster, primary).member.getMap<string, number>('x');
    cluster.network.cut(primary, backup);
    const { error } = await settle(cluster, map.put('key', 1), 2_400);
    expect(error).toBeInstanceOf(IndeterminateError);
    cluster.network.healAll();
    expect(await done(cluster, (error as IndeterminateError).resolve())).toEqual({
      outcome: 'done',
      reply: null,
    });
    expect(await done(cluster, map.get('key'))).toBe(1);
  });

  it('that are silent let a write succeed where the options say so', async () => {
    const options = { ...backupsOf(1, 0), onBackupTimeout: 'success' as const };
    const cluster = await clusterOf(3, { member: { maps: { x: options } } });
    const [primary, backup] = replicasOf(cluster, 'key') as [string, string];
    const map = memberOf(cluster, primary).member.getMap<string, number>('x');
    cluster.network.cut(primary, backup);
    const before = cluster.scheduler.now;
    expect(await done(cluster, map.put('key', 1), 2_400)).toBeNull();
    expect(cluster.scheduler.now - before).toBeGreaterThanOrEqual(1_000);
  });

  it('that are async hold up nobody', async () => {
    const cluster = await clusterOf(3, { member: { maps: { x: backupsOf(0, 1) } } });
    const [primary, backup] = replicasOf(cluster, 'key') as [string, string];
    const map = memberOf(cluster, primary).member.getMap<string, number>('x');
    cluster.network.cut(primary, backup);
    const before = cluster.scheduler.now;
    await done(cluster, map.put('key', 1));
    expect(cluster.scheduler.now - before).toBeLessThan(50);
  });

  it('that are fewer than minSynced refuse writes and no reads', async () => {
    const cluster = await clusterOf(1, { member: { maps: { x: { ...backupsOf(1, 0), minSynced: 1 } } } });
    const map = memberOf(cluster, 'm1').member.getMap<string, number>('x');
    expect((await settle(cluster, map.put('key', 1))).error).toBeInstanceOf(NotEnoughBackupsError);
    expect(await done(cluster, map.get('key'))).toBeNull();
    cluster.start('m2');
    expect(await cluster.runUntilSafe(20_000)).toBe(true);
    expect(await done(cluster, map.put('key', 2))).toBeNull();
  });

  it('a read that shows a write which waits is held back with it', async () => {
    const cluster = await clusterOf(3, { member: { maps: { x: backupsOf(1, 0) } } });
    const [primary, backup] = replicasOf(cluster, 'key') as [string, string];
    const map = memberOf(cluster, primary).member.getMap<string, number>('x');
    const answers: string[] = [];
    cluster.network.cut(primary, backup);
    const write = map.put('key', 1).then(() => answers.push('write'));
    await cluster.scheduler.runFor(20);
    const read = map.get('key').then((value) => answers.push(`read ${value}`));
    await cluster.scheduler.runFor(300);
    expect(answers).toEqual([]);
    cluster.network.healAll();
    await done(cluster, Promise.all([write, read]));
    expect(answers).toEqual(['write', 'read 1']);
  });
});
