/** What a member does again and again. */
import type { Clock, Timer } from '../base/ports.js';

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
