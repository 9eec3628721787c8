/** Listening to the items of a queue: each change once and in order, also across a crash, and nothing else. */
import { describe, expect, it } from 'vitest';
import type { ItemListener } from '../../partitions/services/queue/proxy-items.js';
import { clusterOf, connected, done, memberOf, viewOf } from '../cluster/scenario.js';

function recorded(): { readonly lines: string[]; readonly listener: ItemListener<string> } {
  const lines: string[] = [];
  return {
    lines,
    listener: {
      itemAdded: ({ item }) => void lines.push(`+${item}`),
      itemRemoved: ({ item }) => void lines.push(`-${item}`),
      gap: ({ reason }) => void lines.push(`gap ${reason}`),
    },
  };
}

describe('a listener of a queue', () => {
  it('hears of items that come and go, not of those that are handed out or come back', async () => {
    const cluster = await clusterOf(3);
    const queue = (await connected(cluster)).getQueue<string>('jobs');
    await done(cluster, queue.add('before'));
    const [all, blind] = [recorded(), recorded()];
    const id = await done(cluster, queue.addItemListener(all.listener, true));
    await done(cluster, queue.addItemListener(blind.listener));
    await done(cluster, queue.addAll(['a', 'b', 'c', 'd']));
    await done(cluster, queue.poll());
    const a = await done(cluster, queue.take({ ackTimeoutMs: 5_000 }));
    await done(cluster, a.nack());
    const again = await done(cluster, queue.take({ ackTimeoutMs: 5_000 }));
    expect(await done(cluster, again.ack())).toBe(true);
    await done(cluster, queue.remove('c'));
    await done(cluster, queue.take({ ackTimeoutMs: 5_000 }));
    await done(cluster, queue.clear());
    await cluster.scheduler.runFor(1_000);
    expect(all.lines).toEqual(['+a', '+b', '+c', '+d', '-before', '-a', '-c', '-b', '-d']);
    expect(blind.lines).toEqual(all.lines.map((line) => `${line[0]}null`));
    expect(await done(cluster, queue.removeItemListener(id))).toBe(true);
    expect(await done(cluster, queue.removeItemListener(id))).toBe(false);
    await done(cluster, queue.add('after'));
    await cluster.scheduler.runFor(1_000);
    expect(all.lines).toHaveLength(9);
    expect(blind.lines).toHaveLength(10);
  });

  it('goes on where it was when the primary crashes and members come', async () => {
    const cluster = await clusterOf(4);
    const queue = (await connected(cluster)).getQueue<string>('jobs');
    const { lines, listener } = recorded();
    await done(cluster, queue.addItemListener(listener, true));
    const wanted: string[] = [];
    for (let i = 0; i < 40; i++) {
      await done(cluster, queue.add(`${i}`), 20_000);
      wanted.push(`+${i}`);
      if (i % 4 === 3) wanted.push(`-${await done(cluster, queue.poll(), 20_000)}`);
      if (i === 20) {
        const serving = cluster
          .running()
          .find(
            ({ host, member }) =>
              host !== 'm1' && member.node.replication.status().some(({ role }) => role === 'primary'),
          );
        if (serving !== undefined) cluster.crash(serving.host);
      }
      if (i === 30) cluster.start('m9');
    }
    expect(await cluster.runUntilSafe(60_000)).toBe(true);
    await cluster.scheduler.runFor(2_000);
    expect(lines).toEqual(wanted);
    expect(viewOf(cluster, 'm9')?.members).toHaveLength(4);
  });

  it('is refused when it is none', async () => {
    const cluster = await clusterOf(1);
    const queue = memberOf(cluster, 'm1').member.getQueue<string>('jobs') as unknown as {
      addItemListener(...args: unknown[]): Promise<string>;
      removeItemListener(...args: unknown[]): Promise<boolean>;
    };
    for (const bad of [null, 5, () => {}, { itemAdded: 5 }, { added: () => {} }])
      await expect(queue.addItemListener(bad)).rejects.toThrow(TypeError);
    await expect(queue.addItemListener({}, 'yes')).rejects.toThrow('includeValue: expected a boolean');
    await expect(queue.removeItemListener(5)).rejects.toThrow('id: expected a string');
  });
});
