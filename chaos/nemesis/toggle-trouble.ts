/**
 * Trouble around changes of presets: silences that begin right before a change and keep a member from learning of it, or a
 * backup from what its primary has answered, and crashes right after its return. At other times they would hardly ever meet one.
 * Called by the toggler. Invariant: under the profile `promised` no silence lasts so long that a healthy member looks dead, and
 * there is time to breathe between two of them.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { Case } from '../case.js';
import type { Fault } from './fault.js';

export interface TroubleHost {
  readonly plan: Case;
  readonly now: number;
  /** Hosts of members whose own API is called. */
  embedded(): readonly string[];
  /** Applies faults; their times are from now on. */
  apply(faults: readonly Fault[]): void;
}

/** Silences of the usual schedule would meet these. */
const SILENCES: ReadonlySet<string> = new Set(['pause', 'hold', 'cut', 'delay']);
/** In suspicion times. */
const LONGEST = 0.45;
const BREATH = 1.2;
const SHARE_WITH_SILENCE = 0.7;
const CRASH_WITHIN_MS = 150;

/** The usual faults without those that would meet the silences of changes. */
export function withoutSilences(faults: readonly Fault[]): Fault[] {
  return faults.filter(({ kind, scope }) => !SILENCES.has(kind) || scope.startsWith('client:'));
}

export class ToggleTrouble {
  readonly #host: TroubleHost;
  readonly #random: SeededRandom;
  #quietFromMs = 0;
  /** Whom a crash after the change is meant for. */
  #victim: string | null = null;

  constructor(host: TroubleHost, random: SeededRandom) {
    this.#host = host;
    this.#random = random;
  }

  /** A change to a strict preset is about to be asked for. */
  before(): void {
    const { plan, now } = this.#host;
    this.#victim = null;
    if (now < this.#quietFromMs || this.#random.float() > SHARE_WITH_SILENCE) return;
    const longest = plan.profile === 'suspicion' && this.#random.float() < 0.3 ? 2 : LONGEST;
    const durationMs = plan.suspicionMs * (0.1 + this.#random.float() * (longest - 0.1));
    this.#quietFromMs = now + durationMs + BREATH * plan.suspicionMs;
    this.#host.apply([{ atMs: 0, durationMs, ...this.#silence() }]);
  }

  #silence(): Pick<Fault, 'kind' | 'scope'> {
    const { plan } = this.#host;
    const partition = this.#random.below(plan.partitionCount);
    const primary = `primary:${partition}`;
    const embedded = this.#host.embedded();
    const own = embedded[this.#random.below(Math.max(1, embedded.length))];
    const draw = this.#random.float();
    if (draw < 0.3 && own !== undefined) return { kind: 'hold', scope: `into:host:${own}` };
    if (draw < 0.4) return { kind: 'hold', scope: `into:${primary}` };
    if (draw < 0.55) return { kind: 'pause', scope: `any:${this.#random.below(7)}` };
    if (draw < 0.6) return { kind: 'hold', scope: 'oneway:oldest>rest' };
    const scope = draw < 0.8 ? `oneway:${primary}>backup:${partition}` : `around:${primary}`;
    if (plan.syncBackups === 0 || this.#random.float() < 0.2) return { kind: 'hold', scope };
    this.#victim = primary;
    // What is held would arrive after the crash.
    return { kind: 'cut', scope };
  }

  /** The change has returned. */
  after(): void {
    if (this.#victim === null) return;
    const scope = this.#victim;
    this.#victim = null;
    const atMs = this.#random.float() * CRASH_WITHIN_MS;
    const laterMs = atMs + 2.5 * this.#host.plan.suspicionMs;
    this.#host.apply([
      { atMs, kind: 'crash', scope, durationMs: 0 },
      { atMs: laterMs, kind: 'restart', scope: `ended:${this.#random.below(4)}`, durationMs: 0 },
    ]);
  }
}
