/** Entry listeners of maps in whole clusters: what is told, to whom, and when. */
import { describe, expect, it } from 'vitest';
import type { SimCluster, SimClusterOptions } from '../../chaos/sim/cluster.js';
import type { Client } from '../../client/api.js';
import type { Grid } from '../../client/core/grid.js';
import type { EntryEvent, EntryListener } from '../../partitions/services/proxy-listeners.js';
import { clusterOf, connected, done, keyAt, memberOf, settle } from '../cluster/scenario.js';

/** Everything that a listener is told, in one list. */
class Heard {
  readonly all: { readonly kind: string; readonly event: EntryEvent<string, unknown> }[] = [];
  readonly gaps: { readonly partition: number; readonly reason: string }[] = [];

  get listener(): EntryListener<string, unknown> {
    const note = (kind: string) => (event: unknown) => {
      this.all.push({ kind, event: event as EntryEvent<string, unknown> });
    };
    const kinds = 'added removed updated merged evicted expired loaded mapEvicted mapCleared'.split(' ');
    return {
      ...Object.fromEntries(kinds.map((kind) => [kind, note(kind)])),
      gap: (gap) => void this.gaps.push(gap),
    };
  }

  /** `kind key value old`, for short. */
  get texts(): string[] {
    return this.all.map(({ kind, event }) => {
      const { key, value, oldValue } = event;
      return `${kind} ${key} ${value} ${oldValue}`;
    });
  }
}

async function listening(cluster: SimCluster, grid: Grid, ...more: readonly unknown[]): Promise<Heard> {
  const heard = new Heard();
  const [key = null, withValue = true] = more as [string?, boolean?];
  await done(cluster, grid.getMap<string, unknown>('m').addEntryListener(heard.listener, key, withValue));
  return heard;
}

const small: Partial<SimClusterOptions> = { member: { partitionCount: 5 } };

async function pair(cluster: SimCluster): Promise<[Client, Client]> {
  return [await connected(cluster), await connected(cluster)];
}

describe('an entry listener', () => {
  it('is told of each change with key, values and position, by its kind', async () => {
    const cluster = await clusterOf(3, { seed: 1, ...small });
    const [writer, reader] = await pair(cluster);
    const heard = await listening(cluster, reader);
    const map = writer.getMap<string, unknown>('m');
    await done(cluster, map.set('a', 1));
    await done(cluster, map.put('a', { b: 2 }));
    await done(cluster, map.replace('a', 'three'));
    await done(cluster, map.delete('a'));
    await done(cluster, map.delete('a'));
    await done(cluster, map.set('b', 1));
    await done(cluster, map.evict('b'));
    await cluster.scheduler.runFor(200);
    expect(heard.texts).toEqual([
      'added a 1 null',
      'updated a [object Object] 1',
      'updated a three [object Object]',
      'removed a null three',
      'added b 1 null',
      'evicted b null 1',
    ]);
    expect(heard.gaps).toEqual([]);
    const second = heard.all[1] as { readonly event: EntryEvent<string, unknown> };
    const { name, key, mergingValue, member, position } = second.event;
    expect([name, key, mergingValue]).toEqual(['m', 'a', null]);
    expect(cluster.running().map((one) => one.member.node.id)).toContain(member);
    expect(position).toMatchObject({
      index: 0,
      lineage: memberOf(cluster, 'm1').member.node.view?.lineage.slice(0, 8),
    });
    const first = heard.all[0]?.event.position.sequence as number;
    expect(position.sequence).toBeGreaterThan(first);
  });

  it('is told of all entries that a clear took away, and of the clear in each partition', async () => {
    const cluster = await clusterOf(2, { seed: 2, ...small });
    const [writer, reader] = await pair(cluster);
    const map = writer.getMap<string, unknown>('m');
    await done(cluster, map.setAll(Array.from({ length: 20 }, (_, i) => [`k${i}`, i] as const)));
    const heard = await listening(cluster, reader);
    await done(cluster, map.clear());
    await done(cluster, map.setAll([['x', 1]]));
    await done(cluster, map.evictAll());
    await cluster.scheduler.runFor(200);
    const count = (kind: string) => heard.all.filter((one) => one.kind === kind).length;
    expect([count('removed'), count('added'), count('evicted')]).toEqual([20, 1, 1]);
    const entriesOf = (kind: string) =>
      heard.all
        .filter((one) => one.kind === kind)
        .reduce(
          (sum, { event }) =>
            sum + (event as never as { numberOfAffectedEntries: number }).numberOfAffectedEntries,
          0,
        );
    expect([entriesOf('mapCleared'), entriesOf('mapEvicted')]).toEqual([20, 1]);
  });

  it('hears of one key only, and of no values unless it asks for them', async () => {
    const cluster = await clusterOf(2, { seed: 3, ...small });
    const [writer, reader] = await pair(cluster);
    const one = await listening(cluster, reader, 'a', true);
    const bare = new Heard();
    await done(cluster, reader.getMap<string, unknown>('m').addEntryListener(bare.listener));
    const map = writer.getMap<string, unknown>('m');
    for (const key of ['a', 'b', 'c']) await done(cluster, map.set(key, `of ${key}`));
    await cluster.scheduler.runFor(200);
    expect(one.texts).toEqual(['added a of a null']);
    expect(bare.texts.sort()).toEqual(['added a null null', 'added b null null', 'added c null null']);
  });

  it('hears of an entry whose time was over before it was written again', async () => {
    const cluster = await clusterOf(2, { seed: 4, ...small });
    const [writer, reader] = await pair(cluster);
    const heard = await listening(cluster, reader);
    const map = writer.getMap<string, unknown>('m');
    await done(
      cluster,
      map.getOrLoad('a', () => 'loaded', { ttlMs: 100 }),
    );
    await cluster.scheduler.runFor(150);
    await done(cluster, map.set('a', 'new'));
    await done(
      cluster,
      map.getOrLoad('b', () => 'loaded', { ttlMs: 100 }),
    );
    await cluster.scheduler.runFor(5_000);
    const ofKey = (key: string) => heard.texts.filter((text) => text.split(' ')[1] === key);
    expect(ofKey('a')).toEqual(['added a loaded null', 'expired a null loaded', 'added a new null']);
    expect(ofKey('b')).toEqual(['added b loaded null', 'expired b null loaded']);
  });

  it('hears nothing any more once it is removed', async () => {
    const cluster = await clusterOf(2, { seed: 5, ...small });
    const [writer, reader] = await pair(cluster);
    const heard = new Heard();
    const map = reader.getMap<string, unknown>('m');
    const id = await done(cluster, map.addEntryListener(heard.listener));
    await done(cluster, writer.getMap('m').set('a', 1));
    await cluster.scheduler.runFor(100);
    expect(await done(cluster, map.removeEntryListener(id))).toBe(true);
    expect(await done(cluster, map.removeEntryListener(id))).toBe(false);
    await done(cluster, writer.getMap('m').set('a', 2));
    await cluster.scheduler.runFor(16_000);
    expect(heard.all).toHaveLength(1);
    for (const { member } of cluster.running()) {
      const { teller } = member.node.near.listening;
      expect([teller.size, teller.budget.rings, teller.budget.sizeBytes]).toEqual([0, 0, 0]);
    }
  });

  it('is told of a change only when the backups have it', async () => {
    const cluster = await clusterOf(2, { seed: 6, ...small });
    const reader = await connected(cluster);
    const heard = await listening(cluster, reader);
    const key = keyAt(cluster, 'm1');
    const { scheduler, network } = cluster;
    network.cut('m2', 'm1');
    void memberOf(cluster, 'm1')
      .member.getMap('m')
      .set(key, 1)
      .catch(() => {});
    await scheduler.runFor(300);
    expect(heard.all).toEqual([]);
    network.heal('m2', 'm1');
    await scheduler.runFor(1_000);
    expect(heard.texts).toEqual([`added ${key} 1 null`]);
  });

  it('that throws is logged, and others are called', async () => {
    const cluster = await clusterOf(2, { seed: 7, ...small });
    const [writer, reader] = await pair(cluster);
    const map = reader.getMap<string, unknown>('m');
    const throwing = () => {
      throw new Error('on purpose');
    };
    await done(cluster, map.addEntryListener({ added: throwing, updated: async () => throwing() }));
    const heard = await listening(cluster, reader);
    await done(cluster, writer.getMap('m').set('a', 1));
    await done(cluster, writer.getMap('m').set('a', 2));
    await cluster.scheduler.runFor(200);
    expect(heard.all).toHaveLength(2);
    expect(cluster.logs.filter((line) => line.includes('a listener threw'))).toHaveLength(2);
  });

  it('works through one member, and in a member', async () => {
    const cluster = await clusterOf(3, { seed: 8, ...small });
    const writer = await connected(cluster);
    const single = cluster.client({ routing: 'single' });
    await done(cluster, single.connect());
    const all = [await listening(cluster, single), await listening(cluster, memberOf(cluster, 'm2').member)];
    for (let i = 0; i < 30; i++) await done(cluster, writer.getMap('m').set(`k${i}`, i));
    await cluster.scheduler.runFor(200);
    for (const heard of all) {
      expect(new Set(heard.all.map(({ event }) => event.key)).size).toBe(30);
      expect(heard.gaps).toEqual([]);
    }
  });

  it.each([
    [null, /listener: expected an object of functions, got null/],
    ['added', /listener: expected an object of functions, got string/],
    [{ add: () => {} }, /add/],
    [{ added: 5 }, /listener\.added: expected a function, got number/],
    [{ gap: null }, /listener\.gap: expected a function, got null/],
  ])('that is none is a TypeError: %j', async (listener, message) => {
    const cluster = await clusterOf(1, { seed: 9, ...small });
    const map = memberOf(cluster, 'm1').member.getMap('m');
    const outcome = await settle(cluster, map.addEntryListener(listener as never));
    expect(outcome.error).toBeInstanceOf(TypeError);
    expect(outcome.error?.message).toMatch(message);
    for (const id of [5, undefined])
      await expect(map.removeEntryListener(id as never)).rejects.toThrow(TypeError);
    await expect(map.addEntryListener({ gap() {} }, 'k', 1 as never)).rejects.toThrow(/includeValue/);
  });
});
