/**
 * Single-key operations of a map on few keys, with a value of its own for every write; each key is a register for
 * the linearizability checker. One worker calls one operation after the other.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Recorder, Step } from './recorder.js';

/** Histories of one key stay below this, or checking it would take too long. */
export const MAX_OPERATIONS_PER_KEY = 400;

type Kind =
  | 'get'
  | 'containsKey'
  | 'set'
  | 'put'
  | 'putIfAbsent'
  | 'replace'
  | 'replaceIfSame'
  | 'remove'
  | 'removeIfSame'
  | 'delete';

const WEIGHTS: readonly (readonly [Kind, number])[] = [
  ['get', 34],
  ['containsKey', 3],
  ['set', 14],
  ['put', 13],
  ['putIfAbsent', 7],
  ['replace', 7],
  ['replaceIfSame', 11],
  ['remove', 4],
  ['removeIfSame', 3],
  ['delete', 4],
];
const TOTAL = WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);

export class RegisterWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  readonly #keys: number;
  readonly #used: Map<string, number>;
  readonly #structure: string;
  readonly #most: number;
  readonly #seen = new Map<string, string>();
  #written = 0;

  /** `used` counts the operations of each key over all workers; after `most` of them it is left alone. */
  constructor(
    context: WorkerContext,
    recorder: Recorder,
    random: SeededRandom,
    keys: number,
    used: Map<string, number>,
    { structure = 'register', most = MAX_OPERATIONS_PER_KEY } = {},
  ) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
    this.#keys = keys;
    this.#used = used;
    this.#structure = structure;
    this.#most = most;
  }

  async step(): Promise<void> {
    const key = `k${Math.min(this.#random.below(this.#keys), this.#random.below(this.#keys))}`;
    const kind = this.#kind();
    const used = this.#used.get(key) ?? 0;
    if (used >= this.#most) return;
    this.#used.set(key, used + 1);
    await this.#call(kind, key);
  }

  #kind(): Kind {
    let draw = this.#random.float() * TOTAL;
    for (const [kind, weight] of WEIGHTS) {
      draw -= weight;
      if (draw < 0) return kind;
    }
    return 'get';
  }

  async #call(kind: Kind, key: string): Promise<void> {
    const { caller, worker } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const map = caller.grid.getMap<string, string>(this.#structure).with({ timeoutMs });
    const value = `${worker}.${++this.#written}`;
    const from = this.#seen.get(key) ?? value;
    const step = (f: string, rest: Omit<Step, 'k' | 'f'> = {}): Step => ({
      k: `${this.#structure}/${key}`,
      f,
      ...rest,
    });
    const run = async <T>(what: Step, isWrite: boolean, invoke: () => Promise<T>, hasOut = true) => {
      const outOf = hasOut ? (out: T) => out : undefined;
      const entry = await this.#recorder.call(caller, what, isWrite, timeoutMs, invoke, outOf);
      if (entry.type === 'ok' && typeof entry.out === 'string') this.#seen.set(key, entry.out);
      if (entry.type === 'ok' && (kind === 'set' || kind === 'put')) this.#seen.set(key, value);
    };
    switch (kind) {
      case 'get':
        return run(step('read'), false, () => map.get(key));
      case 'containsKey':
        return run(step('contains'), false, () => map.containsKey(key));
      case 'set':
        return run(step('write', { v: value }), true, () => map.set(key, value), false);
      case 'put':
        return run(step('put', { v: value }), true, () => map.put(key, value));
      case 'putIfAbsent':
        return run(step('putIfAbsent', { v: value }), true, () => map.putIfAbsent(key, value));
      case 'replace':
        return run(step('replace', { v: value }), true, () => map.replace(key, value));
      case 'replaceIfSame':
        return run(step('cas', { from, to: value }), true, () => map.replaceIfSame(key, from, value));
      case 'remove':
        return run(step('remove'), true, () => map.remove(key));
      case 'removeIfSame':
        return run(step('removeIfSame', { from }), true, () => map.remove(key, from));
      case 'delete':
        return run(step('remove'), true, () => map.delete(key), false);
    }
  }
}
