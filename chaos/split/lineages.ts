/**
 * Every view that any member adopts, of the chain and of forks: two of one lineage and number are the same, nobody goes
 * back in a lineage, and nobody but the founder founds by order. It also tells what became of lineages: forks formed,
 * merged, chains continued. Called by the runner for each adoption.
 */

import type { MemberId, View } from '../../src/cluster/view.js';
import { textOf } from '../checker/views.js';

export interface Adoption {
  readonly atMs: number;
  readonly host: string;
  readonly id: MemberId;
  readonly view: View;
}

export class LineageLedger {
  readonly problems: string[] = [];
  readonly adoptions: Adoption[] = [];
  /** What happened, by the names of `requiredStates`. */
  readonly events: string[] = [];
  /** The lineage that was founded first. */
  chain: string | null = null;
  readonly #texts = new Map<string, string>();
  readonly #newest = new Map<string, View>();
  /** By lineage and partition: who held it whole in the last view of the lineage in which anybody did. */
  readonly #held = new Map<string, readonly MemberId[]>();
  readonly #now = new Map<MemberId, View>();
  readonly #forks = new Set<string>();
  readonly #isAlive: (id: MemberId) => boolean;

  constructor(isAlive: (id: MemberId) => boolean) {
    this.#isAlive = isAlive;
  }

  /** The newest view of each lineage that anybody adopted. */
  newest(): readonly View[] {
    return [...this.#newest.values()];
  }

  newestOfChain(): View | null {
    return this.chain === null ? null : (this.#newest.get(this.chain) ?? null);
  }

  /** Who has all of a partition as of a view; of one that nobody holds, who had it last. */
  holders({ lineage, parent, table }: View, partition: number): readonly MemberId[] {
    const held = this.#held.get(`${lineage} ${partition}`);
    const inherited = parent === null ? undefined : this.#held.get(`${parent.lineage} ${partition}`);
    return held ?? inherited ?? table[partition]?.lastSynced ?? [];
  }

  /** By the newest view of its lineage that this one adopted; the views of the chain are known to a majority. */
  knowsThatItHolds(member: MemberId, { lineage, parent }: View, partition: number): boolean {
    if (parent === null) return true;
    const own = this.adoptions.findLast(({ id, view }) => id === member && view.lineage === lineage)?.view;
    const replicas = own?.table[partition]?.replicas ?? [];
    return replicas.some((replica) => replica.member === member && replica.synced);
  }

  /** The newest view of the chain that one of these has adopted. */
  newestOfChainAmong(knows: (id: MemberId) => boolean): View | null {
    let newest: View | null = null;
    for (const { id, view } of this.adoptions)
      if (view.lineage === this.chain && knows(id) && view.number > (newest?.number ?? 0)) newest = view;
    return newest;
  }

  /** Views of the chain in the order in which somebody first adopted them. */
  chainViews(): Adoption[] {
    const seen = new Set<number>();
    return this.adoptions.filter(({ view }) => {
      if (view.lineage !== this.chain || seen.has(view.number)) return false;
      seen.add(view.number);
      return true;
    });
  }

  /** The last view that a host adopted before a time. */
  viewAt(host: string, atMs: number): View | null {
    let found: View | null = null;
    for (const adoption of this.adoptions) {
      if (adoption.atMs > atMs) break;
      if (adoption.host === host) found = adoption.view;
    }
    return found;
  }

  adopted(atMs: number, host: string, id: MemberId, view: View): void {
    this.chain ??= view.lineage;
    const isFirst = this.#compare(host, view);
    const before = this.#now.get(id) ?? null;
    if (before !== null && before.lineage === view.lineage && before.number > view.number)
      this.problems.push(`${host} went back from view ${before.number} to ${view.number} of one lineage`);
    this.adoptions.push({ atMs, host, id, view });
    if (isFirst) this.#first(view);
    this.#moved(before, view, isFirst);
    this.#now.set(id, view);
  }

  /** Whether this view is the first of its lineage and number. */
  #compare(host: string, view: View): boolean {
    const name = `${view.lineage} ${view.number}`;
    const parent = view.parent === null ? '' : `fork of ${view.parent.lineage} ${view.parent.number}; `;
    const text = `${parent}${view.ordered ? 'ordered; ' : ''}${textOf(view)}`;
    const known = this.#texts.get(name);
    if (known !== undefined) {
      if (known !== text)
        this.problems.push(`${host} adopted another view ${name}: ${text} instead of ${known}`);
      return false;
    }
    this.#texts.set(name, text);
    const newest = this.#newest.get(view.lineage);
    if (newest !== undefined && newest.number > view.number) return true;
    this.#newest.set(view.lineage, view);
    for (const [partition, { replicas }] of view.table.entries()) {
      const held = replicas.filter(({ synced }) => synced).map(({ member }) => member);
      if (held.length > 0) this.#held.set(`${view.lineage} ${partition}`, held);
    }
    return true;
  }

  #first(view: View): void {
    const { lineage, parent, ordered } = view;
    if (lineage === this.chain) {
      const former = view.members.map(({ id }) => this.#now.get(id)).filter((v) => v !== undefined);
      if (former.length > 1 && former.every((v) => v.parent !== null))
        this.events.push('chain continued from forks');
      for (const [id, its] of this.#now) {
        const isOut = !view.members.some((member) => member.id === id);
        if (isOut && its.lineage === lineage && this.#isAlive(id)) this.events.push('member left behind');
      }
      return;
    }
    if (this.#forks.has(lineage)) return;
    this.#forks.add(lineage);
    if (parent === null) {
      this.events.push('cluster founded apart');
      if (ordered) this.problems.push(`a second lineage (${lineage}) says that it was founded by order`);
    } else {
      this.events.push(parent.lineage === this.chain ? 'fork formed' : 'fork of a fork');
    }
  }

  #moved(before: View | null, view: View, isFirst: boolean): void {
    if (before === null || before.lineage === view.lineage) return;
    const toChain = view.lineage === this.chain;
    if (before.parent !== null && toChain && !isFirst) this.events.push('fork merged into chain');
    if (before.parent !== null && !toChain && view.parent !== null) this.events.push('fork merged with fork');
    if (before.parent === null && before.lineage !== this.chain)
      this.events.push('cluster founded apart merged');
  }
}
