/** The lanes of one connection, and how much of them the transport gets at a time. */
import { describe, expect, it } from 'vitest';
import { heartbeat } from '../../src/cluster/messages.js';
import { bytes } from '../../src/wire/fields.js';
import { beginMessage, endMessage } from '../../src/wire/frame.js';
import { defineMessage } from '../../src/wire/message.js';
import { PIECE_BYTES, piece } from '../../src/wire/messages.js';
import { Outbox } from '../../src/wire/outbox.js';
import { FakeConnection, messagesIn, NOWHERE } from './link-bench.js';

const MIB = 1024 * 1024;
const blob = defineMessage({
  id: 900,
  name: 'blob',
  doc: 'Bytes for tests.',
  fields: { data: bytes(64 * MIB) },
});

function put(outbox: Outbox, sizeBytes: number): void {
  const at = beginMessage(outbox.normal, blob.id, NOWHERE);
  blob.write(outbox.normal, { data: Buffer.alloc(sizeBytes) });
  endMessage(outbox.normal, at);
  outbox.wrote(at);
}

function putControl(outbox: Outbox, hears: readonly string[] = []): void {
  const at = beginMessage(outbox.control, heartbeat.id, NOWHERE);
  heartbeat.write(outbox.control, {
    sentMs: 0,
    leaving: false,
    hears,
    chain: null,
    lastIn: null,
    kept: false,
  });
  endMessage(outbox.control, at);
  outbox.wroteControl(at);
}

describe('the outbox', () => {
  it('sends control first, then what was batched, then pieces', () => {
    const outbox = new Outbox();
    const connection = new FakeConnection();
    put(outbox, 300_000);
    put(outbox, 100);
    putControl(outbox);
    outbox.flush(connection);
    expect(connection.frames.map((frame) => messagesIn(frame)[0])).toEqual([
      heartbeat.id,
      blob.id,
      piece.id,
      piece.id,
    ]);
    expect(outbox.isEmpty).toBe(true);
  });

  it('closes a batch that has grown large, so that no frame is much larger than a piece', () => {
    const outbox = new Outbox();
    const connection = new FakeConnection();
    for (let i = 0; i < 40; i++) put(outbox, 50_000);
    outbox.flush(connection);
    expect(connection.frames.length).toBeGreaterThan(5);
    for (const frame of connection.frames) expect(frame.length).toBeLessThan(2 * PIECE_BYTES);
  });

  it('hands over nothing while the transport is full, and goes on when it has drained', () => {
    const outbox = new Outbox();
    const connection = new FakeConnection();
    connection.holdsBack = true;
    for (let i = 0; i < 100; i++) put(outbox, 100_000);
    outbox.flush(connection);
    const first = connection.buffered;
    expect(first).toBeLessThan(2 * MIB);
    expect(outbox.queuedBytes).toBeGreaterThan(8 * MIB);
    connection.buffered = 0;
    // A heartbeat that comes now goes before everything that waited.
    putControl(outbox);
    const sent = connection.frames.length;
    outbox.flush(connection);
    expect(messagesIn(connection.frames[sent] as Uint8Array)).toEqual([heartbeat.id]);
  });

  it('counts its bytes through all lanes down to zero', () => {
    const outbox = new Outbox();
    put(outbox, 10);
    put(outbox, 3 * MIB);
    putControl(outbox);
    expect(outbox.queuedBytes).toBeGreaterThan(3 * MIB);
    const connection = new FakeConnection();
    for (let round = 0; round < 10; round++) {
      outbox.flush(connection);
      outbox.forgetPieces();
    }
    expect(outbox.queuedBytes).toBe(0);
  });

  it('takes precedence from a control message above a piece, which only the other lane can cut', () => {
    const outbox = new Outbox();
    const id = '11111111-1111-4111-8111-111111111111';
    putControl(
      outbox,
      Array.from({ length: 20_000 }, () => id),
    );
    putControl(outbox);
    const connection = new FakeConnection();
    outbox.flush(connection);
    expect(messagesIn(connection.frames[0] as Uint8Array)).toEqual([heartbeat.id]);
    expect(connection.frames.slice(1).every((frame) => messagesIn(frame)[0] === piece.id)).toBe(true);
  });

  it('forgets everything when it is cleared', () => {
    const outbox = new Outbox();
    put(outbox, MIB);
    put(outbox, 10);
    putControl(outbox);
    outbox.clear();
    const connection = new FakeConnection();
    outbox.flush(connection);
    expect(connection.frames).toEqual([]);
    expect(outbox.queuedBytes).toBe(0);
  });
});
