/** Keys and hosts of chosen partitions, for scenarios in which it matters who holds what. */
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { partitionOfKey } from '../../partitions/placement.js';
import { encodeKey } from '../../src/wire/keys.js';
import { memberOf, viewOf } from '../cluster/scenario.js';

/** The first `count` keys k0, k1, ... of one of `partitionCount` partitions. */
export function keysIn(partition: number, partitionCount: number, count: number): string[] {
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) {
    const key = `k${i}`;
    if (partitionOfKey(encodeKey(key), partitionCount) === partition) keys.push(key);
  }
  return keys;
}

/** For each partition in the view of m1: hosts of its replicas, primary first. */
export function replicaHosts(cluster: SimCluster): string[][] {
  const hosts = new Map([...cluster.members].map(([host, { member }]) => [member.id, host]));
  return (viewOf(cluster, 'm1')?.table ?? []).map(({ replicas }) =>
    replicas.map(({ member }) => hosts.get(member) ?? 'unknown'),
  );
}

/** How much a host has applied of a partition; null when it holds none of it. */
export function seqAt(cluster: SimCluster, host: string, partition: number): number | null {
  return memberOf(cluster, host).member.node.replication.replica(partition)?.seq ?? null;
}
