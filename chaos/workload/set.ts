/**
 * Every worker writes keys of its own, each once; at the end every acknowledged one has to be there. One call writes
 * one key, or now and then several at once.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Recorder } from './recorder.js';

export class SetWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  readonly #structure: string;
  #next = 0;

  constructor(context: WorkerContext, recorder: Recorder, random: SeededRandom, structure = 'set') {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
    this.#structure = structure;
  }

  async step(): Promise<void> {
    const { caller } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const map = caller.grid.getMap<string, string>(this.#structure).with({ timeoutMs });
    if (this.#random.float() < 0.8) {
      const key = this.#key();
      const step = { k: `${this.#structure}/${key}`, f: 'write', v: key };
      await this.#recorder.call(caller, step, true, timeoutMs, () => map.set(key, key));
      return;
    }
    const keys = Array.from({ length: 2 + this.#random.below(6) }, () => this.#key());
    const steps = keys.map((key) => ({ k: `${this.#structure}/${key}`, f: 'write', v: key }));
    const pairs = keys.map((key) => [key, key] as const);
    await this.#recorder.callMany(caller, steps, true, timeoutMs, () => map.putAll(pairs));
  }

  #key(): string {
    return `${this.#context.worker}:${this.#next++}`;
  }
}
