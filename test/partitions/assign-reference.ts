/**
 * What `assign` is held against: balance from its definition in exact fractions, the fewest moves by trying
 * every table (partition by partition, merging equal counts), and a lower bound for instances too large for that.
 * Shares no code with `partitions/`.
 */
import type { AssignInput, AssignMember } from '../../partitions/assign.js';

type Fraction = readonly [numerator: bigint, denominator: bigint];

export interface Range {
  readonly low: number;
  readonly high: number;
}

export function replicaCountOf({ members, backups }: AssignInput): number {
  return Math.min(backups + 1, new Set(members.map(({ group }) => group)).size);
}

/** Replicas in `table` on members that hold none of the partition today. */
export function movesOf(input: AssignInput, table: readonly (readonly string[])[]): number {
  return sum(
    table.map((replicas, p) => replicas.filter((id) => !(input.current[p] ?? []).includes(id)).length),
  );
}

/** Count of replicas at [index][member]. */
export function countsOf(input: AssignInput, table: readonly (readonly string[])[]): number[][] {
  return Array.from({ length: replicaCountOf(input) }, (_, index) =>
    input.members.map(({ id }) => table.filter((replicas) => replicas[index] === id).length),
  );
}

/** The first thing that is wrong with a table, or undefined. */
export function flawOf(input: AssignInput, table: readonly (readonly string[])[]): string | undefined {
  const replicaCount = replicaCountOf(input);
  const groupOf = new Map(input.members.map(({ id, group }) => [id, group]));
  if (table.length !== input.partitionCount) return `${table.length} partitions`;
  for (const [partition, replicas] of table.entries()) {
    if (replicas.length !== replicaCount) return `partition ${partition} has ${replicas.length} replicas`;
    if (replicas.some((id) => !groupOf.has(id))) return `partition ${partition} is on a stranger`;
    if (new Set(replicas.map((id) => groupOf.get(id))).size < replicaCount)
      return `a clash in partition ${partition}`;
  }
  const ranges = fairRanges(input);
  for (const [index, row] of countsOf(input, table).entries()) {
    for (const [member, count] of row.entries()) {
      const { low, high } = ranges[index]![member]!;
      if (count < low || count > high)
        return `index ${index}, member ${member}: ${count} not in ${low}..${high}`;
    }
  }
  return undefined;
}

/** Fair shares at [index][member], rounded down and up. The level is raised step by step, as they are defined. */
export function fairRanges(input: AssignInput): Range[][] {
  const { members, partitionCount } = input;
  const sizes = new Map<string, number>();
  for (const { group } of members) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const room = new Map(
    [...sizes].map(([group, size]): [string, Fraction] => [group, [BigInt(partitionCount), BigInt(size)]]),
  );
  return Array.from({ length: replicaCountOf(input) }, () => {
    const shares = new Map([...sizes.keys()].map((group): [string, Fraction] => [group, [0n, 1n]]));
    let left: Fraction = [BigInt(partitionCount), 1n];
    while (left[0] > 0n) {
      const open = [...sizes.keys()].filter((group) => room.get(group)![0] > 0n);
      const openMembers = BigInt(sum(open.map((group) => sizes.get(group)!)));
      let step: Fraction = [left[0], left[1] * openMembers];
      for (const group of open) if (isLess(room.get(group)!, step)) step = room.get(group)!;
      for (const group of open) {
        room.set(group, minus(room.get(group)!, step));
        shares.set(group, minus(shares.get(group)!, [-step[0], step[1]]));
      }
      left = minus(left, [step[0] * openMembers, step[1]]);
    }
    return members.map(({ group }) => rangeOf(shares.get(group)!));
  });
}

/** Fewest moves to any balanced table, by exhaustion. For a few members and partitions only. */
export function fewestMoves(input: AssignInput): number {
  const { members, partitionCount } = input;
  const replicaCount = replicaCountOf(input);
  const ranges = fairRanges(input).flat();
  const choices = arrangements(members, replicaCount);
  // Fewest moves by the counts (index-major) that the partitions so far add up to.
  let reached = new Map<string, { readonly counts: readonly number[]; readonly moves: number }>();
  reached.set('', { counts: ranges.map(() => 0), moves: 0 });
  for (let partition = 0; partition < partitionCount; partition++) {
    const today = input.current[partition] ?? [];
    const next: typeof reached = new Map();
    for (const { counts, moves } of reached.values()) {
      for (const choice of choices) {
        const grown = [...counts];
        for (const [index, member] of choice.entries()) grown[index * members.length + member]!++;
        if (grown.some((count, at) => count > ranges[at]!.high)) continue;
        const total = moves + choice.filter((member) => !today.includes(members[member]!.id)).length;
        const key = grown.join();
        if (total < (next.get(key)?.moves ?? Number.POSITIVE_INFINITY))
          next.set(key, { counts: grown, moves: total });
      }
    }
    reached = next;
  }
  const balanced = [...reached.values()].filter(({ counts }) =>
    counts.every((count, at) => count >= ranges[at]!.low),
  );
  return Math.min(...balanced.map(({ moves }) => moves));
}

/**
 * No balanced table has fewer moves than the largest of these: what each partition lacks, counting one of its
 * surviving replicas per group; what the members lack to the least total that balance allows them; and all
 * replicas less what the members can keep without exceeding the largest total that balance allows them.
 */
export function movesLowerBound(input: AssignInput): number {
  const { members, partitionCount, current } = input;
  const replicaCount = replicaCountOf(input);
  const groupOf = new Map(members.map(({ id, group }) => [id, group]));
  const lacking = Array.from({ length: partitionCount }, (_, partition) => {
    const groups = new Set(
      (current[partition] ?? []).map((id) => groupOf.get(id)).filter((group) => group !== undefined),
    );
    return Math.max(0, replicaCount - groups.size);
  });
  const ranges = fairRanges(input);
  const totals = members.map(({ id }, member) => ({
    held: current.filter((replicas) => replicas.includes(id)).length,
    low: sum(ranges.map((row) => row[member]!.low)),
    high: sum(ranges.map((row) => row[member]!.high)),
  }));
  const short = sum(totals.map(({ held, low }) => Math.max(0, low - held)));
  const kept = sum(totals.map(({ held, high }) => Math.min(held, high)));
  return Math.max(sum(lacking), short, partitionCount * replicaCount - kept);
}

/** All ways to place the replicas of one partition, as places in the list of members. */
function arrangements(members: readonly AssignMember[], replicaCount: number): number[][] {
  if (replicaCount === 0) return [[]];
  return arrangements(members, replicaCount - 1).flatMap((choice) =>
    members
      .map((_, member) => member)
      .filter((member) => choice.every((other) => members[other]!.group !== members[member]!.group))
      .map((member) => [...choice, member]),
  );
}

function isLess(a: Fraction, b: Fraction): boolean {
  return a[0] * b[1] < b[0] * a[1];
}

function minus(a: Fraction, b: Fraction): Fraction {
  const numerator = a[0] * b[1] - b[0] * a[1];
  const denominator = a[1] * b[1];
  let [x, y] = [numerator < 0n ? -numerator : numerator, denominator];
  while (y > 0n) [x, y] = [y, x % y];
  return [numerator / x, denominator / x];
}

function rangeOf([numerator, denominator]: Fraction): Range {
  const low = numerator / denominator;
  return { low: Number(low), high: Number(numerator % denominator === 0n ? low : low + 1n) };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
