/** Windows of calls: what is remembered, what is released, and what a copy of them holds. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SessionWindows, type WindowEntry } from '../../partitions/sessions.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';

function entry(seq: number, reply = Buffer.from(`${seq}`), isVoid = false): WindowEntry {
  return { reply, seq, syncBackups: seq % 3, isVoid };
}

function copyOf(windows: SessionWindows, clients = windows.clients()): Buffer {
  const out = new Writer();
  for (const client of clients) windows.copy(client, out);
  return out.toBytes();
}

describe('a session', () => {
  it('remembers each call until the client needs it no more', () => {
    const session = new SessionWindows().open(1, 0);
    for (let call = 1; call <= 10; call++) session.add(call, entry(call));
    session.release(6);
    expect(session.find(5)).toBeUndefined();
    expect(session.find(6)?.seq).toBe(6);
    expect([...session.calls.keys()]).toEqual([6, 7, 8, 9, 10]);
  });

  it('takes no call below the watermark, and does not go back with it', () => {
    const session = new SessionWindows().open(1, 0);
    session.release(5);
    session.release(3);
    session.add(4, entry(4));
    expect([session.below, session.calls.size]).toEqual([5, 0]);
  });

  it('keeps the first entry of a call: a repetition changes nothing', () => {
    const session = new SessionWindows().open(1, 0);
    session.add(1, entry(10));
    session.add(1, entry(20));
    expect(session.find(1)?.seq).toBe(10);
  });

  it('is full by number or by bytes of replies, and has room again after a release', () => {
    const byNumber = new SessionWindows().open(1, 0);
    for (let call = 1; call <= 16_384; call++) byNumber.add(call, entry(call, Buffer.alloc(0)));
    expect(byNumber.isFull).toBe(true);
    byNumber.release(2);
    expect(byNumber.isFull).toBe(false);
    const byBytes = new SessionWindows().open(2, 0);
    for (let call = 1; call <= 4; call++) byBytes.add(call, entry(call, Buffer.alloc(16 * 1024 * 1024)));
    expect(byBytes.isFull).toBe(true);
    byBytes.release(2);
    expect([byBytes.isFull, byBytes.replyBytes]).toEqual([false, 48 * 1024 * 1024]);
  });

  it('counts the bytes of its replies in any order of calls and releases', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 40 }), fc.nat(30)), {
      maxLength: 100,
    });
    fc.assert(
      fc.property(steps, (list) => {
        const session = new SessionWindows().open(1, 0);
        for (const [isCall, call, size] of list) {
          if (isCall) session.add(call, entry(call, Buffer.alloc(size)));
          else session.release(call);
          const bytes = [...session.calls.values()].reduce((sum, { reply }) => sum + reply.length, 0);
          expect(session.replyBytes).toBe(bytes);
        }
        session.release(1_000);
        expect([session.calls.size, session.replyBytes]).toEqual([0, 0]);
      }),
    );
  });
});

describe('the windows of a partition', () => {
  it('end a session that nobody used for its time to live', () => {
    const windows = new SessionWindows();
    windows.open(1, 0);
    windows.open(2, 900);
    expect(windows.expire(1_000, 500)).toBe(1);
    expect(windows.clients()).toEqual([2]);
    windows.open(2, 1_300);
    expect(windows.expire(1_700, 500)).toBe(0);
  });

  it('are the same after a copy, and after two', () => {
    const source = new SessionWindows();
    for (const client of [1, 2, 3]) {
      const session = source.open(client, 0);
      for (let call = client; call < 20; call++)
        session.add(call, entry(call, Buffer.from([call]), call % 4 === 0));
      session.release(5);
    }
    const target = new SessionWindows();
    for (let times = 0; times < 2; times++) target.paste(new Reader(copyOf(source)), 0);
    expect(copyOf(target).equals(copyOf(source))).toBe(true);
  });

  it('hold the union when a copy meets what the stream brought, in any order', () => {
    const source = new SessionWindows();
    for (let call = 1; call <= 9; call++) source.open(7, 0).add(call, entry(call));
    const early = copyOf(source);
    for (const isCopyFirst of [true, false]) {
      const target = new SessionWindows();
      const stream = () => {
        target.open(7, 0).release(4);
        target.open(7, 0).add(10, entry(10));
      };
      if (!isCopyFirst) stream();
      target.paste(new Reader(early), 0);
      if (isCopyFirst) stream();
      const session = target.open(7, 0);
      for (let call = 4; call <= 10; call++) expect(session.find(call)?.seq, `call ${call}`).toBe(call);
      expect(session.find(3)).toBeUndefined();
    }
  });

  it('refuse a copy that lies about its size', () => {
    const out = new Writer();
    out.f64(1);
    out.f64(0);
    out.u32(0xffff_ffff);
    expect(() => new SessionWindows().paste(new Reader(out.toBytes()), 0)).toThrow(ProtocolError);
    const cut = copyOf(
      (() => {
        const windows = new SessionWindows();
        windows.open(1, 0).add(1, entry(1));
        return windows;
      })(),
    );
    expect(() => new SessionWindows().paste(new Reader(cut.subarray(0, cut.length - 1)), 0)).toThrow(
      ProtocolError,
    );
  });
});
