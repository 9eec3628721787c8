/** Iterators of events and messages obey the signal of their view: they throw its reason, and listen no more. */
import { describe, expect, it } from 'vitest';
import type { Grid } from '../../client/core/grid.js';
import { clusterOf, connected, done } from '../cluster/scenario.js';

const member = { partitionCount: 3 };

interface Stream {
  next(): Promise<unknown>;
  ready(): Promise<void>;
  return(): Promise<unknown>;
}

/** Of each structure: an iterator of what happens to it, and what makes something happen. */
const STREAMS: readonly (readonly [
  string,
  (grid: Grid, signal: AbortSignal) => Stream,
  (grid: Grid) => Promise<unknown>,
])[] = [
  ['map', (grid, signal) => grid.getMap('m').with({ signal }).events(), (grid) => grid.getMap('m').set(1, 1)],
  [
    'multimap',
    (grid, signal) => grid.getMultiMap('m').with({ signal }).events(),
    (grid) => grid.getMultiMap('m').put(1, 1),
  ],
  [
    'topic',
    (grid, signal) => grid.getTopic('t').with({ signal }).messages(),
    (grid) => grid.getTopic('t').publish(1),
  ],
];

describe.each(STREAMS)('the iterator of a %s', (_what, streamOf, change) => {
  it('throws the reason of a signal that fires while it waits, and listens no more', async () => {
    const cluster = await clusterOf(2, { seed: 1, member });
    const grid = await connected(cluster);
    const controller = new AbortController();
    const stream = streamOf(grid, controller.signal);
    const other = streamOf(grid, controller.signal);
    await done(cluster, Promise.all([stream.ready(), other.ready()]));
    const waiting = [stream.next(), stream.next(), other.next()].map((next) =>
      next.catch((error: Error) => error.message),
    );
    controller.abort(new Error('enough'));
    expect(await done(cluster, Promise.all(waiting))).toEqual(['enough', 'enough', 'enough']);
    await done(cluster, change(grid));
    await cluster.scheduler.runFor(1_000);
    await expect(stream.next()).rejects.toThrow('enough');
    expect(await stream.return()).toEqual({ done: true, value: undefined });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it('drops what nobody has taken, as the calls of a view with a signal that has fired do nothing', async () => {
    const cluster = await clusterOf(1, { seed: 2, member });
    const grid = await connected(cluster);
    const controller = new AbortController();
    const stream = streamOf(grid, controller.signal);
    await done(cluster, stream.ready());
    await done(cluster, change(grid));
    await cluster.scheduler.runFor(1_000);
    controller.abort(new Error('enough'));
    await expect(stream.next()).rejects.toThrow('enough');
  });

  it('throws the reason of a signal that has fired before', async () => {
    const cluster = await clusterOf(1, { seed: 3, member });
    const grid = await connected(cluster);
    const stream = streamOf(grid, AbortSignal.abort(new Error('too late')));
    await expect(done(cluster, stream.ready())).rejects.toThrow('too late');
    await expect(done(cluster, stream.next())).rejects.toThrow('too late');
  });

  it('throws it also while nobody has answered that it may listen', async () => {
    const cluster = await clusterOf(1, { seed: 4, member });
    const grid = await connected(cluster);
    const controller = new AbortController();
    const stream = streamOf(grid, controller.signal);
    const next = stream.next();
    controller.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
    await expect(stream.ready()).rejects.toThrow('enough');
  });

  it('is left in peace when it has ended before', async () => {
    const cluster = await clusterOf(1, { seed: 5, member });
    const grid = await connected(cluster);
    const controller = new AbortController();
    const stream = streamOf(grid, controller.signal);
    await done(cluster, stream.ready());
    await stream.return();
    controller.abort(new Error('enough'));
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });
});
