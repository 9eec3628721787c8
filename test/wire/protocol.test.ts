/** The frame around messages: headers that do not fit are refused before their body is looked at. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ASKS_NOTHING, readPrefix, writePrefix } from '../../partitions/call.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import { CALL_PREFIX, HEADER } from '../../src/protocol.js';
import { beginMessage, endMessage, HEADER_BYTES, Header } from '../../src/wire/frame.js';

const SIZES: Readonly<Record<string, number>> = { u16: 2, u32: 4, f64: 8 };

function headerWith(change: (bytes: Buffer) => void): Buffer {
  const writer = new Writer();
  const address = { partition: 3, view: 4, lineage: 5, client: 6, sequence: 7 };
  endMessage(writer, beginMessage(writer, 9, address));
  const bytes = writer.toBytes();
  change(bytes);
  return bytes;
}

function read(bytes: Buffer): Header {
  const header = new Header();
  header.read(new Reader(bytes));
  return header;
}

describe('the header', () => {
  it('has the size of its fields', () => {
    expect(HEADER.reduce((sum, [, type]) => sum + (SIZES[type] as number), 0)).toBe(HEADER_BYTES);
  });

  it('reads what was written', () => {
    const { length, message, partition, view, lineage, client, sequence } = read(headerWith(() => {}));
    expect({ length, message, partition, view, lineage, client, sequence }).toEqual({
      length: HEADER_BYTES,
      message: 9,
      partition: 3,
      view: 4,
      lineage: 5,
      client: 6,
      sequence: 7,
    });
  });

  it.each([
    ['a length below its own', (bytes: Buffer) => bytes.writeUInt32LE(31, 0)],
    ['a negative sequence', (bytes: Buffer) => bytes.writeDoubleLE(-1, 24)],
    ['a sequence that is no number', (bytes: Buffer) => bytes.writeDoubleLE(Number.NaN, 24)],
    ['a client of a fraction', (bytes: Buffer) => bytes.writeDoubleLE(0.5, 16)],
    ['a client beyond 2^53', (bytes: Buffer) => bytes.writeDoubleLE(2 ** 54, 16)],
  ])('is refused with %s', (_name, change) => {
    expect(() => read(headerWith(change))).toThrow(ProtocolError);
  });
});

describe('the prefix of calls', () => {
  function prefixWith(below: number): Reader {
    const writer = new Writer();
    writePrefix(writer, 'name', below, 12);
    return new Reader(writer.toBytes());
  }

  it('reads what was written, in the fields that the protocol page lists', () => {
    expect(readPrefix(prefixWith(5))).toEqual({ structure: 'name', below: 5, ageMs: 12, ...ASKS_NOTHING });
    const names = [
      'below',
      'ageMs',
      'structure',
      'flags',
      'atLeast',
      'maxStalenessMs',
      'lockOwner',
      'lockWaitMs',
    ];
    expect(CALL_PREFIX.map(([name]) => name)).toEqual(names);
  });

  it('carries whatever a call asks for', () => {
    const place = fc.record({ lineage: fc.nat(), epoch: fc.nat(), seq: fc.maxSafeNat() });
    const ask = fc.record({
      consistency: fc.constantFrom('EC' as const, 'EL' as const, null),
      withPlace: fc.boolean(),
      atLeast: fc.option(place),
      maxStalenessMs: fc.option(fc.double({ min: 0, noNaN: true }).map(Math.abs)),
      lockOwner: fc.string({ maxLength: 30 }),
      lockWaitMs: fc.nat(),
    });
    fc.assert(
      fc.property(ask, (wanted) => {
        const writer = new Writer();
        writePrefix(writer, 'name', 5, 12, wanted);
        expect(readPrefix(new Reader(writer.toBytes()))).toEqual({
          structure: 'name',
          below: 5,
          ageMs: 12,
          ...wanted,
        });
      }),
    );
  });

  it.each([-1, Number.NaN])('is refused when it may be behind by %s ms', (maxStalenessMs) => {
    const writer = new Writer();
    writePrefix(writer, 'name', 5, 12, { ...ASKS_NOTHING, maxStalenessMs });
    expect(() => readPrefix(new Reader(writer.toBytes()))).toThrow(ProtocolError);
  });

  it.each([Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY])('is refused with a watermark of %s', (below) => {
    expect(() => readPrefix(prefixWith(below))).toThrow(ProtocolError);
  });

  it('is refused with a name that is too long', () => {
    const writer = new Writer();
    writePrefix(writer, 'x'.repeat(241), 0, 0);
    expect(() => readPrefix(new Reader(writer.toBytes()))).toThrow(ProtocolError);
  });
});
