/**
 * Ends what nobody gives back: locks whose lease is over, and those of sessions that are dead. Invariants: each end is a
 * change of its own that travels to the backups, so it holds after a promotion too; only primaries decide, on their
 * monotonic clock, and a lease begins anew with each primary, so it is never shorter than promised. Owned by
 * `replication.ts`.
 */
import type { PartitionReplica } from '../partitions/replica.js';
import type { SelfEnding } from '../partitions/service.js';
import type { ReplicationHost } from './host.js';
import type { PrimaryStream } from './primary.js';

/** How often sessions are looked at. */
const LOOK_MS = 1_000;

export class LockKeeper {
  readonly #host: ReplicationHost;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** When the next lease ends that is known. */
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(host: ReplicationHost) {
    this.#host = host;
  }

  /** To be called often. */
  tick(primaries: Iterable<PrimaryStream>, nowMs: number): void {
    const executor = this.#host.executor();
    const dueMs = Math.min(this.#dueMs, executor.endsMs);
    if (nowMs < dueMs && nowMs - this.#lookedMs < LOOK_MS) return;
    this.#lookedMs = nowMs;
    this.#dueMs = Number.POSITIVE_INFINITY;
    executor.endsMs = Number.POSITIVE_INFINITY;
    for (const { replica } of primaries) {
      const locked = replica.locked();
      for (const { serviceId, name, locks } of locked) this.#end(replica, serviceId, name, locks, nowMs);
    }
  }

  #end(replica: PartitionReplica, serviceId: number, name: string, locks: SelfEnding, nowMs: number): void {
    const { ledSinceMs } = replica;
    const isGone = (client: number, sinceMs: number) => this.#host.isGone(client, sinceMs, ledSinceMs);
    const over = locks.over(nowMs, isGone);
    const executor = this.#host.executor();
    const service = executor.service(serviceId);
    if (over.size > 0 && service !== undefined)
      executor.own(replica, service, name, (context) => locks.end(over, context));
    this.#dueMs = Math.min(this.#dueMs, nowMs + locks.nextEndMs(nowMs));
  }
}
