/** The store in Redis, against ioredis-mock; test/system has the same with a real server. */
import Redis from 'ioredis-mock';
import { beforeEach, describe, expect, it } from 'vitest';
import type { StoreCall } from '../../src/mapstore/map-store.js';
import { type RedisMapStoreOptions, redisMapStore, StoreRefusedError } from '../../src/redis.js';
import { withAffinity } from '../../src/wire/keys.js';

const call: StoreCall = { map: 'users', signal: new AbortController().signal };
// The mock keeps the class of ioredis to itself.
const client = new Redis() as unknown as NonNullable<RedisMapStoreOptions['client']>;

beforeEach(async () => {
  await client.flushall();
});

async function all<T>(found: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const one of found) list.push(one);
  return list;
}

const INEXACT: readonly (readonly [string, unknown, string])[] = [
  ['NaN', Number.NaN, 'is NaN'],
  ['Infinity', Number.NEGATIVE_INFINITY, 'is -Infinity'],
  ['-0', -0, 'is -0'],
  ['a bigint', 1n, 'is of type bigint'],
  ['a date', new Date(0), 'is a Date'],
  ['a map', new Map([[1, 2]]), 'is a Map'],
  ['a set', new Set([1]), 'is a Set'],
  ['bytes', Buffer.from('abc'), 'is a Buffer'],
  ['a field that is undefined', { b: 1, c: undefined }, '.c is of type undefined'],
  ['a key with affinity', withAffinity('a', 'b'), 'is a AffinityKey'],
];

const LAYOUTS = [{ layout: 'keys' }, { layout: 'hash' }] as const;

describe.each(LAYOUTS)('a store in Redis with layout $layout', ({ layout }) => {
  const store = redisMapStore<unknown, unknown>({ client, prefix: 'users:', layout });

  it('gives back what it stored, and nothing for other keys', async () => {
    await store.store('a', { name: 'Ada' }, call);
    expect(await store.load('a', call)).toEqual({ name: 'Ada' });
    expect(await store.load('b', call)).toBeNull();
  });

  it('stores, loads and deletes many in one round trip', async () => {
    await store.storeAll(
      [
        ['a', 1],
        ['b', 2],
        ['c', 3],
      ],
      call,
    );
    expect(await store.loadAll(['c', 'x', 'a'], call)).toEqual([
      ['c', 3],
      ['a', 1],
    ]);
    await store.deleteAll(['a', 'b'], call);
    await store.delete('nothing', call);
    expect(await all(store.loadAllKeys(call))).toEqual(['c']);
    expect(await store.loadAll([], call)).toEqual([]);
  });

  it('lists its keys only', async () => {
    await client.set('other', '1');
    await client.set('usersX', '1');
    const entries = Array.from({ length: 250 }, (_, i) => [`k${i}`, i] as const);
    await store.storeAll(entries, call);
    const keys = await all(store.loadAllKeys(call));
    expect(new Set(keys)).toEqual(new Set(entries.map(([key]) => key)));
  });

  it.each(['json', 'grid'] as const)('takes keys of any kind with keys: %s', async (keys) => {
    const any = redisMapStore<unknown, number>({ client, prefix: `${keys}:`, layout, keys });
    const given = ['1', 1, ['a', 2], { id: 7 }];
    await any.storeAll(
      given.map((key, i) => [key, i] as const),
      call,
    );
    const found = await all(any.loadAllKeys(call));
    const text = (list: readonly unknown[]) => list.map((key) => JSON.stringify(key)).sort();
    expect(text(found)).toEqual(text(given));
    expect(await any.load(1, call)).toBe(1);
    expect(await any.load('1', call)).toBe(0);
  });

  it.each(INEXACT)('refuses %s with values: json, and sends nothing', async (_name, value, where) => {
    const json = redisMapStore<string, unknown>({ client, prefix: 'json:', layout });
    for (const given of [value, { a: [1, value] }]) {
      const failure = await json.store('k', given, call).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(StoreRefusedError);
      expect(String(failure)).toContain(where);
      expect(String(failure)).toContain('values: grid');
    }
    const entries = [['a', 1] as const, ['b', value] as const];
    await expect(json.storeAll(entries, call)).rejects.toBeInstanceOf(StoreRefusedError);
    expect(await client.keys('json:*')).toEqual([]);
  });

  it.each(INEXACT)(
    'refuses keys with %s, which others would be written as, with keys: json',
    async (_name, key, where) => {
      const json = redisMapStore<unknown, number>({ client, prefix: 'json:', layout, keys: 'json' });
      for (const act of [
        () => json.store(key, 1, call),
        () => json.load(key, call),
        () => json.deleteAll([[key]], call),
      ]) {
        const failure = await act().catch((error: unknown) => error);
        expect(failure).toBeInstanceOf(StoreRefusedError);
        expect(String(failure)).toContain(where);
        expect(String(failure)).toContain('keys: grid');
      }
    },
  );

  it('gives back exactly what JSON can, also where it looks strange', async () => {
    const json = redisMapStore<string, unknown>({ client, prefix: 'json:', layout });
    const values = [
      '',
      '\ud800',
      0,
      1e308,
      5e-324,
      true,
      [],
      {},
      [[null]],
      { '': 1, 'a.b': [{}] },
      JSON.parse('{"__proto__":1}'),
    ];
    for (const [i, value] of values.entries()) {
      await json.store(`k${i}`, value, call);
      expect(await json.load(`k${i}`, call)).toStrictEqual(value);
    }
  });

  it('keeps values exactly with values: grid', async () => {
    const exact = redisMapStore<string, unknown>({ client, prefix: 'exact:', layout, values: 'grid' });
    const value = { at: new Date(5), big: 2n ** 80n, bytes: Buffer.from([0, 255]), map: new Map([[1, -0]]) };
    await exact.store('k', value, call);
    expect(await exact.load('k', call)).toEqual(value);
    expect(await exact.loadAll(['k'], call)).toEqual([['k', value]]);
  });
});

describe('a store in Redis', () => {
  it('says that a write was certainly not done when Redis answers with an error', async () => {
    const refuse = () =>
      Promise.reject(Object.assign(new Error('OOM command not allowed'), { name: 'ReplyError' }));
    const full = { status: 'ready', set: refuse, del: refuse } as unknown as typeof client;
    const store = redisMapStore<string, number>({ client: full, prefix: 'p:' });
    await expect(store.store('k', 1, call)).rejects.toBeInstanceOf(StoreRefusedError);
    await expect(store.delete('k', call)).rejects.toThrow('Redis: OOM command not allowed');
  });

  it('does not say so when the connection broke', async () => {
    const broken = { status: 'ready', set: () => Promise.reject(new Error('Connection is closed.')) };
    const store = redisMapStore<string, number>({ client: broken as unknown as typeof client, prefix: 'p:' });
    const failure = await store.store('k', 1, call).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: 'Error', message: 'Connection is closed.' });
  });

  it('sends nothing for a call that was given up', async () => {
    const store = redisMapStore<string, number>({ client, prefix: 'late:' });
    const late = { map: 'm', signal: AbortSignal.abort() };
    await expect(store.store('k', 1, late)).rejects.toBeInstanceOf(StoreRefusedError);
    expect(await store.load('k', call)).toBeNull();
  });

  it('waits for its connection until the call is given up', async () => {
    const store = redisMapStore<string, number>({ url: 'redis://127.0.0.1:1', prefix: 'p' });
    const signal = AbortSignal.timeout(50);
    await expect(store.store('k', 1, { map: 'm', signal })).rejects.toThrow('nothing was sent');
    await store.close();
  });

  it('refuses keys that are no strings unless it is told how to write them', async () => {
    const store = redisMapStore<unknown, number>({ client, prefix: 'p:' });
    for (const key of [1, 'half \ud800']) {
      await expect(store.load(key, call)).rejects.toThrow('keys: json or grid');
      await expect(store.store(key, 1, call)).rejects.toBeInstanceOf(StoreRefusedError);
    }
    await expect(
      store.storeAll(
        [
          ['a', 1],
          [2, 2],
        ],
        call,
      ),
    ).rejects.toBeInstanceOf(StoreRefusedError);
    expect(await store.load('a', call)).toBeNull();
  });

  it.each([
    [{ prefix: 'p' }, 'either url or client'],
    [{ url: 'http://x', prefix: 'p' }, 'redis:// or rediss://'],
    [{ url: 'redis://x', prefix: '' }, 'prefix'],
    [{ url: 'redis://x', prefix: 'p', layout: 'list' }, 'layout: expected one of keys, hash'],
    [{ url: 'redis://x', prefix: 'p', values: 'xml' }, 'values: expected one of json, grid'],
    [{ url: 'redis://x', prefix: 'p', ttl: 5 }, 'ttl is none of'],
  ])('refuses %o', (options, message) => {
    expect(() => redisMapStore(options as never)).toThrow(message);
  });
});
