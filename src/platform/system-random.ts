/**
 * Chance from the operating system's generator. Doors hand one to every member and client that they build.
 * Invariant: no two processes share a sequence, so the ids that are drawn from it are unique.
 */
import { randomFillSync, randomUUID } from 'node:crypto';
import type { Random } from '../base/ports.js';

/** One call of the generator fills this many numbers, because a call costs far more than a number. */
const POOL_NUMBERS = 1_024;

export class SystemRandom implements Random {
  readonly #pool = new Uint32Array(POOL_NUMBERS);
  #next = POOL_NUMBERS;

  uint32(): number {
    if (this.#next === POOL_NUMBERS) {
      randomFillSync(this.#pool);
      this.#next = 0;
    }
    return this.#pool[this.#next++]!;
  }

  float(): number {
    // 53 random bits: every double in [0, 1) that is a multiple of 2^-53.
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53;
  }

  uuid(): string {
    return randomUUID();
  }
}
