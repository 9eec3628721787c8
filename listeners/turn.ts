/**
 * How much the teller does at a time. What it has to tell is all listeners times all events, and each of these may ask a
 * predicate about a large value: it ends its turn after some steps, and rests, so that heartbeats and calls get on. Counted
 * in the steps of matchers, some 25 ns each, so that it is the same in every run. Owned by the teller.
 */
import type { AskedPredicates } from './asked.js';

/** About 10 ms. */
const TURN_STEPS = 400_000;
/** Of a turn that was no longer than that. */
const REST_MS = 5;
/** To look at a listener, and at an event for it. */
const LOOK_STEPS = 5;
/** To tell an event, beside its bytes. */
const TOLD_STEPS = 40;
/** In one step. */
const TOLD_BYTES = 32;

export class Turn {
  readonly #asked: AskedPredicates;
  #askedBefore = 0;
  #spent = 0;

  constructor(asked: AskedPredicates) {
    this.#asked = asked;
  }

  begin(): void {
    this.#askedBefore = this.#asked.spent;
    this.#spent = 0;
  }

  looked(times = 1): void {
    this.#spent += LOOK_STEPS * times;
  }

  told(events: number, bytes: number): void {
    this.#spent += TOLD_STEPS * events + bytes / TOLD_BYTES;
  }

  get spent(): number {
    return this.#spent + this.#asked.spent - this.#askedBefore;
  }

  get isOver(): boolean {
    return this.spent >= TURN_STEPS;
  }

  /** Longer behind one that has taken longer, as the last question of it may have. */
  get restMs(): number {
    return Math.ceil(REST_MS * Math.max(1, this.spent / TURN_STEPS));
  }
}
