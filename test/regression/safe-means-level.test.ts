/** A grid that calls itself safe survives the crash of any one member, also when a backup has just moved up. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { clusterOf, done, memberOf, runUntilView } from '../cluster/scenario.js';
import { keysIn, replicaHosts, seqAt } from './keys.js';

const PARTITIONS = 3;
const WRITES = 40;

interface Behind {
  readonly cluster: SimCluster;
  readonly partition: number;
  readonly primary: string;
  /** Was the async backup, is far behind, and takes the sync index. */
  readonly late: string;
  readonly keys: string[];
}

/** Writes are acknowledged by the sync backup and still on their way to the async one; the sync backup dies. */
async function backupMovedUp(): Promise<Behind> {
  const maps = { default: { backups: { sync: 1, async: 1 } } };
  const cluster = await clusterOf(3, { member: { maps, partitionCount: PARTITIONS } });
  // Of two members that are left, the oldest goes on alone; so it has to be the late one.
  const hosts = replicaHosts(cluster);
  const partition = hosts.findIndex((replicas) => replicas[2] === 'm1');
  const [primary, sync, late] = hosts[partition] as [string, string, string];
  const keys = keysIn(partition, PARTITIONS, WRITES);
  const map = memberOf(cluster, primary).member.getMap<string, Uint8Array>('x');
  cluster.network.setLink(primary, late, { bytesPerMs: 2_500 });
  const value = Buffer.alloc(400 * 1024, 7);
  await done(cluster, Promise.all(keys.map((key) => map.set(key, value))));
  cluster.crash(sync);
  if (!(await runUntilView(cluster, [primary, late], 20_000))) throw new Error(`${sync} was not removed`);
  return { cluster, partition, primary, late, keys };
}

describe('a backup that moved up to a sync index', () => {
  it('keeps the grid from being called safe while it is not level with the primary', async () => {
    const { cluster, partition, primary, late } = await backupMovedUp();
    const isLevel = () => seqAt(cluster, late, partition) === seqAt(cluster, primary, partition);
    let polls = 0;
    for (; !isLevel(); polls++) {
      for (const host of [primary, late]) {
        const isSafe = await done(cluster, memberOf(cluster, host).member.isSafe());
        // The answer itself takes no virtual time worth a copy, yet the last of the copies may arrive in it.
        if (!isLevel()) expect(isSafe, `poll ${polls} at ${host}`).toBe(false);
      }
      await cluster.scheduler.runFor(10);
      if (polls > 3_000) throw new Error('the backup does not become level');
    }
    expect(polls).toBeGreaterThan(5);
    await done(cluster, memberOf(cluster, primary).member.waitUntilSafe({ timeoutMs: 20_000 }));
  });

  it('has every acknowledged write when the primary crashes once the grid is safe', async () => {
    const { cluster, partition, primary, late, keys } = await backupMovedUp();
    expect(seqAt(cluster, late, partition)).not.toBe(seqAt(cluster, primary, partition));
    await done(cluster, memberOf(cluster, primary).member.waitUntilSafe({ timeoutMs: 20_000 }));
    cluster.crash(primary);
    expect(await runUntilView(cluster, [late], 20_000)).toBe(true);
    const map = memberOf(cluster, late).member.getMap<string, Uint8Array>('x');
    const values = await done(cluster, Promise.all(keys.map((key) => map.get(key))));
    expect(keys.filter((_, i) => values[i]?.length !== 400 * 1024)).toEqual([]);
  });
});
