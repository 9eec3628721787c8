/**
 * How much work a predicate may make of one entry: patterns times texts, elements of arrays, and long texts that are compared.
 * Many conditions on a large value would else keep a member busy for seconds, however fast each of them is. Called by matchers.
 */
import { QueryTooLargeError } from '../../src/base/errors.js';

export class Work {
  readonly #most: number;
  #left: number;
  #before = 0;

  /** `most` for one entry, in steps; a step takes some 25 ns. */
  constructor(most: number) {
    this.#most = most;
    this.#left = most;
  }

  /** For the next entry. */
  renew(): void {
    this.#before = this.spent;
    this.#left = this.#most;
  }

  /** Of all entries. */
  get spent(): number {
    return this.#before + this.#most - Math.max(0, this.#left);
  }

  /** Throws a `QueryTooLargeError` when the entry has taken too much. `what` is told to people. */
  spend(units: number, what: string): void {
    this.#left -= units;
    if (this.#left < 0)
      throw new QueryTooLargeError(
        `${what} would take too long (more than ${this.#most} steps for one entry); leave such entries out by a condition in front of it, or ask for less`,
      );
  }
}
