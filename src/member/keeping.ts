/**
 * Whether what the present view promises about changed presets holds at this member: all that it had applied as a primary
 * when it learned of the change is on the sync backups, and the clients that are connected here know of it. Invariant: once
 * it holds in a view it goes on to do so until the next one. Heartbeats tell it; called by the member's composition.
 */
import type { View } from '../cluster/view.js';

export interface KeepingHost {
  /** From now on, what primaries have applied until now counts. */
  noteApplied(): void;
  /** All that counts is on the sync backups. */
  isCommitted(): boolean;
  /** All connected clients know this view or a later one, or need not to be waited for. */
  confirmed(viewNumber: number, nowMs: number): boolean;
}

export class Keeping {
  readonly #host: KeepingHost;
  #lineage = '';
  #count = 0;
  /** Number of the view in which this member learned of the latest change. */
  #since = 0;
  isKept = false;

  constructor(host: KeepingHost) {
    this.#host = host;
  }

  adopted({ lineage, number, toggles }: View, nowMs: number): void {
    this.isKept = false;
    if (lineage !== this.#lineage || toggles.count !== this.#count) {
      this.#lineage = lineage;
      this.#count = toggles.count;
      this.#since = number;
      this.#host.noteApplied();
    }
    this.tick(nowMs);
  }

  removed(): void {
    this.isKept = false;
    // When it is back, what it holds has to be looked at anew.
    this.#lineage = '';
  }

  /** To be called often while this member is in a view; true when others may wait to hear that it has begun to hold. */
  tick(nowMs: number): boolean {
    if (this.isKept || this.#lineage === '') return false;
    this.isKept = this.#host.isCommitted() && this.#host.confirmed(this.#since, nowMs);
    return this.isKept && this.#count > 0;
  }
}
