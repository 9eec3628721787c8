/** Arguments that would do nothing, or something else than they say, are refused before anything is sent. */
import { describe, expect, it } from 'vitest';
import { installStructures } from '../../client/core/grid.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { clusterOf, connected, done, memberOf } from '../cluster/scenario.js';
import { InMemoryInvoker } from './in-memory-invoker.js';

const invoker = new InMemoryInvoker();
const grid = installStructures({}, invoker);
const map = grid.getMap<unknown, unknown>('m');
const listener = { added() {} };
const predicate = Predicates.greaterThan('age', 3);

const CALLS: readonly (readonly [string, () => unknown, RegExp])[] = [
  [
    'a map listener without functions',
    () => map.addEntryListener({}),
    /^listener: expected at least one of the functions added, /,
  ],
  [
    'one with fields that are undefined',
    () => map.addEntryListener({ added: undefined } as never),
    /^listener: expected at least one/,
  ],
  [
    'one with a predicate',
    () => map.addEntryListenerWithPredicate({}, predicate),
    /^listener: expected at least one/,
  ],
  ['of a multimap', () => grid.getMultiMap('m').addEntryListener({}), /^listener: expected at least one/],
  [
    'of a queue',
    () => grid.getQueue('q').addItemListener({}),
    /^listener: expected at least one .* itemAdded, itemRemoved, gap/,
  ],
  [
    'of a topic',
    () => grid.getTopic('t').addMessageListener({}),
    /^listener: expected at least one .* message, gap/,
  ],
  [
    'a predicate as key',
    () => map.addEntryListener(listener, predicate),
    /^key: .*addEntryListenerWithPredicate/,
  ],
  [
    'one of text as key',
    () => map.addEntryListener(listener, Predicates.sql('a = 1')),
    /^key: expected a key, got a predicate/,
  ],
  [
    'a page as key',
    () => map.addEntryListener(listener, Predicates.paging(predicate, 3)),
    /^key: expected a key, got a pred/,
  ],
  [
    'a predicate as key of events',
    () => map.with({}).events({ key: predicate }),
    /nothing can be listened|^key: expected a key/,
  ],
  ['greaterThan null', () => Predicates.greaterThan('a', null), /^value: null has no order/],
  ['greaterEqual null', () => Predicates.greaterEqual('a', null), /^value: null has no order/],
  ['lessThan null', () => Predicates.lessThan('a', null), /^value: null has no order/],
  ['lessEqual null', () => Predicates.lessEqual('a', null), /^value: null has no order/],
  ['between null', () => Predicates.between('a', 1, null), /^value: null has no order/],
  [
    'a third argument',
    () => map.executeOnKey('a', 'inc', 5 as never),
    /^processor: there is no third argument.*\{ name, argument \}/,
  ],
  [
    'the same of keys',
    () => map.executeOnKeys(['a'], 'inc', 5 as never),
    /^processor: there is no third argument/,
  ],
  [
    'a text as attributes',
    () => map.addIndex({ attributes: 'n' } as never),
    /^index\.attributes: expected an array of 1 to 4 paths, got string/,
  ],
  [
    'no attributes',
    () => map.addIndex({ attributes: [] }),
    /^index\.attributes: expected an array of 1 to 4 paths, got 0 of them/,
  ],
];

describe('refused', () => {
  it.each(CALLS)('%s', async (_name, call, text) => {
    const sent = invoker.sent.length;
    const error = await (async () => call())().catch((why: Error) => why);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toMatch(text);
    expect(invoker.sent.length).toBe(sent);
  });
});

describe('taken', () => {
  it('a listener of gaps alone, a boolean as key, and plain objects that look a little like predicates', async () => {
    const cluster = await clusterOf(1, { seed: 1, member: { partitionCount: 3 } });
    const users = (await connected(cluster)).getMap<unknown, unknown>('users');
    const told: unknown[] = [];
    const note = { added: ({ key }: { readonly key: unknown }) => void told.push(key) };
    expect(await done(cluster, users.addEntryListener({ gap() {} }))).toBeTypeOf('string');
    for (const key of [true, { kind: 'alwaysTrue' }, Object.freeze({ kind: 'compare' })])
      await done(cluster, users.addEntryListener(note, key));
    await done(cluster, users.set(true, 1));
    await done(cluster, users.set(false, 1));
    await done(cluster, users.set({ kind: 'alwaysTrue' }, 1));
    await cluster.scheduler.runFor(1_000);
    expect(told).toEqual([true, { kind: 'alwaysTrue' }]);
    expect(Predicates.equal('a', null)).toMatchObject({ is: '=', value: null });
  });

  it('only events that there are, by clients and members', async () => {
    const cluster = await clusterOf(1, { seed: 2, member: { partitionCount: 3 } });
    const client = await connected(cluster);
    const { member } = memberOf(cluster, 'm1');
    for (const one of [client, member] as const) {
      expect(() => one.on('foo' as never, () => {})).toThrow(/^event: "foo" is none of .*lineage, .*merged/);
      expect(() => one.on('view' as 'merged', undefined as never)).toThrow(
        'listener: expected a function, got undefined',
      );
      one.on('view' as 'merged', () => {})();
      one.on('merged', () => {})();
    }
    for (const event of ['state', 'memberConnected', 'memberDisconnected', 'lineage'] as const)
      client.on(event, () => {})();
    for (const event of ['removed', 'partitionLost', 'lineage', 'storeFailed'] as const)
      member.on(event, () => {})();
  });
});
