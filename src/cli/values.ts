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

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `500ms`, `60s`, `2m` or `1h`, as milliseconds; a number alone is seconds. */
export function durationOf(flag: string, text: string): number {
  const [, number, unit = 's'] = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?$/.exec(text.trim()) ?? [];
  const durationMs = Math.round(Number(number) * (UNIT_MS[unit] ?? 0));
  if (durationMs >= 1 && durationMs <= 86_400_000) return durationMs;
  throw new CommandError(`${flag}: expected a time such as 500ms, 60s or 2m, got ${JSON.stringify(text)}`, 2);
}

/** A whole number inside the bounds. */
export function countOf(flag: string, text: string, least: number, most: number): number {
  const count = Number(text);
  if (text.trim() !== '' && Number.isInteger(count) && count >= least && count <= most) return count;
  const range = `from ${least} to ${most}`;
  throw new CommandError(`${flag}: expected a whole number ${range}, got ${JSON.stringify(text)}`, 2);
}

/** Texts with commas between them. */
export function listOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** `host:port` texts with commas between them. */
export function addressesOf(source: string, text: string): string[] {
  const addresses = listOf(text);
  const problem =
    addresses.length === 0
      ? 'expected host:port'
      : addresses.map(addressProblem).find((found) => found !== undefined);
  if (problem !== undefined) throw new CommandError(`${source}: ${problem}`, 2);
  return addresses;
}
