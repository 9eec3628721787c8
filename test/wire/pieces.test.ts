/** Large messages out of pieces that come in any order, twice, or not at all. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { ProtocolError } from '../../src/base/errors.js';
import { PIECE_BYTES } from '../../src/wire/messages.js';
import { Pieces } from '../../src/wire/pieces.js';

const MAX_BYTES = 8 * 1024 * 1024;

function cut(transfer: number, bytes: Buffer) {
  const parts = [];
  for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES)
    parts.push({
      transfer,
      totalBytes: bytes.length,
      offset,
      part: bytes.subarray(offset, offset + PIECE_BYTES),
    });
  return parts;
}

function noise(sizeBytes: number, seed: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let i = 0; i < sizeBytes; i += 997) bytes[i] = (i * 31 + seed) & 0xff;
  return bytes;
}

let pieces: Pieces;
beforeEach(() => {
  pieces = new Pieces(MAX_BYTES);
});

describe('pieces', () => {
  it('make the message again in any order and with any number of repetitions', () => {
    const bytes = noise(5 * PIECE_BYTES + 17, 1);
    const parts = cut(1, bytes);
    const orders = fc.shuffledSubarray(
      [...parts, ...parts].map((_, i) => i),
      { minLength: parts.length * 2 },
    );
    fc.assert(
      fc.property(orders, (order) => {
        const receiver = new Pieces(MAX_BYTES);
        const whole = order
          .map((i) => receiver.add(parts[i % parts.length] as (typeof parts)[0]))
          .filter(Boolean);
        expect(whole.length).toBeGreaterThan(0);
        for (const message of whole) expect(message?.equals(bytes)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('make no message while one is missing', () => {
    const parts = cut(1, noise(4 * PIECE_BYTES, 2));
    for (const part of parts.slice(1)) expect(pieces.add(part)).toBeNull();
    expect(pieces.add(parts[0] as (typeof parts)[0])).not.toBeNull();
  });

  it('of several messages may be mixed', () => {
    const messages = [1, 2, 3].map((transfer) => noise(3 * PIECE_BYTES + transfer, transfer));
    const parts = messages.map((bytes, i) => cut(i + 1, bytes));
    const done: (Buffer | null)[] = [];
    for (let i = 0; i < 4; i++) for (const list of parts) done.push(pieces.add(list[i] as (typeof list)[0]));
    expect(done.filter(Boolean).map((bytes, i) => bytes?.equals(messages[i] as Buffer))).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('of messages that never end are forgotten when newer ones need the place', () => {
    for (let transfer = 1; transfer <= 20; transfer++)
      pieces.add(cut(transfer, noise(2 * PIECE_BYTES, transfer))[0] as ReturnType<typeof cut>[0]);
    const bytes = noise(3 * PIECE_BYTES, 99);
    const whole = cut(99, bytes).map((part) => pieces.add(part));
    expect(whole.at(-1)?.equals(bytes)).toBe(true);
  });

  it.each([
    ['a message above the limit', { totalBytes: MAX_BYTES + 1 }],
    ['a message that needs no pieces', { totalBytes: PIECE_BYTES }],
    ['an offset between two pieces', { offset: 5 }],
    ['an offset beyond the message', { offset: 16 * PIECE_BYTES }],
    ['a piece that is too short', { part: Buffer.alloc(5) }],
    ['a last piece that is too long', { offset: 2 * PIECE_BYTES }],
  ])('with %s are refused', (_name, change) => {
    const part = {
      transfer: 1,
      totalBytes: 2 * PIECE_BYTES + 5,
      offset: 0,
      part: Buffer.alloc(PIECE_BYTES),
      ...change,
    };
    expect(() => pieces.add(part)).toThrow(ProtocolError);
  });

  it('that disagree about the size of their message are refused', () => {
    pieces.add(cut(1, noise(3 * PIECE_BYTES, 1))[0] as ReturnType<typeof cut>[0]);
    expect(() => pieces.add(cut(1, noise(4 * PIECE_BYTES, 1))[1] as ReturnType<typeof cut>[0])).toThrow(
      /disagree about its size/,
    );
  });
});
