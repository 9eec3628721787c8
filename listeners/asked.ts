/**
 * The predicates of all listeners at a member. Invariants: equal ones (by their bytes) share one matcher, which is asked once
 * about an event, however many listeners there are; what is kept for them is bounded. An entry that the predicate cannot be
 * asked about counts as one that matches, so that nothing is kept from a listener. Owned by the teller.
 */
import type { ChangeEvent } from '../partitions/events/event.js';
import { type Matcher, matcherOf } from '../partitions/query/matcher.js';
import type { Predicate } from '../partitions/query/predicate.js';
import { writePredicate } from '../partitions/query/predicate-codec.js';
import { textOf, Writer } from '../src/base/bytes.js';

/** Of different predicates, encoded. */
const MAX_BYTES = 4 * 1024 * 1024;
/** Of one entry, before or behind a change, in the steps of matchers: some 40 ms at the most. */
const MAX_ENTRY_STEPS = 1_500_000;
/** Answers that are kept. */
const MAX_KNOWN = 262_144;
/** Steps of a question beside those of the matcher; each byte, which may have to be decoded, is another one. */
const QUESTION_STEPS = 20;

/** Whether an entry matched before a change, and behind it. */
export interface Matches {
  readonly had: boolean;
  readonly has: boolean;
}

export interface Asked {
  /** Of an event of an entry. */
  of(event: ChangeEvent): Matches;
}

/** One object for each: many are kept. */
const ANSWERS: readonly Matches[] = [
  { had: false, has: false },
  { had: false, has: true },
  { had: true, has: false },
  { had: true, has: true },
];

interface Shared extends Asked {
  readonly bytes: string;
  holders: number;
}

export class AskedPredicates {
  readonly #maxBytes: number;
  readonly #byBytes = new Map<string, Shared>();
  #sizeBytes = 0;
  #known = 0;
  /** Answers of an earlier one are forgotten. */
  #age = 0;
  /** Steps that all questions have taken so far. */
  spent = 0;

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Null when there is no room for another one; else to be given back by `release`. */
  take(predicate: Predicate): Asked | null {
    const out = new Writer();
    writePredicate(out, predicate);
    const bytes = textOf(out.toBytes());
    const known = this.#byBytes.get(bytes);
    if (known !== undefined) {
      known.holders++;
      return known;
    }
    if (this.#sizeBytes + bytes.length > this.#maxBytes) return null;
    const made = this.#shared(bytes, matcherOf(predicate, MAX_ENTRY_STEPS));
    this.#sizeBytes += bytes.length;
    this.#byBytes.set(bytes, made);
    return made;
  }

  release(asked: Asked): void {
    const shared = asked as Shared;
    if (--shared.holders > 0) return;
    this.#byBytes.delete(shared.bytes);
    this.#sizeBytes -= shared.bytes.length;
  }

  #shared(bytes: string, matcher: Matcher): Shared {
    // By the event itself, so that an answer is gone when the ring has dropped its event.
    let answers = new WeakMap<ChangeEvent, Matches>();
    let age = this.#age;
    const of = (event: ChangeEvent): Matches => {
      if (age === this.#age) {
        const known = answers.get(event);
        if (known !== undefined) return known;
      } else {
        answers = new WeakMap();
        age = this.#age;
      }
      const answer = this.#ask(matcher, event);
      answers.set(event, answer);
      if (++this.#known >= MAX_KNOWN) {
        this.#known = 0;
        this.#age++;
      }
      return answer;
    };
    return { bytes, holders: 1, of };
  }

  #ask(matcher: Matcher, { key, value, old }: ChangeEvent): Matches {
    const before = matcher.spent;
    const had = old !== null && matches(matcher, key, old);
    const has = value !== null && matches(matcher, key, value);
    const bytes = key.length + (value?.length ?? 0) + (old?.length ?? 0);
    this.spent += QUESTION_STEPS + bytes + matcher.spent - before;
    return ANSWERS[(had ? 2 : 0) + (has ? 1 : 0)] as Matches;
  }
}

function matches(matcher: Matcher, key: Uint8Array, value: Uint8Array): boolean {
  try {
    return matcher.matches(key, value);
  } catch {
    return true;
  }
}
