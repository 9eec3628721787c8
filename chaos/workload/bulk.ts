/**
 * Calls that concern many keys of one map, held against the model key by key: putAll, getAll, and sparingly clear.
 * Beside them size and containsValue, of which only the end is checked.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Recorder } from './recorder.js';

const KEYS = 5;

export const BULK_KEYS: readonly string[] = Array.from({ length: KEYS }, (_, i) => `b${i}`);

export class BulkWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  #written = 0;

  constructor(context: WorkerContext, recorder: Recorder, random: SeededRandom) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
  }

  async step(): Promise<void> {
    const { caller, worker } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const map = caller.grid.getMap<string, string>('bulk').with({ timeoutMs });
    const draw = this.#random.float();
    const keys = BULK_KEYS.filter(() => this.#random.float() < 0.6);
    if (draw < 0.45) {
      const pairs = keys.map((key) => [key, `${worker}.${++this.#written}`] as const);
      const steps = pairs.map(([key, v]) => ({ k: `bulk/${key}`, f: 'write', v }));
      await this.#recorder.callMany(caller, steps, true, timeoutMs, () => map.putAll(pairs));
    } else if (draw < 0.85) {
      const steps = keys.map((key) => ({ k: `bulk/${key}`, f: 'read' }));
      const outOf = (found: readonly (readonly [string, string])[], { k }: { readonly k: string }) =>
        found.find(([key]) => `bulk/${key}` === k)?.[1] ?? null;
      await this.#recorder.callMany(caller, steps, false, timeoutMs, () => map.getAll(keys), outOf);
    } else if (draw < 0.9) {
      const steps = BULK_KEYS.map((key) => ({ k: `bulk/${key}`, f: 'remove' }));
      await this.#recorder.callMany(caller, steps, true, timeoutMs, () => map.clear());
    } else {
      const step = { k: 'size/bulk', f: 'read' };
      await this.#recorder.call(
        caller,
        step,
        false,
        timeoutMs,
        () => map.size(),
        (size) => size,
      );
    }
  }
}
