/** When a side of a split goes on as a fork, and who is in it. Pure; called by `lineages.ts`. */
import { largestConnectedSet } from './failure-detector.js';
import type { Membership } from './membership.js';
import type { Roster } from './roster.js';
import { isQuorum, lineageTag, type MemberId, type MemberInfo, type View } from './view.js';

/**
 * No view can be chosen from here: this member hears no quorum, or no quorum of those that it hears is connected pair
 * by pair; `connected`: the membership's connected set, where the caller has it.
 */
export function isStuck(
  membership: Membership,
  roster: Roster,
  nowMs: number,
  connected?: readonly MemberId[],
): boolean {
  const { view } = membership;
  if (view === null || !roster.hasQuorum(view, nowMs)) return true;
  const alive = connected ?? membership.connectedSet(nowMs);
  return !isQuorum(view.members, (id) => alive.includes(id));
}

/** Members of the view that are where this one is, and connected with it and each other; oldest first. */
export function forkMembers(origin: View, roster: Roster, nowMs: number): MemberInfo[] {
  const tag = lineageTag(origin.lineage);
  const isHere = (id: string) => {
    const at = roster.whereabouts(id);
    return id === roster.self || (at?.lineage === tag && at.view === origin.number);
  };
  const ids = origin.members.map(({ id }) => id).filter((id) => !roster.isDead(id) && isHere(id));
  const set = new Set(
    largestConnectedSet(ids, roster.self, (a, b) => roster.detector.connected(a, b, nowMs)),
  );
  return origin.members.filter(({ id }) => set.has(id));
}
