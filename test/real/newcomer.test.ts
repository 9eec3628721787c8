/** What people do wrong at first, and how they are told; and loops that end with the process's side. */
import { expect, it } from 'vitest';
import { Predicates } from '../../src/index.js';
import { startCluster } from '../../src/testing.js';

it('loops over events and messages end when the client is shut down, with what had come', async () => {
  const cluster = await startCluster({ members: 1, member: { partitionCount: 7 } });
  const map = cluster.client.getMap<string, number>('m');
  const topic = cluster.client.getTopic<string>('t');
  const [events, messages] = [map.events({ includeValue: true }), topic.messages()];
  await Promise.all([events.ready(), messages.ready()]);
  await map.set('a', 1);
  await topic.publish('hello');
  const seen: unknown[] = [];
  const loops = [
    (async () => {
      for await (const event of events) seen.push(event.type);
    })(),
    (async () => {
      for await (const event of messages) seen.push(event.type);
    })(),
  ];
  await expect.poll(() => [...seen].sort()).toEqual(['added', 'message']);
  await cluster.shutdown();
  await Promise.all(loops);
  const late = await map
    .events()
    .ready()
    .catch((error: Error) => error);
  expect(late).toMatchObject({ code: 'ERR_CLIENT_CLOSED' });
});

it('a text is no list of keys, an object no list of entries, and a page no predicate', async () => {
  await using cluster = await startCluster({ members: 1, member: { partitionCount: 7 } });
  const map = cluster.client.getMap<string, number>('m');
  const keys = 'expected an iterable, for example an array of keys, got the text "ab"';
  await expect(map.getAll('ab')).rejects.toThrow(keys);
  await expect(map.executeOnKeys('ab', 'none')).rejects.toThrow(keys);
  await expect(map.loadAll('ab' as never)).rejects.toThrow(keys);
  await expect(map.putAll({ a: 1 } as never)).rejects.toThrow('an array of pairs [key, value], got object');
  const page = Predicates.paging(Predicates.alwaysTrue(), 2);
  await expect(map.removeAll(page as never)).rejects.toThrow('pages are only for keySetWithPredicate');
});

it('a cluster with options that it does not know is not started', async () => {
  await expect(startCluster({ size: 3 } as never)).rejects.toThrow(
    'size is none of members, member, register, client',
  );
  await expect(startCluster({ register: {} as never })).rejects.toThrow('register: expected a function');
});
