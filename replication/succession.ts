/**
 * From when on a new primary may serve `consistent` structures: when no lease of a former primary can be valid any
 * more. Kept per partition for as long as this member leads it; and what a former primary tells its successor.
 * Times are those of this member's own monotonic clock. Owned by `replication.ts`.
 */
import { DRIFT_MARGIN, type Fences, takeoverWaitMs } from '../src/cluster/lease.js';
import type { MemberId, View } from '../src/cluster/view.js';

interface Ended {
  /** The view in which this member is the primary no more. */
  readonly view: number;
  readonly fromMs: number;
}

export class Succession {
  readonly #self: MemberId;
  readonly #leaseMs: number;
  /** Only for tests: a former primary confirms without what was left of its own wait. */
  readonly #confirmsWithoutWait: boolean;
  readonly #fromMs = new Map<number, number>();
  readonly #ended = new Map<number, Ended>();

  constructor(self: MemberId, leaseMs: number, confirmsWithoutWait: boolean) {
    this.#self = self;
    this.#leaseMs = leaseMs;
    this.#confirmsWithoutWait = confirmsWithoutWait;
  }

  /** Infinity for a partition that this member does not lead. */
  fromMs(partition: number): number {
    return this.#fromMs.get(partition) ?? Number.POSITIVE_INFINITY;
  }

  /**
   * This member leads the partition in a new epoch. `before`: the view exactly before this one, if it was in that;
   * `isFounding`: this is the first view of its lineage.
   */
  begin(
    partition: number,
    before: View | null,
    fences: Fences | null,
    nowMs: number,
    isFounding = false,
  ): void {
    this.#ended.delete(partition);
    const former = before?.table[partition]?.replicas[0]?.member ?? null;
    // The same primary in a new epoch: whoever led before it is as far away as it was.
    if (former === this.#self && this.#fromMs.has(partition)) return;
    // Nobody can have had a lease before the first view of a lineage.
    const waitMs = isFounding ? 0 : takeoverWaitMs(former, before === null ? null : fences, this.#leaseMs);
    this.#fromMs.set(partition, nowMs + waitMs);
  }

  /** The proposer's word on leases came after the view. */
  fenced(partition: number, before: View, fences: Fences, nowMs: number): void {
    const former = before.table[partition]?.replicas[0]?.member ?? null;
    if (former !== this.#self) this.#lower(partition, nowMs + takeoverWaitMs(former, fences, this.#leaseMs));
  }

  /** The primary of exactly the view before has stopped, and would have had to wait this long itself. */
  confirmed(partition: number, confirmMs: number, nowMs: number): void {
    this.#lower(partition, nowMs + confirmMs * DRIFT_MARGIN);
  }

  #lower(partition: number, fromMs: number): void {
    const known = this.#fromMs.get(partition);
    if (known !== undefined && fromMs < known) this.#fromMs.set(partition, fromMs);
  }

  /** This member led the partition in the view exactly before this one, and does not any more. */
  end(partition: number, view: number): void {
    const fromMs = this.#fromMs.get(partition);
    this.#fromMs.delete(partition);
    if (fromMs !== undefined) this.#ended.set(partition, { view, fromMs });
  }

  forget(partition: number): void {
    this.#fromMs.delete(partition);
    this.#ended.delete(partition);
  }

  /** What this member, if it led the partition until the view of a takeover, tells its successor; else null. */
  confirmation(partition: number, takeover: number, nowMs: number): number | null {
    const ended = this.#ended.get(partition);
    if (ended?.view !== takeover) return null;
    return this.#confirmsWithoutWait ? 0 : Math.max(0, ended.fromMs - nowMs);
  }

  clear(): void {
    this.#fromMs.clear();
    this.#ended.clear();
  }
}
