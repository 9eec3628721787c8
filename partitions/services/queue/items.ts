/**
 * The items of a queue in their order: a ring, so that both ends cost the same however long the queue is, and what
 * comes late (of a copy, of a merge) is put in between. Invariants: sorted by the time of the addition and the member
 * that decided; a quarter of the ring at the least is in use, once it is larger than its smallest size. Called by the
 * state of a queue.
 */
import type { Actor } from '../../service.js';

/** Order of items: the time of the addition by the hybrid clock, then the member. No two items have the same. */
export interface Place {
  readonly ms: number;
  readonly counter: number;
  readonly memberHi: number;
  readonly memberLo: number;
}

export interface Item extends Place {
  /** Who added it, and the how manieth of that actor it is: together its name. */
  readonly actor: Actor;
  readonly ordinal: number;
  /** Position at which it was added, or came by a merge. */
  readonly seq: number;
  /** Cell of its bytes, and their number. */
  readonly ref: number;
  readonly sizeBytes: number;
  readonly hash: number;
  isGone: boolean;
}

const SMALLEST = 16;
/** Cursors of copies and merges below this are of who added items, those from here on of items. */
export const FIRST_ITEM = 2 ** 20;

export function comparePlaces(a: Place, b: Place): number {
  return a.ms - b.ms || a.counter - b.counter || a.memberHi - b.memberHi || a.memberLo - b.memberLo;
}

export class Items {
  #ring: (Item | undefined)[] = new Array<Item | undefined>(SMALLEST);
  #head = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The item at an index from the head, which is 0. */
  at(index: number): Item {
    return this.#ring[(this.#head + index) & (this.#ring.length - 1)] as Item;
  }

  #set(index: number, item: Item | undefined): void {
    this.#ring[(this.#head + index) & (this.#ring.length - 1)] = item;
  }

  /** Index of the first item that is not before the place. */
  indexOf(place: Place): number {
    // Both ends at once: that is where nearly all come from and go to.
    if (this.#count === 0 || comparePlaces(this.at(0), place) >= 0) return 0;
    if (comparePlaces(this.at(this.#count - 1), place) < 0) return this.#count;
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comparePlaces(this.at(middle), place) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Puts in items that are sorted and not there yet; those that belong at either end cost nothing but themselves. */
  put(sorted: readonly Item[]): void {
    this.#resize(this.#count + sorted.length);
    const last = sorted[sorted.length - 1];
    if (this.#count > 0 && last !== undefined && comparePlaces(last, this.at(0)) < 0) {
      this.#head = (this.#head - sorted.length) & (this.#ring.length - 1);
      this.#count += sorted.length;
      for (const [i, item] of sorted.entries()) this.#set(i, item);
      return;
    }
    let from = this.#count - 1;
    let to = from + sorted.length;
    this.#count += sorted.length;
    for (let i = sorted.length - 1; i >= 0; ) {
      const item = sorted[i] as Item;
      if (from >= 0 && comparePlaces(this.at(from), item) > 0) this.#set(to--, this.at(from--));
      else {
        this.#set(to--, item);
        i--;
      }
    }
  }

  /** Drops so many items that are gone; none of them is before the index `first`. */
  sweep(gone: number, first: number): void {
    let left = gone;
    for (; left > 0 && first === 0 && this.at(0).isGone; left--) this.#shift();
    if (left > 0) this.#closeGaps(first);
    this.#resize(this.#count);
  }

  #closeGaps(first: number): void {
    let kept = first;
    for (let i = first; i < this.#count; i++) {
      const item = this.at(i);
      if (!item.isGone) this.#set(kept++, item);
    }
    for (let i = kept; i < this.#count; i++) this.#set(i, undefined);
    this.#count = kept;
  }

  #shift(): void {
    this.#set(0, undefined);
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#count--;
  }

  #resize(needed: number): void {
    let size = this.#ring.length;
    while (size < needed) size *= 2;
    while (size > SMALLEST && needed < size / 4) size /= 2;
    if (size === this.#ring.length) return;
    const ring = new Array<Item | undefined>(size);
    for (let i = 0; i < this.#count; i++) ring[i] = this.at(i);
    this.#ring = ring;
    this.#head = 0;
  }

  clear(): void {
    this.#ring = new Array<Item | undefined>(SMALLEST);
    this.#head = 0;
    this.#count = 0;
  }
}

/** The items of two rings in their order, from a place on. */
export function* inOrder(a: Items, b: Items, from?: Place): Generator<Item, void, undefined> {
  let [i, j] = from === undefined ? [0, 0] : [a.indexOf(from), b.indexOf(from)];
  while (i < a.count || j < b.count) {
    const isFirst = j >= b.count || (i < a.count && comparePlaces(a.at(i), b.at(j)) < 0);
    yield isFirst ? a.at(i++) : b.at(j++);
  }
}
