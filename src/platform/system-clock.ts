/**
 * The clock of a real process. Doors hand one to every member and client that they build.
 * Invariants: `now` never steps back, and a timer never fires before its delay has passed on `now`.
 */
import { performance } from 'node:perf_hooks';
import type { Clock, Timer } from '../base/ports.js';

/** Node fires a timer with a longer delay at once, so longer waits are made of several. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

class SystemTimer implements Timer {
  readonly #dueMs: number;
  readonly #fn: () => void;
  #handle: NodeJS.Timeout;
  #isUnref = false;

  constructor(delayMs: number, fn: () => void) {
    this.#dueMs = performance.now() + delayMs;
    this.#fn = fn;
    this.#handle = this.#wait(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }

  unref(): void {
    this.#isUnref = true;
    this.#handle.unref();
  }

  #wait(delayMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#fire(), Math.min(Math.ceil(delayMs), LONGEST_TIMEOUT_MS));
  }

  #fire(): void {
    // Node counts in whole milliseconds and may be a fraction early; leases and ages must not notice.
    const restMs = this.#dueMs - performance.now();
    if (restMs <= 0) {
      this.#fn();
      return;
    }
    this.#handle = this.#wait(restMs);
    if (this.#isUnref) this.#handle.unref();
  }
}

export class SystemClock implements Clock {
  now(): number {
    return performance.now();
  }

  wallNow(): number {
    return Date.now();
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    return new SystemTimer(delayMs > 0 ? delayMs : 0, fn);
  }

  defer(fn: () => void): void {
    setImmediate(fn);
  }
}
