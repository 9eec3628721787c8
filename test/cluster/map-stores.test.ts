/** Maps that are kept in a store, in whole clusters: what the store is asked and told, and what survives. */
import { describe, expect, it } from 'vitest';
import { Scheduler } from '../../chaos/sim/virtual-clock.js';
import { SimStore } from '../../chaos/workload/sim-store.js';
import {
  IndeterminateError,
  StoreFailedError,
  StoreOverloadError,
  TimeoutError,
} from '../../src/base/errors.js';
import { SeededRandom } from '../../src/base/random.js';
import type { MapStore } from '../../src/mapstore/map-store.js';
import { clusterOf, connected, done, keyAt, memberOf, settle } from './scenario.js';

interface Wishes {
  readonly mode?: 'read-through' | 'write-through' | 'write-behind';
  readonly members?: number;
  readonly store?: Record<string, unknown>;
  readonly takesMs?: () => number;
  readonly sync?: number;
  readonly registers?: (host: string) => boolean;
  readonly storeAt?: (host: string, store: MapStore<string, string>) => MapStore<string, string>;
}

async function start({
  mode = 'write-through',
  members = 3,
  store: more = {},
  takesMs,
  sync = 1,
  registers = () => true,
  storeAt = (_host, given) => given,
}: Wishes = {}) {
  const scheduler = new Scheduler();
  const random = new SeededRandom(7, 'store');
  const store = new SimStore({ scheduler, random, ...(takesMs === undefined ? {} : { takesMs }) });
  const cluster = await clusterOf(members, {
    scheduler,
    member: {
      founds: true,
      maps: {
        m: { store: { name: 'sim', mode, ...more }, backups: { sync, async: 0 } },
      },
    } as never,
    register: (registry, host, isAlive) => {
      if (registers(host)) registry.mapStore('sim', storeAt(host, store.at(host, isAlive)) as never);
    },
  });
  const client = await connected(cluster);
  return { cluster, store, client, map: client.getMap<string, string>('m').with({ timeoutMs: 30_000 }) };
}

const KEYS = Array.from({ length: 40 }, (_, i) => `k${i}`);

describe('a map that reads through', () => {
  it('asks the store once for a key that is absent, whoever waits, and keeps what it gave', async () => {
    const { cluster, store, map } = await start({ mode: 'read-through' });
    store.data.set('m/a', 'A');
    const values = await done(cluster, Promise.all(Array.from({ length: 10 }, () => map.get('a'))));
    expect(new Set(values)).toEqual(new Set(['A']));
    expect(await done(cluster, map.containsKey('a'))).toBe(true);
    expect(store.loads).toBe(1);
    expect(await done(cluster, map.size())).toBe(1);
  });

  it('does not keep that there is nothing', async () => {
    const { cluster, store, map } = await start({ mode: 'read-through' });
    expect(await done(cluster, map.get('a'))).toBeNull();
    store.data.set('m/a', 'A');
    expect(await done(cluster, map.get('a'))).toBe('A');
    expect(store.loads).toBe(2);
  });

  it('loads many keys at once', async () => {
    const { cluster, store, map } = await start({ mode: 'read-through' });
    for (const key of KEYS) store.data.set(`m/${key}`, key);
    const found = await done(cluster, map.getAll([...KEYS, 'none']));
    expect(found.length).toBe(KEYS.length);
    expect(store.calls.filter((call) => call.startsWith('load')).length).toBeLessThanOrEqual(11);
    expect(store.loads).toBe(KEYS.length + 1);
  });

  it('compares, replaces and removes what the store has', async () => {
    const { cluster, store, map } = await start({ mode: 'read-through' });
    for (const key of ['a', 'b', 'c', 'd']) store.data.set(`m/${key}`, 'old');
    expect(await done(cluster, map.put('a', 'new'))).toBe('old');
    expect(await done(cluster, map.replaceIfSame('b', 'old', 'new'))).toBe(true);
    expect(await done(cluster, map.putIfAbsent('c', 'new'))).toBe('old');
    expect(await done(cluster, map.remove('d'))).toBe('old');
    expect(store.writes).toEqual([]);
  });

  it('gives the error of the store to who asked, and goes on', async () => {
    const { cluster, store, map } = await start({ mode: 'read-through' });
    store.isDown = true;
    const { error } = await settle(cluster, map.get('a'));
    expect(error).toBeInstanceOf(StoreFailedError);
    expect(error?.message).toContain('the store is down');
    await done(cluster, map.set('b', 'B'));
    expect(await done(cluster, map.get('b'))).toBe('B');
    store.isDown = false;
    expect(await done(cluster, map.get('a'))).toBeNull();
  });

  it('ends a call of a store that is too slow, and does not delay other keys', async () => {
    let takesMs = 60_000;
    const { cluster, store, map } = await start({
      mode: 'read-through',
      store: { timeoutMs: 1_000 },
      takesMs: () => takesMs,
    });
    const slow = map.get('slow').catch((error: Error) => error);
    await cluster.scheduler.runFor(50);
    takesMs = 2;
    store.data.set('m/quick', 'Q');
    expect(await done(cluster, map.get('quick'))).toBe('Q');
    expect(String(await done(cluster, slow))).toContain('timeoutMs, 1000 ms');
  });

  it('asks the new primary when the old one crashed meanwhile', async () => {
    const { cluster, store, map } = await start({ mode: 'read-through', takesMs: () => 300 });
    const key = keyAt(cluster, 'm2');
    store.data.set(`m/${key}`, 'A');
    const call = map.get(key);
    await cluster.scheduler.runFor(100);
    cluster.crash('m2');
    expect(await done(cluster, call)).toBe('A');
  });

  it('loads keys, and all that the store has', async () => {
    const { cluster, store, map } = await start({ mode: 'read-through' });
    for (const key of KEYS) store.data.set(`m/${key}`, 'old');
    await done(cluster, map.loadAll(['k1', 'k2']));
    expect(await done(cluster, map.size())).toBe(2);
    store.data.set('m/k1', 'new');
    await done(cluster, map.loadAll(false));
    expect(await done(cluster, map.size())).toBe(KEYS.length);
    expect(await done(cluster, map.get('k1'))).toBe('old');
    await done(cluster, map.loadAll());
    expect(await done(cluster, map.get('k1'))).toBe('new');
    expect(await done(cluster, map.size())).toBe(KEYS.length);
  });

  it('is filled at the start, once, with initialLoad: eager', async () => {
    const { cluster, store, map } = await start({ mode: 'read-through', store: { initialLoad: 'eager' } });
    await cluster.scheduler.runFor(3_000);
    const { calls } = store;
    expect(calls.filter((call) => call.startsWith('keys')).length).toBe(1);
    cluster.crash('m1');
    await cluster.scheduler.runFor(20_000);
    expect(calls.filter((call) => call.startsWith('keys')).length).toBe(1);
    expect(await done(cluster, map.isEmpty())).toBe(true);
  });
});

describe('entry processors on a map with a store', () => {
  const withAppend = async (wishes: Wishes) => {
    const started = await start(wishes);
    for (const { member } of started.cluster.running())
      member.node.executor.functions.processors.add('append', (entry, text) => {
        entry.value = `${String(entry.value ?? '')}${String(text)}`;
        return entry.value;
      });
    return started;
  };

  it('work on what the store has, and the store has what they leave', async () => {
    const { cluster, store, map } = await withAppend({});
    store.data.set('m/a', 'A');
    const one = await done(cluster, map.executeOnKey('a', { name: 'append', argument: '1' }));
    expect([one, store.data.get('m/a')]).toEqual(['A1', 'A1']);
    store.data.set('m/b', 'B');
    const many = await done(cluster, map.executeOnKeys(['a', 'b', 'c'], { name: 'append', argument: '2' }));
    expect(new Map(many)).toEqual(
      new Map([
        ['a', 'A12'],
        ['b', 'B2'],
        ['c', '2'],
      ]),
    );
    expect(['a', 'b', 'c'].map((key) => store.data.get(`m/${key}`))).toEqual(['A12', 'B2', '2']);
  });

  it('change nothing that the store refuses', async () => {
    const { cluster, store, map } = await withAppend({});
    store.data.set('m/a', 'A');
    store.refuses = () => true;
    const { error } = await settle(cluster, map.executeOnKey('a', { name: 'append', argument: '1' }));
    expect(error).toBeInstanceOf(StoreFailedError);
    expect(await done(cluster, map.get('a'))).toBe('A');
  });

  it('are written behind', async () => {
    const { cluster, store, map } = await withAppend({
      mode: 'write-behind',
      store: { delayMs: 60_000 },
    });
    store.data.set('m/a', 'A');
    expect(await done(cluster, map.executeOnKey('a', { name: 'append', argument: '1' }))).toBe('A1');
    expect(store.data.get('m/a')).toBe('A');
    await done(cluster, map.flush());
    expect(store.data.get('m/a')).toBe('A1');
  });
});

describe('a key that the store is being told of', () => {
  it('stays in memory, and others wait for it, whoever puts it out', async () => {
    let takesMs = 2;
    const { cluster, store, map } = await start({ takesMs: () => takesMs });
    await done(cluster, map.set('a', 'old'));
    takesMs = 400;
    const first = map.replace('a', 'new');
    await cluster.scheduler.runFor(50);
    takesMs = 2;
    expect(await done(cluster, map.evict('a'))).toBe(false);
    await done(cluster, map.evictAll());
    await done(cluster, map.loadAll(['a']));
    const second = map.replaceIfSame('a', 'old', 'other');
    expect(await done(cluster, first)).toBe('old');
    expect(await done(cluster, second)).toBe(false);
    expect([await done(cluster, map.get('a')), store.data.get('m/a')]).toEqual(['new', 'new']);
  });

  it.each([
    ['remove', 'old', null],
    ['putIfAbsent', null, 'new'],
    ['put', null, 'new'],
  ] as const)('is not found changed by the retry of the same call: %s', async (what, answer, after) => {
    let takesMs = 2;
    const { cluster, store, map } = await start({ takesMs: () => takesMs });
    const key = keyAt(cluster, 'm2');
    if (what === 'remove') store.data.set(`m/${key}`, 'old');
    await done(cluster, map.get(key));
    const call = what === 'remove' ? map.remove(key) : map[what](key, 'new');
    await cluster.scheduler.runUntil(() => store.calls.at(-1) === 'write 1', cluster.scheduler.now + 1_000);
    takesMs = 2;
    await cluster.scheduler.runFor(1.2);
    cluster.crash('m2');
    expect(store.data.get(`m/${key}`) ?? null).toBe(after);
    await done(cluster, map.evictAll());
    expect(await done(cluster, call)).toBe(answer);
    expect([await done(cluster, map.get(key)), store.data.get(`m/${key}`) ?? null]).toEqual([after, after]);
  });

  it('is waited for by a flush when its primary is gone', async () => {
    const { cluster, store, map } = await start({ takesMs: () => 300 });
    const key = keyAt(cluster, 'm2');
    await done(cluster, map.set(key, 'old'));
    const gone = map.with({ timeoutMs: 250 }).set(key, 'new');
    const outcome = gone.catch((error: Error) => error);
    await cluster.scheduler.runFor(200);
    cluster.crash('m2');
    expect(await done(cluster, outcome)).toBeInstanceOf(IndeterminateError);
    expect(store.data.get(`m/${key}`)).toBe('new');
    await cluster.runUntilSafe(60_000);
    await done(cluster, map.flush());
    expect([await done(cluster, map.get(key)), store.data.get(`m/${key}`)]).toEqual(['old', 'old']);
  });
});

describe('a map that writes through', () => {
  it('has each write in the store before it is answered', async () => {
    const { cluster, store, map } = await start();
    await done(cluster, map.set('a', '1'));
    expect(store.data.get('m/a')).toBe('1');
    expect(await done(cluster, map.put('a', '2'))).toBe('1');
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    expect(store.data.size).toBe(KEYS.length + 1);
    await done(cluster, map.delete('a'));
    expect(await done(cluster, map.remove('k1'))).toBe('x');
    expect(store.data.size).toBe(KEYS.length - 1);
    await done(cluster, map.clear());
    expect([store.data.size, await done(cluster, map.size())]).toEqual([0, 0]);
  });

  it('leaves the store alone when an entry only goes out of memory', async () => {
    const { cluster, store, map } = await start();
    await done(cluster, map.set('a', '1'));
    await done(cluster, map.evict('a'));
    expect(await done(cluster, map.size())).toBe(0);
    expect(await done(cluster, map.get('a'))).toBe('1');
    await done(cluster, map.evictAll());
    expect(store.writes.length).toBe(1);
  });

  it('refuses a write that the store refuses, definitely, and has the old value', async () => {
    const { cluster, store, map } = await start();
    await done(cluster, map.set('a', 'old'));
    store.refuses = (key) => key === 'a';
    const { error } = await settle(cluster, map.set('a', 'new'));
    expect(error).toBeInstanceOf(StoreFailedError);
    expect(error?.message).toContain('refuses a');
    expect(await done(cluster, map.get('a'))).toBe('old');
    await done(cluster, map.set('b', 'new'));
    store.refuses = () => false;
    await done(cluster, map.set('a', 'new'));
    expect(store.data.get('m/a')).toBe('new');
  });

  it('does not say what became of a write when the store does not, and puts the store right', async () => {
    const { cluster, store, map } = await start();
    await done(cluster, map.set('a', 'old'));
    store.failures = 1;
    const { error } = await settle(cluster, map.set('a', 'new'));
    expect(error).toBeInstanceOf(IndeterminateError);
    expect(await done(cluster, map.get('a'))).toBe('old');
    store.failures = 0;
    await cluster.scheduler.runFor(3_000);
    expect(store.data.get('m/a')).toBe('old');
    await done(cluster, map.set('a', 'newer'));
    expect(store.data.get('m/a')).toBe('newer');
  });

  it('keeps the order of writes of a key, and does not delay other keys', async () => {
    let takesMs = 400;
    const { cluster, store, map } = await start({ takesMs: () => takesMs });
    const calls = Array.from({ length: 6 }, (_, i) => map.set('a', `${i}`));
    await cluster.scheduler.runFor(50);
    takesMs = 2;
    await done(cluster, map.set('b', 'x'));
    expect(store.data.has('m/a')).toBe(false);
    await done(cluster, Promise.all(calls));
    const values = store.writes.filter(({ key }) => key === 'a').map(({ value }) => value);
    expect(values).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(await done(cluster, map.get('a'))).toBe('5');
  });

  it('decides conditions once, also while others wait for the same key', async () => {
    const { cluster, map } = await start({ takesMs: () => 50 });
    const calls = Array.from({ length: 5 }, (_, i) => map.putIfAbsent('a', `${i}`));
    expect(await done(cluster, Promise.all(calls))).toEqual([null, '0', '0', '0', '0']);
  });

  it('takes a write once although the primary crashed while the store was told', async () => {
    const { cluster, store, map } = await start({ takesMs: () => 300 });
    const key = keyAt(cluster, 'm2');
    await done(cluster, map.set(key, 'old'));
    const call = map.replaceIfSame(key, 'old', 'new');
    await cluster.scheduler.runFor(200);
    cluster.crash('m2');
    expect(await done(cluster, call)).toBe(true);
    expect(await done(cluster, map.get(key))).toBe('new');
    expect(store.data.get(`m/${key}`)).toBe('new');
  });

  it('puts the store right when a primary crashed and nobody asks again', async () => {
    const { cluster, store, map } = await start({ takesMs: () => 300, store: { timeoutMs: 1_000 } });
    const key = keyAt(cluster, 'm2');
    await done(cluster, map.set(key, 'old'));
    const { error, after } = await settle(cluster, map.with({ timeoutMs: 220 }).set(key, 'new')).then(
      (x) => ({
        ...x,
        after: store.data.get(`m/${key}`),
      }),
    );
    cluster.crash('m2');
    expect(error).toBeInstanceOf(Error);
    expect(['old', 'new']).toContain(after);
    await cluster.scheduler.runFor(30_000);
    expect(store.data.get(`m/${key}`)).toBe(await done(cluster, map.get(key)));
  });

  it('runs entry processors once, and stores what they leave', async () => {
    const { cluster, store, map } = await start();
    store.data.set('m/a', 'from the store');
    expect(await done(cluster, map.put('a', 'x'))).toBe('from the store');
    expect(store.data.get('m/a')).toBe('x');
  });
});

describe('a map that writes behind', () => {
  it('answers at once, and tells the store later', async () => {
    const { cluster, store, map } = await start({ mode: 'write-behind' });
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    expect(store.data.size).toBe(0);
    await cluster.scheduler.runFor(1_500);
    expect(store.data.size).toBe(KEYS.length);
    await done(cluster, map.delete('k1'));
    expect(await done(cluster, map.get('k1'))).toBeNull();
    await done(cluster, map.flush());
    expect(store.data.has('m/k1')).toBe(false);
    expect(await done(cluster, map.storeStatus())).toMatchObject({ pending: 0, setAside: 0, oldestAgeMs: 0 });
  });

  it('gives a value back that is out of memory and not in the store yet', async () => {
    const { cluster, store, map } = await start({ mode: 'write-behind', store: { delayMs: 60_000 } });
    store.data.set('m/a', 'old');
    await done(cluster, map.set('a', 'new'));
    await done(cluster, map.evict('a'));
    expect(await done(cluster, map.get('a'))).toBe('new');
    expect(store.loads).toBe(0);
    await done(cluster, map.evict('a'));
    await done(cluster, map.clear());
    await done(cluster, map.flush());
    expect(store.data.has('m/a')).toBe(false);
  });

  it('loses nothing when primaries crash before they have written', async () => {
    const { cluster, store, map } = await start({ mode: 'write-behind', members: 4 });
    store.isDown = true;
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    cluster.crash('m2');
    await cluster.runUntilSafe(60_000);
    await done(cluster, map.putAll(KEYS.slice(0, 10).map((key) => [key, 'y'])));
    cluster.crash('m3');
    await cluster.runUntilSafe(60_000);
    expect((await done(cluster, map.storeStatus())).pending).toBe(KEYS.length);
    store.isDown = false;
    await done(cluster, map.flush());
    expect(KEYS.map((key) => store.data.get(`m/${key}`))).toEqual(KEYS.map((_, i) => (i < 10 ? 'y' : 'x')));
  });

  it('hands what it owes over when members come and leave', async () => {
    const { cluster, store, map } = await start({
      mode: 'write-behind',
      members: 2,
      store: { delayMs: 60_000 },
    });
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    cluster.start('m3');
    await cluster.runUntilSafe(60_000);
    await done(cluster, cluster.leave('m1'));
    await cluster.runUntilSafe(60_000);
    expect(await done(cluster, map.storeStatus())).toMatchObject({ pending: KEYS.length });
    await done(cluster, map.flush());
    expect(store.data.size).toBe(KEYS.length);
  });

  it('sets aside what the store refuses, tells of it, and tries it again when asked', async () => {
    const { cluster, store, map } = await start({ mode: 'write-behind', store: { delayMs: 0 } });
    const events: unknown[] = [];
    for (const { member } of cluster.running()) member.on('storeFailed', (failure) => events.push(failure));
    store.refuses = (key) => key === 'k3';
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    await cluster.scheduler.runFor(5_000);
    expect(store.data.size).toBe(KEYS.length - 1);
    expect(events).toEqual([{ map: 'm', key: 'k3', attempts: 5, message: 'refuses k3' }]);
    expect(await done(cluster, map.storeStatus())).toMatchObject({
      pending: 0,
      setAside: 1,
      failed: [{ key: 'k3', attempts: 5, error: 'refuses k3', isSetAside: true }],
    });
    const { error } = await settle(cluster, map.flush());
    expect(error).toBeInstanceOf(StoreFailedError);
    store.refuses = () => false;
    expect(await done(cluster, map.retryFailed())).toBe(1);
    await done(cluster, map.flush());
    expect(store.data.get('m/k3')).toBe('x');
  });

  it('takes no more than maxPending, and goes on when the store does', async () => {
    const { cluster, store, map } = await start({
      mode: 'write-behind',
      members: 1,
      store: { maxPending: 20, delayMs: 0 },
    });
    store.isDown = true;
    const calls = KEYS.map((key) => map.with({ timeoutMs: 2_000 }).set(key, 'x'));
    const outcomes = await done(cluster, Promise.allSettled(calls));
    const failed = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    expect(failed.length).toBeGreaterThanOrEqual(KEYS.length - 21);
    expect(failed[0]).toBeInstanceOf(StoreOverloadError);
    const waiting = map.set('later', 'x');
    store.isDown = false;
    await done(cluster, waiting);
  });

  it.each([
    ['1 write still waits', ['a']],
    ['40 writes still wait', KEYS],
  ])('ends a flush at its deadline when the store is down, and says that %s', async (text, keys) => {
    const { cluster, store, map } = await start({ mode: 'write-behind' });
    store.isDown = true;
    await done(cluster, map.putAll(keys.map((key) => [key, 'x'])));
    for (const timeoutMs of [200, 2_000, 10_000]) {
      const beforeMs = cluster.scheduler.now;
      const { error } = await settle(cluster, map.with({ timeoutMs }).flush());
      expect(cluster.scheduler.now - beforeMs).toBeLessThanOrEqual(timeoutMs);
      expect(error).toBeInstanceOf(TimeoutError);
      expect(error?.message).toBe(`flush on 'm': ${text} for the store, which said last: the store is down`);
    }
  });

  it('waits out no pause of a store that is there again when it is asked to flush', async () => {
    const { cluster, store, map } = await start({ mode: 'write-behind', store: { delayMs: 0 } });
    store.isDown = true;
    await done(cluster, map.putAll(KEYS.map((key) => [key, 'x'])));
    await cluster.scheduler.runFor(14_000);
    store.isDown = false;
    const beforeMs = cluster.scheduler.now;
    await done(cluster, map.flush());
    expect(cluster.scheduler.now - beforeMs).toBeLessThan(1_000);
    expect(store.data.size).toBe(KEYS.length);
  });

  it('waits out no pause of a refused value that a good one took the place of', async () => {
    const { cluster, store, map } = await start({
      mode: 'write-behind',
      store: { delayMs: 0, maxAttempts: 1_000 },
    });
    store.refuses = (_key, value) => value === 'bad';
    await done(cluster, map.set('a', 'bad'));
    await done(cluster, map.set('b', 'good'));
    await cluster.scheduler.runFor(14_000);
    await done(cluster, map.set('a', 'good'));
    const beforeMs = cluster.scheduler.now;
    await done(cluster, map.flush());
    expect(cluster.scheduler.now - beforeMs).toBeLessThan(500);
    expect(store.data.get('m/a')).toBe('good');
  });
});

describe('explain of a map with a store', () => {
  it.each([
    ['write-through', 'the store has it, and reads load it again'],
    ['write-behind', 'that the store does not have yet'],
  ] as const)('says what can be lost: %s', async (mode, text) => {
    const { cluster, client } = await start({ mode });
    for (const name of ['m', 'other']) {
      const { losses } = await done(cluster, client.explain('map', name));
      expect(losses.at(-1)?.effect).toContain(name === 'm' ? text : 'all data: it is in memory only');
    }
  });
});

describe('a map with a store in a split', () => {
  it('writes behind on the side of the majority only, and after the heal what the merge kept', async () => {
    const { cluster, store } = await start({
      mode: 'write-behind',
      members: 5,
      sync: 3,
      store: { delayMs: 100 },
    });
    const { network, scheduler } = cluster;
    const [left, right] = [
      ['m1', 'm2', 'm3'],
      ['m4', 'm5'],
    ];
    for (const a of left as string[]) for (const b of right as string[]) network.cut(a, b);
    await scheduler.runFor(12_000);
    const major = memberOf(cluster, 'm1').member.getMap<string, string>('m').with({ timeoutMs: 20_000 });
    const minor = memberOf(cluster, 'm5').member.getMap<string, string>('m').with({ timeoutMs: 20_000 });
    await done(cluster, major.putAll(KEYS.map((key) => [key, 'major'])));
    await scheduler.runFor(1_000);
    await done(cluster, minor.putAll(KEYS.slice(0, 20).map((key) => [key, 'minor'])));
    await done(cluster, minor.evict('k1'));
    await scheduler.runFor(5_000);
    expect(new Set(store.data.values())).toEqual(new Set(['major']));
    network.healAll();
    expect(await cluster.runUntilSafe(60_000)).toBe(true);
    await scheduler.runFor(20_000);
    await done(cluster, major.flush());
    for (const [i, key] of KEYS.entries()) {
      const value = i < 20 ? 'minor' : 'major';
      expect(store.data.get(`m/${key}`), key).toBe(value);
      expect(await done(cluster, major.get(key)), key).toBe(value);
    }
  });

  it('refuses to write through on the other side', async () => {
    const { cluster, store } = await start({ members: 5, sync: 3 });
    const { network, scheduler } = cluster;
    for (const a of ['m1', 'm2', 'm3']) for (const b of ['m4', 'm5']) network.cut(a, b);
    await scheduler.runFor(12_000);
    const minor = memberOf(cluster, 'm5').member.getMap<string, string>('m').with({ timeoutMs: 20_000 });
    const { error } = await settle(cluster, minor.set('a', 'x'));
    expect(error).toBeInstanceOf(StoreFailedError);
    expect(error?.message).toContain('writeInFork');
    expect(store.data.size).toBe(0);
    store.data.set('m/b', 'B');
    expect(await done(cluster, minor.get('b'))).toBe('B');
  });
});

describe('a member that lacks a store', () => {
  it('is refused when what it has under the name lacks a method', async () => {
    const { cluster } = await start({
      storeAt: (host, store) =>
        host === 'm9' ? ({ ...store, store: undefined, stor() {} } as never) : store,
    });
    const { started } = cluster.start('m9');
    const error = await done(cluster, started);
    expect(error?.message).toContain(
      'need the store "sim"; here it has no method store, which mode write-through needs; it has stor: did you mean store?',
    );
  });

  it('is refused when it joins', async () => {
    const { cluster } = await start({ registers: (host) => host !== 'm9' });
    const { started } = cluster.start('m9');
    const error = await done(cluster, started);
    expect(error?.message).toContain('stores that are not registered here: "sim"; none is');
    expect(await cluster.runUntilSafe(10_000)).toBe(false);
  });
});
