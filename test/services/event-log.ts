/** What a state tells, as lines, held against itself: each event of a key goes on from the one before. */
import type { ChangeSink, EventKind } from '../../partitions/events/event.js';

export class EventLog implements ChangeSink {
  readonly lines: string[] = [];
  readonly #seqs: number[] = [];
  readonly restarts: number[] = [];

  tell(
    seq: number,
    kind: EventKind,
    key: Uint8Array,
    value: Uint8Array | null,
    old: Uint8Array | null,
    entries = 1,
  ): void {
    this.#seqs.push(seq);
    const text = (bytes: Uint8Array | null) => (bytes === null ? '-' : Buffer.from(bytes).toString('hex'));
    this.lines.push(`${seq} ${kind} ${text(key)} ${text(value)} ${text(old)} ${entries}`);
  }

  restart(seq: number): void {
    this.restarts.push(seq);
  }

  /** What is wrong with the order of positions. */
  problems(): string[] {
    return this.#seqs.flatMap((seq, i) =>
      seq < (this.#seqs[i - 1] ?? 0) ? [`position ${seq} behind ${this.#seqs[i - 1]}`] : [],
    );
  }
}
