/**
 * The records of one (partition, map): entries and tombstones, by key. Keys and values are bytes that nobody
 * here decodes; they live in the member's slab behind a small index, and no object is kept per record.
 * Invariants: one record per key; a ref is valid until the next put, remove or clear of this store,
 * and so is every view that was made from it; counts and sizes are exact. Called by the map service, migration,
 * digests and merge.
 */

import { assert } from '../../src/base/assert.js';
import { addRecord, type DigestSource, emptySum, StoreDigest, type Sum } from './digest.js';
import { HashIndex } from './hash-index.js';
import {
  compareVersionAt,
  EXPIRY_HEADER_BYTES,
  HEADER_BYTES,
  hasExpiry,
  headerBytesAt,
  type RecordMeta,
  type RecordVersion,
  type RemovalCause,
  readAccessedMs,
  readCause,
  readCreatedMs,
  readExpiresMs,
  readHash,
  readHits,
  readKeyBytes,
  readMaxIdleMs,
  readMeta,
  readSeq,
  readStaleMs,
  readToldMs,
  readTombstone,
  readTtlMs,
  readUpdatedMs,
  readValueBytes,
  readVersionMs,
  writeExpiry,
  writeHeader,
  writeReads,
  writeTold,
  writeTouch,
} from './record-layout.js';
import type { Slab } from './slab.js';

/** Keys up to this are compared in a loop; for longer ones a native call is faster. */
const LOOP_COMPARE_BYTES = 48;

/** Soft limits of one page of a scan; a page ends behind the first hash at which one is reached. */
export interface ScanBudget {
  readonly records: number;
  /** Headers, keys and values. */
  readonly bytes: number;
}

/** Whether the record has an expiry of any kind. */
function isExpiring({ expiresMs, ttlMs, maxIdleMs }: RecordMeta): boolean {
  return expiresMs > 0 || ttlMs > 0 || maxIdleMs > 0;
}

/**
 * Who has to know of every change of the contents, in the same step. What it gets are views: of before until it returns, of
 * after as long as the caller's.
 */
export interface RecordWatcher {
  /** Null for no entry: there is none, or a tombstone. */
  replacing(hash: number, key: Uint8Array, before: Uint8Array | null, after: Uint8Array | null): void;
  cleared(): void;
}

export class RecordStore implements DigestSource {
  /** Null when nobody watches, which costs one look per change. */
  watcher: RecordWatcher | null = null;
  readonly #slab: Slab;
  readonly #index = new HashIndex();
  #tombstones = 0;
  #sizeBytes = 0;
  #tombstoneBytes = 0;
  /** Counts what makes refs void, so that a scan notices a visitor that does it. */
  #changes = 0;
  /** Of those who compare replicas; made when it is asked for. */
  #digest: StoreDigest | null = null;

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  get liveCount(): number {
    return this.#index.count - this.#tombstones;
  }

  get recordCount(): number {
    return this.#index.count;
  }

  get tombstoneCount(): number {
    return this.#tombstones;
  }

  /** Headers, keys and values of all records, tombstones included; without the index and cell rounding. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The same without tombstones. */
  get liveBytes(): number {
    return this.#sizeBytes - this.#tombstoneBytes;
  }

  /** Bytes of the index table. */
  get indexBytes(): number {
    return this.#index.tableBytes;
  }

  /** The ref of the record of a key, tombstones included, or -1. `hash` is a u32. */
  find(hash: number, key: Uint8Array): number {
    const index = this.#index;
    for (let slot = index.lowerBound(hash); ; slot++) {
      const ref = index.refAt(slot);
      if (ref === 0 || index.hashAt(slot) !== hash) return -1;
      if (this.#keyEquals(ref, key)) return ref;
    }
  }

  /**
   * Inserts or overwrites, in place when the cell is of the right size. Key and value are copied in; views of
   * this slab are fine as arguments. Returns the ref.
   */
  put(hash: number, key: Uint8Array, value: Uint8Array, meta: RecordMeta): number {
    const old = this.find(hash, key);
    if (this.watcher !== null)
      this.watcher.replacing(hash, key, this.#entryValue(old), meta.tombstone ? null : value);
    const withExpiry = isExpiring(meta);
    const headerBytes = withExpiry ? EXPIRY_HEADER_BYTES : HEADER_BYTES;
    const recordBytes = headerBytes + key.length + value.length;
    const inPlace = old >= 0 && this.headerBytes(old) === headerBytes && this.#slab.fits(old, recordBytes);
    const ref = inPlace ? old : this.#slab.allocate(recordBytes);
    if (old >= 0) this.#uncount(old);
    const words = this.#slab.words(ref);
    const at = this.#slab.wordOffset(ref);
    writeHeader(words, at, hash, key.length, value.length, meta, withExpiry);
    if (withExpiry) {
      writeExpiry(words, at, meta);
      writeTold(words, at, meta.accessedMs > meta.updatedMs ? meta.accessedMs : meta.updatedMs);
    }
    const bytes = this.#slab.bytes(ref);
    const keyAt = this.#slab.byteOffset(ref) + headerBytes;
    bytes.set(value, keyAt + key.length);
    if (!inPlace) {
      bytes.set(key, keyAt);
      if (old < 0) this.#index.insert(hash, ref);
      else this.#relocate(hash, old, ref);
      this.#changes++;
    }
    this.#sizeBytes += recordBytes;
    if (meta.tombstone) {
      this.#tombstones++;
      this.#tombstoneBytes += recordBytes;
    }
    if (this.#digest !== null) this.#digest.touch(hash);
    return ref;
  }

  /** A view of the value, valid until the next write; copy what you keep. */
  valueOf(ref: number): Uint8Array {
    const words = this.#slab.words(ref);
    const at = this.#slab.wordOffset(ref);
    const from = this.#slab.byteOffset(ref) + headerBytesAt(words, at) + readKeyBytes(words, at);
    return this.#slab.bytes(ref).subarray(from, from + readValueBytes(words, at));
  }

  /** A view of the key, valid until the next write. */
  keyOf(ref: number): Uint8Array {
    const from = this.#slab.byteOffset(ref) + this.headerBytes(ref);
    return this.#slab.bytes(ref).subarray(from, from + this.keyBytes(ref));
  }

  /** All fields in a new object; hot paths use the readers below. */
  metaOf(ref: number): RecordMeta {
    return readMeta(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  hashOf(ref: number): number {
    return readHash(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  isTombstone(ref: number): boolean {
    return readTombstone(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  /** Of a tombstone. */
  causeOf(ref: number): RemovalCause {
    return readCause(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  seqOf(ref: number): number {
    return readSeq(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  versionMs(ref: number): number {
    return readVersionMs(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  expiresMs(ref: number): number {
    return readExpiresMs(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  ttlMs(ref: number): number {
    return readTtlMs(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  maxIdleMs(ref: number): number {
    return readMaxIdleMs(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  accessedMs(ref: number): number {
    return readAccessedMs(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  staleMs(ref: number): number {
    return readStaleMs(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  createdMs(ref: number): number {
    return readCreatedMs(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  /** Last read or write, as far as this replica knows. */
  usedMs(ref: number): number {
    const words = this.#slab.words(ref);
    const at = this.#slab.wordOffset(ref);
    return Math.max(readAccessedMs(words, at), readUpdatedMs(words, at));
  }

  /** Whether the record has an expiry of any kind. */
  mayExpire(ref: number): boolean {
    return hasExpiry(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  /** Of a record that may expire: its last use that other replicas know of. */
  toldMs(ref: number): number {
    return readToldMs(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  /** Other replicas know of the last use now. */
  tell(ref: number): void {
    writeTold(this.#slab.words(ref), this.#slab.wordOffset(ref), this.usedMs(ref));
  }

  /** Takes over what another replica told of the reads of a record that may expire. */
  noteReads(ref: number, accessedMs: number, hits: number): void {
    writeReads(this.#slab.words(ref), this.#slab.wordOffset(ref), accessedMs, hits);
    this.tell(ref);
  }

  hits(ref: number): number {
    return readHits(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  keyBytes(ref: number): number {
    return readKeyBytes(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  valueBytes(ref: number): number {
    return readValueBytes(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  headerBytes(ref: number): number {
    return headerBytesAt(this.#slab.words(ref), this.#slab.wordOffset(ref));
  }

  /** What the record adds to `sizeBytes`. */
  recordBytes(ref: number): number {
    const words = this.#slab.words(ref);
    const at = this.#slab.wordOffset(ref);
    return headerBytesAt(words, at) + readKeyBytes(words, at) + readValueBytes(words, at);
  }

  /** Negative, zero or positive: the record's version is older than, equal to or newer than `v`. */
  compareVersion(ref: number, v: RecordVersion): number {
    return compareVersionAt(this.#slab.words(ref), this.#slab.wordOffset(ref), v);
  }

  /** Counts a read at `nowMs`. */
  touch(ref: number, nowMs: number): void {
    writeTouch(this.#slab.words(ref), this.#slab.wordOffset(ref), nowMs);
  }

  /** Takes the record out of memory, without a tombstone: for purging and for data that migrated away. */
  remove(ref: number): void {
    const hash = this.hashOf(ref);
    const slot = this.#index.slotOf(hash, ref);
    assert(slot >= 0, 'remove of a record that is not in this store');
    this.#digest?.touch(hash);
    this.watcher?.replacing(hash, this.keyOf(ref), this.#entryValue(ref), null);
    this.#uncount(ref);
    this.#index.removeAt(slot);
    this.#slab.free(ref);
    this.#changes++;
  }

  /**
   * One page of the records, in ascending order of hashes. Visits each record whose hash is in
   * [fromHash, next) once and returns `next`, or -1 when none is left behind the page; start with 0. The cursor
   * means the same in every replica of the data. At least one hash is completed. The visitor must not put,
   * remove or clear; between pages anything may change.
   */
  scan(fromHash: number, budget: ScanBudget, visit: (ref: number) => void): number {
    const index = this.#index;
    const changes = this.#changes;
    let records = 0;
    let bytes = 0;
    let lastHash = -1;
    let slot = index.nextOccupied(index.lowerBound(fromHash));
    while (slot >= 0) {
      const hash = index.hashAt(slot);
      if (hash !== lastHash && lastHash >= 0 && (records >= budget.records || bytes >= budget.bytes)) {
        return lastHash + 1;
      }
      const ref = index.refAt(slot);
      lastHash = hash;
      records++;
      bytes += this.recordBytes(ref);
      visit(ref);
      assert(this.#changes === changes, 'a visitor of a scan changed the record store');
      slot = index.nextOccupied(slot + 1);
    }
    return -1;
  }

  /** Visits the records with a hash in [from, to]; the visitor must not put, remove or clear. */
  visitRange(from: number, to: number, visit: (ref: number) => void): void {
    const index = this.#index;
    let slot = index.nextOccupied(index.lowerBound(from));
    while (slot >= 0 && index.hashAt(slot) <= to) {
      visit(index.refAt(slot));
      slot = index.nextOccupied(slot + 1);
    }
  }

  /** The first record from a hash on, or the first of all; -1 when there is none. */
  refFrom(hash: number): number {
    const index = this.#index;
    let slot = index.nextOccupied(index.lowerBound(hash));
    if (slot < 0) slot = index.nextOccupied(0);
    return slot < 0 ? -1 : index.refAt(slot);
  }

  /** The hash tree over the records, kept up to date from the first call on. */
  get digest(): StoreDigest {
    this.#digest ??= new StoreDigest(this);
    return this.#digest;
  }

  /** Adds the digests of the records with a hash in [from, to] to the sum. */
  sumRange(from: number, to: number, sum: Sum): void {
    const index = this.#index;
    const slab = this.#slab;
    let slot = index.nextOccupied(index.lowerBound(from));
    while (slot >= 0 && index.hashAt(slot) <= to) {
      const ref = index.refAt(slot);
      addRecord(slab.words(ref), slab.wordOffset(ref), sum);
      slot = index.nextOccupied(slot + 1);
    }
  }

  /**
   * Visits the records with a hash in [from, to], in the order of hashes, with their digests. After `max` records it
   * ends behind the hash that it is at. Returns the last hash that is done with, `to` when all are.
   */
  listDigests(
    from: number,
    to: number,
    max: number,
    visit: (hash: number, lo: number, hi: number) => void,
  ): number {
    const index = this.#index;
    const slab = this.#slab;
    const sum = emptySum();
    let before = from;
    let slot = index.nextOccupied(index.lowerBound(from));
    while (slot >= 0 && index.hashAt(slot) <= to) {
      const hash = index.hashAt(slot);
      if (sum.records >= max && hash !== before) return before;
      const ref = index.refAt(slot);
      sum.lo = sum.hi = 0;
      addRecord(slab.words(ref), slab.wordOffset(ref), sum);
      visit(hash, sum.lo >>> 0, sum.hi >>> 0);
      before = hash;
      slot = index.nextOccupied(slot + 1);
    }
    return to;
  }

  /** The refs of all records with this hash: more than one key may have it. */
  refsOf(hash: number): number[] {
    const index = this.#index;
    const refs: number[] = [];
    let slot = index.lowerBound(hash);
    while (index.refAt(slot) !== 0 && index.hashAt(slot) === hash) refs.push(index.refAt(slot++));
    return refs;
  }

  /** Frees everything. Takes time in proportion to the number of records. */
  clear(): void {
    const index = this.#index;
    for (let slot = index.nextOccupied(0); slot >= 0; slot = index.nextOccupied(slot + 1)) {
      this.#slab.free(index.refAt(slot));
    }
    index.clear();
    this.watcher?.cleared();
    this.#digest = null;
    this.#tombstones = 0;
    this.#sizeBytes = 0;
    this.#tombstoneBytes = 0;
    this.#changes++;
  }

  /** Null for no record, and for a tombstone. */
  #entryValue(ref: number): Uint8Array | null {
    return ref < 0 || this.isTombstone(ref) ? null : this.valueOf(ref);
  }

  /** Points the entry of a record at its new cell and frees the old one. */
  #relocate(hash: number, old: number, ref: number): void {
    this.#index.replace(this.#index.slotOf(hash, old), ref);
    this.#slab.free(old);
  }

  /** Takes a record that is about to be overwritten or removed out of the counts. */
  #uncount(ref: number): void {
    const recordBytes = this.recordBytes(ref);
    this.#sizeBytes -= recordBytes;
    if (!this.isTombstone(ref)) return;
    this.#tombstones--;
    this.#tombstoneBytes -= recordBytes;
  }

  #keyEquals(ref: number, key: Uint8Array): boolean {
    const words = this.#slab.words(ref);
    const at = this.#slab.wordOffset(ref);
    if (readKeyBytes(words, at) !== key.length) return false;
    const bytes = this.#slab.bytes(ref);
    const keyAt = this.#slab.byteOffset(ref) + headerBytesAt(words, at);
    if (key.length > LOOP_COMPARE_BYTES) {
      return bytes.compare(key, 0, key.length, keyAt, keyAt + key.length) === 0;
    }
    for (let i = 0; i < key.length; i++) {
      if (bytes[keyAt + i] !== key[i]) return false;
    }
    return true;
  }
}
