/** Lineages that meet: which one stays, that the other comes in as a whole, and which refuse each other. */
import { beforeEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/base/random.js';
import type { View } from '../../src/cluster/view.js';
import { Bench, id, LINEAGE, OPTIONS } from './lineages-bench.js';

const { heartbeatMs, suspicionMs } = OPTIONS;
const OTHER = '22222222-2222-4222-8222-222222222222';

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});

/** Members 1..n, split into these groups for so long that each has formed its fork or gone on. */
function splitOf(n: number, ...groups: readonly (readonly number[])[]): void {
  bench.view(n);
  bench.beats(12);
  bench.split(...groups);
  bench.run(4 * suspicionMs);
}

/** Views of a lineage in the order in which they were adopted for the first time. */
function viewsOf(lineage: string | null, sinceMs: number): View[] {
  const byNumber = new Map<number, View>();
  for (const { view, atMs } of bench.adopted)
    if (view.lineage === lineage && atMs > sinceMs && !byNumber.has(view.number))
      byNumber.set(view.number, view);
  return [...byNumber.values()];
}

describe('a fork and the chain', () => {
  it('merge into the chain, all members of the fork with one view, under their ids', () => {
    splitOf(5, [1, 2], [3, 4, 5]);
    const healMs = bench.nowMs;
    bench.heal();
    const tookMs = bench.runUntil(() => bench.isOne([1, 2, 3, 4, 5]), 8 * suspicionMs);
    expect(tookMs).toBeGreaterThanOrEqual(suspicionMs);
    expect(bench.lineageOf(1)).toBe(LINEAGE);
    // No view has one of them without the other.
    for (const view of viewsOf(LINEAGE, healMs)) expect(bench.isIn(1, view)).toBe(bench.isIn(2, view));
    expect([1, 2, 3, 4, 5].map((n) => bench.of(n).isInFork)).toEqual([false, false, false, false, false]);
  });

  it('do not merge while one member of the fork and one of the chain do not hear each other', () => {
    splitOf(5, [1, 2], [3, 4, 5]);
    const fork = bench.lineageOf(1);
    bench.heal();
    bench.split([2], [5]);
    bench.run(8 * suspicionMs);
    expect([bench.lineageOf(1), bench.lineageOf(2)]).toEqual([fork, fork]);
    expect(bench.isOne([3, 4, 5])).toBe(true);
    bench.heal();
    expect(bench.runUntil(() => bench.isOne([1, 2, 3, 4, 5]), 8 * suspicionMs)).not.toBeNull();
  });

  it('do not merge when they hear each other for less than a suspicion time', () => {
    splitOf(5, [1, 2], [3, 4, 5]);
    const fork = bench.lineageOf(1);
    for (let i = 0; i < 4; i++) {
      bench.heal();
      bench.run(suspicionMs - heartbeatMs);
      expect([bench.lineageOf(1), bench.lineageOf(2)]).toEqual([fork, fork]);
      bench.split([1, 2], [3, 4, 5]);
      bench.run(2 * suspicionMs);
    }
  });

  it('merge with the member that joined the fork meanwhile', () => {
    splitOf(5, [1, 2], [3, 4, 5]);
    bench.add(6);
    bench.split([6], [3, 4, 5]);
    bench.meet(6, 1);
    expect(bench.runUntil(() => bench.isOne([1, 2, 6]), 4 * suspicionMs)).not.toBeNull();
    bench.heal();
    expect(bench.runUntil(() => bench.isOne([1, 2, 3, 4, 5, 6]), 10 * suspicionMs)).not.toBeNull();
    expect(bench.lineageOf(6)).toBe(LINEAGE);
    expect(bench.of(6).isInFork).toBe(false);
  });

  it('merge although members of the chain came and went while they were apart', () => {
    splitOf(5, [1, 2], [3, 4, 5]);
    bench.add(6);
    bench.split([6], [1, 2]);
    bench.meet(6, 3);
    expect(bench.runUntil(() => bench.isOne([3, 4, 5, 6]), 4 * suspicionMs)).not.toBeNull();
    bench.pause(3);
    expect(bench.runUntil(() => bench.isOne([4, 5, 6]), 4 * suspicionMs)).not.toBeNull();
    bench.heal();
    expect(bench.runUntil(() => bench.isOne([1, 2, 4, 5, 6]), 10 * suspicionMs)).not.toBeNull();
    expect(bench.lineageOf(1)).toBe(LINEAGE);
  });

  it('merge when a member of the fork has died and said so', () => {
    splitOf(5, [1, 2], [3, 4, 5]);
    bench.pause(2);
    bench.run(3 * suspicionMs);
    bench.heal();
    expect(bench.runUntil(() => bench.isOne([1, 3, 4, 5]), 10 * suspicionMs)).not.toBeNull();
  });
});

describe('two forks of one chain', () => {
  it('become the larger one when the chain can not go on', () => {
    // The majority of 7 died with 6 and 7 as well: two forks of 2 and 1 are left.
    splitOf(7, [1, 2], [3], [4, 5, 6, 7]);
    bench.pause(4, 5, 6, 7);
    const [large, small] = [bench.lineageOf(1), bench.lineageOf(3)];
    expect(large).not.toBe(small);
    bench.heal();
    bench.pause(4, 5, 6, 7);
    expect(bench.runUntil(() => bench.isOne([1, 2, 3]), 10 * suspicionMs)).not.toBeNull();
    expect(bench.lineageOf(3)).toBe(large);
    expect(bench.of(3).isInFork).toBe(true);
    // They keep where they stood in the chain: with one of the others it could go on.
    expect([1, 2, 3].map((n) => bench.of(n).chainView?.number)).toEqual([1, 1, 1]);
  });

  it('of one size become the one with the lower id', () => {
    for (let seed = 1; seed <= 6; seed++) {
      bench = new Bench(seed);
      splitOf(9, [1, 2], [3, 4], [5, 6, 7, 8, 9]);
      bench.pause(5, 6, 7, 8, 9);
      const lineages = [bench.lineageOf(1) as string, bench.lineageOf(3) as string].sort();
      bench.heal();
      // Four of nine are no majority of the chain's last view that they know.
      expect(
        bench.runUntil(() => bench.isOne([1, 2, 3, 4]), 10 * suspicionMs),
        `seed ${seed}`,
      ).not.toBeNull();
      expect(bench.lineageOf(1), `seed ${seed}`).toBe(lineages[0]);
      expect([1, 2, 3, 4].map((n) => bench.of(n).chainView?.number)).toEqual([1, 1, 1, 1]);
    }
  });
});

describe('two foundings', () => {
  /** Two clusters of their own whose members are connected. */
  function met(first: Partial<View>, second: Partial<View>): void {
    bench.cluster([1, 2], first);
    bench.cluster([3, 4, 5], { lineage: OTHER, ...second });
  }

  it('that were not ordered merge into the larger', () => {
    met({}, {});
    expect(bench.runUntil(() => bench.isOne([1, 2, 3, 4, 5]), 8 * suspicionMs)).not.toBeNull();
    expect(bench.lineageOf(1)).toBe(OTHER);
    const moved = bench.adopted.filter(
      ({ view, before }) => before !== null && before.lineage !== view.lineage,
    );
    expect(moved.map(({ member }) => member).sort()).toEqual([1, 2]);
    expect([1, 2].map((n) => bench.of(n).chainView?.lineage)).toEqual([OTHER, OTHER]);
    // The former chain is forgotten: a split makes forks of the new one.
    bench.split([1, 2], [3, 4, 5]);
    bench.run(5 * suspicionMs);
    expect(bench.of(1).view?.parent?.lineage).toBe(OTHER);
  });

  it('of which one was ordered merge into that, whatever its size', () => {
    met({ ordered: true }, {});
    expect(bench.runUntil(() => bench.isOne([1, 2, 3, 4, 5]), 8 * suspicionMs)).not.toBeNull();
    expect([bench.lineageOf(3), bench.of(3).view?.ordered]).toEqual([LINEAGE, true]);
  });

  it('that were both ordered refuse each other, say so, and each goes on', () => {
    met({ ordered: true }, { ordered: true });
    bench.run(8 * suspicionMs);
    expect([bench.isOne([1, 2]), bench.isOne([3, 4, 5])]).toEqual([true, true]);
    expect(new Set(bench.refused.map(({ member, lineage }) => `${member} ${lineage}`))).toEqual(
      new Set([1, 2].map((n) => `${n} ${OTHER}`).concat([3, 4, 5].map((n) => `${n} ${LINEAGE}`))),
    );
  });

  it('merge the lease away: nobody has one of the former lineage', () => {
    met({}, {});
    expect(bench.runUntil(() => bench.isOne([1, 2, 3, 4, 5]), 8 * suspicionMs)).not.toBeNull();
    const joinedMs =
      bench.adopted.find(({ member, view }) => member === 1 && view.lineage === OTHER)?.atMs ?? 0;
    expect(bench.of(1).lease.untilMs - bench.clock(1)).toBeLessThanOrEqual(OPTIONS.leaseMs);
    expect(bench.sentBy('heartbeatAck', 3).some(({ to, atMs }) => to === id(1) && atMs >= joinedMs)).toBe(
      true,
    );
  });
});

describe('whatever the cuts were', () => {
  it('all members are in one lineage after the heal, and only one chain goes on', () => {
    const tookMs: number[] = [];
    for (let seed = 1; seed <= 60; seed++) {
      bench = new Bench(seed);
      const random = new SeededRandom(seed, 'cuts');
      const size = 2 + random.below(5);
      bench.view(size);
      bench.beats(6);
      const any = () => 1 + random.below(size);
      for (let phase = 0; phase < 6; phase++) {
        bench.heal();
        bench.paused.clear();
        for (let i = random.below(3 * size); i > 0; i--) bench.cuts.add(`${id(any())}>${id(any())}`);
        if (random.below(3) === 0) bench.pause(any());
        bench.run(heartbeatMs * (1 + random.below(30)));
        checkOneChain(seed);
      }
      bench.heal();
      bench.paused.clear();
      const all = Array.from({ length: size }, (_, i) => i + 1);
      const took = bench.runUntil(() => bench.isOne(all) && bench.lineageOf(1) === LINEAGE, 20 * suspicionMs);
      expect(
        took,
        `seed ${seed}: ${all.map((n) => `${n} ${bench.lineageOf(n)} ${bench.numbersIn(n)}`).join('; ')}`,
      ).not.toBeNull();
      checkOneChain(seed);
      tookMs.push(took as number);
    }
    console.log(`one again after ${Math.max(...tookMs)} ms at most`);
  });
});

/** For each number, one view of the chain at most. */
function checkOneChain(seed: number): void {
  const views = new Map<number, string>();
  for (const { view } of bench.adopted) {
    if (view.lineage !== LINEAGE) continue;
    const text = JSON.stringify(view.members);
    expect(views.get(view.number) ?? text, `seed ${seed}, view ${view.number}`).toBe(text);
    views.set(view.number, text);
  }
}
