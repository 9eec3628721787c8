/** What a replica of a map tells another side of a split of its records. Called by the state of the map. */
import type { Writer } from '../../../src/base/bytes.js';
import type { MergeSince } from '../../service.js';
import { pageOf } from '../../store/page.js';
import type { RecordStore, ScanBudget } from '../../store/record-store.js';
import { CHANGED, writeImage } from './record-image.js';

const NO_LIMIT = Number.POSITIVE_INFINITY;
const CHANGES_WALK: ScanBudget = { records: 10_000, bytes: NO_LIMIT };

/**
 * Each record behind a byte of `CHANGED`. One that a skipped call wrote goes along to be reported: what the call
 * overwrote is not here any more. See `ServiceState.changes`.
 */
export function writeChanges(
  store: RecordStore,
  cursor: number,
  since: MergeSince,
  maxBytes: number,
  out: Writer,
): number {
  // What both sides have was written before they parted, so what was created before that was there.
  let sharedMs = 0;
  const limits = { walk: CHANGES_WALK, records: NO_LIMIT, bytes: maxBytes };
  const { refs, next } = pageOf(store, cursor, limits, (ref) => {
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
