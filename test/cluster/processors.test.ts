/** Entry processors and functions in whole clusters: once for each call, whatever dies, and only on the primary. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { ProcessorEntry } from '../../partitions/user-functions.js';
import {
  FunctionFailedError,
  NotEnoughBackupsError,
  SplitBrainProtectionError,
  UnknownFunctionError,
} from '../../src/base/errors.js';
import type { MemberOptions } from '../../src/config.js';
import type { ModuleRegistry } from '../../src/member/registry.js';
import { clusterOf, connected, done, keyAt, memberOf, settle } from './scenario.js';

type Entry = ProcessorEntry<string, number>;

/** Members that count how often functions ran, all together. */
async function start(member: Partial<MemberOptions> = {}) {
  const ran = { count: 0 };
  const register = (registry: ModuleRegistry) => {
    registry.entryProcessor('add', (entry: Entry, by: number) => {
      ran.count++;
      entry.value = (entry.value ?? 0) + by;
      return entry.value;
    });
    registry.entryProcessor('throw', () => {
      throw new Error('as it should');
    });
    registry.function('double', (value) => {
      ran.count++;
      return value * 2n;
    });
  };
  const cluster = await clusterOf(3, { member, register });
  return { cluster, ran, client: await connected(cluster) };
}

/** What each member has of a map: the dumps of its replicas. */
function dumps(cluster: SimCluster, name: string): string[] {
  return cluster.running().map(({ member }) =>
    Array.from({ length: 11 }, (_, partition) => member.node.replication.replica(partition))
      .flatMap((replica) => replica?.find(1, name)?.dump() ?? [])
      .join('\n'),
  );
}

const ADD = { name: 'add', argument: 1 };

describe('an entry processor in a cluster', () => {
  it('runs once for a call whose primary dies before it has answered', async () => {
    const { cluster, ran, client } = await start();
    const host = cluster.clientHosts.at(-1) as string;
    const map = client.getMap<string, number>('x').with({ timeoutMs: 30_000 });
    const key = keyAt(cluster, 'm2');
    cluster.network.cut('m2', host);
    const call = map.executeOnKey<number>(key, ADD);
    await cluster.scheduler.runFor(300);
    expect(ran.count).toBe(1);
    cluster.crash('m2');
    expect(await done(cluster, call)).toBe(1);
    expect(await done(cluster, map.get(key))).toBe(1);
    expect(ran.count).toBe(1);
    expect(client.retries).toBeGreaterThan(0);
  });

  it('does the same for a function of an atomic long, and for bulk calls', async () => {
    const { cluster, ran, client } = await start();
    const host = cluster.clientHosts.at(-1) as string;
    const map = client.getMap<string, number>('x').with({ timeoutMs: 30_000 });
    const keys = Array.from({ length: 60 }, (_, i) => `k${i}`);
    await done(cluster, map.putAll(keys.map((key) => [key, 0])));
    const counters = keys.map((key) => client.getAtomicLong(key).with({ timeoutMs: 30_000 }));
    await done(cluster, Promise.all(counters.map((counter) => counter.set(3))));
    cluster.network.cut('m2', host);
    const calls = [
      map.executeOnKeys<number>(keys, ADD),
      map.executeOnEntries<number>(ADD),
      ...counters.map((counter) => counter.alterAndGet('double')),
    ];
    await cluster.scheduler.runFor(300);
    cluster.crash('m2');
    const [some, all, ...altered] = await done(cluster, Promise.all(calls));
    for (const results of [some, all] as [string, number][][])
      expect(results.map(([key]) => key).sort()).toEqual([...keys].sort());
    expect(altered).toEqual(keys.map(() => 6n));
    for (const [, value] of await done(cluster, map.entrySet())) expect(value).toBe(2);
    expect(ran.count).toBe(3 * 60);
  });

  it('sends only what it left to the backups: functions run on no other member', async () => {
    const { cluster, ran, client } = await start({ maps: { default: { backups: { sync: 2, async: 0 } } } });
    const map = client.getMap<string, number>('x');
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
    for (const by of [1, 2, 3]) await done(cluster, map.executeOnKeys(keys, { name: 'add', argument: by }));
    await cluster.scheduler.runFor(1_000);
    expect(ran.count).toBe(60);
    const [first, ...others] = dumps(cluster, 'x');
    expect(first?.split('\n')).toHaveLength(20);
    for (const other of others) expect(other).toBe(first);
  });

  it('goes on after one that threw, also on the same key', async () => {
    const { cluster, client } = await start();
    const map = client.getMap<string, number>('x');
    const { error } = await settle(cluster, map.executeOnKey('k', 'throw'));
    expect(error).toBeInstanceOf(FunctionFailedError);
    expect(error?.message).toBe('entry processor throw threw: as it should');
    expect(await done(cluster, map.executeOnKey('k', ADD))).toBe(1);
  });

  it('is refused by name at a member that does not know it', async () => {
    const { cluster, client } = await start();
    const map = client.getMap<string, number>('x');
    const { error } = await settle(cluster, map.executeOnKey('k', 'ad'));
    expect(error).toBeInstanceOf(UnknownFunctionError);
    expect(error?.message).toContain('it knows add, throw');
    expect(await done(cluster, map.size())).toBe(0);
  });

  it('is a write: with minSynced and split-brain protection it is refused as one', async () => {
    const { cluster, client, ran } = await start({
      maps: {
        strict: { minSynced: 2, backups: { sync: 2, async: 0 } },
        guarded: { splitBrainProtection: 'three' },
      },
      splitBrainProtections: { three: { minimumClusterSize: 3 } },
    });
    for (const name of ['strict', 'guarded']) await done(cluster, client.getMap(name).executeOnKey('k', ADD));
    cluster.crash('m3');
    await cluster.runUntilSafe(20_000);
    for (const [name, kind] of [
      ['strict', NotEnoughBackupsError],
      ['guarded', SplitBrainProtectionError],
    ] as const)
      expect((await settle(cluster, client.getMap(name).executeOnKey('k', ADD))).error).toBeInstanceOf(kind);
    expect(ran.count).toBe(2);
  });

  it.each(['PA/EC', 'PA/EL', 'PC/EC', 'PC/EL'] as const)('runs on maps that are %s', async (consistency) => {
    const { cluster, client } = await start({ consistency, founds: true });
    const map = client.getMap<string, number>('x');
    await done(cluster, map.executeOnKeys(['a', 'b'], ADD));
    expect(await done(cluster, map.executeOnKey('a', ADD))).toBe(2);
    expect(await done(cluster, map.get('a'))).toBe(2);
    expect(await done(cluster, client.getAtomicLong('n').alterAndGet('double'))).toBe(0n);
  });

  it('tells near caches', async () => {
    const { cluster } = await start();
    const nearCaches = { x: { maxEntries: 10, maxStalenessMs: 60_000 } };
    const [reader, writer] = [cluster.client({ nearCaches }), cluster.client({ nearCaches })];
    for (const client of [reader, writer]) await done(cluster, client.connect());
    const [read, write] = [reader, writer].map((client) => client.getMap<string, number>('x')) as [
      ReturnType<typeof reader.getMap<string, number>>,
      ReturnType<typeof reader.getMap<string, number>>,
    ];
    for (const map of [read, write]) {
      await done(cluster, map.set('k', 1));
      await done(cluster, map.get('k'));
    }
    await done(cluster, write.executeOnKey('k', ADD));
    expect(await done(cluster, write.get('k'))).toBe(2);
    await cluster.scheduler.runFor(2_000);
    expect(await done(cluster, read.get('k'))).toBe(2);
  });

  it('may not use the grid itself: what it asks for waits until it has ended, and harms nothing', async () => {
    const { cluster, client } = await start();
    const { member } = memberOf(cluster, 'm1');
    const other = keyAt(cluster, 'm1');
    const inner: Promise<unknown>[] = [];
    member.node.executor.functions.processors.add('nested', (entry) => {
      inner.push(member.getMap('x').set(other, 'inner'), member.getMap('x').get(other));
      entry.value = 'outer';
    });
    const key = `${other}`;
    await done(cluster, client.getMap('x').executeOnKey(key, 'nested'));
    await done(cluster, Promise.all(inner));
    expect(await done(cluster, client.getMap('x').get(key))).toBe('inner');
    await cluster.scheduler.runFor(1_000);
    expect(new Set(dumps(cluster, 'x').filter((text) => text !== '')).size).toBe(1);
  });
});
