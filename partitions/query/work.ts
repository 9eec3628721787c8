/**
 * How much work a predicate may make of one entry: patterns times texts, and elements of arrays. Many conditions on a large value
 * would else keep a member busy for seconds, however fast each of them is. Called by matchers.
 */
import { QueryTooLargeError } from '../../src/base/errors.js';
import { MAX_ENTRY_WORK } from './limits.js';

export class Work {
  #left = MAX_ENTRY_WORK;

  /** For the next entry. */
  renew(): void {
    this.#left = MAX_ENTRY_WORK;
  }

  /** Throws a `QueryTooLargeError` when the entry has taken too much. `what` is told to people. */
  spend(units: number, what: string): void {
    this.#left -= units;
    if (this.#left < 0)
      throw new QueryTooLargeError(
        `${what} would take too long (more than ${MAX_ENTRY_WORK} steps for one entry); leave such entries out by a condition in front of it, or ask for less`,
      );
  }
}
