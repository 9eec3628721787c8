/**
 * The addresses that a member keeps connections to: those of its views, of processes that called it, of its `join`
 * list, and, so that sides of a split find each other again, every address that it ever knew. Called by the
 * member's composition.
 */
import type { MemberId, View } from '../cluster/view.js';

/** Addresses of former members that are still tried. */
const MAX_FORMER = 1000;
const MAX_CALLERS = 1000;
const MAX_MEMBERS_KNOWN = 10_000;

export class Addresses {
  readonly #join: readonly string[];
  /** How long a former member's address is tried. */
  readonly #keptMs: number;
  readonly #callers = new Map<MemberId, string>();
  readonly #former = new Map<string, number>();
  /** Members of all views so far, and where they were. */
  readonly #members = new Map<MemberId, string>();

  constructor(join: readonly string[], keptMs: number) {
    this.#join = join;
    this.#keptMs = keptMs;
  }

  /** A process wants to talk to this member; false when that is known. */
  called(id: MemberId, address: string): boolean {
    if (this.#callers.get(id) === address) return false;
    if (this.#callers.size >= MAX_CALLERS) this.#callers.clear();
    this.#callers.set(id, address);
    return true;
  }

  /** Members that were at this address before the process `id`, which answers there now: they have ended. */
  replacedAt(address: string, id: MemberId): MemberId[] {
    return [...this.#members].flatMap(([member, at]) => (at === address && member !== id ? [member] : []));
  }

  /** Forgets callers that are gone. */
  prune(isGone: (id: MemberId, address: string) => boolean, nowMs: number): void {
    for (const [id, address] of this.#callers) if (isGone(id, address)) this.#callers.delete(id);
    for (const [address, knownMs] of this.#former)
      if (nowMs - knownMs > this.#keptMs) this.#former.delete(address);
  }

  wanted(self: string, views: readonly (View | null)[], more: readonly string[], nowMs: number): Set<string> {
    const wanted = new Set<string>([...this.#callers.values(), ...this.#join, ...more]);
    for (const view of views)
      for (const { id, address } of view?.members ?? []) {
        if (this.#members.size < MAX_MEMBERS_KNOWN) this.#members.set(id, address);
        wanted.add(address);
        if (this.#former.has(address) || this.#former.size < MAX_FORMER) this.#former.set(address, nowMs);
      }
    for (const address of this.#former.keys()) wanted.add(address);
    wanted.delete(self);
    return wanted;
  }
}
