/**
 * What a member knows of the processes around it, whatever views they are in: who is heard, who wants to leave, who
 * has certainly ended. Shared by the chain and a fork. Sans-io; owned by `lineages.ts`.
 */
import { FailureDetector } from './failure-detector.js';
import { isQuorum, type MemberId, type View } from './view.js';

/** Where a member said that it is, in its last heartbeat. */
export interface Whereabouts {
  readonly lineage: number;
  readonly view: number;
  /** The chain that it belongs to: another one than `lineage` in a fork. */
  readonly chain: number;
  /** What the view promises about changed presets holds there. */
  readonly kept: boolean;
}

/** Dead processes that are remembered. */
const MAX_DEAD = 10_000;

export class Roster {
  readonly self: MemberId;
  readonly detector: FailureDetector;
  readonly leaving = new Set<MemberId>();
  readonly #dead = new Set<MemberId>();
  /** Those that said goodbye: they do not come back. */
  readonly #left = new Set<MemberId>();
  /** When the address of a dead member was found to answer as another process. */
  readonly replacedMs = new Map<MemberId, number>();
  readonly #whereabouts = new Map<MemberId, Whereabouts & { readonly sinceMs: number }>();
  isLeavingItself = false;

  constructor(self: MemberId, suspicionMs: number) {
    this.self = self;
    this.detector = new FailureDetector(self, suspicionMs);
  }

  isDead(id: MemberId): boolean {
    return this.#dead.has(id);
  }

  isLeaving(id: MemberId): boolean {
    return id === this.self ? this.isLeavingItself : this.leaving.has(id);
  }

  whereabouts(id: MemberId): (Whereabouts & { readonly sinceMs: number }) | undefined {
    return this.#whereabouts.get(id);
  }

  /** A heartbeat arrived. */
  heartbeat(
    from: MemberId,
    at: Whereabouts,
    leaving: boolean,
    hears: Iterable<MemberId>,
    nowMs: number,
  ): void {
    this.detector.heartbeat(from, hears, nowMs);
    const before = this.#whereabouts.get(from);
    const isSame = before?.lineage === at.lineage && before.chain === at.chain;
    this.#whereabouts.set(from, { ...at, sinceMs: isSame ? before.sinceMs : nowMs });
    // Its address answered as another process, and yet it lives: it has more than one address, or moved.
    if (this.#dead.has(from) && !this.#left.has(from)) {
      this.#dead.delete(from);
      this.replacedMs.delete(from);
    }
    if (leaving) this.leaving.add(from);
  }

  /** The address of a member answered as another process, which may want to take its place. */
  replaced(id: MemberId, nowMs: number): void {
    if (id === this.self || this.#dead.has(id)) return;
    this.replacedMs.set(id, nowMs);
    this.markDead(id);
  }

  saidGoodbye(id: MemberId): void {
    if (this.#left.size > MAX_DEAD) this.#left.clear();
    this.#left.add(id);
    this.markDead(id);
  }

  /** The process has ended: it said goodbye, or its address answered as another process. */
  markDead(id: MemberId): void {
    if (id === this.self || this.#dead.has(id)) return;
    if (this.#dead.size > MAX_DEAD) this.#dead.clear();
    this.#dead.add(id);
    this.detector.dead(id);
  }

  forget(id: MemberId): void {
    this.detector.forget(id);
    this.leaving.delete(id);
    this.replacedMs.delete(id);
    this.#whereabouts.delete(id);
  }

  /** It has belonged to other lineages than this one since before that time, and long enough to have learned better. */
  isElsewhere(id: MemberId, tag: number, beforeMs: number): boolean {
    const at = this.#whereabouts.get(id);
    return at !== undefined && at.lineage !== tag && at.chain !== tag && at.sinceMs < beforeMs;
  }

  /** Whether this member hears, and is heard by, a quorum of the view. */
  hasQuorum(view: View, nowMs: number): boolean {
    return isQuorum(view.members, (id) => this.detector.isMutual(id, nowMs));
  }

  /** Members that are heard now, both ways, this one included. */
  heardOf(view: View, nowMs: number): number {
    return view.members.filter(({ id }) => this.detector.isMutual(id, nowMs)).length;
  }
}
