/**
 * What stores of users give, looked at before it is used: anything may come, and who reads the message has to find the
 * method. Called by what calls stores; what is thrown here reaches the caller of the map.
 */
import { isIterable } from '../base/iterable.js';
import { reasonOf } from '../base/reason.js';
import { encodeKey } from '../wire/keys.js';

const LONGEST = 60;

/** Throws a `TypeError` unless it is a list of pairs of key and value, as `loadAll` gives it. */
export function* entriesGiven(store: string, given: unknown): Generator<readonly [Uint8Array, unknown]> {
  const wrong = (what: string) =>
    new TypeError(
      `loadAll of the store ${JSON.stringify(store)} gave ${what}; expected an iterable of [key, value]`,
    );
  if (!isIterable(given)) throw wrong(textOf(given));
  for (const entry of given) {
    if (!Array.isArray(entry)) throw wrong(`${textOf(entry)} for an entry`);
    yield [keyGiven('loadAll', store, entry[0]), entry[1]];
  }
}

/** Throws a `TypeError` unless keys can be taken from it, as `loadAllKeys` gives them. */
export function keysGiven(store: string, given: unknown): Iterable<unknown> | AsyncIterable<unknown> {
  if (isIterable(given) || isAsyncIterable(given)) return given;
  throw new TypeError(
    `loadAllKeys of the store ${JSON.stringify(store)} gave ${textOf(given)}; expected an iterable of keys, or an async one`,
  );
}

/** The bytes of a key; throws a `TypeError` for what is none. */
export function keyGiven(method: string, store: string, key: unknown): Uint8Array {
  try {
    return encodeKey(key);
  } catch (error) {
    throw new TypeError(
      `${method} of the store ${JSON.stringify(store)} gave ${textOf(key)} for a key: ${reasonOf(error)}`,
    );
  }
}

function isAsyncIterable(given: unknown): given is AsyncIterable<unknown> {
  return (
    typeof (given as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator] ===
    'function'
  );
}

/** `5`, `the text "a"`, `an object with rows, count`. */
function textOf(given: unknown): string {
  if (typeof given === 'string') return `the text ${cut(JSON.stringify(given))}`;
  if (typeof given === 'function') return 'a function';
  if (Array.isArray(given)) return `an array of ${given.length}`;
  if (typeof given === 'object' && given !== null) {
    const names = Object.keys(given);
    return cut(names.length === 0 ? 'an object' : `an object with ${names.join(', ')}`);
  }
  return String(given);
}

function cut(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}...`;
}
