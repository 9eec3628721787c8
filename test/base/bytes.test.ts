/** The writer and the reader that all codecs are made of. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';

type Step = readonly [kind: 'u8' | 'u16' | 'u32' | 'f64' | 'string' | 'bytes', value: unknown];

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.integer({ min: 0, max: 0xff }).map((v): Step => ['u8', v]),
  fc.integer({ min: 0, max: 0xffff }).map((v): Step => ['u16', v]),
  fc.integer({ min: 0, max: 0xffff_ffff }).map((v): Step => ['u32', v]),
  fc.double().map((v): Step => ['f64', v]),
  fc.string({ unit: 'grapheme', maxLength: 90 }).map((v): Step => ['string', v]),
  fc.uint8Array({ maxLength: 90 }).map((v): Step => ['bytes', Buffer.from(v)]),
);

function write(writer: Writer, [kind, value]: Step): void {
  (writer[kind] as (v: unknown) => void).call(writer, value);
}

function read(reader: Reader, kind: Step[0]): unknown {
  if (kind === 'string') return reader.string(1_000);
  return kind === 'bytes' ? Buffer.from(reader.blob(1_000)) : reader[kind]();
}

describe('bytes', () => {
  it('are read as they were written, from any small capacity on', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 64 }),
        (steps, capacityBytes) => {
          const writer = new Writer(capacityBytes);
          for (const one of steps) write(writer, one);
          const reader = new Reader(writer.toBytes());
          for (const [kind, value] of steps) expect(read(reader, kind)).toEqual(value);
          reader.finish();
        },
      ),
    );
  });

  it('that end too early are a ProtocolError, wherever they end', () => {
    fc.assert(
      fc.property(step, (one) => {
        const writer = new Writer();
        write(writer, one);
        const whole = writer.toBytes();
        for (let size = 0; size < whole.length; size++)
          expect(() => read(new Reader(whole.subarray(0, size)), one[0])).toThrow(ProtocolError);
      }),
    );
  });

  it('are not read beyond the end that the reader was given', () => {
    const reader = new Reader(Buffer.from([1, 2, 3, 4]), 1, 3);
    expect([reader.u16(), reader.remaining]).toEqual([0x0302, 0]);
    expect(() => reader.u8()).toThrow(/truncated: 1 bytes wanted, 0 left/);
  });

  it('that are no UTF-8 are no text: they would come out as another, longer one', () => {
    const lone = [0x80, 0xff, 0xc3];
    for (const byte of lone)
      for (const size of [1, 5, 40]) {
        const input = Buffer.alloc(4 + size, 0x61);
        input.writeUInt32LE(size);
        input[4] = byte;
        expect(() => new Reader(input).string(64), `string ${byte} of ${size}`).toThrow(ProtocolError);
        expect(() => new Reader(input).name(64), `name ${byte} of ${size}`).toThrow(ProtocolError);
      }
    const writer = new Writer();
    writer.string('\ufffd and ü');
    expect(new Reader(writer.toBytes()).string(64)).toBe('\ufffd and ü');
  });

  it('that are too many for their place are a ProtocolError', () => {
    const writer = new Writer();
    writer.string('four');
    expect(() => new Reader(writer.toBytes()).string(3)).toThrow(/too large/);
    expect(() => new Reader(writer.toBytes()).blob(3)).toThrow(/too large/);
    const reader = new Reader(writer.toBytes());
    reader.u32();
    expect(() => reader.finish()).toThrow(/4 bytes too many/);
  });

  it('are a copy for whoever keeps them, and the writer can be used again', () => {
    const writer = new Writer(4);
    writer.u32(7);
    const kept = writer.toBytes();
    writer.reset();
    writer.u32(9);
    expect([kept.readUInt32LE(0), writer.length]).toEqual([7, 4]);
  });
});
