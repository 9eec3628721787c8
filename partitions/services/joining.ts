/**
 * How the answers that partitions give to one read become one answer, of which the caller takes what it would have taken of each.
 * Joined are only answers that are whole: where a page has others behind it, the caller has to know of which partition it is.
 * Called by the tables of operations.
 */
import type { Joining } from '../../src/wire/message.js';
import { MAX_BATCH } from './keyed-ops.js';

/** Of an answer beside what is in its lists, and of an item beside its bytes. */
const ANSWER_BYTES = 16;
const ITEM_BYTES = 8;

/** The second is of a page in an order: a key behind what it is ordered by. */
type Item = Uint8Array | { readonly key: Uint8Array; readonly sort: unknown };

/** By names of fields: lists one behind the other, numbers added up; and what has to be the same in both. */
export function joinedPages(
  lists: readonly string[],
  sums: readonly string[] = [],
  same: readonly string[] = [],
  // biome-ignore lint/suspicious/noExplicitAny: answers with fields of these names
): Joining<any> {
  return {
    sizeOf(one) {
      if (one.next >= 0) return -1;
      let bytes = ANSWER_BYTES;
      for (const name of lists) for (const item of listOf(one, name)) bytes += bytesOf(item);
      return bytes;
    },
    copy(one) {
      const all = { ...one };
      for (const name of lists) all[name] = [...listOf(one, name)];
      return all;
    },
    add(all, one) {
      if (same.some((name) => all[name] !== one[name])) return false;
      if (lists.some((name) => listOf(all, name).length + listOf(one, name).length > MAX_BATCH)) return false;
      for (const name of lists) for (const item of listOf(one, name)) listOf(all, name).push(item);
      for (const name of sums) all[name] += one[name];
      return true;
    },
  };
}

function listOf(reply: object, name: string): Item[] {
  return (reply as Record<string, Item[]>)[name] as Item[];
}

function bytesOf(item: Item): number {
  if (!('key' in item)) return ITEM_BYTES + item.length;
  const { key, sort } = item;
  return 2 * ITEM_BYTES + key.length + (typeof sort === 'string' ? 3 * sort.length : 0);
}

/** Numbers of entries. */
export const joinedCounts: Joining<{ readonly entries: number }> = {
  sizeOf: () => ANSWER_BYTES,
  copy: (one) => ({ ...one }),
  add(all, { entries }) {
    Object.assign(all, { entries: all.entries + entries });
    return true;
  },
};

/** Whether something was found. */
export const joinedSearches: Joining<{ readonly found: boolean; readonly next: number }> = {
  sizeOf: ({ next }) => (next >= 0 ? -1 : ANSWER_BYTES),
  copy: (one) => ({ ...one }),
  add(all, { found }) {
    Object.assign(all, { found: all.found || found });
    return true;
  },
};
