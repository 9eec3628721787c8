/**
 * Entries with times to live and max idle times on few keys: written, read at the primary and at any replica, removed, and
 * left alone for a while. Every value is written once, so that it says which write a read has seen. What was asked for is
 * kept for `checker/expiring.ts`. One worker calls one operation after the other.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Recorder } from './recorder.js';
import type { Step, StepsFor } from './workload.js';

export const EXPIRING_MAP = 'ending';
const KEYS = 10;
const TTLS_MS = [0, 0, 150, 400, 1_000] as const;
/** The last is longer than it takes to notice a crash: so it matters what a new primary knows of uses. */
const IDLES_MS = [0, 300, 800, 1_800] as const;

/** Where sides are cut off for seconds: some outlive a cut. */
const LONG: Choices = { ttlsMs: [0, 0, 400, 2_500, 7_000], idlesMs: [0, 0, 600, 3_000] };
const SHORT: Choices = { ttlsMs: TTLS_MS, idlesMs: IDLES_MS };

interface Choices {
  readonly ttlsMs: readonly number[];
  readonly idlesMs: readonly number[];
}

/** What a write asked for, by its value. */
export interface Asked {
  readonly ttlMs: number;
  readonly idleMs: number;
}

export class ExpiryLog {
  readonly asked = new Map<string, Asked>();
}

export function expirySteps(recorder: Recorder, log: ExpiryLog): StepsFor {
  return (context, random) => {
    const worker = new ExpiryWorker(context, recorder, log, random.fork('expiry'));
    return () => worker.step();
  };
}

/** The same with times that cuts meet. */
export function longExpiryStep(
  context: WorkerContext,
  recorder: Recorder,
  log: ExpiryLog,
  random: SeededRandom,
): Step {
  const worker = new ExpiryWorker(context, recorder, log, random, LONG);
  return () => worker.step();
}

class ExpiryWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #log: ExpiryLog;
  readonly #random: SeededRandom;
  readonly #choices: Choices;
  #made = 0;

  constructor(
    context: WorkerContext,
    recorder: Recorder,
    log: ExpiryLog,
    random: SeededRandom,
    choices = SHORT,
  ) {
    this.#choices = choices;
    this.#context = context;
    this.#recorder = recorder;
    this.#log = log;
    this.#random = random;
  }

  async step(): Promise<void> {
    const random = this.#random;
    const name = `k${random.below(KEYS)}`;
    const k = `${EXPIRING_MAP}/${name}`;
    const { caller } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const map = caller.grid.getMap<string, string>(EXPIRING_MAP).with({ timeoutMs });
    const draw = random.float();
    if (draw < 0.2) {
      const v = `${this.#context.worker}.${++this.#made}`;
      const pick = (times: readonly number[]) => times[random.below(times.length)] as number;
      const asked = { ttlMs: pick(this.#choices.ttlsMs), idleMs: pick(this.#choices.idlesMs) };
      this.#log.asked.set(v, asked);
      const write = () => map.set(name, v, asked.ttlMs, asked.idleMs);
      await this.#recorder.call(caller, { k, f: 'write', v }, true, timeoutMs, write);
    } else if (draw < 0.24) {
      await this.#recorder.call(caller, { k, f: 'remove' }, true, timeoutMs, () => map.delete(name));
    } else {
      const isLoose = draw < 0.4;
      const from = map.with({ consistency: isLoose ? 'EL' : 'EC' });
      const step = { k, f: isLoose ? 'glance' : 'read' };
      await this.#recorder.call(
        caller,
        step,
        false,
        timeoutMs,
        () => from.get(name),
        (out) => out,
      );
    }
  }
}
