/**
 * Calls of registered functions, before they are sent: a name that can be none is a TypeError. Called by the proxies of
 * structures whose operations run functions.
 */
import type { ValueCodec } from '../../src/wire/values.js';
import { MAX_FUNCTION_NAME } from '../user-functions.js';

export function checkedFunctionName(name: unknown): string {
  if (typeof name === 'string' && name !== '' && name.length <= MAX_FUNCTION_NAME) return name;
  const given = typeof name === 'string' ? `${name.length} characters` : `a value of type ${typeof name}`;
  throw new TypeError(`name of a function: expected 1 to ${MAX_FUNCTION_NAME} characters, got ${given}`);
}

/** Null when the function gets none. */
export function encodedArgument(codec: ValueCodec, argument: unknown): Uint8Array | null {
  return argument === undefined || argument === null ? null : codec.encode(argument);
}
