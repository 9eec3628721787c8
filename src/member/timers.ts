/** What a member does again and again. */
import type { Clock, Timer } from '../base/ports.js';

/** Replication repeats and waits in this rhythm. */
export const REPLICATION_TICK_MS = 50;
/** Rhythm of looking for a cluster. */
export const SEEK_TICK_MS = 100;
/** Processes that are started together need this long to find each other, however fast hearts beat. */
export const LEAST_PATIENCE_MS = 700;

export class Timers {
  readonly #clock: Clock;
  readonly #timers: Timer[] = [];
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  every(periodMs: number, fn: () => void): void {
    const index = this.#timers.length;
    const again = () => {
      this.#timers[index] = this.#clock.setTimer(periodMs, () => {
        if (this.#stopped) return;
        fn();
        again();
      });
    };
    again();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
  }
}
