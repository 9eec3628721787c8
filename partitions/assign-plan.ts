/**
 * What the steps of `assign` share: the plan, and the quotas in it - how many replicas of each index a member may
 * hold, its fair share (defined at `assign`) rounded down and up. Tables within the quotas always exist: rounding
 * keeps sums (the indexes and the groups are the two sides of a flow), and counts per index and group in which
 * no group exceeds the number of partitions can always be laid out without a clash (König's edge colouring).
 */

/** Counts that are allowed, both ends included. */
export interface Quota {
  readonly low: number;
  readonly high: number;
}

/** The input with members as their places in the list and groups as numbers. */
export interface Plan {
  readonly partitionCount: number;
  /** Replicas of each partition in the result. */
  readonly replicaCount: number;
  /** Group number of each member. */
  readonly groupOf: readonly number[];
  readonly groupCount: number;
  /** Per partition the replicas of today that are still members, in today's order. */
  readonly held: readonly (readonly number[])[];
  /** Allowed count at [index][member]. */
  readonly quotas: readonly (readonly Quota[])[];
}

/** Quota of one member at [index][group]. `replicaCount` is at most the number of groups. */
export function replicaQuotas(
  groupSizes: readonly number[],
  partitionCount: number,
  replicaCount: number,
): Quota[][] {
  // Replicas that one member of each group can still take before its group holds every partition.
  const room = groupSizes.map((size) => partitionCount / size);
  return Array.from({ length: replicaCount }, () =>
    fairShares(groupSizes, room, partitionCount).map(rounded),
  );
}

/** Shares of one index by group; takes them off `room`. The level rises for all until a group is full. */
function fairShares(groupSizes: readonly number[], room: number[], partitionCount: number): number[] {
  const shares = new Array<number>(groupSizes.length).fill(0);
  let left = partitionCount;
  let members = groupSizes.reduce((sum, size) => sum + size, 0);
  const tightestFirst = groupSizes.map((_, group) => group).sort((a, b) => room[a]! - room[b]! || a - b);
  for (const group of tightestFirst) {
    const share = Math.max(0, Math.min(room[group]!, left / members));
    shares[group] = share;
    room[group]! -= share;
    left -= share * groupSizes[group]!;
    members -= groupSizes[group]!;
  }
  return shares;
}

/** A share that misses a whole number by no more than rounding errors is that number. */
function rounded(share: number): Quota {
  const whole = Math.round(share);
  if (Math.abs(share - whole) < 1e-7) return { low: whole, high: whole };
  return { low: Math.floor(share), high: Math.ceil(share) };
}

/** Count of replicas at [index][member]. */
export function countRoles(plan: Plan, table: readonly (readonly number[])[]): number[][] {
  const counts = plan.quotas.map((row) => row.map(() => 0));
  for (const replicas of table) for (const [index, member] of replicas.entries()) counts[index]![member]!++;
  return counts;
}

/** By how much the counts of a table miss their quotas, in all; 0 for a balanced one. */
export function excessOf(plan: Plan, table: readonly (readonly number[])[]): number {
  let excess = 0;
  for (const [index, row] of countRoles(plan, table).entries()) {
    for (const [member, count] of row.entries()) excess += excessOver(plan.quotas[index]![member]!, count);
  }
  return excess;
}

/** By how much a count misses its quota. */
export function excessOver({ low, high }: Quota, count: number): number {
  return Math.max(low - count, count - high, 0);
}
