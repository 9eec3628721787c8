/**
 * Which crashes the promises cover while lineages come and go: nobody may die who alone holds something, in the newest
 * view of any lineage that has not been merged yet, and a quorum of the chain's last view stays alive, also of the last
 * one that the others know: nobody can continue a view that died with whoever knew it. In a fork of two that is one member. Called by the nemesis. Invariant: a pure question about views and living processes.
 */
import { isQuorum, type MemberId, type View } from '../../src/cluster/view.js';

export interface CrashQuestion {
  /** Newest views of all lineages that may still hold something of their own. */
  readonly views: readonly View[];
  /** The last view of the chain, and the last one that those who stay have adopted. */
  readonly chain: readonly (View | null)[];
  /** Who has all of a partition as of a view, or had it last. */
  readonly holders: (view: View, partition: number) => readonly MemberId[];
  /** By the views that it has adopted itself: it knows that it has all of a partition. */
  readonly knowsThatItHolds: (id: MemberId, view: View, partition: number) => boolean;
  readonly isAlive: (id: MemberId) => boolean;
  readonly ending: ReadonlySet<MemberId>;
}

export function mayCrash(question: CrashQuestion): boolean {
  const { views, chain, holders, knowsThatItHolds, isAlive, ending } = question;
  const stays = (id: MemberId) => isAlive(id) && !ending.has(id);
  if (!chain.every((view) => view !== null && isQuorum(view.members, stays))) return false;
  return views.every((view) =>
    view.table.every((_, partition) => {
      const its = holders(view, partition);
      if (!its.some((id) => ending.has(id))) return true;
      return its.some((id) => stays(id) && knowsThatItHolds(id, view, partition));
    }),
  );
}
