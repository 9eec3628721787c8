/**
 * Lineages that this member is not in but hears of: their newest views, and which of them it asked to be taken in by.
 * Owned by `lineages.ts`.
 */
import { compareLineages, refuseEachOther } from './rank.js';
import type { Roster } from './roster.js';
import { hasMember, lineageTag, type View } from './view.js';

/** Lineages that are remembered at a time. */
const MAX_OTHERS = 64;

interface Other {
  view: View;
  seenMs: number;
}

export class Others {
  readonly #roster: Roster;
  readonly #suspicionMs: number;
  readonly #views = new Map<string, Other>();
  readonly #asked = new Set<string>();

  constructor(roster: Roster, suspicionMs: number) {
    this.#roster = roster;
    this.#suspicionMs = suspicionMs;
  }

  /** A view of another lineage was told. */
  note(view: View, nowMs: number): void {
    const known = this.#views.get(view.lineage);
    if (known === undefined && this.#views.size >= MAX_OTHERS) this.#dropOldest();
    if (known === undefined || view.number >= known.view.number)
      this.#views.set(view.lineage, { view, seenMs: nowMs });
  }

  #dropOldest(): void {
    const [oldest] = [...this.#views].sort(([, a], [, b]) => a.seenMs - b.seenMs);
    if (oldest !== undefined) this.#views.delete(oldest[0]);
  }

  forget(lineage: string): void {
    this.#views.delete(lineage);
    this.#asked.delete(lineage);
  }

  asked(lineage: string): void {
    if (this.#asked.size > MAX_OTHERS) this.#asked.clear();
    this.#asked.add(lineage);
  }

  wasAsked(lineage: string): boolean {
    return this.#asked.has(lineage);
  }

  views(): View[] {
    return [...this.#views.values()].map(({ view }) => view);
  }

  /** Number of the newest view of a lineage, 0 for one that is not known. */
  numberOf(tag: number): number {
    return this.views().find(({ lineage }) => lineageTag(lineage) === tag)?.number ?? 0;
  }

  /** Whether members of another lineage hear this one and are heard. */
  isHeard(nowMs: number): boolean {
    return this.views().some((view) => this.#isAlive(view, nowMs));
  }

  #isAlive(view: View, nowMs: number): boolean {
    const tag = lineageTag(view.lineage);
    return view.members.some(
      ({ id }) => this.#roster.whereabouts(id)?.lineage === tag && this.#roster.detector.isMutual(id, nowMs),
    );
  }

  /** The lineage that is heard and stays when it meets our own, and one that refuses to. */
  best(own: View, chain: View | null, nowMs: number): { target: View | null; refusing: View | null } {
    let target: View | null = null;
    let refusing: View | null = null;
    const isChainWithoutUs = chain !== null && !hasMember(chain, this.#roster.self);
    // A majority of the chain that is together again continues it before any fork merges.
    const chainReturns = chain !== null && !isChainWithoutUs && this.#roster.hasQuorum(chain, nowMs);
    for (const view of [...this.views(), ...(isChainWithoutUs ? [chain] : [])]) {
      if (view.lineage === own.lineage) continue;
      const isNear = view.members.every(({ id }) => this.#roster.detector.isMutual(id, nowMs));
      if (!this.#isAlive(view, nowMs)) {
        const seenMs = this.#views.get(view.lineage)?.seenMs ?? nowMs;
        if (nowMs - seenMs > 10 * this.#suspicionMs) this.#views.delete(view.lineage);
      } else if (refuseEachOther(own, view)) refusing = view;
      // One that this member can not hear as a whole can not take it in; another one may.
      else if (chainReturns && view.parent !== null) continue;
      else if (isNear && compareLineages(view, target ?? own) < 0) target = view;
    }
    return { target, refusing };
  }
}
