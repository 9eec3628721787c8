/**
 * Regular expressions in linear time, by RE2: no pattern can keep a member busy for longer than its size times that of the
 * text. Back references and lookarounds are what that costs; they are refused when the predicate is made. Called by the check
 * of predicates and by matchers.
 */
import { RE2JS } from 're2js';
import { MAX_REGEX_INSTRUCTIONS } from './limits.js';
import type { Work } from './work.js';

/** Making one takes longer than a query of a small partition: those in use are kept. */
const KEPT = new Map<string, RE2JS>();
const MAX_KEPT = 64;

/** Throws a `TypeError` that says what is wrong with the pattern. */
export function regexOf(pattern: string): RE2JS {
  const known = KEPT.get(pattern);
  if (known !== undefined) return known;
  const made = compiled(pattern);
  if (made.programSize() > MAX_REGEX_INSTRUCTIONS)
    throw new TypeError(
      `regex: the expression has ${made.programSize()} instructions; the limit is ${MAX_REGEX_INSTRUCTIONS}`,
    );
  if (KEPT.size >= MAX_KEPT) KEPT.delete(KEPT.keys().next().value as string);
  KEPT.set(pattern, made);
  return made;
}

function compiled(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    throw new TypeError(`regex: ${(error as Error).message.slice(0, 200)}`);
  }
}

/** Whether the whole text fits. Throws a `QueryTooLargeError` for a text that would take too long. */
export function fitsRegex(regex: RE2JS, text: string, work: Work): boolean {
  const instructions = regex.programSize();
  work.spend(
    instructions * text.length,
    `a text of ${text.length} characters with a regular expression of ${instructions} instructions`,
  );
  return regex.testExact(text);
}
