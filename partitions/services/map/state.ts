/**
 * The entries of a map in one partition, the marks of removed ones, and who loads what. Invariants: every change goes
 * through `change`, `changeMany`, `purge`, the two of a load or the two of a merge, which write the delta that a backup
 * needs for the same contents; `lastSeq` is the highest position of anything that was put here. Called by the handlers, merge,
 * replication and migration.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { MAX_KEY_BYTES } from '../../../src/wire/keys.js';
import type { ChangeSink } from '../../events/event.js';
import { murmur3 } from '../../hash.js';
import type { IndexDefinition } from '../../query/index-definition.js';
import type {
  Digested,
  MergeSince,
  OperationContext,
  PurgeHorizon,
  ServiceState,
  StateEnvironment,
} from '../../service.js';
import { dumpRecords } from '../../store/dump.js';
import { type Image, type Mendable, mendHashes, writeHash } from '../../store/mend.js';
import { type Page, type PageLimits, pageOf } from '../../store/page.js';
import {
  REMOVAL,
  type RecordMeta,
  type RecordVersion,
  type RemovalCause,
} from '../../store/record-layout.js';
import { RecordStore } from '../../store/record-store.js';
import type { Slab } from '../../store/slab.js';
import { KeyLocks } from '../key-locks.js';
import { writeChanges } from './changes.js';
import { type Crowd, countWrite } from './crowd.js';
import { DELTA, MERGED } from './delta.js';
import { Sweep, tellPut } from './entry-events.js';
import { endsMs, expiryOf, isShown } from './expiry.js';
import { MapIndexes } from './indexes.js';
import { type Life, lifeOf } from './life.js';
import { LoadLeases } from './load-leases.js';
import { MergedMarks, writeMark } from './merged-marks.js';
import type { MapOptions } from './options.js';
import { OwedWrites } from './owed.js';
import { applyPurgeTo, purgeMap } from './purge-step.js';
import { CHANGED, readImage, writeImage } from './record-image.js';
import { copyState, pasteState } from './state-copy.js';
import {
  askStore,
  checkFree,
  type EntryChange,
  type Making,
  removesOutside,
  type StoredMap,
  writeStored,
} from './stored.js';
import { readRemovals, Upkeep } from './upkeep.js';

const FOR_EVER: Life = { ttlMs: 0, maxIdleMs: 0 };
/** Of a tombstone. */
const NO_VALUE = new Uint8Array(0);

export class MapState implements ServiceState, StoredMap {
  readonly name: string;
  readonly store: RecordStore;
  readonly merged = new MergedMarks();
  readonly loads = new LoadLeases();
  readonly owed: OwedWrites;
  readonly upkeep: Upkeep;
  readonly partition: number;
  readonly locks = new KeyLocks(DELTA.lock);
  events: ChangeSink | null = null;
  readonly indexes: MapIndexes;
  lastSeq = 0;
  /** Position at which this primary last began to remove all entries. */
  clearedSeq = 0;

  /** What counts this map in this member; null while nobody asked for a bound. */
  crowd: Crowd | null = null;

  readonly #slab: Slab;
  readonly #mendable: Mendable;
  readonly #sweep = new Sweep();

  constructor(environment: StateEnvironment) {
    this.name = environment.name;
    this.partition = environment.partition;
    this.#slab = environment.slab;
    this.store = new RecordStore(environment.slab);
    this.owed = new OwedWrites(this.store);
    this.upkeep = new Upkeep(this, (key, meta, context) => {
      this.#put(key, NO_VALUE, meta);
      context.touched(murmur3(key));
      this.crowd?.count(this);
    });
    const put = ({ key, value, meta }: Image) => this.#place(key, value, meta);
    this.indexes = new MapIndexes(this.store);
    const remove = (key: Uint8Array) => this.#drop([key]);
    this.#mendable = { store: this.store, hashOf: murmur3, writeImage, readImage, put, remove };
  }

  get entryCount(): number {
    return this.store.liveCount;
  }

  get sizeBytes(): number {
    const { store, merged, loads, locks, owed, indexes } = this;
    const parts = [merged, loads, locks, owed, indexes];
    return parts.reduce((sum, part) => sum + part.sizeBytes, store.sizeBytes + store.indexBytes);
  }

  get derivedBytes(): number {
    return this.indexes.derivedBytes + this.upkeep.sizeBytes;
  }

  /**
   * The ref of the entry of a key, or -1; the reply waits for the record that was seen, also a tombstone. With a store
   * it throws when the call has to wait for that, so it comes before anything is changed.
   */
  look(key: Uint8Array, context: OperationContext): number {
    if (context.store === null) return this.lookHere(key, context);
    checkFree(this, key, context);
    const ref = this.lookHere(key, context);
    if (ref < 0) askStore(this, [key], context);
    return ref;
  }

  /** The same of what is in memory. */
  lookHere(key: Uint8Array, context: OperationContext): number {
    const ref = this.store.find(murmur3(key), key);
    if (ref < 0) return -1;
    context.dependsOn(this.store.seqOf(ref));
    if (!this.isVisible(ref, context)) {
      // That it is over is told when the backups have the removal: no other clock takes it back.
      if (this.upkeep.isOver(ref, key, context)) context.upkeep(key);
      return -1;
    }
    if (this.store.mayExpire(ref))
      context.goodFor(endsMs(this.store, ref, context.leadsSinceMs) - context.wallMs);
    return ref;
  }

  /**
   * An entry that is there and has not expired. Once a load was granted it counts as expired, whatever the clock of a
   * new primary says.
   */
  isVisible(ref: number, context: OperationContext): boolean {
    const { store } = this;
    if (store.isTombstone(ref)) return false;
    if (!store.mayExpire(ref)) return true;
    if (!isShown(store, ref, this.#judgedMs(ref, context.wallMs), context)) return false;
    return !this.loads.wasAskedAfter(store.keyOf(ref), store.seqOf(ref));
  }

  /** A read counts as a use of the entry, at the primary. */
  touch(ref: number, key: Uint8Array, context: OperationContext): void {
    if (context.isBehind) return;
    this.store.touch(ref, context.wallMs);
    if (this.store.mayExpire(ref)) this.upkeep.used(ref, key, context);
  }

  /** While a key is locked, nothing expires that had not when it was locked. */
  #judgedMs(ref: number, wallMs: number): number {
    if (this.locks.heldCount === 0 || this.store.expiresMs(ref) === 0) return wallMs;
    return Math.min(wallMs, this.locks.find(this.store.keyOf(ref))?.held.atMs ?? wallMs);
  }

  /** Removes what is left of a key without an entry that is shown, and ends its load; see `remove`. */
  removeRemains(key: Uint8Array, context: OperationContext): void {
    const cause = this.loads.find(key) === undefined ? REMOVAL.expired : REMOVAL.removed;
    if (this.hasRemains(key)) this.remove(key, cause, context);
  }

  /** Whether there is something left of a key without an entry that is shown. */
  hasRemains(key: Uint8Array): boolean {
    const ref = this.store.find(murmur3(key), key);
    return (ref >= 0 && !this.store.isTombstone(ref)) || this.loads.find(key) !== undefined;
  }

  /** Removes an entry that is over, for a call that says that there is none; see `remove`. */
  removeOver(key: Uint8Array, context: OperationContext): void {
    const ref = this.store.find(murmur3(key), key);
    if (ref >= 0 && this.upkeep.isOver(ref, key, context)) this.remove(key, REMOVAL.expired, context);
  }

  /** Sets the value of a key, as the one change of this operation. */
  change(key: Uint8Array, value: Uint8Array, context: OperationContext, life: Life | null = null): void {
    if (context.options.store !== undefined) {
      writeStored(this, [{ key, value, life }], REMOVAL.removed, context);
      return;
    }
    const out = context.delta();
    out.u8(DELTA.one);
    const options = context.options as MapOptions;
    this.#change(out, key, value, REMOVAL.removed, context, lifeOf(life, options));
  }

  /** Leaves the mark of a removal for a key, as the one change of this operation. */
  remove(key: Uint8Array, cause: RemovalCause, context: OperationContext): void {
    if (context.options.store !== undefined) {
      writeStored(this, [{ key, value: null }], cause, context);
      return;
    }
    const out = context.delta();
    out.u8(DELTA.one);
    this.#change(out, key, null, cause, context, FOR_EVER);
  }

  /** Gives an entry that is shown another time to live, from now on, as the one change of this operation. */
  renew(ref: number, ttlMs: number, context: OperationContext): void {
    const { store } = this;
    const old = store.metaOf(ref);
    const { maxIdleMs, staleMs } = old;
    const life = lifeOf({ ttlMs, maxIdleMs }, context.options as MapOptions);
    const expiry = expiryOf({ ...life, staleMs }, Math.floor(context.wallMs));
    const meta = { ...old, ...context.version(), seq: context.seq, origin: 0, ...expiry };
    // Copies, because the record moves.
    const [key, value] = [Buffer.from(store.keyOf(ref)), Buffer.from(store.valueOf(ref))];
    const out = context.delta();
    out.u8(DELTA.renew);
    writeImage(out, meta, key, value);
    this.#place(key, value, meta);
    context.touched(murmur3(key));
  }

  /** Sets the values of several keys, null to remove one, as the one change of this operation. */
  changeMany(
    entries: readonly EntryChange[],
    context: OperationContext,
    cause: RemovalCause = REMOVAL.removed,
  ): void {
    if (entries.length === 0) return;
    if (context.options.store === undefined) this.make(entries, cause, context);
    else writeStored(this, entries, cause, context);
  }

  removeMany(keys: readonly Uint8Array[], cause: RemovalCause, context: OperationContext): void {
    const entries = keys.map((key) => ({ key, value: null }));
    this.changeMany(entries, context, cause);
  }

  /** Makes a change of several keys, as the one change of this operation, whatever the store has of it. */
  make(
    entries: readonly EntryChange[],
    cause: RemovalCause,
    context: OperationContext,
    { isOwed = false, isSettled = false, isLoaded = false }: Making = {},
  ): void {
    const out = context.delta();
    if (isOwed) this.owed.begin(out, coalesces(context));
    if (isSettled) this.owed.settle(out);
    out.u8(DELTA.many);
    out.u32(entries.length);
    this.#sweep.begin();
    const options = context.options as MapOptions;
    for (const { key, value, life = null } of entries)
      this.#change(out, key, value, cause, context, lifeOf(life, options), isLoaded);
    this.#sweep.end(this.events, context.seq);
    this.owed.end();
  }

  #change(
    out: Writer,
    key: Uint8Array,
    value: Uint8Array | null,
    cause: RemovalCause,
    context: OperationContext,
    life: Life,
    isLoaded = false,
  ): void {
    const ref = this.store.find(murmur3(key), key);
    const made = this.#metaOfChange(ref, value === null, cause, context, life);
    // What was loaded is older than whatever somebody wrote, on any side of a split.
    const meta = isLoaded ? { ...made, ms: 0, counter: 0 } : made;
    const bytes = value ?? NO_VALUE;
    writeImage(out, meta, key, bytes);
    this.#put(key, bytes, meta);
    context.touched(murmur3(key));
    countWrite(this, this.#slab, context);
  }

  #put(key: Uint8Array, value: Uint8Array, meta: RecordMeta, isMerge = false): void {
    if (this.events !== null) {
      if (tellPut(this.events, this.store, { key, value, meta }, isMerge)) this.#sweep.gone(meta);
    }
    this.#place(key, value, meta);
  }

  /** What is written to a key ends its load. */
  #place(key: Uint8Array, value: Uint8Array, meta: RecordMeta): void {
    this.loads.drop(key, meta.seq);
    const hash = murmur3(key);
    this.owed.replaces(key, hash, meta);
    this.upkeep.noted(this.store.put(hash, key, value, meta), hash, meta);
    this.owed.noted(key, value, meta);
    if (meta.seq > this.lastSeq) this.lastSeq = meta.seq;
  }

  /** An entry that is overwritten keeps its creation time and its accesses; all else is new. */
  #metaOfChange(
    ref: number,
    tombstone: boolean,
    cause: RemovalCause,
    context: OperationContext,
    life: Life,
  ): RecordMeta {
    const { ms, counter, memberHi, memberLo } = context.version();
    const nowMs = Math.floor(context.wallMs);
    const old = ref >= 0 && this.isVisible(ref, context) ? this.store.metaOf(ref) : undefined;
    return {
      ms,
      counter,
      memberHi,
      memberLo,
      tombstone,
      cause,
      origin: 0,
      seq: context.seq,
      createdMs: old?.createdMs ?? nowMs,
      updatedMs: nowMs,
      ...expiryOf(life, nowMs),
      accessedMs: old?.accessedMs ?? 0,
      hits: old?.hits ?? 0,
    };
  }

  /** The delta of a merge, to write its images and marks into; there can be none of them. */
  beginMerge(context: OperationContext): Writer {
    const out = context.delta();
    // What a merge decides is written behind, so that the store agrees in the end with what both sides have.
    if (removesOutside(context)) this.owed.begin(out, coalesces(context));
    out.u8(DELTA.merge);
    this.owed.end();
    return out;
  }

  /** Puts a record that a merge decided on. */
  mergeImage(
    out: Writer,
    key: Uint8Array,
    value: Uint8Array,
    meta: RecordMeta,
    context: OperationContext,
  ): void {
    out.u8(MERGED.image);
    writeImage(out, meta, key, value);
    this.owed.resume(removesOutside(context));
    this.#put(key, value, meta, true);
    this.owed.end();
    context.touched(murmur3(key));
  }

  mergeMark(out: Writer, version: RecordVersion, atMs: number): void {
    out.u8(MERGED.mark);
    writeMark(out, version, atMs);
    this.merged.add(version, atMs);
  }

  /** What a merge makes of locks. */
  mergeLocks(out: Writer, parts: number, written: Uint8Array): void {
    out.u8(MERGED.locks);
    out.u32(parts);
    out.raw(written);
  }

  mergeIndexes(out: Writer, definitions: readonly IndexDefinition[], context: OperationContext): void {
    out.u8(MERGED.indexes);
    this.indexes.change(definitions, context.seq, out);
    this.lastSeq = context.seq;
  }

  page(fromHash: number, limits: PageLimits, measure: (ref: number) => number): Page {
    return pageOf(this.store, fromHash, limits, measure);
  }

  purge(cursor: number, horizon: PurgeHorizon, context: OperationContext): number {
    return purgeMap(this, cursor, horizon, context, (keys) => this.#drop(keys));
  }

  get dueMs(): number {
    return this.upkeep.dueMs;
  }

  #drop(keys: readonly Uint8Array[]): void {
    for (const key of keys) this.store.remove(this.store.find(murmur3(key), key));
    if (this.store.recordCount === 0) this.upkeep.clear();
  }

  apply(delta: Reader, seq: number): void {
    this.indexes.noteApplied();
    this.#applyKind(delta.u8(), delta, seq);
    if (seq > this.lastSeq) this.lastSeq = seq;
  }

  #applyKind(kind: number, delta: Reader, seq: number): void {
    if (kind === DELTA.one) this.#applyImage(delta, seq);
    else if (kind === DELTA.many) this.#applyMany(delta, seq);
    // The value is what it was: nobody who listens is told.
    else if (kind === DELTA.renew) this.#mendable.put(readImage(delta, seq));
    else if (kind === DELTA.purge) applyPurgeTo(this, delta, (keys) => this.#drop(keys));
    else if (kind === DELTA.merge) this.#applyMerge(delta, seq);
    else if (kind === DELTA.upkeep) this.#applyUpkeep(delta, seq);
    else if (kind === DELTA.grantLoad) this.loads.apply(delta, seq);
    else if (kind === DELTA.releaseLoad) this.loads.release(delta.blob(MAX_KEY_BYTES), seq);
    else if (kind === DELTA.lock) this.locks.apply(delta, seq);
    else if (kind === DELTA.indexes) this.indexes.apply(delta, seq);
    else if (!this.owed.apply(kind, delta, seq, () => this.#applyKind(delta.u8(), delta, seq)))
      throw new ProtocolError(`unknown delta of a map: ${kind}`);
  }

  #applyMany(input: Reader, seq: number): void {
    this.#sweep.begin();
    for (let left = input.u32(); left > 0; left--) this.#applyImage(input, seq);
    this.#sweep.end(this.events, seq);
  }

  #applyImage(input: Reader, seq: number, isMerge = false): void {
    const { meta, key, value } = readImage(input, seq);
    this.#put(key, value, meta, isMerge);
  }

  #applyUpkeep(input: Reader, seq: number): void {
    for (const { meta, key, value } of readRemovals(input, seq)) this.#put(key, value, meta);
    this.upkeep.applyUses(input);
  }

  #applyMerge(input: Reader, seq: number): void {
    while (input.remaining > 0) {
      const part = input.u8();
      if (part === MERGED.mark) this.merged.read(input);
      else if (part === MERGED.locks) this.locks.applyMerge(input, input.u32(), seq);
      else if (part === MERGED.indexes) this.indexes.apply(input, seq);
      else if (part === MERGED.forgotten) this.owed.forgotten.noteRange(input.u8(), seq);
      else this.#applyImage(input, seq, true);
    }
  }

  copy(cursor: number, maxBytes: number, out: Writer): number {
    return copyState(this, cursor, maxBytes, out);
  }

  paste(records: Reader): void {
    pasteState(this, records, ({ key, value, meta }) => this.#place(key, value, meta));
  }

  /** Position of the last write of a key, 0 for none. */
  writtenAt(key: Uint8Array): number {
    const ref = this.store.find(murmur3(key), key);
    return ref < 0 ? 0 : this.store.seqOf(ref);
  }

  changes(cursor: number, since: MergeSince, maxBytes: number, out: Writer): number {
    if (cursor === 0) this.locks.writeChanges(since.sharedSeq, CHANGED.locks, out);
    // Before the records, because the last page of these is the end.
    if (cursor === 0 && this.indexes.seq > since.sharedSeq) {
      out.u8(CHANGED.indexes);
      this.indexes.write(out);
    }
    return writeChanges(this, cursor, since, maxBytes, out);
  }

  get digested(): Digested {
    return this;
  }

  writeHash(hash: number, out: Writer): void {
    writeHash(this.#mendable, hash, out);
  }

  mend(hashes: readonly number[], records: Reader, seq: number, isExact: boolean): number {
    const repaired = mendHashes(this.#mendable, hashes, records, seq, isExact);
    if (repaired > 0) this.events?.restart(seq);
    return repaired;
  }

  /** Without the marks of merges: the bound drops the oldest, and replicas need not agree which those are. */
  dump(): readonly string[] {
    const parts = [this.loads, this.locks, this.owed, this.indexes];
    return [...dumpRecords(this.store), ...parts.flatMap((part) => part.dump())].sort();
  }

  dispose(): void {
    this.store.clear();
    this.merged.clear();
    this.loads.clear();
    this.owed.clear();
    this.upkeep.clear();
    this.crowd?.left(this);
    this.crowd = null;
    this.locks.clear();
    this.indexes.dispose();
    this.lastSeq = 0;
  }
}

/** Whether only the last value of a key is owed to the store. */
function coalesces({ options }: OperationContext): boolean {
  return options.store?.coalescing !== false;
}
