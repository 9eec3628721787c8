/** The atomic long: the contract of structures, its API against a bigint, and what it refuses. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { installStructures } from '../../client/core/grid.js';
import { ATOMIC_LONG_OPERATIONS } from '../../partitions/services/atomiclong/ops.js';
import { ATOMIC_LONG, type GridAtomicLong } from '../../partitions/services/atomiclong/proxy.js';
import { FunctionFailedError, UnknownFunctionError } from '../../src/base/errors.js';
import { ValueCodec } from '../../src/wire/values.js';
import { type Arbitraries, serviceContract } from '../contract/service.contract.js';
import { InMemoryInvoker } from './in-memory-invoker.js';
import { Primary, Replica } from './partition-harness.js';

const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);
const long = fc.oneof(fc.constantFrom(0n, 1n, -1n, MIN, MAX), fc.bigInt({ min: MIN, max: MAX }));
const few = fc.constantFrom(0n, 1n, 2n, MAX);

const argument = fc.integer().map((n) => new ValueCodec().encode(n));

const arbitraries: Arbitraries<typeof ATOMIC_LONG_OPERATIONS> = {
  get: fc.constant({}),
  set: fc.record({ value: long }),
  getAndSet: fc.record({ value: few }),
  getAndAdd: fc.record({ delta: long }),
  compareAndSet: fc.record({ expected: few, value: few }),
  destroy: fc.constant({}),
  alter: fc.record({ function: fc.constantFrom('double', 'plus'), argument }),
  apply: fc.record({ function: fc.constantFrom('double', 'plus'), argument }),
};

serviceContract(ATOMIC_LONG, ATOMIC_LONG_OPERATIONS, arbitraries);

function start(): { invoker: InMemoryInvoker; counter: GridAtomicLong } {
  const invoker = new InMemoryInvoker();
  return { invoker, counter: installStructures({}, invoker).getAtomicLong('counter') };
}

describe('an atomic long', () => {
  it.each([MAX + 1n, MIN - 1n, 2n ** 100n])('refuses the argument %s, which does not fit', async (value) => {
    const { counter } = start();
    await counter.set(7n);
    const methods = [
      () => counter.set(value),
      () => counter.getAndSet(value),
      () => counter.addAndGet(value),
      () => counter.getAndAdd(value),
      () => counter.compareAndSet(value, 1n),
      () => counter.compareAndSet(7n, value),
    ];
    for (const method of methods) await expect(method()).rejects.toThrow(/does not fit into 64 bits/);
    expect(await counter.get()).toBe(7n);
  });

  it('counts as a signed 64-bit integer does', async () => {
    const argument = fc.oneof(long, fc.maxSafeInteger());
    const methods = [
      'get set getAndSet addAndGet getAndAdd incrementAndGet getAndIncrement decrementAndGet getAndDecrement',
      'compareAndSet compareAndSetRight destroy',
    ].flatMap((names) => names.split(' '));
    const steps = fc.array(fc.tuple(fc.constantFrom(...methods), argument, argument), {
      maxLength: 40,
      size: 'max',
    });
    const wrap = (value: number | bigint) => BigInt.asIntN(64, BigInt(value));
    const property = fc.asyncProperty(steps, async (list) => {
      const { counter } = start();
      let model = 0n;
      const then = (value: number | bigint, result: unknown) => {
        model = wrap(value);
        return result;
      };
      for (const [method, a, b] of list) {
        const before = model;
        const sum = wrap(model + BigInt(a));
        const [got, wanted] = {
          get: () => [counter.get(), before],
          set: () => [counter.set(a), then(a, undefined)],
          getAndSet: () => [counter.getAndSet(a), then(a, before)],
          addAndGet: () => [counter.addAndGet(a), then(sum, sum)],
          getAndAdd: () => [counter.getAndAdd(a), then(sum, before)],
          incrementAndGet: () => [counter.incrementAndGet(), then(before + 1n, wrap(before + 1n))],
          getAndIncrement: () => [counter.getAndIncrement(), then(before + 1n, before)],
          decrementAndGet: () => [counter.decrementAndGet(), then(before - 1n, wrap(before - 1n))],
          getAndDecrement: () => [counter.getAndDecrement(), then(before - 1n, before)],
          compareAndSet: () => [
            counter.compareAndSet(a, b),
            wrap(a) === before ? then(b, true) : then(before, false),
          ],
          compareAndSetRight: () => [counter.compareAndSet(before, b), then(b, true)],
          destroy: () => [counter.destroy(), then(0n, undefined)],
        }[method]!();
        expect(await got, method).toBe(wanted);
      }
      expect(await counter.get()).toBe(model);
    });
    await fc.assert(property);
  });

  it('rejects what is no 64-bit integer, and sends nothing', async () => {
    const { counter, invoker } = start();
    for (const wrong of [1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1', null, undefined]) {
      const value = wrong as number;
      for (const call of [
        () => counter.set(value),
        () => counter.getAndSet(value),
        () => counter.addAndGet(value),
        () => counter.getAndAdd(value),
      ]) {
        await expect(call()).rejects.toThrow(TypeError);
      }
      await expect(counter.compareAndSet(value, 1)).rejects.toThrow(/^expect: /);
      await expect(counter.compareAndSet(1, value)).rejects.toThrow(/^update: /);
    }
    expect(invoker.sent).toEqual([]);
  });

  it('lives in one partition, which its name decides', async () => {
    const { counter, invoker } = start();
    await counter.set(5);
    await counter.with({ timeoutMs: 50 }).incrementAndGet();
    expect(new Set(invoker.sent.map(({ partition }) => partition)).size).toBe(1);
    expect(invoker.sent.map(({ options }) => options.timeoutMs)).toEqual([undefined, 50]);
    expect(await counter.get()).toBe(6n);
  });

  it('waits with a read, and with a comparison that fails, for the write that it saw', () => {
    const primary = new Primary(ATOMIC_LONG.service);
    const { get, set, compareAndSet, destroy } = ATOMIC_LONG_OPERATIONS;
    expect(primary.run(get, {}).dependsOn).toBe(0);
    primary.run(set, { value: 1n });
    expect(primary.run(get, {})).toMatchObject({ seq: 0, dependsOn: 1 });
    expect(primary.run(compareAndSet, { expected: 2n, value: 3n })).toMatchObject({ seq: 0, dependsOn: 1 });
    primary.run(destroy, {});
    expect(primary.run(get, {})).toMatchObject({ seq: 0, dependsOn: 2, reply: { value: 0n } });
    expect(primary.run(destroy, {})).toMatchObject({ seq: 0, dependsOn: 2 });
  });

  it('takes no memory any more once its removal is purged, at the backup too', () => {
    const primary = new Primary(ATOMIC_LONG.service);
    primary.run(ATOMIC_LONG_OPERATIONS.set, { value: 1n });
    primary.run(ATOMIC_LONG_OPERATIONS.destroy, {});
    expect(primary.state.sizeBytes).toBeGreaterThan(0);
    primary.purgeAll();
    const backup = new Replica(ATOMIC_LONG.service);
    for (const entry of primary.log) backup.apply(entry);
    expect([primary.state.sizeBytes, backup.state.sizeBytes]).toEqual([0, 0]);
  });
});

describe('functions of an atomic long', () => {
  it('give the old value, the new one, or only look', async () => {
    const { counter } = start();
    await counter.set(5);
    expect(await counter.apply('double')).toBe(10n);
    expect(await counter.alterAndGet('double')).toBe(10n);
    expect(await counter.getAndAlter('plus', 7)).toBe(10n);
    expect(await counter.alter('plus', -1)).toBeUndefined();
    expect(await counter.get()).toBe(16n);
  });

  it('see the value that is there, wrapped or not, and change nothing when they fail', async () => {
    const { counter, invoker } = start();
    const { longs } = invoker.functions;
    longs.add('number', (() => 1) as never);
    longs.add('nothing', (() => undefined) as never);
    longs.add('promise', (() => Promise.resolve(1n)) as never);
    longs.add('large', (value) => value + 1n);
    await counter.set(MAX);
    for (const [name, reason] of [
      ['throw', 'function throw threw: as it should'],
      ['number', 'returned a number: expected a bigint'],
      ['nothing', 'returned a undefined'],
      ['promise', 'returned a promise'],
      ['large', 'does not fit into 64 bits'],
    ] as const) {
      for (const call of [
        () => counter.alter(name),
        () => counter.alterAndGet(name),
        () => counter.getAndAlter(name),
        () => counter.apply(name),
      ]) {
        await expect(call()).rejects.toThrow(FunctionFailedError);
        await expect(call()).rejects.toThrow(reason);
      }
    }
    expect(await counter.get()).toBe(MAX);
    await expect(counter.alter('nope')).rejects.toThrow(UnknownFunctionError);
    await expect(counter.apply('nope')).rejects.toThrow(/no function "nope" .*it knows double, plus/);
    for (const name of [undefined, 5, '', {}, 'x'.repeat(257)])
      await expect(counter.alter(name as never)).rejects.toThrow(TypeError);
  });
});
