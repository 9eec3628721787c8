/**
 * Writes through a store of keys that are not in memory, whose outcome nobody can tell: the store may have them. They must
 * not take effect twice, once as seen through the store and again, and are not told as not done.
 */
import { describe, expect, it } from 'vitest';
import { Scheduler } from '../../chaos/sim/virtual-clock.js';
import { SimStore } from '../../chaos/workload/sim-store.js';
import { partitionOfKey } from '../../partitions/placement.js';
import { BulkError, IndeterminateError } from '../../src/base/errors.js';
import { SeededRandom } from '../../src/base/random.js';
import { encodeKey } from '../../src/wire/keys.js';
import { clusterOf, connected, done, keyAt, memberOf, settle, viewOf } from './scenario.js';

/** Until a new primary leads, and until the marks that it found have ended, with the store's time of 5 s. */
const TAKEN_OVER_MS = 4_500;
const SETTLED_MS = 15_000;

/** Two clients, and a key of m2 that is not in memory. */
async function start(options: object = {}) {
  const scheduler = new Scheduler();
  const times = { takesMs: 300 };
  const random = new SeededRandom(7, 'store');
  const store = new SimStore({ scheduler, random, takesMs: () => times.takesMs });
  const cluster = await clusterOf(3, {
    scheduler,
    member: {
      founds: true,
      maps: {
        m: { store: { name: 'sim', mode: 'write-through' }, backups: { sync: 1, async: 0 }, ...options },
      },
    } as never,
    register: (registry, host, isAlive) => registry.mapStore('sim', store.at(host, isAlive)),
  });
  const [first, other] = [await connected(cluster), await connected(cluster)];
  const [host] = cluster.clientHosts as [string];
  const links = (act: 'hold' | 'release') => {
    for (const member of ['m1', 'm2', 'm3']) {
      cluster.network[act](host, member);
      cluster.network[act](member, host);
    }
  };
  const mapOf = (client: typeof first) => client.getMap<string, string>('m').with({ timeoutMs: 60_000 });
  const [map, others] = [mapOf(first), mapOf(other)];
  /** Runs until the store has the first client's write, of which no client knows; then m2 dies. */
  const crashTold = async () => {
    await scheduler.runUntil(() => store.writes.length > 0, scheduler.now + 1_000);
    links('hold');
    cluster.crash('m2');
    times.takesMs = 2;
  };
  return {
    cluster,
    store,
    times,
    key: keyAt(cluster, 'm2'),
    map,
    others,
    crashTold,
    release: () => links('release'),
  };
}

type Started = Awaited<ReturnType<typeof start>>;

function begun({ map, key, store }: Started, what: 'set' | 'putAll' | 'delete'): Promise<unknown> {
  if (what === 'set') return map.set(key, 'mine');
  if (what === 'putAll') return map.putAll([[key, 'mine']]);
  store.data.set(`m/${key}`, 'old');
  return map.delete(key);
}

/** Its error, or null; without letting time pass. */
function failureOf(call: Promise<unknown>): Promise<Error | null> {
  return call.then(
    () => null,
    (error: Error) => error,
  );
}

const KINDS = ['set', 'putAll', 'delete'] as const;

describe('a write whose primary died when the store had it', () => {
  it.each(KINDS)('is not made again once others wrote over what they saw of it: %s', async (what) => {
    const started = await start();
    const { cluster, store, key, others, crashTold, release } = started;
    const failure = failureOf(begun(started, what));
    await crashTold();
    await cluster.scheduler.runFor(SETTLED_MS);
    expect(await done(cluster, others.put(key, 'newer'))).toBe(what === 'delete' ? null : 'mine');
    release();
    expect(await done(cluster, failure)).toBeInstanceOf(what === 'putAll' ? BulkError : IndeterminateError);
    expect([await done(cluster, others.get(key)), store.data.get(`m/${key}`)]).toEqual(['newer', 'newer']);
  });

  it.each(KINDS)(
    'is made before what others wrote meanwhile when its caller asks in time: %s',
    async (what) => {
      const started = await start();
      const { cluster, store, key, others, crashTold, release } = started;
      const failure = failureOf(begun(started, what));
      await crashTold();
      await cluster.scheduler.runFor(TAKEN_OVER_MS);
      const newer = others.put(key, 'newer');
      await cluster.scheduler.runFor(200);
      release();
      expect(await done(cluster, failure)).toBeNull();
      expect(await done(cluster, newer)).toBe(what === 'delete' ? null : 'mine');
      expect([await done(cluster, others.get(key)), store.data.get(`m/${key}`)]).toEqual(['newer', 'newer']);
      expect(store.writes.length).toBe(3);
    },
  );

  it('is of unknown outcome when the store refuses it at the new primary', async () => {
    const { cluster, store, key, map, others, crashTold, release } = await start();
    const failure = failureOf(map.set(key, 'mine'));
    await crashTold();
    store.refuses = () => true;
    await cluster.scheduler.runFor(TAKEN_OVER_MS);
    release();
    const error = await done(cluster, failure);
    expect(error).toBeInstanceOf(IndeterminateError);
    expect(await done(cluster, (error as IndeterminateError).resolve())).toEqual({ outcome: 'unknown' });
    expect(await done(cluster, others.get(key))).toBe('mine');
  });

  it.each([
    ['in time', TAKEN_OVER_MS, ['new', 'new']],
    ['too late', SETTLED_MS, ['old', 'new']],
  ])('is one call also where some of its keys are in memory: asked for again %s', async (_, ms, after) => {
    const { cluster, store, key, map, others, crashTold, release } = await start();
    const count = viewOf(cluster, 'm1')?.table.length ?? 0;
    const home = (one: string) => partitionOfKey(encodeKey(one), count);
    let there = 0;
    while (`k${there}` === key || home(`k${there}`) !== home(key)) there++;
    const keys = [`k${there}`, key];
    await done(cluster, others.set(`k${there}`, 'old'));
    store.writes.length = 0;
    const failure = failureOf(map.putAll(keys.map((each) => [each, 'new'])));
    await crashTold();
    await cluster.scheduler.runFor(ms);
    if (ms === SETTLED_MS) for (const each of keys) await done(cluster, others.get(each));
    release();
    expect((await done(cluster, failure)) === null).toBe(ms === TAKEN_OVER_MS);
    const found = await done(cluster, others.getAll(keys));
    expect(keys.map((each) => new Map(found).get(each))).toEqual(after);
    expect(keys.map((each) => store.data.get(`m/${each}`))).toEqual(after);
  });

  it('is not told as not done while the store may have it', async () => {
    const { cluster, key, map, others, crashTold, release } = await start();
    const failure = failureOf(map.with({ timeoutMs: 2_000 }).set(key, 'mine'));
    await crashTold();
    await cluster.scheduler.runFor(TAKEN_OVER_MS);
    release();
    const error = await done(cluster, failure);
    expect(error).toBeInstanceOf(IndeterminateError);
    expect(await done(cluster, (error as IndeterminateError).resolve())).toEqual({ outcome: 'unknown' });
    expect(await done(cluster, others.get(key))).toBe('mine');
    await cluster.scheduler.runFor(SETTLED_MS);
    expect(await done(cluster, (error as IndeterminateError).resolve())).toEqual({ outcome: 'unknown' });
  });
});

describe('a write that the store took without saying so', () => {
  it('is not told as not done', async () => {
    const { cluster, store, key, map, others } = await start();
    store.failures = 1;
    let tries = 0;
    for (; tries < 20 && !store.data.has(`m/${key}`); tries++) {
      const { error } = await settle(cluster, map.set(key, `try ${tries}`));
      expect(error).toBeInstanceOf(IndeterminateError);
      expect(await done(cluster, (error as IndeterminateError).resolve())).toEqual({ outcome: 'unknown' });
    }
    store.failures = 0;
    expect(await done(cluster, others.get(key))).toBe(`try ${tries - 1}`);
  });

  it('is told as not done where the map has the old value', async () => {
    const { cluster, store, key, map, others } = await start();
    await done(cluster, map.set(key, 'old'));
    store.failures = 1;
    const { error } = await settle(cluster, map.set(key, 'new'));
    expect(error).toBeInstanceOf(IndeterminateError);
    expect(await done(cluster, (error as IndeterminateError).resolve())).toEqual({ outcome: 'not done' });
    store.failures = 0;
    await cluster.scheduler.runFor(3_000);
    expect([await done(cluster, others.get(key)), store.data.get(`m/${key}`)]).toEqual(['old', 'old']);
  });
});

describe('a write that a primary made while nobody else knew its outcome', () => {
  it('is merged as any other one', async () => {
    const { cluster, store, times } = await start({ backupTimeoutMs: 300, onBackupTimeout: 'success' });
    const { network, scheduler } = cluster;
    const cutOff = memberOf(cluster, 'm3').member.getMap<string, string>('m');
    const key = keyAt(cluster, 'm3');
    times.takesMs = 1_000;
    const call = cutOff.set(key, 'mine');
    await scheduler.runFor(100);
    network.partition(['m3'], ['m1', 'm2']);
    await done(cluster, call);
    expect(store.data.get(`m/${key}`)).toBe('mine');
    times.takesMs = 2;
    await scheduler.runFor(SETTLED_MS);
    const major = memberOf(cluster, 'm1').member.getMap<string, string>('m');
    expect(await done(cluster, major.size())).toBe(0);
    network.healAll();
    expect(await cluster.runUntilSafe(60_000)).toBe(true);
    await scheduler.runFor(10_000);
    expect([await done(cluster, major.size()), await done(cluster, major.get(key))]).toEqual([1, 'mine']);
  });
});
