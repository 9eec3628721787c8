/**
 * The tail of a partition's stream: encoded entries that some replica may still lack. Kept by the primary, for
 * resending, and by backups, for levelling after the primary's death. Entries leave when every replica has them.
 */

export interface LogEntry {
  readonly epoch: number;
  readonly seq: number;
  /** As the stream message carries it, behind epoch and position. */
  readonly body: Uint8Array;
}

/** Bytes of all logs of a member, which are bounded together. */
export interface LogBudget {
  sizeBytes: number;
}

export class DeltaLog {
  readonly #budget: LogBudget;
  #entries: LogEntry[] = [];
  /** Index of the first entry that is still in the log; the array is cut when much lies before it. */
  #first = 0;
  sizeBytes = 0;

  constructor(budget: LogBudget) {
    this.#budget = budget;
  }

  #count(deltaBytes: number): void {
    this.sizeBytes += deltaBytes;
    this.#budget.sizeBytes += deltaBytes;
  }

  get length(): number {
    return this.#entries.length - this.#first;
  }

  get firstSeq(): number {
    return this.#entries[this.#first]?.seq ?? 0;
  }

  append(entry: LogEntry): void {
    this.#entries.push(entry);
    this.#count(entry.body.length);
  }

  /** Drops entries up to and including `seq`. */
  trim(seq: number): void {
    while (this.#first < this.#entries.length) {
      const entry = this.#entries[this.#first] as LogEntry;
      if (entry.seq > seq) break;
      this.#count(-entry.body.length);
      this.#first++;
    }
    if (this.#first > 64 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  /** The entry at `seq`, or undefined when it was trimmed or is not there yet. */
  at(seq: number): LogEntry | undefined {
    const first = this.#entries[this.#first];
    // What was trimmed may still be in the array, in front of a hole.
    if (first === undefined || seq < first.seq) return undefined;
    return this.#entries[this.#first + seq - first.seq];
  }

  /** Of the entries after `seq` that are still here. */
  bytesAfter(seq: number): number {
    const first = this.#entries[this.#first];
    if (first === undefined || seq < first.seq) return this.sizeBytes;
    let bytes = 0;
    for (let i = this.#first + seq + 1 - first.seq; i < this.#entries.length; i++)
      bytes += (this.#entries[i] as LogEntry).body.length;
    return bytes;
  }

  clear(): void {
    this.#entries = [];
    this.#first = 0;
    this.#count(-this.sizeBytes);
  }
}
