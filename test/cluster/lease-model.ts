/**
 * What the exploration of leases explores: plans, the rules that can be left out, what a member knows besides its chain
 * (`Holder`); and the product's own objects brought into that state, to ask them what it means. Called by
 * `lease-explorer.ts`.
 */
import { Succession } from '../../replication/succession.js';
import { AckAges, DRIFT_MARGIN, type Fences, Lease } from '../../src/cluster/lease.js';
import type { MemberInfo, View } from '../../src/cluster/view.js';

/** All members that a view of the exploration can name, as bits of a mask in this order. */
export const IDS = ['a', 'b', 'c'] as const;

/** One tick of a clock that runs right. */
export const TICK_MS = 100;
export const LEASE_MS = 2 * TICK_MS;
/** Older than any lease on any clock, with the margin: what is older is not told apart. */
export const OLD_TICKS = 3;
/** The `now` of a member whenever it is asked; what happened before is a number of ticks below it. */
export const NOW_MS = 10_000;

/** The primary of a view in which no member has the partition. */
export const NOBODY = '-';

/** A view of one partition. */
export class LeaseValue {
  readonly number: number;
  readonly name: string;
  readonly members: readonly MemberInfo[];
  readonly primary: string;
  /** Number of the view in which this primary took over. */
  readonly epoch: number;

  constructor(number: number, name: string, members: string, primary: string, epoch: number) {
    this.number = number;
    this.name = name;
    this.members = [...members].map((id) => ({ id, address: id, leaving: false }));
    this.primary = primary;
    this.epoch = epoch;
  }

  toJSON(): string {
    return this.name;
  }
}

export interface Proposal {
  readonly by: string;
  /** Of the view that it is to follow. */
  readonly after: number;
  /** Of the view that is proposed, oldest first. */
  readonly members: string;
  readonly primary: string;
}

export interface LeasePlan {
  readonly proposals: readonly Proposal[];
  /** Heartbeats and their acknowledgements may be late; otherwise they arrive within their tick, or never. */
  readonly lateAcks: boolean;
  /** How fast each member's clock runs: 1 unless said otherwise. */
  readonly rates?: Readonly<Record<string, number>>;
  /** A run that grows beyond this is an error of the plan, not a result. */
  readonly maxStates: number;
}

/** The rules, each of which can be left out to see that the exploration finds it. */
export const RULES = {
  noAckAfterAcceptance: true,
  noSelfCountAfterAcceptance: true,
  entryTime: true,
  agesOfAcknowledgements: true,
  wait: true,
  remainingWaitInConfirmation: true,
  confirmationOfExactlyTheViewBefore: true,
  waitAfterSkippedView: true,
  marginForDrift: true,
  leaseFromSending: true,
};
export type Rules = typeof RULES;

export interface Holder {
  /** Number of its chain's state. */
  readonly chain: number;
  /** Ticks in its view, and since it last acknowledged the primary of its view. */
  readonly entered: number;
  readonly acked: number;
  /** As primary, by member: ticks since it sent the latest heartbeat that this one acknowledged. */
  readonly acks: readonly number[];
  /** As acceptor: ages of the heartbeats that it acknowledged and whose sender has not heard of it, as bits. */
  readonly flying: number;
  /** Own time until it may serve as primary of its view; Infinity for others. */
  readonly waitMs: number;
  /** In which view it was the primary no more, and what was left of its own wait. */
  readonly ended: { readonly view: number; readonly restMs: number } | null;
  /** Primary of the view exactly before its own, or null when it was not in that. */
  readonly former: string | null;
}

export const NONE: readonly number[] = IDS.map(() => OLD_TICKS);

/** Members in order, with the speeds of their clocks, under the rules of one exploration. */
export class Judge {
  readonly #rules: Rules;
  readonly #rates: readonly number[];
  readonly #leases = new Map<string, boolean>();

  constructor(rules: Rules, rates: LeasePlan['rates']) {
    this.#rules = rules;
    this.#rates = IDS.map((id) => rates?.[id] ?? 1);
  }

  later(index: number, waitMs: number): number {
    return Math.max(0, Math.round(waitMs - TICK_MS * this.#rate(index)));
  }

  #rate(index: number): number {
    return this.#rates[index] as number;
  }

  #agoMs(index: number, ticks: number): number {
    return NOW_MS - ticks * TICK_MS * this.#rate(index);
  }

  holdsLease(index: number, { acks }: Holder, view: LeaseValue): boolean {
    const key = `${index}${view.name}/${acks.join('')}`;
    let holds = this.#leases.get(key);
    if (holds === undefined) {
      const lease = new Lease(IDS[index] as string, LEASE_MS);
      lease.adopted(view.members);
      lease.sent(NOW_MS, false);
      acks.forEach((age, i) => {
        if (age < OLD_TICKS) lease.acknowledged(IDS[i] as string, this.#agoMs(index, age));
      });
      holds = lease.holds(NOW_MS);
      this.#leases.set(key, holds);
    }
    return holds;
  }

  /** What an acceptor reports with its acceptance. */
  fences(index: number, holder: Holder, view: LeaseValue, next: LeaseValue): Fences {
    const { primary, members } = view;
    const ages = new AckAges();
    ages.entered(this.#agoMs(index, this.#rules.entryTime ? holder.entered : OLD_TICKS));
    const self = holder.acks[index] as number;
    if (primary === IDS[index] && self < OLD_TICKS) ages.acknowledged(primary, this.#agoMs(index, self));
    else if (holder.acked < OLD_TICKS) ages.acknowledged(primary, this.#agoMs(index, holder.acked));
    const fences = ages.fences(members, next.members, NOW_MS);
    if (this.#rules.agesOfAcknowledgements) return fences;
    return { ...fences, removed: fences.removed.map(({ member }) => ({ member, ageMs: fences.enteredMs })) };
  }

  /** The product's object in the state of the holder, for partition 0. */
  successionOf(index: number, { waitMs, ended }: Holder): Succession {
    // The product's object multiplies by the margin.
    const leaseMs = this.#rules.marginForDrift ? LEASE_MS : LEASE_MS / DRIFT_MARGIN;
    const succession = new Succession(
      IDS[index] as string,
      leaseMs,
      !this.#rules.remainingWaitInConfirmation,
    );
    const begin = (restMs: number) =>
      succession.begin(0, null, null, NOW_MS + restMs - leaseMs * DRIFT_MARGIN);
    if (ended !== null) {
      begin(ended.restMs);
      succession.end(0, ended.view);
    } else if (waitMs < Number.POSITIVE_INFINITY) begin(waitMs);
    return succession;
  }

  waitIn(succession: Succession): number {
    return this.#rules.wait ? Math.max(0, Math.round(succession.fromMs(0) - NOW_MS)) : 0;
  }
}

export function older(age: number): number {
  return Math.min(OLD_TICKS, age + 1);
}

/** What the product needs to know of a view. */
export function tableOf({ primary, epoch }: Pick<LeaseValue, 'primary' | 'epoch'>): View {
  const replicas = primary === NOBODY ? [] : [{ member: primary, synced: true }];
  return { table: [{ replicas, epoch }] } as unknown as View;
}

export function indexOf(id: string): number {
  return IDS.indexOf(id as (typeof IDS)[number]);
}
