/**
 * What is held of keys for a while, in one partition of a structure: leases of loads, locks. It is part of the replicated
 * state, so it survives promotion and migration. Invariants: a key has one entry, that of the highest position; what was
 * given back leaves a mark until housekeeping, so that a copy in progress does not bring it back. When something ends by
 * time is judged by whoever leads, on its own clock from when it first looked, which is never before it was granted.
 * Called by the states of structures, through `LoadLeases` and `KeyLocks`.
 */
import type { Reader, Writer } from '../../src/base/bytes.js';
import { DRIFT_MARGIN } from '../../src/cluster/lease.js';
import { MAX_KEY_BYTES } from '../../src/wire/keys.js';

/** What one takes in memory beside its key, roughly. */
const ENTRY_BYTES = 160;
/** That one step of housekeeping drops. */
const DROPPED: KeyBudget = { keys: 10_000, bytes: 1024 * 1024 };

export interface KeyBudget {
  readonly keys: number;
  readonly bytes: number;
}

export interface Entry<L> {
  readonly key: Uint8Array;
  /** Position of the change that made it what it is. */
  readonly seq: number;
  /** Given back: it holds nothing any more. */
  readonly isReleased: boolean;
  readonly held: L;
  /** On the clock of this member, when it first looked; not replicated. */
  sinceMs: number | null;
}

/** How what is held travels, without key and position. */
export interface HeldCodec<L> {
  write(out: Writer, held: L): void;
  read(input: Reader, seq: number): L;
}

export class LeaseTable<L> {
  readonly #codec: HeldCodec<L>;
  readonly #entries = new Map<string, Entry<L>>();
  #marks = 0;
  #sizeBytes = 0;

  constructor(codec: HeldCodec<L>) {
    this.#codec = codec;
  }

  /** With the marks of what was given back. */
  get count(): number {
    return this.#entries.size;
  }

  get markCount(): number {
    return this.#marks;
  }

  /** What is not known to be over. */
  get activeCount(): number {
    return this.#entries.size - this.#marks;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The entry of a key, also a mark. */
  get(key: Uint8Array): Entry<L> | undefined {
    return this.#entries.size === 0 ? undefined : this.#entries.get(nameOf(key));
  }

  /** The entry of a key that holds something. */
  find(key: Uint8Array): Entry<L> | undefined {
    const entry = this.get(key);
    return entry?.isReleased === false ? entry : undefined;
  }

  entries(): IterableIterator<Entry<L>> {
    return this.#entries.values();
  }

  /** Puts an entry, unless one of a later position is there. */
  put(entry: Entry<L>): void {
    const name = nameOf(entry.key);
    const present = this.#entries.get(name);
    if (present !== undefined && present.seq >= entry.seq) return;
    this.#remove(name, present);
    this.#entries.set(name, { ...entry, key: Buffer.from(entry.key) });
    if (entry.isReleased) this.#marks++;
    this.#sizeBytes += entry.key.length + ENTRY_BYTES;
  }

  #remove(name: string, entry: Entry<L> | undefined): void {
    if (entry === undefined) return;
    this.#entries.delete(name);
    if (entry.isReleased) this.#marks--;
    this.#sizeBytes -= entry.key.length + ENTRY_BYTES;
  }

  /** What became of the key is not needed any more, unless it is of a later position. */
  drop(key: Uint8Array, seq: number): void {
    if (this.#entries.size === 0) return;
    const name = nameOf(key);
    const entry = this.#entries.get(name);
    if (entry !== undefined && entry.seq <= seq) this.#remove(name, entry);
  }

  /** Keys whose entry nobody needs any more: every replica has it up to the position, and no copy is under way. */
  droppable(upToSeq: number, isOver: (entry: Entry<L>) => boolean): Uint8Array[] {
    return this.keys(DROPPED, (entry) => entry.seq <= upToSeq && (entry.isReleased || isOver(entry)));
  }

  keys(budget: KeyBudget, isMeant: (entry: Entry<L>) => boolean): Uint8Array[] {
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
    let lastSeq = -1;
    for (const entry of rest) {
      // Those of one position stay together: the cursor cannot stand between them.
      const isFull = out.length > startBytes && out.length - startBytes >= maxBytes;
      if (isFull && entry.seq !== lastSeq) return entry.seq;
      lastSeq = entry.seq;
      prefix(out);
      out.f64(entry.seq);
      this.write(out, entry);
    }
    return -1;
  }

  /** Without its position: that is known from the stream, or stands in front. */
  write(out: Writer, { key, isReleased, held }: Pick<Entry<L>, 'key' | 'isReleased' | 'held'>): void {
    out.bytes(key);
    out.u8(isReleased ? 1 : 0);
    this.#codec.write(out, held);
  }

  /** Reads one that `write` wrote; its key is a view. */
  read(input: Reader, seq: number): Entry<L> {
    const key = input.blob(MAX_KEY_BYTES);
    const isReleased = input.u8() === 1;
    return { key, seq, isReleased, held: this.#codec.read(input, seq), sinceMs: null };
  }

  clear(): void {
    this.#entries.clear();
    this.#marks = 0;
    this.#sizeBytes = 0;
  }
}

/** Whether something that lasts so long is over for sure; from the first question on, its time runs. */
export function hasEnded(entry: Entry<unknown>, leaseMs: number, nowMs: number): boolean {
  entry.sinceMs ??= nowMs;
  return nowMs - entry.sinceMs >= leaseMs * DRIFT_MARGIN;
}

/** How long it still may last, ms. */
export function leftMs({ sinceMs }: Entry<unknown>, leaseMs: number, nowMs: number): number {
  return Math.max(0, Math.ceil((sinceMs ?? nowMs) + leaseMs * DRIFT_MARGIN - nowMs));
}

export function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
}
