/**
 * Whether this process stood still and has not heard the others since: then it may have been removed, and what it knows of
 * presets may be over. Invariant: judged by this member's own clock alone, and before anything else of a turn is done.
 * Called by admission, for each call.
 */
import { isQuorum, type MemberId, type View } from '../cluster/view.js';

/** A tick that comes so late means that the process stood still. */
const STILL_MS = 1_000;
/** What had arrived before it is read within this time after it. */
const SETTLE_MS = 100;

export interface WakingHost {
  now(): number;
  view(): View | null;
  /** Whether a heartbeat of the member arrived within this time. */
  heardWithin(id: MemberId, withinMs: number): boolean;
}

export class Waking {
  readonly #host: WakingHost;
  #tickMs = Number.POSITIVE_INFINITY;
  /** When it was found to stand still; null once the others were heard since. */
  #wokeMs: number | null = null;

  constructor(host: WakingHost) {
    this.#host = host;
  }

  /** To be called often. */
  tick(): void {
    this.isWaking();
    this.#tickMs = this.#host.now();
  }

  isWaking(): boolean {
    const nowMs = this.#host.now();
    if (nowMs - this.#tickMs > STILL_MS) {
      this.#wokeMs = nowMs;
      this.#tickMs = nowMs;
    }
    if (this.#wokeMs === null) return false;
    const view = this.#host.view();
    const sinceMs = nowMs - this.#wokeMs;
    // What had arrived before it stood still is read after it: only what was sent since counts, a little later.
    const isHeard = (id: MemberId) => sinceMs > SETTLE_MS && this.#host.heardWithin(id, sinceMs - SETTLE_MS);
    if (view !== null && (view.members.length === 1 || isQuorum(view.members, isHeard))) this.#wokeMs = null;
    return this.#wokeMs !== null;
  }
}
