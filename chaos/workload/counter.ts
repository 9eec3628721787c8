/**
 * Atomic longs that many add to at once: the best detector of an addition that was applied twice, or not at all.
 * Additions are positive, so that every read also has plain bounds. One worker calls one operation after the other.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Recorder } from './recorder.js';
import { MAX_OPERATIONS_PER_KEY } from './register.js';

export class CounterWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  readonly #counters: number;
  readonly #used: Map<string, number>;
  readonly #seen = new Map<string, string>();

  constructor(
    context: WorkerContext,
    recorder: Recorder,
    random: SeededRandom,
    counters: number,
    used: Map<string, number>,
  ) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
    this.#counters = counters;
    this.#used = used;
  }

  async step(): Promise<void> {
    const name = `n${this.#random.below(this.#counters)}`;
    const draw = this.#random.float();
    const delta = 1 + this.#random.below(1000);
    const used = this.#used.get(name) ?? 0;
    if (used >= MAX_OPERATIONS_PER_KEY) return;
    this.#used.set(name, used + 1);
    await this.#call(name, draw, delta);
  }

  async #call(name: string, draw: number, delta: number): Promise<void> {
    const { caller } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const long = caller.grid.getAtomicLong(name).with({ timeoutMs });
    const k = `counter/${name}`;
    const text = (value: bigint) => value.toString();
    if (draw < 0.25) {
      const entry = await this.#recorder.call(
        caller,
        { k, f: 'get' },
        false,
        timeoutMs,
        () => long.get(),
        text,
      );
      if (entry.type === 'ok') this.#seen.set(name, entry.out as string);
      return;
    }
    if (draw < 0.4) {
      const from = this.#seen.get(name) ?? '0';
      const to = (BigInt(from) + BigInt(delta)).toString();
      const swap = () => long.compareAndSet(BigInt(from), BigInt(to));
      const step = { k, f: 'compareAndSet', from, to };
      await this.#recorder.call(caller, step, true, timeoutMs, swap, (out) => out);
      return;
    }
    const step = { k, f: draw < 0.7 ? 'addAndGet' : draw < 0.85 ? 'getAndAdd' : 'incrementAndGet' };
    const invoke = () =>
      draw < 0.7 ? long.addAndGet(delta) : draw < 0.85 ? long.getAndAdd(delta) : long.incrementAndGet();
    const withDelta = draw < 0.85 ? { ...step, v: delta } : step;
    const entry = await this.#recorder.call(caller, withDelta, true, timeoutMs, invoke, text);
    if (entry.type === 'ok' && step.f !== 'getAndAdd') this.#seen.set(name, entry.out as string);
  }
}
