/** One connection: batches, lanes, pieces, limits, and what a malformed frame does. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Writer } from '../../src/base/bytes.js';
import { heartbeat } from '../../src/cluster/messages.js';
import { bytes } from '../../src/wire/fields.js';
import { HEADER_BYTES } from '../../src/wire/frame.js';
import { CLOSE_POLICY, CLOSE_PROTOCOL, MAX_MESSAGE_BYTES } from '../../src/wire/link.js';
import { defineMessage } from '../../src/wire/message.js';
import { hello, PIECE_BYTES, piece, pong, reply } from '../../src/wire/messages.js';
import { End, encoded, exchange, messagesIn, NOWHERE } from './link-bench.js';

const MIB = 1024 * 1024;
const blob = defineMessage({
  id: 900,
  name: 'blob',
  doc: 'Bytes for tests.',
  fields: { data: bytes(64 * MIB) },
});
const beat = { sentMs: 1, leaving: false, hears: [], chain: null, lastIn: null, kept: false };

function pair(): { a: End; b: End } {
  return { a: new End().trusted(), b: new End().trusted() };
}

describe('a link', () => {
  it('sends what was written in one turn as one frame', () => {
    const { a } = pair();
    for (let i = 0; i < 50; i++) a.link.send(reply, { ...NOWHERE, sequence: i }, {});
    expect(a.connection.frames).toHaveLength(0);
    a.clock.endTurn();
    expect(a.connection.frames.map((frame) => messagesIn(frame).length)).toEqual([50]);
    a.link.send(reply, NOWHERE, {});
    a.clock.endTurn();
    expect(a.connection.frames).toHaveLength(2);
  });

  it('keeps the order of messages of one lane, through frames and batches', () => {
    const { a, b } = pair();
    for (let i = 1; i <= 5_000; i++) a.link.send(reply, { ...NOWHERE, sequence: i }, {});
    exchange(a, b);
    expect(b.got.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1));
  });

  it('puts control messages before all others of the turn', () => {
    const { a } = pair();
    for (let i = 0; i < 3; i++) a.link.send(reply, NOWHERE, {});
    a.link.send(heartbeat, NOWHERE, beat);
    a.clock.endTurn();
    expect(a.connection.frames.map(messagesIn)).toEqual([[heartbeat.id], [reply.id, reply.id, reply.id]]);
  });

  it('a heartbeat overtakes 16 MiB that were written before it', () => {
    const { a, b } = pair();
    a.link.send(blob, NOWHERE, { data: Buffer.alloc(16 * MIB) });
    a.clock.endTurn();
    a.link.send(heartbeat, NOWHERE, beat);
    exchange(a, b);
    expect(b.got.map(({ message }) => message)).toEqual([heartbeat.id, blob.id]);
    expect(b.got[1]?.body.length).toBe(16 * MIB + 4);
  });

  it('hands over a bounded number of bytes while nothing is confirmed, however many wait', () => {
    const { a } = pair();
    for (let i = 0; i < 8; i++) a.link.send(blob, NOWHERE, { data: Buffer.alloc(16 * MIB) });
    a.clock.endTurn();
    const handedOver = a.connection.frames.reduce((sum, frame) => sum + frame.length, 0);
    expect(handedOver).toBeLessThan(4 * MIB);
    expect(a.link.queuedBytes).toBeGreaterThan(120 * MIB);
  });

  it('goes on with pieces when confirmations are lost', () => {
    const { a, b } = pair();
    a.link.send(blob, NOWHERE, { data: Buffer.alloc(12 * MIB) });
    for (let i = 0; i < 20 && b.got.length === 0; i++) {
      a.clock.advance(2_500);
      for (const frame of a.connection.frames.splice(0)) b.link.frame(frame);
      b.clock.endTurn();
      b.connection.frames.length = 0;
    }
    expect(b.got.map(({ message }) => message)).toEqual([blob.id]);
  });

  it('cuts exactly what is larger than a piece', () => {
    for (const size of [PIECE_BYTES - HEADER_BYTES - 4, PIECE_BYTES - HEADER_BYTES - 3]) {
      const { a, b } = pair();
      const data = Buffer.alloc(size, 7);
      a.link.send(blob, NOWHERE, { data });
      a.clock.endTurn();
      const isWhole = size + HEADER_BYTES + 4 <= PIECE_BYTES;
      expect(messagesIn(a.connection.frames[0] as Uint8Array)[0]).toBe(isWhole ? blob.id : piece.id);
      exchange(a, b);
      expect(b.got[0]?.body.subarray(4).equals(data)).toBe(true);
    }
  });

  it('carries messages of any size and in any mixture', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 * PIECE_BYTES }), { maxLength: 12 }), (sizes) => {
        const { a, b } = pair();
        sizes.forEach((size, i) => {
          a.link.send(blob, { ...NOWHERE, sequence: i + 1 }, { data: Buffer.alloc(size, i + 1) });
        });
        exchange(a, b);
        const arrived = [...b.got].sort((x, y) => x.sequence - y.sequence);
        expect(arrived.map(({ body }) => body.length - 4)).toEqual(sizes);
        arrived.forEach(({ body }, i) => {
          expect(body.subarray(4).every((byte) => byte === ((i + 1) & 0xff))).toBe(true);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('never sends what is above the limit of messages: the connection and all else on it go on', () => {
    const { a, b } = pair();
    a.link.send(reply, { ...NOWHERE, sequence: 1 }, {});
    a.link.send(blob, NOWHERE, { data: Buffer.alloc(MAX_MESSAGE_BYTES) });
    a.link.send(reply, { ...NOWHERE, sequence: 2 }, {});
    exchange(a, b);
    expect(b.got.map(({ sequence }) => sequence)).toEqual([1, 2]);
    expect([a.link.isOpen, b.link.isOpen, a.link.queuedBytes]).toEqual([true, true, 0]);
    const data = Buffer.alloc(MAX_MESSAGE_BYTES - HEADER_BYTES - 4);
    a.link.send(blob, NOWHERE, { data });
    exchange(a, b);
    expect(b.got[2]?.body.length).toBe(data.length + 4);
  });

  it('closes a connection on which too much waits, and says so', () => {
    const a = new End(undefined, MIB).trusted();
    a.connection.holdsBack = true;
    for (let i = 0; i < 40; i++) a.link.send(blob, NOWHERE, { data: Buffer.alloc(100_000) });
    expect(a.connection.closedWith?.code).toBe(CLOSE_POLICY);
    expect(a.connection.closedWith?.reason).toMatch(/too slow: \d+ bytes wait/);
    expect(a.link.isOpen).toBe(false);
  });

  it('sends nothing after it was closed, and tells its owner once', () => {
    const { a } = pair();
    a.link.send(pong, NOWHERE, {});
    a.link.close(1000, 'enough');
    const frames = a.connection.frames.length;
    expect(frames).toBe(1);
    a.link.send(pong, NOWHERE, {});
    a.link.forward(encoded(pong, {}));
    a.clock.endTurn();
    expect(a.connection.frames).toHaveLength(frames);
    a.link.closed({ code: 1000, reason: '' });
    expect(a.closed).toBe(1);
  });
});

describe('a frame that is', () => {
  const valid = encoded(pong, {});

  it.each([
    ['shorter than a header', Buffer.alloc(HEADER_BYTES - 1)],
    ['cut inside a message', encoded(blob, { data: Buffer.alloc(100) }).subarray(0, 90)],
    ['of a message with the length 0', Buffer.alloc(HEADER_BYTES)],
    ['a valid message and half of another', Buffer.concat([valid, valid.subarray(0, 20)])],
    [
      'a piece of nothing',
      encoded(piece, { transfer: 1, totalBytes: 10, offset: 0, part: Buffer.alloc(10) }),
    ],
    [
      'a piece of more than there may be',
      encoded(piece, { transfer: 1, totalBytes: 0xffff_ffff, offset: 0, part: Buffer.alloc(PIECE_BYTES) }),
    ],
    [
      'a piece beyond its message',
      encoded(piece, { transfer: 1, totalBytes: MIB, offset: 2 * MIB, part: Buffer.alloc(PIECE_BYTES) }),
    ],
  ])('%s ends the connection, with the reason', (_name, frame) => {
    const end = new End().trusted();
    end.link.frame(frame);
    expect(end.connection.closedWith?.code).toBe(CLOSE_PROTOCOL);
    expect(end.connection.closedWith?.reason.length).toBeGreaterThan(5);
    expect(end.logs.map(({ level }) => level)).toEqual(['warn']);
    end.link.frame(valid);
    expect(end.got.length).toBeLessThanOrEqual(1);
  });

  it('a large message whose inside is another piece ends the connection', () => {
    const end = new End().trusted();
    const writer = new Writer();
    writer.raw(encoded(piece, { transfer: 9, totalBytes: MIB, offset: 0, part: Buffer.alloc(PIECE_BYTES) }));
    writer.raw(Buffer.alloc(PIECE_BYTES));
    const inner = writer.toBytes();
    inner.writeUInt32LE(inner.length, 0);
    for (let offset = 0; offset < inner.length; offset += PIECE_BYTES) {
      const part = inner.subarray(offset, offset + PIECE_BYTES);
      end.link.frame(encoded(piece, { transfer: 1, totalBytes: inner.length, offset, part }));
    }
    expect(end.connection.closedWith?.code).toBe(CLOSE_PROTOCOL);
  });

  it('random ends the connection at worst: nothing is thrown', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        const end = new End().trusted();
        end.link.frame(noise);
        if (end.connection.closedWith !== null) expect(end.connection.closedWith.code).toBe(CLOSE_PROTOCOL);
      }),
    );
  });

  it('read by an owner that throws ends this connection only, and is logged as an error', () => {
    const { a, b } = pair();
    a.onMessage = () => {
      throw new TypeError('a mistake of ours');
    };
    a.link.frame(valid);
    b.link.frame(valid);
    expect(a.connection.closedWith?.code).toBe(CLOSE_PROTOCOL);
    expect(a.logs.map(({ level }) => level)).toEqual(['error']);
    expect(b.connection.closedWith).toBeNull();
    expect(b.got).toHaveLength(1);
  });
});

describe('before the handshake', () => {
  it('only small messages are taken', () => {
    const end = new End();
    end.link.frame(encoded(blob, { data: Buffer.alloc(4_000) }));
    expect(end.got).toHaveLength(1);
    end.link.frame(encoded(blob, { data: Buffer.alloc(4_096) }));
    expect(end.connection.closedWith?.reason).toMatch(/above the limit of 4096/);
  });

  it('no pieces are taken', () => {
    const end = new End();
    const small = encoded(piece, { transfer: 1, totalBytes: MIB, offset: 0, part: Buffer.alloc(16) });
    end.link.frame(small);
    expect(end.connection.closedWith?.reason).toMatch(/before the handshake/);
  });

  it('a hello fits', () => {
    const end = new End();
    const id = '11111111-1111-4111-8111-111111111111';
    const longest = { clusterName: 'ü'.repeat(64), address: 'x'.repeat(256), role: 'member', id };
    const rest = { versionMin: 1, versionMax: 1, partitionCount: 271, singleMember: false };
    end.link.frame(encoded(hello, { ...longest, ...rest }));
    expect(end.got.map(({ message }) => message)).toEqual([hello.id]);
  });

  it('a whole message above a piece is refused even afterwards', () => {
    const end = new End().trusted();
    end.link.frame(encoded(blob, { data: Buffer.alloc(PIECE_BYTES + 200) }));
    expect(end.connection.closedWith?.code).toBe(CLOSE_PROTOCOL);
    expect(MAX_MESSAGE_BYTES).toBeGreaterThan(32 * MIB);
  });
});
