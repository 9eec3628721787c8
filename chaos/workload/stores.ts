/**
 * Two maps that are kept in a store, one written through and one written behind, with few keys and a value of its own for
 * every write; besides the calls of `register.ts` entries are put out of memory and loaded again, keys are written and
 * read together, entry processors swap values, and the store is waited for. One worker calls one operation after the
 * other. What the store was told is kept by `sim-store.ts`, and held against the calls by `checker/stores.ts`.
 */
import type { ProcessorEntry } from '../../partitions/user-functions.js';
import type { SeededRandom } from '../../src/base/random.js';
import type { ModuleRegistry } from '../../src/member/registry.js';
import type { WorkerContext } from './caller.js';
import type { Recorder, Step } from './recorder.js';
import { RegisterWorker } from './register.js';

/** Name that the store is registered by. */
export const SIM_STORE = 'sim';
export const THROUGH = 'stored-through';
export const BEHIND_STORED = 'stored-behind';
export const STORED_MAPS = [THROUGH, BEHIND_STORED] as const;
export type StoredMapName = (typeof STORED_MAPS)[number];

const KEYS = 5;
/** Calls of unknown outcome are many while a store is in trouble, and each of them makes the search longer. */
const MOST_PER_KEY = 160;
const SWAP = 'swap';

export const STORED_KEYS: readonly string[] = Array.from({ length: KEYS }, (_, i) => `k${i}`);

/** Whether a call concerns a map with a store. */
export function ofStores(k: string): boolean {
  return STORED_MAPS.some((name) => k.startsWith(`${name}/`) || k.startsWith(`aside-${name}/`));
}

/** What all members know, beside the store. */
export function registerSwap(registry: ModuleRegistry): void {
  registry.entryProcessor(SWAP, (entry: ProcessorEntry<string, string>, value: string) => {
    const old = entry.value;
    entry.value = value;
    return old;
  });
}

export class StoreWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  readonly #registers: Readonly<Record<StoredMapName, RegisterWorker>>;
  #written = 0;

  constructor(
    context: WorkerContext,
    recorder: Recorder,
    random: SeededRandom,
    used: Readonly<Record<StoredMapName, Map<string, number>>>,
  ) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
    const register = (structure: StoredMapName) => {
      const how = { structure, most: MOST_PER_KEY };
      return new RegisterWorker(context, recorder, random.fork(structure), KEYS, used[structure], how);
    };
    this.#registers = { [THROUGH]: register(THROUGH), [BEHIND_STORED]: register(BEHIND_STORED) };
  }

  async step(): Promise<void> {
    const name = this.#random.float() < 0.5 ? THROUGH : BEHIND_STORED;
    const key = STORED_KEYS[this.#random.below(KEYS)] as string;
    const draw = this.#random.float();
    if (draw < 0.72) return this.#registers[name].step();
    if (draw < 0.82) return this.#evict(name, key);
    if (draw < 0.84) return this.#evictAll(name);
    if (draw < 0.86) return this.#load(name, key);
    if (draw < 0.9) return this.#swap(name, key);
    if (draw < 0.94) return this.#putAll(name);
    if (draw < 0.98) return this.#getAll(name);
    return this.#flush(name);
  }

  #map(name: StoredMapName, timeoutMs: number) {
    return this.#context.caller.grid.getMap<string, string>(name).with({ timeoutMs });
  }

  /** Written down apart: it says nothing of values. */
  async #aside(f: string, name: StoredMapName, timeoutMs: number, invoke: () => Promise<unknown>) {
    const step = { k: `aside-${name}/all`, f };
    await this.#recorder.call(this.#context.caller, step, true, timeoutMs, invoke);
  }

  async #evict(name: StoredMapName, key: string): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    await this.#aside('evict', name, timeoutMs, () => this.#map(name, timeoutMs).evict(key));
  }

  async #evictAll(name: StoredMapName): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    await this.#aside('evictAll', name, timeoutMs, () => this.#map(name, timeoutMs).evictAll());
  }

  async #load(name: StoredMapName, key: string): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    const replaces = this.#random.float() < 0.5;
    const load = () => this.#map(name, timeoutMs).loadAll([key], replaces);
    const step = { k: `aside-${name}/${key}`, f: 'loadAll' };
    await this.#recorder.callMany(this.#context.caller, [step], true, timeoutMs, load);
  }

  async #flush(name: StoredMapName): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    await this.#aside('flush', name, timeoutMs, () => this.#map(name, timeoutMs).flush());
  }

  #value(): string {
    return `${this.#context.worker}.s${++this.#written}`;
  }

  async #swap(name: StoredMapName, key: string): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    const v = this.#value();
    // To the model it is a put.
    const step = { k: `${name}/${key}`, f: 'put', v };
    const processor = { name: SWAP, argument: v };
    const invoke = () => this.#map(name, timeoutMs).executeOnKey<string>(key, processor);
    await this.#recorder.call(this.#context.caller, step, true, timeoutMs, invoke, (old) => old);
  }

  #some(): string[] {
    return STORED_KEYS.filter(() => this.#random.float() < 0.5);
  }

  async #putAll(name: StoredMapName): Promise<void> {
    const pairs = this.#some().map((key) => [key, this.#value()] as const);
    const timeoutMs = this.#context.timeoutMs();
    const steps = pairs.map(([key, v]): Step => ({ k: `${name}/${key}`, f: 'write', v }));
    const invoke = () => this.#map(name, timeoutMs).putAll(pairs);
    await this.#recorder.callMany(this.#context.caller, steps, true, timeoutMs, invoke);
  }

  async #getAll(name: StoredMapName): Promise<void> {
    const keys = this.#some();
    const timeoutMs = this.#context.timeoutMs();
    const steps = keys.map((key): Step => ({ k: `${name}/${key}`, f: 'read' }));
    const invoke = () => this.#map(name, timeoutMs).getAll(keys);
    const outOf = (found: readonly (readonly [string, string])[], { k }: Step) =>
      found.find(([key]) => `${name}/${key}` === k)?.[1] ?? null;
    await this.#recorder.callMany(this.#context.caller, steps, false, timeoutMs, invoke, outOf);
  }
}
