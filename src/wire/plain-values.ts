/**
 * The common values - JSON-like data - on msgpackr, which is about twice as fast as the tagged encoding. On its
 * own msgpackr loses -0, lone surrogates, a leading byte order mark, holes, `__proto__` and `constructor`
 * properties, and the difference between Map and object; its extensions revive RegExp and Error objects, and
 * records compile code, both from bytes of the network. Telling it about each by extensions would be as slow as
 * it is fragile. So a walk decides before encoding whether a value has only what msgpackr carries exactly (the
 * caller takes the tagged encoding otherwise), and before decoding a scan admits only what this file can have written.
 * Called by the value codec.
 */
import { Packr, RESET_BUFFER_MODE } from 'msgpackr';
import { ProtocolError } from '../base/errors.js';
import { MAX_DEPTH, MAX_ELEMENTS } from './tagged.js';
import { isWellFormed } from './tagged-writer.js';

/** msgpackr's buffer is replaced when one large value made it larger than about this. */
const SCRATCH_BYTES = 256 * 1024;

const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  structuredClone: false,
  moreTypes: false,
});

/**
 * Whether `packPlain` carries the value exactly. False also for what goes beyond the limits or cannot be encoded
 * at all; the tagged writer, which comes next, finds the words for that. `maxBytes` bounds the sum of text sizes.
 */
export function isPlain(value: unknown, maxBytes: number): boolean {
  return new Walk(maxBytes).plain(value, 0);
}

class Walk {
  #elementsLeft = MAX_ELEMENTS;
  #textLeft: number;

  constructor(maxBytes: number) {
    this.#textLeft = maxBytes;
  }

  plain(value: unknown, depth: number): boolean {
    switch (typeof value) {
      case 'string':
        return this.#text(value);
      case 'number':
        return !Object.is(value, -0);
      case 'boolean':
        return true;
      case 'object':
        return value === null || (depth < MAX_DEPTH && this.#container(value, depth + 1));
      default:
        return false;
    }
  }

  #container(value: object, depth: number): boolean {
    const prototype = Object.getPrototypeOf(value);
    // msgpackr goes by `constructor`, which an own property can change.
    if (prototype === Object.prototype) return value.constructor === Object && this.#properties(value, depth);
    return (
      prototype === Array.prototype && value.constructor === Array && this.#items(value as unknown[], depth)
    );
  }

  #properties(value: object, depth: number): boolean {
    for (const name in value) {
      if (--this.#elementsLeft < 0 || name === '__proto__' || !this.#text(name)) return false;
      if (!this.plain((value as Record<string, unknown>)[name], depth)) return false;
    }
    return true;
  }

  #items(items: readonly unknown[], depth: number): boolean {
    this.#elementsLeft -= items.length;
    if (this.#elementsLeft < 0 || !Array.isArray(items)) return false;
    for (let i = 0; i < items.length; i++) {
      if (!this.plain(items[i], depth)) return false;
    }
    return true;
  }

  #text(text: string): boolean {
    this.#textLeft -= text.length;
    return this.#textLeft >= 0 && text.charCodeAt(0) !== 0xfeff && isWellFormed(text);
  }
}

/** The MessagePack bytes of a value that `isPlain`; a view that is valid until the next call. */
export function packPlain(value: unknown): Uint8Array {
  const bytes = packr.pack(value, RESET_BUFFER_MODE);
  if (bytes.length > SCRATCH_BYTES) packr.useBuffer(Buffer.allocUnsafeSlow(8192));
  return bytes;
}

/** The value behind bytes that nobody vouches for. Throws a `ProtocolError` for all that `packPlain` does not write. */
export function unpackPlain(bytes: Uint8Array): unknown {
  new Scan(bytes).whole();
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw new ProtocolError('a value that msgpackr does not understand', { cause });
  }
}

/** Bytes behind the tokens of null, the booleans, float 64, and integers of up to 32 bits. */
const FIXED_BYTES: ReadonlyMap<number, number> = new Map([
  [0xc0, 0],
  [0xc2, 0],
  [0xc3, 0],
  [0xcb, 8],
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
  [0xd0, 1],
  [0xd1, 2],
  [0xd2, 4],
]);

/** Goes over MessagePack without decoding it: structure, limits, and no type but those of plain values. */
class Scan {
  readonly #bytes: Uint8Array;
  #at = 0;
  #elementsLeft = MAX_ELEMENTS;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  whole(): void {
    this.#node(0);
    if (this.#at !== this.#bytes.length)
      throw new ProtocolError(`${this.#bytes.length - this.#at} bytes too many`);
  }

  #node(depth: number): void {
    const token = this.#unsigned(1);
    if (token < 0x80 || token >= 0xe0) return;
    if (token < 0x90) this.#map(token & 0x0f, depth);
    else if (token < 0xa0) this.#array(token & 0x0f, depth);
    else if (token < 0xc0) this.#skip(token & 0x1f);
    else this.#long(token, depth);
  }

  #long(token: number, depth: number): void {
    const fixedBytes = FIXED_BYTES.get(token);
    if (fixedBytes !== undefined) this.#skip(fixedBytes);
    else if (token >= 0xd9 && token <= 0xdb) this.#skip(this.#unsigned(1 << (token - 0xd9)));
    else if (token === 0xdc || token === 0xdd) this.#array(this.#unsigned(token === 0xdc ? 2 : 4), depth);
    else if (token === 0xde || token === 0xdf) this.#map(this.#unsigned(token === 0xde ? 2 : 4), depth);
    else throw new ProtocolError(`MessagePack type ${token}, which values do not use`);
  }

  #array(count: number, depth: number): void {
    this.#open(count, depth);
    for (let i = 0; i < count; i++) this.#node(depth + 1);
  }

  #map(count: number, depth: number): void {
    this.#open(count, depth);
    for (let i = 0; i < count; i++) {
      this.#name();
      this.#node(depth + 1);
    }
  }

  #open(count: number, depth: number): void {
    if (depth >= MAX_DEPTH) throw new ProtocolError(`nested deeper than ${MAX_DEPTH} levels`);
    this.#elementsLeft -= count;
    if (this.#elementsLeft < 0) throw new ProtocolError(`more than ${MAX_ELEMENTS} elements in one value`);
  }

  #name(): void {
    const token = this.#unsigned(1);
    if (token >= 0xa0 && token < 0xc0) this.#skip(token & 0x1f);
    else if (token >= 0xd9 && token <= 0xdb) this.#skip(this.#unsigned(1 << (token - 0xd9)));
    else throw new ProtocolError(`MessagePack type ${token} as a property name`);
  }

  #skip(sizeBytes: number): void {
    this.#at += sizeBytes;
    if (this.#at > this.#bytes.length) throw new ProtocolError('a truncated value');
  }

  #unsigned(sizeBytes: number): number {
    const start = this.#at;
    this.#skip(sizeBytes);
    let value = 0;
    for (let i = start; i < this.#at; i++) value = value * 0x100 + (this.#bytes[i] as number);
    return value;
  }
}
