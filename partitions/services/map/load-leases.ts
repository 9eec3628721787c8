/**
 * Who loads which key: the leases of `getOrLoad` in one partition of a map, in a table of leases. The fence of a lease
 * is the position at which it was granted, so that no two are equal and later ones are larger. Invariant: what is
 * written to the key ends its lease. Called by the state of the map.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { type Entry, hasEnded, type KeyBudget, LeaseTable, leftMs } from '../lease-table.js';

/** Keys of one partition that are loaded at a time; one more is refused. */
export const MAX_LEASES = 10_000;
/** Marks of leases that were given back and wait for housekeeping; with more of them, loads are refused. */
export const MAX_MARKS = 50_000;
/** A loader that needs longer counts as dead. */
export const MAX_LEASE_MS = 3_600_000;
/** Keys that one step of a clear takes. */
const CLEARED: KeyBudget = { keys: 500, bytes: Number.POSITIVE_INFINITY };

/** Names a lease; of two for one key on one side of a split the later one is larger, by epoch, then by position. */
export interface Fence {
  /** Tag of the lineage and number of the view in which the primary took over that granted it. */
  readonly lineage: number;
  readonly epoch: number;
  readonly seq: number;
}

/** Who asked for it: a session, and a number that it gives once. */
export interface Holder {
  readonly client: number;
  readonly token: number;
}

export interface Lease extends Fence, Holder {
  readonly leaseMs: number;
}

const NOBODY = { lineage: 0, epoch: 0, client: 0, token: 0, leaseMs: 0 } as const;

export class LoadLeases {
  readonly #table = new LeaseTable<Lease>({ write: writeLease, read: readLease });
  /** A lease that has ended by time counts for nothing. */
  readonly #endsByTime: boolean;

  constructor(endsByTime = true) {
    this.#endsByTime = endsByTime;
  }

  /** With the marks of those that were given back. */
  get count(): number {
    return this.#table.count;
  }

  /** Those that were given back. */
  get markCount(): number {
    return this.#table.markCount;
  }

  /** Leases that are not known to be over. */
  get activeCount(): number {
    return this.#table.activeCount;
  }

  get sizeBytes(): number {
    return this.#table.sizeBytes;
  }

  /** The lease of a key, also one that has ended. */
  find(key: Uint8Array): Entry<Lease> | undefined {
    return this.#table.find(key);
  }

  /** A lease was granted after the position, whatever became of it. */
  wasAskedAfter(key: Uint8Array, seq: number): boolean {
    return (this.#table.get(key)?.seq ?? 0) > seq;
  }

  /** Whether nobody has to wait for the loader any more. */
  hasEnded(entry: Entry<Lease>, nowMs: number): boolean {
    return hasEnded(entry, entry.held.leaseMs, nowMs);
  }

  /** How long it still may last, ms. */
  leftMs(entry: Entry<Lease>, nowMs: number): number {
    return leftMs(entry, entry.held.leaseMs, nowMs);
  }

  grant(key: Uint8Array, lease: Lease, nowMs: number | null): void {
    this.#table.put({ key, seq: lease.seq, isReleased: false, held: lease, sinceMs: nowMs });
  }

  release(key: Uint8Array, seq: number): void {
    this.#table.put({ key, seq, isReleased: true, held: { ...NOBODY, seq }, sinceMs: null });
  }

  /** The key was written at a position, or housekeeping drops what is not beyond it. */
  drop(key: Uint8Array, seq: number): void {
    this.#table.drop(key, seq);
  }

  /** Keys under a lease of a position up to this one, as many as one change may end. */
  held(upToSeq: number): Uint8Array[] {
    return this.#table.keys(CLEARED, ({ seq, isReleased }) => !isReleased && seq <= upToSeq);
  }

  droppable(upToSeq: number, nowMs: number): Uint8Array[] {
    return this.#table.droppable(upToSeq, (entry) => this.#endsByTime && this.hasEnded(entry, nowMs));
  }

  /** With the marks of those that were given back. */
  all(): IterableIterator<Entry<Lease>> {
    return this.#table.entries();
  }

  /** Leases that have ended by time. */
  *ended(nowMs: number): Generator<Entry<Lease>> {
    for (const entry of this.#table.entries())
      if (!entry.isReleased && this.hasEnded(entry, nowMs)) yield entry;
  }

  /** Drops the marks of those that were given back up to a position. */
  purgeReleased(upToSeq: number): void {
    for (const entry of this.#table.entries())
      if (entry.isReleased && entry.seq <= upToSeq) this.#table.drop(entry.key, entry.seq);
  }

  copy(fromSeq: number, maxBytes: number, out: Writer, prefix: (out: Writer) => void): number {
    return this.#table.copy(fromSeq, maxBytes, out, prefix);
  }

  /** Reads one that `copy` wrote; one that a record was written after is left out. */
  paste(input: Reader, writtenAt: (key: Uint8Array) => number): void {
    const entry = this.#table.read(input, input.f64());
    if (writtenAt(entry.key) < entry.seq) this.#table.put(entry);
  }

  /** For the delta of a grant. */
  write(out: Writer, key: Uint8Array, lease: Lease): void {
    this.#table.write(out, { key, isReleased: false, held: lease });
  }

  /** Of such a delta, at its position. */
  apply(input: Reader, seq: number): void {
    this.#table.put(this.#table.read(input, seq));
  }

  dump(): string[] {
    return [...this.#table.entries()].map(({ key, seq, isReleased, held }) => {
      const hex = Buffer.from(key).toString('hex');
      // For those who compare contents it is what a tombstone is.
      if (isReleased) return `${hex} load ${seq} tombstone`;
      return `${hex} load ${held.lineage}.${held.epoch}.${seq} of ${held.client}.${held.token}`;
    });
  }

  clear(): void {
    this.#table.clear();
  }
}

function writeLease(out: Writer, { lineage, epoch, client, token, leaseMs }: Lease): void {
  out.u32(lineage);
  out.u32(epoch);
  out.f64(client);
  out.f64(token);
  out.u32(leaseMs);
}

function readLease(input: Reader, seq: number): Lease {
  // Fields are read in the order in which they stand here.
  return {
    lineage: input.u32(),
    epoch: input.u32(),
    client: input.f64(),
    token: input.f64(),
    leaseMs: input.u32(),
    seq,
  };
}

export function isSameFence(a: Fence, b: Fence): boolean {
  return a.seq === b.seq && a.epoch === b.epoch && a.lineage === b.lineage;
}
