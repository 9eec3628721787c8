/** What two replicas share, by their histories alone, against a model that knows the whole contents of each. */
import { describe, expect, it } from 'vitest';
import {
  type Contents,
  type EpochStart,
  isPrefix,
  MAX_HISTORY,
  placeAt,
  seenBy,
  sharedUpTo,
  withEpoch,
} from '../../partitions/history.js';
import { SeededRandom } from '../../src/base/random.js';

const CHAIN = 1;

function epochs(
  ...entries: readonly (readonly [lineage: number, epoch: number, start: number])[]
): EpochStart[] {
  return entries.map(([lineage, epoch, start]) => ({ lineage, epoch, start }));
}

/** A replica of the model: `content[i]` is what it has at position i + 1, no two decisions are equal. */
interface Model {
  history: EpochStart[];
  content: number[];
  /** Whose stream it takes: the primary that wrote this entry of the history. */
  following: EpochStart | null;
}

function place({ history, content }: Model): Contents {
  return { seq: content.length, history };
}

function reallyShared(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return Math.min(length, b.length);
}

/**
 * Takeovers by anybody at any time, in the chain and in forks, each under an epoch of its own; former primaries that
 * have not heard of it and go on; backups that hear of a primary and copy some of what they lack, or do not.
 */
class World {
  readonly #random: SeededRandom;
  readonly replicas: Model[];
  readonly seen = { takeovers: 0, parts: 0, copies: 0, shared: 0, apart: 0 };
  #lineages = [CHAIN];
  #epoch = 1;
  #decisions = 0;

  constructor(seed: number, count: number) {
    this.#random = new SeededRandom(seed, 'histories');
    this.replicas = Array.from({ length: count }, () => ({ history: [], content: [], following: null }));
    this.#lead(this.replicas[0] as Model);
  }

  #lead(model: Model): void {
    if (this.#random.below(4) === 0) this.#lineages.push(this.#lineages.length + 1);
    const lineage = this.#lineages[this.#random.below(this.#lineages.length)] as number;
    model.history = withEpoch(model.history, { lineage, epoch: this.#epoch++, start: model.content.length });
    model.following = model.history.at(-1) as EpochStart;
    this.seen.takeovers++;
  }

  #isPrimary(model: Model): boolean {
    return model.following !== null && model.history.at(-1) === model.following;
  }

  step(takeoverOneIn: number): void {
    const one = this.replicas[this.#random.below(this.replicas.length)] as Model;
    const other = this.replicas[this.#random.below(this.replicas.length)] as Model;
    const dice = this.#random.below(10);
    if (this.#random.below(takeoverOneIn) === 0) this.#lead(one);
    else if (dice < 4) {
      if (this.#isPrimary(one)) one.content.push(++this.#decisions);
    } else if (one !== other && this.#isPrimary(one)) {
      if (other.following !== one.following) {
        if (dice < 6) this.#follow(one, other);
      } else {
        const next = one.content[other.content.length];
        if (next !== undefined) other.content.push(next);
      }
    }
  }

  /** As a backup answers a primary that introduces itself. */
  #follow(primary: Model, backup: Model): void {
    if (isPrefix(place(backup), place(primary))) this.seen.parts++;
    else {
      backup.content = [...primary.content];
      this.seen.copies++;
    }
    // A copy of the list, so that only its own primary counts as one.
    backup.history = primary.history.map((entry) => ({ ...entry }));
    backup.following = primary.following;
  }

  /** Every pair; `exact` while nobody has forgotten an epoch. */
  check(exact: boolean, seed: number): void {
    for (const a of this.replicas)
      for (const b of this.replicas) {
        const real = reallyShared(a.content, b.content);
        const told = sharedUpTo(place(a), place(b));
        const where = `seed ${seed}: ${JSON.stringify([a, b])}`;
        if (exact) expect(told, where).toBe(real);
        else expect(told, where).toBeLessThanOrEqual(real);
        const isPart = real === a.content.length;
        if (exact || !isPart) expect(isPrefix(place(a), place(b)), where).toBe(isPart);
        this.seen[told > 0 ? 'shared' : 'apart']++;
      }
  }
}

describe('what two replicas share', () => {
  it('is exactly what their contents have in common while no epoch is forgotten, and prefixes are recognised', () => {
    const total: Record<string, number> = {};
    for (let seed = 1; seed <= 150; seed++) {
      const world = new World(seed, 4);
      for (let i = 0; i < 25 && world.seen.takeovers < MAX_HISTORY; i++) {
        for (let step = 0; step < 12; step++) world.step(12);
        world.check(true, seed);
      }
      for (const [name, count] of Object.entries(world.seen)) total[name] = (total[name] ?? 0) + count;
    }
    console.log('seen:', JSON.stringify(total));
    for (const name of ['takeovers', 'parts', 'copies', 'shared', 'apart'])
      expect(total[name], name).toBeGreaterThan(500);
  });

  it('is never more than that when epochs are forgotten, and something is still recognised', () => {
    let parts = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const world = new World(seed, 3);
      for (let i = 0; i < 40; i++) {
        for (let step = 0; step < 40; step++) world.step(6);
        world.check(false, seed);
      }
      expect(world.seen.takeovers).toBeGreaterThan(2 * MAX_HISTORY);
      parts += world.seen.parts;
    }
    expect(parts).toBeGreaterThan(100);
  });

  it.each([
    ['nothing with an empty one', [0, []], [9, epochs([1, 1, 0])], 0],
    ['all of the shorter one in the same epoch', [5, epochs([1, 1, 0])], [9, epochs([1, 1, 0])], 5],
    [
      'up to a takeover that one of them did not hear of',
      [9, epochs([1, 1, 0])],
      [8, epochs([1, 1, 0], [1, 2, 5])],
      5,
    ],
    [
      'up to the earlier of two takeovers',
      [20, epochs([1, 1, 0], [1, 2, 12])],
      [20, epochs([1, 1, 0], [1, 3, 10])],
      10,
    ],
    [
      'up to the fork, although numbers go on alike',
      [9, epochs([1, 1, 0], [1, 4, 6])],
      [9, epochs([1, 1, 0], [2, 4, 6])],
      6,
    ],
    ['nothing of two foundings with equal numbers', [9, epochs([1, 1, 0])], [9, epochs([2, 1, 0])], 0],
    [
      'nothing after an equal epoch that began elsewhere',
      [9, epochs([1, 1, 0], [1, 2, 3])],
      [9, epochs([1, 1, 0], [1, 2, 4])],
      3,
    ],
    [
      'all that it has, when it heard of epochs beyond it',
      [5, epochs([1, 1, 0], [1, 2, 10])],
      [9, epochs([1, 1, 0], [1, 3, 5])],
      5,
    ],
  ] as const)('%s', (_name, [seqA, a], [seqB, b], shared) => {
    const [one, other] = [
      { seq: seqA, history: a },
      { seq: seqB, history: b },
    ];
    expect(sharedUpTo(one, other)).toBe(shared);
    expect(sharedUpTo(other, one)).toBe(shared);
    expect(isPrefix(one, other)).toBe(shared === seqA);
  });
});

describe('a history', () => {
  it('leaves out epochs that none of the contents are of', () => {
    // A lagging backup heard that epoch 2 starts at 10, had only 5 itself, and took over in epoch 3.
    const history = withEpoch(epochs([1, 1, 0], [1, 2, 10]), { lineage: 1, epoch: 3, start: 5 });
    expect(history).toEqual(epochs([1, 1, 0], [1, 3, 5]));
    const at = (epoch: number, seq: number) => {
      const entries = epoch === 2 ? epochs([1, 1, 0], [1, 2, 10]) : epochs([1, 1, 0]);
      return isPrefix({ seq, history: entries }, { seq: 20, history });
    };
    expect([at(1, 5), at(1, 8), at(2, 12)]).toEqual([true, false, false]);
  });

  it('has starts that ascend, and is bounded', () => {
    let history: EpochStart[] = [];
    for (let epoch = 1; epoch <= 200; epoch++)
      history = withEpoch(history, { lineage: 1, epoch, start: epoch % 7 === 0 ? epoch - 3 : epoch });
    expect(history).toHaveLength(MAX_HISTORY);
    history.forEach((entry, i) => {
      if (i > 0) expect(entry.start).toBeGreaterThan((history[i - 1] as EpochStart).start);
    });
  });

  it('of which one has forgotten the beginning is still compared by what both remember', () => {
    let long: EpochStart[] = [];
    for (let epoch = 1; epoch <= 100; epoch++)
      long = withEpoch(long, { lineage: 1, epoch, start: epoch * 10 });
    const short = long.slice(0, 5);
    expect(sharedUpTo({ seq: 420, history: short }, { seq: 2_000, history: long })).toBe(420);
    expect(sharedUpTo({ seq: 20, history: epochs([1, 1, 10]) }, { seq: 2_000, history: long })).toBe(0);
  });

  it('none is a part of every other', () => {
    expect(isPrefix({ seq: 0, history: [] }, { seq: 0, history: [] })).toBe(true);
    expect(isPrefix({ seq: 0, history: epochs([1, 1, 0]) }, { seq: 5, history: epochs([2, 1, 0]) })).toBe(
      true,
    );
    expect(isPrefix({ seq: 1, history: [] }, { seq: 5, history: epochs([2, 1, 0]) })).toBe(false);
  });
});

describe('what somebody has seen', () => {
  const history = [
    { lineage: 1, epoch: 4, start: 0 },
    { lineage: 1, epoch: 9, start: 20 },
    { lineage: 2, epoch: 10, start: 35 },
  ];
  const contents = { seq: 50, history };

  it.each([
    ['nothing', { lineage: 9, epoch: 9, seq: 0 }, 'here'],
    ['in the epoch that goes on', { lineage: 2, epoch: 10, seq: 50 }, 'here'],
    ['further than it has come here', { lineage: 2, epoch: 10, seq: 51 }, 'behind'],
    ['before a takeover', { lineage: 1, epoch: 4, seq: 20 }, 'here'],
    ['beyond a takeover', { lineage: 1, epoch: 4, seq: 21 }, 'lost'],
    ['in an epoch of which nothing stayed', { lineage: 1, epoch: 7, seq: 21 }, 'lost'],
    ['in a later epoch of a lineage that was left', { lineage: 1, epoch: 12, seq: 40 }, 'lost'],
    ['in an epoch that has not come here', { lineage: 2, epoch: 11, seq: 52 }, 'behind'],
    ['in a lineage that is unknown here', { lineage: 3, epoch: 1, seq: 5 }, 'elsewhere'],
  ] as const)('%s', (_name, place, expected) => {
    expect(seenBy(contents, place)).toBe(expected);
  });

  it('is not here before the positions are, although the takeover is known', () => {
    expect(seenBy({ seq: 14, history }, { lineage: 1, epoch: 4, seq: 15 })).toBe('behind');
    expect(seenBy({ seq: 14, history }, { lineage: 1, epoch: 4, seq: 14 })).toBe('here');
  });

  it('is named by the epoch that the position is of', () => {
    expect(placeAt(history, 20)).toEqual({ lineage: 1, epoch: 4, seq: 20 });
    expect(placeAt(history, 21)).toEqual({ lineage: 1, epoch: 9, seq: 21 });
    expect(placeAt([], 3)).toEqual({ lineage: 0, epoch: 0, seq: 3 });
  });
});
