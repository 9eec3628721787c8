/**
 * The second step of `assign`: which of a partition's holders is its primary and which its first, second, ...
 * backup. Moves nothing, so it decides only how evenly the roles are spread and how much of today's order stays.
 */
import { FlowNetwork } from './assign-flow.js';
import { countRoles, excessOf, excessOver, type Plan } from './assign-plan.js';

/** Gives each holder its role. With unequal groups a few counts may end up outside their quotas. */
export function chooseRoles(plan: Plan, holders: readonly (readonly number[])[]): number[][] {
  const rest = holders.map((members) => [...members]);
  const table = holders.map((): number[] => []);
  for (let index = 0; index < plan.replicaCount; index++) {
    chooseRole(plan, index, rest).forEach((member, partition) => {
      table[partition]!.push(member);
      rest[partition] = rest[partition]!.filter((other) => other !== member);
    });
  }
  evenOut(plan, table);
  return table;
}

/**
 * Picks one of each partition's remaining holders for one index, so that what remains can still meet the quotas
 * of the higher indexes. With equal quotas at all indexes that always works, as each bipartite graph
 * has an edge colouring that spreads every node's edges evenly over the colours (de Werra).
 */
function chooseRole(plan: Plan, index: number, rest: readonly (readonly number[])[]): number[] {
  const { partitionCount, replicaCount, groupOf, held, quotas } = plan;
  const memberCount = groupOf.length;
  const network = new FlowNetwork(2 + memberCount + partitionCount);
  const overCost = 2 * partitionCount + 1;
  const excessCost = (partitionCount + 1) * overCost;

  const remaining = new Array<number>(memberCount).fill(0);
  const arcs = rest.map((members, partition) => {
    const node = 2 + memberCount + partition;
    network.add(0, node, 1, 0);
    return members.map((member) => {
      remaining[member]!++;
      const rank = held[partition]!.indexOf(member);
      const cost = rank === index ? 0 : rank >= 0 ? 1 : 2;
      return { arc: network.add(node, 2 + member, 1, cost), member };
    });
  });
  for (let member = 0; member < memberCount; member++) {
    let [laterLow, laterHigh] = [0, 0];
    for (let later = index + 1; later < replicaCount; later++) {
      laterLow += quotas[later]![member]!.low;
      laterHigh += quotas[later]![member]!.high;
    }
    const count = remaining[member]!;
    const high = Math.max(0, Math.min(quotas[index]![member]!.high, count - laterLow));
    const low = Math.min(high, Math.max(quotas[index]![member]!.low, count - laterHigh));
    network.addRange(2 + member, 1, low, high, overCost);
    network.add(2 + member, 1, count, excessCost);
  }
  network.run(0, 1);
  return arcs.map((row) => row.find(({ arc }) => network.flowOf(arc) === 1)!.member);
}

/**
 * Splitting off one index after the other may leave the last ones with an uneven rest when quotas differ by
 * index. Two indexes at a time can be dealt anew at their best, so that is done until it helps no more.
 */
function evenOut(plan: Plan, table: number[][]): void {
  let excess = excessOf(plan, table);
  while (excess > 0) {
    for (let first = 0; first < plan.replicaCount; first++) {
      for (let second = first + 1; second < plan.replicaCount; second++) dealAnew(plan, table, first, second);
    }
    const before = excess;
    excess = excessOf(plan, table);
    if (excess === before) return;
  }
}

/** Deals two roles of each partition anew among the two that have them, for the least excess over both. */
function dealAnew(plan: Plan, table: number[][], first: number, second: number): void {
  const memberCount = plan.groupOf.length;
  const network = new FlowNetwork(2 + memberCount + plan.partitionCount);
  const stepCost = plan.partitionCount + 1;
  const counts = countRoles(plan, table);
  const arcs = table.map((replicas, partition) => {
    const node = 2 + memberCount + partition;
    network.add(0, node, 1, 0);
    network.add(node, 2 + replicas[first]!, 1, 0);
    return network.add(node, 2 + replicas[second]!, 1, 1);
  });
  for (let member = 0; member < memberCount; member++) {
    const both = counts[first]![member]! + counts[second]![member]!;
    const excessAt = (count: number): number =>
      excessOver(plan.quotas[first]![member]!, count) +
      excessOver(plan.quotas[second]![member]!, both - count);
    // The excess is convex in the count, so its steps ascend; each is at least -2.
    for (let count = 1; count <= both; count++) {
      network.add(2 + member, 1, 1, (2 + excessAt(count) - excessAt(count - 1)) * stepCost);
    }
  }
  network.run(0, 1);
  for (const [partition, replicas] of table.entries()) {
    if (network.flowOf(arcs[partition]!) === 0) continue;
    [replicas[first], replicas[second]] = [replicas[second]!, replicas[first]!];
  }
}
