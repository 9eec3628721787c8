/**
 * What a map does for its entries by itself: it removes those that are over or make room for others, and tells backups
 * which were used. Invariants: all of it is changes of the primary; what a change removes has one cause; a step is bounded
 * by number and bytes of keys. `dueMs` says when the next step finds something. Called by the state of the map.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { MAX_KEY_BYTES } from '../../../src/wire/keys.js';
import { murmur3 } from '../../hash.js';
import type { OperationContext } from '../../service.js';
import { DueIndex } from '../../store/due-index.js';
import type { Image } from '../../store/mend.js';
import { BLANK_META, REMOVAL, type RecordMeta, type RemovalCause } from '../../store/record-layout.js';
import type { RecordStore } from '../../store/record-store.js';
import type { KeyLocks } from '../key-locks.js';
import { DELTA } from './delta.js';
import { removalMs, toldEveryMs } from './expiry.js';
import type { LoadLeases } from './load-leases.js';

/** Of one step. */
export const STEP_ENTRIES = 1_000;
const STEP_RECORDS = 4_000;
const STEP_BYTES = 256 * 1024;
/** Entries whose uses wait for the next step; others are told of with their next use. */
const MAX_PENDING = 1_024;
/** When an entry is looked at again that is over and being loaded, which the removal would end, or locked. */
const HELD_MS = 1_000;

const NOT_LEADING = Number.NEGATIVE_INFINITY;
const NEVER = Number.POSITIVE_INFINITY;
const NO_VALUE = new Uint8Array(0);

/** The state whose entries it looks after. */
interface KeptUp {
  readonly store: RecordStore;
  readonly loads: LoadLeases;
  readonly locks: KeyLocks;
  isVisible(ref: number, context: OperationContext): boolean;
}

type PutMark = (key: Uint8Array, meta: RecordMeta, context: OperationContext) => void;

export class Upkeep {
  readonly #of: KeptUp;
  readonly #store: RecordStore;
  readonly #due = new DueIndex();
  /** Hashes of entries whose last use the backups should hear of. */
  readonly #pending = new Set<number>();
  /** Some entry is not shown, but kept. */
  #keepsStale = false;

  readonly #put: PutMark;

  /** `put` leaves the mark of a removal in the state. */
  constructor(of: KeptUp, put: PutMark) {
    this.#of = of;
    this.#store = of.store;
    this.#put = put;
  }

  get dueMs(): number {
    return this.#pending.size > 0 ? Number.NEGATIVE_INFINITY : this.#due.firstMs;
  }

  get sizeBytes(): number {
    return this.#due.sizeBytes;
  }

  /** A record was put. */
  noted(ref: number, hash: number, meta: RecordMeta): void {
    const store = this.#store;
    if (meta.tombstone || !store.mayExpire(ref)) return;
    if (meta.staleMs > 0) this.#keepsStale = true;
    this.#due.note(hash, removalMs(store, ref, NOT_LEADING), store.recordCount);
  }

  /** A read at the primary counted as a use of an entry. */
  used(ref: number, key: Uint8Array, context: OperationContext): void {
    const store = this.#store;
    const maxIdleMs = store.maxIdleMs(ref);
    if (maxIdleMs === 0) return;
    const untoldMs = store.usedMs(ref) - store.toldMs(ref);
    // A write that counts as a use leaves it to the next step.
    if (untoldMs >= toldEveryMs(maxIdleMs)) context.upkeep(key);
    if (untoldMs >= toldEveryMs(maxIdleMs) / 2 && this.#pending.size < MAX_PENDING)
      this.#pending.add(store.hashOf(ref));
  }

  /** Whether the entry of a key may be removed because it is over. */
  isOver(ref: number, key: Uint8Array, context: OperationContext): boolean {
    const store = this.#store;
    if (store.isTombstone(ref) || !store.mayExpire(ref) || this.#isHeld(key)) return false;
    return context.wallMs >= removalMs(store, ref, context.leadsSinceMs);
  }

  /** How many entries are shown. */
  shownCount(context: OperationContext): number {
    const store = this.#store;
    let hidden = 0;
    const look = (ref: number) => {
      const isThere = !store.isTombstone(ref) && store.mayExpire(ref);
      if (isThere && !this.#of.isVisible(ref, context)) hidden++;
    };
    if (this.#keepsStale || this.#of.loads.count > 0) store.visitRange(0, 0xffff_ffff, look);
    else
      this.#due.visit(context.wallMs, (from, to) => {
        store.visitRange(from, to, look);
        return this.#nextOf(from, to, NOT_LEADING);
      });
    return store.liveCount - hidden;
  }

  /** Somebody loads it, or has locked it: it must not be removed. */
  #isHeld(key: Uint8Array): boolean {
    const { loads, locks } = this.#of;
    return loads.find(key) !== undefined || (locks.heldCount > 0 && locks.find(key) !== undefined);
  }

  #nextOf(from: number, to: number, leadsSinceMs: number): number {
    const store = this.#store;
    let next = NEVER;
    store.visitRange(from, to, (ref) => {
      if (!store.isTombstone(ref)) next = Math.min(next, removalMs(store, ref, leadsSinceMs));
    });
    return next;
  }

  /** See `Service.expire`. */
  expire(context: OperationContext): number {
    const over = this.#findOver(context);
    this.#record(over, REMOVAL.expired, this.#takePending(), context);
    return over.length;
  }

  /** See `Service.upkeep`. */
  keepUp(keys: readonly Uint8Array[], context: OperationContext): number {
    const over: Uint8Array[] = [];
    const used: Uint8Array[] = [];
    const distinct = new Map(keys.map((key) => [Buffer.from(key).toString('latin1'), key]));
    for (const key of distinct.values()) {
      const ref = this.#store.find(murmur3(key), key);
      if (ref >= 0 && this.isOver(ref, key, context)) over.push(key);
      else if (ref >= 0 && this.#isUntold(ref)) used.push(key);
    }
    this.#record(over, REMOVAL.expired, used, context);
    return over.length;
  }

  /** See `Service.evict`. */
  evict(keys: readonly Uint8Array[], context: OperationContext): void {
    this.#record(keys, REMOVAL.evicted, [], context);
  }

  /** As the one change of this operation. */
  #record(
    removed: readonly Uint8Array[],
    cause: RemovalCause,
    used: readonly Uint8Array[],
    context: OperationContext,
  ): void {
    if (removed.length + used.length === 0) return;
    const out = context.delta();
    out.u8(DELTA.upkeep);
    const { memberHi, memberLo } = context.actor;
    const stamp = { cause, updatedMs: Math.floor(context.wallMs), memberHi, memberLo };
    writeStamp(out, stamp, removed.length);
    for (const key of removed) {
      const ref = this.#store.find(murmur3(key), key);
      const version = { ...context.version(), createdMs: this.#store.versionMs(ref) };
      const meta = markOf(stamp, version, context.seq);
      out.f64(meta.ms);
      out.u16(meta.counter);
      out.f64(meta.createdMs);
      out.bytes(key);
      this.#put(key, meta, context);
    }
    this.#writeUses(out, used);
  }

  /** Copies of the keys of a step's entries that are over. */
  #findOver(context: OperationContext): Uint8Array[] {
    const store = this.#store;
    const { wallMs, leadsSinceMs } = context;
    const keys: Uint8Array[] = [];
    let records = 0;
    let bytes = 0;
    this.#due.visit(wallMs, (from, to) => {
      if (keys.length >= STEP_ENTRIES || bytes >= STEP_BYTES || records >= STEP_RECORDS) return null;
      let next = NEVER;
      store.visitRange(from, to, (ref) => {
        records++;
        if (store.isTombstone(ref) || !store.mayExpire(ref)) return;
        const ends = removalMs(store, ref, leadsSinceMs);
        if (ends > wallMs) next = Math.min(next, ends);
        else if (this.#isHeld(store.keyOf(ref))) next = Math.min(next, wallMs + HELD_MS);
        else if (bytes >= STEP_BYTES) next = Math.min(next, ends);
        else {
          const key = Buffer.from(store.keyOf(ref));
          keys.push(key);
          bytes += key.length;
        }
      });
      return next;
    });
    return keys;
  }

  /** Copies of the keys of entries whose uses are to be told. */
  #takePending(): Uint8Array[] {
    const store = this.#store;
    const keys: Uint8Array[] = [];
    for (const hash of this.#pending)
      for (const ref of store.refsOf(hash)) if (this.#isUntold(ref)) keys.push(Buffer.from(store.keyOf(ref)));
    this.#pending.clear();
    return keys;
  }

  /** The backups do not know of the last use of an entry. */
  #isUntold(ref: number): boolean {
    const store = this.#store;
    if (store.isTombstone(ref) || store.maxIdleMs(ref) === 0) return false;
    return store.usedMs(ref) > store.toldMs(ref);
  }

  /** Writes what backups need to know of the uses of these entries. */
  #writeUses(out: Writer, keys: readonly Uint8Array[]): void {
    const store = this.#store;
    out.u32(keys.length);
    for (const key of keys) {
      const ref = store.find(murmur3(key), key);
      out.bytes(key);
      out.f64(store.accessedMs(ref));
      out.u32(store.hits(ref));
      store.tell(ref);
    }
  }

  applyUses(input: Reader): void {
    const store = this.#store;
    for (let left = input.u32(); left > 0; left--) {
      const key = input.blob(MAX_KEY_BYTES);
      const accessedMs = input.f64();
      const hits = input.u32();
      const ref = store.find(murmur3(key), key);
      if (ref >= 0 && store.mayExpire(ref)) store.noteReads(ref, accessedMs, hits);
    }
  }

  clear(): void {
    this.#due.clear();
    this.#pending.clear();
    this.#keepsStale = false;
  }
}

/** What the marks of one change have in common; each has the time of the version that ended as that of its creation. */
type Stamp = Pick<RecordMeta, 'memberHi' | 'memberLo' | 'updatedMs' | 'cause'>;

function writeStamp(out: Writer, { cause, updatedMs, memberHi, memberLo }: Stamp, count: number): void {
  out.u8(cause);
  out.f64(updatedMs);
  out.u32(memberHi);
  out.u32(memberLo);
  out.u32(count);
}

function markOf(
  { cause, updatedMs, memberHi, memberLo }: Stamp,
  { ms, counter, createdMs }: Pick<RecordMeta, 'ms' | 'counter' | 'createdMs'>,
  seq: number,
): RecordMeta {
  const times = { createdMs, updatedMs };
  return { ...BLANK_META, ms, counter, memberHi, memberLo, ...times, seq, tombstone: true, cause };
}

/** The marks that a change leaves, each when it is its turn; behind them come the uses. */
export function* readRemovals(input: Reader, seq: number): Generator<Image> {
  const cause = (input.u8() & 3) as RemovalCause;
  const stamp = { cause, updatedMs: input.f64(), memberHi: input.u32(), memberLo: input.u32() };
  for (let left = input.u32(); left > 0; left--) {
    const version = { ms: input.f64(), counter: input.u16(), createdMs: input.f64() };
    yield { key: input.blob(MAX_KEY_BYTES), value: NO_VALUE, meta: markOf(stamp, version, seq) };
  }
}
