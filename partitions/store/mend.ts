/**
 * How anti-entropy repairs the records of a store: the replica that is right writes all records of some hashes, the
 * other one takes them over and drops what else it has of these hashes. Called by the states that keep their data in
 * a record store.
 */
import { type Reader, textOf, type Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import type { RecordMeta } from './record-layout.js';
import type { RecordStore } from './record-store.js';

/** One record as bytes. */
export interface Image {
  readonly meta: RecordMeta;
  /** Views into the input, like the value. */
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** What a structure does with its records beyond what the store does. */
export interface Mendable {
  readonly store: RecordStore;
  hashOf(key: Uint8Array): number;
  writeImage(out: Writer, meta: RecordMeta, key: Uint8Array, value: Uint8Array): void;
  readImage(input: Reader, seq: number): Image;
  put(image: Image): void;
  remove(key: Uint8Array): void;
}

/** Writes all records with this hash, each behind its position. */
export function writeHash({ store, writeImage }: Mendable, hash: number, out: Writer): void {
  for (const ref of store.refsOf(hash)) {
    const meta = store.metaOf(ref);
    out.f64(meta.seq);
    writeImage(out, meta, store.keyOf(ref), store.valueOf(ref));
  }
}

/**
 * Makes the records of these hashes what they were on the other replica at position `seq`. With `isExact` this replica
 * is at that position; else it is beyond, and what changed since, or may have, is left alone. Returns the number of
 * records that were put or dropped.
 */
export function mendHashes(
  of: Mendable,
  hashes: readonly number[],
  records: Reader,
  seq: number,
  isExact: boolean,
): number {
  const { store } = of;
  const named = new Set(hashes);
  const right = new Set<string>();
  let repaired = 0;
  while (records.remaining > 0) {
    const recordSeq = records.f64();
    const image = of.readImage(records, recordSeq);
    const { key } = image;
    const hash = of.hashOf(key);
    if (!named.has(hash) || !(recordSeq <= seq)) throw new ProtocolError('a repair of what was not named');
    right.add(textOf(key));
    const present = store.find(hash, key);
    // Without a record it can not be told whether one was removed and purged since.
    if (!isExact && (present < 0 || store.seqOf(present) > seq)) continue;
    of.put(image);
    repaired++;
  }
  for (const hash of named) {
    const extra = store
      .refsOf(hash)
      .filter((ref) => isExact || store.seqOf(ref) <= seq)
      .map((ref) => Buffer.from(store.keyOf(ref)))
      .filter((key) => !right.has(textOf(key)));
    for (const key of extra) of.remove(key);
    repaired += extra.length;
  }
  return repaired;
}
