/**
 * Which of two lineages that meet stays: an order total on lineages, so that any number of them that meet end as one.
 * Called by `lineages.ts` and by clients.
 */
import type { View } from './view.js';

/** The chain that a lineage belongs to: itself, or the one that a fork left. */
export function rootOf(view: View): string {
  return view.parent?.lineage ?? view.lineage;
}

/**
 * Founded by order both, and not the same cluster: neither gives way. What was a fork of a chain that an order has given
 * up is of the cluster that replaced it; that chain itself, should it still live, is not.
 */
export function refuseEachOther(a: View, b: View): boolean {
  if (!a.ordered || !b.ordered || rootOf(a) === rootOf(b)) return false;
  if (a.parent === null && b.parent === null) return true;
  return !a.replaced.includes(rootOf(b)) && !b.replaced.includes(rootOf(a));
}

/**
 * Negative when `a` stays and `b` is merged into it: what was founded by order stays, a chain before forks, then the
 * one with more members, then the lower id.
 */
export function compareLineages(a: View, b: View): number {
  if (a.ordered !== b.ordered) return a.ordered ? -1 : 1;
  const [isForkA, isForkB] = [a.parent !== null, b.parent !== null];
  if (isForkA !== isForkB) return isForkA ? 1 : -1;
  if (a.members.length !== b.members.length) return b.members.length - a.members.length;
  return a.lineage < b.lineage ? -1 : a.lineage > b.lineage ? 1 : 0;
}
