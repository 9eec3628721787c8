/**
 * Reads the tagged encoding from bytes that nobody vouches for. Depth, counts and sizes are checked before
 * anything is allocated, so hostile bytes cost no more than honest ones of their length; every violation is a
 * `ProtocolError`. What is returned shares no memory with the input. Called by the key and value codecs.
 */
import { Reader } from '../base/bytes.js';
import { ProtocolError } from '../base/errors.js';
import { BINARY_CLASSES, MAX_DEPTH, MAX_ELEMENTS, SMALL_INTEGER, TAG } from './tagged.js';

/** The one value that the bytes from `offset` to their end hold. */
export function readTagged(bytes: Uint8Array, offset: number): unknown {
  const reader = new TaggedReader(new Reader(bytes, offset));
  const value = reader.node(0);
  reader.input.finish();
  return value;
}

/** A varint of at most 53 bits. */
export function readVarint(input: Reader): number {
  let value = 0;
  for (let scale = 1; scale <= 2 ** 49; scale *= 0x80) {
    const byte = input.u8();
    value += (byte & 0x7f) * scale;
    if (byte < 0x80 && value <= Number.MAX_SAFE_INTEGER) return value;
  }
  throw new ProtocolError('an integer is longer than 53 bits');
}

class TaggedReader {
  readonly input: Reader;
  #elements = 0;

  constructor(input: Reader) {
    this.input = input;
  }

  /** `depth` is the number of containers around the node. */
  node(depth: number): unknown {
    const tag = this.input.u8();
    if (tag >= SMALL_INTEGER) return tag - SMALL_INTEGER;
    if (tag >= TAG.binary) return this.#binary(tag - TAG.binary);
    switch (tag) {
      case TAG.null:
        return null;
      case TAG.undefined:
        return undefined;
      case TAG.false:
        return false;
      case TAG.true:
        return true;
      case TAG.positive:
      case TAG.negative:
      case TAG.double:
      case TAG.nan:
        return this.#number(tag);
      case TAG.bigPositive:
        return this.#bigint();
      case TAG.bigNegative:
        return -this.#bigint();
      case TAG.text:
      case TAG.text16:
        return this.#text(tag);
      case TAG.date:
        return new Date(this.#number(this.input.u8()));
      case TAG.array:
        return this.#array(depth);
      case TAG.object:
        return this.#object(depth);
      case TAG.map:
        return this.#map(depth);
      case TAG.set:
        return this.#set(depth);
      default:
        throw new ProtocolError(`unknown tag ${tag}`);
    }
  }

  #number(tag: number): number {
    if (tag >= SMALL_INTEGER) return tag - SMALL_INTEGER;
    if (tag === TAG.positive) return readVarint(this.input);
    if (tag === TAG.negative) return -1 - readVarint(this.input);
    if (tag === TAG.double) return this.input.f64();
    if (tag === TAG.nan) return Number.NaN;
    throw new ProtocolError(`tag ${tag} where a number is wanted`);
  }

  #bigint(): bigint {
    const bytes = this.input.raw(readVarint(this.input));
    return bytes.length === 0 ? 0n : BigInt(`0x${bytes.toString('hex')}`);
  }

  #text(tag: number): string {
    const size = readVarint(this.input);
    if (tag === TAG.text) {
      const at = this.input.offset;
      if (size > this.input.remaining) throw new ProtocolError(`truncated: text of ${size} bytes`);
      this.input.offset = at + size;
      return this.input.bytes.toString('utf8', at, at + size);
    }
    if (tag !== TAG.text16) throw new ProtocolError(`tag ${tag} where text is wanted`);
    return this.input.raw(size).toString('utf16le');
  }

  #binary(index: number): unknown {
    const type = BINARY_CLASSES[index];
    if (type === undefined) throw new ProtocolError(`unknown kind ${index} of typed array`);
    const view = this.input.raw(readVarint(this.input));
    if (view.length % type.elementBytes !== 0)
      throw new ProtocolError(`a ${type.name} of ${view.length} bytes`);
    if (type.make === undefined) return Buffer.from(view);
    const copy = new Uint8Array(view.length);
    copy.set(view);
    return type.make(copy.buffer);
  }

  /** The count of a container whose elements have at least `elementBytes` bytes each. */
  #count(depth: number, elementBytes: 1 | 2): number {
    if (depth >= MAX_DEPTH) throw new ProtocolError(`nested deeper than ${MAX_DEPTH} levels`);
    const count = readVarint(this.input);
    if (count * elementBytes > this.input.remaining)
      throw new ProtocolError(`truncated: ${count} elements wanted`);
    return count;
  }

  #spend(elements: number): void {
    this.#elements += elements;
    if (this.#elements > MAX_ELEMENTS)
      throw new ProtocolError(`more than ${MAX_ELEMENTS} elements in one value`);
  }

  #array(depth: number): unknown[] {
    const count = this.#count(depth, 1);
    this.#spend(count);
    const { input } = this;
    const array = new Array<unknown>(count);
    for (let i = 0; i < count; i++) {
      if (input.bytes[input.offset] === TAG.hole) input.u8();
      else array[i] = this.node(depth + 1);
    }
    return array;
  }

  #object(depth: number): Record<string, unknown> {
    const count = this.#count(depth, 2);
    this.#spend(count);
    const object: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const name = this.#text(this.input.u8());
      const value = this.node(depth + 1);
      if (name === '__proto__') defineOwn(object, name, value);
      else object[name] = value;
    }
    return object;
  }

  #map(depth: number): Map<unknown, unknown> {
    const count = this.#count(depth, 2);
    this.#spend(count * 2);
    const map = new Map<unknown, unknown>();
    for (let i = 0; i < count; i++) {
      const key = this.node(depth + 1);
      map.set(key, this.node(depth + 1));
    }
    return map;
  }

  #set(depth: number): Set<unknown> {
    const count = this.#count(depth, 1);
    this.#spend(count);
    const set = new Set<unknown>();
    for (let i = 0; i < count; i++) set.add(this.node(depth + 1));
    return set;
  }
}

/** Assigning to `__proto__` would change the prototype; defining it makes it an ordinary property. */
function defineOwn(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}
