/** Errors name the method that was called, whatever the operation behind it is called. */
import { expect, it } from 'vitest';
import { Predicates } from '../../partitions/query/predicates.js';
import { clusterOf, connected, done, settle } from './scenario.js';

it('a call that is not answered is named as it was called', async () => {
  const cluster = await clusterOf(1, { seed: 1, member: { partitionCount: 3 } });
  const client = await connected(cluster);
  const map = client.getMap<string, number>('s').with({ timeoutMs: 300 });
  const tags = client.getMultiMap<string, number>('s').with({ timeoutMs: 300 });
  const queue = client.getQueue<number>('s').with({ timeoutMs: 300 });
  const long = client.getAtomicLong('s').with({ timeoutMs: 300 });
  await done(cluster, queue.addAll([1, 2]));
  const delivery = await done(cluster, queue.take({ ackTimeoutMs: 60_000 }));
  cluster.crash('m1');
  const calls: Readonly<Record<string, () => Promise<unknown>>> = {
    'queue.put': () => queue.with({ timeoutMs: 300 }).put(1),
    'queue.add': () => queue.add(1),
    'queue.offer': () => queue.offer(1),
    'queue.poll': () => queue.poll(),
    'queue.take': () => queue.take({ ackTimeoutMs: 1_000 }),
    'queue.drainTo': () => queue.drainTo([]),
    'queue.toArray': () => queue.toArray(),
    'queue.isEmpty': () => queue.isEmpty(),
    'queue.contains': () => queue.contains(1),
    'queue.ack': () => delivery.ack(),
    'map.putAll': () => map.putAll([['a', 1]]),
    'map.setAll': () => map.setAll([['a', 1]]),
    'map.isEmpty': () => map.isEmpty(),
    'map.keySet': () => map.keySet(),
    'map.remove': () => map.remove('a', 1),
    'map.tryLock': () => map.tryLock('a'),
    'map.valuesWithPredicate': () => map.valuesWithPredicate(Predicates.alwaysTrue()),
    'map.removeAll': () => map.removeAll(Predicates.alwaysTrue()),
    'map.addIndex': () => map.addIndex({ type: 'SORTED', attributes: ['age'] }),
    'multiMap.delete': () => tags.delete('a'),
    'atomicLong.addAndGet': () => long.incrementAndGet(),
    'atomicLong.alterAndGet': () => long.alterAndGet('f'),
  };
  for (const [name, call] of Object.entries(calls)) {
    const { error } = await settle(cluster, call(), 40_000);
    expect(error?.message).toContain(`${name} on 's'`);
  }
});

it('an argument that is wrong is named as it is written', async () => {
  const cluster = await clusterOf(1, { seed: 2, member: { partitionCount: 3 } });
  const client = await connected(cluster);
  const queue = client.getQueue<number>('q');
  await done(cluster, queue.add(1));
  const delivery = await done(cluster, queue.take({ ackTimeoutMs: 60_000 }));
  await expect(delivery.extend(-1)).rejects.toThrow(
    /^extend: expected whole milliseconds, 1 to 86400000, got -1$/,
  );
  const listener = { addded() {} } as never;
  await expect(client.getMap('m').addEntryListener(listener)).rejects.toThrow(
    /^listener: addded is none of added, /,
  );
  await expect(queue.addItemListener(listener)).rejects.toThrow(/^listener: addded is none of itemAdded, /);
});
