/** Copies of partitions to new replicas: a few at a time, sharing one bound on bytes. Owned by `replication.ts`. */
import type { ReplicationCounters, ReplicationHost } from './host.js';
import { type CopyBudget, MigrationSource } from './migration-source.js';
import type { PrimaryStream } from './primary.js';
import type { Slot } from './slot.js';

/** Copies that one member serves at a time; they share the budget of bytes on the way. */
const MAX_COPIES = 8;

export class Copies {
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #budget: CopyBudget = { inFlightBytes: 0 };
  #nextId = 1;

  constructor(host: ReplicationHost, counters: ReplicationCounters) {
    this.#host = host;
    this.#counters = counters;
  }

  /** Bytes that were sent and not confirmed. */
  get inFlightBytes(): number {
    return this.#budget.inFlightBytes;
  }

  /** Starts copies to new replicas, and moves those that run. */
  tick(primaries: Iterable<PrimaryStream>, nowMs: number): void {
    let running = 0;
    const waiting: { primary: PrimaryStream; slot: Slot }[] = [];
    for (const primary of primaries) {
      for (const slot of primary.slots.values()) {
        if (slot.synced || slot.waited || slot.complete) continue;
        if (slot.migration === null || slot.migration.isDone) waiting.push({ primary, slot });
        else {
          running++;
          slot.migration.pump(nowMs);
        }
      }
    }
    for (const { primary, slot } of waiting.slice(0, Math.max(0, MAX_COPIES - running))) {
      const newId = () => this.#nextId++ >>> 0;
      slot.migration = new MigrationSource(newId, primary, slot, this.#host, this.#counters, this.#budget);
      slot.migration.pump(nowMs);
    }
  }
}
