/**
 * The index of one record store: an open-addressing table of (hash, ref) pairs in one typed array.
 * Invariants: the home slot of a hash is its top bits; slots are in ascending order of their whole hashes; no
 * gap lies between the home of an entry and its slot; the last slot is empty. There is no wrap-around: what is
 * pushed past the last home lies in a tail. So a walk over the slots is a walk in order of hashes, in every
 * replica alike, whatever the size of its table. Called by the record store only.
 */

const MIN_CAPACITY = 8;
const MIN_TAIL = 4;
/** Shifts shorter than this are cheaper as a loop than as a call of `copyWithin`. */
const SHORT_MOVE_SLOTS = 24;

/** What an empty store shares with all others: a member has thousands of stores, and many stay empty. */
const EMPTY_SLOTS = new Uint32Array((MIN_CAPACITY + MIN_TAIL) * 2);

export class HashIndex {
  /** Slot i is [2i] the hash, [2i + 1] the ref, 0 for empty. */
  #slots = EMPTY_SLOTS;
  #capacity = MIN_CAPACITY;
  #shift = 32 - Math.log2(MIN_CAPACITY);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Bytes of the table itself. */
  get tableBytes(): number {
    return this.#slots === EMPTY_SLOTS ? 0 : this.#slots.byteLength;
  }

  /** The ref in a slot, 0 when it is empty. */
  refAt(slot: number): number {
    return this.#slots[slot * 2 + 1]!;
  }

  hashAt(slot: number): number {
    return this.#slots[slot * 2]!;
  }

  /** Where the first entry of `hash` is if there is one: an empty slot, or the first hash that is not less. */
  lowerBound(hash: number): number {
    const slots = this.#slots;
    let at = (hash >>> this.#shift) * 2;
    while (slots[at + 1] !== 0 && slots[at]! < hash) at += 2;
    return at >>> 1;
  }

  /** The first occupied slot from `slot` on, or -1. */
  nextOccupied(slot: number): number {
    const slots = this.#slots;
    for (let at = slot * 2; at < slots.length; at += 2) {
      if (slots[at + 1] !== 0) return at >>> 1;
    }
    return -1;
  }

  /** The slot of an entry that is in the table. */
  slotOf(hash: number, ref: number): number {
    let slot = this.lowerBound(hash);
    while (this.refAt(slot) !== ref) {
      if (this.refAt(slot) === 0) return -1;
      slot++;
    }
    return slot;
  }

  replace(slot: number, ref: number): void {
    this.#slots[slot * 2 + 1] = ref;
  }

  /** Adds an entry behind those of the same hash. The caller has made sure that the ref is new. */
  insert(hash: number, ref: number): void {
    if (this.#slots === EMPTY_SLOTS) this.#slots = new Uint32Array(EMPTY_SLOTS.length);
    if ((this.#count + 1) * 5 > this.#capacity * 4) this.#rebuild(this.#capacity * 2);
    let slots = this.#slots;
    let at = (hash >>> this.#shift) * 2;
    while (slots[at + 1] !== 0 && slots[at]! <= hash) at += 2;
    let end = at;
    while (slots[end + 1] !== 0) end += 2;
    if (end === slots.length - 2) {
      slots = new Uint32Array(
        slots.length + Math.max(MIN_TAIL * 2, (slots.length - this.#capacity * 2) & ~1),
      );
      slots.set(this.#slots);
      this.#slots = slots;
    }
    if (end - at > SHORT_MOVE_SLOTS * 2) slots.copyWithin(at + 2, at, end);
    else for (let i = end; i > at; i--) slots[i + 1] = slots[i - 1]!;
    slots[at] = hash;
    slots[at + 1] = ref;
    this.#count++;
  }

  /** Takes an entry out and moves those behind it back, as far as their home slots allow. */
  removeAt(slot: number): void {
    const slots = this.#slots;
    const at = slot * 2;
    let end = at + 2;
    while (slots[end + 1] !== 0 && (slots[end]! >>> this.#shift) * 2 < end) end += 2;
    if (end - at > SHORT_MOVE_SLOTS * 2) slots.copyWithin(at, at + 2, end);
    else for (let i = at; i < end - 2; i++) slots[i] = slots[i + 2]!;
    slots[end - 2] = 0;
    slots[end - 1] = 0;
    this.#count--;
    if (this.#count === 0) this.clear();
    else if (this.#capacity > MIN_CAPACITY && this.#count * 5 < this.#capacity)
      this.#rebuild(this.#capacity / 2);
  }

  clear(): void {
    this.#slots = EMPTY_SLOTS;
    this.#capacity = MIN_CAPACITY;
    this.#shift = 32 - Math.log2(MIN_CAPACITY);
    this.#count = 0;
  }

  /** Moves all entries to a table of another size: two walks in order, hence fast even when it is large. */
  #rebuild(capacity: number): void {
    const old = this.#slots;
    const shift = 32 - Math.log2(capacity);
    let last = -1;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] !== 0) last = Math.max(last + 1, old[at]! >>> shift);
    }
    const slots = new Uint32Array((Math.max(capacity, last + 1) + MIN_TAIL) * 2);
    last = -1;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] === 0) continue;
      last = Math.max(last + 1, old[at]! >>> shift);
      slots[last * 2] = old[at]!;
      slots[last * 2 + 1] = old[at + 1]!;
    }
    this.#slots = slots;
    this.#capacity = capacity;
    this.#shift = shift;
  }
}
