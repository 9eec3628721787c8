/** The events of a map as an iterator: order, tokens, bounds. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
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
