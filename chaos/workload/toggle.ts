/**
 * Presets that change under load: structures whose preset is made strict and loose again about every second, and workers that
 * call them all the time. What holds only while the preset is strict is judged by the windows that are written down here: from
 * the return of a change to a strict preset until the next change is asked for.
 */
import type { Grid } from '../../client/core/grid.js';
import { ConnectError, IndeterminateError, OrderRefusedError } from '../../src/base/errors.js';
import type { SeededRandom } from '../../src/base/random.js';
import type { ConsistencyChange, ConsistencyTarget } from '../../src/config/toggle-request.js';
import type { PresetName } from '../../src/policy/presets.js';
import type { TogglePlan } from '../case.js';
import type { Scheduler } from '../sim/virtual-clock.js';
import type { Finding, Recorder } from './recorder.js';
import { RegisterWorker } from './register.js';
import { SetWorker } from './set.js';
import type { StepsFor } from './workload.js';

/** The pattern of both structures of this workload. */
export const TOGGLED = 'toggled-*';
export const TOGGLED_REGISTER = 'toggled-register';
export const TOGGLED_SET = 'toggled-set';
/** Errors that only loose and consistent presets bring. */
export const TOGGLE_CODES = [
  'ERR_SESSION_LOST',
  'ERR_TOO_STALE',
  'ERR_NO_LEASE',
  'ERR_IN_FORK',
  'ERR_OTHER_LINEAGE',
];

/** A key is judged window by window, so that its whole history may be long. */
const MAX_OPERATIONS_PER_KEY = 4_000;
const TIMEOUT_MS = 8_000;
const SHORTEST_MS = 300;

/** From the return of the change to a strict preset to the call of the next change. */
export interface StrictWindow {
  readonly fromMs: number;
  readonly toMs: number;
  readonly preset: string;
}

interface TogglingGrid extends Grid {
  setConsistency(
    target: ConsistencyTarget,
    preset: PresetName,
    options: { readonly timeoutMs: number },
  ): Promise<ConsistencyChange>;
}

/** What happens to the cluster around a change to a strict preset. */
interface Trouble {
  before(): void;
  after(): void;
}

/** Changes the presets, and writes down when which of them held. */
export class Toggler {
  readonly windows: StrictWindow[] = [];
  readonly findings: Finding[] = [];
  /** How changes ended, with counts. */
  readonly ended = new Map<string, number>();
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #plan: TogglePlan;
  readonly #trouble: Trouble;
  #open: { readonly fromMs: number; readonly preset: string } | null = null;
  #stopped = false;
  isDone = false;

  constructor(scheduler: Scheduler, random: SeededRandom, plan: TogglePlan, trouble: Trouble) {
    this.#scheduler = scheduler;
    this.#trouble = trouble;
    this.#random = random;
    this.#plan = plan;
  }

  async run(grid: Grid, ready: Promise<void>): Promise<void> {
    await ready;
    const { loose, strict } = this.#plan;
    while (!this.#stopped) {
      this.#trouble.before();
      const isStrict = await this.#change(grid as TogglingGrid, pick(this.#random, strict));
      this.#trouble.after();
      if (isStrict) await this.#sleep(SHORTEST_MS + this.#random.float() * 700);
      this.#close();
      if (this.#stopped) break;
      await this.#change(grid as TogglingGrid, pick(this.#random, loose));
      await this.#sleep(SHORTEST_MS + this.#random.float() * 500);
    }
    this.isDone = true;
  }

  /** No further change begins; a strict preset that holds goes on to do so. */
  stop(): void {
    this.#stopped = true;
  }

  #close(): void {
    if (this.#open !== null) this.windows.push({ ...this.#open, toMs: this.#scheduler.now });
    this.#open = null;
  }

  async #change(grid: TogglingGrid, preset: PresetName): Promise<boolean> {
    const isStrict = this.#plan.strict.includes(preset);
    try {
      const target = this.#plan.isAll ? 'all' : { map: TOGGLED };
      await grid.setConsistency(target, preset, { timeoutMs: TIMEOUT_MS });
      this.#ended(`preset changed to ${preset}`);
      if (isStrict) this.#open = { fromMs: this.#scheduler.now, preset };
      return true;
    } catch (error) {
      if (error instanceof IndeterminateError) this.#ended('preset change of unknown outcome');
      else if (error instanceof OrderRefusedError) this.#ended('preset change refused');
      else if (error instanceof ConnectError) this.#ended('preset change without a connection');
      else
        this.findings.push({ guarantee: 'typed errors', text: `setConsistency ended with ${String(error)}` });
      return false;
    }
  }

  #ended(how: string): void {
    this.ended.set(how, (this.ended.get(how) ?? 0) + 1);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#scheduler.schedule(this.#scheduler.now + ms, resolve);
    });
  }
}

function pick<T>(random: SeededRandom, values: readonly T[]): T {
  return values[random.below(values.length)] as T;
}

/** What the workers of a run with changing presets call. */
export function toggleSteps(keys: number, recorder: Recorder): StepsFor {
  return (context, random, used) => {
    const names = { structure: TOGGLED_REGISTER, most: MAX_OPERATIONS_PER_KEY };
    const register = new RegisterWorker(context, recorder, random.fork('register'), keys, used, names);
    const set = new SetWorker(context, recorder, random.fork('set'), TOGGLED_SET);
    return () => (random.float() < 0.75 ? register.step() : set.step());
  };
}
