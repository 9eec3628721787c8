/**
 * What a map owes its store, in one partition: writes that the store does not have yet, each with the position at which
 * it was made, and those that were set aside because the store refuses them. Part of the replicated state. Invariants: the
 * last value of a key that the store lacks is here, whatever became of the entry in memory; a write that the store has
 * leaves a mark until housekeeping, so that a part of a copy that comes late does not bring it back. Called by `owed.ts`.
 */
import { type Reader, textOf, type Writer } from '../../../src/base/bytes.js';
import { MAX_KEY_BYTES } from '../../../src/wire/keys.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';

/** What a write takes in memory beside key and value, roughly, and what a mark does. */
const WRITE_BYTES = 200;
const MARK_BYTES = 120;
/** Of a store's message about a write that it refuses. */
export const MAX_MESSAGE_BYTES = 500;

const FLAG = { coalesces: 1, failed: 2 } as const;

/** One value that a key had; null: it was removed. */
export interface Write {
  readonly seq: number;
  /** When it was made, milliseconds since 1970. */
  readonly ms: number;
  readonly value: Uint8Array | null;
}

/** Why a write was set aside. */
export interface Failure {
  readonly attempts: number;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** All that the store lacks of a key, oldest first. */
export interface Owed {
  readonly key: Uint8Array;
  /** A later value takes the place of an earlier one. */
  readonly coalesces: boolean;
  /** Position since which something is owed. */
  readonly sinceSeq: number;
  /** When that was, milliseconds since 1970. */
  readonly sinceMs: number;
  readonly writes: Write[];
  /** Not tried again by itself; there is one write then. */
  readonly failure: Failure | null;
}

/** A write that the store has. */
export interface Stored {
  readonly key: Uint8Array;
  readonly seq: number;
}

interface Mark {
  /** The store has the writes of the key up to here. */
  readonly seq: number;
  /** Position at which that was recorded. */
  readonly atSeq: number;
  readonly keyBytes: number;
}

export class PendingWrites {
  /** In the order of `sinceSeq` unless a copy has come in between. */
  #owed = new Map<string, Owed>();
  #isSorted = true;
  readonly #marks = new Map<string, Mark>();
  #writes = 0;
  #failed = 0;
  #sizeBytes = 0;

  /** Writes that the store lacks, with those that were set aside. */
  get count(): number {
    return this.#writes;
  }

  /** Keys whose last write was set aside. */
  get failedCount(): number {
    return this.#failed;
  }

  get markCount(): number {
    return this.#marks.size;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  find(key: Uint8Array): Owed | undefined {
    return this.#owed.size === 0 ? undefined : this.#owed.get(textOf(key));
  }

  has(key: Uint8Array): boolean {
    return this.find(key) !== undefined;
  }

  /** Position of the last write of a key that the store has, or is known to lack; 0 for none. */
  knownSeq(key: Uint8Array): number {
    return Math.max(this.latest(key)?.seq ?? 0, this.#marks.get(textOf(key))?.seq ?? 0);
  }

  /** The value that the store has to get in the end; undefined when it lacks nothing of the key. */
  latest(key: Uint8Array): Write | undefined {
    return this.find(key)?.writes.at(-1);
  }

  /** Oldest first. */
  all(): IterableIterator<Owed> {
    if (!this.#isSorted) {
      this.#owed = new Map([...this.#owed].sort(([, a], [, b]) => a.sinceSeq - b.sinceSeq));
      this.#isSorted = true;
    }
    return this.#owed.values();
  }

  /** Since when the oldest write is owed that was not set aside, milliseconds since 1970; null when there is none. */
  get oldestMs(): number | null {
    for (const { failure, sinceMs } of this.all()) if (failure === null) return sinceMs;
    return null;
  }

  /** The key got a value, or lost it. A write that was set aside is void by it. */
  note(key: Uint8Array, value: Uint8Array | null, seq: number, wallMs: number, coalesces: boolean): void {
    const name = textOf(key);
    const before = this.#owed.get(name);
    const write = { seq, ms: wallMs, value: value === null ? null : Buffer.from(value) };
    if (before === undefined || before.failure !== null) {
      // Behind those that wait for longer.
      this.#drop(name);
      const since = { sinceSeq: seq, sinceMs: wallMs };
      this.#set(name, { key: Buffer.from(key), coalesces, ...since, writes: [write], failure: null });
      return;
    }
    this.#count(before, -1);
    if (coalesces) before.writes.length = 0;
    before.writes.push(write);
    this.#count(before, 1);
  }

  /** The store has the writes of a key up to `seq`, which is recorded at position `atSeq`. */
  stored({ key, seq }: Stored, atSeq: number): void {
    const name = textOf(key);
    const before = this.#owed.get(name);
    this.#mark(name, { seq, atSeq, keyBytes: key.length });
    if (before === undefined) return;
    const writes = before.writes.filter((write) => write.seq > seq);
    const [first] = writes;
    this.#drop(name);
    if (first === undefined) return;
    this.#set(name, { ...before, writes, sinceSeq: first.seq, sinceMs: first.ms });
    this.#isSorted = false;
  }

  #mark(name: string, mark: Mark): void {
    const before = this.#marks.get(name);
    if (before !== undefined && before.seq >= mark.seq) return;
    if (before === undefined) this.#sizeBytes += mark.keyBytes + MARK_BYTES;
    this.#marks.set(name, mark);
  }

  /** Takes over what a delta says of a key: all that is owed of it. */
  put(owed: Owed): void {
    this.#set(textOf(owed.key), owed);
    this.#isSorted = false;
  }

  #set(name: string, owed: Owed): void {
    this.#drop(name);
    this.#owed.set(name, owed);
    this.#count(owed, 1);
  }

  #drop(name: string): void {
    const before = this.#owed.get(name);
    if (before === undefined) return;
    this.#owed.delete(name);
    this.#count(before, -1);
  }

  #count({ key, writes, failure }: Owed, sign: 1 | -1): void {
    this.#writes += sign * writes.length;
    if (failure !== null) this.#failed += sign;
    for (const { value } of writes)
      this.#sizeBytes += sign * (key.length + (value?.length ?? 0) + WRITE_BYTES);
  }

  isPurgeable(upToSeq: number): boolean {
    for (const { atSeq } of this.#marks.values()) if (atSeq <= upToSeq) return true;
    return false;
  }

  /** Drops marks that every replica has, when no copy is under way. */
  purge(upToSeq: number): void {
    for (const [name, { atSeq, keyBytes }] of this.#marks) {
      if (atSeq > upToSeq) continue;
      this.#marks.delete(name);
      this.#sizeBytes -= keyBytes + MARK_BYTES;
    }
  }

  /** Writes what is owed since a position on, each behind `prefix`; returns the next position, or -1 at the end. */
  copy(fromSeq: number, maxBytes: number, out: Writer, prefix: (out: Writer) => void): number {
    // By position: what changes between two chunks moves behind the cursor, or travels with the stream.
    const rest = [...this.all()].filter(({ sinceSeq }) => sinceSeq >= fromSeq);
    const startBytes = out.length;
    let lastSeq = -1;
    for (const owed of rest) {
      // Several keys can be owed since one position; a cursor does not lie between them.
      const isFull = out.length - startBytes >= maxBytes && out.length > startBytes;
      if (isFull && owed.sinceSeq !== lastSeq) return owed.sinceSeq;
      prefix(out);
      writeOwed(out, owed);
      lastSeq = owed.sinceSeq;
    }
    return -1;
  }

  /** Puts what `copy` wrote, and leaves out what is known better here. */
  paste(input: Reader): void {
    const copied = readOwed(input);
    const name = textOf(copied.key);
    const storedSeq = this.#marks.get(name)?.seq ?? 0;
    const here = this.#owed.get(name);
    const known = new Set(here?.writes.map(({ seq }) => seq));
    const lastSeq = here?.writes.at(-1)?.seq ?? 0;
    // Of a copy that comes late only earlier writes are missing here, and one that coalesces has taken their place.
    const isNew = ({ seq }: Write) =>
      seq > storedSeq && !known.has(seq) && (here?.coalesces !== true || seq > lastSeq);
    const more = copied.writes.filter(isNew);
    if (here === undefined ? more.length === 0 : copied.sinceSeq >= here.sinceSeq && more.length === 0)
      return;
    this.#isSorted = false;
    const writes = [...(here?.writes ?? []), ...more].sort((a, b) => a.seq - b.seq);
    if (here === undefined) this.#set(name, { ...copied, writes });
    else if (copied.sinceSeq < here.sinceSeq && storedSeq < copied.sinceSeq) {
      const { sinceSeq, sinceMs } = copied;
      this.#set(name, { ...here, writes, sinceSeq, sinceMs });
    } else this.#set(name, { ...here, writes });
  }

  dump(): string[] {
    return [...this.#owed.values()].map(({ key, writes, failure }) => {
      const list = writes.map(({ seq, value }) => `${seq}${value === null ? '-' : `+${value.length}`}`);
      const hex = Buffer.from(key).toString('hex');
      return `${hex} owed ${list.join(' ')}${failure === null ? '' : ` failed ${failure.attempts}`}`;
    });
  }

  clear(): void {
    this.#owed.clear();
    this.#marks.clear();
    this.#writes = 0;
    this.#failed = 0;
    this.#sizeBytes = 0;
    this.#isSorted = true;
  }
}

export function writeOwed(out: Writer, { key, coalesces, sinceSeq, sinceMs, writes, failure }: Owed): void {
  out.bytes(key);
  out.u8((coalesces ? FLAG.coalesces : 0) | (failure === null ? 0 : FLAG.failed));
  out.f64(sinceSeq);
  out.f64(sinceMs);
  out.u32(writes.length);
  for (const { seq, ms, value } of writes) {
    out.f64(seq);
    out.f64(ms);
    out.u8(value === null ? 0 : 1);
    if (value !== null) out.bytes(value);
  }
  if (failure === null) return;
  out.u32(failure.attempts);
  out.f64(failure.atMs);
  out.string(failure.message);
}

export function readOwed(input: Reader): Owed {
  const key = Buffer.from(input.blob(MAX_KEY_BYTES));
  const flags = input.u8();
  const sinceSeq = input.f64();
  const sinceMs = input.f64();
  const writes: Write[] = [];
  for (let left = input.u32(); left > 0; left--) {
    const seq = input.f64();
    const ms = input.f64();
    const value = input.u8() === 0 ? null : Buffer.from(input.blob(MAX_VALUE_BYTES));
    writes.push({ seq, ms, value });
  }
  const failure =
    (flags & FLAG.failed) === 0
      ? null
      : { attempts: input.u32(), atMs: input.f64(), message: input.string(MAX_MESSAGE_BYTES) };
  return { key, coalesces: (flags & FLAG.coalesces) !== 0, sinceSeq, sinceMs, writes, failure };
}
