/**
 * The pairs of a multimap in one partition, and the marks of removed ones. Invariants: every change goes through an
 * `Edit` or `purge`, which write the delta that a backup needs for the same contents; the index of keys says what the
 * pairs say; `lastSeq` is the highest position of any pair that was put here. Called by the handlers, merge,
 * replication and migration.
 *
 * An equal pair that another side of a split put as well has an id of its own here, and both stay: a third side may have
 * removed the one, and not know of the other. Users see one of them; the one with the later id is hidden. Listeners are told
 * of what users see: that a value came to a key, or left it.
 */
import { assert } from '../../../src/base/assert.js';
import { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import type { ChangeSink } from '../../events/event.js';
import { murmur3 } from '../../hash.js';
import { EMPTY_BYTES } from '../../limits.js';
import type {
  Digested,
  MergeSince,
  OperationContext,
  PurgeHorizon,
  ServiceState,
  StateEnvironment,
  Version,
} from '../../service.js';
import { dumpRecords } from '../../store/dump.js';
import { type Image, type Mendable, mendHashes, writeHash } from '../../store/mend.js';
import { pageOf } from '../../store/page.js';
import { applyPurge, HASH_END, purgeable, writePurge } from '../../store/purge.js';
import type { RecordMeta } from '../../store/record-layout.js';
import { RecordStore, type ScanBudget } from '../../store/record-store.js';
import { VERSION_BYTES, writeVersion } from '../../store/record-version.js';
import { KeyLocks } from '../key-locks.js';
import { KeyIndex } from './key-index.js';
import {
  idOf,
  isSameCall,
  KIND,
  type Kind,
  kindOf,
  metaOf,
  NO_VALUE,
  pairHash,
  pairKey,
  pairPrefix,
  prefixOf,
  readImage,
  tailOf,
  userKeyOf,
  writeImage,
} from './pair.js';

export const DELTA = { pairs: 1, purge: 2, lock: 3, locks: 4, cleared: 5 } as const;
/**
 * In front of a pair that a merge brings: the call that changed it does not count there; or what became of
 * locks follows instead.
 */
export const CHANGED = { skipped: 1, locks: 4 } as const;
/** In the place of a pair's position in a copy: a lock of a key follows. */
const LOCK = -1;
/** Cursors of a copy: pairs by hash, then locks by position, from here on. */
const LOCKS_START = HASH_END;

const NO_LIMIT = Number.POSITIVE_INFINITY;
const CHANGES_WALK: ScanBudget = { records: 10_000, bytes: NO_LIMIT };
/** Pairs of one call that are traced. */
const MAX_TRACED = 12;

/** See `Service.traceOf`: the versions that the call gave. */
export function traceOf(delta: Uint8Array): Uint8Array | null {
  const reader = new Reader(delta);
  const kind = reader.u8();
  // Locks are of one side only: what they did does not go to another one.
  if (kind === DELTA.lock) return new Uint8Array(0);
  if (kind !== DELTA.pairs && kind !== DELTA.cleared) return null;
  const out = new Writer(MAX_TRACED * VERSION_BYTES);
  for (let pairs = 0; reader.remaining > 0; pairs++) {
    if (pairs === MAX_TRACED) return null;
    writeVersion(out, readImage(reader, 0).meta);
  }
  return out.toBytes();
}

export class MultiMapState implements ServiceState {
  readonly name: string;
  readonly pairs: RecordStore;
  readonly keys: KeyIndex;
  readonly locks = new KeyLocks(DELTA.lock);
  events: ChangeSink | null = null;
  readonly #mendable: Mendable;
  lastSeq = 0;
  /** Highest position at which a key lost its last pair: on it depends that a key has none. */
  #emptiedSeq = 0;
  #hidden = 0;

  constructor(environment: StateEnvironment) {
    this.name = environment.name;
    this.pairs = new RecordStore(environment.slab);
    this.keys = new KeyIndex(environment.slab);
    const put = (image: Image) => this.place(image);
    const remove = (pair: Uint8Array) => this.#drop([pair]);
    this.#mendable = { store: this.pairs, hashOf: pairHash, writeImage, readImage, put, remove };
  }

  get entryCount(): number {
    return this.pairs.liveCount - this.#hidden;
  }

  get sizeBytes(): number {
    const { pairs, keys, locks } = this;
    return pairs.sizeBytes + pairs.indexBytes + keys.sizeBytes + locks.sizeBytes;
  }

  // --- what there is

  /** The ref of a key in the index, or -1; the reply waits for the last change of the key. */
  look(key: Uint8Array, context: OperationContext): number {
    const ref = this.keys.find(key);
    context.dependsOn(ref < 0 ? this.#emptiedSeq : this.keys.lastSeq(ref));
    return ref;
  }

  /** The ref of a pair of the key with this tail, which there is. */
  pairOf(key: Uint8Array, tail: Uint8Array): number {
    const pair = Buffer.concat([key, tail]);
    return this.pairs.find(pairHash(pair), pair);
  }

  /** Whether users see the pair: no other one that counts as the same has an earlier id. */
  isVisible(ref: number): boolean {
    if (this.pairs.isTombstone(ref)) return false;
    const id = idOf(this.pairs.keyOf(ref));
    return this.#twins(ref).every((twin) => Buffer.compare(idOf(this.pairs.keyOf(twin)), id) > 0);
  }

  /** Other pairs that count as the same as this one. */
  #twins(ref: number): number[] {
    const { pairs } = this;
    return this.#equalTo(pairs.keyOf(ref), pairs.valueOf(ref)).filter((twin) => twin !== ref);
  }

  /** Pairs that count as the same as one with this key and value. */
  #equalTo(pair: Uint8Array, value: Uint8Array): number[] {
    return kindOf(pair) === KIND.repeatable ? [] : this.#equal(prefixOf(pair), value);
  }

  /** The pairs of a SET with this beginning of their key, and this value. */
  #equal(prefix: Uint8Array, value: Uint8Array): number[] {
    const { pairs } = this;
    return pairs.refsOf(murmur3(prefix)).filter((ref) => {
      if (pairs.isTombstone(ref)) return false;
      const isSameKey = Buffer.compare(prefixOf(pairs.keyOf(ref)), prefix) === 0;
      return isSameKey && Buffer.compare(pairs.valueOf(ref), value) === 0;
    });
  }

  /** The ref of a pair, or of the mark of its removal, that the same call put here under another id, or -1. */
  doubleOf(pair: Uint8Array): number {
    const { pairs } = this;
    const isDouble = (ref: number) => {
      const other = pairs.keyOf(ref);
      return isSameCall(other, pair) && Buffer.compare(idOf(other), idOf(pair)) !== 0;
    };
    return pairs.refsOf(pairHash(pair)).find(isDouble) ?? -1;
  }

  has(key: Uint8Array, value: Uint8Array): boolean {
    return this.#uniques(key, value).length > 0 || this.#repeatables(key, value, 1).length > 0;
  }

  /**
   * Copies of the pairs to be removed for a value: of a SET all, hidden ones too; of a list the first, and what counts
   * as the same.
   */
  matches(key: Uint8Array, value: Uint8Array, isSet: boolean, max: number): Uint8Array[] {
    const { pairs } = this;
    const uniques = this.#uniques(key, value).map((ref) => Buffer.from(pairs.keyOf(ref)));
    const repeatables = this.#repeatables(key, value, isSet ? max : 1);
    if (isSet) return [...uniques, ...repeatables];
    const [first] = repeatables;
    const isBehind = (pair: Uint8Array) => first !== undefined && Buffer.compare(idOf(first), idOf(pair)) < 0;
    return uniques.length > 0 && !uniques.every(isBehind) ? uniques : repeatables;
  }

  #uniques(key: Uint8Array, value: Uint8Array): number[] {
    return this.#equal(pairPrefix(key, KIND.unique, murmur3(value)), value);
  }

  #repeatables(key: Uint8Array, value: Uint8Array, max: number): Uint8Array[] {
    const { keys, pairs } = this;
    const ref = keys.find(key);
    const found: Uint8Array[] = [];
    if (ref < 0 || !keys.hasRepeatable(ref)) return found;
    const valueHash = murmur3(value);
    for (let at = 0; found.length < max; at++) {
      at = keys.nextRepeatable(ref, valueHash, at);
      if (at < 0) break;
      const pair = this.pairOf(key, keys.tail(ref, at));
      if (Buffer.compare(pairs.valueOf(pair), value) === 0) found.push(Buffer.from(pairs.keyOf(pair)));
    }
    return found;
  }

  // --- changes

  /** The change of one operation, or of a step of a merge; `clears`: it removes what it does because all has to go. */
  edit(context: OperationContext, clears = false): Edit {
    return new Edit(this, context, clears);
  }

  /** Puts a pair, or the mark of its removal, as a change that is told; gives whether listeners heard of a removal. */
  change(image: Image): boolean {
    const isGone = this.events !== null && this.#tell(this.events, image);
    this.place(image);
    return isGone;
  }

  #tell(sink: ChangeSink, { key: pair, value, meta }: Image): boolean {
    const { pairs } = this;
    const ref = pairs.find(pairHash(pair), pair);
    const isHere = ref >= 0 && !pairs.isTombstone(ref);
    if (isHere === !meta.tombstone) return false;
    const equal = isHere ? this.#twins(ref) : this.#equalTo(pair, value);
    if (equal.length > 0) return false;
    const key = userKeyOf(pair);
    if (isHere) sink.tell(meta.seq, 'removed', key, null, pairs.valueOf(ref));
    else sink.tell(meta.seq, 'added', key, value, null);
    return isHere;
  }

  /** Tells, behind the removals, that they were one of everything; those of a backup as well. */
  tellCleared(seq: number, pairs: number): void {
    if (pairs > 0) this.events?.tell(seq, 'mapCleared', EMPTY_BYTES, null, null, pairs);
  }

  /** Puts a pair, or the mark of its removal, over what there is of it. */
  place({ key: pair, value, meta }: Image): void {
    const { pairs } = this;
    const hash = pairHash(pair);
    const old = pairs.find(hash, pair);
    if (old >= 0 && !pairs.isTombstone(old)) this.#leave(old);
    const ref = pairs.put(hash, pair, value, meta);
    if (!meta.tombstone) this.#enter(ref);
    this.#decided(userKeyOf(pair), meta.seq);
  }

  #enter(ref: number): void {
    const isHidden = this.#twins(ref).length > 0;
    if (isHidden) this.#hidden++;
    const pair = this.pairs.keyOf(ref);
    this.keys.add(userKeyOf(pair), tailOf(pair), isHidden);
  }

  #leave(ref: number): void {
    const unhides = this.#twins(ref).length > 0;
    if (unhides) this.#hidden--;
    const pair = this.pairs.keyOf(ref);
    this.keys.remove(userKeyOf(pair), tailOf(pair), unhides);
  }

  #decided(key: Uint8Array, seq: number): void {
    if (seq > this.lastSeq) this.lastSeq = seq;
    if (!this.keys.touch(key, seq) && seq > this.#emptiedSeq) this.#emptiedSeq = seq;
  }

  /** One step of removing tombstones, and marks of locks; see `Service.purge`. */
  purge(cursor: number, horizon: PurgeHorizon, context: OperationContext): number {
    const { locks } = this;
    const { keys, next } = purgeable(this.pairs, cursor, HASH_END, horizon);
    const unlocked = locks.droppable(horizon);
    const withFence = locks.isFenceOver(horizon);
    if (keys.length + unlocked.length === 0 && !withFence) return next;
    const out = context.delta();
    out.u8(DELTA.purge);
    writePurge(out, cursor, next, horizon);
    locks.purge(unlocked, withFence, horizon.seq, out);
    this.#drop(keys);
    return next;
  }

  #drop(pairs: readonly Uint8Array[]): void {
    for (const pair of pairs) {
      const ref = this.pairs.find(pairHash(pair), pair);
      if (!this.pairs.isTombstone(ref)) this.#leave(ref);
      this.pairs.remove(ref);
    }
  }

  apply(delta: Reader, seq: number): void {
    const kind = delta.u8();
    if (kind === DELTA.purge) {
      const { horizon } = applyPurge(this.pairs, delta, (keys) => this.#drop(keys));
      this.locks.applyPurge(delta, horizon.seq);
      return;
    }
    if (kind === DELTA.lock) this.locks.apply(delta, seq);
    else if (kind === DELTA.locks) {
      this.locks.applyMerge(delta, delta.u32(), seq);
      while (delta.remaining > 0) this.change(readImage(delta, seq));
    } else if (kind === DELTA.pairs) while (delta.remaining > 0) this.change(readImage(delta, seq));
    else if (kind === DELTA.cleared) {
      let gone = 0;
      while (delta.remaining > 0) if (this.change(readImage(delta, seq))) gone++;
      this.tellCleared(seq, gone);
    } else throw new ProtocolError(`unknown delta of a multimap: ${kind}`);
  }

  // --- copies, comparison, merge

  copy(cursor: number, maxBytes: number, out: Writer): number {
    if (cursor < LOCKS_START) {
      const next = this.#copyPairs(cursor, maxBytes, out);
      if (next >= 0 || this.locks.isEmpty) return next;
      if (out.length > 0) return LOCKS_START;
    }
    const from = Math.max(0, cursor - LOCKS_START);
    const next = this.locks.copy(from, maxBytes, out, (prefixed) => prefixed.f64(LOCK));
    return next < 0 ? -1 : LOCKS_START + next;
  }

  #copyPairs(cursor: number, maxBytes: number, out: Writer): number {
    const { pairs } = this;
    const limits = { walk: { records: NO_LIMIT, bytes: maxBytes }, records: NO_LIMIT, bytes: maxBytes };
    const { refs, next } = pageOf(pairs, cursor, limits, (ref) => pairs.recordBytes(ref));
    for (const ref of refs) {
      out.f64(pairs.seqOf(ref));
      this.#write(ref, out);
    }
    return next;
  }

  paste(records: Reader): void {
    while (records.remaining > 0) {
      const seq = records.f64();
      if (seq === LOCK) {
        this.locks.paste(records);
        continue;
      }
      const image = readImage(records, seq);
      const present = this.pairs.find(pairHash(image.key), image.key);
      if (present < 0 || this.pairs.seqOf(present) < seq) this.place(image);
      else this.#decided(userKeyOf(image.key), seq);
    }
  }

  /** Each pair behind a byte of `CHANGED`. */
  changes(cursor: number, { sharedSeq, skipped }: MergeSince, maxBytes: number, out: Writer): number {
    // In front: the merge begins its delta with it.
    if (cursor === 0) this.locks.writeChanges(sharedSeq, CHANGED.locks, out);
    const { pairs } = this;
    const limits = { walk: CHANGES_WALK, records: NO_LIMIT, bytes: maxBytes };
    const measure = (ref: number) => (pairs.seqOf(ref) > sharedSeq ? pairs.recordBytes(ref) : -1);
    const { refs, next } = pageOf(pairs, cursor, limits, measure);
    for (const ref of refs) {
      out.u8(skipped.has(pairs.seqOf(ref)) ? CHANGED.skipped : 0);
      this.#write(ref, out);
    }
    return next;
  }

  #write(ref: number, out: Writer): void {
    const { pairs } = this;
    writeImage(out, pairs.metaOf(ref), pairs.keyOf(ref), pairs.valueOf(ref));
  }

  get digested(): Digested {
    return { store: this.pairs, writeHash: this.#writeHash, mend: this.#mend };
  }

  readonly #writeHash = (hash: number, out: Writer): void => writeHash(this.#mendable, hash, out);
  readonly #mend = (hashes: readonly number[], records: Reader, seq: number, isExact: boolean): number => {
    const repaired = mendHashes(this.#mendable, hashes, records, seq, isExact);
    if (repaired > 0) this.events?.restart(seq);
    return repaired;
  };

  dump(): readonly string[] {
    return [...dumpRecords(this.pairs), ...this.locks.dump()].sort();
  }

  dispose(): void {
    this.pairs.clear();
    this.keys.clear();
    this.locks.clear();
    this.lastSeq = 0;
    this.#emptiedSeq = 0;
    this.#hidden = 0;
  }
}

/** What one operation does: each step takes effect at once, and all of them are one delta. */
export class Edit {
  readonly #state: MultiMapState;
  readonly #context: OperationContext;
  readonly #clears: boolean;
  #out: Writer | null = null;
  /** Of all removals of the operation. */
  #removal: Version | null = null;
  #added = 0;
  /** Removals that listeners heard of. */
  #gone = 0;

  constructor(state: MultiMapState, context: OperationContext, clears: boolean) {
    this.#state = state;
    this.#context = context;
    this.#clears = clears;
  }

  /** Of the delta so far. */
  get sizeBytes(): number {
    return this.#out?.length ?? 0;
  }

  add(key: Uint8Array, value: Uint8Array, kind: Kind): void {
    const { call } = this.#context;
    assert(call !== null, 'a pair that no call puts');
    const version = this.#context.version();
    const pair = pairKey(key, kind, murmur3(value), { ...call, index: this.#added++ }, version);
    this.put(pair, value, metaOf(version, false, this.#context.seq));
  }

  /** `pair` is no view into the store. */
  remove(pair: Uint8Array): void {
    this.#removal ??= this.#context.version();
    this.put(pair, NO_VALUE, metaOf(this.#removal, true, this.#context.seq));
  }

  /** What a merge makes of locks, before anything else is done. */
  takeLocks(records: Reader, sharedSeq: number): void {
    const written = new Writer();
    const parts = this.#state.locks.merge(records, sharedSeq, this.#context, written);
    if (parts === 0) return;
    this.#out = this.#context.delta();
    this.#out.u8(DELTA.locks);
    this.#out.u32(parts);
    this.#out.raw(written.toBytes());
  }

  put(pair: Uint8Array, value: Uint8Array, meta: RecordMeta): void {
    if (this.#out === null) {
      this.#out = this.#context.delta();
      this.#out.u8(this.#clears ? DELTA.cleared : DELTA.pairs);
    }
    writeImage(this.#out, meta, pair, value);
    if (this.#state.change({ key: pair, value, meta })) this.#gone++;
  }

  /** Behind the last removal of an edit that clears. */
  cleared(): void {
    this.#state.tellCleared(this.#context.seq, this.#gone);
  }
}
