/** Entry processors over an invoker without a grid: against a plain model, what they may do, and what is refused. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import { installStructures } from '../../client/core/grid.js';
import { Matcher } from '../../partitions/query/matcher.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import type { EntryProcessor, ProcessorEntry } from '../../partitions/user-functions.js';
import {
  BulkError,
  FunctionFailedError,
  OverloadError,
  SerializerMissingError,
  UnknownFunctionError,
  ValueNotReadableError,
  ValueTooLargeError,
} from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import { MAX_VALUE_BYTES, ValueCodec } from '../../src/wire/values.js';
import { someFunctions } from './functions.js';
import { InMemoryInvoker } from './in-memory-invoker.js';
import { Primary, Replica } from './partition-harness.js';

function start(processors: Record<string, EntryProcessor<never, never, never>> = {}) {
  const invoker = new InMemoryInvoker();
  for (const [name, process] of Object.entries(processors))
    invoker.functions.processors.add(name, process as EntryProcessor);
  return { invoker, map: installStructures({}, invoker).getMap<string, unknown>('m') };
}

type Numbers = ProcessorEntry<string, number>;

const byKey = (pairs: readonly (readonly [unknown, unknown])[]) =>
  [...pairs].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));

describe('an entry processor', () => {
  it('does what its function does to a plain Map, on one key, on some and on all', async () => {
    const processors = {
      add: (entry: Numbers, by: number) => {
        const before = entry.exists ? entry.value : null;
        if (by === 0) entry.remove();
        else if (by > 0) entry.value = (before ?? 0) + by;
        return before;
      },
    };
    const key = fc.nat({ max: 7 }).map(String);
    const step = fc.record({
      how: fc.constantFrom('key', 'keys', 'entries', 'set'),
      key,
      keys: fc.array(key, { maxLength: 10 }),
      by: fc.integer({ min: -1, max: 3 }),
    });
    const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { invoker, map } = start(processors);
      const model = new Map<string, number>();
      const run = (one: string, by: number) => {
        const before = model.get(one) ?? null;
        if (by === 0) model.delete(one);
        else if (by > 0) model.set(one, (before ?? 0) + by);
        return before;
      };
      const runAll = (keys: Iterable<string>, by: number) =>
        [...keys].map((one) => [one, run(one, by)] as const).filter(([, before]) => before !== null);
      for (const { how, key: one, keys, by } of steps) {
        const processor = { name: 'add', argument: by };
        if (how === 'set') {
          model.set(one, by);
          await map.set(one, by);
        } else if (how === 'key') expect(await map.executeOnKey(one, processor)).toBe(run(one, by));
        else if (how === 'keys')
          expect(byKey(await map.executeOnKeys(keys, processor))).toEqual(byKey(runAll(new Set(keys), by)));
        else
          expect(byKey(await map.executeOnEntries(processor))).toEqual(byKey(runAll([...model.keys()], by)));
      }
      expect(byKey(await map.entrySet())).toEqual(byKey([...model]));
      for (const { service, log, state } of invoker.primaries.values()) {
        const backup = new Replica(service);
        for (const entry of log) backup.apply(entry);
        expect(backup.state.dump()).toEqual(state.dump());
      }
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('sees key, value and whether there is one, also after it has changed them', async () => {
    const seen: unknown[] = [];
    const look = (entry: ProcessorEntry) => void seen.push([entry.key, entry.exists, entry.value]);
    const { map } = start({
      look: (entry: ProcessorEntry<string, unknown>) => {
        look(entry);
        entry.set({ list: [1] });
        look(entry);
        entry.remove();
        look(entry);
        entry.value = 'last';
        look(entry);
      },
    });
    expect(await map.executeOnKey('k', 'look')).toBeNull();
    expect(seen).toEqual([
      ['k', false, null],
      ['k', true, { list: [1] }],
      ['k', false, null],
      ['k', true, 'last'],
    ]);
    expect(await map.get('k')).toBe('last');
  });

  it('gets a copy of the value and of the argument, which nobody else sees', async () => {
    const { map } = start({
      spoil: (entry: ProcessorEntry<string, number[]>, argument: number[]) => {
        entry.value?.push(9);
        argument.push(9);
        return argument.length;
      },
    });
    await map.putAll([
      ['a', [1]],
      ['b', [1]],
    ]);
    const results = await map.executeOnEntries({ name: 'spoil', argument: [] });
    expect(results.map(([, length]) => length)).toEqual([1, 1]);
    expect(await map.getAll(['a', 'b'])).toEqual([
      ['a', [1]],
      ['b', [1]],
    ]);
  });

  it('writes only what it leaves: nothing when it changes nothing', async () => {
    const { invoker, map } = start();
    await map.set('k', 'v');
    const [primary] = [...invoker.primaries.values()] as [Primary];
    const { seq } = primary;
    expect(await map.executeOnKey('k', 'read')).toBe('v');
    expect(await map.executeOnKey('absent', 'read')).toBeNull();
    expect(await map.executeOnKeys(['k', 'absent'], 'read')).toEqual([['k', 'v']]);
    await map.executeOnKey('absent', 'remove');
    expect(primary.seq).toBe(seq);
    expect(await map.size()).toBe(1);
  });

  it('gives a value a time to live, and sees no entry whose time is over', async () => {
    const { invoker, map } = start();
    await map.executeOnKey('k', { name: 'fade', argument: 1_000 });
    const view = await map.getEntryView('k');
    expect(view).toMatchObject({ value: 'fading', ttl: 1_000 });
    const [primary] = [...invoker.primaries.values()] as [Primary];
    expect(await map.executeOnKey('k', 'read')).toBe('fading');
    primary.wallMs += 1_000;
    expect(await map.executeOnKey('k', 'read')).toBeNull();
    expect(await map.executeOnKeys(['k'], 'read')).toEqual([]);
    expect(await map.executeOnEntries('read')).toEqual([]);
    expect(await map.executeOnKey('k', 'append')).toBe('');
    expect(await map.get('k')).toBe('.');
  });

  it('ends who loads the key', () => {
    const primary = new Primary(MAP.service);
    const key = encodeKey('k');
    const lease = { key, client: 1, token: 1, leaseMs: 1_000, staleMs: 0 };
    const { fence } = primary.run(ops.beginLoad, lease).reply as { fence: unknown };
    primary.run(ops.executeOnKey, { key, processor: 'mark', argument: null });
    const late = { key, fence, value: Buffer.from('late'), ttlMs: 0, staleMs: 0 };
    expect(primary.run(ops.finishLoad, late).reply).toEqual({ isCurrent: false });
  });
});

describe('an entry processor with a predicate', () => {
  const numbers = Array.from({ length: 50 }, (_, i) => [`k${i}`, { n: i, even: i % 2 === 0 }] as const);

  it('runs on the entries that match, and on no other', async () => {
    const { map } = start({
      double: (entry: ProcessorEntry<string, { n: number; even: boolean }>) => {
        const { n, even } = entry.value as { n: number; even: boolean };
        entry.value = { n: 2 * n, even };
        return n;
      },
    });
    await map.putAll(numbers);
    const odd = Predicates.and(Predicates.equal('even', false), Predicates.lessThan('n', 10));
    const results = await map.executeOnEntries<number>('double', odd);
    expect(results.map(([, n]) => n).sort()).toEqual([1, 3, 5, 7, 9]);
    expect(await map.get('k9')).toEqual({ n: 18, even: false });
    expect(await map.get('k11')).toEqual({ n: 11, even: false });
    expect(await map.executeOnEntries('double', Predicates.alwaysFalse())).toEqual([]);
    expect(await map.executeOnEntries('double', Predicates.sql("__key = 'k4'"))).toEqual([['k4', 4]]);
  });

  it('refuses what is no predicate, and names the entries that it cannot look into', async () => {
    const { map, invoker } = start();
    for (const odd of [null, 'n > 5', {}, { kind: 'compare' }])
      await expect(map.executeOnEntries('read', odd as never)).rejects.toThrow(TypeError);
    const custom = new ValueCodec({ encode: () => Buffer.from('!'), decode: () => 'decoded' });
    invoker.primary(ops.set, 0, 'm').run(ops.set, { key: encodeKey('k'), value: custom.encode({}) });
    const call = map.executeOnEntries('mark', Predicates.equal('n', 1));
    const error = (await call.catch((thrown) => thrown)) as BulkError;
    expect(error.refused.map(({ key }) => key)).toEqual(['k']);
    expect(error.refused[0]?.error).toBeInstanceOf(ValueNotReadableError);
    expect(await map.executeOnEntries('mark', Predicates.equal('__key', 'k'))).toEqual([['k', true]]);
  });
});

describe('a processor that goes wrong', () => {
  const fails: Record<string, EntryProcessor<string, unknown, never>> = {
    promises: (entry) => {
      entry.value = 'x';
      return Promise.reject(new Error('later'));
    },
    oddThrow: () => {
      throw Object.create(null);
    },
    badResult: (entry) => {
      entry.value = 'x';
      return () => {};
    },
    badValue: (entry) => {
      entry.value = { f: () => {} };
    },
    noValue: (entry) => {
      entry.value = null;
    },
    badTtl: (entry) => entry.set('x', -1),
    refuses: () => {
      throw new OverloadError('as if the grid had said it');
    },
  };

  it.each([
    ['throw', 'threw: as it should'],
    ['promises', 'returned a promise'],
    ['oddThrow', 'something without a text'],
    ['badResult', 'returned what cannot be stored: value: functions cannot be part of a value'],
    ['badValue', 'stored what cannot be stored: value.f: functions'],
    ['noValue', 'entry.remove() removes the entry'],
    ['badTtl', 'ttlMs: expected whole milliseconds'],
    ['refuses', 'as if the grid had said it'],
  ])('changes nothing, and its caller learns why: %s', async (name, reason) => {
    const { map } = start(fails);
    await map.set('k', 'before');
    const error = (await map.executeOnKey('k', name).catch((thrown) => thrown)) as FunctionFailedError;
    expect(error).toBeInstanceOf(FunctionFailedError);
    expect(error).toMatchObject({ definite: true, retryable: false });
    expect(error.message).toContain(`entry processor ${name}`);
    expect(error.message).toContain(reason);
    expect(await map.get('k')).toBe('before');
    expect(await map.executeOnKey('k', 'read')).toBe('before');
  });

  it('is refused a value or a result that is too large', async () => {
    const large = () => 'x'.repeat(MAX_VALUE_BYTES + 1);
    const { map } = start({ result: large, value: (entry: ProcessorEntry) => void entry.set(large()) });
    for (const name of ['result', 'value'])
      await expect(map.executeOnKey('k', name)).rejects.toThrow(ValueTooLargeError);
    expect(await map.get('k')).toBeNull();
  });

  it('cannot be reached afterwards', async () => {
    const kept: ProcessorEntry[] = [];
    const { map } = start({ keep: (entry: ProcessorEntry) => void kept.push(entry) });
    await map.executeOnKey('k', 'keep');
    const [entry] = kept as [ProcessorEntry];
    for (const late of [() => entry.value, () => entry.key, () => entry.remove(), () => entry.set('x')])
      expect(late).toThrow('an entry is good only while its processor runs');
  });

  it('is refused by name with those that are there, for one key, some and all', async () => {
    const { map } = start();
    const known = /no entry processor "nope" .*it knows append, mark/;
    await map.set('k', 'v');
    for (const call of [
      () => map.executeOnKey('k', 'nope'),
      () => map.executeOnKeys(['k', 'l', 'm'], 'nope'),
      () => map.executeOnEntries('nope'),
    ]) {
      await expect(call()).rejects.toThrow(UnknownFunctionError);
      await expect(call()).rejects.toThrow(known);
    }
  });

  it('is named when only some members know it', async () => {
    const { invoker, map } = start();
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
    invoker.refuse = (_operation, partition) =>
      partition === 3 ? new UnknownFunctionError('no "read" here') : undefined;
    const error = (await map.executeOnKeys(keys, 'read').catch((thrown) => thrown)) as BulkError;
    expect(error).toBeInstanceOf(BulkError);
    expect(error.refused.length + error.done.length).toBe(40);
    expect(error.refused[0]?.error).toBeInstanceOf(UnknownFunctionError);
  });

  it.each([
    [undefined],
    [5],
    [null],
    [{}],
    [{ name: '' }],
    [''],
    ['x'.repeat(257)],
    [{ name: 'read', arg: 1 }],
    [[]],
  ])('is a TypeError when it is no processor: %j', async (processor) => {
    const { invoker, map } = start();
    for (const call of [
      () => map.executeOnKey('k', processor as never),
      () => map.executeOnKeys(['k'], processor as never),
      () => map.executeOnEntries(processor as never),
    ])
      await expect(call()).rejects.toThrow(TypeError);
    expect(invoker.sent).toEqual([]);
  });

  it('tells what to do about a value that was written with another serializer', async () => {
    const { invoker, map } = start();
    const custom = new ValueCodec({ encode: () => Buffer.from('!'), decode: () => 'decoded' });
    const primary = invoker.primary(ops.set, 0, 'm');
    const key = encodeKey('k');
    const request = { key, processor: 'read', argument: null };
    primary.run(ops.set, { key, value: custom.encode({}) });
    expect(() => primary.run(ops.executeOnKey, request)).toThrow(SerializerMissingError);
    expect(() => primary.run(ops.executeOnKey, request)).toThrow(/registry\.serializer at every member/);
    expect(() => primary.run(ops.executeOnKey, { ...request, argument: custom.encode({}) })).toThrow(
      SerializerMissingError,
    );
    const entries = (await map.executeOnEntries('read').catch((thrown) => thrown)) as BulkError;
    expect(entries.refused.map(({ key: one }) => one)).toEqual(['k']);
    expect(entries.refused[0]?.error).toBeInstanceOf(SerializerMissingError);
    // One that does not look at the value does not need it.
    expect(primary.run(ops.executeOnKey, { ...request, processor: 'mark' }).seq).toBeGreaterThan(0);
    invoker.functions.codec.use({ encode: () => Buffer.from('!'), decode: () => 'decoded' });
    primary.run(ops.set, { key, value: custom.encode({}) });
    const { result } = primary.run(ops.executeOnKey, request).reply as { result: Uint8Array };
    expect(Buffer.from(result).toString('utf8', 1)).toBe('decoded');
  });

  it('is warned of when it runs long, once in a while', () => {
    const scheduler = new Scheduler();
    const clock = new SimClock(scheduler, 'test');
    const warned: unknown[] = [];
    let nowMs = 0;
    Object.defineProperty(clock, 'now', { value: () => nowMs });
    const functions = someFunctions({ log: (...line) => void warned.push(line) }, clock);
    const take = (ms: number) =>
      functions.run('entry processor', 'slow', () => {
        nowMs += ms;
      });
    take(40);
    expect(warned).toEqual([]);
    for (let i = 0; i < 20; i++) take(60);
    const event = 'a function of a user held up its member';
    const fields = { function: 'entry processor slow', tookMs: 60 };
    expect(warned).toEqual([['warn', event, fields]]);
    nowMs += 10_000;
    take(60);
    expect(warned).toHaveLength(2);
  });
});

describe('entry processors in bulk', () => {
  it('say for each key what became of it, and keep what was done', async () => {
    const { map } = start({
      oddOnly: (entry: ProcessorEntry<string, number>) => {
        if ((entry.value as number) % 2 === 0) throw new Error(`${entry.key} is even`);
        entry.value = -1;
        return 'done';
      },
    });
    const keys = Array.from({ length: 30 }, (_, i) => `k${i}`);
    await map.putAll(keys.map((key, i) => [key, i]));
    for (const call of [() => map.executeOnKeys(keys, 'oddOnly'), () => map.executeOnEntries('oddOnly')]) {
      await map.putAll(keys.map((key, i) => [key, i]));
      const error = (await call().catch((thrown) => thrown)) as BulkError;
      expect(error).toBeInstanceOf(BulkError);
      expect(error.message).toContain('15 refused');
      expect([...error.done].sort()).toEqual(keys.filter((_, i) => i % 2 === 1).sort());
      expect(error.refused.every(({ error: one }) => one instanceof FunctionFailedError)).toBe(true);
      expect(error.refused[0]?.error.message).toContain('is even');
      const values = new Map(await map.entrySet());
      expect(keys.map((key) => values.get(key))).toEqual(keys.map((_, i) => (i % 2 === 1 ? -1 : i)));
    }
  });

  it('go in pages of bounded size and time, each entry once', async () => {
    const { invoker, map } = start({
      grow: (entry: ProcessorEntry<string, string>) => {
        entry.value = `${entry.value}${'x'.repeat(100_000)}`;
        return 'y'.repeat(50_000);
      },
    });
    const keys = Array.from({ length: 120 }, (_, i) => `k${i}`);
    await map.putAll(keys.map((key) => [key, '.']));
    expect(await map.executeOnEntries('grow')).toHaveLength(120);
    expect(await map.executeOnKeys(keys, 'grow')).toHaveLength(120);
    const pages = invoker.sent.filter(({ operation }) => operation.startsWith('map.execute'));
    expect(pages.length).toBeGreaterThan(20);
    expect(Math.max(...pages.map(({ replyBytes }) => replyBytes))).toBeLessThan(1_200_000);
    for (const [, value] of await map.entrySet()) expect(value).toHaveLength(200_001);

    const slow = new Primary(MAP.service);
    slow.functions.processors.add('slow', () => {
      slow.nowMs += 4;
    });
    for (const key of keys) slow.run(ops.set, { key: encodeKey(key), value: Buffer.from('v') });
    const request = { keys: keys.map(encodeKey), processor: 'slow', argument: null };
    const { results } = slow.run(ops.executeOnKeys, request).reply as { results: unknown[] };
    expect(results).toHaveLength(3);
  });

  it('stop a page before a key that comes twice', () => {
    const primary = new Primary(MAP.service);
    const keys = ['a', 'b', 'a'].map(encodeKey);
    const request = { keys, processor: 'append', argument: null };
    const { results } = primary.run(ops.executeOnKeys, request).reply as { results: unknown[] };
    expect(results).toHaveLength(2);
  });

  it('take each key once however often it is given, and none at all', async () => {
    const { map } = start();
    expect(await map.executeOnKeys([], 'read')).toEqual([]);
    await map.executeOnKeys(['a', 'a', 'a'], 'append');
    expect(await map.get('a')).toBe('.');
  });
});

describe('entry processors on entries that others have locked', () => {
  it('ask a predicate that takes long about few of them in one operation', () => {
    const primary = new Primary(MAP.service);
    const value = new ValueCodec().encode(Array(10_000).fill(2));
    const keys = Array.from({ length: 60 }, (_, i) => encodeKey(i));
    primary.client = 2;
    for (const key of keys) {
      primary.run(ops.set, { key, value });
      primary.run(ops.lock, { key, token: 1, waitMs: 0, leaseMs: 0 });
    }
    primary.client = 1;
    // 50,000 steps for each entry; none matches.
    const predicate = Predicates.equal('this[any]', 1);
    const asked = vi.spyOn(Matcher.prototype, 'matches');
    let operations = 0;
    for (let cursor = 0; cursor >= 0; operations++) {
      asked.mockClear();
      const request = { cursor, predicate, processor: 'read', argument: null };
      const { next, keys: done } = primary.run(ops.executeOnEntries, request).reply as {
        next: number;
        keys: unknown[];
      };
      expect(done).toEqual([]);
      expect(asked.mock.calls.length).toBeLessThanOrEqual(20);
      cursor = next;
    }
    expect(operations).toBeLessThan(10);
    asked.mockRestore();
  });
});
