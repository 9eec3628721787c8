/** Calls that a primary took and never answered go to the next one as soon as the view says that it is gone. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Grid } from '../../client/core/grid.js';
import { TIMING_PRESETS } from '../../src/config/timings.js';
import { clusterOf, done, memberOf } from '../cluster/scenario.js';
import { keysIn, replicaHosts } from './keys.js';

const { heartbeatMs, suspicionMs } = TIMING_PRESETS.local;

const CALLERS: readonly [string, string, (cluster: SimCluster) => Promise<Grid>][] = [
  ['an embedded member', 'm1', async (cluster) => memberOf(cluster, 'm1').member],
  [
    'a client',
    'c1',
    async (cluster) => {
      const client = cluster.client();
      await done(cluster, client.connect());
      return client;
    },
  ],
];

describe('a call whose primary died', () => {
  it.each(CALLERS)('from %s goes on with the next view and waits for no silence', async (_, host, gridOf) => {
    const maps = { default: { backups: { sync: 0, async: 1 } } };
    const cluster = await clusterOf(3, { member: { timings: 'local', maps } });
    const grid = await gridOf(cluster);
    await cluster.scheduler.runFor(2_000);
    const partition = replicaHosts(cluster).findIndex(([primary]) => primary === 'm3');
    const [key] = keysIn(partition, 11, 1) as [string];
    // The request is swallowed: nothing but the end of the primary tells that no answer will come.
    cluster.network.partition(['m3'], [host]);
    const before = cluster.scheduler.now;
    const call = grid.getMap<string, number>('x').set(key, 1);
    await cluster.scheduler.runFor(20);
    cluster.network.healAll();
    cluster.crash('m3');
    await done(cluster, call);
    const tookMs = cluster.scheduler.now - before;
    expect(tookMs).toBeGreaterThan(suspicionMs - heartbeatMs);
    expect(tookMs).toBeLessThanOrEqual(suspicionMs + 2 * heartbeatMs + 20);
    expect(await done(cluster, grid.getMap<string, number>('x').get(key))).toBe(1);
  });
});
