/** Replicas that were tampered with are found and mended: in backups from the primary, in a primary from its backups. */
import { afterEach, describe, expect, it } from 'vitest';
import type { SimCluster, SimMember } from '../../chaos/sim/cluster.js';
import { murmur3, partitionOf } from '../../partitions/hash.js';
import type { PartitionReplica } from '../../partitions/replica.js';
import { SERVICES } from '../../partitions/services/index.js';
import type { MapState } from '../../partitions/services/map/state.js';
import { encodeKey } from '../../src/wire/keys.js';
import { clusterOf, done, fill, memberOf } from '../cluster/scenario.js';

const PARTITIONS = 11;
const MAP = SERVICES[0].service;
const LONG = SERVICES[1].service;
const options = {
  partitionCount: PARTITIONS,
  antiEntropy: { intervalMs: 1_000, scrubIntervalMs: 2_000 },
  maps: { '*': { backups: { sync: 1, async: 1 } } },
};

let cluster: SimCluster;
afterEach(() => cluster.shutdown());

interface Held {
  readonly node: SimMember['member']['node'];
  readonly replica: PartitionReplica;
}

/** The replicas of a partition, primary first. */
function replicasOf(partition: number): Held[] {
  const entry = memberOf(cluster, 'm1').member.node.view?.table[partition];
  return (entry?.replicas ?? []).map(({ member }) => {
    const { node } = cluster.running().find((one) => one.member.id === member)!.member;
    return { node, replica: node.replication.replica(partition) };
  });
}

/** Partition and bytes of a key. */
function placeOf(key: string): { partition: number; bytes: Uint8Array; hash: number } {
  const bytes = encodeKey(key);
  const hash = murmur3(bytes);
  return { partition: partitionOf(hash, PARTITIONS), bytes, hash };
}

/** The record of a key in the primary (0) or in a backup. */
function recordOf(key: string, index: number) {
  const { partition, bytes, hash } = placeOf(key);
  const { replica, node } = replicasOf(partition)[index]!;
  const { store } = replica.state(MAP, 'x') as MapState;
  return { store, hash, bytes, ref: store.find(hash, bytes), node };
}

function overwrite(key: string, index: number, value: string): void {
  const { store, hash, bytes, ref } = recordOf(key, index);
  store.put(hash, bytes, Buffer.from(value), store.metaOf(ref));
}

function unequal(): number[] {
  return Array.from({ length: PARTITIONS }, (_, partition) => partition).filter((partition) => {
    const texts = replicasOf(partition).map(({ replica }) =>
      JSON.stringify(replica.structures().map(({ name, state }) => [name, state.dump()])),
    );
    return new Set(texts).size > 1;
  });
}

function total(name: 'entriesRepaired' | 'scrubFaults' | 'digestsCompared' | 'digestsDiffering'): number {
  return cluster.running().reduce((sum, { member }) => sum + member.node.replication.counters[name], 0);
}

async function started(seed: number): Promise<void> {
  cluster = await clusterOf(3, { seed, member: options });
  await fill(cluster, 'm1', 'x', 800);
}

describe('anti-entropy', () => {
  it('compares and finds nothing where replicas are equal', async () => {
    await started(1);
    await cluster.scheduler.runFor(5_000);
    expect(total('digestsCompared')).toBeGreaterThan(2 * PARTITIONS);
    expect([total('digestsDiffering'), total('entriesRepaired'), total('scrubFaults')]).toEqual([0, 0, 0]);
    for (const { member } of cluster.running())
      expect(member.node.replication.antiEntropy.rounds).toBeGreaterThan(2);
  });

  it('mends a value that changed, an entry that is gone and one that was invented, in either backup', async () => {
    await started(2);
    overwrite('k1', 1, 'tampered');
    overwrite('k2', 2, 'tampered');
    for (const [key, index] of [
      ['k3', 1],
      ['k4', 2],
    ] as const) {
      const { store, ref } = recordOf(key, index);
      store.remove(ref);
    }
    for (const [key, index] of [
      ['invented', 1],
      ['another', 2],
    ] as const) {
      const { store, hash, bytes } = recordOf(key, index);
      const like = recordOf('k5', 0);
      store.put(hash, bytes, Buffer.from('x'), like.store.metaOf(like.ref));
    }
    expect(unequal().length).toBeGreaterThan(0);
    await cluster.scheduler.runFor(3_000);
    expect(unequal()).toEqual([]);
    expect(total('entriesRepaired')).toBe(6);
  });

  it('mends structures that are missing, superfluous or have no record store', async () => {
    await started(3);
    const long = memberOf(cluster, 'm1').member.getAtomicLong('count');
    await done(cluster, long.addAndGet(5));
    const { partition } = placeOf('k1');
    const held = replicasOf(partition)[1]!.replica;
    held.state(MAP, 'x').dispose();
    expect(held.detachEmpty(MAP.id, 'x')).toBe(true);
    const source = replicasOf(placeOf('k2').partition)[0]!.replica.state(MAP, 'x') as MapState;
    const invented = replicasOf(partition)[2]!.replica.state(MAP, 'invented') as MapState;
    source.store.scan(0, { records: 1e9, bytes: 1e9 }, (ref) => {
      const key = Buffer.from(source.store.keyOf(ref));
      invented.store.put(murmur3(key), key, Buffer.from('x'), source.store.metaOf(ref));
    });
    const other = Array.from({ length: PARTITIONS }, (_, p) => p).find(
      (p) => replicasOf(p)[0]!.replica.find(LONG.id, 'count') !== undefined,
    ) as number;
    replicasOf(other)[1]!.replica.find(LONG.id, 'count')!.dispose();
    const copy = replicasOf(other)[0]!.replica.find(LONG.id, 'count')!;
    const { Reader, Writer } = await import('../../src/base/bytes.js');
    const writer = new Writer();
    copy.copy(0, 1_000, writer);
    replicasOf((other + 1) % PARTITIONS)[1]!
      .replica.state(LONG, 'stray')
      .paste(new Reader(writer.toBytes()));
    expect(unequal().length).toBeGreaterThan(1);
    await cluster.scheduler.runFor(3_000);
    expect(unequal()).toEqual([]);
  });

  it('mends while writes go on, and takes nothing back that they wrote', async () => {
    for (const seed of [4, 5, 6]) {
      await started(seed);
      cluster.network.setAllLinks({ meanLatencyMs: 2, reorder: 0.02 });
      const map = memberOf(cluster, 'm2').member.getMap<string, number>('x');
      const last = new Map<string, number>();
      for (let round = 0; round < 60; round++) {
        const writes = Array.from({ length: 20 }, (_, i) => {
          const key = `k${(round * 7 + i * 13) % 800}`;
          last.set(key, round * 100 + i);
          return map.set(key, round * 100 + i);
        });
        if (round % 6 === 0)
          for (let i = 0; i < 10; i++) overwrite(`k${(round * 11 + i) % 800}`, 1 + (i % 2), 'bad');
        await done(cluster, Promise.all(writes));
        await cluster.scheduler.runFor(50);
      }
      await cluster.scheduler.runFor(4_000);
      expect(unequal(), `seed ${seed}`).toEqual([]);
      expect(total('entriesRepaired'), `seed ${seed}`).toBeGreaterThan(40);
      for (const [key, value] of last)
        expect(await done(cluster, map.get(key)), `seed ${seed} ${key}`).toBe(value);
      if (seed !== 6) await cluster.shutdown();
    }
  });

  it('finds memory that changed by itself in a backup, and mends it from the primary', async () => {
    await started(7);
    await cluster.scheduler.runFor(2_500);
    const { store, ref } = recordOf('k9', 1);
    store.valueOf(ref)[0]! ^= 1;
    await cluster.scheduler.runFor(6_000);
    expect(total('scrubFaults')).toBe(1);
    expect(unequal()).toEqual([]);
    expect(total('entriesRepaired')).toBe(1);
  });

  it('gives a primary back from a backup what changed in its memory', async () => {
    await started(8);
    await cluster.scheduler.runFor(2_500);
    const { store, ref, node } = recordOf('k9', 0);
    const before = Buffer.from(store.valueOf(ref));
    store.valueOf(ref)[0]! ^= 1;
    await cluster.scheduler.runFor(6_000);
    expect(node.replication.counters.scrubFaults).toBe(1);
    expect(unequal()).toEqual([]);
    const mended = recordOf('k9', 0);
    expect(Buffer.from(mended.store.valueOf(mended.ref))).toEqual(before);
    expect(node.replication.counters.entriesRepaired).toBe(1);
    expect(cluster.logs.filter((line) => line.includes('count as they are'))).toEqual([]);
  });

  it('says so when nobody has what a primary lost, and makes replicas equal', async () => {
    await started(9);
    await cluster.scheduler.runFor(2_500);
    for (const index of [0, 1, 2]) {
      const { store, ref } = recordOf('k9', index);
      store.valueOf(ref)[0]! ^= 1 << index;
    }
    await cluster.scheduler.runFor(8_000);
    expect(unequal()).toEqual([]);
    expect(cluster.logs.filter((line) => line.includes('count as they are'))).toHaveLength(1);
  });

  it('goes on across loss, cuts and a new primary', async () => {
    await started(10);
    cluster.network.setAllLinks({ loss: 0.05, duplicate: 0.05, reorder: 0.1, meanLatencyMs: 3 });
    for (let i = 0; i < 40; i++) overwrite(`k${i}`, 1 + (i % 2), 'bad');
    await cluster.scheduler.runFor(10_000);
    cluster.network.calm();
    await cluster.scheduler.runFor(3_000);
    expect(unequal()).toEqual([]);
    for (let i = 0; i < 40; i++) overwrite(`k${i}`, 2, 'bad');
    cluster.crash('m2');
    expect(await cluster.runUntilSafe(60_000)).toBe(true);
    await cluster.scheduler.runFor(3_000);
    expect(unequal()).toEqual([]);
  });
});
