/**
 * What the key and value codecs say when they refuse something: always with the path from the root
 * (`value.user.friends[3].callback`), so that the reader finds the culprit in a large object. Called by the
 * tagged writer and the two codecs; building a path costs nothing until something is refused.
 */
import { ValueTooLargeError } from '../base/errors.js';

/** `key` or `value`: the root of the path and the noun of the message. */
export type Root = 'key' | 'value';

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** `value.user: instances of class User cannot be part of a value` */
export function notEncodable(root: Root, path: string, what: string, advice = ''): TypeError {
  return withCaller(`${path}: ${what} cannot be part of a ${root}${advice}`);
}

/** A deep value is encoded in many steps: ten frames of stack would not reach the line of the caller. */
function withCaller(message: string): TypeError {
  const usual = Error.stackTraceLimit;
  Error.stackTraceLimit = 200;
  const error = new TypeError(message);
  Error.stackTraceLimit = usual;
  return error;
}

/** For a top-level null or undefined, which mean that there is no entry. */
export function isAbsent(root: Root, value: null | undefined): TypeError {
  return withCaller(`${root}: ${value} cannot be a ${root}; it stands for an absent one`);
}

/** `sizeBytes` is what was counted so far when `exact` is false. */
export function tooLarge(
  root: Root,
  sizeBytes: number,
  limitBytes: number,
  exact: boolean,
): ValueTooLargeError {
  const size = `${exact ? '' : 'at least '}${sizeBytes} bytes`;
  return new ValueTooLargeError(`${root}: its encoding has ${size}; the limit is ${limitBytes} bytes`);
}

/** The name of the class of an object, for messages; never runs code of the object. */
export function classNameOf(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (typeof prototype !== 'object' || prototype === null) return 'Object';
  const owner: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  const name =
    typeof owner === 'function' ? Object.getOwnPropertyDescriptor(owner, 'name')?.value : undefined;
  return typeof name === 'string' && name !== '' ? name : 'anonymous';
}

/**
 * The step from a container to one of its children. `at` is a property name, an index, or for a Map twice the
 * index of the entry, plus one for its value.
 */
export function pathStep(container: unknown, at: string | number): string {
  if (Array.isArray(container)) return `[${at}]`;
  if (container instanceof Set) return `.values()[${at}]`;
  if (container instanceof Map) return mapStep(container, at as number);
  return IDENTIFIER.test(String(at)) ? `.${at}` : `[${JSON.stringify(at)}]`;
}

function mapStep(map: ReadonlyMap<unknown, unknown>, at: number): string {
  const index = at >> 1;
  if ((at & 1) === 0) return `.keys()[${index}]`;
  let i = 0;
  for (const key of map.keys()) {
    if (i++ !== index) continue;
    if (typeof key === 'string') return `.get(${JSON.stringify(key)})`;
    if (typeof key === 'number' || typeof key === 'boolean') return `.get(${key})`;
    break;
  }
  return `.values()[${index}]`;
}
