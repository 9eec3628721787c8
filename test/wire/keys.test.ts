import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError, ValueTooLargeError } from '../../src/base/errors.js';
import {
  AffinityKey,
  affinityBytes,
  checkedKey,
  decodeKey,
  encodeKey,
  MAX_KEY_BYTES,
  withAffinity,
} from '../../src/wire/keys.js';
import { SMALL_INTEGER, TAG } from '../../src/wire/tagged.js';
import { anyValue, binariesOf, identical, mutate, mutation, objectOf, reordered } from './codec-samples.js';

const hex = (key: unknown) => Buffer.from(encodeKey(key)).toString('hex');

/** What decoding throws; undefined when it accepts the bytes. */
function refusal(decode: () => unknown): unknown {
  try {
    decode();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('encodeKey', () => {
  it('gives one encoding per key, whatever the order of properties and entries', () => {
    fc.assert(
      fc.property(anyValue, (key) => {
        expect(hex(reordered(key))).toBe(hex(key));
      }),
      { numRuns: 400 },
    );
  });

  it('gives bytes that decode to a key with the same bytes', () => {
    fc.assert(
      fc.property(anyValue, (key) => {
        const bytes = encodeKey(key);
        expect(Buffer.compare(encodeKey(decodeKey(bytes)), bytes)).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  it('gives different bytes to keys that look alike', () => {
    // biome-ignore format: a table
    const alike: unknown[] = [
      0, -0, 0n, '0', false, 1, 1n, '1', true, -1, -1n, 127, 128, 2 ** 53, 2n ** 53n, 0.5, Number.NaN, 'NaN',
      Number.POSITIVE_INFINITY, '', [], {}, new Map(), new Set(), [null], [undefined], new Array(1), [[]], ['1'], [1],
      { a: 1 }, { a: '1' }, { a: undefined }, { a: null }, { a: 1, b: 2 }, { a: 2, b: 1 }, { 'a:1': 1 },
      new Map([['a', 1]]), new Set(['a']), new Set(['a', 1]), ['a', 1], [1, 'a'], [['a', 1]], objectOf([['__proto__', 1]]),
      new Date(0), new Date(1), new Date(Number.NaN), '\ud800', '\ud801', '\ufffd', 'a', 'a\0', 'ab', ['a', 'b'], ['ab'],
      withAffinity('a', 'b'), withAffinity('b', 'a'), withAffinity('ab', ''), withAffinity('', 'ab'),
      ...binariesOf(new Uint8Array(8)), ...binariesOf(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)),
    ];
    expect(new Set(alike.map(hex)).size).toBe(alike.length);
  });

  it('keeps its bytes from version to version', () => {
    expect(hex('user:1')).toBe('13757365723a31');
    expect(hex(5)).toBe('85');
    expect(hex(300)).toBe('06ac02');
    expect(hex(-300)).toBe('07ab02');
    expect(hex(-0)).toBe('080000000000000080');
    expect(hex(2n ** 64n)).toBe('0a09010000000000000000');
    expect(hex({ b: [true, null], a: 'é' })).toBe('10020c01610c02c3a90c01620f020401');
    expect(
      hex(
        new Map([
          ['b', 1],
          ['a', 2],
        ]),
      ),
    ).toBe('11020c0161820c016281');
    expect(hex(new Date(1))).toBe('0e81');
    expect(hex(Buffer.of(7))).toBe('200107');
    expect(hex(Uint16Array.of(7))).toBe('24020700');
    expect(hex(withAffinity('k', 'a'))).toBe('140213' + '61' + '136b');
  });

  it('has one NaN', () => {
    const odd = new Float64Array(new Uint8Array([1, 0, 0, 0, 0, 0, 0xf8, 0xff]).buffer)[0];
    expect(hex(odd)).toBe(hex(Number.NaN));
  });

  it('does not change bytes that it returned before', () => {
    const first = encodeKey({ a: 'first' });
    const copy = Uint8Array.from(first);
    for (let i = 0; i < 100; i++) encodeKey({ a: `another ${i}` });
    expect(first).toEqual(copy);
    expect(first.buffer.byteLength).toBe(first.length);
  });

  it('copes with a getter that encodes another key', () => {
    const key = {
      get a() {
        return encodeKey({ inner: [1, 2, 3] }).length;
      },
      b: 'x',
    };
    expect(hex(key)).toBe(hex({ a: encodeKey({ inner: [1, 2, 3] }).length, b: 'x' }));
  });
});

describe('what encodeKey refuses', () => {
  class Point {
    x = 1;
  }
  const cycle: Record<string, unknown> = { name: 'x' };
  cycle.list = [1, { back: cycle }];

  it.each<[string, unknown, string]>([
    ['a top-level null', null, 'key: null cannot be a key'],
    ['a top-level undefined', undefined, 'key: undefined cannot be a key'],
    ['a function', { address: [1, 2, () => 1] }, 'key.address[2]: functions cannot be part of a key'],
    ['a symbol', Symbol('x'), 'key: symbols cannot be part of a key'],
    ['a class instance', { at: new Point() }, 'key.at: instances of class Point cannot be part of a key'],
    ['a cycle', cycle, 'key.list[1].back: a cycle (back to key) cannot be part of a key'],
    ['a regular expression', [/x/], 'key[0]: instances of class RegExp'],
    ['what is in a Map', new Map([['a b', () => 1]]), 'key.get("a b"): functions'],
    ['a key of a Map', new Map([[() => 1, 1]]), 'key.keys()[0]: functions'],
    ['what is in a Set', new Set([1, Symbol('x')]), 'key.values()[1]: symbols'],
    ['a property with an odd name', { 'a-b': { '': () => 1 } }, 'key["a-b"][""]: functions'],
    [
      'affinity in affinity',
      withAffinity('a', withAffinity('b', 'c')),
      'key.affinity: another key with affinity',
    ],
    ['affinity inside an object', { a: withAffinity('a', 'b') }, 'key.a: instances of class AffinityKey'],
    ['an affinity part of null', withAffinity('a', null), 'null cannot be a key'],
  ])('is %s, with its path', (_what, key, message) => {
    const error = refusal(() => encodeKey(key));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(message);
  });

  it('is more than 64 levels', () => {
    const nested = (levels: number) => {
      let key: unknown = 1;
      for (let i = 0; i < levels; i++) key = [key];
      return key;
    };
    expect(identical(decodeKey(encodeKey(nested(64))), nested(64))).toBe(true);
    expect(() => encodeKey(nested(65))).toThrow(/^key(\[0\]){64}: more than 64 nested levels/);
    // And it is in order again afterwards.
    expect(identical(decodeKey(encodeKey(nested(64))), nested(64))).toBe(true);
  });

  it('is more than 64 KiB, with the size and the limit', () => {
    expect(encodeKey('x'.repeat(MAX_KEY_BYTES - 1)).length).toBe(MAX_KEY_BYTES);
    const error = refusal(() => encodeKey('x'.repeat(MAX_KEY_BYTES)));
    expect(error).toBeInstanceOf(ValueTooLargeError);
    expect((error as Error).message).toBe('key: its encoding has 65537 bytes; the limit is 65536 bytes');
    for (const key of [
      'é'.repeat(40_000),
      ['x'.repeat(70_000)],
      Buffer.alloc(65_536),
      new Array(70_000).fill(1),
      new Array(4_000_000_000),
      2n ** 600_000n,
      withAffinity('x'.repeat(40_000), 'y'.repeat(40_000)),
    ]) {
      expect(() => encodeKey(key)).toThrow(ValueTooLargeError);
    }
  });
});

describe('decodeKey', () => {
  it.each<[string, unknown]>([
    ['a string', 'user:1'],
    ['a long string', '漢字'.repeat(5_000)],
    ['a string of medium length', 'é'.repeat(300)],
    ['a lone surrogate', 'a\ud800b'],
    ['a byte order mark', '\ufeffa'],
    ['nested data', { a: [1, undefined, null, -0, Number.NaN], b: { c: 10n ** 40n, d: new Date(5) } }],
    ['holes', Object.assign(new Array(4), { 0: 1, 2: 3 })],
    [
      'a sorted Map',
      new Map<unknown, unknown>([
        ['a', 1],
        ['b', [2]],
      ]),
    ],
    ['an own __proto__', objectOf([['__proto__', { polluted: true }]])],
  ])('gives back %s', (_what, key) => {
    expect(identical(decodeKey(encodeKey(key)), key)).toBe(true);
  });

  it('gives back every typed array and Buffer as what it was, in memory of its own', () => {
    for (const key of binariesOf(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 1)) {
      const bytes = encodeKey(key);
      const decoded = decodeKey(bytes);
      bytes.fill(0);
      expect(identical(decoded, key)).toBe(true);
    }
  });

  it('refuses mutated bytes with a ProtocolError, in a short time', () => {
    fc.assert(
      fc.property(anyValue, anyValue, mutation, (key, affinity, change) => {
        const bytes = mutate(encodeKey(withAffinity(key, affinity)), change);
        for (const hostile of [bytes, bytes.subarray(3)]) {
          const started = performance.now();
          const errors = [refusal(() => decodeKey(hostile)), refusal(() => affinityBytes(hostile))];
          const tookMs = performance.now() - started;
          // A pause of the machine is not the decoder's: only a second slow run counts.
          if (tookMs > 50) {
            const again = performance.now();
            refusal(() => decodeKey(hostile));
            expect(performance.now() - again).toBeLessThan(50);
          }
          for (const error of errors) if (error !== undefined) expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 1_500 },
    );
  });

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['an absent key', Uint8Array.of(1)],
    ['deep nesting', new Uint8Array(60_000).fill(0x0f).map((byte, i) => (i % 2 === 0 ? byte : 1))],
    ['a huge count', Uint8Array.of(0x0f, 0xff, 0xff, 0xff, 0xff, 0x0f)],
    ['a huge size', Uint8Array.of(0x0c, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 1)],
    ['an endless integer', new Uint8Array(100).fill(0xff).fill(0x06, 0, 1)],
    ['half an element', Uint8Array.of(0x24, 1, 0)],
    ['an unknown typed array', Uint8Array.of(0x7f, 0)],
    ['bytes behind the key', Uint8Array.of(0x85, 0x85)],
    ['too many bytes', new Uint8Array(MAX_KEY_BYTES + 1).fill(0x13)],
    ['a property name that is a number', Uint8Array.of(0x10, 1, 0x81, 0x81)],
    ['an affinity that is longer than the key', Uint8Array.of(0x14, 9, 0x13)],
    ['an affinity in an affinity', Uint8Array.of(0x14, 4, 0x14, 1, 0x81, 0x81, 0x81)],
  ])('refuses %s', (_what, bytes) => {
    expect(() => decodeKey(bytes)).toThrow(ProtocolError);
  });
});

describe('checkedKey', () => {
  it('takes the bytes of a key, and none that decode to a key with other bytes', () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), fc.nat(255), (key, at, byte) => {
        const bytes = Buffer.from(encodeKey(key));
        expect(checkedKey(bytes)).toBe(bytes);
        bytes[at % bytes.length] = byte;
        let other: Uint8Array | null = null;
        try {
          other = encodeKey(decodeKey(bytes));
        } catch {}
        if (other !== null && Buffer.compare(other, bytes) === 0) expect(checkedKey(bytes)).toBe(bytes);
        else expect(() => checkedKey(bytes)).toThrow(ProtocolError);
      }),
    );
  });

  it.each([
    ['nothing', []],
    ['an unknown tag', [23, 1, 2, 3]],
    ['text that is not UTF-8', [TAG.wholeText, 0xff, 0xfe]],
    ['long text that is not UTF-8', [TAG.wholeText, ...Array<number>(100).fill(0x80)]],
    ['a small number in many bytes', [TAG.positive, 1]],
    ['a number and more', [SMALL_INTEGER + 1, 0]],
    ['null', [TAG.null]],
    ['an affinity part without a key', [TAG.affinity, 1, SMALL_INTEGER]],
  ])('refuses %s', (_what, bytes) => {
    expect(() => checkedKey(Buffer.from(bytes))).toThrow(ProtocolError);
  });
});

describe('affinity', () => {
  it('decides the partition with the bytes of the affinity part, which are those of that key', () => {
    fc.assert(
      fc.property(anyValue, anyValue, (key, affinity) => {
        const bytes = encodeKey(withAffinity(key, affinity));
        expect(Buffer.compare(affinityBytes(bytes), encodeKey(affinity))).toBe(0);
        const decoded = decodeKey(bytes);
        expect(decoded).toBeInstanceOf(AffinityKey);
        expect(hex((decoded as AffinityKey).key)).toBe(hex(key));
        expect(hex((decoded as AffinityKey).affinity)).toBe(hex(affinity));
      }),
      { numRuns: 200 },
    );
  });

  it('is the whole key when there is none', () => {
    const bytes = encodeKey('user:1');
    expect(affinityBytes(bytes)).toBe(bytes);
  });
});
