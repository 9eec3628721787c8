/**
 * What one partition of a map knows of its store, as part of the replicated state: what the store is owed, and the marks of
 * writes that the store is told of before they are made. Invariants: only the primary looks at options, backups read from
 * a delta whether what it brings is owed; while a key has a mark nobody else writes it, and a mark whose primary is gone
 * ends with the store getting what the grid has, or, where that is nothing, not before its call can never be made again.
 * Called by the state of the map and by `stored.ts`.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { MAX_KEY_BYTES } from '../../../src/wire/keys.js';
import { murmur3 } from '../../hash.js';
import type { CallId, OperationContext } from '../../service.js';
import { REMOVAL, type RecordMeta, type RemovalCause } from '../../store/record-layout.js';
import type { RecordStore } from '../../store/record-store.js';
import { Forgotten } from './forgotten.js';
import { type Holder, LoadLeases } from './load-leases.js';
import { type Owed, PendingWrites, readOwed, type Stored, writeOwed } from './pending.js';

/** In front of the delta of what is written; and deltas of their own. */
export const STORE_DELTA = {
  owed: 40,
  settled: 41,
  stored: 42,
  put: 43,
  begin: 44,
  end: 45,
  filled: 46,
} as const;
/** In the place of a record's position in a copy. */
export const COPIED = { pending: -40, intent: -41, filled: -42, forgotten: -43 } as const;
/** Behind `owed`. */
const COALESCES = 1;
/** What was known of a key when its write began, in the lowest bits of a holder's token; above them the call's sequence. */
const KNOWN = { absent: 1, nothing: 2 } as const;
const KNOWN_BITS = 4;
/** The time of a store's call begins later than that of the mark. */
const SLACK_MS = 500;

/** What a change of entries means for the store. */
type Effect = 'none' | 'owed' | 'settled';

export class OwedWrites {
  readonly pending = new PendingWrites();
  /** Of writes that the store is told of now; see `LoadLeases`. */
  readonly intents = new LoadLeases(false);
  /** Everything that the store had at the start was loaded; kept in the partition of the map's name. */
  isFilled = false;
  readonly forgotten = new Forgotten();
  readonly #records: Pick<RecordStore, 'find' | 'metaOf'>;
  #effect: Effect = 'none';
  #coalesces = true;

  constructor(records: Pick<RecordStore, 'find' | 'metaOf'>) {
    this.#records = records;
  }

  #recordOf(hash: number, key: Uint8Array): RecordMeta | null {
    const ref = this.#records.find(hash, key);
    return ref < 0 ? null : this.#records.metaOf(ref);
  }

  get sizeBytes(): number {
    const { pending, intents, forgotten, isFilled } = this;
    return pending.sizeBytes + intents.sizeBytes + forgotten.sizeBytes + (isFilled ? 1 : 0);
  }

  /** Of these keys those of which nothing is owed. */
  without(keys: readonly Uint8Array[]): readonly Uint8Array[] {
    return this.pending.count === 0 ? keys : keys.filter((key) => !this.pending.has(key));
  }

  /** Somebody writes the key in the store. */
  isBusy(key: Uint8Array): boolean {
    return this.intents.find(key) !== undefined;
  }

  /** Somebody does, and when that began the store had no value of the key. */
  wasAbsent(key: Uint8Array): boolean {
    return this.#knew(key) === KNOWN.absent;
  }

  /** Somebody does, and when that began nobody knew whether the store had a value of the key. */
  wasUnknown(key: Uint8Array): boolean {
    return this.#knew(key) === KNOWN.nothing;
  }

  #knew(key: Uint8Array): number {
    return (this.intents.find(key)?.held.token ?? 0) % KNOWN_BITS;
  }

  /** The call that writes the key in the store; null when nobody does. */
  writerOf(key: Uint8Array): CallId | null {
    const mark = this.intents.find(key);
    return mark === undefined ? null : callOf(mark.held);
  }

  /** The store is told of the call, or was told of it by a former primary. */
  isTold({ client, sequence }: CallId): boolean {
    if (this.intents.activeCount === 0) return false;
    for (const { held, isReleased } of this.intents.all())
      if (!isReleased && held.client === client && callOf(held).sequence === sequence) return true;
    return false;
  }

  /**
   * A former primary told the store of this very call, which asked for nothing, and that is over: the call goes on with its
   * mark, so that nobody sees the store or writes the key before.
   */
  isInherited(key: Uint8Array, { call, nowMs }: Pick<OperationContext, 'call' | 'nowMs'>): boolean {
    const mark = call === null ? undefined : this.intents.find(key);
    if (call === null || mark === undefined || !this.wasUnknown(key)) return false;
    const { client, sequence } = callOf(mark.held);
    return client === call.client && sequence === call.sequence && this.intents.hasEnded(mark, nowMs);
  }

  // --- what entries get, on every replica

  /** What the primary changes from here to `end` is owed to the store. */
  begin(out: Writer, coalesces: boolean): void {
    out.u8(STORE_DELTA.owed);
    out.u8(coalesces ? COALESCES : 0);
    this.#effect = 'owed';
    this.#coalesces = coalesces;
    this.forgotten.begin();
  }

  /** What the primary changes from here to `end` is in the store. */
  settle(out: Writer): void {
    out.u8(STORE_DELTA.settled);
    this.#effect = 'settled';
    this.forgotten.begin();
  }

  end(): void {
    this.#effect = 'none';
  }

  /** Goes on with what `begin` said, for a change that is made in parts. */
  resume(isOwed: boolean): void {
    this.#effect = isOwed ? 'owed' : 'none';
  }

  /** A record is about to be put: the one that it replaces may be the last trace of a write that the store has. */
  replaces(key: Uint8Array, hash: number, meta: RecordMeta): void {
    if (!this.forgotten.isOn || concernsStore(meta) || this.pending.has(key)) return;
    const old = this.#recordOf(hash, key);
    // A replica that is being copied may have the new record before the old one.
    if (old === null ? meta.tombstone : concernsStore(old)) this.forgotten.note(hash, (old ?? meta).seq);
  }

  /** The store has a write that was owed, and the memory not any more. */
  #told({ key, seq }: Stored, atSeq: number): void {
    this.pending.stored({ key, seq }, atSeq);
    const hash = murmur3(key);
    const record = this.#recordOf(hash, key);
    if (record === null || !concernsStore(record)) this.forgotten.note(hash, seq);
  }

  /** A record was put. */
  noted(key: Uint8Array, value: Uint8Array, meta: RecordMeta): void {
    // What only goes out of memory, or comes into it, ends nobody's write.
    if (this.intents.count > 0 && concernsStore(meta)) this.#written(key, meta.seq);
    if (this.#effect === 'none') return;
    if (this.#effect === 'settled') this.pending.stored({ key, seq: meta.seq }, meta.seq);
    else if (concernsStore(meta))
      this.pending.note(key, meta.tombstone ? null : value, meta.seq, meta.updatedMs, this.#coalesces);
  }

  /**
   * What is in the store ends a mark. What is owed to it, as a merge decides, does not: a primary that is gone may still be
   * telling the store, and the last word is told when that is over.
   */
  #written(key: Uint8Array, seq: number): void {
    const mark = this.#effect === 'owed' ? this.intents.find(key) : undefined;
    if (mark === undefined) this.intents.drop(key, seq);
    else this.intents.grant(key, { ...mark.held, seq }, mark.sinceMs);
  }

  /** A delta of a kind that is not of entries alone; false when it is none. `inner` applies the delta that follows. */
  apply(kind: number, delta: Reader, seq: number, inner: () => void): boolean {
    if (kind === STORE_DELTA.owed) {
      this.#coalesces = delta.u8() === COALESCES;
      this.#effect = 'owed';
      this.forgotten.begin();
      inner();
      this.end();
    } else if (kind === STORE_DELTA.settled) {
      this.#effect = 'settled';
      this.forgotten.begin();
      inner();
      this.end();
    } else if (kind === STORE_DELTA.stored) this.#applyStored(delta, seq);
    else if (kind === STORE_DELTA.put) this.#applyPut(delta, seq);
    else if (kind === STORE_DELTA.begin) this.#applyBegin(delta, seq);
    else if (kind === STORE_DELTA.end) this.#applyEnd(delta, seq);
    else if (kind === STORE_DELTA.filled) this.isFilled = true;
    else return false;
    return true;
  }

  // --- changes of their own

  /** The store has these. */
  stored(items: readonly Stored[], context: OperationContext): void {
    const out = context.delta();
    out.u8(STORE_DELTA.stored);
    out.u32(items.length);
    for (const { key, seq } of items) {
      out.bytes(key);
      out.f64(seq);
      this.#told({ key, seq }, context.seq);
    }
  }

  #applyStored(delta: Reader, seq: number): void {
    for (let left = delta.u32(); left > 0; left--) {
      const key = delta.blob(MAX_KEY_BYTES);
      this.#told({ key, seq: delta.f64() }, seq);
    }
  }

  /** All that is owed of these keys from now on. The marks of these go. */
  put(list: readonly Owed[], ended: readonly Uint8Array[], context: OperationContext): void {
    const out = context.delta();
    out.u8(STORE_DELTA.put);
    out.u32(list.length);
    for (const owed of list) {
      writeOwed(out, owed);
      this.pending.put(owed);
    }
    this.#end(out, ended, context.seq);
  }

  #applyPut(delta: Reader, seq: number): void {
    for (let left = delta.u32(); left > 0; left--) this.pending.put(readOwed(delta));
    this.#applyEnd(delta, seq);
  }

  /** The store is told of writes of these keys by a call from here on; `known`: what it had of a key just now. */
  beginWrites(
    keys: readonly Uint8Array[],
    { client, sequence }: CallId,
    known: (key: Uint8Array) => 'value' | 'absent' | 'nothing',
    timeoutMs: number,
    context: OperationContext,
  ): void {
    const { lineage, epoch } = context.actor;
    const lease = { lineage, epoch, client, leaseMs: timeoutMs + SLACK_MS };
    const out = context.delta();
    out.u8(STORE_DELTA.begin);
    out.u32(keys.length);
    for (const key of keys) {
      const knew = known(key);
      const bits = knew === 'value' ? 0 : KNOWN[knew];
      const held = { ...lease, seq: context.seq, token: sequence * KNOWN_BITS + bits };
      this.intents.write(out, key, held);
      this.intents.grant(key, held, context.nowMs);
    }
  }

  #applyBegin(delta: Reader, seq: number): void {
    for (let left = delta.u32(); left > 0; left--) this.intents.apply(delta, seq);
  }

  endWrites(keys: readonly Uint8Array[], context: OperationContext): void {
    const out = context.delta();
    out.u8(STORE_DELTA.end);
    this.#end(out, keys, context.seq);
  }

  #end(out: Writer, keys: readonly Uint8Array[], seq: number): void {
    out.u32(keys.length);
    for (const key of keys) {
      out.bytes(key);
      this.intents.release(key, seq);
    }
  }

  #applyEnd(delta: Reader, seq: number): void {
    for (let left = delta.u32(); left > 0; left--) this.intents.release(delta.blob(MAX_KEY_BYTES), seq);
  }

  filled(context: OperationContext): void {
    context.delta().u8(STORE_DELTA.filled);
    this.isFilled = true;
  }

  // --- housekeeping, copies

  isPurgeable(upToSeq: number, nowMs: number): boolean {
    return this.pending.isPurgeable(upToSeq) || this.intents.droppable(upToSeq, nowMs).length > 0;
  }

  /** Drops marks up to a position that every replica has. */
  purge(upToSeq: number): void {
    this.pending.purge(upToSeq);
    this.intents.purgeReleased(upToSeq);
  }

  copyPending(from: number, maxBytes: number, out: Writer): number {
    if (from === 0 && this.isFilled) out.f64(COPIED.filled);
    if (from === 0 && this.forgotten.isOn) {
      out.f64(COPIED.forgotten);
      this.forgotten.copy(out);
    }
    return this.pending.copy(from, maxBytes, out, (prefixed) => prefixed.f64(COPIED.pending));
  }

  copyIntents(from: number, maxBytes: number, out: Writer): number {
    return this.intents.copy(from, maxBytes, out, (prefixed) => prefixed.f64(COPIED.intent));
  }

  /**
   * Reads a part of a copy that stands behind this number; false when it is none. `writtenAt`: of the record of a key, 0
   * when it is none that concerns the store.
   */
  paste(what: number, input: Reader, writtenAt: (key: Uint8Array) => number): boolean {
    if (what === COPIED.pending) this.pending.paste(input);
    else if (what === COPIED.intent)
      // One that a merge has left has the position of what that wrote.
      this.intents.paste(input, (key) => Math.max(writtenAt(key), this.pending.knownSeq(key)) - 1);
    else if (what === COPIED.filled) this.isFilled = true;
    else if (what === COPIED.forgotten) this.forgotten.paste(input);
    else return false;
    return true;
  }

  /** Ranges of hashes in which the store may have what the memory has not, of writes beyond a position. */
  untraced(seq: number): number[] {
    // A call that was under way may have told it.
    for (const { key, seq: at, isReleased } of this.intents.all())
      if (!isReleased && at > seq) this.forgotten.note(murmur3(key), at);
    return this.forgotten.beyond(seq);
  }

  dump(): string[] {
    return [
      ...(this.isFilled ? ['filled'] : []),
      ...this.pending.dump(),
      ...this.intents.dump().map((line) => line.replace(' load ', ' told ')),
    ];
  }

  clear(): void {
    this.pending.clear();
    this.intents.clear();
    this.forgotten.clear();
    this.isFilled = false;
  }
}

function callOf({ client, token }: Holder): CallId {
  return { client, sequence: Math.floor(token / KNOWN_BITS) };
}

/** What was loaded has no version; what is out of memory only is still in the store. */
export function concernsStore(meta: Pick<RecordMeta, 'ms' | 'tombstone' | 'cause'>): boolean {
  return !wasLoaded(meta) && !(meta.tombstone && isOnlyForgotten(meta.cause));
}

/** A record that came from the store and that nobody wrote since. */
export function wasLoaded({ ms }: Pick<RecordMeta, 'ms'>): boolean {
  return ms === 0;
}

/** The entry went out of memory, and the store keeps it. */
export function isOnlyForgotten(cause: RemovalCause): boolean {
  return cause === REMOVAL.evicted || cause === REMOVAL.expired;
}
