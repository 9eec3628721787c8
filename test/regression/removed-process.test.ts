/** A process that was removed remembers a cluster; when that one is gone, a new one must not wait for it. */
import { describe, expect, it } from 'vitest';
import { clusterOf, lineagesOf, runUntilView, viewOf } from '../cluster/scenario.js';

describe('a process that was removed and whose cluster is gone', () => {
  it('neither blocks the founding of a new cluster nor stays out of it', async () => {
    const cluster = await clusterOf(3);
    const former = viewOf(cluster, 'm1')?.lineage;
    cluster.network.partition(['m1'], ['m2', 'm3']);
    expect(await runUntilView(cluster, ['m2', 'm3'], 8_000)).toBe(true);
    cluster.network.healAll();
    const isOut = () => viewOf(cluster, 'm1') === null;
    expect(await cluster.scheduler.runUntil(isOut, cluster.scheduler.now + 10_000)).toBe(true);
    cluster.crash('m2');
    cluster.crash('m3');
    await cluster.scheduler.runFor(5_000);
    cluster.start('m2');
    cluster.start('m3');
    expect(await runUntilView(cluster, ['m1', 'm2', 'm3'], 20_000)).toBe(true);
    expect(lineagesOf(cluster).size).toBe(1);
    expect(viewOf(cluster, 'm1')?.lineage).not.toBe(former);
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
  });
});
