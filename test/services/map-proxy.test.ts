/** The API of the map over an invoker without a grid, against a plain Map, and how it divides large calls. */
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { installStructures } from '../../client/core/grid.js';
import { Predicates } from '../../partitions/query/predicates.js';
import type { GridMap } from '../../partitions/services/map/proxy.js';
import { BulkError, IndeterminateError, OverloadError, ValueTooLargeError } from '../../src/base/errors.js';
import { withAffinity } from '../../src/wire/keys.js';
import { MAX_VALUE_BYTES } from '../../src/wire/values.js';
import { InMemoryInvoker } from './in-memory-invoker.js';
import { Replica, START_MS } from './partition-harness.js';

function start<K = unknown, V = unknown>(partitionCount = 7) {
  const invoker = new InMemoryInvoker(partitionCount);
  return { invoker, map: installStructures({}, invoker).getMap<K, V>('users') };
}

/** Pairs in an order that does not depend on hashes. */
function sorted<T>(items: readonly T[]): T[] {
  return [...items].sort((a, b) => (inspect(a) < inspect(b) ? -1 : 1));
}

const KEYS: readonly unknown[] = [
  ...['a', 'b', 'ü', '', 0, 1, '1', true, 2n, { a: 1 }, ['x', 1]],
  ...[withAffinity('a', 'b'), withAffinity('a', 1), Buffer.from('a')],
];
const VALUES: readonly unknown[] = ['x', 'y', '', 1, 2.5, { name: 'n', list: [1, 2] }, Buffer.from('x'), 3n];

describe('a map', () => {
  it('does what a plain Map does, call by call', async () => {
    const key = fc.nat({ max: KEYS.length - 1 });
    const value = fc.nat({ max: VALUES.length - 1 });
    const method = fc.constantFrom(
      ...'get put set putIfAbsent replace replaceIfSame remove removeIfSame delete evict containsKey'.split(
        ' ',
      ),
      ...'containsValue size isEmpty getAll putAll setAll keySet values entrySet iterate'.split(' '),
      ...'clear evictAll destroy'.split(' '),
    );
    const step = fc.record({ method, key, value, other: value, pairs: fc.array(fc.tuple(key, value)) });
    const property = fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const { map, invoker } = start();
      const model = new Map<number, number>();
      for (const each of steps) await compare(map, model, each);
      expect(sorted(await map.entrySet())).toEqual(pairsOf(model));
      for (const { service, log, state } of invoker.primaries.values()) {
        const backup = new Replica(service);
        for (const entry of log) backup.apply(entry);
        expect(backup.state.dump()).toEqual(state.dump());
      }
    });
    await fc.assert(property);
  });

  it('keeps a snapshot of what was put, not the object', async () => {
    const { map } = start<string, { n: number }>();
    const value = { n: 1 };
    await map.set('a', value);
    value.n = 2;
    expect(await map.get('a')).toEqual({ n: 1 });
    expect(await map.get('a')).not.toBe(await map.get('a'));
  });

  it('rejects what is no key or no value, with its path, and sends nothing', async () => {
    const { map, invoker } = start<never, never>();
    const k = 'k' as never;
    for (const absent of [null, undefined] as never[]) {
      for (const call of [
        () => map.get(absent),
        () => map.put(absent, k),
        () => map.set(absent, k),
        () => map.putIfAbsent(absent, k),
        () => map.replace(absent, k),
        () => map.replaceIfSame(absent, k, k),
        () => map.remove(absent),
        () => map.remove(absent, k),
        () => map.delete(absent),
        () => map.evict(absent),
        () => map.containsKey(absent),
        () => map.getEntryView(absent),
        () => map.getAll([k, absent]),
        () => map.putAll([[absent, k]]),
        () => map.setAll([[absent, k]]),
      ]) {
        await expect(call()).rejects.toThrow(TypeError);
        await expect(call()).rejects.toThrow(/^((keys|entries)\[\d\]: )?key: /);
      }
      for (const call of [
        () => map.put(k, absent),
        () => map.set(k, absent),
        () => map.putIfAbsent(k, absent),
        () => map.replace(k, absent),
        () => map.replaceIfSame(k, absent, k),
        () => map.replaceIfSame(k, k, absent),
        () => map.remove(k, absent),
        () => map.containsValue(absent),
        () => map.putAll([[k, k], [k, absent]] as never), // biome-ignore format: one case a line
        () => map.setAll([[k, absent]]),
      ]) {
        await expect(call()).rejects.toThrow(TypeError);
        await expect(call()).rejects.toThrow(/^(entries\[\d\]: )?value: /);
      }
    }
    await expect(map.set(k, { a: [1, () => 1] } as never)).rejects.toThrow('value.a[1]');
    await expect(map.getAll(5 as never)).rejects.toThrow(TypeError);
    await expect(map.putAll([5] as never)).rejects.toThrow(
      'entries[0]: expected a pair [key, value], got number',
    );
    expect(invoker.sent).toEqual([]);
  });

  it('takes values of 16 MiB and refuses larger ones before it sends anything', async () => {
    const { map, invoker } = start<string, Buffer>();
    const tooLarge = Buffer.alloc(MAX_VALUE_BYTES + 1);
    await expect(map.set('a', tooLarge)).rejects.toThrow(ValueTooLargeError);
    await expect(map.put('a', tooLarge)).rejects.toThrow(ValueTooLargeError);
    const large = tooLarge.subarray(1);
    const pairs: [string, Buffer][] = [
      ['a', large],
      ['b', tooLarge],
    ];
    await expect(map.setAll(pairs)).rejects.toThrow(ValueTooLargeError);
    await expect(map.set('x'.repeat(70_000), large)).rejects.toThrow(ValueTooLargeError);
    await expect(map.replaceIfSame('a', large, Buffer.alloc(1))).rejects.toThrow(
      'old and new value together',
    );
    expect(invoker.sent).toEqual([]);
    await map.set('a', large);
    expect((await map.get('a'))?.equals(large)).toBe(true);
  });

  it('gives a view with the options of each call', async () => {
    const { map, invoker } = start<string, number>();
    const view = map.with({ timeoutMs: 100 });
    await view.set('a', 1);
    const { signal } = new AbortController();
    expect(await view.with({ signal }).get('a')).toBe(1);
    await map.get('a');
    expect(view.name).toBe('users');
    expect(invoker.sent.map(({ options }) => options)).toEqual([
      { timeoutMs: 100 },
      { timeoutMs: 100, signal },
      {},
    ]);
  });

  it('tells times, counts and version of an entry', async () => {
    const { map } = start<string, string>();
    expect(await map.getEntryView('a')).toBeNull();
    await map.set('a', 'x');
    await map.get('a');
    const view = await map.getEntryView('a');
    expect(view).toEqual({
      key: 'a',
      value: 'x',
      cost: 60 + 2 + 2,
      creationTime: view?.creationTime,
      expirationTime: Number.POSITIVE_INFINITY,
      hits: 1,
      lastAccessTime: expect.any(Number),
      lastUpdateTime: view?.creationTime,
      version: { ms: expect.any(Number), counter: expect.any(Number), member: 'fedcba9876543210' },
      ttl: Number.POSITIVE_INFINITY,
      maxIdle: Number.POSITIVE_INFINITY,
    });
    expect(view?.creationTime).toBeGreaterThanOrEqual(START_MS);
    expect(view?.lastAccessTime).toBeGreaterThan(view?.creationTime ?? Number.POSITIVE_INFINITY);
  });

  it('puts keys of one affinity into one partition', async () => {
    const { map, invoker } = start(271);
    for (let i = 0; i < 20; i++) await map.set(withAffinity(i, 'order-1'), i);
    await map.set('order-1', 'itself');
    expect(new Set(invoker.sent.map(({ partition }) => partition)).size).toBe(1);
    expect(await map.get(5)).toBeNull();
    expect(await map.get(withAffinity(5, 'order-1'))).toBe(5);
  });
});

describe('bulk calls of a map', () => {
  const entries = (count: number, valueBytes: number): [string, Buffer][] =>
    Array.from({ length: count }, (_, i) => [`key-${i}`, Buffer.alloc(valueBytes, i)]);

  it('send about 1 MiB at a time, and a larger entry alone', async () => {
    const { map, invoker } = start<string, Buffer>(1);
    await map.setAll([...entries(30, 100_000), ['large', Buffer.alloc(3_000_000)], ...entries(5, 10)]);
    const sizes = invoker.sent.map(({ requestBytes }) => requestBytes);
    expect(sizes.length).toBe(5);
    expect(sizes.filter((bytes) => bytes > 1_049_000)).toHaveLength(1);
    expect((await map.get('key-4'))?.length).toBe(10);
    expect((await map.get('key-29'))?.length).toBe(100_000);
    const found = await map.getAll(['key-29', 'large', 'none', ...entries(29, 0).map(([key]) => key)]);
    expect(found).toHaveLength(31);
    for (const [key, value] of found) expect(value.equals((await map.get(key)) as Buffer)).toBe(true);
    for (const { operation, replyBytes } of invoker.sent) {
      if (operation === 'map.getAll') expect(replyBytes).toBeLessThan(3_000_100);
    }
  });

  it('run a bounded number of requests at a time', async () => {
    const { map, invoker } = start<string, Buffer>(271);
    invoker.isSlow = true;
    await map.putAll(entries(2_000, 1));
    expect(invoker.mostInFlight).toBe(32);
    expect(invoker.sent.length).toBe(271);
    expect(await map.getAll(entries(2_000, 0).map(([key]) => key))).toHaveLength(2_000);
    expect(invoker.mostInFlight).toBe(32);
    invoker.mostInFlight = 0;
    await map.clear();
    expect(invoker.mostInFlight).toBe(16);
  });

  it('keep the later of two values for one key', async () => {
    const { map, invoker } = start<string, Buffer>(3);
    invoker.isSlow = true;
    const twice = [...entries(20, 200_000), ...entries(20, 5)];
    await map.putAll(twice);
    for (const [, value] of await map.entrySet()) expect(value.length).toBe(5);
  });

  it('tell which keys were done, refused and left unknown', async () => {
    const { map, invoker } = start<string, number>(5);
    const pairs = Array.from({ length: 40 }, (_, i): [string, number] => [`key-${i}`, i]);
    const reason = 'stopped';
    const unknown = new IndeterminateError('lost', async () => ({ outcome: 'unknown' }));
    const refusals = [new OverloadError('full'), unknown, reason, undefined, undefined];
    invoker.refuse = (_operation, partition) => refusals[partition];
    const error = await map.setAll(pairs).then(
      () => undefined,
      (thrown: unknown) => thrown as BulkError,
    );
    expect(error).toBeInstanceOf(BulkError);
    const { done, refused, indeterminate } = error as BulkError;
    expect(done.length * refused.length * indeterminate.length).toBeGreaterThan(0);
    const all = [...done, ...[...refused, ...indeterminate].map(({ key }) => key)];
    expect(sorted(all)).toEqual(sorted(pairs.map(([key]) => key)));
    expect(new Set(refused.map(({ error: { message } }) => message))).toEqual(new Set(['full', reason]));
    expect(new Set(indeterminate.map((failure) => failure.error))).toEqual(new Set([unknown]));
    expect(error?.message).toContain(`${refused.length} refused, ${indeterminate.length} indeterminate`);
    await expect(map.getAll(pairs.map(([key]) => key))).rejects.toThrow(BulkError);
    invoker.refuse = () => undefined;
    expect(sorted(await map.keySet())).toEqual(sorted(done as string[]));
  });

  it('of no entries send nothing', async () => {
    const { map, invoker } = start();
    await map.putAll([]);
    expect(await map.getAll(new Set())).toEqual([]);
    expect(invoker.sent).toEqual([]);
  });
});

describe('calls to all partitions of a map', () => {
  it('ask all of them at once when they read', async () => {
    const { map, invoker } = start<string, number>(271);
    await map.putAll(Array.from({ length: 600 }, (_, i) => [`key-${i}`, i]));
    expect(await map.size()).toBe(600);
    expect(await map.keySet()).toHaveLength(600);
    expect(await map.containsValue(-1)).toBe(false);
    expect(await map.valuesWithPredicate(Predicates.greaterEqual('this', 300))).toHaveLength(300);
    expect(invoker.fannedOut).toEqual(['map.size', 'map.scan', 'map.containsValue', 'map.query']);
  });

  it('ask some at a time where members forward calls', async () => {
    const { map, invoker } = start<string, number>(271);
    await map.putAll(Array.from({ length: 600 }, (_, i) => [`key-${i}`, i]));
    Object.assign(invoker, { fansOut: false, isSlow: true, mostInFlight: 0 });
    expect(await map.size()).toBe(600);
    expect(await map.keySet()).toHaveLength(600);
    expect([invoker.mostInFlight, invoker.fannedOut]).toEqual([16, []]);
    invoker.sent.length = 0;
    expect(await map.isEmpty()).toBe(false);
    expect(invoker.sent.length).toBeLessThan(40);
    invoker.refuse = (_operation, partition) => (partition === 20 ? new OverloadError('full') : undefined);
    invoker.sent.length = 0;
    await expect(map.size()).rejects.toThrow(OverloadError);
    expect(invoker.sent.length).toBeLessThan(60);
  });

  it('ask at most so many of them at once as one message may name', async () => {
    const { map, invoker } = start<string, number>(1_200);
    expect(await map.size()).toBe(0);
    expect([invoker.fannedOut.length, invoker.sent.length]).toEqual([3, 1_200]);
  });

  it('ask few at first for a page, and more with what is known by then', async () => {
    const { map, invoker } = start<string, number>(271);
    await map.putAll(Array.from({ length: 600 }, (_, i) => [`key-${i}`, i]));
    invoker.sent.length = 0;
    const page = Predicates.paging(Predicates.alwaysTrue(), 5);
    expect(await map.valuesWithPredicate(page)).toHaveLength(5);
    expect(invoker.fannedOut).toEqual(Array(4).fill('map.queryPage'));
    expect(invoker.sent).toHaveLength(271);
  });

  it('stop when one of them fails', async () => {
    const { map, invoker } = start<string, number>(271);
    invoker.isSlow = true;
    invoker.refuse = (_operation, partition) => (partition === 20 ? new OverloadError('full') : undefined);
    for (const call of [() => map.size(), () => map.keySet()])
      await expect(call()).rejects.toThrow(OverloadError);
    invoker.sent.length = 0;
    await expect(map.clear()).rejects.toThrow(OverloadError);
    expect(invoker.sent.length).toBeLessThan(60);
  });

  it('wait for no more than the first entry to tell that a map is not empty', async () => {
    const { map, invoker } = start<string, number>(271);
    invoker.isSlow = true;
    expect(await map.isEmpty()).toBe(true);
    expect(invoker.count('map.size')).toBe(271);
    await map.putAll(Array.from({ length: 600 }, (_, i) => [`key-${i}`, i]));
    invoker.held = new Promise(() => {});
    expect(await map.isEmpty()).toBe(false);
  });

  it('fetch entries by pages when iterated over, one page ahead of the reader', async () => {
    const { map, invoker } = start<string, Buffer>(3);
    await map.putAll(Array.from({ length: 30 }, (_, i) => [`key-${i}`, Buffer.alloc(100_000, i)]));
    const seen = new Map<string, number>();
    let most = 0;
    for await (const [key, value] of map) {
      seen.set(key, value[0] as number);
      most = Math.max(most, invoker.count('map.scan') - Math.ceil(seen.size / 2));
    }
    expect(seen.size).toBe(30);
    for (const [key, value] of seen) expect(key).toBe(`key-${value}`);
    expect(most).toBeLessThanOrEqual(4);
    for (const { operation, replyBytes } of invoker.sent) {
      if (operation === 'map.scan') expect(replyBytes).toBeLessThan(256 * 1024 + 16);
    }
    invoker.sent.length = 0;
    for await (const _entry of map) break;
    expect(invoker.count('map.scan')).toBe(2);
  });

  it('meet every entry that stays, once, while others come and go', async () => {
    const { map } = start<string, Buffer>(3);
    const stay = Array.from({ length: 40 }, (_, i): [string, Buffer] => [`stay-${i}`, Buffer.alloc(30_000)]);
    await map.putAll(stay);
    const seen: string[] = [];
    for await (const [key] of map) {
      if (key.startsWith('stay')) seen.push(key);
      await map.set(`new-${seen.length}`, Buffer.alloc(30_000));
      await map.delete(`new-${seen.length - 3}`);
    }
    expect(sorted(seen)).toEqual(sorted(stay.map(([key]) => key)));
  });

  it('pass a failure on to who iterates, and only to them', async () => {
    const { map, invoker } = start<string, number>(3);
    await map.set('a', 1);
    invoker.refuse = (operation) => (operation.name === 'map.scan' ? new OverloadError('full') : undefined);
    const read = async () => {
      for await (const _entry of map) break;
    };
    await expect(read()).rejects.toThrow(OverloadError);
  });

  it('clear maps of many pages', async () => {
    const { map } = start<string, number>(2);
    await map.putAll(Array.from({ length: 3_000 }, (_, i) => [`key-${i}`, i]));
    expect(await map.containsValue(2_999)).toBe(true);
    await map.clear();
    expect([await map.size(), await map.isEmpty(), await map.containsValue(1)]).toEqual([0, true, false]);
  });
});

interface Step {
  readonly method: string;
  readonly key: number;
  readonly value: number;
  readonly other: number;
  readonly pairs: readonly (readonly [number, number])[];
}

const pairsOf = (model: ReadonlyMap<number, number>) =>
  sorted([...model].map(([key, value]) => [KEYS[key], VALUES[value]]));

/** Does one step to both and compares the results. The model holds indexes, so it needs no equality of objects. */
async function compare(
  map: GridMap<unknown, unknown>,
  model: Map<number, number>,
  step: Step,
): Promise<void> {
  const key = KEYS[step.key];
  const value = VALUES[step.value];
  const before = model.get(step.key);
  const old = before === undefined ? null : VALUES[before];
  const set = () => model.set(step.key, step.value);
  const drop = () => model.delete(step.key);
  const all = async (call: Promise<readonly unknown[]>) => sorted(await call);
  const pairs = step.pairs.map(([k, v]): [unknown, unknown] => [KEYS[k], VALUES[v]]);
  const check = async (got: Promise<unknown>, wanted: unknown, change?: () => unknown) => {
    expect(await got, step.method).toEqual(wanted);
    change?.();
  };
  const wanted: Record<string, () => Promise<void>> = {
    get: () => check(map.get(key), old),
    put: () => check(map.put(key, value), old, set),
    set: () => check(map.set(key, value), undefined, set),
    putIfAbsent: () => check(map.putIfAbsent(key, value), old, old === null ? set : undefined),
    replace: () => check(map.replace(key, value), old, old === null ? undefined : set),
    replaceIfSame: () => {
      const same = before === step.other;
      return check(map.replaceIfSame(key, VALUES[step.other], value), same, same ? set : undefined);
    },
    remove: () => check(map.remove(key), old, drop),
    removeIfSame: () => {
      const same = before === step.value;
      return check(map.remove(key, value), same, same ? drop : undefined);
    },
    delete: () => check(map.delete(key), undefined, drop),
    evict: () => check(map.evict(key), old !== null, drop),
    containsKey: () => check(map.containsKey(key), old !== null),
    containsValue: () => check(map.containsValue(value), [...model.values()].includes(step.value)),
    size: () => check(map.size(), model.size),
    isEmpty: () => check(map.isEmpty(), model.size === 0),
    getAll: () => {
      const keys = [...new Set(step.pairs.map(([k]) => k))];
      const found = new Map([...model].filter(([k]) => keys.includes(k)));
      return check(all(map.getAll(keys.map((k) => KEYS[k]))), pairsOf(found));
    },
    putAll: () => check(map.putAll(pairs), undefined, () => step.pairs.map(([k, v]) => model.set(k, v))),
    setAll: () => check(map.setAll(pairs), undefined, () => step.pairs.map(([k, v]) => model.set(k, v))),
    keySet: () => check(all(map.keySet()), sorted([...model.keys()].map((k) => KEYS[k]))),
    values: () => check(all(map.values()), sorted([...model.values()].map((v) => VALUES[v]))),
    entrySet: () => check(all(map.entrySet()), pairsOf(model)),
    iterate: () => check(all(collect(map)), pairsOf(model)),
    clear: () => check(map.clear(), undefined, () => model.clear()),
    evictAll: () => check(map.evictAll(), undefined, () => model.clear()),
    destroy: () => check(map.destroy(), undefined, () => model.clear()),
  };
  await wanted[step.method]?.();
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
