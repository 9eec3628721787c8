/**
 * How old the replicas are that this member holds as a backup. It notes its own time, asks the primary's member for its
 * positions, and gets that time back with them: once a replica has such a position it is at least as new as that time. No
 * clocks are compared. Invariant: a position that was not asked for proves nothing, nor does one of another epoch, nor for
 * a `consistent` structure that of a primary without a lease. Asks only while somebody reads here; owned by `replication.ts`.
 */
import type { PartitionReplica } from '../partitions/replica.js';
import type { Reader } from '../src/base/bytes.js';
import { Asked, Demand, intervalFor } from '../src/base/demand.js';
import type { Timer } from '../src/base/ports.js';
import { lineageTag, type MemberId, type View } from '../src/cluster/view.js';
import type { Header } from '../src/wire/frame.js';
import type { BodyOf } from '../src/wire/message.js';
import * as messages from './freshness-messages.js';
import type { ReplicationHost } from './host.js';

/** What a primary says of a partition that it leads, or null. */
export type Vouch = (
  partition: number,
) => { readonly epoch: number; readonly seq: number; readonly leased: boolean } | null;

/** How often is asked when nobody says how fresh is fresh enough. */
const USUAL_INTERVAL_MS = 100;
/** Positions that a replica has not reached yet; the oldest ones are the first that it reaches. */
const MAX_PENDING = 8;

/** A primary says that it was at this position when it was asked, or later. */
interface Vouched {
  readonly epoch: number;
  readonly seq: number;
  readonly leased: boolean;
  readonly askedMs: number;
}

interface Known {
  /** The replica is at least as new as what some primary had then. */
  freshMs: number;
  /** The same for a primary under its lease. */
  leasedMs: number;
  /** In the order in which they were asked for. */
  readonly pending: Vouched[];
}

export class Freshness {
  readonly #host: ReplicationHost;
  readonly #vouch: Vouch;
  readonly #known = new Map<number, Known>();
  readonly #asked = new Asked();
  /** Partitions of which this member is a backup, by their primaries. */
  #backedUp: ReadonlyMap<MemberId, readonly number[]> = new Map();
  readonly #demand = new Demand();
  #timer: Timer | null = null;
  #isStopped = false;
  /** When this member was last seen to hold its lease. */
  leaseMs = Number.NEGATIVE_INFINITY;

  constructor(host: ReplicationHost, vouch: Vouch) {
    this.#host = host;
    this.#vouch = vouch;
  }

  /**
   * Age of a replica at the most, ms, for a read that allows `maxStalenessMs`; Infinity when nothing is known. That it is
   * asked for keeps the questions going, often enough for such reads.
   */
  ageMs(replica: PartitionReplica, isConsistent: boolean, maxStalenessMs: number | null): number {
    const nowMs = this.#host.clock.now();
    this.#demanded(nowMs, maxStalenessMs);
    const known = this.#known.get(replica.id);
    if (known === undefined) return Number.POSITIVE_INFINITY;
    settle(known, replica);
    return nowMs - (isConsistent ? known.leasedMs : known.freshMs);
  }

  /**
   * Another view was adopted; `isSwitched`: of another lineage, where nothing counts that was known of the former one. But
   * what a fork holds of consistent structures is what the chain had, and as new as it was.
   */
  adopted(view: View, isSwitched: boolean): void {
    if (isSwitched && view.parent === null) this.#known.clear();
    else if (isSwitched)
      for (const known of this.#known.values()) {
        known.freshMs = Number.NEGATIVE_INFINITY;
        known.pending.length = 0;
      }
    this.#backedUp = backedUpBy(this.#host.self, view);
  }

  /** Counts what replicas have reached by now. */
  settle(replicaOf: (partition: number) => PartitionReplica | undefined): void {
    for (const [partition, known] of this.#known) {
      const replica = replicaOf(partition);
      if (replica !== undefined) settle(known, replica);
    }
  }

  /** This member has led the partition under its lease: what it holds is at least as new as that. */
  led(partition: number): void {
    const known = this.#knownOf(partition);
    known.leasedMs = Math.max(known.leasedMs, this.leaseMs);
  }

  #knownOf(partition: number): Known {
    let known = this.#known.get(partition);
    if (known === undefined) {
      known = { freshMs: Number.NEGATIVE_INFINITY, leasedMs: Number.NEGATIVE_INFINITY, pending: [] };
      this.#known.set(partition, known);
    }
    return known;
  }

  #demanded(nowMs: number, maxStalenessMs: number | null): void {
    const wantedMs = Math.min(USUAL_INTERVAL_MS, intervalFor(maxStalenessMs ?? Number.POSITIVE_INFINITY));
    const isSooner = this.#demand.want(nowMs, wantedMs);
    if (this.#timer !== null && !isSooner) return;
    this.#timer?.cancel();
    this.#ask(nowMs);
  }

  #ask(nowMs: number): void {
    this.#timer = null;
    const inMs = this.#demand.settle(nowMs);
    if (this.#isStopped || inMs === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#host.clock.setTimer(inMs, () => this.#ask(this.#host.clock.now()));
    if (this.#host.view === null) return;
    this.#asked.add(nowMs);
    for (const [primary, partitions] of this.#backedUp)
      this.#host.send(primary, messages.positionsRequest, 0xffff, { askedMs: nowMs, partitions });
  }

  /** Handles questions about positions and their answers; false when it is neither. Of another lineage they mean nothing. */
  receive(from: MemberId, { message, lineage }: Header, reader: Reader): boolean {
    const isQuestion = message === messages.positionsRequest.id;
    if (!isQuestion && message !== messages.positions.id) return false;
    const { view } = this.#host;
    if (view === null || lineage !== lineageTag(view.lineage)) return true;
    if (isQuestion) this.#answer(from, messages.positionsRequest.read(reader));
    else this.#answered(messages.positions.read(reader));
    return true;
  }

  #answer(to: MemberId, { askedMs, partitions }: BodyOf<typeof messages.positionsRequest>): void {
    const positions = partitions.flatMap((partition) => {
      const vouched = this.#vouch(partition);
      return vouched === null ? [] : [{ partition, ...vouched }];
    });
    this.#host.send(to, messages.positions, 0xffff, { askedMs, positions });
  }

  #answered({ askedMs, positions }: BodyOf<typeof messages.positions>): void {
    if (!this.#asked.has(askedMs)) return;
    for (const { partition, epoch, seq, leased } of positions) {
      const known = this.#knownOf(partition);
      const last = known.pending.at(-1);
      if (last !== undefined && last.askedMs >= askedMs) continue;
      if (known.pending.length === MAX_PENDING) known.pending.pop();
      known.pending.push({ epoch, seq, leased, askedMs });
    }
  }

  /** The process ends. */
  stop(): void {
    this.#timer?.cancel();
    this.#isStopped = true;
  }
}

/** Counts what the replica has reached; what a primary said that it does not follow any more is void. */
function settle(known: Known, { epoch, seq }: PartitionReplica): void {
  for (let next = known.pending[0]; next !== undefined; next = known.pending[0]) {
    if (next.epoch === epoch && next.seq > seq) return;
    known.pending.shift();
    if (next.epoch !== epoch) continue;
    known.freshMs = Math.max(known.freshMs, next.askedMs);
    if (next.leased) known.leasedMs = Math.max(known.leasedMs, next.askedMs);
  }
}

/** Partitions of which the member is a backup in the view, by their primaries. */
function backedUpBy(self: MemberId, view: View): Map<MemberId, number[]> {
  const found = new Map<MemberId, number[]>();
  for (const [partition, { replicas }] of view.table.entries()) {
    const primary = replicas[0]?.member;
    const isOurs = replicas.some(({ member, synced }, i) => i > 0 && synced && member === self);
    if (primary === undefined || !isOurs) continue;
    const list = found.get(primary);
    if (list === undefined) found.set(primary, [partition]);
    else list.push(partition);
  }
  return found;
}
