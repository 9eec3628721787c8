/** Loading all that a store has: how often it is asked for its keys, when that ends, and what a member does meanwhile. */
import { expect, it } from 'vitest';
import type { MapStore } from '../../src/mapstore/map-store.js';
import { FillJobs } from '../../src/member/fill-jobs.js';
import { HandClock } from '../wire/link-bench.js';

/** `setImmediate`, as members have it. */
class Turns extends HandClock {
  override defer(fn: () => void): void {
    setImmediate(fn);
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

interface Wishes {
  readonly loadAllKeys: NonNullable<MapStore['loadAllKeys']>;
  readonly loadKeys?: (evicts: boolean, keys: number) => Promise<number>;
}

function jobsOf({ loadAllKeys, loadKeys = async (_evicts, keys) => keys }: Wishes) {
  const clock = new Turns();
  const jobs = new FillJobs({
    clock,
    logger: { log: () => {} },
    partitionCount: 2,
    sender: () => ({ loadKeys: (_map, _partition, keys, evicts) => loadKeys(evicts, keys.length) }),
  });
  const calls: AbortSignal[] = [];
  const store: MapStore = {
    load: () => 1,
    loadAllKeys: (call) => {
      calls.push(call.signal);
      return loadAllKeys(call);
    },
  };
  const ask = (caller: string, { map = 'm', replaces = true, batchSize = 10 } = {}) =>
    jobs.ask({ name: map, options: { name: 'db', batchSize }, store }, caller, replaces);
  return { clock, jobs, calls, ask };
}

function running(): { readonly keys: Promise<string[]>; end(keys: string[]): void } {
  let end: (keys: string[]) => void = () => {};
  const keys = new Promise<string[]>((resolve) => {
    end = resolve;
  });
  return { keys, end: (list) => end(list) };
}

it('shares one job that begins when the one at work has ended, among all who came meanwhile', async () => {
  const first = running();
  let listed = ['a'];
  let asked = 0;
  const { ask, calls } = jobsOf({ loadAllKeys: () => (asked++ === 0 ? first.keys : listed) });
  for (let i = 0; i < 300; i++) expect(ask(`c${i}`)).toMatchObject({ state: 'running', loaded: 0 });
  expect(ask('other', { replaces: false })).toMatchObject({ state: 'running' });
  await turn();
  expect(calls.length).toBe(1);
  listed = ['a', 'b', 'c'];
  first.end(['a']);
  for (let i = 0; i < 20; i++) await turn();
  expect(calls.length).toBe(3);
  // Whoever came when the keys were being listed gets what the store has had since.
  expect(ask('c0')).toEqual({ state: 'done', loaded: 1, message: '' });
  expect(ask('c299')).toEqual({ state: 'done', loaded: 3, message: '' });
  expect(ask('other')).toEqual({ state: 'done', loaded: 3, message: '' });
  expect(calls.length).toBe(3);
});

it('takes no more than so many, never forgets one at work, and says so with an error that is tried again', async () => {
  const { ask, calls } = jobsOf({ loadAllKeys: () => new Promise<string[]>(() => {}) });
  for (let i = 0; i < 100; i++) expect(ask('c', { map: `m${i}` })).toMatchObject({ state: 'running' });
  expect(ask('c', { map: 'one more' })).toMatchObject({ error: 'StoreOverload' });
  expect(ask('c', { map: 'm0' })).toMatchObject({ state: 'running' });
  expect(calls.length).toBe(100);
});

it('ends a job that nobody asks for, and begins the next one', async () => {
  const { ask, calls, clock, jobs } = jobsOf({ loadAllKeys: () => new Promise<string[]>(() => {}) });
  ask('gone');
  clock.advance(10_000);
  ask('waits');
  clock.advance(10_000);
  jobs.tick();
  expect(calls.map(({ aborted }) => aborted)).toEqual([true, false]);
  expect(jobs.isAtWork('m')).toBe(true);
  clock.advance(16_000);
  jobs.tick();
  expect(calls.map(({ aborted }) => aborted)).toEqual([true, true]);
  expect(jobs.isAtWork('m')).toBe(false);
});

it('lets others have their turns while a store lists keys for ever, and ends with its callers', async () => {
  let listed = 0;
  let isClosed = false;
  const { ask, clock, jobs } = jobsOf({
    *loadAllKeys() {
      try {
        for (;;) yield listed++;
      } finally {
        isClosed = true;
      }
    },
  });
  ask('c', { batchSize: 10_000 });
  for (let i = 0; i < 5; i++) await turn();
  expect(listed).toBeGreaterThan(500);
  clock.advance(16_000);
  jobs.tick();
  for (let i = 0; i < 5; i++) await turn();
  const then = listed;
  await turn();
  expect([isClosed, listed]).toEqual([true, then]);
});

it('lets others have their turns between batches that are full at about the same time', async () => {
  let sent = 0;
  const keys = Array.from({ length: 480 }, (_, i) => i);
  const loadKeys = async (_evicts: boolean, of: number) => {
    sent++;
    return of;
  };
  const { ask } = jobsOf({ loadAllKeys: () => keys, loadKeys });
  ask('c', { replaces: false });
  for (let before = 0, i = 0; i < 100; i++, before = sent) {
    await turn();
    expect(sent - before).toBeLessThanOrEqual(2);
  }
  expect(sent).toBeGreaterThanOrEqual(48);
  expect(ask('c')).toMatchObject({ state: 'done', loaded: 480 });
});

it('fails when a batch could not be loaded, although the keys go on', async () => {
  let sent = 0;
  const { ask } = jobsOf({
    async *loadAllKeys() {
      for (let i = 0; i < 100; i++) {
        yield i;
        await turn();
      }
    },
    loadKeys: async (_evicts, keys) => {
      if (sent++ === 0) throw new Error('the primary is gone');
      return keys;
    },
  });
  ask('c');
  for (let i = 0; i < 110; i++) await turn();
  expect(ask('c')).toMatchObject({ state: 'failed', message: 'the primary is gone' });
});

it('ends everything with the member', async () => {
  const { ask, calls, jobs } = jobsOf({ loadAllKeys: () => new Promise<string[]>(() => {}) });
  ask('a');
  ask('b');
  jobs.stop();
  expect(calls.map(({ aborted }) => aborted)).toEqual([true]);
  expect(jobs.isAtWork('m')).toBe(false);
});
