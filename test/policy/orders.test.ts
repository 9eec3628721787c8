/** Presets, founding and split-brain protection in whole clusters, and the orders that a client gives to one. */
import { describe, expect, it } from 'vitest';
import {
  ConnectError,
  IndeterminateError,
  NotFoundedError,
  SplitBrainProtectionError,
} from '../../src/base/errors.js';
import { clusterOf, done, memberOf, settle } from '../cluster/scenario.js';

const connected = async (cluster: Awaited<ReturnType<typeof clusterOf>>) => {
  const client = cluster.client();
  await done(cluster, client.connect());
  return client;
};

describe('a cluster that was not founded by order', () => {
  it('refuses consistent structures, says so, and serves them after the order', async () => {
    const cluster = await clusterOf(3, { member: { maps: { accounts: { consistency: 'PC/EC' } } } });
    const client = await connected(cluster);
    const accounts = client.getMap<string, number>('accounts');
    const refused = await settle(cluster, accounts.set('a', 1));
    expect(refused.error).toBeInstanceOf(NotFoundedError);
    expect(cluster.logs.filter((line) => line.includes('not founded by order')).length).toBe(3);
    await done(cluster, client.getMap<string, number>('carts').set('a', 1));

    expect(await done(cluster, client.admin({ kind: 'found' }))).toMatchObject({ ok: true });
    await cluster.scheduler.runUntil(
      () => cluster.running().every(({ member }) => member.node.view?.ordered === true),
      cluster.scheduler.now + 10_000,
    );
    expect((await done(cluster, client.status())).ordered).toBe(true);
    await done(cluster, accounts.set('a', 1));
    expect(await done(cluster, accounts.get('a'))).toBe(1);
    expect(await done(cluster, client.admin({ kind: 'found' }))).toMatchObject({ ok: true });
  });
});

describe('an order', () => {
  it('that a member refuses is answered with its reason', async () => {
    const cluster = await clusterOf(2);
    const client = await connected(cluster);
    const { id } = memberOf(cluster, 'm2').member;
    const reply = await done(cluster, client.admin({ kind: 'recover', dead: [id] }));
    expect(reply.ok).toBe(false);
    expect(reply.text.length).toBeGreaterThan(10);
    expect(await done(cluster, client.admin({ kind: 'acceptLoss', partitions: [0] }))).toMatchObject({
      ok: false,
    });
  });

  it.each([
    [{ kind: 'fund' }, 'wrong kind'],
    [{ kind: 'recover', dead: [] }, 'wrong dead'],
    [{ kind: 'acceptLoss', partitions: [-1] }, 'wrong partitions.0'],
    [null, 'wrong form'],
  ])('that is none, %j, is not sent', async (given, what) => {
    const cluster = await clusterOf(1);
    const client = await connected(cluster);
    const { error } = await settle(cluster, client.admin(given as never));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(`${what}; orders are { kind: 'found' }, { kind: 'recover'`);
  });

  it('without an answer is indeterminate, and without a connection not given', async () => {
    const cluster = await clusterOf(1);
    const client = await connected(cluster);
    cluster.network.cut('m1', 'c1');
    const order = client.admin({ kind: 'found' }, { timeoutMs: 1_000 });
    const { error } = await settle(cluster, order);
    expect(error).toBeInstanceOf(IndeterminateError);
    expect(await (error as IndeterminateError).resolve()).toEqual({ outcome: 'unknown' });
    await client.shutdown();
    expect((await settle(cluster, client.admin({ kind: 'found' }))).error).toBeInstanceOf(ConnectError);
  });
});

describe('the preset of the grid', () => {
  it('is that of the cluster: who joins with another one changes nothing, and is told', async () => {
    const cluster = await clusterOf(2, { member: { consistency: 'PC/EC', founds: true } });
    cluster.start('m3', { consistency: 'PA/EC' });
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    const { member } = memberOf(cluster, 'm3');
    expect((await done(cluster, member.explain('map', 'any'))).preset).toBe('PC/EC');
    expect(
      cluster.logs.filter((line) => /m3 warn: .*differs and wins.*"consistency"/.test(line)).length,
    ).toBe(1);
    await done(cluster, member.getMap<string, number>('any').set('a', 1));
  });
});

describe('a split-brain protection', () => {
  it('refuses its calls while fewer members are heard, and only those', async () => {
    const cluster = await clusterOf(3, {
      member: {
        splitBrainProtections: { three: { minimumClusterSize: 3, protectOn: 'WRITE' } },
        maps: { orders: { splitBrainProtection: 'three' } },
      },
    });
    const client = await connected(cluster);
    const orders = client.getMap<string, number>('orders');
    await done(cluster, orders.set('a', 1));
    cluster.crash('m3');
    await cluster.runUntilSafe(30_000);
    const { error } = await settle(cluster, orders.set('a', 2));
    expect(error).toBeInstanceOf(SplitBrainProtectionError);
    expect((error as SplitBrainProtectionError).definite).toBe(true);
    expect(await done(cluster, orders.get('a'))).toBe(1);
    await done(cluster, client.getMap<string, number>('carts').set('a', 1));
    cluster.start('m4');
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    await done(cluster, orders.set('a', 2));
  });
});
