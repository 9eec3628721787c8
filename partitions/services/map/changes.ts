/** What a replica of a map tells another side of a split of its records. Called by the state of the map. */
import type { Writer } from '../../../src/base/bytes.js';
import type { MergeSince } from '../../service.js';
import { pageOf } from '../../store/page.js';
import { REMOVAL, type RecordMeta } from '../../store/record-layout.js';
import type { RecordStore, ScanBudget } from '../../store/record-store.js';
import { isOnlyForgotten, type OwedWrites } from './owed.js';
import { CHANGED, writeImage } from './record-image.js';

const NO_LIMIT = Number.POSITIVE_INFINITY;
const CHANGES_WALK: ScanBudget = { records: 10_000, bytes: NO_LIMIT };

/**
 * Each record behind a byte of `CHANGED`. One that a skipped call wrote goes along to be reported: what the call
 * overwrote is not here any more. See `ServiceState.changes`.
 */
export function writeChanges(
  { store, owed }: { readonly store: RecordStore; readonly owed: OwedWrites },
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
    // What was loaded from a store the other side can load itself.
    if (store.versionMs(ref) === 0) return -1;
    if (seq > since.sharedSeq) return store.recordBytes(ref);
    sharedMs = Math.max(sharedMs, store.versionMs(ref));
    return -1;
  });
  for (const ref of refs) {
    const meta = store.metaOf(ref);
    const existed = !meta.tombstone && meta.createdMs <= sharedMs;
    const isSkipped = since.skipped.has(store.seqOf(ref));
    out.u8((existed ? CHANGED.existed : 0) | (isSkipped ? CHANGED.skipped : 0));
    writeChange(out, meta, store.keyOf(ref), store.valueOf(ref), owed);
  }
  // Behind all records, whose entries the other side decides on by themselves.
  if (next < 0) {
    for (const range of owed.untraced(since.sharedSeq)) {
      out.u8(CHANGED.forgotten);
      out.u8(range);
    }
  }
  return next;
}

/** An entry that went out of memory before the store had it goes as one that is over: the other side owes it then. */
function writeChange(
  out: Writer,
  meta: RecordMeta,
  key: Uint8Array,
  value: Uint8Array,
  owed: OwedWrites,
): void {
  const isForgotten = meta.tombstone && isOnlyForgotten(meta.cause);
  const last = isForgotten ? owed.pending.latest(key)?.value : undefined;
  if (last === undefined || last === null) {
    writeImage(out, meta, key, value);
    return;
  }
  const over = { tombstone: false, cause: REMOVAL.removed, expiresMs: meta.updatedMs, ttlMs: 0 };
  writeImage(out, { ...meta, ...over }, key, last);
}
