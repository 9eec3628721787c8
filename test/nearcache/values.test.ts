/** Values of a near cache cannot be changed behind a reader's back, in whatever form they are kept. */
import { describe, expect, it } from 'vitest';
import { type Keeping, keep, valueFor } from '../../nearcache/values.js';
import { ValueCodec } from '../../src/wire/values.js';

const codec = new ValueCodec();
const decode = (bytes: Uint8Array) => codec.decode(bytes);

function kept(value: unknown, keeping: Partial<Keeping> = {}) {
  const bytes = codec.encode(value);
  return keep(codec.decode(bytes), bytes, { format: 'objects', sharing: 'frozen', ...keeping });
}

const SAMPLES: readonly (readonly [string, unknown])[] = [
  ['a text', 'text'],
  ['a plain object', { a: { b: [1, { c: 2 }] } }],
  ['an array', [1, [2, { three: 3 }]]],
  ['a Buffer', Buffer.from('bytes')],
  ['a Date', new Date(5)],
  ['a Map in an object', { at: new Map([['k', { v: [1] }]]) }],
  ['a Set', new Set([1, 'two'])],
  ['a typed array in an array', [new Float64Array([1, 2]), new Uint16Array([3])]],
  ['a bigint', 12n],
  ['an object with a key called __proto__', JSON.parse('{"__proto__": {"x": 1}}')],
];

const FORMS = [
  { format: 'objects', sharing: 'frozen' },
  { format: 'objects', sharing: 'copied' },
  { format: 'bytes', sharing: 'frozen' },
] as const;

/** Changes whatever can be changed in it. */
function damage(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  if (value instanceof Map) {
    for (const part of value.values()) damage(part);
    value.clear();
  } else if (value instanceof Set) value.clear();
  else if (value instanceof Date) value.setTime(77);
  else if (ArrayBuffer.isView(value)) (value as Uint8Array).fill(9);
  else {
    for (const part of Object.values(value)) damage(part);
    try {
      (value as { damaged?: boolean }).damaged = true;
      if (Array.isArray(value)) value.length = 0;
    } catch {
      // Frozen: that is how it is protected.
    }
  }
}

describe('a value that is kept near', () => {
  for (const form of FORMS)
    it.each(SAMPLES)(
      `is the same for the next reader, kept as ${form.format}, ${form.sharing}: %s`,
      (_name, value) => {
        const it = kept(value, form);
        const first = valueFor(it, decode);
        expect(first).toEqual(value);
        damage(first);
        expect(valueFor(it, decode)).toEqual(value);
      },
    );

  it('is frozen to its depth when it is shared, and one object for all readers', () => {
    const it = kept({ a: { b: [1] } });
    const value = valueFor(it, decode) as { a: { b: number[] } };
    expect(valueFor(it, decode)).toBe(value);
    expect(() => value.a.b.push(2)).toThrow(TypeError);
  });

  it('is never frozen when a part of it could be changed all the same', () => {
    const given = { at: new Date(5), list: [1] };
    const it = kept(given);
    const value = valueFor(it, decode) as typeof given;
    expect(Object.isFrozen(value)).toBe(false);
    expect(valueFor(it, decode)).not.toBe(value);
  });

  it('of a kind that nobody here knows is decoded at each read', () => {
    class Money {
      cents: number;
      constructor(cents: number) {
        this.cents = cents;
      }
    }
    const own = new ValueCodec({
      encode: (value) => Buffer.from(String((value as Money).cents)),
      decode: (bytes) => new Money(Number(Buffer.from(bytes).toString())),
    });
    const bytes = own.encode(new Money(7));
    const it = keep(own.decode(bytes), bytes, { format: 'objects', sharing: 'frozen' });
    const first = valueFor(it, (at) => own.decode(at)) as Money;
    first.cents = 0;
    expect((valueFor(it, (at) => own.decode(at)) as Money).cents).toBe(7);
  });
});
