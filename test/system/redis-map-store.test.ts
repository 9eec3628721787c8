/** Maps in a real Redis, which is killed and started again while writers go on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IndeterminateError } from '../../src/index.js';
import { redisMapStore } from '../../src/redis.js';
import { startCluster } from '../../src/testing.js';
import { RedisServer } from './redis-server.js';

const KEYS = 500;
const WRITERS = 16;
const LONG_MS = 120_000;
const SAFE_MS = 30_000;

let redis: RedisServer;
beforeEach(async () => {
  redis = new RedisServer();
  await redis.start();
});
afterEach(() => redis.remove());

/** What Redis has, by the key of the map. */
async function stored(prefix: string): Promise<Map<string, string>> {
  const client = new Redis(redis.url);
  try {
    const names = await client.keys(`${prefix}*`);
    const values = names.length === 0 ? [] : await client.mget(...names);
    return new Map(names.map((name, i) => [name.slice(prefix.length), values[i] as string]));
  } finally {
    client.disconnect();
  }
}

interface Told {
  /** The last acknowledged value by key; null: removed. */
  readonly done: Map<string, string | null>;
  /** Keys with a later call of unknown outcome. */
  readonly unknown: Set<string>;
  writes: number;
  refused: number;
}

type Write = (key: string, value: string | null) => Promise<unknown>;

/** Writers with keys of their own, so that the last acknowledged value of each key is known. */
function startWriters(write: Write): { readonly told: Told; stop(): Promise<void> } {
  const told: Told = { done: new Map(), unknown: new Set(), writes: 0, refused: 0 };
  let isStopped = false;
  const one = async (writer: number) => {
    for (let round = 0; !isStopped; round++)
      for (let i = writer; i < KEYS && !isStopped; i += WRITERS) {
        const key = `k${i}`;
        const value = (round + i) % 9 === 8 ? null : `${round}.${i}`;
        try {
          await write(key, value);
          told.done.set(key, value);
          told.unknown.delete(key);
          told.writes++;
        } catch (error) {
          if (error instanceof IndeterminateError) told.unknown.add(key);
          told.refused++;
        }
      }
  };
  const all = Promise.all(Array.from({ length: WRITERS }, (_, writer) => one(writer)));
  return {
    told,
    async stop() {
      isStopped = true;
      await all;
    },
  };
}

describe('maps in a Redis that is killed twice and started again', () => {
  it.each([true, false])(
    'written behind, get every acknowledged write, with coalescing %s, although a member dies too',
    async (coalescing) => {
      await using cluster = await startCluster({
        member: {
          partitionCount: 31,
          maps: {
            behind: {
              store: { name: 'redis', mode: 'write-behind', delayMs: 20, batchSize: 50, coalescing },
            },
          },
        },
        register: (registry) =>
          registry.mapStore('redis', (map) => redisMapStore({ url: redis.url, prefix: `${map}:` })),
      });
      const map = cluster.client.getMap<string, string>('behind');
      const writers = startWriters((key, value) => (value === null ? map.delete(key) : map.set(key, value)));
      for (let time = 0; time < 2; time++) {
        await sleep(600);
        await redis.kill();
        const { writes } = writers.told;
        await sleep(400);
        // The store that is down holds nobody up.
        expect(writers.told.writes).toBeGreaterThan(writes);
        if (time === 1) await cluster.kill(2);
        await sleep(400);
        await redis.start();
      }
      await sleep(600);
      await writers.stop();
      const { told } = writers;
      await map.with({ timeoutMs: SAFE_MS }).flush();
      expect(await map.storeStatus()).toMatchObject({ pending: 0, setAside: 0, failed: [] });

      const [inRedis, inGrid] = [await stored('behind:'), new Map(await map.entrySet())];
      const asText = [...inGrid].map(([key, value]) => [key, JSON.stringify(value)] as const);
      expect(inRedis).toEqual(new Map(asText));
      for (const [key, value] of told.done)
        if (!told.unknown.has(key)) expect([key, inGrid.get(key) ?? null]).toEqual([key, value]);
      expect(redis.kills).toBe(2);
      expect(told.done.size).toBe(KEYS);
      console.log(
        `write-behind: ${told.writes} writes acknowledged, ${told.unknown.size} keys of unknown outcome, none lost`,
      );
    },
    LONG_MS,
  );

  it(
    'written through, have each value before the call is answered, and refuse what they can not keep',
    async () => {
      const seen = new Redis(redis.url, { maxRetriesPerRequest: null });
      seen.on('error', () => {});
      await using cluster = await startCluster({
        member: {
          partitionCount: 31,
          maps: { through: { store: { name: 'redis', mode: 'write-through', timeoutMs: 400 } } },
        },
        register: (registry) =>
          registry.mapStore('redis', (map) => redisMapStore({ url: redis.url, prefix: `${map}:` })),
        client: { timeoutMs: 2_000 },
      });
      try {
        const map = cluster.client.getMap<string, string>('through');
        let missing = 0;
        const writers = startWriters(async (key, value) => {
          if (value === null) await map.delete(key);
          else await map.set(key, value);
          const found = await seen.get(`through:${key}`);
          if (found !== (value === null ? null : JSON.stringify(value))) missing++;
        });
        for (let time = 0; time < 2; time++) {
          await sleep(600);
          await redis.kill();
          await sleep(600);
          await redis.start();
        }
        await sleep(1_000);
        await writers.stop();
        const { told } = writers;
        expect(missing).toBe(0);
        expect(told.refused).toBeGreaterThan(0);
        // What Redis may have got without an answer is mended by the grid.
        await map.with({ timeoutMs: SAFE_MS }).flush();
        const [inRedis, inGrid] = [await stored('through:'), new Map(await map.entrySet())];
        for (const [key, value] of inGrid)
          expect([key, inRedis.get(key)]).toEqual([key, JSON.stringify(value)]);
        for (const [key, value] of told.done)
          if (!told.unknown.has(key)) expect([key, inGrid.get(key) ?? null]).toEqual([key, value]);
        console.log(
          `write-through: ${told.writes} writes in Redis before their answer, ${told.refused} refused or unknown`,
        );
      } finally {
        seen.disconnect();
      }
    },
    LONG_MS,
  );

  it(
    'load what is not in memory, and say so when Redis is away',
    async () => {
      const before = redisMapStore<string, number>({ url: redis.url, prefix: 'read:' });
      const call = { map: 'read', signal: AbortSignal.timeout(5_000) };
      await before.storeAll(
        Array.from({ length: 1_000 }, (_, i) => [`k${i}`, i] as const),
        call,
      );
      await before.close();
      await using cluster = await startCluster({
        member: {
          partitionCount: 31,
          maps: { read: { store: { name: 'redis', mode: 'read-through', timeoutMs: 300 } } },
        },
        register: (registry) =>
          registry.mapStore('redis', (map) => redisMapStore({ url: redis.url, prefix: `${map}:` })),
      });
      const map = cluster.client.getMap<string, number>('read');
      expect(await map.get('k7')).toBe(7);
      await redis.kill();
      expect(await map.get('k7')).toBe(7);
      await expect(map.get('k8')).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' });
      await redis.start();
      await expect.poll(() => map.get('k8').catch(() => null), { timeout: SAFE_MS }).toBe(8);
      await map.loadAll();
      expect(await map.size()).toBe(1_000);
    },
    LONG_MS,
  );
});
