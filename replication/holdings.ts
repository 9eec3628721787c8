/**
 * The replicas that this member holds: the live ones by partition; those that it keeps untouched for the chain while a
 * fork has moved the partition elsewhere; and what it gives up, which is merged before it is dropped when it may hold
 * more than others do. Owned by `replication.ts`.
 */
import { DeltaLog, type LogBudget } from '../partitions/log.js';
import { PartitionReplica } from '../partitions/replica.js';
import { type ReplyBudget, SessionWindows } from '../partitions/sessions.js';
import type { Slab } from '../partitions/store/slab.js';

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

  /** The chain goes on: what was kept for it is live again where it still counts on this member. */
  thaw(counts: (partition: number) => boolean): void {
    for (const [partition, replica] of this.#frozen) {
      this.#leftovers.withdraw(replica);
      if (counts(partition)) {
        this.release(partition, true);
        this.#live.set(partition, replica);
      } else this.#leftovers.add(replica, false);
    }
    this.#frozen.clear();
  }

  /** Another lineage begins: no stream of the former one is followed any more, and no copy comes to its end. */
  unfollow(): void {
    for (const [partition, replica] of this.#live) {
      if (replica.complete) replica.epoch = 0;
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
