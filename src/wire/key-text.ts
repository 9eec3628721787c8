/** Keys in messages for people: short, whatever the key is. Called where an error names a key. */
import { AffinityKey, keyOrBytes } from './keys.js';

const MAX_TEXT = 80;

/** The key behind its bytes as a text of 80 characters at most, and a few more for one with affinity. */
export function keyText(bytes: Uint8Array): string {
  return textOf(keyOrBytes(bytes));
}

function textOf(key: unknown): string {
  if (key instanceof AffinityKey) return `${textOf(key.key)} with the affinity ${textOf(key.affinity)}`;
  if (typeof key === 'bigint') return short(`${key}n`);
  // What is cut off need not be written as JSON.
  if (typeof key === 'string') return short(JSON.stringify(key.slice(0, MAX_TEXT)), key.length > MAX_TEXT);
  if (key instanceof Uint8Array) return short(`<${Buffer.from(key).toString('hex', 0, MAX_TEXT)}>`);
  return short(JSON.stringify(key, (_name, value) => (typeof value === 'bigint' ? `${value}n` : value)));
}

function short(text: string, isCut = text.length > MAX_TEXT): string {
  return isCut ? `${text.slice(0, MAX_TEXT - 2)} …` : text;
}
