/**
 * The alphabet of the tagged encoding: one tag byte, then a payload that delimits itself. Keys use it in its
 * canonical form (one encoding per key), values for what MessagePack cannot carry exactly. Stored keys and values
 * outlive versions of this file: never change the meaning of a tag. Used by the tagged writer and reader only,
 * and for its limits by the two codecs. Typed arrays travel as their memory, which is little endian on every
 * platform that Node runs on today but s390x.
 */

/** Containers inside containers; a 65th level is refused, when encoding and when decoding. */
export const MAX_DEPTH = 64;

/** Array slots, properties, Set members and (counted twice) Map entries of one value, at all levels together. */
export const MAX_ELEMENTS = 1_048_576;

export const TAG = {
  null: 0x01,
  undefined: 0x02,
  false: 0x03,
  true: 0x04,
  /** A slot of an array that was never assigned. */
  hole: 0x05,
  /** Varint n: the integer n. Integers from 0 to 127 are a single byte, see `SMALL_INTEGER`. */
  positive: 0x06,
  /** Varint n: the integer -1 - n. */
  negative: 0x07,
  /** All other numbers but NaN: 8 bytes, little endian. */
  double: 0x08,
  nan: 0x09,
  /** Varint size and that many bytes of magnitude, big endian. */
  bigPositive: 0x0a,
  bigNegative: 0x0b,
  /** Varint size and UTF-8. */
  text: 0x0c,
  /** Varint size and UTF-16, little endian: for strings with lone surrogates, which UTF-8 cannot carry. */
  text16: 0x0d,
  /** A number node: milliseconds since 1970. */
  date: 0x0e,
  /** Varint count and that many nodes. */
  array: 0x0f,
  /** Varint count and that many pairs of a text node and a node. */
  object: 0x10,
  /** Varint count and that many pairs of nodes. */
  map: 0x11,
  /** Varint count and that many nodes. */
  set: 0x12,
  /** At the top level of a key only: UTF-8 up to the end. */
  wholeText: 0x13,
  /** At the top level of a key only: varint size, a key of that size (the affinity), a key up to the end. */
  affinity: 0x14,
  /** Varint size and bytes. Typed arrays are `binary` plus their index in `BINARY_CLASSES`. */
  binary: 0x20,
} as const;

/** Set in the tag byte of an integer from 0 to 127. */
export const SMALL_INTEGER = 0x80;

interface BinaryClass {
  readonly name: string;
  readonly prototype: object;
  readonly elementBytes: number;
  /** Makes the value from memory of its own; undefined for Buffer, which has its own way. */
  readonly make?: (memory: ArrayBuffer) => unknown;
}

interface TypedArrayClass {
  new (memory: ArrayBuffer): object;
  readonly name: string;
  readonly prototype: object;
  readonly BYTES_PER_ELEMENT: number;
}

function binaryClass(type: TypedArrayClass): BinaryClass {
  return {
    name: type.name,
    prototype: type.prototype,
    elementBytes: type.BYTES_PER_ELEMENT,
    make: (memory) => new type(memory),
  };
}

const float16 = (globalThis as { Float16Array?: TypedArrayClass }).Float16Array;

/** In the order of their tags: append only. Float16Array is there where the runtime has it. */
export const BINARY_CLASSES: readonly BinaryClass[] = [
  { name: 'Buffer', prototype: Buffer.prototype, elementBytes: 1 },
  ...[Uint8Array, Uint8ClampedArray, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array].map(
    binaryClass,
  ),
  ...[Float32Array, Float64Array, BigInt64Array, BigUint64Array].map(binaryClass),
  ...(float16 === undefined ? [] : [binaryClass(float16)]),
];

/** The tag of a Buffer or typed array by its prototype; subclasses are not in it. */
export const BINARY_TAGS: ReadonlyMap<object, number> = new Map(
  BINARY_CLASSES.map((type, index) => [type.prototype, TAG.binary + index]),
);
