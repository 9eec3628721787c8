/**
 * Which of the views that members tell a client routes by: those of its own cluster before others, of these that of the
 * majority before that of a fork, then that of the lineage that it follows already. Called by the client's composition. Invariant: of one lineage, the newest view.
 */
import { compareLineages, rootOf } from '../../src/cluster/rank.js';
import type { View } from '../../src/cluster/view.js';

/** Former members whose addresses are tried while the client follows a fork. */
const MAX_FORMER = 1000;

export class LineageChoice<Source> {
  /** By connection: the view that the member at its other end is in. */
  readonly #told = new Map<Source, View>();
  readonly #former = new Set<string>();

  told(source: Source, view: View): void {
    this.#told.set(source, view);
    for (const { address } of view.members) if (this.#former.size < MAX_FORMER) this.#former.add(address);
  }

  lost(source: Source): void {
    this.#told.delete(source);
  }

  /**
   * The view to follow; the present one while nobody that is connected is in any. Members that are heard count before
   * those whose connection may have died in silence.
   */
  choose(present: View | null, isHeard: (source: Source) => boolean = () => true): View | null {
    const newest = new Map<string, View>();
    const heard = [...this.#told].filter(([source]) => isHeard(source));
    for (const [, view] of heard.length > 0 ? heard : this.#told)
      if (view.number > (newest.get(view.lineage)?.number ?? 0)) newest.set(view.lineage, view);
    let best: View | null = null;
    for (const view of newest.values()) if (best === null || isBetter(view, best, present)) best = view;
    if (best === null) return present;
    const isOlder = present?.lineage === best.lineage && present.number >= best.number;
    return isOlder ? present : best;
  }

  /** Addresses to be connected to; in a fork also those of all former members: the majority may be among them. */
  addresses(view: View | null): string[] {
    const known = view?.members.map(({ address }) => address) ?? [];
    return view === null || view.parent === null ? known : [...new Set([...known, ...this.#former])];
  }
}

function isBetter(view: View, than: View, present: View | null): boolean {
  // What somebody founded by order; then the cluster that is followed already, before one that a member which was started
  // again alone has founded for itself: there nothing is of what the client knows.
  const ranks = [
    (one: View) => one.ordered,
    (one: View) => present !== null && isSameCluster(one, present),
    (one: View) => one.parent === null,
    (one: View) => one.lineage === present?.lineage,
  ];
  for (const rank of ranks) if (rank(view) !== rank(than)) return rank(view);
  return compareLineages(view, than) < 0;
}

/** The same chain or forks of it, also when a person has made a fork the chain. */
function isSameCluster(view: View, present: View): boolean {
  const root = rootOf(present);
  return rootOf(view) === root || view.replaced.includes(root);
}
