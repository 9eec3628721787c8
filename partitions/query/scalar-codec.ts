/** Values that queries compare, as bytes: in predicates, and where a page of a query goes on. Hostile bytes: a `ProtocolError`. */
import type { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import type { Field } from '../../src/wire/fields.js';
import { isWellFormed } from '../../src/wire/tagged-writer.js';
import { MAX_BIGINT_BYTES, MAX_TEXT } from './limits.js';
import type { Scalar } from './scalars.js';

const TAG = { null: 0, false: 1, true: 2, number: 3, bigint: 4, text: 5, date: 6, text16: 7 } as const;

export function writeScalar(out: Writer, value: Scalar): void {
  switch (typeof value) {
    case 'string':
      writeText(out, value);
      break;
    case 'number':
      out.u8(TAG.number);
      out.f64(value);
      break;
    case 'bigint':
      writeBigint(out, value);
      break;
    case 'boolean':
      out.u8(value ? TAG.true : TAG.false);
      break;
    default:
      out.u8(value === null ? TAG.null : TAG.date);
      if (value !== null) out.f64(value.getTime());
  }
}

/** UTF-8 cannot carry half a pair. */
function writeText(out: Writer, text: string): void {
  const isWhole = isWellFormed(text);
  out.u8(isWhole ? TAG.text : TAG.text16);
  if (isWhole) out.string(text);
  else out.bytes(Buffer.from(text, 'utf16le'));
}

/** Two's complement, little endian, behind the number of bytes. */
function writeBigint(out: Writer, value: bigint): void {
  out.u8(TAG.bigint);
  let size = 1;
  while (BigInt.asIntN(size * 8, value) !== value) size++;
  out.u8(size);
  for (let i = 0, rest = value; i < size; i++, rest >>= 8n) out.u8(Number(rest & 0xffn));
}

export function readScalar(input: Reader): Scalar {
  const tag = input.u8();
  switch (tag) {
    case TAG.null:
      return null;
    case TAG.false:
    case TAG.true:
      return tag === TAG.true;
    case TAG.number:
      return input.f64();
    case TAG.bigint:
      return readBigint(input);
    case TAG.text:
      return input.string(3 * MAX_TEXT);
    case TAG.text16:
      return Buffer.from(input.blob(2 * MAX_TEXT)).toString('utf16le');
    case TAG.date:
      return new Date(input.f64());
    default:
      throw new ProtocolError(`an unknown value in a query: ${tag}`);
  }
}

function readBigint(input: Reader): bigint {
  const size = input.u8();
  if (size === 0 || size > MAX_BIGINT_BYTES) throw new ProtocolError(`a bigint of ${size} bytes`);
  const bytes = input.raw(size);
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
  return BigInt.asIntN(size * 8, value);
}

export const scalarField: Field<Scalar> = {
  type: `scalar<=${3 * MAX_TEXT}`,
  write: writeScalar,
  read: readScalar,
};
