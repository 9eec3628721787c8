/** The events of a map or multimap as an iterator: order, tokens, bounds. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { Predicates } from '../../partitions/query/predicates.js';
import type { EntryEvents, StreamEvent } from '../../partitions/services/proxy-events.js';
import { EventTokenError } from '../../src/base/errors.js';
import { clusterOf, connected, done } from '../cluster/scenario.js';

const member = { partitionCount: 3 };

async function take(
  cluster: SimCluster,
  events: EntryEvents<string, number>,
  count: number,
): Promise<StreamEvent<string, number>[]> {
  const taken: StreamEvent<string, number>[] = [];
  for (let i = 0; i < count; i++)
    taken.push((await done(cluster, events.next())).value as StreamEvent<string, number>);
  return taken;
}

function contentOf(event: StreamEvent<string, number>): unknown {
  return 'value' in event ? event.value : event.type;
}

describe('the events of a map', () => {
  it('come in order, and end when the loop is left', async () => {
    const cluster = await clusterOf(2, { seed: 1, member });
    const client = await connected(cluster);
    const map = client.getMap<string, number>('m');
    const events = map.events({ includeValue: true });
    await done(cluster, events.ready());
    for (let i = 0; i < 10; i++) await done(cluster, map.set('a', i));
    const taken: unknown[] = [];
    const loop = async () => {
      for await (const event of events) {
        taken.push(contentOf(event));
        if (taken.length === 10) break;
      }
    };
    await done(cluster, loop());
    expect(taken).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await done(cluster, events.next())).toEqual({ done: true, value: undefined });
  });

  it('go on from a token in another process, behind what was taken', async () => {
    const cluster = await clusterOf(3, { seed: 2, member });
    const client = await connected(cluster);
    const map = client.getMap<string, number>('m');
    const all = Array.from({ length: 30 }, (_, i) => [`k${i}`, i] as const);
    const events = map.events({ includeValue: true });
    await done(cluster, events.ready());
    await done(cluster, map.setAll(all));
    const first = await take(cluster, events, 11);
    const token = events.token();
    const other = await connected(cluster);
    const further = other.getMap<string, number>('m').events({ includeValue: true, from: token });
    const second = await take(cluster, further, 19);
    const values = [...first, ...second].map(contentOf) as number[];
    expect(values.sort((a, b) => a - b)).toEqual(all.map(([, i]) => i));
    await done(cluster, map.set('one more', 99));
    expect((await take(cluster, further, 1)).map(contentOf)).toEqual([99]);
    // What nobody keeps any more is a gap, in each partition that has gone on.
    await done(cluster, events.return());
    await done(cluster, further.return());
    await cluster.scheduler.runFor(16_000);
    await done(cluster, map.set('one more', 100));
    const late = other.getMap<string, number>('m').events({ includeValue: true, from: token });
    await done(cluster, late.ready());
    const gaps = await take(cluster, late, 1);
    expect(gaps[0]).toMatchObject({ type: 'gap', reason: 'moved' });
  });

  it('are those of the entries that match a predicate, on from a token too', async () => {
    const cluster = await clusterOf(2, { seed: 5, member });
    const client = await connected(cluster);
    const map = client.getMap<string, number>('m');
    const predicate = Predicates.greaterEqual('this', 10);
    const events = map.events({ includeValue: true, predicate });
    await done(cluster, events.ready());
    for (const value of [9, 10, 3, 20]) await done(cluster, map.set('a', value));
    const typed = (taken: readonly StreamEvent<string, number>[]) =>
      taken.map((event) => [event.type, contentOf(event)]);
    expect(typed(await take(cluster, events, 2))).toEqual([
      ['added', 10],
      ['removed', null],
    ]);
    const further = map.events({ includeValue: true, predicate, from: events.token() });
    await done(cluster, map.set('a', 30));
    expect(typed(await take(cluster, further, 2))).toEqual([
      ['added', 20],
      ['updated', 30],
    ]);
    expect(() => map.events({ predicate: 'this >= 10' as never })).toThrow(TypeError);
  });

  it('that nobody takes are bounded, and end in a gap', async () => {
    const cluster = await clusterOf(1, { seed: 3, member });
    const client = await connected(cluster);
    const map = client.getMap<string, number>('m');
    const events = map.events({ key: 'a', includeValue: true });
    await done(cluster, events.ready());
    const total = 10_050;
    for (let i = 0; i < total; i += 50) {
      const calls = Array.from({ length: 50 }, (_, j) => map.set('a', i + j));
      await done(cluster, Promise.all(calls));
    }
    await cluster.scheduler.runFor(500);
    const taken = await take(cluster, events, 10_001);
    expect(taken.slice(0, 10_000).map(contentOf)).toEqual(Array.from({ length: 10_000 }, (_, i) => i));
    expect(taken[10_000]).toMatchObject({ type: 'gap', reason: 'overflow' });
    await done(cluster, map.set('a', -1));
    expect((await take(cluster, events, 1)).map(contentOf)).toEqual([-1]);
  });

  it('refuse tokens that are none of the map, and unknown options', async () => {
    const cluster = await clusterOf(1, { seed: 4, member });
    const client = await connected(cluster);
    const map = client.getMap<string, number>('m');
    const events = map.events();
    await done(cluster, events.ready());
    const token = events.token();
    expect(() => client.getMap('other').events({ from: token })).toThrow(EventTokenError);
    for (const wrong of ['', 'x', `${token}AA`, token.slice(0, -4)])
      expect(() => map.events({ from: wrong })).toThrow(EventTokenError);
    expect(() => map.events({ from: 5 as never })).toThrow(TypeError);
    expect(() => map.events({ form: token } as never)).toThrow(/form/);
  });
});

describe('the events of a multimap', () => {
  it('are the values that come and go, on from a token too', async () => {
    const cluster = await clusterOf(2, { seed: 6, member });
    const client = await connected(cluster);
    const tags = client.getMultiMap<string, string>('tags');
    const events = tags.events({ key: 'a', includeValue: true });
    await done(cluster, events.ready());
    await done(cluster, tags.put('a', 'x'));
    await done(cluster, tags.put('b', 'not asked for'));
    const first = (await done(cluster, events.next())).value;
    expect(first).toMatchObject({ type: 'added', key: 'a', value: 'x', oldValue: null });
    const further = tags.events({ includeValue: true, from: events.token() });
    await done(cluster, tags.remove('a', 'x'));
    await done(cluster, tags.put('c', 'y'));
    const rest = [await done(cluster, further.next()), await done(cluster, further.next())];
    expect(rest.map(({ value }) => value)).toMatchObject([
      { type: 'removed', key: 'a', value: null, oldValue: 'x' },
      { type: 'added', key: 'c', value: 'y' },
    ]);
    const token = events.token();
    expect(() => client.getMap('tags').events({ from: token })).toThrow(EventTokenError);
    expect(() => tags.events({ predicate: Predicates.alwaysTrue() } as never)).toThrow(/predicate/);
  });
});
