/** Partitions that nobody in the view holds: since when, and which of them have started empty. */
import type { View } from '../cluster/view.js';

export class Orphans {
  readonly #timeoutMs: number;
  readonly #sinceMs = new Map<number, number>();

  /** `timeoutMs`: how long a partition waits for one of its last holders. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Notes a new view; returns the partitions that start empty with it because their contents were lost. */
  adopt(view: View, before: View | null, nowMs: number): number[] {
    const lost: number[] = [];
    for (const [partition, entry] of view.table.entries()) {
      if (entry.replicas.length > 0) this.#sinceMs.delete(partition);
      else if (!this.#sinceMs.has(partition)) this.#sinceMs.set(partition, nowMs);
      const old = before?.table[partition];
      if (old !== undefined && entry.generation > old.generation) lost.push(partition);
    }
    return lost;
  }

  timeoutPassed(partition: number, nowMs: number): boolean {
    const sinceMs = this.#sinceMs.get(partition);
    return sinceMs !== undefined && nowMs - sinceMs >= this.#timeoutMs;
  }
}
