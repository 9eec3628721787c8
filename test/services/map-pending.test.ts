/** What a map owes its store: the order of it, what the store has by now, and copies that come late. */
import { describe, expect, it } from 'vitest';
import { type Owed, PendingWrites, readOwed, writeOwed } from '../../partitions/services/map/pending.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { encodeKey } from '../../src/wire/keys.js';

const key = (name: string) => encodeKey(name);
const v = (text: string) => Buffer.from(text);

function seqs(pending: PendingWrites): Record<string, number[]> {
  const names = ['a', 'b', 'c'];
  return Object.fromEntries(
    names.flatMap((name) => {
      const owed = pending.find(key(name));
      return owed === undefined ? [] : [[name, owed.writes.map(({ seq }) => seq)]];
    }),
  );
}

function order(pending: PendingWrites): string[] {
  return [...pending.all()].map(
    ({ key: bytes }) => ['a', 'b', 'c'].find((n) => Buffer.compare(key(n), bytes) === 0) ?? '?',
  );
}

/** All of it, as a copy brings it. */
function copyOf(pending: PendingWrites, maxBytes = 1_000_000): Buffer[] {
  const chunks: Buffer[] = [];
  const out = new Writer();
  for (let cursor = 0; cursor >= 0; ) {
    out.reset();
    cursor = pending.copy(cursor, maxBytes, out, () => {});
    if (out.length > 0) chunks.push(out.toBytes());
  }
  return chunks;
}

function paste(pending: PendingWrites, chunks: readonly Buffer[]): void {
  for (const chunk of chunks) {
    const reader = new Reader(chunk);
    while (reader.remaining > 0) pending.paste(reader);
  }
}

describe('what a map owes its store', () => {
  it('is the last value of a key, since its first write', () => {
    const pending = new PendingWrites();
    pending.note(key('a'), v('1'), 1, 100, true);
    pending.note(key('b'), v('2'), 2, 200, true);
    pending.note(key('a'), null, 3, 300, true);
    expect(pending.latest(key('a'))).toMatchObject({ seq: 3, value: null });
    expect(pending.find(key('a'))).toMatchObject({ sinceSeq: 1, sinceMs: 100 });
    expect(order(pending)).toEqual(['a', 'b']);
    expect([pending.count, pending.oldestMs]).toEqual([2, 100]);
  });

  it('is every value in order without coalescing', () => {
    const pending = new PendingWrites();
    for (const seq of [1, 2, 3]) pending.note(key('a'), v(`${seq}`), seq, seq, false);
    expect(seqs(pending)).toEqual({ a: [1, 2, 3] });
    pending.stored({ key: key('a'), seq: 2 }, 4);
    expect(seqs(pending)).toEqual({ a: [3] });
  });

  it('stays when the key was written again while the store was told', () => {
    const pending = new PendingWrites();
    pending.note(key('a'), v('old'), 1, 1, true);
    pending.note(key('b'), v('x'), 2, 2, true);
    pending.note(key('a'), v('new'), 3, 3, true);
    pending.stored({ key: key('a'), seq: 1 }, 4);
    expect(seqs(pending)).toEqual({ a: [3], b: [2] });
    // It waits behind what was owed before, and is as old as that write.
    expect(order(pending)).toEqual(['b', 'a']);
    expect(pending.find(key('a'))).toMatchObject({ sinceSeq: 3, sinceMs: 3 });
  });

  it('gives its memory back', () => {
    const pending = new PendingWrites();
    pending.note(key('a'), v('old'), 1, 1, false);
    pending.note(key('a'), v('new'), 2, 1, false);
    pending.stored({ key: key('a'), seq: 2 }, 3);
    expect(pending.count).toBe(0);
    expect(pending.isPurgeable(2)).toBe(false);
    expect(pending.isPurgeable(3)).toBe(true);
    pending.purge(3);
    expect([pending.sizeBytes, pending.markCount]).toEqual([0, 0]);
  });

  it('forgets that a write was set aside when the key is written again', () => {
    const pending = new PendingWrites();
    pending.note(key('a'), v('bad'), 1, 1, true);
    const owed = pending.find(key('a')) as Owed;
    pending.put({ ...owed, failure: { attempts: 5, message: 'no', atMs: 9 } });
    expect([pending.failedCount, pending.oldestMs]).toEqual([1, null]);
    pending.note(key('a'), v('good'), 7, 70, true);
    expect(pending.failedCount).toBe(0);
    expect(pending.find(key('a'))).toMatchObject({ sinceSeq: 7, failure: null, writes: [{ seq: 7 }] });
  });

  it('is the same after a trip over the wire', () => {
    const failure = { attempts: 3, message: 'größer', atMs: 5 };
    const writes = [{ seq: 4, ms: 40, value: v('x') }];
    const owed: Owed = { key: key('a'), coalesces: false, sinceSeq: 4, sinceMs: 40, writes, failure };
    const out = new Writer();
    writeOwed(out, owed);
    const reader = new Reader(out.toBytes());
    expect(readOwed(reader)).toEqual({ ...owed, key: Buffer.from(owed.key) });
    expect(reader.remaining).toBe(0);
  });
});

describe('a copy of what is owed', () => {
  it('is all of it, by pages', () => {
    const pending = new PendingWrites();
    for (let i = 1; i <= 50; i++) pending.note(key(`k${i}`), v('x'), i, i, true);
    const copied = new PendingWrites();
    const chunks = copyOf(pending, 100);
    expect(chunks.length).toBeGreaterThan(10);
    paste(copied, chunks);
    expect(copied.dump()).toEqual(pending.dump());
  });

  it('keeps writes of one position together', () => {
    const pending = new PendingWrites();
    for (let i = 0; i < 20; i++) pending.note(key(`k${i}`), v('x'.repeat(50)), 1, 1, true);
    const copied = new PendingWrites();
    paste(copied, copyOf(pending, 100));
    expect(copied.count).toBe(20);
  });

  it('brings nothing back that the store has', () => {
    const pending = new PendingWrites();
    pending.note(key('a'), v('1'), 1, 1, true);
    const late = copyOf(pending);
    pending.stored({ key: key('a'), seq: 1 }, 2);
    paste(pending, late);
    expect(pending.count).toBe(0);
  });

  it('does not overtake what was written since', () => {
    const pending = new PendingWrites();
    pending.note(key('a'), v('1'), 1, 1, true);
    const late = copyOf(pending);
    const replica = new PendingWrites();
    replica.note(key('a'), v('2'), 2, 2, true);
    paste(replica, late);
    pending.note(key('a'), v('2'), 2, 2, true);
    expect(replica.find(key('a'))).toEqual(pending.find(key('a')));
    expect(replica.count).toBe(1);
  });

  it('fills in the earlier values of a key without coalescing', () => {
    const pending = new PendingWrites();
    pending.note(key('a'), v('1'), 1, 1, false);
    const late = copyOf(pending);
    const replica = new PendingWrites();
    replica.note(key('b'), v('x'), 2, 2, false);
    replica.note(key('a'), v('3'), 3, 3, false);
    paste(replica, late);
    expect(seqs(replica)).toEqual({ a: [1, 3], b: [2] });
    expect(order(replica)).toEqual(['a', 'b']);
  });
});
