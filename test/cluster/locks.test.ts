/** Locks of keys through whole clusters: who gets them, in which order, and what becomes of them when somebody dies. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Client } from '../../client/api.js';
import type { GridMap } from '../../partitions/services/map/proxy.js';
import { KeyLockedError, LockLostError, NotLockOwnerError } from '../../src/base/errors.js';
import { clusterOf, connected, done, keyAt, memberOf, settle } from './scenario.js';

const HOLDER_MS = 5_000;
const MEMBER = { lockHolderTimeoutMs: HOLDER_MS };

interface Grid {
  getMap<K, V>(name: string): GridMap<K, V>;
}
const mapOf = (grid: Grid) => grid.getMap<string, number>('m');

/** The host of a client of the cluster, which can crash. */
function hostOf(cluster: SimCluster, client: Client): string {
  return cluster.clientHosts[cluster.clients.indexOf(client)] as string;
}

/** What settled, in its order. */
class Order {
  readonly seen: string[] = [];

  note(name: string, promise: Promise<unknown>): void {
    promise.then(
      () => this.seen.push(name),
      (error: Error) => this.seen.push(`${name}: ${error.name}`),
    );
  }
}

describe('a lock of a key', () => {
  it('excludes other clients and other flows of the same one, and is had in order of arrival', async () => {
    const cluster = await clusterOf(3, { member: MEMBER });
    const [a, b] = [mapOf(await connected(cluster)), mapOf(await connected(cluster))];
    const first = await done(cluster, a.lock('k'));
    const order = new Order();
    const fences: bigint[] = [first];
    const flow = async (name: string, map: GridMap<string, number>) => {
      const fence = await map.with({ timeoutMs: 60_000 }).lock('k');
      fences.push(fence);
      order.seen.push(`${name} has it`);
      await map.unlock('k');
    };
    const flows: Promise<void>[] = [];
    for (const [name, map] of [
      ['b', b],
      ['a2', a],
      ['b2', b],
    ] as const) {
      flows.push(flow(name, map));
      await cluster.scheduler.runFor(100);
    }
    await cluster.scheduler.runFor(8_000);
    expect(order.seen).toEqual([]);
    expect(await done(cluster, b.isLocked('k'))).toBe(true);
    await done(cluster, a.unlock('k'));
    await done(cluster, Promise.all(flows));
    expect(order.seen).toEqual(['b has it', 'a2 has it', 'b2 has it']);
    expect(fences).toEqual([...fences].sort((x, y) => (x < y ? -1 : 1)));
    expect(new Set(fences).size).toBe(4);
    expect(await done(cluster, b.isLocked('k'))).toBe(false);
  });

  it('lets plain calls of its session write and unlock, and makes everybody else wait until their deadline', async () => {
    const cluster = await clusterOf(3, { member: MEMBER });
    const [a, b] = [mapOf(await connected(cluster)), mapOf(await connected(cluster))];
    await done(cluster, a.lock('k'));
    await done(cluster, a.put('k', 1));
    const order = new Order();
    order.note('set', b.set('k', 2));
    order.note('remove', b.remove('k'));
    order.note(
      'setAll',
      b.setAll([
        ['k', 3],
        ['other', 3],
      ]),
    );
    const refused = await settle(cluster, b.with({ timeoutMs: 3_000 }).put('k', 4));
    expect(refused.error).toBeInstanceOf(KeyLockedError);
    expect(refused.error).toMatchObject({ definite: true, retryable: true });
    const who =
      /^map\.put on 'm': the key "k" is locked by another client .*\(session [0-9a-f]{14}\), by a lock\(\) without/;
    expect(refused.error?.message).toMatch(who);
    expect(order.seen).toEqual([]);
    expect(await done(cluster, b.get('k'))).toBe(1);
    const notOwner = await settle(cluster, b.unlock('k'));
    expect(notOwner.error).toBeInstanceOf(NotLockOwnerError);
    await done(cluster, a.unlock('k'));
    await cluster.scheduler.runFor(500);
    expect(order.seen).toEqual(['set', 'remove', 'setAll']);
    expect(await done(cluster, b.get('k'))).toBe(3);
  });

  it('that is not had says for how long it was waited for, which is shorter than timeoutMs', async () => {
    const cluster = await clusterOf(2, { member: MEMBER });
    const [a, b] = [mapOf(await connected(cluster)), mapOf(await connected(cluster))];
    await done(cluster, a.lock('k'));
    for (const [timeoutMs, waitedMs] of [
      [2_000, 1_500],
      [10_000, 9_000],
    ] as const) {
      const beganMs = cluster.scheduler.now;
      const { error } = await settle(cluster, b.with({ timeoutMs }).lock('k'));
      const tookMs = cluster.scheduler.now - beganMs;
      expect(error?.message).toContain(
        `lock of the key "k" of 'm' was not had within ${waitedMs} ms (timeoutMs is ${timeoutMs}, of which the last ${timeoutMs - waitedMs} are`,
      );
      expect(tookMs).toBeGreaterThanOrEqual(waitedMs);
      expect(tookMs).toBeLessThan(waitedMs + 300);
    }
  });

  it('that an owner has is written, unlocked and taken again only by the same owner', async () => {
    const cluster = await clusterOf(2, { member: MEMBER });
    const plain = mapOf(await connected(cluster));
    const [one, two] = [plain.with({ lockOwner: 'one' }), plain.with({ lockOwner: 'two' })];
    const fence = await done(cluster, one.lock('k'));
    expect(await done(cluster, one.lock('k'))).toBe(fence);
    await done(cluster, one.set('k', 1));
    for (const other of [two, plain]) {
      expect(await done(cluster, other.tryLock('k'))).toBeNull();
      expect((await settle(cluster, other.unlock('k'))).error).toBeInstanceOf(NotLockOwnerError);
      expect((await settle(cluster, other.with({ timeoutMs: 500 }).set('k', 2))).error).toBeInstanceOf(
        KeyLockedError,
      );
    }
    const refusal = (await settle(cluster, two.unlock('k'))).error?.message;
    expect(refusal).toContain("this client or member itself, with the lockOwner 'one'");
    await done(cluster, one.unlock('k'));
    expect(await done(cluster, two.tryLock('k'))).toBeNull();
    await done(cluster, one.unlock('k'));
    expect((await done(cluster, two.tryLock('k'))) ?? 0n).toBeGreaterThan(fence);
  });

  it('ends with its lease, for who waits and for who thinks to have it', async () => {
    const cluster = await clusterOf(3, { member: MEMBER });
    const [a, b] = [mapOf(await connected(cluster)), mapOf(await connected(cluster))];
    await done(cluster, a.lock('k', 2_000));
    const startMs = cluster.scheduler.now;
    expect(await done(cluster, b.tryLock('k', 1_000))).toBeNull();
    expect(await done(cluster, b.tryLock('k', 5_000))).not.toBeNull();
    expect(cluster.scheduler.now - startMs).toBeGreaterThanOrEqual(2_000);
    expect(cluster.scheduler.now - startMs).toBeLessThan(2_300);
    const lost = await settle(cluster, a.unlock('k'));
    expect(lost.error).toBeInstanceOf(LockLostError);
    expect(lost.error?.message).toContain('its lease had ended');
  });

  it('is released when its client dies, shuts down, or dies with a member', async () => {
    const cluster = await clusterOf(4, { member: MEMBER });
    const waiter = mapOf(await connected(cluster)).with({ timeoutMs: 60_000 });
    const take = async (how: (client: Client) => unknown) => {
      const client = await connected(cluster);
      const key = keyAt(cluster, 'm4');
      await done(cluster, mapOf(client).lock(key));
      const startMs = cluster.scheduler.now;
      const waiting = waiter.lock(key);
      await cluster.scheduler.runFor(100);
      await how(client);
      await done(cluster, waiting);
      await done(cluster, waiter.unlock(key));
      return cluster.scheduler.now - startMs;
    };
    expect(await take((client) => void client.shutdown())).toBeLessThan(1_500);
    const died = await take((client) => cluster.network.crash(hostOf(cluster, client)));
    expect(died).toBeGreaterThan(HOLDER_MS - 1_100);
    expect(died).toBeLessThan(HOLDER_MS + 2_000);
    const both = await take((client) => {
      cluster.network.crash(hostOf(cluster, client));
      cluster.crash('m4');
    });
    expect(both).toBeLessThan(2 * HOLDER_MS + 5_000);
  });

  it('of an embedded member is released when the member is removed', async () => {
    const cluster = await clusterOf(4, { member: { ...MEMBER, lockHolderTimeoutMs: 60_000 } });
    const key = keyAt(cluster, 'm1');
    await done(cluster, mapOf(memberOf(cluster, 'm3').member).lock(key));
    const waiting = mapOf(memberOf(cluster, 'm2').member).with({ timeoutMs: 60_000 }).lock(key);
    await cluster.scheduler.runFor(500);
    cluster.crash('m3');
    await done(cluster, waiting, 10_000);
  });

  it('of a session that was declared dead is lost for it when it is back', async () => {
    const cluster = await clusterOf(3, { member: MEMBER });
    const [cut, other] = [await connected(cluster), mapOf(await connected(cluster))];
    const key = keyAt(cluster, 'm2');
    await done(cluster, mapOf(cut).lock(key));
    const members = ['m1', 'm2', 'm3'];
    for (const host of members) cluster.network.cut(hostOf(cluster, cut), host);
    const fence = await done(cluster, other.with({ timeoutMs: 30_000 }).lock(key));
    cluster.network.healAll();
    await cluster.scheduler.runFor(3_000);
    const lost = await settle(cluster, mapOf(cut).unlock(key));
    expect(lost.error).toBeInstanceOf(LockLostError);
    await done(cluster, other.unlock(key));
    expect(await done(cluster, mapOf(cut).lock(key))).toBeGreaterThan(fence);
  });

  it('goes on at the new primary, with those who wait, when the old one crashes or hands over', async () => {
    for (const how of ['crash', 'leave'] as const) {
      const cluster = await clusterOf(4, { member: MEMBER });
      const [a, b] = [mapOf(await connected(cluster)), mapOf(await connected(cluster))];
      const key = keyAt(cluster, 'm4');
      const fence = await done(cluster, a.lock(key));
      const waiting = b.with({ timeoutMs: 90_000 }).lock(key);
      await cluster.scheduler.runFor(500);
      if (how === 'crash') cluster.crash('m4');
      else void cluster.leave('m4');
      await cluster.scheduler.runFor(15_000);
      expect(await done(cluster, b.isLocked(key)), how).toBe(true);
      await done(cluster, a.set(key, 7));
      await done(cluster, a.unlock(key));
      expect(await done(cluster, waiting), how).toBeGreaterThan(fence);
    }
  });
});
