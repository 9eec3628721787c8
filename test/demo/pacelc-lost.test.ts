/** Which acknowledged writes count as lost: found, replaced, reported, or gone. */
import { describe, expect, it } from 'vitest';
import { lostWrites } from '../../demo/pacelc/lost.js';
import { write } from './records.js';

const NOTHING = new Set<string>();

function lost(writes: readonly ReturnType<typeof write>[], found: string | null, discarded = NOTHING) {
  const there = new Map(found === null ? [] : [['k', found]]);
  return lostWrites(writes, there, discarded).map(({ write: gone, writer, instead }) => [
    gone.value,
    writer,
    instead?.value,
  ]);
}

describe('a write that was acknowledged', () => {
  const first = write(1, 0, 1);
  const second = write(2, 2, 3);

  it('is not lost when it is there, or when a later one of its writer is', () => {
    expect(lost([first], 'majority:1')).toEqual([]);
    expect(lost([first, second], 'majority:2')).toEqual([]);
  });

  it('is lost when nothing is there, or only an earlier one of its writer', () => {
    expect(lost([first, second], null)).toEqual([['majority:2', 'majority', undefined]]);
    expect(lost([first, second], 'majority:1')).toEqual([['majority:2', 'majority', 'majority:1']]);
  });

  it('of one side is lost when that of the other is there and no report tells of it', () => {
    const other = write(7, 2, 3, { side: 'minority' });
    expect(lost([first, other], 'majority:1')).toEqual([['minority:7', 'minority', 'majority:1']]);
    expect(lost([first, other], 'majority:1', new Set(['k=minority:7']))).toEqual([]);
    expect(lost([first, other], 'majority:1', new Set(['other=minority:7']))).toHaveLength(1);
  });

  it('is not lost when a later one of unknown outcome took its place, or was discarded in its place', () => {
    const unknown = write(2, 2, 3, { outcome: 'unknown' });
    expect(lost([first, unknown], 'majority:2')).toEqual([]);
    const other = write(7, 2, 3, { side: 'minority' });
    expect(lost([first, unknown, other], 'minority:7', new Set(['k=majority:2']))).toEqual([]);
  });
});

it('says nothing of a write that was refused, or whose outcome is unknown', () => {
  expect(
    lost([write(1, 0, 1, { outcome: 'refused' }), write(2, 2, 3, { outcome: 'unknown' })], null),
  ).toEqual([]);
});
