/**
 * Arguments of commands as values: JSON where it is JSON, else the text itself; and whole numbers of any size.
 */
import { addressProblem } from '../config/address.js';
import { CommandError } from './context.js';

/** Whole numbers that JSON would round become bigints. With `plain`, everything is text. */
export function argumentValue(text: string, plain = false): unknown {
  if (plain) return text;
  try {
    const value: unknown = JSON.parse(text);
    const rounded =
      typeof value === 'number' && /^-?[0-9]+$/.test(text.trim()) && !Number.isSafeInteger(value);
    return rounded ? BigInt(text.trim()) : value;
  } catch {
    return text;
  }
}

export const VALUE_HELP =
  'Keys and values are taken as JSON where they are JSON, else as text: 42 is a number, alice and \'"42"\' are texts, \'{"age": 42}\' is an object. With --text everything is text.';

/** Throws a `CommandError` that names the argument. */
export function bigintOf(name: string, text: string): bigint {
  if (!/^[+-]?[0-9]+$/.test(text.trim())) {
    throw new CommandError(`${name}: expected a whole number, got ${JSON.stringify(text)}`, 2);
  }
  return BigInt(text.trim().replace(/^\+/, ''));
}

/** A positive number of seconds, as milliseconds. */
export function secondsOf(flag: string, text: string): number {
  const seconds = Number(text);
  if (text.trim() === '' || !Number.isFinite(seconds) || seconds <= 0 || seconds > 86_400) {
    throw new CommandError(`${flag}: expected a number of seconds above 0, got ${JSON.stringify(text)}`, 2);
  }
  return Math.max(1, Math.round(seconds * 1_000));
}

/** `host:port` texts with commas between them. */
export function addressesOf(source: string, text: string): string[] {
  const addresses = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const problem =
    addresses.length === 0
      ? 'expected host:port'
      : addresses.map(addressProblem).find((found) => found !== undefined);
  if (problem !== undefined) throw new CommandError(`${source}: ${problem}`, 2);
  return addresses;
}
