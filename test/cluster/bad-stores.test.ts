/** Maps whose stores, or whose keys, are not what they should be: the member lives on, and says what is wrong. */
import { describe, expect, it } from 'vitest';
import type { MapState } from '../../partitions/services/map/state.js';
import { BulkError, StoreFailedError, StoreOverloadError } from '../../src/base/errors.js';
import type { StoreOrFactory } from '../../src/member/open-stores.js';
import { clusterOf, connected, done, keyAt, memberOf, settle } from './scenario.js';

const MAP = 1;

interface Wishes {
  readonly members?: number;
  readonly maps?: string;
  readonly store?: Record<string, unknown>;
}

async function startWith(made: StoreOrFactory, { members = 1, maps = 'm', store = {} }: Wishes = {}) {
  const cluster = await clusterOf(members, {
    member: {
      founds: true,
      partitionCount: 3,
      maps: {
        [maps]: { store: { name: 'bad', ...store }, backups: { sync: members > 1 ? 1 : 0, async: 0 } },
      },
    } as never,
    register: (registry) => registry.mapStore('bad', made),
  });
  const client = await connected(cluster);
  return { cluster, client, map: client.getMap<unknown, unknown>('m').with({ timeoutMs: 5_000 }) };
}

/** What the store has, and nothing else that is wrong with it. */
function tableOf(data = new Map<unknown, unknown>()) {
  return {
    data,
    load: (key: unknown) => data.get(key) ?? null,
    store: (key: unknown, value: unknown) => void data.set(key, value),
    delete: (key: unknown) => void data.delete(key),
  };
}

describe('a key whose bytes are no key', () => {
  it('is set aside, told as bytes, and the others are written', async () => {
    const table = tableOf();
    const { cluster, map } = await startWith(table, { store: { mode: 'write-behind', delayMs: 0 } });
    const { member } = memberOf(cluster, 'm1');
    const failures: unknown[] = [];
    member.on('storeFailed', (failure) => failures.push(failure));
    await done(cluster, map.set('good', 1));
    const key = Buffer.from([0x17, 1, 2, 3]);
    const { executor, replication } = member.node;
    const value = executor.functions.codec.encode(1);
    executor.positions.amend(replication.replica(1), MAP, 'm', (state, context) => {
      const since = { sinceSeq: context.seq, sinceMs: context.wallMs };
      const writes = [{ seq: context.seq, ms: context.wallMs, value }];
      (state as MapState).owed.put([{ key, coalesces: true, ...since, writes, failure: null }], [], context);
    });
    for (let i = 0; i < 20; i++) {
      await done(cluster, map.set(`k${i}`, i));
      await cluster.scheduler.runFor(200);
    }
    expect(failures).toMatchObject([{ map: 'm', key, attempts: 5 }]);
    expect(table.data.size).toBe(21);
  });
});

describe('a function that makes stores', () => {
  const good = tableOf();
  const BAD: readonly (readonly [string, (map: string) => unknown, string])[] = [
    [
      'throws',
      () => {
        throw new Error('no DATABASE_URL');
      },
      'no DATABASE_URL',
    ],
    [
      'throws what has no text',
      () => {
        throw Object.create(null);
      },
      'something without a text',
    ],
    ['gives nothing', () => undefined, 'it has no method load'],
    ['gives what is no store', () => ({ store() {} }), 'it has no method load'],
    ['gives what cannot be written to', () => ({ load: () => null }), 'it has no method store'],
    ['gives a promise', async () => good, 'can not be async'],
    ['gives a promise that fails', () => Promise.reject(new Error('later')), 'can not be async'],
  ];
  const MODES = ['write-behind', 'write-through'] as const;

  it.each(BAD.flatMap((bad) => MODES.map((mode) => [...bad, mode] as const)))(
    'and %s disturbs no other map, and tells whoever asks',
    async (_name, make, text, mode) => {
      let calls = 0;
      const factory = ((map: string) => {
        calls++;
        return make(map);
      }) as StoreOrFactory;
      const { cluster, client, map } = await startWith(factory, { members: 2, store: { mode } });
      const acts: readonly (() => Promise<unknown>)[] = [
        () => map.get('a'),
        () => map.getAll(['a', 'b', 'c']),
        () => map.set('a', 1),
        () => map.put('a', 1),
        () => map.loadAll(),
      ];
      for (const act of acts) {
        const { error: thrown } = await settle(cluster, act());
        const error = thrown instanceof BulkError ? thrown.refused[0]?.error : thrown;
        expect(error).toBeInstanceOf(StoreFailedError);
        for (const part of ["'m'", '"bad"', text]) expect(error?.message).toContain(part);
      }
      expect(calls).toBeLessThan(5);
      const other = client.getMap('other');
      await done(cluster, other.set('a', 1));
      expect(await done(cluster, other.get('a'))).toBe(1);
      expect(cluster.logs.filter((line) => line.includes('could not be made')).length).toBeLessThan(3);
      expect(cluster.logs.filter((line) => line.includes('broken')).length).toBe(0);
    },
  );

  it('is asked again after a pause, also for what a former primary owes', async () => {
    const table = tableOf(new Map<unknown, unknown>([['old', 1]]));
    let isBroken = false;
    const factory: StoreOrFactory = () => {
      if (isBroken) throw new Error('no DATABASE_URL');
      return { ...table, loadAllKeys: () => [...table.data.keys()] };
    };
    const { cluster, map } = await startWith(factory, {
      members: 2,
      store: { mode: 'write-behind', delayMs: 60_000 },
    });
    const key = keyAt(cluster, 'm2');
    await done(cluster, map.set(key, 'x'));
    isBroken = true;
    cluster.start('m3');
    await cluster.runUntilSafe(60_000);
    cluster.crash('m2');
    await cluster.runUntilSafe(60_000);
    expect((await settle(cluster, map.flush())).error).toBeInstanceOf(StoreFailedError);
    expect(table.data.get(key)).toBeUndefined();
    isBroken = false;
    await cluster.scheduler.runFor(6_000);
    await done(cluster, map.flush());
    expect(table.data.get(key)).toBe('x');
  });

  it('is asked again for a map that is loaded at the start', async () => {
    let isBroken = true;
    const table = tableOf(new Map<unknown, unknown>([['old', 1]]));
    const factory: StoreOrFactory = () => {
      if (isBroken) throw new Error('no DATABASE_URL');
      return { ...table, loadAllKeys: () => table.data.keys() };
    };
    const { cluster, map } = await startWith(factory, { store: { initialLoad: 'eager' } });
    await cluster.scheduler.runFor(3_000);
    isBroken = false;
    await cluster.scheduler.runFor(10_000);
    expect(await done(cluster, map.size())).toBe(1);
  });
});

describe('a store that gives nonsense', () => {
  const KEYS: readonly (readonly [() => unknown, string])[] = [
    [() => 5, 'gave 5; expected an iterable of keys, or an async one'],
    [() => undefined, 'gave undefined; expected'],
    [async () => 'ab', 'gave the text "ab"; expected'],
    [() => ({ rows: [] }), 'gave an object with rows; expected'],
    [() => ['a', null], 'gave null for a key: '],
    [() => () => 1, 'gave a function; expected'],
  ];

  it.each(KEYS)('is named with loadAllKeys and what that gave: %s', async (loadAllKeys, text) => {
    const { cluster, map } = await startWith({ ...tableOf(), loadAllKeys } as never);
    const { error } = await settle(cluster, map.loadAll());
    expect(error).toBeInstanceOf(StoreFailedError);
    expect(error?.message).toContain(`loadAllKeys of the store "bad" ${text}`);
  });

  it.each<readonly [() => unknown, string]>([
    [() => 5, 'gave 5; expected an iterable of [key, value]'],
    [async () => ({ a: 1 }), 'gave an object with a; expected an iterable of [key, value]'],
    [() => ['x', 'y'], 'gave the text "x" for an entry; expected an iterable of [key, value]'],
    [() => [[null, 1]], 'gave null for a key: '],
    [() => new Map([['a', () => 1]]), 'gave what is no value: '],
  ])('is named with loadAll and what that gave: %s', async (loadAll, text) => {
    const { cluster, map } = await startWith({ ...tableOf(), loadAll } as never);
    const { error: thrown } = await settle(cluster, map.getAll(['a', 'b', 'c', 'd', 'e', 'f']));
    const error = thrown instanceof BulkError ? thrown.refused[0]?.error : thrown;
    expect(error).toBeInstanceOf(StoreFailedError);
    expect(error?.message).toContain(`loadAll of the store "bad" ${text}`);
  });

  it('is named with load and what that gave', async () => {
    const { cluster, map } = await startWith({ ...tableOf(), load: () => () => 1 } as never);
    const { error } = await settle(cluster, map.get('a'));
    expect(error?.message).toContain('load of the store "bad" gave what is no value: ');
  });
});

describe('the stores of many maps', () => {
  it('end when nobody uses them and they lack nothing, and are made again', async () => {
    const made: string[] = [];
    const closed: string[] = [];
    const data = new Map<unknown, unknown>();
    const factory: StoreOrFactory = (name) => {
      made.push(name);
      return { ...tableOf(data), close: () => void closed.push(name) };
    };
    const wishes = { maps: 'm*', store: { mode: 'write-behind', delayMs: 3_000_000 } };
    const { cluster, client, map } = await startWith(factory, wishes);
    const other = client.getMap('m-owes');
    await done(cluster, map.get('a'));
    await done(cluster, other.set('a', 1));
    await cluster.scheduler.runFor(310_000);
    expect([made, closed]).toEqual([['m', 'm-owes'], ['m']]);
    await done(cluster, other.flush());
    await done(cluster, map.get('a'));
    expect(made).toEqual(['m', 'm-owes', 'm']);
    await cluster.scheduler.runFor(310_000);
    expect(closed).toEqual(['m', 'm-owes', 'm']);
  });

  it('stay open when one was given for several maps', async () => {
    let closed = 0;
    const one = { ...tableOf(), close: () => void closed++ };
    const { cluster, client, map } = await startWith(() => one, { maps: 'm*' });
    await done(cluster, map.get('a'));
    await done(cluster, client.getMap('m2').get('a'));
    await cluster.scheduler.runFor(310_000);
    expect(closed).toBe(0);
    await done(cluster, cluster.leave('m1'));
    expect(closed).toBe(1);
  });
});

describe('maxPending', () => {
  const few = { mode: 'write-behind', delayMs: 600_000, maxPending: 100 };

  it('counts each key of a call', async () => {
    const { cluster, map } = await startWith(tableOf(), { store: few });
    const entries = Array.from({ length: 3_000 }, (_, i) => [i, i] as const);
    expect((await settle(cluster, map.setAll(entries))).error).toBeInstanceOf(Error);
    expect(await done(cluster, map.storeStatus())).toMatchObject({ pending: 0 });
    const { error } = await settle(cluster, map.setAll(entries.slice(0, 150)));
    expect(error).toBeInstanceOf(Error);
    const { pending } = await done(cluster, map.storeStatus());
    expect(pending).toBeGreaterThan(0);
    expect(pending).toBeLessThanOrEqual(100);
  });

  it('does not count what takes the place of another write, unless all are kept', async () => {
    const { cluster, map } = await startWith(tableOf(), { store: few });
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 100; i++) await done(cluster, map.set(i, round));
    }
    expect((await settle(cluster, map.set('more', 1))).error).toBeInstanceOf(StoreOverloadError);
    await done(cluster, map.setAll(Array.from({ length: 100 }, (_, i) => [i, 'last'] as const)));
    const all = await startWith(tableOf(), { store: { ...few, coalescing: false } });
    for (let i = 0; i < 100; i++) await done(all.cluster, all.map.set('one', i));
    expect((await settle(all.cluster, all.map.set('one', 1))).error).toBeInstanceOf(StoreOverloadError);
  });

  it('lets what changes all entries go on in steps that find room', async () => {
    const table = tableOf();
    const { cluster, map } = await startWith(table, { store: { ...few, maxPending: 20, delayMs: 0 } });
    for (let i = 0; i < 200; i += 5)
      await done(cluster, map.setAll(Array.from({ length: 5 }, (_, j) => [i + j, i] as const)));
    await done(cluster, map.flush());
    expect(table.data.size).toBe(200);
    await done(cluster, map.clear());
    await done(cluster, map.flush());
    expect([table.data.size, await done(cluster, map.size())]).toEqual([0, 0]);
  });
});
