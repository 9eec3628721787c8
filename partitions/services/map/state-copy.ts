/**
 * How the contents of a map in one partition are copied to another replica, in chunks beside live deltas: records by
 * hash, and behind them what lies beside the records. Called by the state of the map.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { murmur3 } from '../../hash.js';
import type { Image } from '../../store/mend.js';
import { pageOf } from '../../store/page.js';
import { HASH_END } from '../../store/purge.js';
import type { RecordStore } from '../../store/record-store.js';
import type { KeyLocks } from '../key-locks.js';
import type { MapIndexes } from './indexes.js';
import type { LoadLeases } from './load-leases.js';
import type { MergedMarks } from './merged-marks.js';
import { concernsStore, type OwedWrites } from './owed.js';
import { readImage, writeImage } from './record-image.js';

/** In the place of a record's position: what follows instead. */
const OTHER = { mark: -1, lease: -2, lock: -3, indexes: -30 } as const;

const SECTIONS = ['records', 'marks', 'leases', 'pending', 'intents', 'locks', 'indexes'] as const;
type Section = (typeof SECTIONS)[number];
/** Where the cursors of each section begin: hashes for records, positions for most others. */
const BEHIND = 2 * HASH_END;
const SPAN = 2 ** 50;
const STARTS = [0, HASH_END, BEHIND, BEHIND + SPAN, BEHIND + 2 * SPAN, BEHIND + 3 * SPAN, BEHIND + 4 * SPAN];

const NO_LIMIT = Number.POSITIVE_INFINITY;

/** What a map consists of. */
export interface MapParts {
  readonly store: RecordStore;
  readonly merged: MergedMarks;
  readonly loads: LoadLeases;
  readonly locks: KeyLocks;
  readonly owed: OwedWrites;
  readonly indexes: MapIndexes;
  lastSeq: number;
}

/** See `ServiceState.copy`. */
export function copyState(parts: MapParts, cursor: number, maxBytes: number, out: Writer): number {
  const first = STARTS.findLastIndex((start) => start <= cursor);
  for (let section = first; section < SECTIONS.length; section++) {
    const start = STARTS[section] as number;
    const name = SECTIONS[section] as Section;
    if (!has(parts, name)) continue;
    // A chunk of what came before is full by now, perhaps.
    if (section > first && out.length > 0) return start;
    const next = copySection(parts, name, section === first ? cursor - start : 0, maxBytes, out);
    if (next >= 0) return start + next;
  }
  return -1;
}

function has({ merged, loads, locks, owed, indexes }: MapParts, section: Section): boolean {
  if (section === 'marks') return merged.count > 0;
  if (section === 'leases') return loads.count > 0;
  if (section === 'pending') return owed.pending.count > 0 || owed.isFilled || owed.forgotten.isOn;
  if (section === 'intents') return owed.intents.count > 0;
  if (section === 'locks') return !locks.isEmpty;
  return section === 'records' || indexes.definitions.length > 0;
}

function copySection(
  { store, merged, loads, locks, owed, indexes }: MapParts,
  section: Section,
  from: number,
  maxBytes: number,
  out: Writer,
): number {
  if (section === 'records') return copyRecords(store, from, maxBytes, out);
  if (section === 'marks') return merged.copy(from, maxBytes, out, (prefixed) => prefixed.f64(OTHER.mark));
  if (section === 'leases') return loads.copy(from, maxBytes, out, (prefixed) => prefixed.f64(OTHER.lease));
  if (section === 'pending') return owed.copyPending(from, maxBytes, out);
  if (section === 'intents') return owed.copyIntents(from, maxBytes, out);
  if (section === 'locks') return locks.copy(from, maxBytes, out, (prefixed) => prefixed.f64(OTHER.lock));
  return indexes.copy(out, OTHER.indexes);
}

function copyRecords(store: RecordStore, cursor: number, maxBytes: number, out: Writer): number {
  const limits = { walk: { records: NO_LIMIT, bytes: maxBytes }, records: NO_LIMIT, bytes: maxBytes };
  const { refs, next } = pageOf(store, cursor, limits, (ref) => store.recordBytes(ref));
  for (const ref of refs) {
    const meta = store.metaOf(ref);
    out.f64(meta.seq);
    writeImage(out, meta, store.keyOf(ref), store.valueOf(ref));
  }
  return next;
}

/** See `ServiceState.paste`. `put`: a record that is newer than what is here. */
export function pasteState(parts: MapParts, records: Reader, put: (image: Image) => void): void {
  const { store } = parts;
  const writtenAt = (key: Uint8Array) => {
    const ref = store.find(murmur3(key), key);
    return ref < 0 ? 0 : store.seqOf(ref);
  };
  const toldAt = (key: Uint8Array) => {
    const ref = store.find(murmur3(key), key);
    return ref >= 0 && concernsStore(store.metaOf(ref)) ? store.seqOf(ref) : 0;
  };
  while (records.remaining > 0) {
    const seq = records.f64();
    if (seq === OTHER.mark) parts.merged.read(records);
    else if (seq === OTHER.lease) parts.loads.paste(records, writtenAt);
    else if (seq === OTHER.lock) parts.locks.paste(records);
    else if (seq === OTHER.indexes) {
      parts.indexes.paste(records);
      parts.lastSeq = Math.max(parts.lastSeq, parts.indexes.seq);
    } else if (!parts.owed.paste(seq, records, toldAt)) {
      const image = readImage(records, seq);
      if (writtenAt(image.key) < seq) put(image);
      parts.lastSeq = Math.max(parts.lastSeq, seq);
    }
  }
}
