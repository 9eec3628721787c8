/** Bounds of queries: what a predicate may consist of, and how long a step of one may keep a member busy. */

/** Predicates inside predicates, the outermost one counted. */
export const MAX_DEPTH = 32;
/** Predicates in a predicate, itself counted. */
export const MAX_NODES = 1_024;
/** Values of all `in` lists of a predicate together. */
export const MAX_VALUES = 8_192;
/** Characters of a text that is compared with. */
export const MAX_TEXT = 16_384;
/** Characters of a pattern of LIKE, and of a regular expression. */
export const MAX_PATTERN = 1_024;
/** Of an encoded predicate. */
export const MAX_PREDICATE_BYTES = 256 * 1024;
/** Characters of a `where` text. */
export const MAX_WHERE = 65_536;
/** Characters, and steps, of the path of a field. */
export const MAX_PATH = 256;
export const MAX_STEPS = 16;
/** Digits of a number, and bytes of a bigint. */
export const MAX_BIGINT_BYTES = 128;
export const MAX_DIGITS = 400;
/** Different regular expressions in a predicate. */
export const MAX_REGEXES = 32;
/** Of all regular expressions of a predicate together, by `regexSize`: they are compiled in some 10 to 20 ms. */
export const MAX_REGEX_INSTRUCTIONS = 4_096;
/** Of one entry, in steps: some tenths of a second at the most. */
export const MAX_ENTRY_WORK = 6_000_000;
