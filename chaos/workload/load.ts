/**
 * `getOrLoad` on few keys: loaders that take their time, fail, find nothing or take too long, beside writes and removals
 * of the same keys. Some keys expire, and some calls take what is stale. What loaders did is kept for
 * `checker/loads.ts`. One worker calls one operation after the other.
 */
import type { LoadContext } from '../../partitions/services/map/proxy-flight.js';
import type { SeededRandom } from '../../src/base/random.js';
import type { Scheduler } from '../sim/virtual-clock.js';
import type { Caller, WorkerContext } from './caller.js';
import type { Recorder } from './recorder.js';
import { MAX_OPERATIONS_PER_KEY } from './register.js';

export const LOAD = 'load';
/** Keys whose values expire, and are no registers therefore. */
export const EXPIRING = 'expiring';
export const LOAD_TIMEOUT_MS = 600;
const KEYS = 3;
const TTL_MS = 250;

/** One run of a loader; times on the scheduler. */
export interface LoadRun {
  /** `<structure>/<key>`. */
  readonly k: string;
  readonly value: string;
  readonly fence: bigint;
  readonly host: string;
  /** When the call that brought the loader began: its lease was granted after that. */
  readonly calledMs: number;
  readonly fromMs: number;
  /** When it gave its value, or null, or threw. */
  toMs: number | null;
  outcome: 'value' | 'nothing' | 'failed' | null;
  /** When it was told that its time is over. */
  abortedMs: number | null;
}

/** What a call may be given that is not from the primary's present. */
export interface LoadRead {
  readonly k: string;
  readonly callMs: number;
  readonly retMs: number;
  readonly value: string;
  readonly mayBeStale: boolean;
}

export class LoadLog {
  readonly runs: LoadRun[] = [];
  readonly reads: LoadRead[] = [];
}

interface LoadPlan {
  readonly calledMs: number;
  readonly takesMs: number;
  readonly outcome: NonNullable<LoadRun['outcome']>;
}

export class LoadWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #log: LoadLog;
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #used: Map<string, number>;
  #made = 0;

  constructor(
    context: WorkerContext,
    recorder: Recorder,
    log: LoadLog,
    scheduler: Scheduler,
    random: SeededRandom,
    used: Map<string, number>,
  ) {
    this.#context = context;
    this.#recorder = recorder;
    this.#log = log;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#used = used;
  }

  async step(): Promise<void> {
    const structure = this.#random.float() < 0.6 ? LOAD : EXPIRING;
    const k = `${structure}/k${this.#random.below(KEYS)}`;
    // Without changes too a key that expires is loaded again and again.
    const draw = this.#random.float() * (structure === EXPIRING ? 0.75 : 1);
    const used = this.#used.get(k) ?? 0;
    if (used >= MAX_OPERATIONS_PER_KEY) return;
    this.#used.set(k, used + 1);
    const { caller } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const map = caller.grid.getMap<string, string>(structure).with({ timeoutMs });
    const key = k.slice(structure.length + 1);
    if (draw < 0.6) {
      const mayBeStale = structure === EXPIRING && this.#random.float() < 0.4;
      await this.load(k, key, timeoutMs, mayBeStale);
    } else if (draw < 0.7) {
      await this.#read(k, 'read', timeoutMs, false, () => map.get(key));
    } else if (draw < 0.8) {
      const v = `written ${this.#name()}`;
      await this.#recorder.call(caller, { k, f: 'write', v }, true, timeoutMs, () => map.set(key, v));
    } else {
      await this.#recorder.call(caller, { k, f: 'remove' }, true, timeoutMs, () => map.delete(key));
    }
  }

  /** One call of `getOrLoad`; resolves with whether it was answered. */
  load(k: string, key: string, timeoutMs: number, mayBeStale: boolean): Promise<boolean> {
    const isExpiring = k.startsWith(EXPIRING);
    const map = this.#context.caller.grid.getMap<string, string>(isExpiring ? EXPIRING : LOAD);
    const options = {
      loadTimeoutMs: LOAD_TIMEOUT_MS,
      ...(isExpiring ? { ttlMs: TTL_MS, staleMs: mayBeStale ? 2 * TTL_MS : 0 } : {}),
    };
    // Drawn here, because when a loader runs depends on others.
    const plan = { calledMs: this.#scheduler.now, takesMs: this.#drawTime(), outcome: this.#drawOutcome() };
    const loader = (_key: string, context: LoadContext) => this.#run(k, context, plan);
    return this.#read(k, 'read', timeoutMs, mayBeStale, () =>
      map.with({ timeoutMs }).getOrLoad(key, loader, options),
    );
  }

  #drawTime(): number {
    const draw = this.#random.float();
    if (draw < 0.1) return LOAD_TIMEOUT_MS * (0.9 + 0.6 * this.#random.float());
    return draw < 0.2 ? 0 : 10 + this.#random.below(250);
  }

  #drawOutcome(): NonNullable<LoadRun['outcome']> {
    const draw = this.#random.float();
    return draw < 0.1 ? 'failed' : draw < 0.2 ? 'nothing' : 'value';
  }

  async #run(
    k: string,
    { fence, signal }: LoadContext,
    { calledMs, takesMs, outcome }: LoadPlan,
  ): Promise<string | null> {
    const { caller } = this.#context;
    const run: LoadRun = {
      k,
      value: `loaded ${this.#name()}`,
      fence,
      host: caller.host,
      calledMs,
      fromMs: this.#scheduler.now,
      toMs: null,
      outcome: null,
      abortedMs: null,
    };
    this.#log.runs.push(run);
    signal.addEventListener('abort', () => {
      run.abortedMs = this.#scheduler.now;
    });
    await new Promise<void>((resolve) => this.#scheduler.schedule(run.fromMs + takesMs, resolve));
    // The timer is not the process's own.
    if (!isRunning(caller)) return new Promise(() => {});
    run.toMs = this.#scheduler.now;
    run.outcome = outcome;
    if (outcome === 'failed') throw new Error('the loader fails on purpose');
    return outcome === 'nothing' ? null : run.value;
  }

  async #read(
    k: string,
    f: string,
    timeoutMs: number,
    mayBeStale: boolean,
    invoke: () => Promise<string | null>,
  ): Promise<boolean> {
    const { caller } = this.#context;
    const entry = await this.#recorder.call(caller, { k, f }, false, timeoutMs, invoke, (out) => out);
    const { callMs, retMs, type, out } = entry;
    if (type === 'ok' && typeof out === 'string')
      this.#log.reads.push({ k, callMs, retMs: retMs as number, value: out, mayBeStale });
    return type === 'ok';
  }

  #name(): string {
    return `${this.#context.worker}.${++this.#made}`;
  }
}

function isRunning({ isAlive }: Caller): boolean {
  return isAlive();
}

/** All keys of the workload, with their structures in front. */
export const LOAD_KEYS: readonly string[] = [LOAD, EXPIRING].flatMap((structure) =>
  Array.from({ length: KEYS }, (_, i) => `${structure}/k${i}`),
);
