import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';

function encoded(text: string): Buffer {
  const writer = new Writer();
  writer.string(text);
  return writer.toBytes();
}

describe('a name that recurs', () => {
  it('reads as the text that was written, whatever was read before it', () => {
    const names = fc.oneof(
      fc.constantFrom('', 'users', 'user', 'orders', 'é', '\u0000', 'a'.repeat(32), 'a'.repeat(33)),
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.string({ unit: 'grapheme-ascii', maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.array(names, { maxLength: 50 }), (texts) => {
        for (const text of texts)
          expect(new Reader(encoded(text)).name(200)).toBe(Buffer.from(text).toString());
      }),
      { numRuns: 300 },
    );
  });

  it('is told apart from another one of its length, also when one pushes the other out', () => {
    const names = Array.from({ length: 2000 }, (_, i) => `map-${String(i).padStart(5, '0')}`);
    for (let round = 0; round < 3; round++)
      for (const name of names) expect(new Reader(encoded(name)).name(200)).toBe(name);
  });

  it('is refused above its limit and when it is cut off', () => {
    expect(() => new Reader(encoded('abcdef')).name(5)).toThrow(ProtocolError);
    expect(() => new Reader(encoded('abcdef').subarray(0, 8)).name(200)).toThrow(ProtocolError);
  });
});
