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
import { applyPurge, HASH_END, PURGE_STEP, writePurge } from '../../store/purge.js';
import {
  REMOVAL,
  type RecordMeta,
  type RecordVersion,
  type RemovalCause,
} from '../../store/record-layout.js';
import { RecordStore } from '../../store/record-store.js';
import { KeyLocks } from '../key-locks.js';
import { writeChanges } from './changes.js';
import { DELTA } from './delta.js';
import { Sweep, tellPut } from './entry-events.js';
import { expiryOf, FOR_EVER, findOver, freshUntilMs, hasExpired, isStillKept, type Life } from './expiry.js';
import { MapIndexes } from './indexes.js';
import { type Fence, type Holder, LoadLeases } from './load-leases.js';
import { MergedMarks, writeMark } from './merged-marks.js';
import { OwedWrites } from './owed.js';
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

/** Of a merge. */
const MERGED = { image: 1, mark: 2, fence: 3, indexes: 30 } as const;
/** Of a tombstone. */
const NO_VALUE = new Uint8Array(0);

export class MapState implements ServiceState, StoredMap {
  readonly name: string;
  readonly store: RecordStore;
  readonly merged = new MergedMarks();
  readonly loads = new LoadLeases();
  readonly owed = new OwedWrites();
  readonly locks = new KeyLocks(DELTA.lock);
  events: ChangeSink | null = null;
  readonly indexes: MapIndexes;
  lastSeq = 0;
  /** Position at which this primary last began to remove all entries. */
  clearedSeq = 0;

  readonly #mendable: Mendable;
  readonly #sweep = new Sweep();

  constructor(environment: StateEnvironment) {
    this.name = environment.name;
    this.store = new RecordStore(environment.slab);
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
    return this.indexes.derivedBytes;
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
    if (!this.isVisible(ref, context.wallMs)) return -1;
    if (this.store.expiresMs(ref) > 0) context.goodFor(freshUntilMs(this.store.metaOf(ref)) - context.wallMs);
    return ref;
  }

  /**
   * An entry that is there and has not expired. Once a load was granted it counts as expired, whatever the clock of a
   * new primary says.
   */
  isVisible(ref: number, wallMs: number): boolean {
    const { store } = this;
    if (store.isTombstone(ref) || hasExpired(store, ref, this.#judgedMs(ref, wallMs))) return false;
    return store.expiresMs(ref) === 0 || !this.loads.wasAskedAfter(store.keyOf(ref), store.seqOf(ref));
  }

  /** While a key is locked, nothing expires that had not when it was locked. */
  #judgedMs(ref: number, wallMs: number): number {
    if (this.locks.heldCount === 0 || this.store.expiresMs(ref) === 0) return wallMs;
    return Math.min(wallMs, this.locks.find(this.store.keyOf(ref))?.held.atMs ?? wallMs);
  }

  /** The ref of an entry that has expired, but not for longer than this, or -1. */
  lookStale(key: Uint8Array, staleMs: number, context: OperationContext): number {
    const { store } = this;
    const ref = store.find(murmur3(key), key);
    if (ref < 0 || store.isTombstone(ref)) return -1;
    return isStillKept(store, ref, staleMs, context.wallMs) ? ref : -1;
  }

  /** A key without an entry that is shown has something all the same that a removal has to end. */
  hasRemains(key: Uint8Array): boolean {
    const ref = this.store.find(murmur3(key), key);
    return (ref >= 0 && !this.store.isTombstone(ref)) || this.loads.find(key) !== undefined;
  }

  /** Sets the value of a key, as the one change of this operation. */
  change(key: Uint8Array, value: Uint8Array, context: OperationContext, life: Life = FOR_EVER): void {
    if (context.options.store !== undefined) {
      writeStored(this, [{ key, value, life }], REMOVAL.removed, context);
      return;
    }
    const out = context.delta();
    out.u8(DELTA.one);
    this.#change(out, key, value, REMOVAL.removed, context, life);
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

  /** Lets the holder load a key, as the one change of this operation; gives the fence. */
  grantLoad(key: Uint8Array, holder: Holder, leaseMs: number, context: OperationContext): Fence {
    const { lineage, epoch } = context.actor;
    const lease = { lineage, epoch, seq: context.seq, ...holder, leaseMs };
    const out = context.delta();
    out.u8(DELTA.grantLoad);
    this.loads.write(out, key, lease);
    this.loads.grant(key, lease, context.nowMs);
    this.lastSeq = context.seq;
    return lease;
  }

  /** Ends the lease of a key without a value, as the one change of this operation. */
  releaseLoad(key: Uint8Array, context: OperationContext): void {
    const out = context.delta();
    out.u8(DELTA.releaseLoad);
    out.bytes(key);
    this.loads.release(key, context.seq);
    this.lastSeq = context.seq;
  }

  /** Sets the list of indexes, as the one change of this operation. */
  setIndexes(definitions: readonly IndexDefinition[], context: OperationContext): void {
    const out = context.delta();
    out.u8(DELTA.indexes);
    this.indexes.change(definitions, context.seq, out);
    this.lastSeq = context.seq;
  }

  /** Sets the values of several keys, null to remove one, as the one change of this operation. */
  changeMany(entries: readonly EntryChange[], context: OperationContext): void {
    this.#changeAll(entries, REMOVAL.removed, context);
  }

  removeMany(keys: readonly Uint8Array[], cause: RemovalCause, context: OperationContext): void {
    const entries = keys.map((key) => ({ key, value: null }));
    this.#changeAll(entries, cause, context);
  }

  #changeAll(entries: readonly EntryChange[], cause: RemovalCause, context: OperationContext): void {
    if (entries.length === 0) return;
    if (context.options.store === undefined) this.make(entries, cause, context);
    else writeStored(this, entries, cause, context);
  }

  /** Makes a change of several keys, as the one change of this operation, whatever the store has of it. */
  make(
    entries: readonly EntryChange[],
    cause: RemovalCause,
    context: OperationContext,
    { isOwed = false, isSettled = false, isLoaded = false }: Making = {},
  ): void {
    const out = context.delta();
    if (isOwed) this.owed.begin(out, context.options.store?.coalescing !== false);
    if (isSettled) this.owed.settle(out);
    out.u8(DELTA.many);
    out.u32(entries.length);
    this.#sweep.begin();
    for (const { key, value, life = FOR_EVER } of entries)
      this.#change(out, key, value, cause, context, life, isLoaded);
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
    this.store.put(murmur3(key), key, value, meta);
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
    const old = ref >= 0 && this.isVisible(ref, nowMs) ? this.store.metaOf(ref) : undefined;
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
      maxIdleMs: 0,
      accessedMs: old?.accessedMs ?? 0,
      hits: old?.hits ?? 0,
    };
  }

  /** The delta of a merge, to write its images and marks into; there can be none of them. */
  beginMerge(context: OperationContext): Writer {
    const out = context.delta();
    // What a merge decides is written behind, so that the store agrees in the end with what both sides have.
    if (removesOutside(context)) this.owed.begin(out, true);
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

  /** For the fence of locks that a merge lifts. */
  mergeFence(out: Writer): Writer {
    out.u8(MERGED.fence);
    return out;
  }

  mergeIndexes(out: Writer, definitions: readonly IndexDefinition[], context: OperationContext): void {
    out.u8(MERGED.indexes);
    this.indexes.change(definitions, context.seq, out);
    this.lastSeq = context.seq;
  }

  page(fromHash: number, limits: PageLimits, measure: (ref: number) => number): Page {
    return pageOf(this.store, fromHash, limits, measure);
  }

  /**
   * One step of removing expired entries, tombstones, and leases that are over; see `Service.purge`. One change does it
   * all, so that the next step goes on behind the range: entries that expire all the time would hold it there.
   */
  purge(cursor: number, horizon: PurgeHorizon, context: OperationContext): number {
    const range = [cursor, HASH_END] as const;
    const { expired, next, ...over } = findOver(this.store, range, PURGE_STEP, horizon, context.wallMs);
    // A merge finds what is owed of a key by its record.
    const tombstones = this.owed.without(over.tombstones);
    // The removal would end the lease of somebody who loads the key.
    const { loads, locks } = this;
    const removed = expired.filter((key) => loads.find(key) === undefined && locks.find(key) === undefined);
    const withMarks = cursor === 0 && this.merged.isPurgeable(horizon.ms);
    const leases = loads.droppable(horizon.seq, context.nowMs);
    const unlocked = locks.droppable(horizon.seq);
    const withFence = locks.isFenceOver(horizon);
    const found = tombstones.length + removed.length + leases.length + unlocked.length;
    const ofStore = cursor === 0 && this.owed.isPurgeable(horizon.seq, context.nowMs);
    if (found === 0 && !withMarks && !withFence && !ofStore) return next;
    const out = context.delta();
    out.u8(DELTA.purge);
    writePurge(out, cursor, next, horizon);
    out.u32(leases.length);
    for (const key of leases) {
      out.bytes(key);
      loads.drop(key, horizon.seq);
    }
    locks.purge(unlocked, withFence, horizon.seq, out);
    this.#drop(tombstones);
    if (withMarks) this.merged.purge(horizon.ms);
    if (ofStore) this.owed.purge(horizon.seq);
    for (const key of removed) this.#change(out, key, null, REMOVAL.expired, context, FOR_EVER);
    return next;
  }

  #drop(keys: readonly Uint8Array[]): void {
    for (const key of keys) this.store.remove(this.store.find(murmur3(key), key));
  }

  apply(delta: Reader, seq: number): void {
    this.indexes.noteApplied();
    this.#applyKind(delta.u8(), delta, seq);
    if (seq > this.lastSeq) this.lastSeq = seq;
  }

  #applyKind(kind: number, delta: Reader, seq: number): void {
    if (kind === DELTA.one) this.#applyImage(delta, seq);
    else if (kind === DELTA.many) this.#applyMany(delta, seq);
    else if (kind === DELTA.purge) this.#applyPurge(delta, seq);
    else if (kind === DELTA.merge) this.#applyMerge(delta, seq);
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

  #applyMerge(input: Reader, seq: number): void {
    while (input.remaining > 0) {
      const part = input.u8();
      if (part === MERGED.mark) this.merged.read(input);
      else if (part === MERGED.fence) this.locks.applyLift(input);
      else if (part === MERGED.indexes) this.indexes.apply(input, seq);
      else this.#applyImage(input, seq, true);
    }
  }

  #applyPurge(input: Reader, seq: number): void {
    const { from, horizon } = applyPurge(this.store, input, (keys) => this.#drop(this.owed.without(keys)));
    for (let left = input.u32(); left > 0; left--) this.loads.drop(input.blob(MAX_KEY_BYTES), horizon.seq);
    this.locks.applyPurge(input, horizon.seq);
    if (from === 0) {
      this.merged.purge(horizon.ms);
      this.owed.purge(horizon.seq);
    }
    while (input.remaining > 0) this.#applyImage(input, seq);
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
    if (cursor === 0) this.locks.writeFenceBeyond(since.sharedSeq, CHANGED.fence, out);
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
    this.locks.clear();
    this.indexes.dispose();
    this.lastSeq = 0;
  }
}
