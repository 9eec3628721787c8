/** What becomes of the mark of a write that the store is being told of, when its key is written meanwhile. */
import { describe, expect, it } from 'vitest';
import { OwedWrites } from '../../partitions/services/map/owed.js';
import { BLANK_META, REMOVAL } from '../../partitions/store/record-layout.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { encodeKey } from '../../src/wire/keys.js';

const KEY = encodeKey('a');
const NOTHING = { find: () => -1, metaOf: () => BLANK_META };
const VALUE = Buffer.from('x');

/** A key that a former primary tells the store of since position 5. */
function told(): OwedWrites {
  const owed = new OwedWrites(NOTHING);
  const holder = { lineage: 1, epoch: 1, client: 7, token: 12 };
  owed.intents.grant(KEY, { ...holder, leaseMs: 1_000, seq: 5 }, 100);
  return owed;
}

const put = (owed: OwedWrites, seq: number, more: object = {}) =>
  owed.noted(KEY, VALUE, { ...BLANK_META, ms: 1, seq, ...more });

describe('the mark of a write that the store is being told of', () => {
  it('stays when a merge writes the key, until the former primary can not tell it any more', () => {
    const owed = told();
    owed.begin(new Writer(), true);
    put(owed, 9);
    owed.end();
    expect([owed.isBusy(KEY), owed.pending.has(KEY)]).toEqual([true, true]);
    const ended = (nowMs: number) => [...owed.intents.ended(nowMs)].length;
    // Counted from when it was looked at first.
    expect([ended(1_000), ended(1_200)]).toEqual([0, 1]);
    expect(owed.writerOf(KEY)).toEqual({ client: 7, sequence: 3 });
  });

  it('is in a copy then, beside what the merge wrote', () => {
    const owed = told();
    owed.begin(new Writer(), true);
    put(owed, 9);
    owed.end();
    const copy = new OwedWrites(NOTHING);
    const out = new Writer();
    owed.copyPending(0, 1_000, out);
    owed.copyIntents(0, 1_000, out);
    const input = new Reader(out.toBytes());
    while (input.remaining > 0) expect(copy.paste(input.f64(), input, () => 9)).toBe(true);
    expect([copy.isBusy(KEY), copy.pending.has(KEY)]).toEqual([true, true]);
    expect(copy.dump()).toEqual(owed.dump());
  });

  it('ends with what is in the store, and with what nobody owes it', () => {
    const owed = told();
    owed.settle(new Writer());
    put(owed, 9);
    owed.end();
    expect(owed.isBusy(KEY)).toBe(false);
    const read = told();
    put(read, 9);
    expect(read.isBusy(KEY)).toBe(false);
  });

  it('stays when the entry only goes out of memory', () => {
    const owed = told();
    put(owed, 9, { tombstone: true, cause: REMOVAL.evicted });
    expect(owed.isBusy(KEY)).toBe(true);
  });
});
