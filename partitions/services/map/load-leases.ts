/**
 * Who loads which key: the leases of `getOrLoad` in one partition of a map. A lease is part of the replicated state, so
 * it survives promotion and migration; its fence is the position at which it was granted, so that no two are equal and
 * later ones are larger. Invariants: a key has one entry, that of the highest position; a lease that was given back
 * leaves a mark until housekeeping, so that a copy in progress does not bring it back; what is written to the key ends
 * its lease. When a lease ends by time is judged by whoever leads, on its own clock from when it first looked, which is
 * never before the lease was granted. Called by the state of the map.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { DRIFT_MARGIN } from '../../../src/cluster/lease.js';
import { MAX_KEY_BYTES } from '../../../src/wire/keys.js';

/** Keys of one partition that are loaded at a time; one more is refused. */
export const MAX_LEASES = 10_000;
/** Marks of leases that were given back and wait for housekeeping; with more of them, loads are refused. */
export const MAX_MARKS = 50_000;
/** A loader that needs longer counts as dead. */
export const MAX_LEASE_MS = 3_600_000;
/** What one takes in memory beside its key, roughly. */
const LEASE_BYTES = 160;
/** Keys that one step of a clear takes. */
const CLEARED: KeyBudget = { keys: 500, bytes: Number.POSITIVE_INFINITY };
/** That one step of housekeeping drops. */
const DROPPED: KeyBudget = { keys: 10_000, bytes: 1024 * 1024 };

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

interface Entry extends Lease {
  readonly key: Uint8Array;
  /** Given back: only the position means something. */
  readonly isReleased: boolean;
  /** On the clock of this member, when it first looked at the lease; not replicated. */
  sinceMs: number | null;
}

interface KeyBudget {
  readonly keys: number;
  readonly bytes: number;
}

const NOBODY = { lineage: 0, epoch: 0, client: 0, token: 0, leaseMs: 0 } as const;

export class LoadLeases {
  /** A lease that has ended by time counts for nothing. */
  readonly #endsByTime: boolean;
  readonly #entries = new Map<string, Entry>();
  #marks = 0;
  #sizeBytes = 0;

  constructor(endsByTime = true) {
    this.#endsByTime = endsByTime;
  }

  /** With the marks of those that were given back. */
  get count(): number {
    return this.#entries.size;
  }

  /** Those that were given back. */
  get markCount(): number {
    return this.#marks;
  }

  /** Leases that are not known to be over. */
  get activeCount(): number {
    return this.#entries.size - this.#marks;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The lease of a key, also one that has ended. */
  find(key: Uint8Array): Lease | undefined {
    if (this.#entries.size === 0) return undefined;
    const entry = this.#entries.get(nameOf(key));
    return entry?.isReleased === false ? entry : undefined;
  }

  /** A lease was granted after the position, whatever became of it. */
  wasAskedAfter(key: Uint8Array, seq: number): boolean {
    return this.#entries.size > 0 && (this.#entries.get(nameOf(key))?.seq ?? 0) > seq;
  }

  /** Whether nobody has to wait for the loader any more; from the first question on, its time runs. */
  hasEnded(lease: Lease, nowMs: number): boolean {
    const entry = lease as Entry;
    entry.sinceMs ??= nowMs;
    return nowMs - entry.sinceMs >= entry.leaseMs * DRIFT_MARGIN;
  }

  /** How long it still may last, ms. */
  leftMs(lease: Lease, nowMs: number): number {
    const { sinceMs, leaseMs } = lease as Entry;
    return Math.max(0, Math.ceil((sinceMs ?? nowMs) + leaseMs * DRIFT_MARGIN - nowMs));
  }

  grant(key: Uint8Array, lease: Lease, nowMs: number | null): void {
    this.#put({ ...lease, key, isReleased: false, sinceMs: nowMs });
  }

  release(key: Uint8Array, seq: number): void {
    this.#put({ ...NOBODY, key, seq, isReleased: true, sinceMs: null });
  }

  #put(entry: Entry): void {
    const name = nameOf(entry.key);
    const present = this.#entries.get(name);
    if (present !== undefined && present.seq >= entry.seq) return;
    this.#remove(name, present);
    this.#entries.set(name, { ...entry, key: Buffer.from(entry.key) });
    if (entry.isReleased) this.#marks++;
    this.#sizeBytes += entry.key.length + LEASE_BYTES;
  }

  #remove(name: string, entry: Entry | undefined): void {
    if (entry === undefined) return;
    this.#entries.delete(name);
    if (entry.isReleased) this.#marks--;
    this.#sizeBytes -= entry.key.length + LEASE_BYTES;
  }

  /** The key was written at a position, or housekeeping drops what is not beyond it. */
  drop(key: Uint8Array, seq: number): void {
    if (this.#entries.size === 0) return;
    const name = nameOf(key);
    const entry = this.#entries.get(name);
    if (entry !== undefined && entry.seq <= seq) this.#remove(name, entry);
  }

  /** Keys under a lease of a position up to this one, as many as one change may end. */
  held(upToSeq: number): Uint8Array[] {
    return this.#keys(CLEARED, ({ seq, isReleased }) => !isReleased && seq <= upToSeq);
  }

  /** Keys whose entry nobody needs any more: every replica has it up to the position, and no copy is under way. */
  droppable(upToSeq: number, nowMs: number): Uint8Array[] {
    return this.#keys(
      DROPPED,
      (entry) =>
        entry.seq <= upToSeq && (entry.isReleased || (this.#endsByTime && this.hasEnded(entry, nowMs))),
    );
  }

  /** Drops the marks of those that were given back up to a position. */
  purgeReleased(upToSeq: number): void {
    for (const [name, entry] of this.#entries)
      if (entry.isReleased && entry.seq <= upToSeq) this.#remove(name, entry);
  }

  /** Leases that have ended by time, with who had them. */
  *ended(nowMs: number): Generator<{ readonly key: Uint8Array } & Holder> {
    for (const entry of this.#entries.values())
      if (!entry.isReleased && this.hasEnded(entry, nowMs)) yield entry;
  }

  #keys(budget: KeyBudget, isMeant: (entry: Entry) => boolean): Uint8Array[] {
    const keys: Uint8Array[] = [];
    let bytes = 0;
    for (const entry of this.#entries.values()) {
      if (keys.length >= budget.keys || bytes >= budget.bytes) break;
      if (!isMeant(entry)) continue;
      keys.push(entry.key);
      bytes += entry.key.length;
    }
    return keys;
  }

  /** Writes entries from a position on, each behind `prefix`; returns the next position, or -1 at the end. */
  copy(fromSeq: number, maxBytes: number, out: Writer, prefix: (out: Writer) => void): number {
    // By position: what changes between two chunks moves behind the cursor.
    const rest = [...this.#entries.values()]
      .filter(({ seq }) => seq >= fromSeq)
      .sort((a, b) => a.seq - b.seq);
    const startBytes = out.length;
    for (const entry of rest) {
      if (out.length > startBytes && out.length - startBytes >= maxBytes) return entry.seq;
      prefix(out);
      out.f64(entry.seq);
      out.u8(entry.isReleased ? 1 : 0);
      writeLease(out, entry.key, entry);
    }
    return -1;
  }

  /** Reads one that `copy` wrote; one that a record was written after is left out. */
  read(input: Reader, writtenAt: (key: Uint8Array) => number): void {
    const seq = input.f64();
    const isReleased = input.u8() === 1;
    const { key, lease } = readLease(input, seq);
    if (writtenAt(key) >= seq) return;
    this.#put({ ...lease, key, isReleased, sinceMs: null });
  }

  dump(): string[] {
    return [...this.#entries.values()].map(({ key, lineage, epoch, seq, client, token, isReleased }) => {
      const hex = Buffer.from(key).toString('hex');
      // For those who compare contents it is what a tombstone is.
      if (isReleased) return `${hex} load ${seq} tombstone`;
      return `${hex} load ${lineage}.${epoch}.${seq} of ${client}.${token}`;
    });
  }

  clear(): void {
    this.#entries.clear();
    this.#marks = 0;
    this.#sizeBytes = 0;
  }
}

/** Without its position: that is known from the stream, or stands in front. */
export function writeLease(
  out: Writer,
  key: Uint8Array,
  { lineage, epoch, client, token, leaseMs }: Omit<Lease, 'seq'>,
): void {
  out.bytes(key);
  out.u32(lineage);
  out.u32(epoch);
  out.f64(client);
  out.f64(token);
  out.u32(leaseMs);
}

export function readLease(input: Reader, seq: number): { readonly key: Uint8Array; readonly lease: Lease } {
  const key = input.blob(MAX_KEY_BYTES);
  // Fields are read in the order in which they stand here.
  const lease: Lease = {
    lineage: input.u32(),
    epoch: input.u32(),
    client: input.f64(),
    token: input.f64(),
    leaseMs: input.u32(),
    seq,
  };
  return { key, lease };
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
}

export function isSameFence(a: Fence, b: Fence): boolean {
  return a.seq === b.seq && a.epoch === b.epoch && a.lineage === b.lineage;
}
