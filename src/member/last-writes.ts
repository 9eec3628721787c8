/**
 * What a member tells stores before it ends, when nobody stays who would tell them later. Invariants: while it is on, all
 * that is owed is due and nothing more is taken that would be owed; it is over when nothing is owed, or when no write has
 * got through to a store for as long as one may take, so that a store which is down does not keep a member from its end.
 * Owned by the member's stores; the member's leave turns it on and waits for it.
 */
import type { PartitionReplica } from '../../partitions/replica.js';
import type { PendingWrites } from '../../partitions/services/map/pending.js';
import type { StoreOptions } from '../../partitions/services/map/store-options.js';
import type { WhyNot } from '../../partitions/store-port.js';
import type { Clock, Logger } from '../base/ports.js';
import { isProblem, type MapOfStore } from './open-stores.js';

/** What the store refused is tried again so often. */
const RETRY_MS = 500;
/** A call that takes all its time is answered a little later. */
const SLACK_MS = 500;

/** What one partition of a map owes its store. */
export interface HeldMap {
  readonly name: string;
  readonly options: StoreOptions;
  readonly replica: PartitionReplica;
  readonly pending: PendingWrites;
  /** What a former primary may still be writing is left alone for so long, by whoever leads now. */
  readonly heldUntilMs: number;
}

export interface LastWritesHost {
  readonly clock: Clock;
  readonly logger: Logger;
  /** All that is owed here, as primary or backup. */
  held(): Iterable<HeldMap>;
  isLed(partition: number): boolean;
  open(map: string): MapOfStore | WhyNot;
  /** This member will not write to the store as long as it is where it is. */
  isBarred(options: StoreOptions): boolean;
}

export class LastWrites {
  readonly #host: LastWritesHost;
  #sinceMs: number | null = null;
  #hurriedMs = Number.NEGATIVE_INFINITY;

  constructor(host: LastWritesHost) {
    this.#host = host;
  }

  get isOn(): boolean {
    return this.#sinceMs !== null;
  }

  /** `isOn`: whether nobody stays who would tell the stores later. */
  turn(isOn: boolean): void {
    if (isOn !== this.isOn) this.#sinceMs = isOn ? this.#host.clock.now() : null;
  }

  /** Makes everything due; to be called before what is due is sent. */
  tick(): void {
    if (!this.isOn) return;
    const nowMs = this.#host.clock.now();
    const isTime = nowMs >= this.#hurriedMs + RETRY_MS;
    if (isTime) this.#hurriedMs = nowMs;
    const hurried = new Set<string>();
    for (const { name, replica } of this.#host.held()) {
      if (!this.#host.isLed(replica.id)) continue;
      const map = this.#host.open(name);
      if (isProblem(map)) continue;
      map.behind.flush(replica.id, replica.seq);
      if (!isTime || hurried.has(name)) continue;
      hurried.add(name);
      map.behind.hurry();
    }
  }

  /** Writes that stores lack and that this member may still tell them, or see told by others. */
  get left(): number {
    let left = 0;
    for (const held of this.#host.held()) if (!this.#isHopeless(held)) left += tried(held);
    return left;
  }

  #isHopeless({ name, options, heldUntilMs, replica }: HeldMap): boolean {
    const { clock, open, isBarred, isLed } = this.#host;
    if (this.#sinceMs === null) return false;
    if (isBarred(options)) return true;
    let fromMs = this.#sinceMs;
    if (isLed(replica.id)) {
      const map = open(name);
      if (isProblem(map)) return true;
      fromMs = Math.max(fromMs, map.behind.lastSuccessMs, heldUntilMs);
    }
    return clock.now() > fromMs + options.timeoutMs + SLACK_MS;
  }

  /** Logs what the stores of this member's partitions were not told. */
  report(): void {
    const lacks = new Map<string, { writes: number; setAside: number; reason: string }>();
    for (const { name, options, replica, pending } of this.#host.held()) {
      if (!this.#host.isLed(replica.id)) continue;
      const before = lacks.get(name) ?? { writes: 0, setAside: 0, reason: this.#reason(name, options) };
      const writes = before.writes + pending.count;
      lacks.set(name, { ...before, writes, setAside: before.setAside + pending.failedCount });
    }
    for (const [map, lack] of lacks)
      this.#host.logger.log('warn', 'the member ends, and the store of a map lacks writes', { map, ...lack });
  }

  /** What the store said last. */
  #reason(name: string, options: StoreOptions): string {
    if (this.#host.isBarred(options)) return 'this side of a split does not write to it';
    const map = this.#host.open(name);
    if (isProblem(map)) return map.message;
    return map.behind.lastProblem ?? 'there was no time';
  }
}

/** What was set aside is not waited for. */
function tried({ pending }: HeldMap): number {
  return pending.count - pending.failedCount;
}
