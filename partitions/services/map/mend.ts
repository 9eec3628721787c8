/**
 * How anti-entropy repairs the records of a map: the replica that is right writes all records of some key hashes, the
 * other one takes them over and drops what else it has of these hashes. Called by the state of the map only.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { murmur3 } from '../../hash.js';
import type { RecordStore } from '../../store/record-store.js';
import { readImage, writeImage } from './record-image.js';

/** Writes all records with this key hash, each behind its position. */
export function writeHash(store: RecordStore, hash: number, out: Writer): void {
  for (const ref of store.refsOf(hash)) {
    const meta = store.metaOf(ref);
    out.f64(meta.seq);
    writeImage(out, meta, store.keyOf(ref), store.valueOf(ref));
  }
}

export interface Mended {
  /** Records that were put or dropped. */
  readonly repaired: number;
  /** Highest position of one that was put. */
  readonly lastSeq: number;
}

/**
 * Makes the records of these hashes what they were on the other replica at position `seq`. With `isExact` this replica
 * is at that position; else it is beyond, and what changed since, or may have, is left alone.
 */
export function mendHashes(
  store: RecordStore,
  hashes: readonly number[],
  records: Reader,
  seq: number,
  isExact: boolean,
): Mended {
  const named = new Set(hashes);
  const right = new Set<string>();
  let repaired = 0;
  let lastSeq = 0;
  while (records.remaining > 0) {
    const recordSeq = records.f64();
    const { meta, key, value } = readImage(records, recordSeq);
    const hash = murmur3(key);
    if (!named.has(hash) || !(recordSeq <= seq)) throw new ProtocolError('a repair of what was not named');
    right.add(Buffer.from(key).toString('latin1'));
    const present = store.find(hash, key);
    // Without a record it can not be told whether one was removed and purged since.
    if (!isExact && (present < 0 || store.seqOf(present) > seq)) continue;
    store.put(hash, key, value, meta);
    repaired++;
    lastSeq = Math.max(lastSeq, recordSeq);
  }
  for (const hash of named) {
    const extra = store
      .refsOf(hash)
      .filter((ref) => isExact || store.seqOf(ref) <= seq)
      .map((ref) => Buffer.from(store.keyOf(ref)))
      .filter((key) => !right.has(key.toString('latin1')));
    for (const key of extra) store.remove(store.find(hash, key));
    repaired += extra.length;
  }
  return { repaired, lastSeq };
}
