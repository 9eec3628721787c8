/**
 * Atomic longs that are only added to: whatever is cut and merged, the sum of what was acknowledged stays. One worker
 * calls one operation after the other.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Recorder } from './recorder.js';

export class AdditionsWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  readonly #counters: number;

  constructor(context: WorkerContext, recorder: Recorder, random: SeededRandom, counters: number) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
    this.#counters = counters;
  }

  async step(): Promise<void> {
    const { caller } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const name = `n${this.#random.below(this.#counters)}`;
    const long = caller.grid.getAtomicLong(name).with({ timeoutMs });
    const k = `counter/${name}`;
    const v = 1 + this.#random.below(1_000_000);
    const text = (value: bigint) => value.toString();
    const draw = this.#random.float();
    if (draw < 0.15) {
      await this.#recorder.call(caller, { k, f: 'get' }, false, timeoutMs, () => long.get(), text);
      return;
    }
    const f = draw < 0.6 ? 'addAndGet' : 'getAndAdd';
    const invoke = () => (f === 'addAndGet' ? long.addAndGet(v) : long.getAndAdd(v));
    await this.#recorder.call(caller, { k, f, v }, true, timeoutMs, invoke, text);
  }
}
