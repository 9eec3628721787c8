import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AssignInput, type AssignMember, assign, partitionGroups } from '../../partitions/assign.js';
import { SeededRandom } from '../../src/base/random.js';
import {
  countsOf,
  fewestMoves,
  flawOf,
  movesLowerBound,
  movesOf,
  replicaCountOf,
} from './assign-reference.js';

/** Members `m<from>`, `m<from + 1>`, ..., each its own group. */
function singles(count: number, from = 0): AssignMember[] {
  return Array.from({ length: count }, (_, place) => ({ id: `m${from + place}`, group: `m${from + place}` }));
}

/** Members in groups of the given sizes: `h0m0`, `h0m1`, ..., `h1m0`, ... */
function grouped(sizes: readonly number[]): AssignMember[] {
  return sizes.flatMap((size, host) =>
    Array.from({ length: size }, (_, place) => ({ id: `h${host}m${place}`, group: `h${host}` })),
  );
}

/** Any instance: groups of any sizes; today's table names members, dead ones (`dead0`..) or nothing. */
function instances(limits: {
  members: number;
  partitions: number;
  backups: number;
}): fc.Arbitrary<AssignInput> {
  const memberLists = fc
    .array(fc.nat({ max: limits.members - 1 }), { minLength: 1, maxLength: limits.members })
    .map((groups) => groups.map((group, place): AssignMember => ({ id: `m${place}`, group: `g${group}` })));
  return memberLists.chain((members) => {
    const ids = [...members.map(({ id }) => id), 'dead0', 'dead1'];
    const replicas = fc.uniqueArray(fc.constantFrom(...ids), { maxLength: limits.backups + 2 });
    return fc.record({
      members: fc.constant(members),
      partitionCount: fc.integer({ min: 1, max: limits.partitions }),
      backups: fc.nat({ max: limits.backups }),
      current: fc.array(replicas, { maxLength: limits.partitions }),
    });
  });
}

const small = instances({ members: 4, partitions: 6, backups: 2 });
const large = instances({ members: 12, partitions: 60, backups: 6 });

describe('assign', () => {
  it('keeps groups apart and every member within its fair share, whatever today’s table is', () => {
    fc.assert(
      fc.property(fc.oneof(small, large), (input) => {
        expect(flawOf(input, assign(input))).toBeUndefined();
      }),
      { numRuns: 600 },
    );
  });

  it('differs by at most one between any two members at each index when groups have equal sizes', () => {
    const equalGroups = fc.record({
      groups: fc.integer({ min: 1, max: 6 }),
      size: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(
        equalGroups,
        fc.nat({ max: 3 }),
        fc.integer({ min: 1, max: 271 }),
        (shape, backups, partitionCount) => {
          const members = grouped(new Array<number>(shape.groups).fill(shape.size));
          const input = { members, partitionCount, backups, current: [] };
          for (const counts of countsOf(input, assign(input))) {
            expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('moves as little as the best of all balanced tables on small instances', () => {
    fc.assert(
      fc.property(small, (input) => {
        const best = fewestMoves(input);
        expect(movesOf(input, assign(input))).toBe(best);
        expect(movesLowerBound(input)).toBeLessThanOrEqual(best);
      }),
      { numRuns: 3000 },
    );
  });

  it('returns its own result unchanged', () => {
    fc.assert(
      fc.property(fc.oneof(small, large), (input) => {
        const table = assign(input);
        expect(assign({ ...input, current: table })).toEqual(table);
      }),
      { numRuns: 600 },
    );
  });

  it('depends on the places of the members and not on their ids', () => {
    fc.assert(
      fc.property(large, (input) => {
        const renamed = (id: string): string => `z${[...id].reverse().join('')}`;
        const members = input.members.map(({ id, group }) => ({ id: renamed(id), group: renamed(group) }));
        const current = input.current.map((replicas) => replicas.map(renamed));
        expect(assign({ ...input, members, current })).toEqual(
          assign(input).map((replicas) => replicas.map(renamed)),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('moves at most 1.1 times the lower bound on joins, leaves and crashes', () => {
    for (let count = 2; count <= 10; count++) {
      for (let backups = 0; backups <= 3; backups++) {
        const table = assign({ members: singles(count), partitionCount: 271, backups, current: [] });
        const crashed = table.map((replicas) => replicas.filter((id) => id !== 'm0'));
        const steps = [
          { members: singles(count + 1), current: table },
          { members: singles(count + 2), current: table },
          { members: singles(count - 1), current: table },
          { members: singles(count - 1, 1), current: table },
          { members: singles(count - 1, 1), current: crashed },
        ];
        for (const step of steps) {
          const input = { ...step, partitionCount: 271, backups };
          const next = assign(input);
          expect(flawOf(input, next)).toBeUndefined();
          expect(movesOf(input, next)).toBeLessThanOrEqual(1.1 * movesLowerBound(input));
        }
      }
    }
  });

  it('stays near the lower bound over a long history of joins and leaves', () => {
    const random = new SeededRandom(11);
    let members = singles(5);
    let next = 5;
    let current: string[][] = [];
    let [moves, bound] = [0, 0];
    for (let step = 0; step < 60; step++) {
      const input = { members, partitionCount: 271, backups: 2, current };
      current = assign(input);
      expect(flawOf(input, current)).toBeUndefined();
      moves += movesOf(input, current);
      bound += movesLowerBound(input);
      if (members.length < 4 || (members.length < 10 && random.below(2) === 0))
        members = [...members, ...singles(1, next++)];
      else members = members.toSpliced(random.below(members.length), 1);
    }
    expect(moves).toBeLessThanOrEqual(1.1 * bound);
  });

  it('stays balanced and stable through joins and leaves on hosts of different sizes', () => {
    const shapes = [
      [3, 1],
      [4, 2, 1],
      [5, 4, 3, 2, 1],
      [1, 1, 6],
      [2, 2, 3, 4],
      [5, 2],
      [5, 3],
      [4, 3, 1],
      [6, 1, 1, 1],
    ];
    for (const [at, sizes] of shapes.entries()) {
      for (let backups = 0; backups <= 4; backups++) {
        const before = grouped(sizes);
        const table = assign({ members: before, partitionCount: 271, backups, current: [] });
        const after = grouped(shapes[(at + 1) % shapes.length]!);
        for (const members of [before, before.slice(1), [...before, { id: 'new', group: 'h0' }], after]) {
          const input = { members, partitionCount: 271, backups, current: table };
          const next = assign(input);
          expect(flawOf(input, next)).toBeUndefined();
          expect(assign({ ...input, current: next })).toEqual(next);
        }
      }
    }
  });

  it('spreads primaries over all members though one host has three of the four', () => {
    const input = { members: grouped([3, 1]), partitionCount: 272, backups: 1, current: [] };
    const counts = countsOf(input, assign(input));
    expect(counts[0]).toEqual([68, 68, 68, 68]);
    expect([...counts[1]!.slice(0, 3)].sort()).toEqual([22, 23, 23]);
    expect(counts[1]![3]).toBe(204);
  });

  it('spreads the replicas that share a partition with a member over all other members', () => {
    for (const backups of [1, 2, 3]) {
      const table = assign({ members: singles(8), partitionCount: 271, backups, current: [] });
      for (const { id } of singles(8)) {
        const shared = table.filter((replicas) => replicas.includes(id));
        for (const other of singles(8).filter((member) => member.id !== id)) {
          const both = shared.filter((replicas) => replicas.includes(other.id)).length;
          expect(both).toBeGreaterThan(0);
          expect(both).toBeLessThan((shared.length * backups * 2.5) / 7);
        }
      }
    }
  });

  it('changes hardly more primaries than a newcomer must get', () => {
    for (let count = 2; count <= 10; count++) {
      for (let backups = 0; backups <= 3; backups++) {
        const current = assign({ members: singles(count), partitionCount: 271, backups, current: [] });
        const next = assign({ members: singles(count + 1), partitionCount: 271, backups, current });
        const changed = next.filter((replicas, partition) => replicas[0] !== current[partition]![0]).length;
        expect(changed).toBeLessThanOrEqual(Math.ceil(271 / (count + 1)) + 6);
      }
    }
  });

  it('takes a backup that is left for primary before a member that has to copy', () => {
    const table = assign({ members: singles(6), partitionCount: 271, backups: 1, current: [] });
    const next = assign({ members: singles(5, 1), partitionCount: 271, backups: 1, current: table });
    const orphans = table
      .map((_, partition) => partition)
      .filter((partition) => table[partition]![0] === 'm0');
    const promoted = orphans.filter((partition) => next[partition]![0] === table[partition]![1]);
    expect(promoted.length).toBeGreaterThan(orphans.length * 0.8);
  });

  it('keeps one of two replicas that today share a group, the primary', () => {
    const members = grouped([2, 2]);
    const current = [
      ['h0m0', 'h0m1'],
      ['h0m1', 'h0m0'],
      ['h1m0', 'h1m1'],
      ['h1m1', 'h1m0'],
    ];
    const table = assign({ members, partitionCount: 4, backups: 1, current });
    expect(table.map(([primary]) => primary)).toEqual(['h0m0', 'h0m1', 'h1m0', 'h1m1']);
  });

  it('drops what is beyond the wanted replicas without moving anything', () => {
    const current = assign({ members: singles(5), partitionCount: 271, backups: 3, current: [] });
    const input = { members: singles(5), partitionCount: 271, backups: 1, current };
    expect(movesOf(input, assign(input))).toBe(0);
  });

  it('gives empty arrays without members and as many replicas as there are groups', () => {
    expect(assign({ members: [], partitionCount: 3, backups: 1, current: [['gone']] })).toEqual([[], [], []]);
    expect(assign({ members: singles(1), partitionCount: 2, backups: 6, current: [] })).toEqual([
      ['m0'],
      ['m0'],
    ]);
    expect(assign({ members: singles(2), partitionCount: 0, backups: 1, current: [] })).toEqual([]);
    const input = { members: grouped([2, 3, 1]), partitionCount: 5, backups: 6, current: [] };
    expect(assign(input).map((replicas) => replicas.length)).toEqual([3, 3, 3, 3, 3]);
    expect(replicaCountOf(input)).toBe(3);
  });

  it('refuses two members with one id', () => {
    const members = [...singles(2), ...singles(1)];
    expect(() => assign({ members, partitionCount: 1, backups: 0, current: [] })).toThrow('same id');
  });

  it.each([
    { partitionCount: 271, count: 50 },
    { partitionCount: 5000, count: 50 },
  ])('fills every row of $partitionCount partitions on $count members', ({ partitionCount, count }) => {
    const table = assign({ members: singles(count), partitionCount, backups: 3, current: [] });
    const steps = [
      { members: singles(count), current: table },
      { members: singles(count + 1), current: table },
      { members: singles(count - 1, 1), current: table },
    ];
    for (const step of steps) {
      const next = assign({ ...step, partitionCount, backups: 3 });
      expect(next).toHaveLength(partitionCount);
      for (const row of next) expect(new Set(row).size).toBe(4);
    }
  });
});

describe('partitionGroups', () => {
  it('groups by host when there are several hosts', () => {
    const members = [
      { id: 'a', host: 'x' },
      { id: 'b', host: 'y' },
      { id: 'c', host: 'x' },
    ];
    expect(partitionGroups(members)).toEqual([
      { id: 'a', group: 'x' },
      { id: 'b', group: 'y' },
      { id: 'c', group: 'x' },
    ]);
  });

  it('makes each member its own group on a single host', () => {
    const members = [
      { id: 'a', host: 'x' },
      { id: 'b', host: 'x' },
    ];
    expect(partitionGroups(members)).toEqual([
      { id: 'a', group: 'a' },
      { id: 'b', group: 'b' },
    ]);
    expect(partitionGroups([])).toEqual([]);
  });
});
