/** Entry listeners of multimaps: in whole clusters, and what a merge of two sides tells. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Grid } from '../../client/core/grid.js';
import type { Actor } from '../../partitions/service.js';
import { MULTI_MAP_OPERATIONS as ops } from '../../partitions/services/multimap/ops.js';
import { MULTI_MAP } from '../../partitions/services/multimap/proxy.js';
import type { EntryEvent, MapEvent, MultiMapListener } from '../../partitions/services/proxy-listeners.js';
import { encodeKey } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';
import { clusterOf, connected, done, memberOf, runUntilView } from '../cluster/scenario.js';
import { EventLog } from '../services/event-log.js';
import { Primary } from '../services/partition-harness.js';

const member = { partitionCount: 5, timings: 'local' } as const;

/** `kind key value old`, in the order in which it was told. */
class Heard {
  readonly texts: string[] = [];
  readonly gaps: string[] = [];
  cleared = 0;

  get listener(): MultiMapListener<string, string> {
    const note = (kind: string) => (event: EntryEvent<string, string>) => {
      this.texts.push(`${kind} ${event.key} ${event.value} ${event.oldValue}`);
    };
    return {
      added: note('added'),
      removed: note('removed'),
      mapCleared: ({ numberOfAffectedEntries }: MapEvent) => {
        this.cleared += numberOfAffectedEntries;
      },
      gap: ({ reason }) => void this.gaps.push(reason),
    };
  }
}

async function listening(cluster: SimCluster, grid: Grid, key: string | null = null): Promise<Heard> {
  const heard = new Heard();
  await done(cluster, grid.getMultiMap<string, string>('m').addEntryListener(heard.listener, key, true));
  return heard;
}

describe('an entry listener of a multimap', () => {
  it('is told of each value that comes to a key or leaves it, and of a clear', async () => {
    const cluster = await clusterOf(3, { seed: 1, member });
    const client = await connected(cluster);
    const heard = await listening(cluster, await connected(cluster));
    const ofKey = await listening(cluster, memberOf(cluster, 'm1').member, 'b');
    const multimap = client.getMultiMap<string, string>('m');
    await done(cluster, multimap.put('a', '1'));
    await done(cluster, multimap.put('a', '1'));
    await done(cluster, multimap.putAll([['a', ['2', '3']]]));
    await done(cluster, multimap.remove('a', '2'));
    await done(cluster, multimap.remove('a', '2'));
    await done(cluster, multimap.removeAll('a'));
    await done(cluster, multimap.put('b', '4'));
    await done(cluster, multimap.clear());
    await cluster.scheduler.runFor(200);
    expect(heard.texts).toEqual([
      'added a 1 null',
      'added a 2 null',
      'added a 3 null',
      'removed a null 2',
      'removed a null 1',
      'removed a null 3',
      'added b 4 null',
      'removed b null 4',
    ]);
    expect(heard.cleared).toBe(1);
    expect(ofKey.texts).toEqual(['added b 4 null', 'removed b null 4']);
    expect([heard.gaps, ofKey.gaps]).toEqual([[], []]);
  });

  it.each([1, 2, 3])('goes on without a gap when a primary crashes (%i)', async (seed) => {
    const cluster = await clusterOf(3, { seed, member });
    const client = await connected(cluster);
    const heard = await listening(cluster, client);
    const multimap = client.getMultiMap<string, string>('m');
    for (let i = 0; i < 20; i++) await done(cluster, multimap.put(`k${i % 7}`, `before ${i}`));
    cluster.crash('m2');
    for (let i = 0; i < 20; i++) await done(cluster, multimap.put(`k${i % 7}`, `after ${i}`));
    await runUntilView(cluster, ['m1', 'm3'], 10_000);
    await cluster.scheduler.runFor(2_000);
    const expected = ['before', 'after'].flatMap((when) =>
      Array.from({ length: 20 }, (_, i) => `added k${i % 7} ${when} ${i} null`),
    );
    expect([...heard.texts].sort()).toEqual(expected.sort());
    expect(heard.gaps).toEqual([]);
  });

  it('hears nothing any more once it is removed', async () => {
    const cluster = await clusterOf(2, { seed: 2, member });
    const client = await connected(cluster);
    const multimap = client.getMultiMap<string, string>('m');
    const heard = new Heard();
    const id = await done(cluster, multimap.addEntryListener(heard.listener));
    await done(cluster, multimap.put('a', '1'));
    await cluster.scheduler.runFor(100);
    expect(await done(cluster, multimap.removeEntryListener(id))).toBe(true);
    expect(await done(cluster, multimap.removeEntryListener(id))).toBe(false);
    await done(cluster, multimap.put('a', '2'));
    await cluster.scheduler.runFor(16_000);
    expect(heard.texts).toEqual(['added a null null']);
    for (const one of cluster.running()) {
      const { teller } = one.member.node.near.listening;
      expect([teller.size, teller.budget.rings, teller.budget.sizeBytes]).toEqual([0, 0, 0]);
    }
  });

  it('is refused with a TypeError when it is none', async () => {
    const cluster = await clusterOf(1, { seed: 3, member });
    const multimap = (await connected(cluster)).getMultiMap('m');
    const add = (...given: unknown[]) => multimap.addEntryListener(...(given as [object]));
    await expect(add(null)).rejects.toThrow(/listener: expected an object of functions, got null/);
    await expect(add({ updated: () => {} })).rejects.toThrow(TypeError);
    await expect(add({ added: 1 })).rejects.toThrow(/listener.added: expected a function, got number/);
    await expect(add({ gap() {} }, () => {})).rejects.toThrow(TypeError);
    await expect(add({ gap() {} }, null, 'yes')).rejects.toThrow(
      /includeValue: expected a boolean, got string/,
    );
    await expect(multimap.removeEntryListener(1 as never)).rejects.toThrow(/id: expected a string/);
  });
});

describe('the events of a merge of multimaps', () => {
  const codec = new ValueCodec();
  const actor = (n: number): Actor => ({ memberHi: n, memberLo: n, lineage: n, epoch: n });
  const pair = (value: string) => ({ key: encodeKey('k'), value: codec.encode(value) });

  it('are what users see: a value of both sides comes once and goes once', () => {
    const before = new Primary(MULTI_MAP.service);
    before.run(ops.put, pair('old'));
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    owner.run(ops.put, pair('both'));
    source.run(ops.put, pair('both'));
    source.run(ops.put, pair('new'));
    source.run(ops.remove, pair('old'));
    const told = new EventLog();
    owner.state.events = told;
    for (const page of source.changes({ sharedSeq: before.seq, skipped: new Map() }))
      owner.merge(page, { sharedSeq: before.seq });
    const kinds = () => told.lines.map((line) => line.split(' ')[1]);
    expect(kinds().sort()).toEqual(['added', 'removed']);
    owner.run(ops.remove, pair('both'));
    expect(kinds().slice(2)).toEqual(['removed']);
  });
});
