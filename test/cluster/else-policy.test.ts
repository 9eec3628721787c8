/** EL in whole clusters: writes that wait for nobody, reads of backups with their age, and sessions across them. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { clusterOf, connected, done, keyAt, keyWhere, memberOf, settle, viewOf } from './scenario.js';

const EL = { consistency: 'PA/EL', backups: { sync: 1, async: 1 } } as const;

async function elCluster(seed: number): Promise<SimCluster> {
  return clusterOf(3, { seed, member: { maps: { el: EL, ec: { ...EL, consistency: 'PA/EC' } } } });
}

describe('a map with EL', () => {
  it('is read at the embedded member when that holds a replica, with the age of the answer', async () => {
    const cluster = await elCluster(1);
    const key = keyAt(cluster, 'm2', 1);
    const map = memberOf(cluster, 'm2').member.getMap<string, number>('el');
    await done(cluster, map.set(key, 1));
    await cluster.scheduler.runFor(1_000);
    // The first answer begins the questions about positions: until one is answered nobody knows how old this replica is.
    const first = await done(cluster, map.getWithMeta(key));
    expect([first.value, first.source]).toEqual([1, 'backup']);
    await cluster.scheduler.runFor(500);
    const { value, source, ageMs, position } = await done(cluster, map.getWithMeta(key));
    expect([value, source]).toEqual([1, 'backup']);
    expect(ageMs).toBeLessThan(300);
    expect(position.sequence).toBeGreaterThan(0);
    const strict = await done(cluster, map.with({ consistency: 'EC' }).getWithMeta(key));
    expect([strict.source, strict.ageMs]).toEqual(['primary', 0]);
    expect(await done(cluster, memberOf(cluster, 'm2').member.getMap('ec').getWithMeta(key))).toMatchObject({
      source: 'primary',
      value: null,
    });
  });

  it('shows a session its own writes at once, whatever replica it reads', async () => {
    const cluster = await elCluster(2);
    const client = await connected(cluster);
    cluster.network.setAllLinks({ meanLatencyMs: 20, reorder: 0.2 });
    const map = client.getMap<string, number>('el');
    const sources = new Set<string>();
    for (let i = 1; i <= 60; i++) {
      const key = `k${i % 5}`;
      await done(cluster, map.set(key, i));
      const { value, source } = await done(cluster, map.getWithMeta(key));
      expect(value).toBe(i);
      sources.add(source);
    }
    await cluster.scheduler.runFor(1_000);
    for (let i = 0; i < 5; i++) sources.add((await done(cluster, map.getWithMeta(`k${i}`))).source);
    expect([...sources].sort()).toEqual(['backup', 'primary']);
  });

  it('is as old as a call allows, or read at the primary', async () => {
    const cluster = await elCluster(3);
    const { member } = memberOf(cluster, 'm3');
    const map = member.getMap<string, number>('el');
    const host = 'm1';
    const primary = memberOf(cluster, host).member.id;
    const key = keyWhere(cluster, 'm3', (replicas) => replicas[0] === primary && replicas[1] === member.id);
    await done(cluster, map.set(key, 1));
    await done(cluster, map.with({ maxStalenessMs: 100 }).get(key));
    await cluster.scheduler.runFor(500);
    const near = await done(cluster, map.with({ maxStalenessMs: 100 }).getWithMeta(key));
    expect([near.source, near.ageMs <= 100]).toEqual(['backup', true]);
    // Nothing of the primary arrives any more: the replica grows old, and says so.
    cluster.network.partition(
      [host],
      ['m1', 'm2', 'm3'].filter((other) => other !== host),
    );
    await cluster.scheduler.runFor(1_000);
    const old = await done(cluster, map.getWithMeta(key));
    expect([old.source, old.ageMs >= 1_000]).toEqual(['backup', true]);
    const late = map.with({ maxStalenessMs: 100, timeoutMs: 400 }).get(key);
    expect((await settle(cluster, late)).error).toMatchObject({ code: 'ERR_TOO_STALE' });
  });

  it('tells a session when its primary died with what it had written', async () => {
    const cluster = await elCluster(4);
    const client = await connected(cluster);
    const key = keyAt(cluster, 'm1', 0);
    const map = client.getMap<string, number>('el');
    await done(cluster, map.set(key, 1));
    await cluster.scheduler.runFor(1_000);
    const session = client.session();
    expect(await done(cluster, map.with({ session }).get(key))).toBe(1);
    const kept = client.session(session.token());
    // What the primary applies from now on reaches nobody before it dies.
    for (const other of ['m2', 'm3']) cluster.network.setLink('m1', other, { loss: 1 });
    await done(cluster, map.with({ session }).set(key, 2));
    await done(cluster, map.set(key, 3));
    cluster.crash('m1');
    const lost = await settle(cluster, map.with({ session }).get(key), 30_000);
    expect(lost.error).toMatchObject({ code: 'ERR_SESSION_LOST' });
    expect(await done(cluster, map.with({ session: kept }).get(key))).toBe(1);
    // The client's own session has seen the same: it is told once, and goes on.
    expect((await settle(cluster, map.get(key), 30_000)).error).toMatchObject({ code: 'ERR_SESSION_LOST' });
    expect(await done(cluster, map.get(key))).toBe(1);
  });

  it('tells on a side without a majority how old the values of a PC map are', async () => {
    const cluster = await clusterOf(3, {
      seed: 6,
      member: { founds: true, maps: { pc: { consistency: 'PC/EL', backups: { sync: 1 } } } },
    });
    await cluster.scheduler.runFor(2_000);
    const { member } = memberOf(cluster, 'm3');
    const [led, backed] = [keyAt(cluster, 'm3', 0), keyAt(cluster, 'm3', 1)];
    const map = member.getMap<string, number>('pc');
    for (const key of [led, backed]) await done(cluster, map.set(key, 1));
    await done(cluster, map.get(backed));
    await cluster.scheduler.runFor(1_000);
    cluster.network.partition(['m1', 'm2'], ['m3']);
    const cutMs = cluster.scheduler.now;
    await cluster.scheduler.runFor(12_000);
    expect(viewOf(cluster, 'm3')?.parent).not.toBeNull();
    for (const key of [led, backed]) {
      const { value, ageMs } = await done(cluster, map.getWithMeta(key));
      expect([key === led ? 'led' : 'backed', value, Number.isFinite(ageMs)]).toEqual([
        key === led ? 'led' : 'backed',
        1,
        true,
      ]);
      // As new as the last word of a primary with a lease, which ended soon after the cut.
      expect(ageMs).toBeGreaterThan(cluster.scheduler.now - cutMs - 2_500);
      expect(ageMs).toBeLessThan(cluster.scheduler.now - cutMs + 1_000);
    }
    const late = map.with({ maxStalenessMs: 1_000, timeoutMs: 500 }).get(backed);
    expect((await settle(cluster, late)).error).toMatchObject({ code: 'ERR_TOO_STALE' });
  });

  it('refuses options that mean nothing', async () => {
    const cluster = await elCluster(5);
    const map = memberOf(cluster, 'm1').member.getMap('el');
    for (const maxStalenessMs of [-1, Number.NaN, '5' as unknown as number])
      expect(() => map.with({ maxStalenessMs })).toThrow(/maxStalenessMs: expected milliseconds/);
    expect(() => map.with({ consistency: 'PA/EL' as 'EL' })).toThrow(/consistency: expected 'EC' or 'EL'/);
    const token = memberOf(cluster, 'm1').member.session().token();
    for (const session of [token, {}, 42])
      expect(() => map.with({ session: session as never })).toThrow(/session: .*client\.session\(token\)/);
    expect(() => map.with({ maxStaleness: 5 } as object)).toThrow(/maxStaleness is none of timeoutMs,/);
    for (const options of [null, 5, 'EL', []])
      expect(() => map.with(options as never)).toThrow(/options: expected an object with some of/);
    expect(() => map.with({ signal: {} as AbortSignal })).toThrow(/signal: expected an AbortSignal/);
  });

  it('rejects a call that cannot be written, and no other one', async () => {
    const cluster = await elCluster(7);
    const client = await connected(cluster);
    const map = client.getMap<string, number>('el');
    const broken = {
      lowest: () => {
        throw new Error('broken');
      },
      saw: () => {},
    };
    const results = [map.set('a', 1), map.with({ session: broken }).get('a'), map.set('b', 2)];
    expect((await settle(cluster, results[1] as Promise<unknown>)).error).toBeInstanceOf(Error);
    await done(cluster, Promise.all([results[0], results[2]]));
    expect(await done(cluster, map.get('b'))).toBe(2);
    expect(client.retries).toBe(0);
  });
});
