/**
 * A map in a copy: the records by hash, then what is by position beside them, then the list of indexes. What is put again
 * comes in any order; of two states of a key the later position counts. Called by the state of the map.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { murmur3 } from '../../hash.js';
import type { Image } from '../../store/mend.js';
import { pageOf } from '../../store/page.js';
import { HASH_END } from '../../store/purge.js';
import type { RecordStore } from '../../store/record-store.js';
import type { MapIndexes } from './indexes.js';
import type { LoadLeases } from './load-leases.js';
import type { MergedMarks } from './merged-marks.js';
import type { OwedWrites } from './owed.js';
import { readImage, writeImage } from './record-image.js';

/** In the place of a record's position: the mark of a merge follows, the lease of a load, or the list of indexes. */
const PART = { mark: -1, lease: -2, indexes: -30 } as const;

const NO_LIMIT = Number.POSITIVE_INFINITY;
/** Cursors have the number of a section and the cursor in it. */
const SECTION = HASH_END;
const SECTIONS = ['records', 'marks', 'leases', 'pending', 'intents', 'indexes'] as const;
type Section = (typeof SECTIONS)[number];

/** The parts of a map that are copied. */
export interface CopiedMap {
  readonly store: RecordStore;
  readonly merged: MergedMarks;
  readonly loads: LoadLeases;
  readonly owed: OwedWrites;
  readonly indexes: MapIndexes;
  lastSeq: number;
  writtenAt(key: Uint8Array): number;
}

/** See `ServiceState.copy`. */
export function copyMap(map: CopiedMap, cursor: number, maxBytes: number, out: Writer): number {
  const { merged, loads, owed, indexes } = map;
  const has = [
    true,
    merged.count > 0,
    loads.count > 0,
    owed.pending.count > 0 || owed.isFilled,
    owed.intents.count > 0,
    indexes.definitions.length > 0,
  ];
  const first = Math.min(Math.floor(cursor / SECTION), SECTIONS.length - 1);
  for (let section = first; section < SECTIONS.length; section++) {
    if (has[section] === false) continue;
    // A chunk of what came before is full by now, perhaps.
    if (section > first && out.length > 0) return section * SECTION;
    const from = section === first ? cursor - first * SECTION : 0;
    const next = copySection(map, SECTIONS[section] as Section, from, maxBytes, out);
    if (next >= 0) return section * SECTION + next;
  }
  return -1;
}

function copySection(map: CopiedMap, section: Section, from: number, maxBytes: number, out: Writer): number {
  const { store, merged, loads, owed, indexes } = map;
  const behind = (part: number) => (prefixed: Writer) => prefixed.f64(part);
  if (section === 'records') return copyRecords(store, from, maxBytes, out);
  if (section === 'marks') return merged.copy(from, maxBytes, out, behind(PART.mark));
  if (section === 'leases') return loads.copy(from, maxBytes, out, behind(PART.lease));
  if (section === 'pending') return owed.copyPending(from, maxBytes, out);
  if (section === 'intents') return owed.copyIntents(from, maxBytes, out);
  return indexes.copy(out, PART.indexes);
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

/** See `ServiceState.paste`. */
export function pasteMap(map: CopiedMap, records: Reader, place: (image: Image) => void): void {
  const { store, merged, loads, owed, indexes } = map;
  const writtenAt = (key: Uint8Array) => map.writtenAt(key);
  while (records.remaining > 0) {
    const seq = records.f64();
    if (seq === PART.mark) merged.read(records);
    else if (seq === PART.lease) loads.read(records, writtenAt);
    else if (seq === PART.indexes) {
      indexes.paste(records);
      map.lastSeq = Math.max(map.lastSeq, indexes.seq);
    } else if (!owed.paste(seq, records, writtenAt)) {
      const image = readImage(records, seq);
      const present = store.find(murmur3(image.key), image.key);
      if (present < 0 || store.seqOf(present) < seq) place(image);
      map.lastSeq = Math.max(map.lastSeq, seq);
    }
  }
}
