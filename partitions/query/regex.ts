/**
 * Regular expressions in linear time, by RE2: no pattern can keep a member busy for longer than its size times that of the
 * text. Back references and lookarounds are what that costs; they are refused when the predicate is made. Invariants: nothing
 * is compiled that is not known to be small; only so many are kept compiled at a time, whoever holds them, because each grows
 * by megabytes while it is used. Called by the check of predicates and by matchers.
 */
import { RE2JS } from 're2js';
import { MAX_REGEX_INSTRUCTIONS, MAX_REGEXES } from './limits.js';
import { regexSize } from './regex-size.js';
import type { Work } from './work.js';

/** Compiled at a time: those of two predicates at least, so that one does not drive out its own. */
const MAX_KEPT = 2 * MAX_REGEXES;

interface Kept {
  /** Null when it was driven out. */
  regex: RE2JS | null;
  wasUsed: boolean;
}

const KEPT = new Map<string, Kept>();

/** Throws a `TypeError` that says what is wrong with the pattern, which is no larger than `RegexBudget` allows. */
function keptOf(pattern: string): Kept {
  const known = KEPT.get(pattern);
  if (known !== undefined) {
    known.wasUsed = true;
    return known;
  }
  const made = { regex: compile(pattern), wasUsed: false };
  makeRoom();
  KEPT.set(pattern, made);
  return made;
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    throw new TypeError(`regex: ${(error as Error).message.slice(0, 200)}`);
  }
}

/** What was used since it was looked at here goes behind the others. */
function makeRoom(): void {
  for (const [pattern, kept] of KEPT) {
    if (KEPT.size < MAX_KEPT) return;
    KEPT.delete(pattern);
    if (kept.wasUsed) {
      kept.wasUsed = false;
      KEPT.set(pattern, kept);
    } else kept.regex = null;
  }
}

/** What all regular expressions of one predicate take together; the same one counts once. */
export class RegexBudget {
  readonly #patterns = new Set<string>();
  #instructions = 0;

  /** Throws a `TypeError` for a pattern that is none, and when they are too many or too large, before anything is made. */
  add(pattern: string): void {
    if (this.#patterns.has(pattern)) return;
    if (this.#patterns.size >= MAX_REGEXES)
      throw new TypeError(`regex: more than ${MAX_REGEXES} regular expressions in a predicate`);
    this.#instructions += regexSize(pattern);
    if (this.#instructions > MAX_REGEX_INSTRUCTIONS)
      throw new TypeError(
        `regex: about ${this.#instructions} instructions in the regular expressions of a predicate; the limit is ${MAX_REGEX_INSTRUCTIONS}`,
      );
    this.#patterns.add(pattern);
    keptOf(pattern);
  }
}

/** Whole texts that fit. Throws a `QueryTooLargeError` for one that would take too long. */
export function regexTest(pattern: string, work: Work): (text: string) => boolean {
  let kept = keptOf(pattern);
  const instructions = (kept.regex as RE2JS).programSize();
  return (text) => {
    work.spend(
      REGEX_STEPS * instructions * text.length,
      `a text of ${text.length} characters with a regular expression of ${instructions} instructions`,
    );
    if (kept.regex === null) kept = keptOf(pattern);
    kept.wasUsed = true;
    return (kept.regex as RE2JS).testExact(text);
  };
}

/** Of an instruction for a character, at worst. */
const REGEX_STEPS = 4;
