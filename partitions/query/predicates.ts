/**
 * The predicates that users make, with the names of Hazelcast's Node.js client. All are plain data and frozen; a wrong argument
 * throws a `TypeError` at once. Exported as `Predicates`.
 */
import { type OrderBy, PagingPredicate } from './paging.js';
import { ALWAYS_FALSE, ALWAYS_TRUE, type Comparison, checkedPredicate, type Predicate } from './predicate.js';
import type { Scalar } from './scalars.js';
import { parseWhere } from './where-parser.js';

function made(predicate: Predicate): Predicate {
  return Object.freeze(checkedPredicate(predicate));
}

function compare(path: string, is: Comparison, value: Scalar): Predicate {
  return made({ kind: 'compare', path, is, value });
}

function ordered(path: string, is: '<' | '<=' | '>' | '>=', value: Scalar): Predicate {
  return compare(path, is, withOrder(value));
}

/** Null would match nothing, silently. */
function withOrder(value: Scalar): Scalar {
  if (value === null)
    throw new TypeError('value: null has no order, so nothing is above or below it; see equal and notEqual');
  return value;
}

const like = (path: string, pattern: string, escapeBy: string, ignoreCase: boolean): Predicate =>
  made({ kind: 'like', path, pattern, escapeBy, ignoreCase });

/**
 * Conditions on entries. An `attribute` is a path: `age`, `address.city`, `tags[any]`, `tags[0]`, `this` for the value
 * itself, `__key` for the key and `__key.id` for a part of it. A field that is not there matches nothing but `equal(a, null)`.
 */
export const Predicates = Object.freeze({
  /** The text behind WHERE in SQL, such as `age > 30 AND name LIKE 'J%'`; throws a `QuerySyntaxError`. */
  sql: (where: string): Predicate => Object.freeze(parseWhere(where)),
  /** All of them; without any it is always true. */
  and: (...predicates: Predicate[]): Predicate => made({ kind: 'and', parts: predicates }),
  /** One of them at least; without any it is always false. */
  or: (...predicates: Predicate[]): Predicate => made({ kind: 'or', parts: predicates }),
  /** Plain negation: it matches also entries that do not have the field. */
  not: (predicate: Predicate): Predicate => made({ kind: 'not', part: predicate }),
  /** From `from` to `to`, both included. */
  between: (attribute: string, from: Scalar, to: Scalar): Predicate =>
    made({ kind: 'between', path: attribute, from: withOrder(from), to: withOrder(to) }),
  /** With null: the field is null or not there. */
  equal: (attribute: string, value: Scalar): Predicate => compare(attribute, '=', value),
  /** The field is there and has another value; with null: it is there and is not null. */
  notEqual: (attribute: string, value: Scalar): Predicate => compare(attribute, '!=', value),
  lessThan: (attribute: string, value: Scalar): Predicate => ordered(attribute, '<', value),
  lessEqual: (attribute: string, value: Scalar): Predicate => ordered(attribute, '<=', value),
  greaterThan: (attribute: string, value: Scalar): Predicate => ordered(attribute, '>', value),
  greaterEqual: (attribute: string, value: Scalar): Predicate => ordered(attribute, '>=', value),
  /** The field equals one of the values. */
  inPredicate: (attribute: string, ...values: Scalar[]): Predicate =>
    made({ kind: 'in', path: attribute, values }),
  /** `%` is any text, `_` one character; `escapeBy` (a backslash) makes them stand for themselves. */
  like: (attribute: string, pattern: string, escapeBy = '\\'): Predicate =>
    like(attribute, pattern, escapeBy, false),
  /** The same whatever the case of letters. */
  ilike: (attribute: string, pattern: string, escapeBy = '\\'): Predicate =>
    like(attribute, pattern, escapeBy, true),
  /** The whole text fits a regular expression of RE2: without back references and lookarounds. */
  regex: (attribute: string, pattern: string): Predicate => made({ kind: 'regex', path: attribute, pattern }),
  alwaysTrue: (): Predicate => ALWAYS_TRUE,
  alwaysFalse: (): Predicate => ALWAYS_FALSE,
  /** A page at a time of what matches, in the order of an attribute, or of keys; see `PagingPredicate`. */
  paging: (predicate: Predicate, pageSize: number, comparator?: OrderBy): PagingPredicate =>
    new PagingPredicate(predicate, pageSize, comparator),
});
