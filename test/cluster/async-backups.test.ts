/**
 * An async backup may lack what was acknowledged. When those that have it are cut off and crash, it moves up in its
 * partition, and leads it nevertheless for no consistent structure before it is level.
 */
import { describe, expect, it } from 'vitest';
import { SimCluster } from '../../chaos/sim/cluster.js';
import { partitionOfKey } from '../../partitions/placement.js';
import type { View } from '../../src/cluster/view.js';
import { encodeKey } from '../../src/wire/keys.js';
import { done, hostsOf, isolate, memberOf, settle, viewOf } from './scenario.js';

const FIVE = ['m1', 'm2', 'm3', 'm4', 'm5'];

async function started(): Promise<SimCluster> {
  const maps = { default: { backups: { sync: 1, async: 1 } } };
  const cluster = new SimCluster({ seed: 3, member: { consistency: 'PC/EC', maps } });
  for (const host of FIVE) {
    cluster.start(host, host === 'm1' ? { founds: true } : {});
    await cluster.runUntilSafe(30_000);
  }
  return cluster;
}

/** A key with its primary, its sync and its async backup; the oldest member is neither of the first two. */
function keyOf(cluster: SimCluster) {
  const view = viewOf(cluster, 'm1') as View;
  for (let i = 0; i < 200; i++) {
    const key = `k${i}`;
    const { replicas } = view.table[partitionOfKey(encodeKey(key), view.table.length)] ?? {};
    const hosts = replicas?.map(({ member }) =>
      FIVE.find((host) => memberOf(cluster, host).member.id === member),
    );
    const [primary, sync, async] = hosts ?? [];
    if (primary !== 'm1' && sync !== 'm1' && async !== undefined)
      return { key, primary: primary as string, sync: sync as string, async };
  }
  throw new Error('no key of another member');
}

describe('a consistent map with an async backup', () => {
  it.each([0, 1, 3])(
    'keeps an acknowledged write through one cut and one crash, %i ms apart',
    async (laterMs) => {
      const cluster = await started();
      const { key, primary, sync, async } = keyOf(cluster);
      const mapAt = (host: string) =>
        memberOf(cluster, host).member.getMap<string, string>('m').with({ timeoutMs: 3000 });
      await done(cluster, mapAt(primary).set(key, 'before'));
      await cluster.scheduler.runFor(1000);
      cluster.network.cut(primary, async);
      await done(cluster, mapAt(primary).set(key, 'after'));
      isolate(cluster, primary, 'both');
      const rest = FIVE.filter((host) => host !== primary && host !== sync);
      await cluster.scheduler.runUntil(
        () => rest.some((host) => !hostsOf(cluster, host).includes(primary)),
        cluster.scheduler.now + 8000,
      );
      await cluster.scheduler.runFor(laterMs);
      cluster.crash(sync);
      for (let i = 0; i < 10; i++) {
        await cluster.scheduler.runFor(1000);
        const read = await settle(cluster, mapAt(rest[0] as string).get(key));
        if ('value' in read) expect(read.value).toBe('after');
      }
      // The cut ends, and the one that has it leads.
      cluster.network.healAll();
      await cluster.scheduler.runFor(10_000);
      expect(await done(cluster, mapAt(rest[0] as string).get(key))).toBe('after');
      await cluster.shutdown();
    },
  );
});
