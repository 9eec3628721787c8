/** Values for the tests of both codecs: arbitraries of everything that can be encoded, and exact comparison. */
import fc from 'fast-check';

const TYPED_ARRAYS = [
  Uint8Array,
  Uint8ClampedArray,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;

/** One of every kind of Buffer and typed array over the given bytes (cut to whole elements, at any offset). */
export function binariesOf(bytes: Uint8Array, offset = 0): (Buffer | ArrayBufferView)[] {
  const memory = new Uint8Array(offset * 8 + bytes.length + 8);
  memory.set(bytes, offset * 8);
  const typed = TYPED_ARRAYS.map(
    (type) => new type(memory.buffer, offset * 8, Math.floor(bytes.length / type.BYTES_PER_ELEMENT)),
  );
  return [Buffer.from(memory.buffer, offset * 8, bytes.length), ...typed];
}

/** Strings that codecs get wrong: lone surrogates, byte order marks, lengths around the borders of encodings. */
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) },
  fc
    .array(fc.integer({ min: 0xd7f0, max: 0xe010 }), { maxLength: 4 })
    .map((units) => String.fromCharCode(...units)),
  fc.constantFrom(
    '',
    '\ufeff',
    `\ufeff${'x'.repeat(100)}`,
    'é'.repeat(70),
    '漢'.repeat(300),
    'a'.repeat(65),
    '\0',
  ),
  fc
    .tuple(fc.string({ unit: 'grapheme' }), fc.integer({ min: 0, max: 90 }))
    .map(([unit, n]) => unit.repeat(n)),
);

const name = fc.oneof(
  { weight: 4, arbitrary: text },
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toJSON',
    'hasOwnProperty',
    'length',
    'then',
    '0',
    '17',
    'prototype',
  ),
);

const number = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.maxSafeInteger(),
  fc.constantFrom(
    0,
    -0,
    Number.NaN,
    127,
    128,
    -1,
    2 ** 31,
    2 ** 32,
    -(2 ** 31) - 1,
    2 ** 53,
    -(2 ** 53),
    2 ** 64,
    1e308,
  ),
);

const bigint = fc.oneof(
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 3000n), max: 2n ** 3000n }),
  fc.constantFrom(0n, -1n, 2n ** 64n, -(2n ** 63n), 255n, 256n),
);

const binary = fc
  .tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(3), fc.nat(TYPED_ARRAYS.length))
  .map(([bytes, offset, kind]) => binariesOf(bytes, offset)[kind]);

const date = fc.date({ noInvalidDate: false });

/** An own property under any name, `__proto__` included. */
export function objectOf(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const object = {};
  for (const [key, value] of entries) {
    Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  }
  return object;
}

/** Everything that can be encoded, without the top-level null and undefined. */
export const anyValue = fc.letrec((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 2, arbitrary: fc.constantFrom(null, undefined) },
    { weight: 6, arbitrary: tie('leaf') },
    { weight: 3, arbitrary: tie('container') },
  ),
  leaf: fc.oneof(text, number, bigint, fc.boolean(), binary, date),
  container: fc.oneof(
    fc.array(tie('node'), { maxLength: 5 }),
    fc.sparseArray(tie('node'), { maxLength: 8, maxNumElements: 4 }),
    fc.array(fc.tuple(name, tie('node')), { maxLength: 6 }).map(objectOf),
    fc.array(fc.tuple(tie('node'), tie('node')), { maxLength: 4 }).map((entries) => new Map(entries)),
    fc.array(tie('node'), { maxLength: 4 }).map((items) => new Set(items)),
  ),
  top: fc.oneof(tie('leaf'), tie('container')),
})).top;

/** JSON-like data, which takes the shorter way through msgpackr (but for an occasional -0 or odd string). */
export const plainValue = fc.letrec((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 4, arbitrary: fc.oneof(text, number, fc.boolean(), fc.constant(null)) },
    { weight: 2, arbitrary: tie('container') },
  ),
  container: fc.oneof(
    fc.array(tie('node'), { maxLength: 40 }),
    fc.array(fc.tuple(text, tie('node')), { maxLength: 40 }).map(objectOf),
  ),
})).container;

/** Equal in type, content, order, holes and sign of zero; what `toEqual` forgives is a difference here. */
export function identical(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return Object.is(a, b);
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Date) return Object.is(a.getTime(), (b as Date).getTime());
  if (ArrayBuffer.isView(a)) return sameMemory(a, b as ArrayBufferView);
  if (a instanceof Map) return identical([...a].flat(), [...(b as typeof a)].flat());
  if (a instanceof Set) return identical([...a], [...(b as typeof a)]);
  if (Array.isArray(a) && a.length !== (b as unknown[]).length) return false;
  const names = Object.keys(a);
  if (!identicalNames(names, Object.keys(b))) return false;
  return names.every((key) => identical(read(a, key), read(b, key)));
}

function read(object: object, key: string): unknown {
  return Object.getOwnPropertyDescriptor(object, key)?.value;
}

function identicalNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((key, i) => key === b[i]);
}

function sameMemory(a: ArrayBufferView, b: ArrayBufferView): boolean {
  const bytes = (view: ArrayBufferView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return Buffer.compare(bytes(a), bytes(b)) === 0;
}

/** The same content with properties, Map entries and Set members in the opposite order, at all levels. */
export function reordered(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || value instanceof Date)
    return value;
  if (value instanceof Map)
    return new Map([...value].reverse().map(([k, v]) => [reordered(k), reordered(v)]));
  if (value instanceof Set) return new Set([...value].reverse().map(reordered));
  // `map` keeps holes.
  if (Array.isArray(value)) return value.map(reordered);
  const names = Object.keys(value).reverse();
  return objectOf(names.map((key) => [key, reordered(read(value, key))]));
}

/** A change to encoded bytes: some bytes overwritten, then perhaps cut or lengthened. */
export const mutation = fc.record({
  writes: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
  cut: fc.option(fc.nat(), { freq: 3 }),
  more: fc.uint8Array({ maxLength: 3 }),
});

export function mutate(
  bytes: Uint8Array,
  change: typeof mutation extends fc.Arbitrary<infer T> ? T : never,
): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (const [at, byte] of change.writes) copy[at % copy.length] = byte;
  const kept = change.cut === null ? copy : copy.subarray(0, change.cut % (copy.length + 1));
  return new Uint8Array(Buffer.concat([kept, change.more]));
}
