/** Sides without a majority: when they form a fork, who is in it, and how the chain continues from several of them. */
import { beforeEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/base/random.js';
import { takeoverWaitMs } from '../../src/cluster/lease.js';
import * as messages from '../../src/cluster/messages.js';
import { lineageTag } from '../../src/cluster/view.js';
import { Bench, id, LINEAGE, member, numberOf, OPTIONS } from './lineages-bench.js';

const { heartbeatMs, suspicionMs } = OPTIONS;

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});

/** Members 1..n that have heard each other for a while. */
function cluster(n: number): void {
  bench.view(n);
  bench.beats(12);
}

function forkOf(number: number) {
  const { view, isInFork } = bench.of(number);
  return isInFork ? view : null;
}

describe('a side without a majority', () => {
  it('forms a fork after twice the suspicion time, not before, and the majority never does', () => {
    cluster(5);
    bench.split([1, 2], [3, 4, 5]);
    bench.run(2 * suspicionMs - heartbeatMs);
    expect([1, 2].map(forkOf)).toEqual([null, null]);
    bench.run(3 * heartbeatMs);
    for (const number of [1, 2]) {
      expect(bench.numbersIn(number)).toEqual([1, 2]);
      expect(forkOf(number)).toMatchObject({ number: 2, parent: { lineage: LINEAGE, number: 1 } });
    }
    expect(bench.lineageOf(1)).toBe(bench.lineageOf(2));
    expect(bench.lineageOf(1)).not.toBe(LINEAGE);
    bench.run(4 * suspicionMs);
    expect(bench.isOne([3, 4, 5])).toBe(true);
    expect(bench.lineageOf(3)).toBe(LINEAGE);
    expect(bench.formed).toEqual([1]);
  });

  it('is every side of 2+2+1, and each of them is one fork', () => {
    cluster(5);
    bench.split([1, 2], [3, 4], [5]);
    bench.run(4 * suspicionMs);
    for (const group of [[1, 2], [3, 4], [5]]) {
      expect(bench.isOne(group)).toBe(true);
      expect(forkOf(group[0] as number)?.parent).toEqual({ lineage: LINEAGE, number: 1 });
    }
    expect(new Set([1, 3, 5].map((n) => bench.lineageOf(n))).size).toBe(3);
    expect([1, 2, 3, 4, 5].map((n) => bench.of(n).chainView?.number)).toEqual([1, 1, 1, 1, 1]);
  });

  it('is the younger of two whose elder dies; it takes in a new process, and its fork goes on', () => {
    cluster(2);
    bench.pause(1);
    expect(bench.runUntil(() => bench.of(2).isInFork, 3 * suspicionMs)).not.toBeNull();
    const lineage = bench.lineageOf(2);
    bench.add(3);
    bench.meet(3, 2);
    expect(bench.runUntil(() => bench.isOne([2, 3]), 2 * suspicionMs)).not.toBeNull();
    expect([bench.lineageOf(2), bench.lineageOf(3)]).toEqual([lineage, lineage]);
    expect(bench.of(3).isInFork).toBe(true);
    bench.run(3 * suspicionMs);
    expect(bench.isOne([2, 3])).toBe(true);
  });

  it('is none: the elder of two goes on by itself in the chain', () => {
    cluster(2);
    bench.pause(2);
    bench.run(4 * suspicionMs);
    expect([bench.lineageOf(1), bench.numbersIn(1), bench.of(1).isInFork]).toEqual([LINEAGE, [1], false]);
  });

  it('splits again: a fork of a fork is another fork of the same chain', () => {
    cluster(7);
    bench.split([1, 2, 3], [4, 5, 6, 7]);
    bench.run(4 * suspicionMs);
    bench.split([1], [2, 3]);
    bench.run(4 * suspicionMs);
    // Two of three are a majority of the fork and go on in it; the third forms one of its own.
    expect(bench.isOne([2, 3])).toBe(true);
    expect(bench.isOne([1])).toBe(true);
    expect(bench.lineageOf(1)).not.toBe(bench.lineageOf(2));
    expect(forkOf(1)?.parent?.lineage).toBe(LINEAGE);
    expect(forkOf(2)?.parent?.lineage).toBe(LINEAGE);
  });

  it('that leaves forms none', () => {
    cluster(3);
    bench.split([1], [2, 3]);
    bench.of(1).leave();
    bench.run(4 * suspicionMs);
    expect(bench.formed).not.toContain(1);
  });

  it('holds no lease from a lease after the cut on, nor in its fork', () => {
    cluster(5);
    bench.beats(1);
    expect([1, 2, 3, 4, 5].map((n) => bench.holdsLease(n))).toEqual([true, true, true, true, true]);
    bench.split([1, 2], [3, 4, 5]);
    bench.run(OPTIONS.leaseMs);
    expect([1, 2].map((n) => bench.holdsLease(n))).toEqual([false, false]);
    for (let i = 0; i < 20; i++) {
      bench.beats(1);
      expect([1, 2].map((n) => bench.holdsLease(n))).toEqual([false, false]);
    }
    expect([3, 4, 5].map((n) => bench.holdsLease(n))).toEqual([true, true, true]);
  });
});

describe('one-way cuts', () => {
  it('to one member make it deaf: it is removed, and goes on as a fork of its own', () => {
    cluster(3);
    bench.isolate(2, 'to');
    expect(bench.runUntil(() => bench.isOne([1, 3]), 5 * suspicionMs)).not.toBeNull();
    bench.run(4 * suspicionMs);
    expect(bench.isOne([1, 3])).toBe(true);
    expect(forkOf(2)?.members.map(({ id: one }) => one)).toEqual([id(2)]);
  });

  it('from one member leave the majority in the chain; the one that nobody hears comes back after the heal', () => {
    cluster(3);
    bench.isolate(3, 'from');
    expect(bench.runUntil(() => bench.isOne([1, 2]), 4 * suspicionMs)).not.toBeNull();
    // It hears the others, learns that it was removed, and can not come back: nobody hears it ask.
    expect(bench.runUntil(() => bench.of(3).isInFork, 8 * suspicionMs)).not.toBeNull();
    expect(bench.numbersIn(3)).toEqual([3]);
    bench.heal();
    expect(bench.runUntil(() => bench.isOne([1, 2, 3]), 6 * suspicionMs)).not.toBeNull();
    expect(bench.lineageOf(3)).toBe(LINEAGE);
  });

  it('between two members cost one of them its place, once', () => {
    cluster(3);
    bench.cuts.add(`${id(3)}>${id(1)}`);
    bench.run(4 * suspicionMs);
    const before = bench.of(2).chainView?.number ?? 0;
    expect(bench.of(2).view?.members).toHaveLength(2);
    bench.run(12 * suspicionMs);
    expect(bench.of(2).chainView?.number).toBe(before);
  });

  it('of any kind leave no lease of a removed member when a new primary need not wait any longer', () => {
    let ended = 0;
    for (let seed = 1; seed <= 25; seed++) {
      bench = new Bench(seed);
      const random = new SeededRandom(seed, 'cuts');
      cluster(4);
      for (let step = 0; step < 120; step++) {
        if (step % 30 === 0) {
          bench.heal();
          for (let i = 0; i < 4; i++) bench.cuts.add(`${id(1 + random.below(4))}>${id(1 + random.below(4))}`);
        }
        bench.run(100);
        ended += checkLeases(`seed ${seed}, step ${step}`);
      }
    }
    expect(ended).toBeGreaterThan(100);
  });
});

/** Nobody holds a lease that those who chose the next view without it have vouched for to be over. */
function checkLeases(where: string): number {
  let ended = 0;
  for (const { view, before, fences, atMs } of bench.adopted) {
    if (fences === null || before === null || view.parent !== null) continue;
    for (const { id: left } of before.members.filter((info) => !bench.isIn(numberOf(info.id), view))) {
      if (bench.nowMs < atMs + takeoverWaitMs(left, fences, OPTIONS.leaseMs)) continue;
      ended++;
      const itsView = bench.of(numberOf(left)).view;
      if (itsView?.lineage !== view.lineage || itsView.number >= view.number) continue;
      expect(bench.holdsLease(numberOf(left)), `${where}: member ${numberOf(left)}`).toBe(false);
    }
  }
  return ended;
}

describe('a member that is in no view', () => {
  it('waits for the cluster that it hears to take it in, and forms a fork only when that does not happen', () => {
    cluster(3);
    bench.pause(3);
    bench.run(3 * suspicionMs);
    expect(bench.isOne([1, 2])).toBe(true);
    bench.paused.clear();
    expect(bench.runUntil(() => bench.isOne([1, 2, 3]), 4 * suspicionMs)).not.toBeNull();
    expect(bench.formed).not.toContain(3);
  });

  it('forms a fork of what it was in when nobody is there to come back to', () => {
    cluster(3);
    bench.pause(3);
    bench.run(3 * suspicionMs);
    bench.paused.clear();
    bench.deliver();
    // It learns that it was removed, and then the others die.
    expect(bench.runUntil(() => bench.of(3).view === null, suspicionMs)).not.toBeNull();
    bench.pause(1, 2);
    expect(bench.runUntil(() => bench.of(3).isInFork, 6 * suspicionMs)).not.toBeNull();
    expect(forkOf(3)).toMatchObject({ parent: { lineage: LINEAGE, number: 1 } });
    expect(bench.numbersIn(3)).toEqual([3]);
  });

  it('and was never in one does not form a fork', () => {
    bench.add(1);
    bench.run(10 * suspicionMs);
    expect([bench.of(1).view, bench.formed]).toEqual([null, []]);
  });
});

describe('heartbeats', () => {
  const acksTo = (number: number) =>
    bench.sentBy('heartbeatAck').filter(({ to }) => to === id(number)).length;

  it('are acknowledged by members of the same view of the chain', () => {
    cluster(3);
    expect(acksTo(1)).toBeGreaterThan(10);
    expect(acksTo(3)).toBeGreaterThan(10);
  });

  it.each([true, false])(
    'of one with an open vote (%s) give it no lease by itself, nor do they others',
    (isOpen) => {
      cluster(3);
      const value = { ...bench.of(1).view, number: 2, members: [member(1), member(2)] };
      const accept = { lineage: lineageTag(LINEAGE), number: 2, ballot: { round: 0, member: id(1) }, value };
      if (isOpen) bench.send(id(1), id(3), messages.accept, accept);
      bench.deliver();
      const before = bench.of(3).lease.untilMs;
      const acks = bench.sentBy('heartbeatAck', 3).length;
      // One other answers: enough together with itself.
      bench.cuts.add(`${id(2)}>${id(3)}`);
      bench.beats(2);
      expect(bench.of(3).view?.number).toBe(1);
      expect(bench.of(3).lease.untilMs > before).toBe(!isOpen);
      expect(bench.sentBy('heartbeatAck', 3).length > acks).toBe(!isOpen);
    },
  );

  it('of another view, or of a fork, are not acknowledged', () => {
    cluster(3);
    bench.split([1, 2], [3]);
    bench.run(6 * suspicionMs);
    expect([bench.of(1).view?.number, bench.of(3).isInFork]).toEqual([2, true]);
    bench.heal();
    const before = [acksTo(3), bench.sentBy('heartbeatAck', 3).length];
    bench.beats(1);
    expect(bench.of(3).isInFork).toBe(true);
    expect([acksTo(3), bench.sentBy('heartbeatAck', 3).length]).toEqual(before);
  });

  it('that are acknowledged for a view give no lease in the next', () => {
    cluster(3);
    const held = bench.sentBy('heartbeatAck').at(-1);
    bench.pause(3);
    bench.runUntil(() => bench.isOne([1, 2]), 4 * suspicionMs);
    bench.cuts.add(`${id(2)}>${id(1)}`);
    const { untilMs } = bench.of(1).lease;
    expect(held).toBeDefined();
    for (const ack of bench.sentBy('heartbeatAck', 2).slice(-3)) if (ack.view === 1) bench.arrive(ack);
    expect(bench.of(1).lease.untilMs).toBe(untilMs);
  });
});

describe('the chain', () => {
  it('continues when a majority of its last view is together again, after a suspicion time, and ends their forks', () => {
    cluster(5);
    bench.split([1, 2], [3, 4], [5]);
    bench.run(4 * suspicionMs);
    bench.heal();
    bench.split([1, 2, 3, 4], [5]);
    const healMs = bench.nowMs;
    const tookMs = bench.runUntil(() => bench.of(1).view?.lineage === LINEAGE, 6 * suspicionMs);
    expect(tookMs).toBeGreaterThanOrEqual(suspicionMs);
    expect(tookMs).toBeLessThanOrEqual(3 * suspicionMs);
    expect(bench.runUntil(() => bench.isOne([1, 2, 3, 4]), suspicionMs)).not.toBeNull();
    const first = bench.adopted.find(({ atMs, view }) => atMs > healMs && view.lineage === LINEAGE);
    expect(first?.view).toMatchObject({ number: 2, parent: null });
    // All of them come back with the same view, not one fork after the other.
    expect(first?.view.members.map(({ id: one }) => one)).toEqual([1, 2, 3, 4].map(id));
    const continued = bench.adopted.filter(
      ({ view, before }) => view.parent === null && before?.parent != null,
    );
    expect(continued.map(({ member: one }) => one).sort()).toEqual([1, 2, 3, 4]);
    expect(bench.of(5).isInFork).toBe(true);
    bench.heal();
    expect(bench.runUntil(() => bench.isOne([1, 2, 3, 4, 5]), 6 * suspicionMs)).not.toBeNull();
    expect(bench.lineageOf(5)).toBe(LINEAGE);
  });

  it('does not continue with a majority that is together for less than a suspicion time at a time', () => {
    cluster(5);
    bench.split([1, 2], [3, 4], [5]);
    bench.run(4 * suspicionMs);
    for (let i = 0; i < 5; i++) {
      bench.heal();
      bench.split([1, 2, 3, 4], [5]);
      bench.run(2 * heartbeatMs);
      bench.split([1, 2], [3, 4], [5]);
      bench.run(suspicionMs + 2 * heartbeatMs);
    }
    expect([1, 2, 3, 4].map((n) => bench.of(n).chainView?.number)).toEqual([1, 1, 1, 1]);
  });

  it('keeps the votes of its members in their forks: what may have been chosen is chosen', () => {
    cluster(5);
    // Member 1 has votes of 2 and 3 for a view without 4; nobody knows, and then 1 and 2 are alone.
    const value = { ...bench.of(1).view, number: 2, members: [1, 2, 3, 5].map((n) => member(n)) };
    const accept = { lineage: lineageTag(LINEAGE), number: 2, ballot: { round: 0, member: id(1) }, value };
    for (const other of [2, 3, 4, 5]) bench.cuts.add(`${id(other)}>${id(1)}`);
    for (const acceptor of [2, 3]) bench.send(id(1), id(acceptor), messages.accept, accept);
    bench.send(id(1), id(1), messages.accept, accept);
    bench.deliver();
    bench.split([1], [2], [3, 4], [5]);
    bench.run(4 * suspicionMs);
    expect([1, 2, 3, 4, 5].every((n) => bench.of(n).isInFork)).toBe(true);
    bench.heal();
    bench.split([1], [2, 4, 5], [3]);
    expect(bench.runUntil(() => bench.lineageOf(2) === LINEAGE, 8 * suspicionMs)).not.toBeNull();
    const second = bench.adopted.find(({ view }) => view.lineage === LINEAGE && view.number === 2);
    expect(second?.view.members.map(({ id: one }) => one)).toEqual([1, 2, 3, 5].map(id));
  });
});
