/**
 * Field descriptors: from one descriptor come the TypeScript type, the encoder, the checked decoder and the
 * text in the protocol page. Every variable-size field has a bound. Used by message and operation definitions.
 */
import type { Reader, Writer } from '../base/bytes.js';
import { ProtocolError } from '../base/errors.js';

export interface Field<T> {
  /** As printed in the protocol page, and hashed to guard the protocol version. */
  readonly type: string;
  write(writer: Writer, value: T): void;
  read(reader: Reader): T;
}

export type FieldsOf<R> = { readonly [K in keyof R]: R[K] extends Field<infer T> ? T : never };
// biome-ignore lint/suspicious/noExplicitAny: the one place where descriptors of any type meet
export type AnyShape = Readonly<Record<string, Field<any>>>;

export const u8: Field<number> = { type: 'u8', write: (w, v) => w.u8(v), read: (r) => r.u8() };
export const u16: Field<number> = { type: 'u16', write: (w, v) => w.u16(v), read: (r) => r.u16() };
export const u32: Field<number> = { type: 'u32', write: (w, v) => w.u32(v), read: (r) => r.u32() };
/** An IEEE double: times in ms, and integers up to 2^53. NaN is refused: no message needs it. */
export const f64: Field<number> = {
  type: 'f64',
  write: (w, v) => w.f64(v),
  read: (r) => {
    const value = r.f64();
    if (Number.isNaN(value)) throw new ProtocolError('not a number');
    return value;
  },
};
/** A whole number in [0, 2^53), on the wire as f64. */
export const count: Field<number> = {
  type: 'count',
  write: (w, v) => w.f64(v),
  read: (r) => {
    const value = r.f64();
    if (!Number.isSafeInteger(value) || value < 0) throw new ProtocolError(`not a count: ${value}`);
    return value;
  },
};
export const bool: Field<boolean> = {
  type: 'bool',
  write: (w, v) => w.u8(v ? 1 : 0),
  read: (r) => {
    const value = r.u8();
    if (value > 1) throw new ProtocolError(`not a boolean: ${value}`);
    return value === 1;
  },
};
/** Signed 64-bit integer, two's complement. */
export const i64: Field<bigint> = {
  type: 'i64',
  write: (w, v) => {
    const bits = BigInt.asUintN(64, v);
    w.u32(Number(bits & 0xffff_ffffn));
    w.u32(Number(bits >> 32n));
  },
  read: (r) => {
    const low = BigInt(r.u32());
    return BigInt.asIntN(64, (BigInt(r.u32()) << 32n) | low);
  },
};

export const text = (maxBytes: number): Field<string> => ({
  type: `text<=${maxBytes}`,
  write: (w, v) => w.string(v),
  read: (r) => r.string(maxBytes),
});

/** Opaque bytes; reading gives a view into the frame. */
export const bytes = (maxBytes: number): Field<Uint8Array> => ({
  type: `bytes<=${maxBytes}`,
  write: (w, v) => w.bytes(v),
  read: (r) => r.blob(maxBytes),
});

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const DASH = 45;

/** Of a digit or a small letter from a to f. */
function hexDigit(code: number): number {
  return code < 58 ? code - 48 : code - 87;
}

/** A UUID in its usual lower-case text form, 16 bytes on the wire. */
export const uuid: Field<string> = {
  type: 'uuid',
  write: (w, v) => {
    if (!UUID.test(v)) throw new ProtocolError(`not a UUID: ${v.slice(0, 40)}`);
    // Heartbeats and views are full of them, so no text is cut up here.
    for (let i = 0; i < 36; i += 2) {
      if (v.charCodeAt(i) === DASH) i++;
      w.u8((hexDigit(v.charCodeAt(i)) << 4) | hexDigit(v.charCodeAt(i + 1)));
    }
  },
  read: (r) => {
    const hex = r.raw(16).toString('hex');
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  },
};

export function optional<T>(field: Field<T>): Field<T | null> {
  return {
    type: `${field.type}?`,
    write: (w, v) => {
      w.u8(v === null ? 0 : 1);
      if (v !== null) field.write(w, v);
    },
    read: (r) => (bool.read(r) ? field.read(r) : null),
  };
}

/** The last field of a message, which takes no byte when it is null or left out. */
export function trailing<T>(field: Field<T>): Field<T | null> {
  return {
    type: `${field.type} or nothing`,
    write: (w, v) => {
      if (v !== null && v !== undefined) field.write(w, v);
    },
    read: (r) => (r.remaining === 0 ? null : field.read(r)),
  };
}

export function list<T>(field: Field<T>, max: number): Field<readonly T[]> {
  return {
    type: `[${field.type}]<=${max}`,
    write: (w, v) => {
      w.u32(v.length);
      for (const item of v) field.write(w, item);
    },
    read: (r) => {
      const size = r.u32();
      // One byte an item is the least that a list can take, so a lie about its length ends here.
      if (size > max || size > r.remaining) throw new ProtocolError(`a list of ${size} items is too long`);
      const items: T[] = [];
      for (let i = 0; i < size; i++) items.push(field.read(r));
      return items;
    },
  };
}

/** One of a fixed list of words, as its index. */
export function oneOf<const W extends readonly string[]>(words: W): Field<W[number]> {
  return {
    type: words.join('|'),
    write: (w, v) => w.u8(words.indexOf(v)),
    read: (r) => {
      const word = words[r.u8()];
      if (word === undefined) throw new ProtocolError(`not one of ${words.join(', ')}`);
      return word;
    },
  };
}

export function record<R extends AnyShape>(shape: R): Field<FieldsOf<R>> {
  const names = Object.keys(shape);
  const fields = names.map((name) => shape[name] as Field<unknown>);
  return {
    type: `{${names.map((name) => `${name}: ${shape[name]?.type}`).join(', ')}}`,
    write: (w, v) => {
      for (let i = 0; i < names.length; i++) {
        (fields[i] as Field<unknown>).write(w, (v as Record<string, unknown>)[names[i] as string]);
      }
    },
    read: (r) => {
      const value: Record<string, unknown> = {};
      for (let i = 0; i < names.length; i++)
        value[names[i] as string] = (fields[i] as Field<unknown>).read(r);
      return value as FieldsOf<R>;
    },
  };
}

/** A field whose type in memory differs from its form on the wire. */
export function mapped<T, W>(
  field: Field<W>,
  type: string,
  toWire: (value: T) => W,
  fromWire: (wire: W) => T,
): Field<T> {
  return { type, write: (w, v) => field.write(w, toWire(v)), read: (r) => fromWire(field.read(r)) };
}
