/** Rings of events: what they keep, what they drop, and what they say about it. */
import { describe, expect, it } from 'vitest';
import { ALL_OF_POSITION, type EventPlace } from '../../partitions/events/event.js';
import { EventBudget, EventRing } from '../../partitions/events/ring.js';

const key = Buffer.from('key');
const bytes = (size: number) => Buffer.alloc(size, 7);

function ringWith(limits: Partial<EventBudget['limits']>, after = 0) {
  const budget = new EventBudget({ events: 1_000, bytes: 1_000_000, memberBytes: 1_000_000, ...limits });
  return { budget, ring: new EventRing(3, after, budget, () => {}) };
}

function at(seq: number, index = ALL_OF_POSITION): EventPlace {
  return { lineage: 1, epoch: 1, seq, index };
}

function seqsAfter(ring: EventRing, place: EventPlace): string[] {
  const found: string[] = [];
  for (let i = ring.search(place); ; i++) {
    const event = ring.at(i);
    if (event === undefined) return found;
    found.push(`${event.seq}.${event.index}`);
  }
}

describe('a ring of events', () => {
  it('has the events beyond a place, in their order, with their number in the position', () => {
    const { ring } = ringWith({}, 4);
    for (const seq of [5, 5, 5, 8, 9]) ring.tell(seq, 'added', key, key, null);
    expect(seqsAfter(ring, at(4))).toEqual(['5.0', '5.1', '5.2', '8.0', '9.0']);
    expect(seqsAfter(ring, at(5, 1))).toEqual(['5.1', '5.2', '8.0', '9.0']);
    expect(seqsAfter(ring, at(5))).toEqual(['8.0', '9.0']);
    expect(seqsAfter(ring, at(7))).toEqual(['8.0', '9.0']);
    expect(seqsAfter(ring, at(9))).toEqual([]);
    expect([ring.covers(at(4)), ring.covers(at(4, 0)), ring.covers(at(3)), ring.covers(at(100))]).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });

  it('keeps copies, because what it is told are views', () => {
    const { ring } = ringWith({});
    const view = Buffer.from('value');
    ring.tell(1, 'updated', key, view, view);
    view.fill(0);
    expect(Buffer.from(ring.at(0)?.value as Uint8Array).toString()).toBe('value');
    expect(Buffer.from(ring.at(0)?.old as Uint8Array).toString()).toBe('value');
  });

  it('drops the oldest positions as wholes, and covers nothing before them any more', () => {
    const { ring, budget } = ringWith({ events: 4 });
    for (const seq of [1, 1, 1, 2, 3]) ring.tell(seq, 'added', key, null, null);
    expect(seqsAfter(ring, at(0))).toEqual(['2.0', '3.0']);
    expect([ring.after, ring.hasDropped, ring.covers(at(0)), ring.covers(at(1))]).toEqual([
      1,
      true,
      false,
      true,
    ]);
    for (let seq = 4; seq < 500; seq++) ring.tell(seq, 'added', key, null, null);
    expect(ring.length).toBe(4);
    expect(budget.sizeBytes).toBe(ring.sizeBytes);
  });

  it('has nothing of a position that is too much as a whole', () => {
    const { ring } = ringWith({ events: 3 });
    for (let i = 0; i < 10; i++) ring.tell(1, 'added', key, null, null);
    ring.tell(2, 'added', key, null, null);
    expect([ring.after, ring.length, ring.lastSeq]).toEqual([1, 1, 2]);
  });

  it('shares a bound with all others: the largest one gives up the most', () => {
    const { ring: large, budget } = ringWith({ memberBytes: 10_000 });
    const small = new EventRing(4, 0, budget, () => {});
    small.tell(1, 'added', key, bytes(10), null);
    for (let seq = 1; seq < 100; seq++) large.tell(seq, 'added', key, bytes(1_000), null);
    expect(budget.sizeBytes).toBeLessThanOrEqual(10_000);
    expect(small.length).toBe(1);
    expect(large.length).toBeGreaterThan(2);
    expect(large.hasDropped).toBe(true);
    large.close();
    small.close();
    expect([budget.sizeBytes, budget.rings]).toEqual([0, 0]);
  });

  it('goes on from a repair without what was before', () => {
    const { ring } = ringWith({});
    ring.tell(1, 'added', key, null, null);
    ring.tell(5, 'added', key, null, null);
    ring.restart(3);
    expect([ring.length, ring.after, ring.hasDropped]).toEqual([0, 5, false]);
    ring.tell(6, 'added', key, null, null);
    expect(seqsAfter(ring, at(5))).toEqual(['6.0']);
  });
});
