import fc from 'fast-check';
import { addExtension, Packr, pack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { ProtocolError, ValueTooLargeError } from '../../src/base/errors.js';
import { MAX_VALUE_BYTES, type Serializer, ValueCodec } from '../../src/wire/values.js';
import { anyValue, binariesOf, identical, mutate, mutation, objectOf, plainValue } from './codec-samples.js';

const codec = new ValueCodec();
const again = (value: unknown) => codec.decode(codec.encode(value));
const TEXT = 3;
const PLAIN = 4;
const TAGGED = 5;

function refusal(run: () => unknown): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    return error;
  }
}

function expectProtocolErrorAtMost(bytes: Uint8Array): void {
  const started = performance.now();
  const error = refusal(() => codec.decode(bytes));
  // A pause of the machine is not the decoder's: only a second slow run counts.
  if (performance.now() - started > 50) {
    const second = performance.now();
    refusal(() => codec.decode(bytes));
    expect(performance.now() - second).toBeLessThan(50);
  }
  if (error !== undefined) expect(error).toBeInstanceOf(ProtocolError);
}

describe('the round trip of a value', () => {
  it('is exact for everything that can be encoded', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(identical(again(value), value)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is exact for plain data', () => {
    fc.assert(
      fc.property(plainValue, (value) => {
        expect(identical(again(value), value)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('is exact for every typed array and Buffer, at the top and inside, at any offset', () => {
    for (const offset of [0, 1, 5]) {
      for (const value of binariesOf(
        Uint8Array.from({ length: 64 }, (_, i) => i * 3),
        offset,
      )) {
        expect(identical(again(value), value)).toBe(true);
        expect(identical(again({ at: [value] }), { at: [value] })).toBe(true);
      }
    }
  });

  it('keeps -0, holes, undefined and invalid dates', () => {
    // biome-ignore lint/suspicious/noSparseArray: holes are what is tested
    const value = [-0, , undefined, null, { a: undefined }, new Date(Number.NaN), Number.NaN, new Array(3)];
    expect(identical(again(value), value)).toBe(true);
  });

  it('keeps strings that UTF-8 or a text decoder would change', () => {
    for (const text of ['\ud800', 'a\udfff', '\ufeff', `\ufeff${'y'.repeat(200)}`, '\0', '😀'.repeat(50)]) {
      expect(again(text)).toBe(text);
      expect(again([text, { [text]: text }])).toEqual([text, { [text]: text }]);
      expect(again({ [text]: 1 })).toEqual({ [text]: 1 });
    }
  });

  it('leaves to the tagged encoding what msgpackr loses on machines without its native part', () => {
    expect([codec.encode(['\ufeffa'])[0], codec.encode({ '\ufeffa': 1 })[0]]).toEqual([TAGGED, TAGGED]);
  });

  it('keeps an own __proto__ as a property and pollutes nothing', () => {
    const value = objectOf([
      ['__proto__', { polluted: 1 }],
      ['constructor', 5],
      ['toJSON', 'x'],
    ]);
    const decoded = again({ value }) as { value: Record<string, unknown> };
    expect(identical(decoded.value, value)).toBe(true);
    expect(Object.getPrototypeOf(decoded.value)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('keeps properties with names that serializers treat as special', () => {
    const value = { constructor: 5, toJSON: 'x', length: 3, hasOwnProperty: false, prototype: null };
    expect(identical(again(value), value)).toBe(true);
    expect(identical(again([value]), [value])).toBe(true);
  });

  it('makes ordinary objects of objects without a prototype', () => {
    const value = Object.assign(Object.create(null), { a: 1 });
    expect(identical(again(value), { a: 1 })).toBe(true);
  });

  it('is exact for large data', () => {
    const rows = Array.from({ length: 20_000 }, (_, id) => ({
      id,
      name: `näme ${id}`,
      tags: ['a', 'b'],
      ratio: id / 7,
    }));
    expect(again(rows)).toEqual(rows);
    const wide = objectOf(Array.from({ length: 70_000 }, (_, i) => [`property ${i}`, i]));
    expect(identical(again(wide), wide)).toBe(true);
    const huge = 3n ** 200_000n;
    expect(again(huge)).toBe(huge);
  });

  it('shares one value that is referred to twice only by content', () => {
    const shared = { a: 1 };
    const decoded = again([shared, shared]) as unknown[];
    expect(decoded).toEqual([{ a: 1 }, { a: 1 }]);
    expect(decoded[0]).not.toBe(decoded[1]);
  });

  it('is not disturbed by extensions that the application gives to msgpackr', () => {
    class Money {}
    addExtension({ Class: Money, type: 11, pack: () => Buffer.of(1), unpack: () => new Money() });
    expect(() => codec.encode({ price: new Money() })).toThrow('value.price: instances of class Money');
    expect(() => codec.decode(Uint8Array.of(PLAIN, ...pack(new Money())))).toThrow(ProtocolError);
  });
});

describe('the bytes of a value', () => {
  it('begin with a byte that tells how to read the rest', () => {
    const formats = [Buffer.of(7), Uint8Array.of(7), 'x', { a: 1 }, new Map()].map(
      (value) => codec.encode(value)[0],
    );
    expect(formats).toEqual([1, 2, TEXT, PLAIN, TAGGED]);
    expect([...codec.encode(Buffer.of(7, 8))]).toEqual([1, 7, 8]);
    expect([...codec.encode('é')]).toEqual([TEXT, 0xc3, 0xa9]);
  });

  it('are not changed by what is encoded later, and share memory with nothing', () => {
    const source = Buffer.from('abc');
    const values = [
      source,
      Uint8Array.from(source),
      'abc',
      { a: 'abc' },
      [source],
      { a: 'x'.repeat(300_000) },
    ];
    const encoded = values.map((value) => codec.encode(value));
    const copies = encoded.map((bytes) => Buffer.from(bytes));
    source.fill(0);
    for (let i = 0; i < 2_000; i++) codec.encode({ a: `other ${i}`, b: [i] });
    for (const [i, bytes] of encoded.entries()) {
      expect(Buffer.compare(bytes, copies[i] as Buffer)).toBe(0);
      expect(bytes.buffer.byteLength).toBe(bytes.length);
    }
  });

  it('may be overwritten once they are decoded', () => {
    for (const value of [
      Buffer.from('abc'),
      Uint8Array.of(1, 2),
      'abc',
      [Buffer.from('abc'), Int16Array.of(5)],
    ]) {
      const bytes = codec.encode(value);
      const decoded = codec.decode(bytes);
      bytes.fill(0);
      expect(identical(decoded, value)).toBe(true);
    }
  });

  it('are not confused by a getter that encodes another value', () => {
    const value = {
      get a() {
        return codec.encode({ inner: new Map([[1, 2]]), text: 'x' }).length;
      },
      b: 'x',
    };
    expect(again(value)).toEqual({ a: value.a, b: 'x' });
    expect(again(new Set([value]))).toEqual(new Set([{ a: value.a, b: 'x' }]));
  });
});

describe('what a value may not contain', () => {
  class User {
    name = 'x';
  }
  const cycle: Record<string, unknown> = {};
  cycle.children = [{ parent: cycle }];
  const mapCycle = new Map<string, unknown>();
  mapCycle.set('self', new Set([mapCycle]));

  it.each<[string, unknown, string]>([
    ['a top-level null', null, 'value: null cannot be a value'],
    ['a top-level undefined', undefined, 'value: undefined cannot be a value'],
    [
      'a function',
      { user: { friends: [1, 2, 3, { callback: () => 1 }] } },
      'value.user.friends[3].callback: functions',
    ],
    ['a top-level function', () => 1, 'value: functions cannot be part of a value'],
    ['a symbol', [[Symbol('x')]], 'value[0][0]: symbols'],
    [
      'a class instance',
      { user: new User() },
      'value.user: instances of class User cannot be part of a value; use a plain',
    ],
    [
      'a subclass of Array',
      { list: new (class Stack extends Array {})() },
      'value.list: instances of class Stack',
    ],
    [
      'a subclass of Uint8Array',
      new (class Bytes extends Uint8Array {})(),
      'value: instances of class Bytes',
    ],
    ['an object that inherits from Array', Object.create(Array.prototype), 'value: instances of class Array'],
    ['a boxed number', [Object(1)], 'value[0]: instances of class Number'],
    ['an error', { cause: new Error('x') }, 'value.cause: instances of class Error'],
    ['an ArrayBuffer', { raw: new ArrayBuffer(4) }, 'value.raw: instances of class ArrayBuffer'],
    ['a DataView', [new DataView(new ArrayBuffer(4))], 'value[0]: instances of class DataView'],
    ['a promise', { later: Promise.resolve() }, 'value.later: instances of class Promise'],
    ['a cycle', cycle, 'value.children[0].parent: a cycle (back to value)'],
    [
      'a cycle through Map and Set',
      { map: mapCycle },
      'value.map.get("self").values()[0]: a cycle (back to value.map)',
    ],
    ['a value under a Map key that is an object', new Map([[{}, User]]), 'value.values()[0]: functions'],
  ])('is %s, named with its path', (_what, value, message) => {
    const error = refusal(() => codec.encode(value));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(message);
  });

  it('names the path of a function anywhere in any value', () => {
    fc.assert(
      fc.property(
        anyValue,
        fc.array(fc.constantFrom('a', 0, 'b c', 1), { maxLength: 6 }),
        (beside, steps) => {
          let value: unknown = () => 1;
          let path = '';
          for (const step of steps) {
            if (typeof step === 'number') value = step === 0 ? [value, beside] : [beside, value];
            else value = { beside, [step]: value };
            path = `${typeof step === 'number' ? `[${step}]` : step === 'a' ? '.a' : '["b c"]'}${path}`;
          }
          const error = refusal(() => codec.encode(value));
          expect(error).toBeInstanceOf(TypeError);
          expect((error as Error).message).toBe(`value${path}: functions cannot be part of a value`);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('is a collection that changes while it is encoded', () => {
    const map = new Map<string, unknown>();
    map.set('a', {
      get grow() {
        map.set(`b${map.size}`, 1);
        return 1;
      },
    });
    expect(() => codec.encode({ map })).toThrow('value.map: collections that change while they are encoded');
  });
});

describe('the limits of a value', () => {
  const nested = (levels: number, innermost: unknown) => {
    let value = innermost;
    for (let i = 0; i < levels; i++) value = { a: value };
    return value;
  };

  it('are 64 levels, in plain and other data', () => {
    for (const leaf of [1, -0]) {
      expect(identical(again(nested(64, leaf)), nested(64, leaf))).toBe(true);
      expect(() => codec.encode(nested(65, leaf))).toThrow(/^value(\.a){64}: more than 64 nested levels/);
    }
  });

  it('are 16 MiB without the format byte, and the error says the size and the limit', () => {
    expect(codec.encode(Buffer.alloc(MAX_VALUE_BYTES)).length).toBe(MAX_VALUE_BYTES + 1);
    expect((again('x'.repeat(MAX_VALUE_BYTES)) as string).length).toBe(MAX_VALUE_BYTES);
    const error = refusal(() => codec.encode(new Uint8Array(MAX_VALUE_BYTES + 5)));
    expect(error).toBeInstanceOf(ValueTooLargeError);
    expect((error as Error).message).toBe(
      'value: its encoding has 16777221 bytes; the limit is 16777216 bytes',
    );
    const bytes = new Uint8Array(MAX_VALUE_BYTES - 12);
    expect(codec.encode({ a: bytes }).length).toBe(MAX_VALUE_BYTES - 1);
    expect(() => codec.encode({ a: bytes, b: 1, c: 2 })).toThrow(
      /16777222 bytes; the limit is 16777216 bytes$/,
    );
    const half = 'x'.repeat(MAX_VALUE_BYTES / 2);
    for (const value of [
      `${half}${half}x`,
      'é'.repeat(MAX_VALUE_BYTES / 2 + 1),
      { a: half, b: half },
      ['é'.repeat(MAX_VALUE_BYTES / 2)],
      [half, half, -0],
      { at: new Float64Array(MAX_VALUE_BYTES / 8) },
    ]) {
      expect(() => codec.encode(value)).toThrow(ValueTooLargeError);
    }
  });

  it('are 1,048,576 elements, in plain and other data', () => {
    const most = new Array<number>(1_048_575).fill(7);
    expect((again([most]) as unknown[][])[0]).toHaveLength(1_048_575);
    expect((again(new Array(1_048_576)) as unknown[]).length).toBe(1_048_576);
    for (const value of [[most, 1], [most, -0], new Array(4_000_000_000)]) {
      expect(() => codec.encode(value)).toThrow(ValueTooLargeError);
    }
    expect(() => codec.encode([most, 1])).toThrow('more than 1048576 elements');
  });

  it('stop what is small in memory and endless when written out', () => {
    let value: unknown = [1];
    for (let i = 0; i < 60; i++) value = [value, value];
    expect(() => codec.encode(value)).toThrow(ValueTooLargeError);
  });
});

describe('hostile bytes', () => {
  it('are refused with a ProtocolError, in a short time, when they come of a mutation', () => {
    fc.assert(
      fc.property(fc.oneof(anyValue, plainValue), mutation, (value, change) => {
        const bytes = mutate(codec.encode(value), change);
        expectProtocolErrorAtMost(bytes);
        expectProtocolErrorAtMost(Uint8Array.of(PLAIN, ...bytes.subarray(1)));
        expectProtocolErrorAtMost(Uint8Array.of(TAGGED, ...bytes.subarray(1)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('are refused with a ProtocolError when they are noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(7), (bytes, format) => {
        expectProtocolErrorAtMost(Uint8Array.of(format, ...bytes));
      }),
      { numRuns: 3_000 },
    );
  });

  const moreTypes = new Packr({ useRecords: false, moreTypes: true, structuredClone: true });
  const records = new Packr();
  it.each<[string, Uint8Array | number[]]>([
    ['nothing', []],
    ['an unknown format', [99, 1]],
    ['a custom format without a serializer', [6, 1]],
    ['an absent plain value', [PLAIN, 0xc0]],
    ['an absent tagged value', [TAGGED, 2]],
    ['a regular expression', [PLAIN, ...moreTypes.pack(/x/)]],
    ['an error', [PLAIN, ...moreTypes.pack(new Error('x'))]],
    ['a typed array of msgpackr', [PLAIN, ...moreTypes.pack(new Uint16Array(2))]],
    ['a Set of msgpackr', [PLAIN, ...moreTypes.pack(new Set([1]))]],
    ['a date of msgpackr', [PLAIN, ...pack(new Date())]],
    ['records, which compile code', [PLAIN, ...records.pack([{ a: 1 }, { a: 2 }])]],
    ['undefined of msgpackr', [PLAIN, ...pack([undefined])]],
    ['the byte that MessagePack never uses', [PLAIN, 0xc1]],
    ['deep nesting', [PLAIN, ...new Array(65).fill(0x91), 1]],
    ['deep nesting in tagged form', [TAGGED, ...new Array(65).fill([0x0f, 1]).flat(), 0x81]],
    ['very deep nesting', [PLAIN, ...new Array(100_000).fill(0x91), 1]],
    ['a huge array', [PLAIN, 0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['a huge map', [PLAIN, 0xdf, 0xff, 0xff, 0xff, 0xff]],
    ['many claims of a million', [PLAIN, ...new Array(60).fill([0xdd, 0, 0x0f, 0xff, 0xff]).flat()]],
    ['a huge string', [PLAIN, 0xdb, 0xff, 0xff, 0xff, 0xff, 1]],
    ['a number as a property name', [PLAIN, 0x81, 1, 1]],
    ['bytes behind the value', [PLAIN, 1, 1]],
    ['many tagged claims of a million', [TAGGED, ...new Array(60).fill([0x0f, 0xff, 0xff, 0x3f]).flat()]],
  ])('of %s are refused', (_what, bytes) => {
    expect(() => codec.decode(Uint8Array.from(bytes))).toThrow(ProtocolError);
  });

  it('of more elements or bytes than the limits are refused before they are decoded', () => {
    const maps = new Uint8Array(2 + 4 + 2_000_000).fill(0x80);
    maps.set([PLAIN, 0xdd, 0x00, 0x1e, 0x84, 0x80]);
    expect(() => codec.decode(maps)).toThrow('more than 1048576 elements');
    const nulls = new Uint8Array(5 + 2_000_000).fill(0x01);
    nulls.set([TAGGED, 0x0f, 0x80, 0x89, 0x7a]);
    expect(() => codec.decode(nulls)).toThrow('more than 1048576 elements');
    expect(() => codec.decode(new Uint8Array(MAX_VALUE_BYTES + 2).fill(TEXT))).toThrow(ProtocolError);
  });

  it('with a __proto__ property change no prototype', () => {
    const bytes = Uint8Array.of(PLAIN, 0x81, 0xa9, ...Buffer.from('__proto__'), 0x81, 0xa1, 0x78, 1);
    const decoded = codec.decode(bytes) as Record<string, unknown>;
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(decoded.x).toBeUndefined();
  });
});

describe('a serializer of the user', () => {
  const json: Serializer = {
    encode: (value) => Buffer.from(JSON.stringify(value)),
    decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()),
  };
  const custom = new ValueCodec(json);

  it('gets all but strings, bytes and absent values', () => {
    expect(Buffer.from(custom.encode({ a: [1] })).toString('latin1')).toBe('\x06{"a":[1]}');
    expect(custom.decode(custom.encode({ a: [1] }))).toEqual({ a: [1] });
    expect([...custom.encode('x')]).toEqual([TEXT, 0x78]);
    expect([...custom.encode(Buffer.of(1))]).toEqual([1, 1]);
    expect(() => custom.encode(null)).toThrow(TypeError);
  });

  it('reads what was written without it', () => {
    expect(custom.decode(codec.encode({ a: 1n }))).toEqual({ a: 1n });
    expect(custom.decode(codec.encode({ a: 1 }))).toEqual({ a: 1 });
    expect(() => codec.decode(custom.encode({ a: 1 }))).toThrow('custom serializer');
  });

  it('may reuse its memory, and is held to the size limit and to bytes', () => {
    const memory = new Uint8Array(4);
    const reusing = new ValueCodec({
      encode: (value) => memory.fill(value as number),
      decode: (bytes) => bytes[0],
    });
    const first = reusing.encode(1);
    reusing.encode(2);
    expect([...first]).toEqual([6, 1, 1, 1, 1]);
    const large = new ValueCodec({ encode: () => new Uint8Array(MAX_VALUE_BYTES + 1), decode: () => 1 });
    expect(() => large.encode(1)).toThrow(ValueTooLargeError);
    const wrong = new ValueCodec({ encode: () => 'text' as unknown as Uint8Array, decode: () => 1 });
    expect(() => wrong.encode(1)).toThrow(TypeError);
  });
});
