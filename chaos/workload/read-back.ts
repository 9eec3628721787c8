/**
 * Writes keys of its own, each once, and reads earlier ones again: an acknowledged key that nobody removed is answered
 * with its value or with a refusal, never as absent. One worker calls one operation after the other.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Recorder } from './recorder.js';
import { SetWorker } from './set.js';

const READ_SHARE = 0.4;

export class ReadBackWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  readonly #writer: SetWorker;

  constructor(context: WorkerContext, recorder: Recorder, random: SeededRandom) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
    this.#writer = new SetWorker(context, recorder, random.fork('writer'));
  }

  async step(): Promise<void> {
    const written = this.#recorder.entries.filter(({ k, type }) => type === 'ok' && k.startsWith('set/'));
    if (written.length === 0 || this.#random.float() > READ_SHARE) {
      await this.#writer.step();
      return;
    }
    // Early keys are what both sides of every split have.
    const at = Math.min(this.#random.below(written.length), this.#random.below(written.length));
    const key = (written[at]?.k ?? '').slice('set/'.length);
    const { caller } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const map = caller.grid.getMap<string, string>('set').with({ timeoutMs });
    const step = { k: `readback/${key}`, f: 'read' };
    await this.#recorder.call(
      caller,
      step,
      false,
      timeoutMs,
      () => map.get(key),
      (out) => out,
    );
  }
}
