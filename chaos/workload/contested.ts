/**
 * A map whose keys both sides of a split write, each write with a value of its own, for the loss ledger. Keys are used
 * for a stretch of time and then left alone, so that what a merge decided about them is still to be seen at the end.
 * One worker calls one operation after the other.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Recorder, Step } from './recorder.js';

export const CONTESTED = 'contested';
/** Share of calls on keys that are used all the time. */
const HOT_SHARE = 0.2;

export class ContestedWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  readonly #keys: number;
  /** Names the stretch of time. */
  readonly #era: () => string;
  readonly #seen = new Map<string, string>();
  #written = 0;

  constructor(
    context: WorkerContext,
    recorder: Recorder,
    random: SeededRandom,
    keys: number,
    era: () => string,
  ) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
    this.#keys = keys;
    this.#era = era;
  }

  async step(): Promise<void> {
    const era = this.#random.float() < HOT_SHARE ? 'hot' : this.#era();
    const key = `${era}.${this.#random.below(this.#keys)}`;
    const draw = this.#random.float();
    const { caller, worker } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const map = caller.grid.getMap<string, string>(CONTESTED).with({ timeoutMs });
    const value = `${worker}.${++this.#written}`;
    const from = this.#seen.get(key) ?? value;
    const call = async <T>(
      f: string,
      rest: Omit<Step, 'k' | 'f'>,
      invoke: () => Promise<T>,
      isWrite = true,
    ) => {
      const step = { k: `${CONTESTED}/${key}`, f, ...rest };
      const outOf = (out: T) => out ?? null;
      const entry = await this.#recorder.call(caller, step, isWrite, timeoutMs, invoke, outOf);
      if (entry.type !== 'ok') return;
      if (f === 'read' && typeof entry.out === 'string') this.#seen.set(key, entry.out);
      if (f === 'put') this.#seen.set(key, value);
    };
    if (draw < 0.25) return call('read', {}, () => map.get(key), false);
    if (draw < 0.7) return call('put', { v: value }, () => map.put(key, value));
    if (draw < 0.8) return call('putIfAbsent', { v: value }, () => map.putIfAbsent(key, value));
    if (draw < 0.9) return call('cas', { from, to: value }, () => map.replaceIfSame(key, from, value));
    if (draw < 0.95) return call('replace', { v: value }, () => map.replace(key, value));
    return call('remove', {}, () => map.remove(key));
  }
}
