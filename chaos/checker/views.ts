/**
 * Collects every view that any member adopts and holds them against each other: there is one lineage with its forks, one
 * view of each number, and nobody leaves it that was alive and did not ask to. Called by the runner for each adoption.
 */
import type { MemberId, View } from '../../src/cluster/view.js';

/** What is known of a process when a view without it appears. */
export type Standing = 'running' | 'leaving' | 'left' | 'crashed';

export class ViewLedger {
  readonly problems: string[] = [];
  /** Members that were removed although they were alive. */
  wrongRemovals = 0;
  /** Members that left by their own will and did not hand over everything. */
  leftWithData = 0;
  /** Views whose former oldest member was gone: somebody else had to propose them. */
  takeovers = 0;
  readonly #texts = new Map<number, string>();
  /** Lineages of forks. */
  readonly forks = new Set<string>();
  readonly #forkTexts = new Map<string, string>();
  readonly #views = new Map<number, View>();
  readonly #standing: (id: MemberId) => Standing;
  #lineage: string | null = null;

  constructor(standing: (id: MemberId) => Standing) {
    this.#standing = standing;
  }

  get highest(): number {
    return Math.max(0, ...this.#views.keys());
  }

  /** A member adopted this view, or learned it as one that it is not in. */
  adopted(host: string, view: View): void {
    if (this.#lineage === null) this.#lineage = view.lineage;
    if (view.parent?.lineage === this.#lineage) {
      this.#fork(host, view);
      return;
    }
    if (view.lineage !== this.#lineage) {
      this.problems.push(`${host} is in another lineage (${view.lineage}) than the first (${this.#lineage})`);
      return;
    }
    const text = textOf(view);
    const known = this.#texts.get(view.number);
    if (known === undefined) {
      this.#texts.set(view.number, text);
      this.#views.set(view.number, view);
      this.#compareWithFormer(view);
    } else if (known !== text) {
      this.problems.push(`${host} adopted another view ${view.number}: ${text} instead of ${known}`);
    }
  }

  /** A side without the majority goes on by itself, under views of its own. */
  #fork(host: string, view: View): void {
    this.forks.add(view.lineage);
    const key = `${view.lineage} ${view.number}`;
    const text = textOf(view);
    const known = this.#forkTexts.get(key);
    if (known === undefined) this.#forkTexts.set(key, text);
    else if (known !== text)
      this.problems.push(`${host} adopted another view ${key}: ${text} instead of ${known}`);
  }

  #compareWithFormer(view: View): void {
    const before = this.#views.get(view.number - 1);
    if (before === undefined) return;
    const present = new Set(view.members.map(({ id }) => id));
    for (const { id } of before.members) {
      if (present.has(id)) continue;
      const standing = this.#standing(id);
      // Who leaves goes when it has handed everything over; before that it was suspected.
      if (standing === 'running' || (standing === 'leaving' && holds(before, id))) this.wrongRemovals++;
      // What was not yet synced is no data: whoever leaves before it knows that it is a member has nothing else.
      if (standing === 'left' && holds(before, id, true)) this.leftWithData++;
    }
    const oldest = before.members[0]?.id;
    if (oldest !== undefined && !present.has(oldest) && this.#standing(oldest) === 'crashed')
      this.takeovers++;
  }
}

function holds(view: View, id: MemberId, onlySynced = false): boolean {
  return view.table.some(({ replicas }) =>
    replicas.some(({ member, synced }) => member === id && (synced || !onlySynced)),
  );
}

/** Everything in a view, short: members and replicas by the first digits of their ids, `*` when synced. */
export function textOf(view: View): string {
  const short = (id: MemberId) => id.slice(0, 8);
  const members = view.members.map(
    ({ id, address, leaving }) => `${short(id)}@${address}${leaving ? '-' : ''}`,
  );
  const table = view.table.map((entry) => {
    const replicas = entry.replicas
      .map(({ member, synced }) => short(member) + (synced ? '*' : ''))
      .join(',');
    const marks = `${entry.settled ? 's' : ''}${entry.moving ? 'm' : ''}${entry.generation}`;
    return `${entry.epoch}${marks}[${replicas}](${entry.lastSynced.map(short).join(',')})`;
  });
  const target = view.target.map((ids) => ids.map(short).join(','));
  const structures = JSON.stringify(
    view.structures.map(({ service, pattern, options }) => [service, pattern, options]),
  );
  return `${view.slots} slots; ${members.join(' ')}; ${table.join(' ')}; ${target.join(' ')}; ${structures}`;
}
