/** Calls of queues that wait: they end when something comes or their time is over, and take nothing for who is gone. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Client } from '../../client/api.js';
import { partitionOfKey } from '../../partitions/placement.js';
import type { GridQueue } from '../../partitions/services/queue/proxy.js';
import { IndeterminateError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import { clusterOf, done, memberOf, type Settled, settle, viewOf } from './scenario.js';

const MEMBER = { queues: { default: { maxSize: 2 } } };

/** Host of the primary of a queue. */
function primaryOf(cluster: SimCluster, name: string, asked = 'm1'): string {
  const view = viewOf(cluster, asked);
  const id = view?.table[partitionOfKey(encodeKey(name), 11)]?.replicas[0]?.member;
  const address = view?.members.find((member) => member.id === id)?.address ?? '';
  return address.slice(0, address.indexOf(':'));
}

/** A name whose primary is that host. */
function nameAt(cluster: SimCluster, host: string): string {
  for (let i = 0; ; i++) if (primaryOf(cluster, `q${i}`) === host) return `q${i}`;
}

function parkedAt(cluster: SimCluster, host: string): number {
  return memberOf(cluster, host).member.node.executor.parked.size;
}

async function connected(
  cluster: SimCluster,
  options: Parameters<SimCluster['client']>[0] = {},
): Promise<Client> {
  const client = cluster.client(options);
  await done(cluster, client.connect());
  return client;
}

/** Without letting time pass. */
const outcomeOf = <T>(promise: Promise<T>): Promise<Settled<T>> =>
  promise.then(
    (value) => ({ value }),
    (error: Error) => ({ error }),
  );

const queueOf = (grid: { getQueue<E>(name: string): GridQueue<E> }, name: string) =>
  grid.getQueue<string>(name);

describe('a call that waits', () => {
  it('gets the item that comes, each call one, in the order in which they came', async () => {
    const cluster = await clusterOf(3, { member: MEMBER });
    const name = nameAt(cluster, 'm2');
    const queues = [];
    for (let i = 0; i < 3; i++) queues.push(queueOf(await connected(cluster), name));
    const got: string[] = [];
    for (const [i, queue] of queues.entries()) {
      void queue.poll(20_000).then((item) => got.push(`${i} ${item}`));
      await cluster.scheduler.runFor(50);
    }
    expect(parkedAt(cluster, 'm2')).toBe(3);
    // Longer than a caller may be silent: it has asked again meanwhile.
    await cluster.scheduler.runFor(8_000);
    expect(await done(cluster, queueOf(memberOf(cluster, 'm1').member, name).addAll(['a', 'b']))).toBe(true);
    await cluster.scheduler.runFor(500);
    expect(got).toEqual(['0 a', '1 b']);
    expect(parkedAt(cluster, 'm2')).toBe(1);
    await cluster.scheduler.runFor(15_000);
    expect(got).toEqual(['0 a', '1 b', '2 null']);
    expect(parkedAt(cluster, 'm2')).toBe(0);
  });

  it('waits for room, and for as long as it takes', async () => {
    const cluster = await clusterOf(2, { member: MEMBER });
    const queue = queueOf(memberOf(cluster, 'm1').member, 'q');
    await done(cluster, queue.addAll(['a', 'b']));
    expect(await done(cluster, queue.offer('no', 300))).toBe(false);
    const put = queue.put('c');
    await cluster.scheduler.runFor(70_000);
    expect(await done(cluster, queue.poll())).toBe('a');
    await done(cluster, put);
    expect(await done(cluster, queue.toArray())).toEqual(['b', 'c']);
    await done(cluster, queue.clear());
    const taken = queue.take();
    await cluster.scheduler.runFor(70_000);
    await done(cluster, queueOf(memberOf(cluster, 'm2').member, 'q').put('d'));
    expect(await done(cluster, taken)).toBe('d');
  });

  it('goes on at the new primary when the old one crashes, or hands over', async () => {
    for (const how of ['crash', 'leave'] as const) {
      const cluster = await clusterOf(4, { member: MEMBER, seed: how === 'crash' ? 1 : 2 });
      const name = nameAt(cluster, 'm4');
      const client = await connected(cluster);
      const polled = queueOf(client, name).poll(60_000);
      await cluster.scheduler.runFor(1_000);
      expect(parkedAt(cluster, 'm4'), how).toBe(1);
      if (how === 'crash') cluster.crash('m4');
      else void cluster.leave('m4');
      await cluster.scheduler.runFor(12_000);
      const primary = primaryOf(cluster, name);
      expect(primary, how).not.toBe('m4');
      expect(parkedAt(cluster, primary), how).toBe(1);
      await done(cluster, queueOf(memberOf(cluster, 'm1').member, name).add('a'));
      expect(await done(cluster, polled), how).toBe('a');
      expect(await done(cluster, queueOf(client, name).size()), how).toBe(0);
    }
  });

  it('goes on while presets change and members come, and takes one item once', async () => {
    const cluster = await clusterOf(3, { member: { ...MEMBER, founds: true } });
    const { member } = memberOf(cluster, 'm1');
    const name = nameAt(cluster, 'm3');
    const polled = queueOf(await connected(cluster), name).poll(60_000);
    await cluster.scheduler.runFor(500);
    for (const preset of ['PC/EC', 'PA/EL', 'PC/EL', 'PA/EC'] as const) {
      await done(cluster, member.setConsistency({ queue: name }, preset), 3_000);
      await cluster.scheduler.runFor(1_000);
      expect(parkedAt(cluster, 'm3'), preset).toBe(1);
    }
    for (const host of ['m4', 'm5']) cluster.start(host);
    expect(await cluster.runUntilSafe(30_000)).toBe(true);
    await cluster.scheduler.runFor(5_000);
    expect(parkedAt(cluster, primaryOf(cluster, name))).toBe(1);
    expect(await done(cluster, queueOf(member, name).addAll(['a', 'b']))).toBe(true);
    expect(await done(cluster, polled)).toBe('a');
    await cluster.scheduler.runFor(5_000);
    expect(await done(cluster, queueOf(member, name).toArray())).toEqual(['b']);
  });

  it('is answered as the preset of the moment says, not as that of its beginning', async () => {
    const cluster = await clusterOf(3, { member: { queues: { default: { consistency: 'PA/EL' } } } });
    const { member } = memberOf(cluster, 'm1');
    const name = nameAt(cluster, 'm3');
    const queue = queueOf(await connected(cluster), name);
    const got: (string | null)[] = [];
    const poll = () => void queue.poll(20_000).then((item) => got.push(item));
    const addUnseen = async (item: string) => {
      for (const host of ['m1', 'm2']) cluster.network.setLink('m3', host, { loss: 1 });
      void queue.add(item);
      await cluster.scheduler.runFor(500);
    };
    poll();
    await cluster.scheduler.runFor(500);
    await addUnseen('at once');
    expect(got).toEqual(['at once']);
    for (const host of ['m1', 'm2']) cluster.network.setLink('m3', host, { loss: 0 });
    poll();
    await cluster.scheduler.runFor(500);
    await done(cluster, member.setConsistency({ queue: name }, 'PA/EC'));
    await addUnseen('on a backup');
    expect(got).toEqual(['at once']);
    for (const host of ['m1', 'm2']) cluster.network.setLink('m3', host, { loss: 0 });
    await cluster.scheduler.runFor(5_000);
    expect(got).toEqual(['at once', 'on a backup']);
  });

  it.each(['all', 'single'] as const)(
    'takes nothing for a client that is gone (routing %s)',
    async (routing) => {
      const cluster = await clusterOf(3, { member: MEMBER });
      const name = nameAt(cluster, 'm3');
      const members = routing === 'all' ? ['m3:5701'] : ['m1:5701'];
      const client = await connected(cluster, { routing, members });
      const polled = outcomeOf(queueOf(client, name).take());
      await cluster.scheduler.runFor(500);
      expect(parkedAt(cluster, 'm3')).toBe(1);
      await done(cluster, client.shutdown());
      await cluster.scheduler.runFor(100);
      expect(parkedAt(cluster, 'm3')).toBe(0);
      const queue = queueOf(memberOf(cluster, 'm1').member, name);
      await done(cluster, queue.add('a'));
      await cluster.scheduler.runFor(10_000);
      expect(await done(cluster, queue.size())).toBe(1);
      expect((await done(cluster, polled)).error).toBeDefined();
    },
  );

  it('takes nothing for a client that is silent without having said that it goes', async () => {
    const cluster = await clusterOf(3, { member: MEMBER });
    const name = nameAt(cluster, 'm3');
    const client = await connected(cluster);
    void queueOf(client, name)
      .poll(60_000)
      .catch(() => {});
    await cluster.scheduler.runFor(500);
    for (const host of ['m1', 'm2', 'm3']) cluster.network.cut('c1', host);
    await cluster.scheduler.runFor(6_000);
    const queue = queueOf(memberOf(cluster, 'm1').member, name);
    await done(cluster, queue.add('a'));
    await cluster.scheduler.runFor(1_000);
    expect(await done(cluster, queue.size())).toBe(1);
  });

  it('takes nothing any more once it was aborted, and can tell so', async () => {
    const cluster = await clusterOf(3, { member: MEMBER });
    const client = await connected(cluster);
    const abort = new AbortController();
    const outcome = outcomeOf(queueOf(client, 'q').with({ signal: abort.signal }).take());
    await cluster.scheduler.runFor(3_000);
    abort.abort(new Error('enough'));
    const { error } = await done(cluster, outcome);
    expect(error).toBeInstanceOf(IndeterminateError);
    await cluster.scheduler.runFor(100);
    const queue = queueOf(memberOf(cluster, 'm1').member, 'q');
    await done(cluster, queue.add('a'));
    await cluster.scheduler.runFor(5_000);
    expect(await done(cluster, queue.size())).toBe(1);
    expect(await done(cluster, (error as IndeterminateError).resolve())).toEqual({ outcome: 'not done' });
  });

  it('is woken by what a merge brings', async () => {
    const cluster = await clusterOf(5, { member: { queues: { default: { backups: { sync: 2 } } } } });
    const [left, right] = [
      ['m1', 'm2'],
      ['m3', 'm4', 'm5'],
    ] as const;
    for (const a of left) for (const b of right) cluster.network.cut(a, b);
    await cluster.scheduler.runFor(10_000);
    const names = ['q1', 'q2', 'q3', 'q4', 'q5', 'q6'];
    const added: string[] = [];
    for (const name of names) {
      const queue = queueOf(memberOf(cluster, 'm1').member, name).with({ timeoutMs: 300 });
      if ((await settle(cluster, queue.add(`of ${name}`))).error === undefined) added.push(name);
    }
    expect(added.length).toBeGreaterThan(0);
    const polled = added.map((name) => queueOf(memberOf(cluster, 'm3').member, name).poll(120_000));
    await cluster.scheduler.runFor(2_000);
    cluster.network.healAll();
    expect(await done(cluster, Promise.all(polled), 110_000)).toEqual(added.map((name) => `of ${name}`));
  });

  it('finds no place when too many wait, and those that do are served', async () => {
    const cluster = await clusterOf(1, { member: MEMBER });
    const { member } = memberOf(cluster, 'm1');
    const calls = Array.from({ length: 10_000 }, () => outcomeOf(queueOf(member, 'q').poll(20_000)));
    await cluster.scheduler.runFor(100);
    expect(parkedAt(cluster, 'm1')).toBe(10_000);
    // One more is refused, again and again, until its time is over.
    expect(await done(cluster, queueOf(member, 'other').poll(500))).toBeNull();
    expect(parkedAt(cluster, 'm1')).toBe(10_000);
    expect(member.node.calls.retries).toBeGreaterThan(0);
    await done(cluster, queueOf(member, 'q').add('a'));
    const got = await done(cluster, Promise.all(calls), 60_000);
    expect(got.filter((outcome) => outcome.error === undefined && outcome.value === 'a')).toHaveLength(1);
    expect(got.filter((outcome) => outcome.error === undefined && outcome.value === null)).toHaveLength(
      9_999,
    );
  });
});
