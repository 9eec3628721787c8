/**
 * Values and their bytes. The first byte says how the rest is to be read, so that strings and Buffers travel as
 * they are and a reader never guesses. The round trip is exact or encoding throws. Members treat the bytes as
 * opaque; clients, embedded members and the near cache encode and decode through a `ValueCodec`.
 * Limits, the same when encoding and decoding: 16 MiB, 64 nested levels, 1,048,576 elements (a typed array is one).
 */
import { ProtocolError } from '../base/errors.js';
import { isAbsent, tooLarge } from './codec-errors.js';
import { isPlain, packPlain, unpackPlain } from './plain-values.js';
import { readTagged } from './tagged-reader.js';
import { isWellFormed, taggedEncoder } from './tagged-writer.js';

/** Of the encoded value without its format byte. */
export const MAX_VALUE_BYTES = 16 * 1024 * 1024;

/**
 * A user's own encoding of values. Strings, Buffers and Uint8Arrays, null and undefined never reach it. All
 * clients that share a structure need the same one; values written without it stay readable.
 */
export interface Serializer {
  /** The result is copied before the next call. */
  encode(value: unknown): Uint8Array;
  /** `bytes` is a view that is not valid after the call: copy what the value is to keep. */
  decode(bytes: Uint8Array): unknown;
}

/** First byte of an encoded value. Stored values outlive versions: never change the meaning of one. */
const FORMAT = { buffer: 1, bytes: 2, text: 3, plain: 4, tagged: 5, custom: 6 } as const;

const SHORT_TEXT = 64;
/** A typed array above this size gets memory outside the heap, which takes six times as long as a piece of the pool. */
const ON_HEAP_BYTES = 64;

const encodeTagged = taggedEncoder({ root: 'value', canonical: false, maxBytes: MAX_VALUE_BYTES });

export class ValueCodec {
  #serializer: Serializer | undefined;

  /** Without a serializer: plain data by msgpackr, other data by the tagged encoding. */
  constructor(serializer?: Serializer) {
    this.#serializer = serializer;
  }

  /**
   * The bytes of a value, in memory that nothing else uses. Throws a TypeError with the path for what cannot be part of a
   * value and a `ValueTooLargeError` above the limits.
   */
  encode(value: unknown): Uint8Array {
    if (typeof value === 'string') return encodeText(value);
    if (value === null || value === undefined) throw isAbsent('value', value);
    if (value instanceof Uint8Array) {
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype === Buffer.prototype) return withFormat(FORMAT.buffer, value);
      if (prototype === Uint8Array.prototype) return withFormat(FORMAT.bytes, value);
    }
    if (this.#serializer !== undefined) return encodeCustom(this.#serializer, value);
    if (isPlain(value, MAX_VALUE_BYTES)) return withFormat(FORMAT.plain, packPlain(value));
    return encodeTagged(value, FORMAT.tagged);
  }

  /** Uses a serializer from now on; throws a `TypeError` for what is none, and when there is one. */
  use(serializer: Serializer): void {
    const { encode, decode } = Object(serializer) as Partial<Serializer>;
    if (typeof encode !== 'function' || typeof decode !== 'function')
      throw new TypeError('serializer: expected an object with the functions encode and decode');
    if (this.#serializer !== undefined) throw new TypeError('serializer: there is one already');
    this.#serializer = serializer;
  }

  /** Whether a value was written with a custom serializer, and none is here. */
  lacksSerializer(bytes: Uint8Array): boolean {
    return bytes[0] === FORMAT.custom && this.#serializer === undefined;
  }

  /** The value behind its bytes, sharing no memory with them. Throws a `ProtocolError` when they are not a value. */
  decode(bytes: Uint8Array): unknown {
    if (bytes.length > MAX_VALUE_BYTES + 1) throw new ProtocolError(`a value of ${bytes.length - 1} bytes`);
    switch (bytes[0]) {
      case FORMAT.text:
        return bufferOn(bytes).toString('utf8', 1);
      case FORMAT.buffer:
        return copyBehindFormat(bytes);
      case FORMAT.bytes:
        return new Uint8Array(bytes.subarray(1));
      case FORMAT.plain:
        return present(unpackPlain(bufferOn(bytes).subarray(1)));
      case FORMAT.tagged:
        return present(readTagged(bytes, 1));
      case FORMAT.custom:
        if (this.#serializer !== undefined) return this.#serializer.decode(bytes.subarray(1));
        throw new ProtocolError(
          'the value was written with a custom serializer, and none is configured here',
        );
      default:
        throw new ProtocolError(bytes.length === 0 ? 'an empty value' : `unknown value format ${bytes[0]}`);
    }
  }
}

function encodeText(text: string): Uint8Array {
  const size = text.length;
  if (size <= SHORT_TEXT) {
    const bytes = new Uint8Array(size + 1);
    bytes[0] = FORMAT.text;
    let i = 0;
    for (; i < size; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) break;
      bytes[i + 1] = unit;
    }
    if (i === size) return bytes;
  }
  // UTF-8 cannot carry lone surrogates; the tagged encoding can.
  if (!isWellFormed(text)) return encodeTagged(text, FORMAT.tagged);
  const sizeBytes = Buffer.byteLength(text, 'utf8');
  if (sizeBytes > MAX_VALUE_BYTES) throw tooLarge('value', sizeBytes, MAX_VALUE_BYTES, true);
  const bytes = allocate(sizeBytes + 1);
  bytes[0] = FORMAT.text;
  bufferOn(bytes).write(text, 1, 'utf8');
  return bytes;
}

function encodeCustom(serializer: Serializer, value: unknown): Uint8Array {
  const payload: unknown = serializer.encode(value);
  if (payload instanceof Uint8Array) return withFormat(FORMAT.custom, payload);
  throw new TypeError(`value: the serializer's encode must return a Uint8Array, not ${typeof payload}`);
}

function withFormat(format: number, payload: Uint8Array): Uint8Array {
  const size = payload.length;
  if (size > MAX_VALUE_BYTES) throw tooLarge('value', size, MAX_VALUE_BYTES, true);
  const bytes = allocate(size + 1);
  bytes[0] = format;
  bytes.set(payload, 1);
  return bytes;
}

/** To be written in full. */
function allocate(sizeBytes: number): Uint8Array {
  return sizeBytes <= ON_HEAP_BYTES ? new Uint8Array(sizeBytes) : Buffer.allocUnsafe(sizeBytes);
}

function copyBehindFormat(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafe(bytes.length - 1);
  bufferOn(bytes).copy(copy, 0, 1);
  return copy;
}

function bufferOn(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function present(value: unknown): unknown {
  if (value === null || value === undefined) throw new ProtocolError('an absent value');
  return value;
}
