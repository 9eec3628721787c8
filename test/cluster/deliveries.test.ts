/** Items that have to be acknowledged, in clusters: they survive crashes, come back from who is gone, and die once. */
import { describe, expect, it } from 'vitest';
import { SimCluster } from '../../chaos/sim/cluster.js';
import type { Client } from '../../client/api.js';
import { partitionOfKey } from '../../partitions/placement.js';
import { encodeKey } from '../../src/wire/keys.js';
import { clusterOf, done, isolate, memberOf, viewOf } from './scenario.js';

const MEMBER = {
  queues: { default: {}, 'jobs*': { maxDeliveries: 2, deadLetterQueue: 'dead' } },
};

/** Host of the primary of a queue. */
function primaryOf(cluster: SimCluster, name: string, asked: string): string {
  const view = viewOf(cluster, asked);
  const partitions = view?.table.length ?? 0;
  const id = view?.table[partitionOfKey(encodeKey(name), partitions)]?.replicas[0]?.member;
  const address = view?.members.find((member) => member.id === id)?.address ?? '';
  return address.slice(0, address.indexOf(':'));
}

/** A name whose primary is that host. */
function nameAt(cluster: SimCluster, host: string, prefix = 'q'): string {
  for (let i = 0; ; i++) if (primaryOf(cluster, `${prefix}${i}`, host) === host) return `${prefix}${i}`;
}

async function connected(cluster: SimCluster): Promise<Client> {
  const client = cluster.client();
  await done(cluster, client.connect());
  return client;
}

describe('an item that is handed out', () => {
  it('survives the crash of its primary with its time anew, and is acknowledged at the next one', async () => {
    const cluster = await clusterOf(3);
    const name = nameAt(cluster, 'm3');
    const queue = (await connected(cluster)).getQueue<string>(name);
    await done(cluster, queue.addAll(['a', 'b', 'c']));
    const a = await done(cluster, queue.take({ ackTimeoutMs: 60_000 }));
    const b = await done(cluster, queue.take({ ackTimeoutMs: 6_000 }));
    await cluster.scheduler.runFor(4_000);
    cluster.crash('m3');
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    expect(await done(cluster, queue.toArray())).toEqual(['c']);
    expect(await done(cluster, a.ack())).toBe(true);
    await cluster.scheduler.runFor(7_000);
    expect(await done(cluster, queue.toArray())).toEqual(['b', 'c']);
    expect(await done(cluster, b.ack())).toBe(false);
    const again = await done(cluster, queue.take({ ackTimeoutMs: 1_000 }));
    expect([again.item, again.deliveryCount]).toEqual(['b', 2]);
  });

  it('moves along when members come', async () => {
    const cluster = await clusterOf(2);
    const queues = ['q1', 'q2', 'q3', 'q4'].map((name) =>
      memberOf(cluster, 'm1').member.getQueue<string>(name),
    );
    for (const queue of queues) await done(cluster, queue.addAll(['a', 'b']));
    const handed = [];
    for (const queue of queues) handed.push(await done(cluster, queue.take({ ackTimeoutMs: 600_000 })));
    for (const host of ['m3', 'm4', 'm5']) cluster.start(host);
    expect(await cluster.runUntilSafe(60_000)).toBe(true);
    await cluster.scheduler.runFor(5_000);
    for (const queue of queues) expect(await done(cluster, queue.inFlight())).toBe(1);
    for (const delivery of handed) expect(await done(cluster, delivery.ack())).toBe(true);
    for (const queue of queues) expect(await done(cluster, queue.inFlight())).toBe(0);
  });

  it('goes to a call that waits as soon as its time is over, or its consumer is gone', async () => {
    const cluster = await clusterOf(3);
    const name = nameAt(cluster, 'm2');
    const [dying, queue] = [
      await connected(cluster),
      memberOf(cluster, 'm1').member.getQueue<string>(name),
    ] as const;
    await done(cluster, queue.add('a'));
    await done(cluster, queue.take({ ackTimeoutMs: 2_000 }));
    const started = cluster.scheduler.now;
    const second = await done(cluster, dying.getQueue(name).take({ ackTimeoutMs: 3_600_000 }), 20_000);
    expect(cluster.scheduler.now - started).toBeGreaterThan(1_900);
    expect(cluster.scheduler.now - started).toBeLessThan(2_600);
    expect(second.deliveryCount).toBe(2);
    await cluster.scheduler.runFor(15_000);
    expect(await done(cluster, queue.size())).toBe(0);
    await done(cluster, dying.shutdown());
    const third = await done(cluster, queue.take({ ackTimeoutMs: 1_000 }), 2_000);
    expect([third.item, third.deliveryCount]).toEqual(['a', 3]);
  });
});

describe('a dead letter', () => {
  it.each(['its own queue', 'the dead-letter queue'] as const)(
    'arrives once when the primary of %s crashes on the way',
    async (whose) => {
      for (const waitMs of [0, 400, 900, 1_010, 1_020, 1_030, 1_050, 1_100]) {
        const cluster = await clusterOf(4, { member: MEMBER });
        const dead = memberOf(cluster, 'm1').member.getQueue<string>('dead');
        const deadAt = primaryOf(cluster, 'dead', 'm1');
        const ownAt = ['m2', 'm3', 'm4'].find((host) => host !== deadAt) as string;
        const jobs = memberOf(cluster, 'm1').member.getQueue<string>(nameAt(cluster, ownAt, 'jobs'));
        await done(cluster, jobs.addAll(['a', 'b', 'c']));
        for (const _ of [1, 2, 3, 4]) {
          const delivery = await done(cluster, jobs.take({ ackTimeoutMs: 10_000 }));
          expect(await done(cluster, delivery.nack())).toBe(true);
        }
        await cluster.scheduler.runFor(waitMs);
        const crashed = whose === 'its own queue' || deadAt === 'm1' ? ownAt : deadAt;
        cluster.crash(crashed);
        expect(await cluster.runUntilSafe(30_000)).toBe(true);
        await cluster.scheduler.runFor(15_000);
        expect(await done(cluster, dead.toArray()), `${waitMs}`).toEqual(['a', 'b']);
        expect(await done(cluster, jobs.toArray())).toEqual(['c']);
        expect(await done(cluster, jobs.inFlight())).toBe(0);
      }
    },
    60_000,
  );

  it.each([false, true])(
    'is there once when its primary dies between the two steps, unless that fault is put in (%s)',
    async (letterDoubled) => {
      const cluster = await clusterOf(4, { member: MEMBER, memberFaults: { letterDoubled } });
      const deadAt = primaryOf(cluster, 'dead', 'm1');
      const ownAt = ['m2', 'm3', 'm4'].find((host) => host !== deadAt) as string;
      const reader = memberOf(cluster, ['m1', 'm2'].find((host) => host !== ownAt) as string).member;
      const jobs = reader.getQueue<string>(nameAt(cluster, ownAt, 'jobs'));
      await done(cluster, jobs.add('a'));
      for (const _ of [1, 2])
        await done(cluster, (await done(cluster, jobs.take({ ackTimeoutMs: 10_000 }))).nack());
      const partition = partitionOfKey(encodeKey('dead'), 11);
      const { holdings } = memberOf(cluster, deadAt).member.node.replication;
      const isBuried = () => (holdings.find(partition)?.find(3, 'dead')?.entryCount ?? 0) > 0;
      expect(await cluster.until(isBuried, 5_000, 1)).toBe(true);
      cluster.crash(ownAt);
      expect(await cluster.runUntilSafe(30_000)).toBe(true);
      await cluster.scheduler.runFor(15_000);
      const dead = await done(cluster, reader.getQueue<string>('dead').toArray());
      expect(dead).toEqual(letterDoubled ? ['a', 'a'] : ['a']);
      expect(await done(cluster, jobs.inFlight())).toBe(0);
    },
  );

  it('is none because of what a primary decides that is cut off, when the queue is consistent', async () => {
    const cluster = new SimCluster({ seed: 1, member: { ...MEMBER, consistency: 'PC/EC' } });
    for (const host of ['m1', 'm2', 'm3']) cluster.start(host, { founds: host === 'm1' });
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    const [other] = ['m1', 'm2'].filter((host) => host !== primaryOf(cluster, 'dead', 'm1')) as [string];
    const reader = memberOf(cluster, other === 'm1' ? 'm2' : 'm1').member;
    const jobs = reader.getQueue<string>(nameAt(cluster, other, 'jobs'));
    await done(cluster, jobs.add('a'));
    expect(await done(cluster, (await done(cluster, jobs.take({ ackTimeoutMs: 10_000 }))).nack())).toBe(true);
    const last = await done(cluster, jobs.take({ ackTimeoutMs: 1_000 }));
    isolate(cluster, other, 'both');
    // There its time is over under the lease; here it begins anew, and is long enough.
    expect(await done(cluster, last.ack())).toBe(true);
    await cluster.scheduler.runFor(3_000);
    cluster.network.healAll();
    await cluster.scheduler.runFor(15_000);
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    expect(await done(cluster, reader.getQueue('dead').toArray())).toEqual([]);
    expect(await done(cluster, jobs.inFlight())).toBe(0);
    expect(await done(cluster, jobs.size())).toBe(0);
  });
});
