/** Queues in a simulated split: every item is given out or is still there, and what was given out twice is reported. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { clusterOf, done, memberOf, settle } from '../cluster/scenario.js';

const LEFT = ['m1', 'm2'];
const RIGHT = ['m3', 'm4', 'm5'];
const NAMES = ['q1', 'q2', 'q3', 'q4', 'q5', 'q6'];

const queueOf = (cluster: SimCluster, host: string, name: string) =>
  memberOf(cluster, host).member.getQueue<string>(name).with({ timeoutMs: 500 });

/** Values that the reports name for a queue. */
async function reported(cluster: SimCluster): Promise<string[]> {
  const found: string[] = [];
  for (const report of await done(cluster, memberOf(cluster, 'm2').member.merges())) {
    const iterator = report.entries()[Symbol.asyncIterator]();
    for (;;) {
      const next = await done(cluster, iterator.next());
      if (next.done === true) break;
      found.push(`${next.value.structure}: ${String(next.value.discarded)}`);
    }
  }
  return found.sort();
}

describe('queues of five members that are split', () => {
  it.each([1, 2, 3])('lose nothing and bring nothing back (seed %i)', async (seed) => {
    const cluster = await clusterOf(5, { seed, member: { queues: { default: { backups: { sync: 2 } } } } });
    for (const name of NAMES)
      await done(
        cluster,
        queueOf(cluster, 'm1', name).addAll(['a', 'b', 'c', 'd'].map((t) => `${name} ${t}`)),
      );
    for (const a of LEFT) for (const b of RIGHT) cluster.network.cut(a, b);
    await cluster.scheduler.runFor(10_000);
    const taken: Record<string, string[]> = { m1: [], m3: [] };
    const added = new Set<string>();
    for (const [host, polls] of [
      ['m1', 1],
      ['m3', 2],
    ] as const) {
      for (const name of NAMES) {
        for (let i = 0; i < polls; i++) {
          const polled = await settle(cluster, queueOf(cluster, host, name).poll());
          if (polled.error === undefined && polled.value !== null) taken[host]?.push(polled.value);
        }
        const item = `${name} of ${host}`;
        const offered = await settle(cluster, queueOf(cluster, host, name).offer(item));
        if (offered.error === undefined && offered.value) added.add(item);
      }
    }
    cluster.network.healAll();
    expect(await cluster.runUntilSafe(60_000), `seed ${seed}`).toBe(true);
    await cluster.scheduler.runFor(15_000);
    const [left, right] = [taken.m1 as string[], taken.m3 as string[]];
    // With three replicas of each partition at least one side serves it, and some partitions are served by both.
    const both = left.filter((item) => right.includes(item));
    expect(both.length, `seed ${seed}`).toBeGreaterThan(0);
    const gone = new Set([...left, ...right]);
    for (const name of NAMES) {
      const there = await done(cluster, queueOf(cluster, 'm4', name).toArray());
      const wanted = ['a', 'b', 'c', 'd'].map((t) => `${name} ${t}`).filter((item) => !gone.has(item));
      const ends = [...added].filter((item) => item.startsWith(name));
      expect(there.slice(0, wanted.length), `seed ${seed}`).toEqual(wanted);
      expect(there.slice(wanted.length).sort(), `seed ${seed}`).toEqual(ends.sort());
    }
    expect(await reported(cluster), `seed ${seed}`).toEqual(
      both.map((item) => `${item.slice(0, 2)}: ${item}`).sort(),
    );
  });
});
