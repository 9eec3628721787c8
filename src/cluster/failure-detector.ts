/**
 * Who is heard, and by whom. A member is gone for me after `suspicionMs` without its heartbeat, or without finding
 * myself in it: hearing must be mutual, or a member that can speak but not hear would stay for ever. Sans-io: time
 * is an argument. Used by `membership.ts`.
 */
import type { MemberId } from './view.js';

interface Peer {
  /** When its last heartbeat arrived. */
  heardMs: number;
  /** When a heartbeat of it last named me among those that it hears. */
  listedMs: number;
  /** Whom its last heartbeat named. */
  hears: ReadonlySet<MemberId>;
  /** Since when it names members no longer that it named before. */
  missesMs: Map<MemberId, number>;
}

export class FailureDetector {
  readonly #self: MemberId;
  readonly #suspicionMs: number;
  readonly #peers = new Map<MemberId, Peer>();

  constructor(self: MemberId, suspicionMs: number) {
    this.#self = self;
    this.#suspicionMs = suspicionMs;
  }

  /** A member that is expected from now on: it gets one suspicion time to be heard. */
  expect(id: MemberId, nowMs: number): void {
    if (id === this.#self || this.#peers.has(id)) return;
    this.#peers.set(id, { heardMs: nowMs, listedMs: nowMs, hears: new Set(), missesMs: new Map() });
  }

  forget(id: MemberId): void {
    this.#peers.delete(id);
  }

  heartbeat(from: MemberId, hears: Iterable<MemberId>, nowMs: number): void {
    const list = new Set(hears);
    const known = this.#peers.get(from);
    const listedMs = list.has(this.#self) ? nowMs : (known?.listedMs ?? Number.NEGATIVE_INFINITY);
    const missesMs = known?.missesMs ?? new Map<MemberId, number>();
    for (const id of known?.hears ?? []) if (!list.has(id)) missesMs.set(id, nowMs);
    for (const [id, sinceMs] of missesMs)
      if (list.has(id) || nowMs - sinceMs > this.#suspicionMs) missesMs.delete(id);
    this.#peers.set(from, { heardMs: nowMs, listedMs, hears: list, missesMs });
  }

  /** Its process has certainly ended (its address answers as another process, or it said goodbye). */
  dead(id: MemberId): void {
    this.#peers.set(id, {
      heardMs: Number.NEGATIVE_INFINITY,
      listedMs: Number.NEGATIVE_INFINITY,
      hears: new Set(),
      missesMs: new Map(),
    });
  }

  /** Whether its heartbeats arrive. */
  hears(id: MemberId, nowMs: number): boolean {
    if (id === this.#self) return true;
    const peer = this.#peers.get(id);
    return peer !== undefined && nowMs - peer.heardMs <= this.#suspicionMs;
  }

  /** Whether a heartbeat of it arrived that lately. */
  heardWithin(id: MemberId, withinMs: number, nowMs: number): boolean {
    return (
      id === this.#self || nowMs - (this.#peers.get(id)?.heardMs ?? Number.NEGATIVE_INFINITY) <= withinMs
    );
  }

  /** Whether its heartbeats arrive and ours arrive there. */
  isMutual(id: MemberId, nowMs: number): boolean {
    if (id === this.#self) return true;
    const peer = this.#peers.get(id);
    return peer !== undefined && this.hears(id, nowMs) && nowMs - peer.listedMs <= this.#suspicionMs;
  }

  /** Whether a and b hear each other, as far as is known here. */
  connected(a: MemberId, b: MemberId, nowMs: number): boolean {
    if (a === b) return true;
    if (a === this.#self) return this.isMutual(b, nowMs);
    if (b === this.#self) return this.isMutual(a, nowMs);
    const [peerA, peerB] = [this.#peers.get(a), this.#peers.get(b)];
    if (peerA === undefined || peerB === undefined) return false;
    return this.#says(peerA, b, nowMs) && this.#says(peerB, a, nowMs);
  }

  /**
   * Whether a peer hears another one, by its last heartbeats. Of a crash everyone learns at a slightly different
   * time: who misses first must not be taken for the one that is cut off, so its word counts only when the dead one
   * would have been missed here as well.
   */
  #says(peer: Peer, about: MemberId, nowMs: number): boolean {
    // One that was admitted a moment ago has not been able to list anybody yet.
    if (peer.hears.size === 0 || peer.hears.has(about)) return true;
    const sinceMs = peer.missesMs.get(about);
    return sinceMs !== undefined && nowMs - sinceMs <= this.#suspicionMs;
  }

  /** As `connected`, but what a member has not said counts as no: for the admission of newcomers. */
  confirmed(a: MemberId, b: MemberId, nowMs: number): boolean {
    const says = (from: MemberId, about: MemberId) => {
      if (from === this.#self) return this.hears(about, nowMs);
      return this.hears(from, nowMs) && this.#peers.get(from)?.hears.has(about) === true;
    };
    return says(a, b) && says(b, a);
  }

  /** Everyone whose heartbeats arrive, in a fixed order: what our own heartbeat lists. */
  heard(nowMs: number): MemberId[] {
    return [...this.#peers.keys()].filter((id) => this.hears(id, nowMs)).sort();
  }
}

/**
 * The largest set of members that contains `self` and is connected pair by pair; among equally large ones that
 * with the older members (the order of `members`, oldest first). Exact, by branch and bound.
 */
export function largestConnectedSet(
  members: readonly MemberId[],
  self: MemberId,
  connected: (a: MemberId, b: MemberId) => boolean,
): MemberId[] {
  const near = members.filter((id) => id === self || connected(self, id));
  let best: MemberId[] = [];
  // The steps are bounded: a pathological graph of hundreds of members ends with the best set so far.
  let stepsLeft = 200_000;
  const extend = (chosen: MemberId[], candidates: MemberId[]): void => {
    if (chosen.length > best.length) best = chosen;
    for (let i = 0; i < candidates.length; i++) {
      if (chosen.length + candidates.length - i <= best.length || stepsLeft-- <= 0) return;
      const next = candidates[i] as MemberId;
      extend(
        [...chosen, next],
        candidates.slice(i + 1).filter((id) => connected(next, id)),
      );
    }
  };
  extend(
    [self],
    near.filter((id) => id !== self),
  );
  const set = new Set(best);
  return members.filter((id) => set.has(id));
}
