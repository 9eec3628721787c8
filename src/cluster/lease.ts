/**
 * The lease: the right to serve `consistent` structures, proven by acknowledged heartbeats and judged on this member's
 * own monotonic clock; and its other half, what an acceptor of the next view knows about the leases that it has
 * helped to. Invariants: a lease belongs to one view; it ends `leaseMs` after the sending of the latest heartbeat that
 * a quorum of the view acknowledged. Sans-io; called by `lineages.ts`, explored exhaustively by the tests.
 */
import { isQuorum, type MemberId, type MemberInfo } from './view.js';

/** Clocks may differ this much in speed: whoever waits for another's lease to end waits this much longer. */
export const DRIFT_MARGIN = 1.05;

/** How long nobody can have had a lease for, as the acceptors that chose a view know it. */
export interface Fences {
  /** How long all of them have been in the view before, ms. */
  readonly enteredMs: number;
  /** For members that the new view does not have: how long ago any of them last acknowledged these, ms. */
  readonly removed: readonly { readonly member: MemberId; readonly ageMs: number }[];
}

export class Lease {
  readonly #self: MemberId;
  readonly #leaseMs: number;
  #members: readonly MemberInfo[] = [];
  /** By member: when this one sent the latest heartbeat that it acknowledged. */
  readonly #acknowledged = new Map<MemberId, number>();
  #sentMs = Number.NEGATIVE_INFINITY;
  /** On this member's own clock; -Infinity without a lease. */
  untilMs = Number.NEGATIVE_INFINITY;

  constructor(self: MemberId, leaseMs: number) {
    this.#self = self;
    this.#leaseMs = leaseMs;
  }

  /** A view was adopted, or none counts any more: a lease ends with its view. */
  adopted(members: readonly MemberInfo[]): void {
    this.#members = members;
    this.#acknowledged.clear();
    this.#sentMs = Number.NEGATIVE_INFINITY;
    this.untilMs = Number.NEGATIVE_INFINITY;
  }

  /** A heartbeat of this view leaves now; `counts`: this member itself has accepted no successor of the view. */
  sent(sentMs: number, counts: boolean): void {
    this.#sentMs = sentMs;
    if (counts) this.acknowledged(this.#self, sentMs);
  }

  /** A member of the same view, which has accepted no successor, acknowledged the heartbeat that was sent then. */
  acknowledged(from: MemberId, sentMs: number): void {
    if (sentMs > this.#sentMs || sentMs <= (this.#acknowledged.get(from) ?? Number.NEGATIVE_INFINITY)) return;
    this.#acknowledged.set(from, sentMs);
    // Whoever acknowledged a later heartbeat gives at least as much as for an earlier one.
    for (const t of new Set(this.#acknowledged.values())) {
      if (t + this.#leaseMs <= this.untilMs) continue;
      if (isQuorum(this.#members, (id) => (this.#acknowledged.get(id) ?? Number.NEGATIVE_INFINITY) >= t))
        this.untilMs = t + this.#leaseMs;
    }
  }

  holds(nowMs: number): boolean {
    return nowMs < this.untilMs;
  }
}

/** What an acceptor reports with its acceptance of the next view. */
export class AckAges {
  readonly #acknowledgedMs = new Map<MemberId, number>();
  #enteredMs = Number.NEGATIVE_INFINITY;

  /** A view was adopted: what was acknowledged under an earlier one is older than that. */
  entered(nowMs: number): void {
    this.#acknowledgedMs.clear();
    this.#enteredMs = nowMs;
  }

  /** The member's heartbeat is acknowledged now. */
  acknowledged(member: MemberId, nowMs: number): void {
    this.#acknowledgedMs.set(member, nowMs);
  }

  /** How long ago it helped the member to a lease at the latest, in this view or an earlier one. */
  ageOf(member: MemberId, nowMs: number): number {
    const acknowledgedMs = this.#acknowledgedMs.get(member) ?? Number.NEGATIVE_INFINITY;
    return nowMs - Math.max(acknowledgedMs, this.#enteredMs);
  }

  /** How long ago it acknowledged the member, whatever view that was in. */
  sinceAck(member: MemberId, nowMs: number): number {
    return nowMs - (this.#acknowledgedMs.get(member) ?? Number.MIN_SAFE_INTEGER);
  }

  /** For the view `next` after the one with these members. */
  fences(members: readonly MemberInfo[], next: readonly MemberInfo[], nowMs: number): Fences {
    const removed = members
      .filter(({ id }) => !next.some((member) => member.id === id))
      .map(({ id }) => ({ member: id, ageMs: this.ageOf(id, nowMs) }));
    return { enteredMs: nowMs - this.#enteredMs, removed };
  }
}

/** What all of them together guarantee. */
export function weakest(fences: readonly Fences[]): Fences {
  const [first, ...others] = fences;
  if (first === undefined) return { enteredMs: 0, removed: [] };
  return {
    enteredMs: Math.min(...fences.map(({ enteredMs }) => enteredMs)),
    removed: first.removed.map(({ member, ageMs }) => {
      const ages = others.map(({ removed }) => removed.find((r) => r.member === member)?.ageMs ?? 0);
      return { member, ageMs: Math.min(ageMs, ...ages) };
    }),
  };
}

/**
 * How long a new primary of `consistent` structures waits from when it learned of the view: nothing when all who chose
 * it know that the lease of the former primary has ended (null: the partition had none in the view before).
 */
export function takeoverWaitMs(former: MemberId | null, fences: Fences | null, leaseMs: number): number {
  const waitMs = leaseMs * DRIFT_MARGIN;
  if (fences === null || fences.enteredMs <= waitMs) return waitMs;
  if (former === null) return 0;
  const age = fences.removed.find(({ member }) => member === former)?.ageMs ?? 0;
  return age > waitMs ? 0 : waitMs;
}
