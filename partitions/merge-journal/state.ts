/**
 * The merge journal of one partition: small records under text keys, which replicate, migrate and promote like the
 * data of a structure, so that what a merge has changed and what the journal says of it never part. Invariants:
 * every change is a delta of whole records; a removed record stays as a mark until it is purged. Called by the
 * merger, the journal's operations and replication.
 */
import type { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import { murmur3 } from '../hash.js';
import { isSameEpoch, type Place } from '../history.js';
import type { PartitionReplica } from '../replica.js';
import type {
  MergeSince,
  OperationContext,
  PurgeHorizon,
  ServiceState,
  StateEnvironment,
} from '../service.js';
import type { WindowEntry } from '../sessions.js';
import type { Slab } from '../store/slab.js';
import { JOURNAL_NAME, MERGE_JOURNAL_ID } from './ops.js';
import {
  ENTRY_PREFIX,
  MARKER_PREFIX,
  type Marker,
  markerKey,
  markers,
  PARTITION_KEY,
  REPORT_PREFIX,
  type ReportRecord,
  reports,
  type SourceName,
} from './records.js';

const MAX_KEY_BYTES = 256;
const MAX_RECORD_BYTES = 64 * 1024 * 1024;
const PURGE_STEP = 1000;
/** A report waits no longer for a merge that has made no step for so long. */
const STILL_MS = 10_000;
const DELTA = { put: 1, purge: 2 } as const;

interface JournalRecord {
  readonly seq: number;
  /** Wall clock of the change. */
  readonly ms: number;
  /** Null for the mark of a removed record. */
  readonly bytes: Buffer | null;
  /** Grows with each change here: where a copy goes on. */
  readonly ordinal: number;
}

export interface JournalChange {
  readonly key: string;
  readonly bytes: Buffer | null;
}

/** The journals of a member that have something to tell, by what all its partitions share. */
const REGISTRIES = new WeakMap<Slab, Set<JournalState>>();

export class JournalState implements ServiceState {
  readonly #slab: Slab;
  /** In order of their last changes. */
  readonly #records = new Map<string, JournalRecord>();
  #nextOrdinal = 1;
  #markers: { name: string; marker: Marker }[] | null = null;
  partition = -1;
  /** Highest position of any record. */
  lastSeq = 0;
  readonly entryCount = 0;
  sizeBytes = 0;
  /** Of the entries of reports. */
  entryBytes = 0;
  reportCount = 0;

  constructor({ slab }: StateEnvironment) {
    this.#slab = slab;
  }

  get(key: string): Buffer | null {
    return this.#records.get(key)?.bytes ?? null;
  }

  seqOf(key: string): number {
    return this.#records.get(key)?.seq ?? 0;
  }

  /** Records that are there, with keys of this beginning, by key. */
  list(prefix: string): { readonly key: string; readonly bytes: Buffer; readonly seq: number }[] {
    const found = [];
    for (const [key, { bytes, seq }] of this.#records)
      if (bytes !== null && key.startsWith(prefix)) found.push({ key, bytes, seq });
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  marker(source: SourceName): Marker | null {
    const bytes = this.get(markerKey(source));
    return bytes === null ? null : markers.decode(bytes);
  }

  report(id: string): ReportRecord | null {
    const bytes = this.get(REPORT_PREFIX + id);
    return bytes === null ? null : reports.decode(bytes);
  }

  /** Whether a merge is under way that brings what was applied at this place. */
  isOpen(origin: Place): boolean {
    return this.#decoded().some(
      ({ marker }) => marker.openSeq > 0 && origin.seq > marker.doneSeq && covers(marker, origin),
    );
  }

  /** Whether a merge for this report is under way: one that stands still may have lost its source for ever. */
  isReportOpen(id: string, wallMs: number): boolean {
    return this.#decoded().some(({ name, marker }) => {
      if (marker.openSeq === 0 || marker.reportId !== id) return false;
      // A clock that was set back is as good a reason not to wait.
      return Math.abs(wallMs - (this.#records.get(name)?.ms ?? 0)) < STILL_MS;
    });
  }

  #decoded(): { name: string; marker: Marker }[] {
    this.#markers ??= this.list(MARKER_PREFIX).map(({ key, bytes }) => {
      return { name: key, marker: markers.decode(bytes) };
    });
    return this.#markers;
  }

  /** Other journals of this member that have reports, by partition. */
  partitionsWithReports(): number[] {
    const found = new Set<number>();
    for (const journal of REGISTRIES.get(this.#slab) ?? [])
      if (journal.reportCount > 0) found.add(journal.partition);
    return [...found].filter((partition) => partition >= 0).sort((a, b) => a - b);
  }

  // --- changes

  /** Sets records as one delta of the operation that runs. */
  change(changes: readonly JournalChange[], context: OperationContext): void {
    if (changes.length === 0) return;
    const ms = Math.floor(context.wallMs);
    const out = context.delta();
    out.u8(DELTA.put);
    out.u32(changes.length);
    for (const { key, bytes } of changes) {
      writeRecord(out, key, ms, bytes);
      this.#put(key, { seq: context.seq, ms, bytes });
    }
  }

  apply(delta: Reader, seq: number): void {
    const kind = delta.u8();
    if (kind === DELTA.purge) {
      for (let left = delta.u32(); left > 0; left--) this.#forget(delta.string(MAX_KEY_BYTES));
      return;
    }
    if (kind !== DELTA.put) throw new ProtocolError(`unknown delta of a merge journal: ${kind}`);
    for (let left = delta.u32(); left > 0; left--) {
      const { key, ms, bytes } = readRecord(delta);
      this.#put(key, { seq, ms, bytes });
    }
  }

  #put(key: string, { seq, ms, bytes }: Omit<JournalRecord, 'ordinal'>): void {
    this.#forget(key);
    this.#records.set(key, { seq, ms, bytes, ordinal: this.#nextOrdinal++ });
    this.#count(key, bytes, 1);
    if (seq > this.lastSeq) this.lastSeq = seq;
    if (key === PARTITION_KEY && bytes !== null) this.#register(bytes.readUInt16LE(0));
  }

  #forget(key: string): void {
    const record = this.#records.get(key);
    if (record === undefined) return;
    this.#records.delete(key);
    this.#count(key, record.bytes, -1);
  }

  #count(key: string, bytes: Buffer | null, sign: 1 | -1): void {
    const size = sign * (key.length + 64 + (bytes?.length ?? 0));
    this.sizeBytes += size;
    if (key.startsWith(MARKER_PREFIX)) this.#markers = null;
    if (bytes === null) return;
    if (key.startsWith(ENTRY_PREFIX)) this.entryBytes += size;
    else if (key.startsWith(REPORT_PREFIX)) this.reportCount += sign;
  }

  #register(partition: number): void {
    this.partition = partition;
    const registry = REGISTRIES.get(this.#slab) ?? new Set();
    REGISTRIES.set(this.#slab, registry.add(this));
  }

  // --- copies and merges

  copy(cursor: number, maxBytes: number, out: Writer): number {
    return this.#write(cursor, maxBytes, out, () => true);
  }

  /** Markers stay behind: what they tell of is not at the owner before this merge has ended. */
  changes(cursor: number, { sharedSeq }: MergeSince, maxBytes: number, out: Writer): number {
    return this.#write(
      cursor,
      maxBytes,
      out,
      (key, { seq }) => seq > sharedSeq && !key.startsWith(MARKER_PREFIX) && key !== PARTITION_KEY,
    );
  }

  #write(
    cursor: number,
    maxBytes: number,
    out: Writer,
    takes: (key: string, record: JournalRecord) => boolean,
  ): number {
    const start = out.length;
    for (const [key, record] of this.#records) {
      if (record.ordinal < cursor || !takes(key, record)) continue;
      const size = key.length + (record.bytes?.length ?? 0);
      if (out.length > start && out.length - start + size > maxBytes) return record.ordinal;
      out.f64(record.seq);
      writeRecord(out, key, record.ms, record.bytes);
    }
    return -1;
  }

  paste(records: Reader): void {
    while (records.remaining > 0) {
      const seq = records.f64();
      const { key, ms, bytes } = readRecord(records);
      const present = this.#records.get(key);
      if (present === undefined || present.seq < seq) this.#put(key, { seq, ms, bytes });
    }
  }

  /** Takes what another side has told its users, or has heard from them, and this one has not. */
  takeOver(records: Reader, sharedSeq: number, context: OperationContext): void {
    const changes: JournalChange[] = [];
    while (records.remaining > 0) {
      records.f64();
      const { key, bytes } = readRecord(records);
      const present = this.#records.get(key);
      if (present === undefined ? bytes !== null : present.seq <= sharedSeq) changes.push({ key, bytes });
    }
    this.change(changes, context);
  }

  /** Removes marks of what was removed, and markers of merges that nobody can ask about any more. */
  purge(cursor: number, horizon: PurgeHorizon, context: OperationContext): number {
    const keys: string[] = [];
    let looked = 0;
    let next = -1;
    for (const [key, { seq, ms, bytes, ordinal }] of this.#records) {
      if (ordinal < cursor) continue;
      if (looked++ === PURGE_STEP) {
        next = ordinal;
        break;
      }
      const isOver = bytes === null || key.startsWith(MARKER_PREFIX);
      if (isOver && seq <= horizon.seq && ms < horizon.ms) keys.push(key);
    }
    if (next < 0 && this.#isOnlyName(keys.length)) keys.push(PARTITION_KEY);
    if (keys.length === 0) return next;
    const out = context.delta();
    out.u8(DELTA.purge);
    out.u32(keys.length);
    for (const key of keys) {
      out.string(key);
      this.#forget(key);
    }
    return next;
  }

  /** Nothing would be left but the number of the partition. */
  #isOnlyName(removed: number): boolean {
    return this.#records.size === removed + 1 && this.#records.has(PARTITION_KEY);
  }

  dump(): readonly string[] {
    const lines: string[] = [];
    for (const [key, { bytes }] of this.#records)
      lines.push(`${key} ${bytes === null ? 'removed' : murmur3(bytes).toString(16)}`);
    return lines.sort();
  }

  dispose(): void {
    REGISTRIES.get(this.#slab)?.delete(this);
    this.#records.clear();
    this.#markers = null;
    this.sizeBytes = 0;
    this.entryBytes = 0;
    this.reportCount = 0;
    this.lastSeq = 0;
  }
}

function covers(marker: Marker, origin: Place): boolean {
  return marker.epochs.some((one) => isSameEpoch(one, origin));
}

function writeRecord(out: Writer, key: string, ms: number, bytes: Buffer | null): void {
  out.string(key);
  out.f64(ms);
  out.u8(bytes === null ? 0 : 1);
  if (bytes !== null) out.bytes(bytes);
}

function readRecord(input: Reader): { key: string; ms: number; bytes: Buffer | null } {
  const key = input.string(MAX_KEY_BYTES);
  const ms = input.f64();
  return { key, ms, bytes: input.u8() === 0 ? null : Buffer.from(input.blob(MAX_RECORD_BYTES)) };
}

/** The journal of a replica, or undefined when nothing was ever merged into it. */
export function journalOf(replica: PartitionReplica): JournalState | undefined {
  return replica.find(MERGE_JOURNAL_ID, JOURNAL_NAME) as JournalState | undefined;
}

/** Why such a call is not answered yet. */
export const MERGE_UNDER_WAY = 'the call was applied in another lineage, whose merge is under way';

/** The call came by a merge that has announced it, and has not brought yet what it did. */
export function isAwaited(replica: PartitionReplica, { origin }: WindowEntry): boolean {
  return origin !== undefined && journalOf(replica)?.isOpen(origin) === true;
}
