/**
 * What one side of a split tells the other one of a queue: the items that it added, the names of those that are gone,
 * which of the items that both had it gave out, and which are handed out there. Called on the source of a merge; `merge.ts` reads it.
 */
import type { Writer } from '../../../src/base/bytes.js';
import type { Actor, MergeSince } from '../../service.js';
import { eachItem, type Rings } from './copy.js';
import { type HandOut, writeHandOut } from './hand-out.js';
import { FIRST_ITEM, type Item } from './items.js';
import type { Ranges } from './ranges.js';
import * as records from './records.js';
import { RECORD, TAKEN, Traces } from './records.js';
import type { RemovedItem, RemovedItems } from './removed.js';

const NO_BYTES = new Uint8Array(0);

/** What it needs of the state of a queue. */
export interface Changed extends Rings {
  readonly entryCount: number;
  readonly removed: RemovedItems;
  readonly adders: readonly {
    readonly actor: Actor;
    readonly gone: Ranges;
    readonly seq: number;
    readonly ms: number;
  }[];
  bytesOf(item: Item): Uint8Array;
}

/** First what was taken, then what is gone, in one page; then the items that were added. */
export function writeChanges(
  state: Changed,
  cursor: number,
  since: MergeSince,
  maxBytes: number,
  out: Writer,
): number {
  const start = out.length;
  const { sharedSeq, skipped } = since;
  if (cursor < FIRST_ITEM) writeRemovals(state, since, out);
  if (out.length > start && state.entryCount > 0) return FIRST_ITEM;
  return eachItem(state, Math.max(cursor, FIRST_ITEM), (item, isNewCursor) => {
    const isNews = item.seq > sharedSeq && !skipped.has(item.seq);
    const handOut = handOutSince(state, item, since);
    if (!isNews && (handOut === null || item.seq > sharedSeq)) return true;
    if (isNewCursor && out.length > start && out.length - start + item.sizeBytes > maxBytes) return false;
    const bytes = state.bytesOf(item);
    if (isNews) writeImage(out, item, bytes);
    // Of an item that both sides had the bytes go along: it may be gone there, and is reported then.
    if (handOut !== null) writeHanded(out, handOut, isNews ? null : bytes);
    return true;
  });
}

/** What became of the item's hand-outs since the sides parted; null for nothing that counts. */
function handOutSince({ handed }: Changed, item: Item, { sharedSeq, skipped }: MergeSince): HandOut | null {
  const entry = handed.find(item);
  return entry === undefined || entry.seq <= sharedSeq || skipped.has(entry.seq) ? null : entry;
}

function writeHanded(out: Writer, handOut: HandOut, bytes: Uint8Array | null): void {
  out.u8(RECORD.handed);
  out.u8(bytes === null ? 0 : TAKEN.shared | TAKEN.withBytes);
  writeHandOut(out, handOut);
  out.bytes(bytes ?? NO_BYTES);
}

function writeRemovals(state: Changed, { sharedSeq, skipped }: MergeSince, out: Writer): void {
  const without = new Traces([...skipped].filter(([seq]) => seq > sharedSeq).map(([, delta]) => delta));
  for (const removed of state.removed.all()) {
    if (removed.seq <= sharedSeq) continue;
    const bytes = state.removed.bytesOf(removed);
    const isShared = removed.addedSeq <= sharedSeq;
    if (skipped.has(removed.seq)) {
      without.removed.add(removed.actor, removed.ordinal);
      // The other side has what it shares; of the rest this is the only one, unless the call that added it counts there.
      if (!isShared && !skipped.has(removed.addedSeq) && bytes !== null) writeImage(out, removed, bytes);
    } else if (removed.isTaken) {
      const origin = isShared ? TAKEN.shared : skipped.has(removed.addedSeq) ? TAKEN.doubled : 0;
      writeTaken(out, removed, origin, bytes);
    }
  }
  for (const { actor, seq, ms, gone } of state.adders) {
    if (seq <= sharedSeq) continue;
    const left = without.removed.leftOf(actor, gone);
    if (left.length === 0) continue;
    out.u8(RECORD.gone);
    records.writeGone(out, { actor, seq, ms, gone: left });
  }
}

function writeImage(out: Writer, item: Item | RemovedItem, bytes: Uint8Array): void {
  out.u8(RECORD.item);
  records.writeItem(out, item, bytes);
}

function writeTaken(out: Writer, item: RemovedItem, origin: number, bytes: Uint8Array | null): void {
  out.u8(RECORD.taken);
  out.u8(origin | (bytes === null ? 0 : TAKEN.withBytes));
  records.writeTake(out, item.take);
  records.writeItem(out, item, bytes ?? NO_BYTES);
}
