/**
 * The replicas that this member holds: the live ones by partition; those that it keeps untouched for the chain while a
 * fork has moved the partition elsewhere; and what it gives up, which is merged before it is dropped when it may hold
 * more than others do. Owned by `replication.ts`.
 */
import { DeltaLog, type LogBudget } from '../partitions/log.js';
import { PartitionReplica } from '../partitions/replica.js';
import { type ReplyBudget, SessionWindows } from '../partitions/sessions.js';
import type { Slab } from '../partitions/store/slab.js';
import type { TableEntry } from '../src/cluster/view.js';

/** Takes replicas that are not live any more and may hold what nobody else has. */
export interface LeftoverSink {
  /** `isKept`: it stays as it is when it has been merged. */
  add(replica: PartitionReplica, isKept: boolean): void;
  withdraw(replica: PartitionReplica): void;
  take(partition: number): PartitionReplica | null;
}

export class Holdings {
  readonly logBudget: LogBudget = { sizeBytes: 0 };
  readonly #replyBudget: ReplyBudget = { sizeBytes: 0 };
  readonly #slab: Slab;
  readonly #leftovers: LeftoverSink;
  readonly #live = new Map<number, PartitionReplica>();
  readonly #frozen = new Map<number, PartitionReplica>();
  /** Partitions that the chain counts on this member for, while it is in a fork. */
  #chainHeld: ReadonlySet<number> = new Set();

  constructor(slab: Slab, leftovers: LeftoverSink) {
    this.#slab = slab;
    this.#leftovers = leftovers;
  }

  get(partition: number): PartitionReplica {
    let replica = this.#live.get(partition);
    if (replica === undefined) {
      replica = new PartitionReplica(
        partition,
        this.#slab,
        new SessionWindows(this.#replyBudget),
        new DeltaLog(this.logBudget),
      );
      this.#live.set(partition, replica);
    }
    return replica;
  }

  find(partition: number): PartitionReplica | undefined {
    return this.#live.get(partition);
  }

  /** All of a partition as it is here, or as it was kept for the chain; null when that is nothing, or not all. */
  readable(partition: number, asKept: boolean): PartitionReplica | null {
    const kept = asKept ? this.#frozen.get(partition) : undefined;
    const replica = kept ?? this.#live.get(partition);
    const isThere = replica?.complete === true && replica.isWhole && replica.history.length > 0;
    return isThere ? replica : null;
  }

  all(): IterableIterator<PartitionReplica> {
    return this.#live.values();
  }

  /** Replicas kept for the chain. */
  get frozenCount(): number {
    return this.#frozen.size;
  }

  /** The partition is held here no more; `mayHoldMore`: its contents may not all be with others. */
  release(partition: number, mayHoldMore: boolean): void {
    const replica = this.#live.get(partition);
    if (replica === undefined) return;
    this.#live.delete(partition);
    if (mayHoldMore && replica.complete && replica.seq > 0) this.#leftovers.add(replica, false);
    else replica.reset();
  }

  /** Nobody has the partition any more: what is here of it, and was to be merged, is live again. False when nothing is. */
  revive(partition: number): boolean {
    const replica = this.#leftovers.take(partition);
    if (replica === null) return false;
    this.#live.get(partition)?.reset();
    this.#live.set(partition, replica);
    return true;
  }

  /**
   * The replica with which this member leads the partition from a view on: emptied when the contents were lost, else what
   * it has. Null when it was taken for a holder, and has nothing.
   */
  toLead(partition: number, entry: TableEntry, isFounding: boolean, nowMs: number): PartitionReplica | null {
    const { history, isWhole, generation } = this.get(partition);
    const isLost = entry.generation === entry.epoch && generation !== entry.generation;
    const isHolder = isLost || isFounding || (isWhole && history.length > 0);
    if (!isHolder && !this.revive(partition)) return null;
    if (isLost) this.release(partition, true);
    const replica = this.get(partition);
    if (isLost) replica.emptySinceMs = nowMs;
    replica.generation = entry.generation;
    replica.complete = true;
    return replica;
  }

  /** A fork begins: the chain counts on this member for these. */
  keepForChain(partitions: ReadonlySet<number>): void {
    this.#chainHeld = partitions;
  }

  /** The partition is held by others, or copied anew: what is here is kept for the chain as it is, or given up. */
  putAside(partition: number, mayHoldMore: boolean): void {
    if (this.#chainHeld.has(partition)) this.freeze(partition);
    else this.release(partition, mayHoldMore);
  }

  /** A fork moves the partition elsewhere; the chain believes that this member holds it, and it goes on doing so. */
  freeze(partition: number): void {
    const replica = this.#live.get(partition);
    if (replica === undefined || !replica.complete) return;
    this.#live.delete(partition);
    if (this.#frozen.has(partition)) this.#leftovers.add(replica, false);
    else {
      this.#frozen.set(partition, replica);
      // The fork goes on without its contents: what was acknowledged here for available structures belongs there too.
      this.#leftovers.add(replica, true);
    }
  }

  /** The chain goes on, or the fork has become it: what was kept for it is live again where it still counts on this member. */
  thaw(counts: (partition: number) => boolean): void {
    this.#chainHeld = new Set();
    for (const [partition, replica] of this.#frozen) {
      this.#leftovers.withdraw(replica);
      if (counts(partition)) {
        this.release(partition, true);
        this.#live.set(partition, replica);
      } else this.#leftovers.add(replica, false);
    }
    this.#frozen.clear();
  }

  /**
   * Another lineage begins: no stream of the former one is followed any more, and no copy comes to its end. One that has
   * is kept: its primary may have reported it, and a view that counts on it may be on its way.
   */
  unfollow(): void {
    for (const [partition, replica] of this.#live) {
      if (replica.isWhole) replica.epoch = 0;
      else this.release(partition, false);
    }
    for (const replica of this.#frozen.values()) replica.epoch = 0;
  }

  /** The client needs nothing below this call any more, in any partition. */
  releaseCalls(client: number, below: number, nowMs: number): void {
    for (const replica of this.#live.values()) {
      const session = replica.sessions.find(client);
      if (session === undefined) continue;
      session.lastUsedMs = nowMs;
      session.release(below);
    }
  }

  expireSessions(nowMs: number, ttlMs: number): void {
    for (const replica of this.#live.values()) replica.sessions.expire(nowMs, ttlMs);
  }
}
