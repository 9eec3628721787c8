/**
 * How often something is to be asked for, by what those want who use the answers: the shortest interval that somebody
 * wanted lately. Invariant: a wish ends by itself some time after it was last said; then the next shortest counts, those of
 * one power of two counting as one wish. Called for every read by near caches and backups, so it makes no objects.
 */

/** A wish counts for so long. */
const WISH_MS = 10_000;
/** Asked more often, the answers would cost more than they tell. */
const SHORTEST_INTERVAL_MS = 5;
/** Questions whose answers count. */
const MAX_ASKED = 64;

/** How often is to be asked so that what is no older than this is always at hand. */
export function intervalFor(maxStalenessMs: number): number {
  return Math.max(SHORTEST_INTERVAL_MS, maxStalenessMs / 3);
}

/** When the latest questions were asked: an answer to none of them proves nothing. */
export class Asked {
  readonly #times: number[] = [];

  add(askedMs: number): void {
    this.#times.push(askedMs);
    if (this.#times.length > MAX_ASKED) this.#times.shift();
  }

  has(askedMs: number): boolean {
    return this.#times.includes(askedMs);
  }
}

export class Demand {
  /** By the power of two that the interval is below. */
  readonly #shortestMs = new Float64Array(33).fill(Number.POSITIVE_INFINITY);
  readonly #untilMs = new Float64Array(33).fill(Number.NEGATIVE_INFINITY);
  #intervalMs = Number.POSITIVE_INFINITY;

  /** As `settle` found it, or as a shorter wish has made it since; Infinity for nobody. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Somebody wants answers this often; whether that is more often than before. */
  want(nowMs: number, intervalMs: number): boolean {
    const at = 32 - Math.clz32(intervalMs);
    this.#untilMs[at] = nowMs + WISH_MS;
    if (intervalMs < (this.#shortestMs[at] as number)) this.#shortestMs[at] = intervalMs;
    if (intervalMs >= this.#intervalMs) return false;
    this.#intervalMs = intervalMs;
    return true;
  }

  /** Forgets what nobody wanted lately; the interval that is left. */
  settle(nowMs: number): number {
    this.#intervalMs = Number.POSITIVE_INFINITY;
    for (const [at, untilMs] of this.#untilMs.entries()) {
      if (nowMs > untilMs) this.#shortestMs[at] = Number.POSITIVE_INFINITY;
      this.#intervalMs = Math.min(this.#intervalMs, this.#shortestMs[at] as number);
    }
    return this.#intervalMs;
  }
}
