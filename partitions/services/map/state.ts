/**
 * The entries of a map in one partition, and the marks of removed ones. Invariants: every change goes through
 * `change`, `changeMany`, `purge` or the two of a merge, which write the delta that a backup needs for the same
 * contents; `lastSeq` is the highest position of any record that was put here. Called by the handlers, merge,
 * replication and migration.
 */
import { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { murmur3 } from '../../hash.js';
import type {
  Digested,
  MergeSince,
  OperationContext,
  PurgeHorizon,
  ServiceState,
  StateEnvironment,
} from '../../service.js';
import { type Image, type Mendable, mendHashes, writeHash } from '../../store/mend.js';
import { type Page, type PageLimits, pageOf } from '../../store/page.js';
import { applyPurge, HASH_END, purgeable, writePurge } from '../../store/purge.js';
import type { RecordMeta, RecordVersion } from '../../store/record-layout.js';
import { RecordStore, type ScanBudget } from '../../store/record-store.js';
import { writeVersion } from '../../store/record-version.js';
import { MergedMarks, writeMark } from './merged-marks.js';
import { CHANGED, readImage, writeImage } from './record-image.js';

const DELTA = { one: 1, many: 2, purge: 3, merge: 4 } as const;
/** What a delta of a merge consists of. */
const MERGED = { image: 1, mark: 2 } as const;
/** In the place of a record's position in a copy: the mark of a merge follows. */
const MARK = -1;

/** Of a tombstone. */
const NO_VALUE = new Uint8Array(0);

const NO_LIMIT = Number.POSITIVE_INFINITY;
const CHANGES_WALK: ScanBudget = { records: 10_000, bytes: NO_LIMIT };

/** Keys of one call that are traced. */
const MAX_TRACED = 12;

/** See `Service.traceOf`: the versions that the call gave its records. */
export function traceOf(delta: Uint8Array): Uint8Array | null {
  const reader = new Reader(delta);
  const kind = reader.u8();
  const count = kind === DELTA.one ? 1 : kind === DELTA.many ? reader.u32() : 0;
  if (count === 0 || count > MAX_TRACED) return null;
  const out = new Writer(count * 18);
  for (let i = 0; i < count; i++) writeVersion(out, readImage(reader, 0).meta);
  return out.toBytes();
}

export class MapState implements ServiceState {
  readonly name: string;
  readonly store: RecordStore;
  readonly merged = new MergedMarks();
  lastSeq = 0;

  readonly #mendable: Mendable;

  constructor(environment: StateEnvironment) {
    this.name = environment.name;
    this.store = new RecordStore(environment.slab);
    const put = (image: Image) => this.#putImage(image);
    const remove = (key: Uint8Array) => this.#drop([key]);
    this.#mendable = { store: this.store, hashOf: murmur3, writeImage, readImage, put, remove };
  }

  get entryCount(): number {
    return this.store.liveCount;
  }

  get sizeBytes(): number {
    return this.store.sizeBytes + this.store.indexBytes + this.merged.sizeBytes;
  }

  /** The ref of the entry of a key, or -1; the reply waits for the record that was seen, also a tombstone. */
  look(key: Uint8Array, context: OperationContext): number {
    const ref = this.store.find(murmur3(key), key);
    if (ref < 0) return -1;
    context.dependsOn(this.store.seqOf(ref));
    return this.store.isTombstone(ref) ? -1 : ref;
  }

  /** Sets the value of a key, null to remove it, as the one change of this operation. */
  change(key: Uint8Array, value: Uint8Array | null, context: OperationContext): void {
    const out = context.delta();
    out.u8(DELTA.one);
    this.#change(out, key, value, context);
  }

  /** The same for several keys at once. */
  changeMany(
    entries: readonly { readonly key: Uint8Array; readonly value: Uint8Array | null }[],
    context: OperationContext,
  ): void {
    if (entries.length === 0) return;
    const out = context.delta();
    out.u8(DELTA.many);
    out.u32(entries.length);
    for (const { key, value } of entries) this.#change(out, key, value, context);
  }

  #change(out: Writer, key: Uint8Array, value: Uint8Array | null, context: OperationContext): void {
    const { store } = this;
    const hash = murmur3(key);
    const meta = this.#metaOfChange(store.find(hash, key), value === null, context);
    const bytes = value ?? NO_VALUE;
    writeImage(out, meta, key, bytes);
    store.put(hash, key, bytes, meta);
    this.lastSeq = context.seq;
    context.touched(hash);
  }

  /** An entry that is overwritten keeps its creation time and its accesses; all else is new. */
  #metaOfChange(ref: number, tombstone: boolean, context: OperationContext): RecordMeta {
    const { ms, counter, memberHi, memberLo } = context.version();
    const nowMs = Math.floor(context.wallMs);
    const old = ref >= 0 && !this.store.isTombstone(ref) ? this.store.metaOf(ref) : undefined;
    return {
      ms,
      counter,
      memberHi,
      memberLo,
      tombstone,
      origin: 0,
      seq: context.seq,
      createdMs: old?.createdMs ?? nowMs,
      updatedMs: nowMs,
      expiresMs: 0,
      ttlMs: 0,
      maxIdleMs: 0,
      accessedMs: old?.accessedMs ?? 0,
      hits: old?.hits ?? 0,
    };
  }

  /** The delta of a merge, to write its images and marks into; there can be none of them. */
  beginMerge(context: OperationContext): Writer {
    const out = context.delta();
    out.u8(DELTA.merge);
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
    const hash = murmur3(key);
    this.store.put(hash, key, value, meta);
    this.lastSeq = meta.seq;
    context.touched(hash);
  }

  mergeMark(out: Writer, version: RecordVersion, atMs: number): void {
    out.u8(MERGED.mark);
    writeMark(out, version, atMs);
    this.merged.add(version, atMs);
  }

  page(fromHash: number, limits: PageLimits, measure: (ref: number) => number): Page {
    return pageOf(this.store, fromHash, limits, measure);
  }

  /** One step of removing tombstones; see `Service.purge`. */
  purge(cursor: number, horizon: PurgeHorizon, context: OperationContext): number {
    const { keys, next } = purgeable(this.store, cursor, HASH_END, horizon);
    const withMarks = cursor === 0 && this.merged.isPurgeable(horizon.ms);
    if (keys.length === 0 && !withMarks) return next;
    const out = context.delta();
    out.u8(DELTA.purge);
    writePurge(out, cursor, next, horizon);
    this.#drop(keys);
    if (withMarks) this.merged.purge(horizon.ms);
    return next;
  }

  #drop(keys: readonly Uint8Array[]): void {
    for (const key of keys) this.store.remove(this.store.find(murmur3(key), key));
  }

  apply(delta: Reader, seq: number): void {
    const kind = delta.u8();
    if (kind === DELTA.one) this.#applyImage(delta, seq);
    else if (kind === DELTA.many) for (let left = delta.u32(); left > 0; left--) this.#applyImage(delta, seq);
    else if (kind === DELTA.purge) this.#applyPurge(delta);
    else if (kind === DELTA.merge) this.#applyMerge(delta, seq);
    else throw new ProtocolError(`unknown delta of a map: ${kind}`);
  }

  #applyImage(input: Reader, seq: number): void {
    this.#putImage(readImage(input, seq));
  }

  #putImage({ meta, key, value }: Image): void {
    this.store.put(murmur3(key), key, value, meta);
    if (meta.seq > this.lastSeq) this.lastSeq = meta.seq;
  }

  #applyMerge(input: Reader, seq: number): void {
    while (input.remaining > 0) {
      if (input.u8() === MERGED.mark) this.merged.read(input);
      else this.#applyImage(input, seq);
    }
  }

  #applyPurge(input: Reader): void {
    const { from, horizon } = applyPurge(this.store, input, (keys) => this.#drop(keys));
    if (from === 0) this.merged.purge(horizon.ms);
  }

  /** Records in order of hashes; the marks of merges follow, at cursors from `HASH_END` on. */
  copy(cursor: number, maxBytes: number, out: Writer): number {
    const next = cursor < HASH_END ? this.#copyRecords(cursor, maxBytes, out) : -1;
    if (next >= 0 || this.merged.count === 0) return next;
    // A chunk of records is full by now, perhaps.
    if (cursor < HASH_END && out.length > 0) return HASH_END;
    const from = Math.max(0, cursor - HASH_END);
    const end = this.merged.copy(from, maxBytes, out, (prefixed) => prefixed.f64(MARK));
    return end < 0 ? -1 : HASH_END + end;
  }

  #copyRecords(cursor: number, maxBytes: number, out: Writer): number {
    const { store } = this;
    const limits = { walk: { records: NO_LIMIT, bytes: maxBytes }, records: NO_LIMIT, bytes: maxBytes };
    const { refs, next } = this.page(cursor, limits, (ref) => store.recordBytes(ref));
    for (const ref of refs) {
      const meta = store.metaOf(ref);
      out.f64(meta.seq);
      writeImage(out, meta, store.keyOf(ref), store.valueOf(ref));
    }
    return next;
  }

  paste(records: Reader): void {
    const { store } = this;
    while (records.remaining > 0) {
      const seq = records.f64();
      if (seq === MARK) {
        this.merged.read(records);
        continue;
      }
      const { meta, key, value } = readImage(records, seq);
      const hash = murmur3(key);
      const present = store.find(hash, key);
      if (present < 0 || store.seqOf(present) < seq) store.put(hash, key, value, meta);
      if (seq > this.lastSeq) this.lastSeq = seq;
    }
  }

  /**
   * Each record behind a byte of `CHANGED`. One that a skipped call wrote goes along to be reported: what the call
   * overwrote is not here any more.
   */
  changes(cursor: number, since: MergeSince, maxBytes: number, out: Writer): number {
    const { store } = this;
    // What both sides have was written before they parted, so what was created before that was there.
    let sharedMs = 0;
    const limits = { walk: CHANGES_WALK, records: NO_LIMIT, bytes: maxBytes };
    const { refs, next } = this.page(cursor, limits, (ref) => {
      const seq = store.seqOf(ref);
      if (seq > since.sharedSeq) return store.recordBytes(ref);
      sharedMs = Math.max(sharedMs, store.versionMs(ref));
      return -1;
    });
    for (const ref of refs) {
      const meta = store.metaOf(ref);
      const existed = !meta.tombstone && meta.createdMs <= sharedMs;
      const isSkipped = since.skipped.has(store.seqOf(ref));
      out.u8((existed ? CHANGED.existed : 0) | (isSkipped ? CHANGED.skipped : 0));
      writeImage(out, meta, store.keyOf(ref), store.valueOf(ref));
    }
    return next;
  }

  get digested(): Digested {
    return this;
  }

  writeHash(hash: number, out: Writer): void {
    writeHash(this.#mendable, hash, out);
  }

  mend(hashes: readonly number[], records: Reader, seq: number, isExact: boolean): number {
    return mendHashes(this.#mendable, hashes, records, seq, isExact);
  }

  /** Without the marks of merges: the bound drops the oldest, and replicas need not agree which those are. */
  dump(): readonly string[] {
    const { store } = this;
    const lines: string[] = [];
    const everything = { records: NO_LIMIT, bytes: NO_LIMIT };
    store.scan(0, everything, (ref) => {
      const { ms, counter, memberHi, memberLo } = store.metaOf(ref);
      const version = `${ms}.${counter}.${memberHi.toString(16)}.${memberLo.toString(16)}`;
      const content = store.isTombstone(ref) ? 'tombstone' : murmur3(store.valueOf(ref)).toString(16);
      lines.push(`${Buffer.from(store.keyOf(ref)).toString('hex')} ${version} ${content}`);
    });
    return lines.sort();
  }

  dispose(): void {
    this.store.clear();
    this.merged.clear();
    this.lastSeq = 0;
  }
}
