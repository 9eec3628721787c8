/**
 * A queue in pieces, for copies and merges: its items from a cursor on, with their hand-outs, and of who added them what is
 * gone. Invariant: a piece ends where a cursor can stand, so what comes or goes between two pieces is met once or not at
 * all. Called by the state of a queue and by `changes.ts`.
 */
import type { Writer } from '../../../src/base/bytes.js';
import { writeHandOut } from './hand-out.js';
import type { HandOuts } from './hand-outs.js';
import { FIRST_ITEM, type Item, type Items, inOrder, type Place } from './items.js';
import type { Ranges } from './ranges.js';
import { type GoneRecord, RECORD, writeGone, writeItem } from './records.js';
import type { RemovedItems } from './removed.js';

export interface Rings {
  readonly items: Items;
  readonly handed: HandOuts;
}

/** What it needs of the state of a queue. */
export interface Copied extends Rings {
  readonly entryCount: number;
  readonly removed: RemovedItems;
  readonly adders: readonly (GoneRecord & { readonly gone: Ranges })[];
  bytesOf(item: Item): Uint8Array;
}

/** What is gone first, by adder, then the items. */
export function writeCopy(state: Copied, cursor: number, maxBytes: number, out: Writer): number {
  const start = out.length;
  const adders = cursor < FIRST_ITEM ? state.adders : [];
  const firstGone = adders.findIndex(({ gone }) => gone.length > 0);
  for (const [i, adder] of adders.entries()) {
    if (i < cursor || adder.gone.length === 0) continue;
    if (out.length > start && out.length - start >= maxBytes) return i;
    // Once, and together with something that is said to be gone.
    if (i === firstGone) {
      out.u8(RECORD.removed);
      state.removed.write(out);
    }
    out.u8(RECORD.gone);
    writeGone(out, adder);
  }
  // A chunk is full by now, perhaps.
  if (out.length > start && state.entryCount > 0) return FIRST_ITEM;
  return eachItem(state, Math.max(cursor, FIRST_ITEM), (item, isNewCursor) => {
    if (isNewCursor && out.length > start && out.length - start + item.sizeBytes > maxBytes) return false;
    out.u8(RECORD.item);
    out.f64(item.seq);
    writeItem(out, item, state.bytesOf(item));
    const entry = state.handed.find(item);
    if (entry === undefined) return true;
    out.u8(RECORD.handed);
    out.f64(entry.seq);
    writeHandOut(out, entry);
    return true;
  });
}

/**
 * Visits items, also those that are handed out, from a cursor on until `visit` says no; gives the cursor of that item, or
 * -1 at the end. One can only go on at a cursor, so of those that share one (there are few) only the first may be refused.
 */
export function eachItem(
  { items, handed }: Rings,
  cursor: number,
  visit: (item: Item, isNewCursor: boolean) => boolean,
): number {
  let last = -1;
  for (const item of inOrder(items, handed.away, placeOfCursor(cursor))) {
    const own = cursorOf(item);
    if (!visit(item, own !== last)) return own;
    last = own;
  }
  return -1;
}

/** Of the items of one cursor there are few: those of one millisecond, and of 32 versions of it. */
function cursorOf({ ms, counter }: Item): number {
  return FIRST_ITEM + ms * 2048 + (counter >>> 5);
}

function placeOfCursor(cursor: number): Place {
  const at = cursor - FIRST_ITEM;
  return { ms: Math.floor(at / 2048), counter: (at % 2048) * 32, memberHi: 0, memberLo: 0 };
}
