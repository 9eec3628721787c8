/**
 * Brings a table of `assign` within its quotas when the holders that cost least cannot share the roles evenly,
 * which only unequal groups can bring about. Surplus replicas are taken out, then each missing one
 * is put in where its index is vacant; if the group is there already, two partitions exchange replicas along an
 * alternating path, the step of König's proof that a bipartite graph needs no more colours than its degree.
 */
import { assert } from '../src/base/assert.js';
import { FlowNetwork } from './assign-flow.js';
import { countRoles, excessOf, type Plan } from './assign-plan.js';

const VACANT = -1;

/** Rewrites `table` (places of members) in place; leaves it alone when it is within the quotas. */
export function repairQuotas(plan: Plan, table: number[][]): void {
  if (excessOf(plan, table) === 0) return;
  const counts = countRoles(plan, table);
  const targets = nearestTargets(plan, counts);
  targets.forEach((row, index) => {
    row.forEach((target, member) => {
      takeOut(plan, table, index, member, counts[index]![member]! - target);
    });
  });
  targets.forEach((row, index) => {
    row.forEach((target, member) => {
      for (let count = counts[index]![member]!; count < target; count++) putIn(plan, table, index, member);
    });
  });
}

/** Counts within the quotas that no group is too small for, as near to the present ones as there are. */
function nearestTargets(plan: Plan, counts: readonly (readonly number[])[]): number[][] {
  const { partitionCount, replicaCount, groupOf, groupCount, quotas } = plan;
  const memberNode = 2 + replicaCount;
  const groupNode = memberNode + groupOf.length;
  const network = new FlowNetwork(groupNode + groupCount);
  const overCost = groupOf.length * replicaCount + 1;
  const arcs = quotas.map((row, index) => {
    network.add(0, 2 + index, partitionCount, 0);
    return row.map(({ low, high }, member) => {
      const wanted = counts[index]![member]! >= high;
      return [
        network.add(2 + index, memberNode + member, low, 0),
        network.add(2 + index, memberNode + member, high - low, overCost + (wanted ? 0 : 1)),
      ];
    });
  });
  groupOf.forEach((group, member) => {
    network.add(memberNode + member, groupNode + group, partitionCount, 0);
  });
  for (let group = 0; group < groupCount; group++) network.add(groupNode + group, 1, partitionCount, 0);
  const placed = network.run(0, 1);
  assert(placed === partitionCount * replicaCount, 'assign: the quotas cannot be met');
  return arcs.map((row) => row.map((pair) => pair.reduce((sum, arc) => sum + network.flowOf(arc), 0)));
}

/** Vacates `count` places of a member at an index, those first that it does not hold today. */
function takeOut(plan: Plan, table: number[][], index: number, member: number, count: number): void {
  if (count <= 0) return;
  const places = table
    .map((_, partition) => partition)
    .filter((partition) => table[partition]![index] === member);
  const isHeld = (partition: number): number => (plan.held[partition]!.includes(member) ? 1 : 0);
  places.sort((a, b) => isHeld(a) - isHeld(b) || a - b);
  for (const partition of places.slice(0, count)) table[partition]![index] = VACANT;
}

/** Gives a member one place at an index that is vacant somewhere. */
function putIn(plan: Plan, table: number[][], index: number, member: number): void {
  const group = plan.groupOf[member]!;
  const vacant = table
    .map((_, partition) => partition)
    .filter((partition) => table[partition]![index] === VACANT);
  const open = vacant.filter((partition) => indexOfGroup(plan, table[partition]!, group) === -1);
  const partition = open.find((candidate) => plan.held[candidate]!.includes(member)) ?? open[0] ?? vacant[0]!;
  if (open.length === 0) {
    const without = table.findIndex((replicas) => indexOfGroup(plan, replicas, group) === -1);
    assert(without !== -1, 'assign: a group is given more replicas than there are partitions');
    exchange(plan, table[partition]!, table[without]!, group);
  }
  table[partition]![index] = member;
}

/**
 * Frees `from` of `group`, which `to` lacks, by swapping replicas of the same index. Each swap may bring in a
 * group that is already there, which is then swapped in turn. The path meets each index once, so it ends.
 */
function exchange(plan: Plan, from: number[], to: number[], group: number): void {
  let clash = indexOfGroup(plan, from, group);
  while (clash !== -1) {
    const incoming = to[clash]!;
    const next = incoming === VACANT ? -1 : indexOfGroup(plan, from, plan.groupOf[incoming]!, clash);
    [from[clash], to[clash]] = [incoming, from[clash]!];
    clash = next;
  }
}

/** Index at which a group is present, other than `except`, or -1. */
function indexOfGroup(plan: Plan, replicas: readonly number[], group: number, except = -1): number {
  return replicas.findIndex(
    (member, index) => index !== except && member !== VACANT && plan.groupOf[member] === group,
  );
}
