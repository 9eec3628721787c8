/** Windows of calls: what is remembered, what is released, and what a copy of them holds. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  MAX_BUDGET_BYTES,
  type Session,
  SessionWindows,
  type WindowEntry,
  WindowsCopy,
} from '../../partitions/sessions.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';

function entry(seq: number, reply = Buffer.from(`${seq}`), isVoid = false): WindowEntry {
  return { reply, seq, syncBackups: seq % 3, isVoid, isConsistent: seq % 2 === 1 };
}

function copyOf(windows: SessionWindows): Buffer {
  const out = new Writer();
  new WindowsCopy(windows).next(Number.POSITIVE_INFINITY, out);
  return out.toBytes();
}

/** Numbers of the calls in a window, in order. */
function callsOf(session: Session | undefined): number[] {
  return [...(session?.calls.keys() ?? [])].sort((a, b) => a - b);
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

describe('a release', () => {
  it('forgets every call below it, in whatever order they were applied', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 60 })), { maxLength: 100 });
    fc.assert(
      fc.property(steps, (list) => {
        const session = new SessionWindows().open(1, 0);
        const expected = new Set<number>();
        let below = 0;
        for (const [isCall, call] of list) {
          if (!isCall) below = Math.max(below, call);
          else if (call >= below) expected.add(call);
          if (isCall) session.add(call, entry(call));
          else session.release(call);
          for (const known of expected) if (known < below) expected.delete(known);
          expect(callsOf(session)).toEqual([...expected].sort((a, b) => a - b));
        }
      }),
    );
  });

  it('finds a low call that was applied behind a high one', () => {
    const session = new SessionWindows().open(1, 0);
    session.add(100, entry(1));
    session.add(3, entry(2));
    session.release(50);
    expect(callsOf(session)).toEqual([100]);
  });
});

describe('the budget of all windows of a member', () => {
  const reply = Buffer.alloc(16 * 1024 * 1024);

  it('is shared, used up by replies, and given back by release, end of session and clear', () => {
    const budget = { sizeBytes: 0 };
    const [one, other] = [new SessionWindows(budget), new SessionWindows(budget)];
    for (let client = 1; client <= 4; client++)
      for (let call = 1; call <= 4; call++)
        (client < 3 ? one : other).open(client, 0).add(call, entry(call, reply));
    expect(budget.sizeBytes).toBe(MAX_BUDGET_BYTES);
    expect([one.isOverBudget, other.isOverBudget]).toEqual([true, true]);
    one.open(1, 1_000).release(3);
    expect([one.isOverBudget, other.isOverBudget]).toEqual([false, false]);
    expect(budget.sizeBytes).toBe(14 * reply.length);
    expect(one.expire(1_000, 500)).toBe(1);
    expect(budget.sizeBytes).toBe(10 * reply.length);
    other.clear();
    expect(budget.sizeBytes).toBe(2 * reply.length);
    one.open(1, 0).release(5);
    expect(budget.sizeBytes).toBe(0);
  });
});

describe('a copy of windows by parts', () => {
  it('puts no two calls into a part that is above its size, and loses none', () => {
    const sizes = fc.array(fc.array(fc.nat(400), { maxLength: 12 }), { maxLength: 6 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 600 }), (clients, maxBytes) => {
        const source = new SessionWindows();
        clients.forEach((calls, client) => {
          const session = source.open(client + 1, 0);
          session.release(client);
          calls.forEach((size, i) => {
            session.add(client + i, entry(i, Buffer.alloc(size, i)));
          });
        });
        const target = new SessionWindows();
        const copy = new WindowsCopy(source);
        for (const out = new Writer(); copy.next(maxBytes, out); out.reset()) {
          expect(out.length).toBeLessThanOrEqual(Math.max(maxBytes, 442) + 20);
          target.paste(new Reader(out.toBytes()), 0);
        }
        expect(copyOf(target).equals(copyOf(source))).toBe(true);
      }),
    );
  });

  it('goes on when calls come, are released, and sessions end between its parts', () => {
    const source = new SessionWindows();
    for (const client of [1, 2, 3])
      for (let call = 1; call <= 10; call++)
        source.open(client, client).add(call, entry(call, Buffer.alloc(100)));
    const target = new SessionWindows();
    const copy = new WindowsCopy(source);
    const out = new Writer();
    const part = () => {
      out.reset();
      const isSome = copy.next(300, out);
      target.paste(new Reader(out.toBytes()), 0);
      return isSome;
    };
    part();
    source.open(1, 9).release(6);
    source.open(1, 9).add(11, entry(11));
    source.expire(10, 7);
    expect(source.clients()).toEqual([1, 3]);
    while (part());
    expect(callsOf(target.find(1))).toEqual([6, 7, 8, 9, 10]);
    expect(target.find(1)?.below).toBe(6);
    expect(target.find(2)).toBeUndefined();
    expect(callsOf(target.find(3))).toHaveLength(10);
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

  it('know of a copied call whose release the stream brought before the copy', () => {
    const [source, target] = [new SessionWindows(), new SessionWindows()];
    source.open(7, 0).add(1, entry(5));
    const copied = copyOf(source);
    // The stream runs ahead of the copy: there the client has already said that it needs nothing below call 2.
    target.open(7, 0).release(2);
    target.paste(new Reader(copied), 0);
    expect(target.find(7)?.find(1)).toBeUndefined();
    expect(target.released.find(7, 1)).toBeNull();
  });

  it('know the latest calls that were released, after a copy too, but not those that came by a merge', () => {
    const source = new SessionWindows();
    const session = source.open(7, 0);
    for (let call = 1; call <= 3_000; call++) session.add(call, entry(call));
    session.add(3_001, { ...entry(3_001), origin: { lineage: 1, epoch: 2, seq: 9 } });
    session.release(3_002);
    const target = new SessionWindows();
    target.paste(new Reader(copyOf(source)), 0);
    for (const { released } of [source, target]) {
      const known = [1, 952, 953, 3_000, 3_001].map((call) => released.find(7, call) !== undefined);
      expect(known).toEqual([false, false, true, true, false]);
      expect([released.size, released.find(8, 3_000)]).toEqual([2_048, undefined]);
    }
    source.clear();
    expect(source.released.find(7, 3_000)).toBeUndefined();
  });

  it('know of a released call what it added, if it did, also when it stands there twice', () => {
    const addition = { serviceId: 2, structure: 'n', delta: Uint8Array.of(1) };
    const source = new SessionWindows();
    source.open(7, 0).add(1, { ...entry(1), addition });
    source.open(7, 0).add(2, entry(2));
    source.open(7, 0).release(3);
    const target = new SessionWindows();
    // Without the addition, as a member knows it that had no log of it any more.
    target.released.add(7, 1, null);
    target.paste(new Reader(copyOf(source)), 0);
    target.paste(new Reader(copyOf(source)), 0);
    expect([target.released.size, target.released.find(7, 1)]).toEqual([2, null]);
    target.released.add(7, 1, { client: 7, sequence: 1, seq: 1, syncBackups: 0, addition });
    expect([1, 2, 3].map((call) => target.released.find(7, call))).toEqual([addition, null, undefined]);
  });

  it('know what released calls added that came by a merge, and where, the latest ones and after a copy too', () => {
    const addition = { serviceId: 2, structure: 'n', delta: Uint8Array.of(1) };
    const origin = { lineage: 1, epoch: 2, seq: 9 };
    const source = new SessionWindows();
    const session = source.open(7, 0);
    session.add(1, { ...entry(4), origin, addition });
    session.add(2, { ...entry(4), origin });
    session.release(4);
    // The client needed it no more when it came.
    session.add(3, { ...entry(5), origin, addition });
    const target = new SessionWindows();
    target.paste(new Reader(copyOf(source)), 0);
    target.paste(new Reader(copyOf(source)), 0);
    for (const { elsewhere, released } of [source, target]) {
      expect([elsewhere.size, released.size, elsewhere.find(7, 2)]).toEqual([2, 0, undefined]);
      expect(elsewhere.find(7, 1)).toEqual({
        client: 7,
        sequence: 1,
        seq: 4,
        syncBackups: 1,
        addition,
        origin,
      });
      expect(elsewhere.find(7, 3)?.seq).toBe(5);
    }
    const more = { client: 8, seq: 6, syncBackups: 0, addition, origin };
    for (let sequence = 1; sequence <= 511; sequence++) target.elsewhere.add({ ...more, sequence });
    expect([target.elsewhere.size, target.elsewhere.find(7, 1)]).toEqual([512, undefined]);
    target.clear();
    expect(target.elsewhere.size).toBe(0);
  });

  it('keep where a call that came by a merge was applied, in a copy too', () => {
    const source = new SessionWindows();
    const origin = { lineage: 0xffff_ffff, epoch: 2, seq: 9 };
    source.open(7, 0).add(1, { ...entry(4), origin });
    source.open(7, 0).add(2, entry(5));
    const target = new SessionWindows();
    target.paste(new Reader(copyOf(source)), 0);
    expect(target.find(7)?.find(1)).toMatchObject({ seq: 4, origin });
    expect(target.find(7)?.find(2)?.origin).toBeUndefined();
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
