/** An atomic long of three members against a bigint, call by call. */
import fc from 'fast-check';
import { it } from 'vitest';
import type { GridAtomicLong } from '../../src/index.js';
import { commandsOf, type Methods, MODEL_TIMEOUT_MS, runModel } from './harness.js';

interface Model {
  value: bigint;
}

interface Step {
  readonly value: bigint;
  readonly other: bigint;
}

const wrap = (value: bigint) => BigInt.asIntN(64, value);

/** Changes the value; gives the old one. */
function change(model: Model, value: bigint): bigint {
  const { value: before } = model;
  model.value = wrap(value);
  return before;
}

const code = (error: { readonly code: string }) => error.code;

const METHODS: Methods<Model, GridAtomicLong, Step> = {
  get: [({ value }) => value, (real) => real.get()],
  set: [(model, { value }) => void change(model, value), (real, { value }) => real.set(value)],
  getAndSet: [(model, { value }) => change(model, value), (real, { value }) => real.getAndSet(value)],
  addAndGet: [
    (model, { value }) => {
      change(model, model.value + value);
      return model.value;
    },
    (real, { value }) => real.addAndGet(value),
  ],
  getAndAdd: [
    (model, { value }) => change(model, model.value + value),
    (real, { value }) => real.getAndAdd(value),
  ],
  incrementAndGet: [(model) => wrap(change(model, model.value + 1n) + 1n), (real) => real.incrementAndGet()],
  getAndIncrement: [(model) => change(model, model.value + 1n), (real) => real.getAndIncrement()],
  decrementAndGet: [(model) => wrap(change(model, model.value - 1n) - 1n), (real) => real.decrementAndGet()],
  getAndDecrement: [(model) => change(model, model.value - 1n), (real) => real.getAndDecrement()],
  compareAndSet: [
    (model, { value, other }) => {
      if (model.value !== other) return false;
      model.value = value;
      return true;
    },
    (real, { value, other }) => real.compareAndSet(other, value),
  ],
  compareAndSetWhatIsThere: [
    (model, { value }) => {
      model.value = value;
      return true;
    },
    async (real, { value }) => real.compareAndSet(await real.get(), value),
  ],
  alter: [
    (model, { value }) => void change(model, 3n * model.value + value),
    (real, { value }) => real.alter('triple plus', value),
  ],
  alterAndGet: [
    (model, { value }) => {
      change(model, 3n * model.value + value);
      return model.value;
    },
    (real, { value }) => real.alterAndGet('triple plus', value),
  ],
  getAndAlter: [
    (model, { value }) => change(model, 3n * model.value + value),
    (real, { value }) => real.getAndAlter('triple plus', value),
  ],
  apply: [
    (model, { value }) => wrap(3n * model.value + value),
    (real, { value }) => real.apply('triple plus', value),
  ],
  alterThatThrows: [() => 'ERR_FUNCTION_FAILED', (real) => real.alter('throw').catch(code)],
  alterByNobody: [() => 'ERR_UNKNOWN_FUNCTION', (real) => real.alter('nobody').catch(code)],
  destroy: [(model) => void change(model, 0n), (real) => real.destroy()],
};

const long = fc.oneof(
  { weight: 3, arbitrary: fc.bigInt({ min: -3n, max: 3n }) },
  { weight: 1, arbitrary: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) },
);
const step: fc.Arbitrary<Step> = fc.record({ value: long, other: long });

it('an atomic long does what a bigint does', { timeout: MODEL_TIMEOUT_MS }, async () => {
  const register = (registry: {
    function: (name: string, apply: (value: bigint, by: bigint) => bigint) => void;
  }) => {
    registry.function('triple plus', (value, by) => wrap(3n * value + by));
    registry.function('throw', () => {
      throw new Error('as it should');
    });
  };
  await runModel(commandsOf(METHODS, step, { get: 2, alterAndGet: 2 }, 30), { register }, (client, name) => ({
    model: { value: 0n },
    real: client.getAtomicLong(name),
  }));
});
