/**
 * Writes any supported value in the tagged encoding, exactly, and refuses everything else with its path. In
 * canonical form, for keys, equal content gives equal bytes: properties are sorted by name, Map entries and Set
 * members by their bytes, and each number has one encoding. It is the only place that judges what may be
 * encoded. Objects are read once, so a getter that gives something else the second time does no harm.
 * Symbol-named and non-enumerable properties, and named properties of arrays, are not carried (as in JSON).
 */
import { Writer } from '../base/bytes.js';
import { ValueTooLargeError } from '../base/errors.js';
import { classNameOf, notEncodable, pathStep, type Root, tooLarge } from './codec-errors.js';
import { BINARY_TAGS, MAX_DEPTH, MAX_ELEMENTS, SMALL_INTEGER, TAG } from './tagged.js';

const SHORT_TEXT = 48;
/** A scratch buffer that one large value made larger than this is not kept. */
const SCRATCH_BYTES = 256 * 1024;

/** Missing from the ES2023 types; Node 20 has it. */
export function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

export interface TaggedOptions {
  readonly root: Root;
  readonly canonical: boolean;
  /** Of the whole encoding, a prefix not included. */
  readonly maxBytes: number;
}

/**
 * A function that gives `prefix` (a byte, or -1 for none) and the encoding of a value, in memory of their own.
 * Throws a TypeError with the path, or a `ValueTooLargeError`.
 */
export function taggedEncoder(options: TaggedOptions): (value: unknown, prefix?: number) => Uint8Array {
  let idle: TaggedWriter | null = new TaggedWriter(options);
  return (value, prefix = -1) => {
    // A getter inside the value may encode another value while the writer is busy with this one.
    const writer = idle ?? new TaggedWriter(options);
    idle = null;
    try {
      return writer.encode(value, prefix);
    } finally {
      idle = writer;
    }
  };
}

class TaggedWriter {
  readonly #root: Root;
  readonly #canonical: boolean;
  readonly #maxBytes: number;
  #out = new Writer(1024);
  #prefixBytes = 0;
  #elements = 0;
  // Where we are: the containers that are open, and the child of each that is being written.
  #depth = 0;
  readonly #containers: (object | undefined)[] = [];
  readonly #steps: (string | number)[] = [];

  constructor(options: TaggedOptions) {
    this.#root = options.root;
    this.#canonical = options.canonical;
    this.#maxBytes = options.maxBytes;
  }

  encode(value: unknown, prefix: number): Uint8Array {
    try {
      this.#prefixBytes = prefix < 0 ? 0 : 1;
      if (prefix >= 0) this.#out.u8(prefix);
      this.#node(value);
      const { buffer, length } = this.#out;
      const size = length - this.#prefixBytes;
      if (size > this.#maxBytes) throw tooLarge(this.#root, size, this.#maxBytes, true);
      const bytes = new Uint8Array(length);
      if (length < 32) for (let i = 0; i < length; i++) bytes[i] = buffer[i] as number;
      else bytes.set(buffer.subarray(0, length));
      return bytes;
    } finally {
      this.#reset();
    }
  }

  #reset(): void {
    this.#out.reset();
    if (this.#out.buffer.length > SCRATCH_BYTES) this.#out = new Writer(1024);
    while (this.#depth > 0) this.#containers[--this.#depth] = undefined;
    this.#elements = 0;
  }

  #node(value: unknown): void {
    switch (typeof value) {
      case 'string':
        this.#text(value);
        break;
      case 'number':
        this.#number(value);
        break;
      case 'boolean':
        this.#out.u8(value ? TAG.true : TAG.false);
        break;
      case 'bigint':
        this.#bigint(value);
        break;
      case 'undefined':
        this.#out.u8(TAG.undefined);
        break;
      case 'object':
        if (value === null) this.#out.u8(TAG.null);
        else this.#object(value);
        break;
      default:
        throw notEncodable(this.#root, this.#path(), `${typeof value}s`);
    }
  }

  #object(value: object): void {
    const prototype: object | null = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) this.#properties(value);
    else if (prototype === Array.prototype && Array.isArray(value)) this.#array(value);
    else if (prototype === Date.prototype) this.#date(value as Date);
    else if (prototype === Map.prototype) this.#map(value as Map<unknown, unknown>);
    else if (prototype === Set.prototype) this.#set(value as Set<unknown>);
    else if (BINARY_TAGS.has(prototype) && ArrayBuffer.isView(value)) this.#binary(prototype, value);
    else if (isPlainElsewhere(prototype)) this.#properties(value);
    else throw this.#classInstance(value);
  }

  #classInstance(value: object): TypeError {
    const what = `instances of class ${classNameOf(value)}`;
    return notEncodable(this.#root, this.#path(), what, '; use a plain object');
  }

  #number(value: number): void {
    const out = this.#out;
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      this.#integer(value);
    } else if (Number.isNaN(value)) {
      out.u8(TAG.nan);
    } else {
      out.u8(TAG.double);
      out.f64(value);
    }
  }

  #integer(value: number): void {
    if (value >= 0 && value < SMALL_INTEGER) {
      this.#out.u8(SMALL_INTEGER | value);
    } else {
      this.#out.u8(value >= 0 ? TAG.positive : TAG.negative);
      this.#varint(value >= 0 ? value : -1 - value);
    }
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#out.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.#out.u8(rest);
  }

  #bigint(value: bigint): void {
    const magnitude = value < 0n ? -value : value;
    // Hexadecimal is the one radix in which conversion takes time in proportion to the size.
    const digits = magnitude === 0n ? '' : magnitude.toString(16);
    const sizeBytes = (digits.length + 1) >>> 1;
    this.#claim(sizeBytes);
    this.#out.u8(value < 0n ? TAG.bigNegative : TAG.bigPositive);
    this.#varint(sizeBytes);
    this.#out.raw(Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex'));
  }

  #text(text: string): void {
    const size = text.length;
    const out = this.#out;
    if (size < SHORT_TEXT) {
      out.ensure(size + 2);
      const { buffer } = out;
      const start = out.length + 2;
      let i = 0;
      for (; i < size; i++) {
        const unit = text.charCodeAt(i);
        if (unit > 0x7f) break;
        buffer[start + i] = unit;
      }
      if (i === size) {
        buffer[start - 2] = TAG.text;
        buffer[start - 1] = size;
        out.length = start + size;
        return;
      }
    }
    this.#claim(size);
    const encoding = isWellFormed(text) ? 'utf8' : 'utf16le';
    const sizeBytes = Buffer.byteLength(text, encoding);
    this.#claim(sizeBytes);
    out.u8(encoding === 'utf8' ? TAG.text : TAG.text16);
    this.#varint(sizeBytes);
    out.ensure(sizeBytes);
    out.length += out.buffer.write(text, out.length, encoding);
  }

  #date(date: Date): void {
    this.#out.u8(TAG.date);
    this.#number(Date.prototype.getTime.call(date));
  }

  #binary(prototype: object, view: ArrayBufferView): void {
    this.#claim(view.byteLength);
    this.#out.u8(BINARY_TAGS.get(prototype) as number);
    this.#varint(view.byteLength);
    this.#out.raw(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  }

  #array(array: readonly unknown[]): void {
    const count = array.length;
    this.#open(array, TAG.array, count, count);
    const level = this.#depth - 1;
    for (let i = 0; i < count; i++) {
      this.#steps[level] = i;
      const item = array[i];
      if (item === undefined && !Object.hasOwn(array, i)) this.#out.u8(TAG.hole);
      else this.#node(item);
    }
    this.#close();
  }

  #properties(value: object): void {
    const names = Object.keys(value);
    if (this.#canonical) names.sort();
    this.#open(value, TAG.object, names.length, names.length);
    const level = this.#depth - 1;
    for (const name of names) {
      this.#steps[level] = name;
      this.#text(name);
      this.#node((value as Record<string, unknown>)[name]);
    }
    this.#close();
  }

  #map(map: ReadonlyMap<unknown, unknown>): void {
    const count = map.size;
    const starts = this.#open(map, TAG.map, count, count * 2);
    const level = this.#depth - 1;
    let i = 0;
    for (const [key, item] of map) {
      starts?.push(this.#out.length);
      this.#steps[level] = i++;
      this.#node(key);
      this.#steps[level] = i++;
      this.#node(item);
    }
    this.#closeEntries(i === count * 2, starts);
  }

  #set(set: ReadonlySet<unknown>): void {
    const count = set.size;
    const starts = this.#open(set, TAG.set, count, count);
    const level = this.#depth - 1;
    let i = 0;
    for (const item of set) {
      starts?.push(this.#out.length);
      this.#steps[level] = i++;
      this.#node(item);
    }
    this.#closeEntries(i === count, starts);
  }

  /** Gives a list for the offsets of entries that have to be sorted in the end, null where order is kept. */
  #open(container: object, tag: number, count: number, elements: number): number[] | null {
    if (this.#depth >= MAX_DEPTH) throw this.#tooDeep(container);
    // Each element has a byte at least: for keys the size limit is the stricter one.
    this.#claim(count);
    this.#elements += elements;
    if (this.#elements > MAX_ELEMENTS) {
      const advice = 'use a typed array, or several entries';
      throw new ValueTooLargeError(
        `${this.#path()}: more than ${MAX_ELEMENTS} elements in one ${this.#root}; ${advice}`,
      );
    }
    this.#containers[this.#depth++] = container;
    this.#out.u8(tag);
    this.#varint(count);
    return this.#canonical && count > 1 ? [] : null;
  }

  #close(): void {
    this.#containers[--this.#depth] = undefined;
  }

  #closeEntries(complete: boolean, starts: readonly number[] | null): void {
    this.#close();
    if (!complete)
      throw notEncodable(this.#root, this.#path(), 'collections that change while they are encoded');
    if (starts === null) return;
    const out = this.#out;
    const copy = Buffer.from(out.buffer.subarray(starts[0], out.length));
    const first = starts[0] as number;
    const entries = starts.map((start, i) =>
      copy.subarray(start - first, (starts[i + 1] ?? out.length) - first),
    );
    out.length = first;
    for (const entry of entries.sort(Buffer.compare)) out.raw(entry);
  }

  /** Refuses before it is copied what would go beyond the limit. */
  #claim(sizeBytes: number): void {
    const total = this.#out.length - this.#prefixBytes + sizeBytes;
    if (total > this.#maxBytes) throw tooLarge(this.#root, total, this.#maxBytes, false);
  }

  #path(levels = this.#depth): string {
    let path: string = this.#root;
    for (let i = 0; i < levels; i++) path += pathStep(this.#containers[i], this.#steps[i] as string | number);
    return path;
  }

  #tooDeep(container: object): Error {
    // The shortest way around a cycle is what the user wants to see, not the 64th lap.
    const chain = [...this.#containers.slice(0, this.#depth), container];
    const again = chain.findIndex((item, i) => chain.indexOf(item) < i);
    if (again < 0) return notEncodable(this.#root, this.#path(), `more than ${MAX_DEPTH} nested levels`);
    const first = this.#path(chain.indexOf(chain[again]));
    return notEncodable(this.#root, this.#path(again), `a cycle (back to ${first})`);
  }
}

/** Plain objects of another realm, for example of a test runner's sandbox. */
function isPlainElsewhere(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}
