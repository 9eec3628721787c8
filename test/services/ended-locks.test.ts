/** Which ended locks of a key are kept for merges: those that were held where sides may have parted, within a bound. */
import { describe, expect, it } from 'vitest';
import {
  ENDED_ELSEWHERE,
  type EndedLock,
  isSameLock,
  MAX_ENDED,
  NONE_ENDED,
  readEnded,
  withEnded,
  writeEnded,
} from '../../partitions/services/ended-locks.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';

const NEVER = Number.NEGATIVE_INFINITY;
/** Given at the position before its end. */
const ended = (seq: number, epoch = 1, lineage = 1): EndedLock => ({
  fence: { epoch, seq: seq - 1 },
  lineage: 7,
  givenSeq: seq - 1,
  seq,
  by: { lineage, epoch },
  atMs: seq,
});
const listOf = (all: readonly EndedLock[], sinceMs = NEVER) =>
  all.reduce((list, one) => withEnded(list, one, sinceMs), NONE_ENDED);
const positions = (list: readonly EndedLock[]) => list.map(({ seq }) => seq);

describe('the list of ended locks', () => {
  it('keeps the first and the last ones of each primary', () => {
    const first = Array.from({ length: 20 }, (_, i) => ended(2 * i + 2));
    expect(positions(listOf(first))).toEqual([2, 34, 36, 38, 40]);
    const second = Array.from({ length: 9 }, (_, i) => ended(100 + 2 * i, 1, 2));
    expect(positions(listOf([...first, ...second]))).toEqual([2, 34, 36, 38, 40, 100, 110, 112, 114, 116]);
  });

  it('keeps what other sides tell of, within a bound, the latest ones for longest', () => {
    const own = Array.from({ length: 20 }, (_, i) => ended(2 * i + 2));
    const told = { ...ended(5), by: ENDED_ELSEWHERE };
    expect(positions(listOf([...own, told, ended(60), ended(62)]))).toEqual([2, 38, 40, 5, 60, 62]);
    const many = Array.from({ length: 100 }, (_, i) => ended(2 * i + 2, i));
    expect(positions(listOf(many))).toEqual(positions(many.slice(-MAX_ENDED)));
  });

  it('forgets what no fork can hold any more', () => {
    expect(positions(listOf([ended(2, 1), ended(4, 2), ended(6, 3)], 4))).toEqual([4, 6]);
  });

  it('knows one by its fence and the lineage that gave it', () => {
    const one = ended(4);
    expect(isSameLock(one, { ...ended(9), fence: one.fence })).toBe(true);
    expect(isSameLock(one, { ...one, lineage: 8 })).toBe(false);
    expect(isSameLock(one, ended(6))).toBe(false);
  });

  it('travels as it is, and is refused beyond its bound', () => {
    const list = listOf([ended(2), ended(4, 2), { ...ended(6), by: ENDED_ELSEWHERE }]);
    const out = new Writer();
    writeEnded(out, list);
    expect(readEnded(new Reader(out.toBytes()))).toEqual(list);
    expect(() => readEnded(new Reader(Buffer.from([MAX_ENDED + 1])))).toThrow(ProtocolError);
  });
});
