/**
 * Who holds which replica of which partition: a pure function from the members and today's table to the next
 * table, called by whoever proposes a view. Every member computes the same table from the same input, so
 * nothing here may depend on anything but the input: members count by their place in the list, never by id.
 *
 * Two steps. The holders of each partition are one minimum-cost flow (a copy costs, a kept replica does not).
 * Their roles are then split off index by index, each a flow again. See `assign` for what is guaranteed.
 */
import { assert } from '../src/base/assert.js';
import { FlowNetwork } from './assign-flow.js';
import { type Plan, replicaQuotas } from './assign-plan.js';
import { repairQuotas } from './assign-repair.js';
import { chooseRoles } from './assign-roles.js';

/** A member that may hold replicas. Two replicas of a partition are never in one group. */
export interface AssignMember {
  readonly id: string;
  readonly group: string;
}

export interface AssignInput {
  /** Oldest first, without those that are leaving; ids differ. */
  readonly members: readonly AssignMember[];
  readonly partitionCount: number;
  /** Backup slots wanted, 0..6. */
  readonly backups: number;
  /**
   * Per partition the ids of today's replicas, primary first. It may name members that are gone, be longer than
   * the result or empty; partitions beyond its end have no replica today.
   */
  readonly current: readonly (readonly string[])[];
}

/**
 * The next table: per partition `[primary, backup 1, ...]`, of length `min(backups + 1, number of groups)`; empty
 * arrays when there are no members.
 *
 * - No two replicas of a partition are in one group.
 * - Balanced: at each replica index every member has its fair share, rounded down or up. Fair shares are equal
 *   for all members as long as no group would hold more replicas than there are partitions; a group that
 *   would is full, shares what it has room for evenly, and the others share the rest evenly (lower indexes come first).
 *   So with groups of equal size, counts differ by at most one per index, and inside a group they always do.
 * - Fewest moves: a move is a replica on a member that holds none of that partition today. With groups of equal
 *   size no balanced table has fewer. With unequal ones that holds but for rare cases, in which
 *   the cheapest holders cannot share the roles evenly and a few more replicas move.
 * - After that it keeps as many holders that are primaries today as it can, then, index by index from the
 *   primary on, the order of the replicas that are left of today's table.
 * - Stable: its own result as `current`, with the same members, comes back unchanged.
 */
export function assign(input: AssignInput): string[][] {
  const plan = makePlan(input);
  if (plan.replicaCount === 0) return Array.from({ length: input.partitionCount }, () => []);
  const table = chooseRoles(plan, chooseHolders(plan));
  repairQuotas(plan, table);
  return table.map((replicas) => replicas.map((member) => input.members[member]!.id));
}

/** Groups by host if there are at least two hosts; else each member is its own group. Keeps the order. */
export function partitionGroups(members: readonly { id: string; host: string }[]): AssignMember[] {
  const severalHosts = members.some(({ host }) => host !== members[0]!.host);
  return members.map(({ id, host }) => ({ id, group: severalHosts ? host : id }));
}

function makePlan({ members, partitionCount, backups, current }: AssignInput): Plan {
  const places = new Map(members.map(({ id }, place) => [id, place]));
  assert(places.size === members.length, 'assign: two members have the same id');
  const groups = new Map<string, number>();
  for (const { group } of members) if (!groups.has(group)) groups.set(group, groups.size);
  const groupOf = members.map(({ group }) => groups.get(group)!);
  const groupSizes = new Array<number>(groups.size).fill(0);
  for (const group of groupOf) groupSizes[group]!++;
  const replicaCount = Math.min(backups + 1, groups.size);
  const shares = replicaQuotas(groupSizes, partitionCount, replicaCount);
  return {
    partitionCount,
    replicaCount,
    groupOf,
    groupCount: groups.size,
    held: Array.from({ length: partitionCount }, (_, partition) => {
      const known = (current[partition] ?? []).map((id) => places.get(id));
      return [...new Set(known.filter((place) => place !== undefined))];
    }),
    quotas: shares.map((byGroup) => groupOf.map((group) => byGroup[group]!)),
  };
}

/**
 * Per partition the members that hold it, in no order that means anything. The network: a partition takes
 * `replicaCount` units, one at most through each group, on to members, and from a member to the replica
 * indexes within its quotas, so that the holders' totals can be split into balanced roles.
 */
function chooseHolders(plan: Plan): number[][] {
  const { partitionCount, replicaCount, groupOf, groupCount, held, quotas } = plan;
  const memberCount = groupOf.length;
  const memberNode = 2 + replicaCount;
  const partitionNode = memberNode + memberCount;
  const groupNode = partitionNode + partitionCount;
  const network = new FlowNetwork(groupNode + partitionCount * groupCount);
  // One move outweighs all primaries' holders, and one count below its quota outweighs all moves.
  const moveCost = partitionCount + 2;
  const overCost = partitionCount * replicaCount * moveCost + 1;

  const arcs: { readonly arc: number; readonly member: number }[][] = [];
  for (let partition = 0; partition < partitionCount; partition++) {
    const node = partitionNode + partition;
    network.add(0, node, replicaCount, 0);
    const gates = groupNode + partition * groupCount;
    for (const group of shuffled(groupCount, partition)) network.add(node, gates + group, 1, 0);
    const costs = new Array<number>(memberCount).fill(moveCost);
    held[partition]!.forEach((member, rank) => {
      costs[member] = rank === 0 ? 0 : 1;
    });
    arcs.push(
      shuffled(memberCount, partition).map((member) => ({
        arc: network.add(gates + groupOf[member]!, memberNode + member, 1, costs[member]!),
        member,
      })),
    );
  }
  for (let index = 0; index < replicaCount; index++) {
    network.add(2 + index, 1, partitionCount, 0);
    quotas[index]!.forEach(({ low, high }, member) => {
      network.addRange(memberNode + member, 2 + index, low, high, overCost);
    });
  }
  const placed = network.run(0, 1);
  assert(placed === partitionCount * replicaCount, 'assign: the quotas cannot be met');
  return arcs.map((row) => row.filter(({ arc }) => network.flowOf(arc) === 1).map(({ member }) => member));
}

/**
 * The numbers below `count` in an order that differs from seed to seed. Among equal choices the flow takes the
 * first, so this is what spreads the backups of one member over all others, and with them the work after a crash.
 */
function shuffled(count: number, seed: number): number[] {
  const order = Array.from({ length: count }, (_, place) => place);
  let state = Math.imul(seed + 1, 0x9e3779b1);
  for (let last = count - 1; last > 0; last--) {
    state = Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x9e3779b9;
    const other = ((state ^ (state >>> 13)) >>> 0) % (last + 1);
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}
