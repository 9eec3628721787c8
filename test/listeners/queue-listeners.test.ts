/** Item listeners of queues: in whole clusters, and what a merge of two sides tells. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Grid } from '../../client/core/grid.js';
import type { Actor } from '../../partitions/service.js';
import { QUEUE_OPERATIONS as ops } from '../../partitions/services/queue/ops.js';
import { QUEUE } from '../../partitions/services/queue/proxy.js';
import type { ItemEvent, ItemListener } from '../../partitions/services/queue/proxy-items.js';
import { ValueCodec } from '../../src/wire/values.js';
import { clusterOf, connected, done, memberOf, runUntilView } from '../cluster/scenario.js';
import { EventLog } from '../services/event-log.js';
import { Primary, Replica } from '../services/partition-harness.js';

const member = { partitionCount: 5, timings: 'local' } as const;

/** `+ item` and `- item`, in the order in which it was told. */
class Heard {
  readonly texts: string[] = [];
  readonly events: ItemEvent<string>[] = [];
  readonly gaps: string[] = [];

  get listener(): ItemListener<string> {
    const note = (kind: string) => (event: ItemEvent<string>) => {
      this.texts.push(`${kind} ${event.item}`);
      this.events.push(event);
    };
    return {
      itemAdded: note('+'),
      itemRemoved: note('-'),
      gap: ({ reason }) => void this.gaps.push(reason),
    };
  }
}

async function listening(cluster: SimCluster, grid: Grid): Promise<Heard> {
  const heard = new Heard();
  await done(cluster, grid.getQueue<string>('q').addItemListener(heard.listener, true));
  return heard;
}

describe('an item listener', () => {
  it('is told of each item that is added or removed, in order', async () => {
    const cluster = await clusterOf(3, { seed: 1, member });
    const client = await connected(cluster);
    const heard = await listening(cluster, await connected(cluster));
    const queue = client.getQueue<string>('q');
    await done(cluster, queue.addAll(['a', 'b', 'c', 'd']));
    await done(cluster, queue.poll());
    await done(cluster, queue.remove('c'));
    await done(cluster, queue.clear());
    await cluster.scheduler.runFor(200);
    expect(heard.texts).toEqual(['+ a', '+ b', '+ c', '+ d', '- a', '- c', '- b', '- d']);
    expect(heard.gaps).toEqual([]);
    const [first, second] = heard.events;
    expect(first).toMatchObject({ name: 'q', position: { index: 0 } });
    expect(second?.position).toEqual({ ...first?.position, index: 1 });
    expect(cluster.running().map((one) => one.member.node.id)).toContain(first?.member);
  });

  it('hears of an item that was handed out when it is acknowledged', async () => {
    const cluster = await clusterOf(2, { seed: 2, member });
    const client = await connected(cluster);
    const heard = await listening(cluster, memberOf(cluster, 'm1').member);
    const queue = client.getQueue<string>('q');
    await done(cluster, queue.add('a'));
    const given = await done(cluster, queue.take({ ackTimeoutMs: 60_000 }));
    await done(cluster, given.nack());
    const again = await done(cluster, queue.take({ ackTimeoutMs: 60_000 }));
    await cluster.scheduler.runFor(200);
    expect(heard.texts).toEqual(['+ a']);
    await done(cluster, again.ack());
    await cluster.scheduler.runFor(200);
    expect(heard.texts).toEqual(['+ a', '- a']);
  });

  it.each(['m1', 'm2', 'm3'])('goes on without a gap when %s crashes', async (crashed) => {
    const cluster = await clusterOf(4, { seed: 3, member });
    const client = await connected(cluster);
    const heard = await listening(cluster, client);
    const queue = client.getQueue<string>('q');
    for (let i = 0; i < 10; i++) await done(cluster, queue.add(`${i}`));
    for (let i = 0; i < 5; i++) await done(cluster, queue.poll());
    cluster.crash(crashed);
    for (let i = 10; i < 15; i++) await done(cluster, queue.add(`${i}`));
    for (let i = 0; i < 10; i++) await done(cluster, queue.poll());
    const left = ['m1', 'm2', 'm3', 'm4'].filter((name) => name !== crashed);
    await runUntilView(cluster, left, 10_000);
    await cluster.scheduler.runFor(2_000);
    const numbers = (from: number, to: number, sign: string) =>
      Array.from({ length: to - from }, (_, i) => `${sign} ${from + i}`);
    const before = [...numbers(0, 10, '+'), ...numbers(0, 5, '-')];
    expect(heard.texts).toEqual([...before, ...numbers(10, 15, '+'), ...numbers(5, 15, '-')]);
    expect(heard.gaps).toEqual([]);
  });

  it('hears nothing any more once it is removed, and no items unless it asks for them', async () => {
    const cluster = await clusterOf(2, { seed: 4, member });
    const queue = (await connected(cluster)).getQueue<string>('q');
    const heard = new Heard();
    const id = await done(cluster, queue.addItemListener(heard.listener));
    await done(cluster, queue.add('a'));
    await cluster.scheduler.runFor(100);
    expect(await done(cluster, queue.removeItemListener(id))).toBe(true);
    expect(await done(cluster, queue.removeItemListener(id))).toBe(false);
    await done(cluster, queue.add('b'));
    await cluster.scheduler.runFor(16_000);
    expect(heard.texts).toEqual(['+ null']);
    for (const one of cluster.running()) {
      const { teller } = one.member.node.near.listening;
      expect([teller.size, teller.budget.rings, teller.budget.sizeBytes]).toEqual([0, 0, 0]);
    }
  });

  it('is refused with a TypeError when it is none', async () => {
    const cluster = await clusterOf(1, { seed: 5, member });
    const queue = (await connected(cluster)).getQueue('q');
    const add = (...given: unknown[]) => queue.addItemListener(...(given as [object]));
    await expect(add(undefined)).rejects.toThrow(/listener: expected an object of functions, got undefined/);
    await expect(add({ added: () => {} })).rejects.toThrow(TypeError);
    await expect(add({ itemAdded: 1 })).rejects.toThrow(
      /listener.itemAdded: expected a function, got number/,
    );
    await expect(add({ gap() {} }, 'yes')).rejects.toThrow(/includeValue: expected a boolean, got string/);
    await expect(queue.removeItemListener(1 as never)).rejects.toThrow(/id: expected a string, got number/);
  });
});

describe('the events of a merge of queues', () => {
  const codec = new ValueCodec();
  const actor = (n: number): Actor => ({ memberHi: n, memberLo: n, lineage: n, epoch: n });
  const item = (text: string) => ({ item: codec.encode(text), waitMs: 0 });

  it('are the items and removals that it brought, once, the same on a backup', () => {
    const before = new Primary(QUEUE.service);
    before.run(ops.offer, item('old'));
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    const backup = new Replica(QUEUE.service);
    for (const entry of owner.log) backup.apply(entry);
    source.run(ops.poll, { waitMs: 0 });
    source.run(ops.offer, item('new'));
    const [told, toldThere] = [new EventLog(), new EventLog()];
    owner.state.events = told;
    backup.state.events = toldThere;
    const known = owner.log.length;
    for (let times = 0; times < 2; times++)
      for (const page of source.changes({ sharedSeq: before.seq, skipped: new Map() }))
        owner.merge(page, { sharedSeq: before.seq });
    expect(told.lines.map((line) => line.split(' ')[1]).sort()).toEqual(['added', 'removed']);
    for (const entry of owner.log.slice(known)) backup.apply(entry);
    expect(toldThere.lines).toEqual(told.lines);
  });
});
