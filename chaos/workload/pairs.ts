/**
 * Puts pairs into a multimap of few keys and takes some out again: values of its own, each put once, and a few that
 * everybody puts and removes, so that sides of a split put equal pairs. What comes of it is for `checker/pairs.ts`.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Entry, Recorder } from './recorder.js';

export const PAIRS = 'tags';
/** Values that are put again and again. */
export const SHARED = 'shared';
const KEYS = 4;
const SHARED_VALUES = 3;

const same = (out: unknown) => out;

export class PairsWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  #next = 0;

  constructor(context: WorkerContext, recorder: Recorder, random: SeededRandom) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
  }

  async step(): Promise<void> {
    const { caller } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const tags = caller.grid.getMultiMap<string, string>(PAIRS).with({ timeoutMs });
    const key = `t${this.#random.below(KEYS)}`;
    const k = `${PAIRS}/${key}`;
    const shared = `${SHARED}-${this.#random.below(SHARED_VALUES)}`;
    const put = (v: string) => this.#call({ k, f: 'put', v }, true, timeoutMs, () => tags.put(key, v));
    const remove = (v: string) =>
      this.#call({ k, f: 'remove', v }, true, timeoutMs, () => tags.remove(key, v));
    const draw = this.#random.float();
    if (draw < 0.4) await put(`${this.#context.worker}:${this.#next++}`);
    else if (draw < 0.6) await remove(this.#known(k) ?? shared);
    else if (draw < 0.75) await put(shared);
    else if (draw < 0.83) await remove(shared);
    else if (draw < 0.97) await this.#call({ k, f: 'get' }, false, timeoutMs, () => tags.get(key));
    else await this.#call({ k, f: 'removeAll' }, true, timeoutMs, () => tags.removeAll(key));
  }

  /** A value that was put under the key, by whomever; of late ones more often. */
  #known(k: string): string | null {
    const put = this.#recorder.entries.filter(
      (entry) => entry.k === k && entry.f === 'put' && entry.type === 'ok',
    );
    const last = put.length - 1;
    const at = last - Math.min(this.#random.below(put.length || 1), this.#random.below(put.length || 1));
    return (put[at]?.v as string | undefined) ?? null;
  }

  #call(
    step: { readonly k: string; readonly f: string; readonly v?: string },
    isWrite: boolean,
    timeoutMs: number,
    invoke: () => Promise<unknown>,
  ): Promise<Entry> {
    return this.#recorder.call(this.#context.caller, step, isWrite, timeoutMs, invoke, same);
  }
}
