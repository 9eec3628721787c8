/**
 * Entry processors on few keys of one map: each appends the name of its call to the list that is the value and answers with
 * the list, so that one that ran twice, not at all, on a backup, or beside another one is seen in what comes later. Some fail
 * on purpose after they have appended. Beside them functions of atomic longs, which add. One worker calls one operation after
 * the other.
 */
import type { ProcessorEntry } from '../../partitions/user-functions.js';
import type { SeededRandom } from '../../src/base/random.js';
import type { ModuleRegistry } from '../../src/member/registry.js';
import type { WorkerContext } from './caller.js';
import type { Recorder } from './recorder.js';
import type { StepsFor } from './workload.js';

export const PROCESSED = 'processed';
/** Errors that only these calls end with. */
export const PROCESSOR_CODES: readonly string[] = ['ERR_FUNCTION_FAILED'];
const KEYS = 4;
const COUNTERS = 2;
/** Of one key: lists grow with each call. */
const MAX_CALLS_PER_KEY = 120;

/** What all members know. */
export function registerProcessors(registry: ModuleRegistry): void {
  const append = (entry: ProcessorEntry<string, string[]>, name: string) => {
    entry.value = [...(entry.value ?? []), name];
    return entry.value;
  };
  registry.entryProcessor('append', append);
  registry.entryProcessor('append and throw', (entry: ProcessorEntry<string, string[]>, name: string) => {
    append(entry, name);
    throw new Error('the processor fails on purpose');
  });
  registry.function('plus', (value, by: bigint) => BigInt.asIntN(64, value + by));
}

export class ProcessorWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  readonly #used: Map<string, number>;
  #named = 0;

  readonly #adds: boolean;

  /** `adds`: calls functions of atomic longs too. */
  constructor(
    context: WorkerContext,
    recorder: Recorder,
    random: SeededRandom,
    used: Map<string, number>,
    adds = true,
  ) {
    this.#adds = adds;
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
    this.#used = used;
  }

  async step(): Promise<void> {
    const draw = this.#random.float();
    if (draw < 0.15 && this.#adds) return this.#add();
    const first = this.#random.below(KEYS);
    if (draw < 0.3) return this.#read(`k${first}`);
    const isBulk = draw > 0.8;
    const keys = Array.from({ length: KEYS }, (_, i) => `k${i}`).filter(
      (_, i) => (isBulk && this.#random.float() < 0.6) || i === first,
    );
    const open = keys.filter((key) => this.#use(key));
    if (open.length === 0) return;
    if (isBulk) await this.#appendMany(open);
    else await this.#append(open[0] as string, draw > 0.75);
  }

  #use(key: string): boolean {
    const used = this.#used.get(key) ?? 0;
    if (used >= MAX_CALLS_PER_KEY) return false;
    this.#used.set(key, used + 1);
    return true;
  }

  #map(timeoutMs: number) {
    return this.#context.caller.grid.getMap<string, string[]>(PROCESSED).with({ timeoutMs });
  }

  async #append(key: string, fails: boolean): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    const v = this.#name();
    const step = { k: `${PROCESSED}/${key}`, f: 'append', v };
    const processor = { name: fails ? 'append and throw' : 'append', argument: v };
    const invoke = () => this.#map(timeoutMs).executeOnKey<string[]>(key, processor);
    await this.#recorder.call(this.#context.caller, step, true, timeoutMs, invoke, (list) => list);
  }

  async #appendMany(keys: readonly string[]): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    const v = this.#name();
    const steps = keys.map((key) => ({ k: `${PROCESSED}/${key}`, f: 'append', v }));
    const invoke = () => this.#map(timeoutMs).executeOnKeys<string[]>(keys, { name: 'append', argument: v });
    const listOf = (lists: readonly (readonly [string, string[]])[], { k }: { readonly k: string }) =>
      lists.find(([key]) => `${PROCESSED}/${key}` === k)?.[1];
    await this.#recorder.callMany(this.#context.caller, steps, true, timeoutMs, invoke, listOf);
  }

  async #read(key: string): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    const step = { k: `${PROCESSED}/${key}`, f: 'read' };
    const invoke = () => this.#map(timeoutMs).get(key);
    await this.#recorder.call(this.#context.caller, step, false, timeoutMs, invoke, (list) => list);
  }

  async #add(): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    const name = `n${this.#random.below(COUNTERS)}`;
    const delta = 1 + this.#random.below(1000);
    const long = this.#context.caller.grid.getAtomicLong(name).with({ timeoutMs });
    const step = { k: `counter/${name}`, f: 'addAndGet', v: delta };
    const invoke = () => long.alterAndGet('plus', BigInt(delta));
    const text = (value: bigint) => value.toString();
    await this.#recorder.call(this.#context.caller, step, true, timeoutMs, invoke, text);
  }

  #name(): string {
    return `${this.#context.worker}.${++this.#named}`;
  }
}

/** Steps of workers that call nothing but functions. */
export function processorSteps(recorder: Recorder): StepsFor {
  return (context, random, used) => {
    const worker = new ProcessorWorker(context, recorder, random.fork('processors'), used);
    return () => worker.step();
  };
}
