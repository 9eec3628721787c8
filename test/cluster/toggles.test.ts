/** Presets that change while a cluster runs: what is waited for, what is refused, and what holds afterwards. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { NodeFaults } from '../../src/member/parts.js';
import { clusterOf, connected, done, keyAt, keyWhere, memberOf, settle, viewOf } from './scenario.js';

/** With three members, each is a replica of every partition, and the one at index 2 is waited for by nobody. */
const EL = { consistency: 'PA/EL', backups: { sync: 1, async: 1 } } as const;

function whole(seed: number, memberFaults: NodeFaults = {}): Promise<SimCluster> {
  return clusterOf(3, { seed, memberFaults, member: { maps: { el: EL, 'el-*': EL } } });
}

function presetAt(cluster: SimCluster, host: string, pattern: string): string | undefined {
  const row = viewOf(cluster, host)?.structures.find((one) => one.pattern === pattern);
  return row === undefined ? undefined : JSON.parse(row.options).consistency;
}

/** A key of a partition whose replicas are these hosts, primary first. */
function keyAtAll(cluster: SimCluster, hosts: readonly string[]): string {
  const ids = hosts.map((host) => memberOf(cluster, host).member.id);
  return keyWhere(cluster, 'm1', (replicas) => ids.every((id, index) => replicas[index] === id));
}

describe('a change of a preset', () => {
  it('is one view, which every member has when the call returns', async () => {
    const cluster = await whole(1);
    const client = await connected(cluster);
    const before = viewOf(cluster, 'm1')?.number as number;
    const change = await done(cluster, client.setConsistency({ map: 'el' }, 'PA/EC'));
    expect(change.view).toBe(before + 1);
    for (const host of ['m1', 'm2', 'm3']) expect(presetAt(cluster, host, 'el')).toBe('PA/EC');
    expect(viewOf(cluster, 'm2')?.slots).toBe(2);
    const map = client.getMap<string, number>('el');
    for (let i = 0; i < 20; i++)
      expect((await done(cluster, map.getWithMeta(`k${i}`))).source).toBe('primary');
  });

  it('leaves a multimap the kind of its collections', async () => {
    const LIST = { valueCollectionType: 'LIST' } as const;
    const cluster = await clusterOf(3, { seed: 3, member: { multimaps: { 'log-*': LIST } } });
    const client = await connected(cluster);
    const log = client.getMultiMap<string, string>('log-1');
    await done(cluster, log.putAll([['door', ['open', 'open']]]));
    await done(cluster, client.setConsistency({ multiMap: 'log-1' }, 'PA/EL'));
    expect(presetAt(cluster, 'm2', 'log-1')).toBe('PA/EL');
    expect(await done(cluster, log.put('door', 'open'))).toBe(true);
    expect(await done(cluster, log.get('door'))).toEqual(['open', 'open', 'open']);
  });

  it('gives a name without options a row of its own, and an embedded member can order it', async () => {
    const cluster = await whole(2);
    const { member } = memberOf(cluster, 'm3');
    await done(cluster, member.setConsistency({ atomicLong: 'visits' }, 'PA/EL'));
    await done(cluster, member.setConsistency({ map: 'el-*' }, 'PA/EC'));
    expect(await done(cluster, member.consistency())).toEqual([
      { service: null, pattern: '*', preset: 'PA/EC' },
      { service: 'map', pattern: 'el', preset: 'PA/EL' },
      { service: 'map', pattern: 'el-*', preset: 'PA/EC' },
      { service: 'atomicLong', pattern: 'visits', preset: 'PA/EL' },
    ]);
    const all = await done(cluster, member.setConsistency('all', 'PA/EL'));
    expect(all.text).toMatch(/^PA\/EL holds everywhere$/);
    expect(new Set((await done(cluster, member.consistency())).map(({ preset }) => preset))).toEqual(
      new Set(['PA/EL']),
    );
  });

  it('tells which names keep a preset of their own', async () => {
    const cluster = await whole(3);
    const { member } = memberOf(cluster, 'm1');
    await done(cluster, member.setConsistency({ map: 'el-own' }, 'PA/EC'));
    await done(cluster, member.setConsistency({ map: 'el-*' }, 'PA/EC'));
    const { text } = await done(cluster, member.setConsistency({ map: 'el-*' }, 'PA/EL'));
    expect(text).toBe('PA/EL holds everywhere but for names that have a preset of their own: el-own (PA/EC)');
  });

  it('takes effect once each in the order in which one caller gave them, and never again', async () => {
    const cluster = await whole(4);
    const { member } = memberOf(cluster, 'm2');
    const presets = ['PA/EC', 'PA/EL', 'PA/EC', 'PA/EL'] as const;
    const before = viewOf(cluster, 'm1')?.number as number;
    const views = presets.map((preset) =>
      member.setConsistency({ map: 'el' }, preset).then(({ view }) => view),
    );
    expect(await done(cluster, Promise.all(views))).toEqual([1, 2, 3, 4].map((n) => before + n));
    await cluster.scheduler.runFor(10_000);
    expect([viewOf(cluster, 'm1')?.number, presetAt(cluster, 'm1', 'el')]).toEqual([before + 4, 'PA/EL']);
  });

  it('waits for a member that stands still, and for one that has crashed until it is removed', async () => {
    const cluster = await whole(5);
    const client = await connected(cluster);
    const { clock } = memberOf(cluster, 'm3');
    clock.pause();
    const startMs = cluster.scheduler.now;
    const change = client.setConsistency({ map: 'el' }, 'PA/EC');
    let isDone = false;
    void change.then(() => {
      isDone = true;
    });
    await cluster.scheduler.runFor(1_500);
    expect([isDone, presetAt(cluster, 'm1', 'el')]).toEqual([false, 'PA/EC']);
    clock.resume();
    await done(cluster, change);
    expect(presetAt(cluster, 'm3', 'el')).toBe('PA/EC');
    expect(cluster.scheduler.now - startMs).toBeLessThan(2_500);
    cluster.crash('m3');
    await done(cluster, client.setConsistency({ map: 'el' }, 'PA/EL'));
    expect(viewOf(cluster, 'm1')?.members).toHaveLength(2);
  });

  it('waits for clients that are slow to say that they know, for two seconds', async () => {
    const cluster = await whole(6);
    await connected(cluster);
    const { member } = memberOf(cluster, 'm1');
    for (const host of ['m1', 'm2', 'm3']) cluster.network.cut('c1', host);
    const startMs = cluster.scheduler.now;
    await done(cluster, member.setConsistency({ map: 'el' }, 'PA/EC'));
    const tookMs = cluster.scheduler.now - startMs;
    expect(tookMs).toBeGreaterThan(2_000);
    expect(tookMs).toBeLessThan(3_500);
  });

  it('is of unknown outcome when it does not hold everywhere in time, and says where', async () => {
    const cluster = await whole(7);
    const client = await connected(cluster);
    memberOf(cluster, 'm3').clock.pause();
    const { error } = await settle(
      cluster,
      client.setConsistency({ map: 'el' }, 'PA/EC', { timeoutMs: 1_200 }),
    );
    expect(error).toMatchObject({
      code: 'ERR_INDETERMINATE',
      message: expect.stringMatching(/hold at m3:5701/),
    });
  });
});

/** A write that nobody but its primary has when the preset changes; m3, at index 2, learns of the change late. */
async function staleRead(memberFaults: NodeFaults): Promise<[written: number, read: number | null]> {
  const cluster = await whole(8, memberFaults);
  const client = await connected(cluster);
  const key = keyAtAll(cluster, ['m1', 'm2', 'm3']);
  const map = client.getMap<string, number>('el');
  await done(cluster, map.set(key, 1));
  await cluster.scheduler.runFor(1_000);
  for (const host of ['m1', 'm2'])
    cluster.network.setLink(host, 'm3', { meanLatencyMs: 1_500, minLatencyMs: 1_500 });
  await done(cluster, client.setConsistency({ map: 'el' }, 'PA/EC'));
  await done(cluster, map.set(key, 2));
  return [2, await done(cluster, memberOf(cluster, 'm3').member.getMap<string, number>('el').get(key))];
}

/** What was acknowledged by the primary alone, and is asked for when that has crashed right after the change. */
async function afterCrash(memberFaults: NodeFaults): Promise<number | null> {
  const backups = { sync: 1, async: 0 };
  const member = { maps: { el: { consistency: 'PA/EL', backups } } } as const;
  const cluster = await clusterOf(3, { seed: 9, memberFaults, member });
  const client = await connected(cluster);
  const key = keyAtAll(cluster, ['m3', 'm1']);
  await done(cluster, client.getMap<string, number>('el').set(key, 1));
  await cluster.scheduler.runFor(1_000);
  cluster.network.setLink('m3', 'm1', { loss: 1 });
  await done(cluster, client.getMap<string, number>('el').set(key, 2));
  const { scheduler } = cluster;
  scheduler.schedule(scheduler.now + 1_500, () => cluster.network.setLink('m3', 'm1', { loss: 0 }));
  await done(cluster, memberOf(cluster, 'm2').member.setConsistency({ map: 'el' }, 'PA/EC'));
  cluster.crash('m3');
  return done(cluster, memberOf(cluster, 'm2').member.getMap<string, number>('el').get(key));
}

describe('what a change promises when it returns', () => {
  it('is that every member reads as the new preset says', async () => {
    expect(await staleRead({})).toEqual([2, 2]);
    expect(await staleRead({ toggleAnswersEarly: true })).toEqual([2, 1]);
  });

  it('is that what was acknowledged before is on the backups', async () => {
    expect(await afterCrash({})).toBe(2);
    expect(await afterCrash({ toggleUncommitted: true })).toBe(1);
  });
});

/** What a client that knows of the change reads at a member which stood still, was removed, and knows of neither. */
async function readAtRemoved(memberFaults: NodeFaults): Promise<unknown> {
  const cluster = await whole(10, memberFaults);
  const client = await connected(cluster);
  const single = cluster.client({ routing: 'single', members: ['m1:5701', 'm3:5701'] });
  cluster.network.cut('c2', 'm3');
  await done(cluster, single.connect());
  cluster.network.heal('c2', 'm3');
  const key = keyAtAll(cluster, ['m1', 'm3']);
  await done(cluster, client.getMap<string, number>('el').set(key, 1));
  await cluster.scheduler.runFor(1_000);
  const { clock } = memberOf(cluster, 'm3');
  clock.pause();
  await cluster.scheduler.runFor(5_000);
  await done(cluster, client.setConsistency({ map: 'el' }, 'PA/EC'));
  await done(cluster, client.getMap<string, number>('el').set(key, 2));
  for (const host of ['m1', 'm2']) {
    for (const other of ['c2', 'm3']) {
      cluster.network.cut(host, other);
      cluster.network.cut(other, host);
    }
  }
  await cluster.scheduler.runFor(9_000);
  const read = single.getMap<string, number>('el').with({ timeoutMs: 1_500 }).get(key);
  clock.resume();
  const { value, error } = (await settle(cluster, read)) as { value?: number; error?: { code: string } };
  return error?.code ?? value;
}

describe('a member that was removed while it stood still', () => {
  it('does not serve what its old preset says to a caller that knows better', async () => {
    expect(await readAtRemoved({})).toBe('ERR_WRONG_TARGET');
    expect(await readAtRemoved({ oldPromiseServed: true })).toBe(1);
  });
});

describe('a change while near caches are in use', () => {
  const near = (consistency: 'PA/EL' | 'PC/EL') => ({
    founds: true,
    maps: { near: { consistency, backups: { sync: 1 } } },
  });

  /** A client with a near cache that has a value of m3, and hears no member any more. */
  async function holder(cluster: SimCluster, maxStalenessMs: number, routing: 'all' | 'single') {
    const members = routing === 'single' ? { members: ['m3:5701'] } : {};
    const client = cluster.client({ routing, ...members, nearCaches: { near: { maxStalenessMs } } });
    await done(cluster, client.connect());
    const map = client.getMap<string, string>('near');
    const key = keyAt(cluster, 'm3');
    await done(cluster, memberOf(cluster, 'm1').member.getMap('near').set(key, 'old'));
    for (let i = 0; i < 20; i++) {
      await done(cluster, map.get(key));
      await cluster.scheduler.runFor(100);
    }
    for (const host of cluster.members.keys()) {
      cluster.network.cut('c1', host);
      cluster.network.cut(host, 'c1');
    }
    const read = () => settle(cluster, map.with({ timeoutMs: 200 }).getWithMeta(key));
    expect(await read()).toMatchObject({ value: { value: 'old', source: 'nearCache' } });
    return { key, read };
  }

  it('returns when nobody can have the old value any more', async () => {
    const cluster = await clusterOf(3, { seed: 5, member: near('PA/EL') });
    const { key, read } = await holder(cluster, 3_000, 'all');
    const { member } = memberOf(cluster, 'm1');
    const cutMs = cluster.scheduler.now;
    await done(cluster, member.setConsistency({ map: 'near' }, 'PA/EC'), 60_000);
    await done(cluster, member.getMap('near').set(key, 'new'));
    expect(cluster.scheduler.now - cutMs).toBeGreaterThan(2_000);
    expect((await read()).error).toBeInstanceOf(Error);
  });

  it('waits for those of a member that has died meanwhile', async () => {
    const cluster = await clusterOf(3, { seed: 5, member: near('PC/EL') });
    const { key, read } = await holder(cluster, 20_000, 'single');
    cluster.crash('m3');
    const { member } = memberOf(cluster, 'm1');
    await done(cluster, member.setConsistency({ map: 'near' }, 'PC/EC'), 60_000);
    await done(cluster, member.getMap('near').set(key, 'new'), 60_000);
    expect((await read()).error).toBeInstanceOf(Error);
  });

  it('does not wait for one that has ended by itself', async () => {
    const cluster = await clusterOf(3, { seed: 5, member: near('PA/EL') });
    const client = cluster.client({ nearCaches: { near: { maxStalenessMs: 600_000 } } });
    await done(cluster, client.connect());
    for (let i = 0; i < 5; i++) {
      await done(cluster, client.getMap('near').get('a'));
      await cluster.scheduler.runFor(300);
    }
    await done(cluster, client.shutdown());
    const beganMs = cluster.scheduler.now;
    await done(cluster, memberOf(cluster, 'm1').member.setConsistency({ map: 'near' }, 'PA/EC'), 60_000);
    expect(cluster.scheduler.now - beganMs).toBeLessThan(3_000);
  });
});

describe('a member that stood still while a preset changed, and was removed', () => {
  it('does not serve the old promise to its own application', async () => {
    const member = {
      founds: true,
      maps: { el: { consistency: 'PC/EL', backups: { sync: 1, async: 1 } } },
    } as const;
    const cluster = await clusterOf(3, { seed: 10, member });
    const client = await connected(cluster);
    const key = keyAt(cluster, 'm1');
    await done(cluster, client.getMap('el').set(key, 1));
    await cluster.scheduler.runFor(1_000);
    const { clock, member: still } = memberOf(cluster, 'm3');
    clock.pause();
    await cluster.scheduler.runFor(100);
    await done(cluster, client.setConsistency({ map: 'el' }, 'PC/EC'), 60_000);
    await done(cluster, client.getMap('el').set(key, 2));
    await cluster.scheduler.runFor(1_000);
    clock.resume();
    expect(await done(cluster, still.getMap('el').get(key), 60_000)).toBe(2);
  });
});

describe('a change to PC right after the order that founds the cluster', () => {
  it('waits for that order instead of asking for it', async () => {
    const cluster = await clusterOf(2, { seed: 12 });
    const client = await connected(cluster);
    expect((await done(cluster, client.admin({ kind: 'found' }))).ok).toBe(true);
    expect(viewOf(cluster, 'm1')?.ordered).toBe(false);
    await done(cluster, client.setConsistency({ map: 'accounts' }, 'PC/EC'));
    await done(cluster, client.getMap('accounts').set('a', 1));
  });
});

describe('a change that cannot be made', () => {
  it('is refused with the reason, by clients and members, and changes nothing', async () => {
    const member = { maps: { bare: { consistency: 'PA/EL', backups: { sync: 0, async: 1 } } } } as const;
    const cluster = await clusterOf(2, { seed: 11, member });
    const client = await connected(cluster);
    const before = viewOf(cluster, 'm1')?.number;
    const embedded = memberOf(cluster, 'm2').member;
    for (const [grid, target, preset, reason] of [
      [client, { map: 'bare' }, 'PC/EC', /not changed: maps\.bare.*0 does not go with PC\/EC/],
      [client, { map: 'other' }, 'PC/EC', /not changed: .*elsegrid cluster found/],
      [embedded, 'all', 'PC/EL', /not changed: .*0 does not go with PC\/EL/],
      [embedded, { map: 'x*' }, 'PA/EL', /not changed: no options were configured for the pattern/],
    ] as const) {
      const { error } = await settle(cluster, grid.setConsistency(target, preset));
      expect(error).toMatchObject({ code: 'ERR_ORDER_REFUSED', message: expect.stringMatching(reason) });
    }
    const { error } = await settle(cluster, client.setConsistency({ mep: 'a' }, 'PA/EL'));
    expect(error).toBeInstanceOf(TypeError);
    await cluster.scheduler.runFor(2_000);
    expect(viewOf(cluster, 'm1')?.number).toBe(before);
  });

  it('is refused by a member that gets an order which no client of this version sends', async () => {
    const cluster = await clusterOf(1, { seed: 12 });
    const client = await connected(cluster);
    const order = {
      kind: 'setConsistency',
      service: 'tree',
      pattern: 'a',
      preset: 'PA/EL',
      withinMs: 100,
    } as const;
    expect(await done(cluster, client.admin(order))).toMatchObject({
      ok: false,
      text: expect.stringMatching(/no data structure "tree"/),
    });
  });
});

describe('presets between PA and PC', () => {
  it('change live, both ways: then no side without the majority serves, and every one does', async () => {
    const cluster = await clusterOf(3, { seed: 13, member: { founds: true, maps: { el: EL } } });
    const client = await connected(cluster);
    const map = client.getMap<string, number>('el');
    await done(cluster, map.set('a', 1));
    await done(cluster, client.setConsistency({ map: 'el' }, 'PC/EC'));
    expect(await done(cluster, map.get('a'))).toBe(1);
    await done(cluster, map.set('a', 2));
    cluster.network.partition(['m3'], ['m1', 'm2', 'c1']);
    await cluster.scheduler.runFor(10_000);
    const alone = memberOf(cluster, 'm3').member;
    const refusedRead = alone.getMap<string, number>('el').with({ timeoutMs: 500 }).get('a');
    expect((await settle(cluster, refusedRead)).error).toMatchObject({ code: 'ERR_IN_FORK' });
    // Its P side is the majority's to change.
    expect((await settle(cluster, alone.setConsistency({ map: 'el' }, 'PA/EC'))).error).toMatchObject({
      code: 'ERR_ORDER_REFUSED',
      message: expect.stringMatching(/no majority/),
    });
    await done(cluster, client.setConsistency({ map: 'el' }, 'PA/EC'));
    expect(await done(cluster, map.get('a'))).toBe(2);
  });
});
