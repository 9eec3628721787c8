/** Maps whose stores, or whose keys, are not what they should be: the member lives on, and says what is wrong. */
import { describe, expect, it } from 'vitest';
import type { MapState } from '../../partitions/services/map/state.js';
import type { StoreOrFactory } from '../../src/member/map-stores.js';
import { clusterOf, connected, done, memberOf } from './scenario.js';

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
    expect(await done(cluster, map.storeStatus())).toMatchObject({ setAside: 1, failed: [{ key }] });
    expect(table.data.size).toBe(21);
  });
});
