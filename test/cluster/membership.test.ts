/** Membership in the chain of one lineage: who is removed, who comes in, and that votes are driven to their end. */
import { beforeEach, describe, expect, it } from 'vitest';
import * as messages from '../../src/cluster/messages.js';
import { lineageTag } from '../../src/cluster/view.js';
import { Bench, id, LINEAGE, member } from './lineages-bench.js';

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});

describe('membership', () => {
  it('in a quiet cluster proposes nothing', () => {
    bench.view(3);
    bench.beats(20);
    expect(bench.of(1).view?.number).toBe(1);
    expect(new Set(bench.log.map(({ name }) => name))).toEqual(new Set(['heartbeat', 'heartbeatAck']));
  });

  it('removes a silent member, in one round of votes without a prepare phase', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(3));
    bench.beats(7);
    expect(bench.numbersIn(1)).toEqual([1, 2]);
    expect(bench.numbersIn(2)).toEqual([1, 2]);
    expect(bench.log.some(({ name }) => name === 'prepare')).toBe(false);
  });

  it('prepares when the oldest is the one that is silent', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(1));
    bench.beats(8);
    expect(bench.numbersIn(2)).toEqual([2, 3]);
    expect(bench.log.some(({ name, from }) => name === 'prepare' && from === id(2))).toBe(true);
  });

  it('lets only the oldest of those that hear each other propose', () => {
    bench.view(5);
    bench.beats(3);
    bench.paused.add(id(5));
    bench.beats(8);
    const proposers = new Set(bench.log.filter(({ name }) => name === 'accept').map(({ from }) => from));
    expect([...proposers]).toEqual([id(1)]);
  });

  it('proposes nothing in the chain on a side without a quorum, and says so', () => {
    bench.view(5);
    bench.beats(3);
    for (const number of [3, 4, 5]) bench.paused.add(id(number));
    bench.beats(7);
    expect(bench.of(1).hasQuorum(bench.clock(1))).toBe(false);
    expect(bench.of(1).lease.holds(bench.clock(1))).toBe(false);
    bench.beats(20);
    expect(bench.of(1).chainView?.number).toBe(1);
    expect(bench.of(1).isInFork).toBe(true);
    expect(bench.log.some(({ name }) => name === 'accept' || name === 'prepare')).toBe(false);
  });

  it('removes a member that can speak but not hear, and one that can hear but not speak', () => {
    for (const direction of ['to', 'from'] as const) {
      bench = new Bench();
      bench.view(3);
      bench.beats(3);
      bench.isolate(2, direction);
      // A deaf member says so once its own suspicion time is over; then it counts as gone after another one.
      bench.beats(direction === 'to' ? 12 : 7);
      expect(bench.numbersIn(1), direction).toEqual([1, 3]);
    }
  });

  it('removes the oldest when it is deaf: the next oldest proposes', () => {
    bench.view(3);
    bench.beats(3);
    bench.isolate(1, 'to');
    bench.beats(12);
    expect(bench.numbersIn(2)).toEqual([2, 3]);
    expect(bench.of(1).chainView?.number).toBe(1);
    expect(bench.holdsLease(1)).toBe(false);
    expect(bench.of(1).isInFork ? bench.numbersIn(1) : 'waits').toEqual([1]);
  });

  it('tells a removed member, which then is in no view but knows the newest', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(2));
    bench.beats(8);
    bench.paused.delete(id(2));
    bench.beats(2);
    expect(bench.of(2).view).toBeNull();
    expect(bench.of(2).known?.number).toBe(2);
    expect(bench.removed.get(id(2))?.number).toBe(2);
  });

  it('drives an open vote of a dead proposer to its end', () => {
    const view = bench.view(3);
    bench.beats(3);
    // The oldest got a vote from member 3 for a view that nobody else heard of, and died.
    const value = { ...view, number: 2, members: [member(1), member(3)] };
    const body = { lineage: lineageTag(LINEAGE), number: 2, ballot: { round: 0, member: id(1) }, value };
    bench.send(id(1), id(3), messages.accept, body);
    bench.deliver();
    bench.paused.add(id(1));
    bench.beats(14);
    // What may have been chosen is chosen first; only then do 2 or 3 go on.
    expect(bench.numbersIn(3).length).toBeGreaterThan(0);
    expect(bench.of(3).known?.number).toBeGreaterThan(1);
    expect(bench.numbersIn(3)).not.toContain(2);
  });
});

describe('admission', () => {
  it('takes in a joiner once all hear it and it hears all', () => {
    bench.view(2);
    bench.beats(2);
    bench.add(3);
    bench.meet(3, 1);
    bench.beats(4);
    expect(bench.numbersIn(1)).toEqual([1, 2, 3]);
    expect(bench.numbersIn(3)).toEqual([1, 2, 3]);
    expect(bench.connected).toContain(`${id(1)}>${id(3)}`);
  });

  it('does not take in a joiner that one member does not hear', () => {
    bench.view(3);
    bench.beats(2);
    bench.add(4);
    bench.cuts.add(`${id(4)}>${id(2)}`);
    bench.meet(4, 1);
    bench.beats(10);
    expect(bench.numbersIn(1)).toEqual([1, 2, 3]);
    bench.cuts.clear();
    bench.beats(4);
    expect(bench.numbersIn(1)).toEqual([1, 2, 3, 4]);
  });

  it('never takes in more newcomers than can be outvoted, so many come in several views', () => {
    bench.view(1);
    for (let number = 2; number <= 8; number++) {
      bench.add(number);
      bench.meet(number, 1);
    }
    const sizes: number[] = [];
    for (let i = 0; i < 14; i++) {
      // They hear each other, as members at the same `join` addresses do.
      for (let number = 2; number <= 8; number++)
        bench.of(number).greet([...bench.processes.keys()].filter((other) => other !== id(number)));
      bench.beats(1);
      sizes.push(bench.numbersIn(1).length);
    }
    expect(sizes.at(-1)).toBe(8);
    sizes.forEach((size, i) => {
      expect(size).toBeLessThanOrEqual(2 * (sizes[i - 1] ?? 1));
    });
  });

  it('replaces a member by a start at its address in one view', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(2));
    bench.add(9, { address: 'host:2' });
    bench.meet(9, 1);
    const seen: number[][] = [];
    for (let i = 0; i < 8; i++) {
      bench.beats(1);
      seen.push(bench.numbersIn(1));
    }
    expect(seen.at(-1)).toEqual([1, 3, 9]);
    expect(seen.every((numbers) => numbers.length === 3)).toBe(true);
  });

  it('waits for a replacement that never comes only a few heartbeats', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(2));
    bench.of(1).replaced(id(2));
    bench.of(3).replaced(id(2));
    bench.beats(3);
    expect(bench.numbersIn(1)).toEqual([1, 2, 3]);
    bench.beats(2);
    expect(bench.numbersIn(1)).toEqual([1, 3]);
  });

  it('removes a member that said goodbye at the next heartbeat', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(3));
    for (const number of [1, 2]) bench.send(id(3), id(number), messages.goodbye, {});
    bench.beats(1);
    expect(bench.numbersIn(1)).toEqual([1, 2]);
  });

  it('marks members that want to leave in the next view', () => {
    const replicas = [{ member: id(3), synced: true }];
    const entry = {
      replicas,
      epoch: 1,
      settled: true,
      moving: false,
      generation: 0,
      lastSynced: [],
      proven: [],
    };
    bench.cluster([1, 2, 3], { table: [entry], target: [[id(3)]] });
    bench.beats(3);
    bench.of(3).leave();
    bench.deliver();
    bench.beats(1);
    expect(bench.of(1).view?.members.map(({ leaving }) => leaving)).toEqual([false, false, true]);
    expect(bench.of(2).roster.isLeaving(id(3))).toBe(true);
    expect(bench.of(3).everyoneLeaves).toBe(false);
    bench.of(1).leave();
    bench.of(2).leave();
    bench.deliver();
    expect(bench.of(3).everyoneLeaves).toBe(true);
  });

  it('ignores a view of another lineage', () => {
    const view = bench.view(2);
    const other = { ...view, lineage: '22222222-2222-4222-8222-222222222222', number: 99 };
    bench.of(1).learn(other);
    expect(bench.of(1).view?.number).toBe(1);
  });
});
