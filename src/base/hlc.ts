/**
 * Hybrid logical clock: versions that follow the wall clock where it behaves and never go back where it does not.
 * A version is ordered by (ms, counter, member), so two members never give the same one.
 */

export interface HlcTime {
  /** Wall-clock milliseconds since 1970, or the highest seen. */
  ms: number;
  /** 0..65535; distinguishes versions of one millisecond. */
  counter: number;
}

export class HybridClock {
  #ms = 0;
  #counter = 0;
  readonly #wallOnly: boolean;

  /** `wallOnly`, only for tests that show why versions are not wall-clock times: the wall clock, as it comes. */
  constructor(wallOnly = false) {
    this.#wallOnly = wallOnly;
  }

  /** The latest time that was given or observed. */
  get latest(): Readonly<HlcTime> {
    return { ms: this.#ms, counter: this.#counter };
  }

  /** A time later than all that were given or observed before. */
  next(wallMs: number): HlcTime {
    const whole = Math.floor(wallMs);
    if (this.#wallOnly) return { ms: whole, counter: 0 };
    if (whole > this.#ms) {
      this.#ms = whole;
      this.#counter = 0;
    } else if (this.#counter === 0xffff) {
      this.#ms++;
      this.#counter = 0;
    } else {
      this.#counter++;
    }
    return { ms: this.#ms, counter: this.#counter };
  }

  /** A version of another member was seen; ours will be later. */
  observe(ms: number, counter: number): void {
    if (ms < this.#ms || (ms === this.#ms && counter <= this.#counter)) return;
    this.#ms = ms;
    this.#counter = counter;
  }
}
