/** Field descriptors: what is written is read, and nothing that is read can do more than be refused. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import {
  bool,
  bytes,
  count,
  type Field,
  f64,
  i64,
  list,
  mapped,
  oneOf,
  optional,
  record,
  text,
  u8,
  u16,
  u32,
  uuid,
} from '../../src/wire/fields.js';

interface Sample {
  readonly field: Field<never>;
  readonly value: unknown;
}

function sample<T>(field: Field<T>, values: fc.Arbitrary<T>): fc.Arbitrary<Sample> {
  return values.map((value) => ({ field: field as unknown as Field<never>, value }));
}

const WORDS = ['one', 'two', 'three'] as const;

const leaf: fc.Arbitrary<Sample> = fc.oneof(
  sample(u8, fc.integer({ min: 0, max: 0xff })),
  sample(u16, fc.integer({ min: 0, max: 0xffff })),
  sample(u32, fc.integer({ min: 0, max: 0xffff_ffff })),
  sample(f64, fc.double({ noNaN: true })),
  sample(count, fc.maxSafeNat()),
  sample(bool, fc.boolean()),
  sample(i64, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  sample(
    text(400),
    fc.string({ maxLength: 100, unit: 'grapheme' }).filter((s) => Buffer.byteLength(s) <= 400),
  ),
  sample(
    bytes(200),
    fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
  ),
  sample(uuid, fc.uuid()),
  sample(oneOf(WORDS), fc.constantFrom(...WORDS)),
);

/** Records, lists and optionals of leaves and of each other, up to a few levels. */
const any: fc.Arbitrary<Sample> = fc.letrec<{ any: Sample }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), tie('any'), { minKeys: 1, maxKeys: 4 }).map((parts) => ({
      field: record(Object.fromEntries(Object.entries(parts).map(([k, v]) => [k, v.field]))) as Field<never>,
      value: Object.fromEntries(Object.entries(parts).map(([k, v]) => [k, v.value])),
    })),
    fc.tuple(tie('any'), fc.integer({ min: 0, max: 5 })).map(([item, size]) => ({
      field: list(item.field, 5) as unknown as Field<never>,
      value: Array.from({ length: size }, () => item.value),
    })),
    fc.tuple(tie('any'), fc.boolean()).map(([item, isThere]) => ({
      field: optional(item.field) as Field<never>,
      value: isThere ? item.value : null,
    })),
  ),
})).any;

function write({ field, value }: Sample): Buffer {
  const writer = new Writer();
  field.write(writer, value as never);
  return writer.toBytes();
}

/** The value, or null when it was refused; anything but a `ProtocolError` gets through to the test. */
function tryRead(field: Field<unknown>, input: Uint8Array): { value: unknown } | null {
  try {
    return { value: field.read(new Reader(input)) };
  } catch (error) {
    if (error instanceof ProtocolError) return null;
    throw error;
  }
}

describe('fields', () => {
  it('read what was written, whatever is nested in what', () => {
    fc.assert(
      fc.property(any, (one) => {
        const reader = new Reader(write(one));
        const value: unknown = (one.field as Field<unknown>).read(reader);
        expect(value).toEqual(one.value);
        reader.finish();
      }),
      { numRuns: 1_000 },
    );
  });

  it('refuse every truncation with a ProtocolError', () => {
    fc.assert(
      fc.property(any, (one) => {
        const whole = write(one);
        for (let size = 0; size < Math.min(whole.length, 64); size++)
          expect(tryRead(one.field, whole.subarray(0, size))).toBeNull();
      }),
    );
  });

  it('never throw anything else for bytes that were changed', () => {
    fc.assert(
      fc.property(
        any,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        (one, changes) => {
          const bad = write(one);
          for (const [at, byte] of changes) if (bad.length > 0) bad[at % bad.length] = byte;
          const read = tryRead(one.field, bad);
          // What is accepted is a value of the type: it can be written, and reads the same again.
          if (read === null) return;
          const again = write({ field: one.field, value: read.value });
          expect(tryRead(one.field, again)?.value).toEqual(read.value);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('never throw anything else for random bytes', () => {
    fc.assert(
      fc.property(any, fc.uint8Array({ maxLength: 300 }), (one, noise) => {
        tryRead(one.field, noise);
      }),
      { numRuns: 1_000 },
    );
  });

  it('allocate nothing for a length that the input cannot hold', () => {
    const lie = Buffer.from([0xff, 0xff, 0xff, 0x7f, 1, 2, 3]);
    expect(tryRead(bytes(0xffff_ffff), lie)).toBeNull();
    expect(tryRead(text(0xffff_ffff), lie)).toBeNull();
    expect(tryRead(list(u8, 0xffff_ffff), lie)).toBeNull();
    expect(tryRead(list(record({}), 0xffff_ffff), lie)).toBeNull();
  });

  it('enforce their bounds on reading', () => {
    const long = write({ field: text(100) as Field<never>, value: 'x'.repeat(20) });
    expect(tryRead(text(19), long)).toBeNull();
    expect(tryRead(text(20), long)?.value).toBe('x'.repeat(20));
    const three = write({ field: list(u8, 9) as unknown as Field<never>, value: [1, 2, 3] });
    expect(tryRead(list(u8, 2), three)).toBeNull();
  });

  it.each([
    ['a boolean of 2', bool, [2]],
    ['a word beyond the list', oneOf(WORDS), [3]],
    ['an optional with flag 7', optional(u8), [7, 1]],
    ['NaN', f64, [0, 0, 0, 0, 0, 0, 0xf8, 0x7f]],
    ['a fraction as a count', count, [0, 0, 0, 0, 0, 0, 0xe0, 0x3f]],
    ['a negative count', count, [0, 0, 0, 0, 0, 0, 0xf0, 0xbf]],
    ['infinity as a count', count, [0, 0, 0, 0, 0, 0, 0xf0, 0x7f]],
  ] as const)('refuse %s', (_name, field, input) => {
    expect(tryRead(field as Field<unknown>, Uint8Array.from(input))).toBeNull();
  });

  it('refuse a text as UUID that is none, before anything is written', () => {
    for (const bad of ['', 'x', '11111111-1111-4111-8111-11111111111G', '11111111111141118111111111111111']) {
      const writer = new Writer();
      expect(() => uuid.write(writer, bad)).toThrow(ProtocolError);
      expect(writer.length).toBe(0);
    }
  });

  it('a mapped field has the bytes of its form on the wire', () => {
    const upper = mapped(
      text(10),
      'upper',
      (v: string) => v.toLowerCase(),
      (w) => w.toUpperCase(),
    );
    const out = write({ field: upper as Field<never>, value: 'ABC' });
    expect(out.subarray(4).toString()).toBe('abc');
    expect(tryRead(upper, out)?.value).toBe('ABC');
  });
});
