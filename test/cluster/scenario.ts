/** What the cluster scenarios share: starting members in virtual time, and asking what they agree on. */
import { SimCluster, type SimClusterOptions, type SimMember } from '../../chaos/sim/cluster.js';
import type { Client } from '../../client/api.js';
import { partitionOfKey } from '../../partitions/placement.js';
import type { MemberId, View } from '../../src/cluster/view.js';
import type { MemberOptions } from '../../src/config.js';
import { encodeKey } from '../../src/wire/keys.js';

export const HEARTBEAT_MS = 500;
export const SUSPICION_MS = 2_500;
/** A crash is noticed after the suspicion time, agreed on with the next heartbeats. */
export const REMOVAL_MS = SUSPICION_MS + 2 * HEARTBEAT_MS;

/** A cluster of `count` members (m1, m2, ...) that is safe; m1 is the oldest. */
export async function clusterOf(
  count: number,
  options: Partial<SimClusterOptions> = {},
): Promise<SimCluster> {
  const cluster = new SimCluster({ seed: 1, ...options });
  for (let i = 1; i <= count; i++) {
    cluster.start(`m${i}`);
    await cluster.runUntilSafe(30_000);
  }
  if (!cluster.isSafe())
    throw new Error(`no safe cluster of ${count}:\n${cluster.logs.slice(-20).join('\n')}`);
  return cluster;
}

export function memberOf(cluster: SimCluster, host: string): SimMember {
  const member = cluster.members.get(host);
  if (member === undefined) throw new Error(`${host} was never started`);
  return member;
}

export function viewOf(cluster: SimCluster, host: string): View | null {
  return memberOf(cluster, host).member.node.view;
}

/** Hosts of the view that a member has, oldest first; empty when it is in none. */
export function hostsOf(cluster: SimCluster, host: string): string[] {
  return (viewOf(cluster, host)?.members ?? []).map(({ address }) => address.slice(0, address.indexOf(':')));
}

/** A client that is connected to all members, and has been for a while. */
export async function connected(cluster: SimCluster): Promise<Client> {
  const client = cluster.client();
  await done(cluster, client.connect());
  await cluster.scheduler.runFor(3_000);
  return client;
}

/** The first key of k0, k1, ... whose partition fits, with the replicas that a host's view gives it. */
export function keyWhere(
  cluster: SimCluster,
  host: string,
  fits: (replicas: readonly MemberId[], partition: number) => boolean,
): string {
  const table = viewOf(cluster, host)?.table ?? [];
  for (let i = 0; ; i++) {
    const partition = partitionOfKey(encodeKey(`k${i}`), table.length);
    const replicas = table[partition]?.replicas.map(({ member }) => member) ?? [];
    if (fits(replicas, partition)) return `k${i}`;
  }
}

/** A key of a partition that this host has at the index: 0 for the primary. */
export function keyAt(cluster: SimCluster, host: string, index = 0): string {
  const { id } = memberOf(cluster, host).member;
  return keyWhere(cluster, host, (replicas) => replicas[index] === id);
}

/** Runs until every running member of `hosts` has exactly these hosts in its view; false when it takes longer. */
export function runUntilView(
  cluster: SimCluster,
  hosts: readonly string[],
  limitMs: number,
): Promise<boolean> {
  const wanted = [...hosts].sort().join();
  const isThere = () => hosts.every((host) => hostsOf(cluster, host).sort().join() === wanted);
  return cluster.scheduler.runUntil(isThere, cluster.scheduler.now + limitMs);
}

/** Lineages of all running members; null stands for one that is in no view. */
export function lineagesOf(cluster: SimCluster): Set<string | null> {
  return new Set(cluster.running().map(({ member }) => member.node.view?.lineage ?? null));
}

export type Settled<T> = { readonly value: T; readonly error?: never } | { readonly error: Error };

/** Lets virtual time pass until the promise has settled, and says how; throws when it has not after `limitMs`. */
export async function settle<T>(
  cluster: SimCluster,
  promise: Promise<T>,
  limitMs = 30_000,
): Promise<Settled<T>> {
  let outcome: Settled<T> | null = null;
  promise.then(
    (value) => {
      outcome = { value };
    },
    (error: Error) => {
      outcome = { error };
    },
  );
  const { scheduler } = cluster;
  await scheduler.runUntil(() => outcome !== null, scheduler.now + limitMs);
  if (outcome === null) throw new Error(`nothing settled within ${limitMs} ms`);
  return outcome;
}

/** The value of a promise after virtual time has passed; throws its error. */
export async function done<T>(cluster: SimCluster, promise: Promise<T>, limitMs?: number): Promise<T> {
  const outcome = await settle(cluster, promise, limitMs);
  if (outcome.error !== undefined) throw outcome.error;
  return outcome.value;
}

/** Puts `count` entries through a client and returns when all are acknowledged. */
export async function fill(cluster: SimCluster, host: string, name: string, count: number): Promise<void> {
  const map = memberOf(cluster, host).member.getMap<string, number>(name);
  const puts = Array.from({ length: count }, (_, i) => map.set(`k${i}`, i));
  await done(cluster, Promise.all(puts));
}

/** Keys of `fill` that are not there with their values. */
export async function missing(
  cluster: SimCluster,
  host: string,
  name: string,
  count: number,
): Promise<string[]> {
  const map = memberOf(cluster, host).member.getMap<string, number>(name);
  const values = await done(cluster, Promise.all(Array.from({ length: count }, (_, i) => map.get(`k${i}`))));
  return values.flatMap((value, i) => (value === i ? [] : [`k${i}`]));
}

/** Cuts the link between a host and each of the others: what it sends, what it would hear, or both. */
export function isolate(cluster: SimCluster, host: string, what: 'deaf' | 'mute' | 'both'): void {
  for (const other of cluster.members.keys()) {
    if (other === host) continue;
    if (what !== 'mute') cluster.network.cut(other, host);
    if (what !== 'deaf') cluster.network.cut(host, other);
  }
}

/** Starts several processes at their own times, with what each has for `join`. */
export async function startAll(
  cluster: SimCluster,
  starts: readonly {
    readonly host: string;
    readonly atMs: number;
    readonly options?: Partial<MemberOptions>;
  }[],
): Promise<void> {
  for (const { host, atMs, options } of [...starts].sort((a, b) => a.atMs - b.atMs)) {
    await cluster.scheduler.run(atMs);
    cluster.start(host, options);
  }
}
