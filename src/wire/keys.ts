/**
 * Keys and their bytes. A key has exactly one encoding, so that members compare keys as bytes and never decode
 * them, and the bytes decide the partition. Different types are different keys: 1, 1n, '1', -0 and 0, a Buffer and
 * a Uint8Array of the same bytes. Called by proxies for every operation, hence the short way for short strings.
 */
import { Reader } from '../base/bytes.js';
import { ProtocolError } from '../base/errors.js';
import { isAbsent, notEncodable, tooLarge } from './codec-errors.js';
import { SMALL_INTEGER, TAG } from './tagged.js';
import { readTagged, readVarint } from './tagged-reader.js';
import { isWellFormed, taggedEncoder } from './tagged-writer.js';

/** Of the encoded key, the affinity part included. */
export const MAX_KEY_BYTES = 64 * 1024;

const SHORT_TEXT = 64;
const MEDIUM_TEXT = 512;

/** A key that lives in the partition of another key: `affinity` alone decides where. Made by `withAffinity`. */
export class AffinityKey {
  readonly key: unknown;
  readonly affinity: unknown;

  constructor(key: unknown, affinity: unknown) {
    this.key = key;
    this.affinity = affinity;
  }
}

/**
 * A key that is stored where the key `affinity` is. Both parts belong to the key: the same `key` with another
 * affinity, or with none, is another key.
 */
export function withAffinity(key: unknown, affinity: unknown): AffinityKey {
  return new AffinityKey(key, affinity);
}

const writeTagged = taggedEncoder({ root: 'key', canonical: true, maxBytes: MAX_KEY_BYTES });
const scratch = Buffer.allocUnsafeSlow(MEDIUM_TEXT * 3);

/**
 * The canonical bytes of a key, in memory of their own. Throws a TypeError with the path for what cannot be part
 * of a key and a `ValueTooLargeError` above 64 KiB.
 */
export function encodeKey(key: unknown): Uint8Array {
  if (typeof key === 'string') return shortText(key) ?? longText(key);
  if (key instanceof AffinityKey) return encodeAffinityKey(key);
  if (key === null || key === undefined) throw isAbsent('key', key);
  return writeTagged(key);
}

/** ASCII of at most 64 characters; null for anything else. */
function shortText(text: string): Uint8Array | null {
  const size = text.length;
  if (size > SHORT_TEXT) return null;
  const bytes = new Uint8Array(size + 1);
  bytes[0] = TAG.wholeText;
  for (let i = 0; i < size; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return null;
    bytes[i + 1] = unit;
  }
  return bytes;
}

function longText(text: string): Uint8Array {
  if (!isWellFormed(text)) return writeTagged(text);
  const isMedium = text.length <= MEDIUM_TEXT;
  const sizeBytes = isMedium ? scratch.write(text, 'utf8') : Buffer.byteLength(text, 'utf8');
  if (sizeBytes >= MAX_KEY_BYTES) throw tooLarge('key', sizeBytes + 1, MAX_KEY_BYTES, true);
  const bytes = new Uint8Array(sizeBytes + 1);
  bytes[0] = TAG.wholeText;
  if (isMedium) for (let i = 0; i < sizeBytes; i++) bytes[i + 1] = scratch[i] as number;
  else Buffer.from(bytes.buffer).write(text, 1, 'utf8');
  return bytes;
}

function encodeAffinityKey({ key, affinity }: AffinityKey): Uint8Array {
  if (key instanceof AffinityKey) throw notEncodable('key', 'key.key', 'another key with affinity');
  if (affinity instanceof AffinityKey) throw notEncodable('key', 'key.affinity', 'another key with affinity');
  const affinityPart = encodeKey(affinity);
  const keyPart = encodeKey(key);
  const header: number[] = [TAG.affinity];
  let rest = affinityPart.length;
  for (; rest > 0x7f; rest >>>= 7) header.push((rest & 0x7f) | 0x80);
  header.push(rest);
  const size = header.length + affinityPart.length + keyPart.length;
  if (size > MAX_KEY_BYTES) throw tooLarge('key', size, MAX_KEY_BYTES, true);
  const bytes = new Uint8Array(size);
  bytes.set(header);
  bytes.set(affinityPart, header.length);
  bytes.set(keyPart, header.length + affinityPart.length);
  return bytes;
}

/** The key behind its bytes; throws a `ProtocolError` when they are not a key. */
export function decodeKey(bytes: Uint8Array): unknown {
  if (bytes.length > MAX_KEY_BYTES) throw new ProtocolError(`a key of ${bytes.length} bytes`);
  if (bytes[0] !== TAG.affinity) return decodePart(bytes);
  const affinity = affinityBytes(bytes);
  const keyAt = affinity.byteOffset - bytes.byteOffset + affinity.length;
  return new AffinityKey(decodePart(bytes.subarray(keyAt)), decodePart(affinity));
}

/** The key for people to read; a Buffer of the bytes when they are no key. */
export function keyOrBytes(bytes: Uint8Array): unknown {
  try {
    return decodeKey(bytes);
  } catch {
    return Buffer.from(bytes);
  }
}

function decodePart(bytes: Uint8Array): unknown {
  if (bytes[0] === TAG.wholeText) return new Reader(bytes).bytes.toString('utf8', 1);
  const key = readTagged(bytes, 0);
  if (key === null || key === undefined) throw new ProtocolError('an absent key');
  return key;
}

/**
 * Gives back bytes that somebody else made of a key, when they are the ones that this key has; throws a `ProtocolError`
 * for all others, because members compare keys by their bytes and readers decode them.
 */
export function checkedKey(bytes: Uint8Array): Uint8Array {
  const tag = bytes[0];
  if (tag === TAG.wholeText && isAscii(bytes)) return bytes;
  if (tag !== undefined && tag >= SMALL_INTEGER && bytes.length === 1) return bytes;
  if (!isCanonical(bytes)) throw new ProtocolError('a key in other bytes than its own');
  return bytes;
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 1; i < bytes.length; i++) if ((bytes[i] as number) > 0x7f) return false;
  return true;
}

function isCanonical(bytes: Uint8Array): boolean {
  const key = decodeKey(bytes);
  try {
    return Buffer.compare(encodeKey(key), bytes) === 0;
  } catch {
    return false;
  }
}

/** The bytes that decide the partition: those of the affinity part, else the key's own (a view, not a copy). */
export function affinityBytes(keyBytes: Uint8Array): Uint8Array {
  if (keyBytes[0] !== TAG.affinity) return keyBytes;
  const input = new Reader(keyBytes, 1);
  const size = readVarint(input);
  if (size > input.remaining) throw new ProtocolError(`an affinity part of ${size} bytes in a shorter key`);
  return keyBytes.subarray(input.offset, input.offset + size);
}
