/** A join address may be an alias of a member (a proxy, a service name); what becomes of it concerns no member. */
import { describe, expect, it } from 'vitest';
import { SimCluster } from '../../chaos/sim/cluster.js';
import { hostsOf, memberOf, runUntilView, viewOf } from '../cluster/scenario.js';
import { Alias } from './alias-transport.js';

const HOSTS = ['m1', 'm2', 'm3'];

/** Three members of which the first has an alias of the second for `join`, and is connected to it both ways. */
async function withAlias(): Promise<{ cluster: SimCluster; alias: Alias; removed: string[] }> {
  const cluster = new SimCluster({ seed: 1, member: { timings: 'local' } });
  const alias = new Alias(cluster);
  const removed: string[] = [];
  for (const host of HOSTS) {
    cluster.start(host, { join: [host === 'm1' ? alias.address : 'm1:5701'] });
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    memberOf(cluster, host).member.on('removed', () => removed.push(host));
  }
  alias.leadTo('m2');
  await cluster.scheduler.runFor(4_000);
  expect(alias.dials).toBe(1);
  return { cluster, alias, removed };
}

/** Nobody may be removed, not even for a moment. */
async function expectNoChange(cluster: SimCluster, removed: readonly string[], view: number): Promise<void> {
  for (let i = 0; i < 100; i++) {
    await cluster.scheduler.runFor(100);
    for (const host of HOSTS) expect(hostsOf(cluster, host), `${host} after ${i}`).toEqual(HOSTS);
  }
  expect(removed).toEqual([]);
  expect(viewOf(cluster, 'm1')?.number).toBe(view);
}

describe('an alias in `join`', () => {
  it('that leads to another member from now on expels nobody', async () => {
    const { cluster, alias, removed } = await withAlias();
    const { number } = viewOf(cluster, 'm1') as { number: number };
    alias.leadTo('m3');
    await expectNoChange(cluster, removed, number);
    expect(alias.dials).toBeGreaterThan(1);
  });

  it('that leads nowhere any more expels nobody', async () => {
    const { cluster, alias, removed } = await withAlias();
    const { number } = viewOf(cluster, 'm1') as { number: number };
    alias.leadTo(null);
    await expectNoChange(cluster, removed, number);
  });

  it('does not keep a member in that died', async () => {
    const { cluster, alias } = await withAlias();
    alias.leadTo('m3');
    cluster.crash('m2');
    expect(await runUntilView(cluster, ['m1', 'm3'], 2_000)).toBe(true);
  });
});
