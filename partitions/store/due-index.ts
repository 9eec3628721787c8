/**
 * Where in a record store something becomes due next: a tree of times over ranges of the key hash, each node the least of
 * what lies below it. It holds no records, so its memory is bounded by their number, and what never becomes due costs
 * nothing. Invariant: no record of a range becomes due before the time of the range; after a record went or got a later
 * time the range is visited once for nothing, and the visit puts it right. Called by the states whose records expire.
 */

/** Records per range: from the first on the tree grows, below the second it shrinks. */
const GROW_AT = 16;
const SHRINK_AT = 2;
const MIN_BITS = 4;
const MAX_BITS = 20;
const NEVER = Number.POSITIVE_INFINITY;

export class DueIndex {
  #bits = 0;
  /** Node 1 is the root, node 2n and 2n+1 are below node n, the ranges are the last half. */
  #tree: Float64Array | null = null;

  /** When the first record may become due; Infinity for never. */
  get firstMs(): number {
    return this.#tree === null ? NEVER : this.#tree[1]!;
  }

  get sizeBytes(): number {
    return this.#tree?.byteLength ?? 0;
  }

  /** A record with this hash becomes due then; `records` is how many the store has. */
  note(hash: number, dueMs: number, records: number): void {
    this.#fit(records);
    const tree = this.#tree as Float64Array;
    for (let node = this.#nodeOf(hash); node > 0 && tree[node]! > dueMs; node >>>= 1) tree[node] = dueMs;
  }

  /**
   * Visits ranges with something that may be due by then, in the order of hashes, until the visitor gives null: it gives
   * when its range becomes due next.
   */
  visit(byMs: number, visitor: (from: number, to: number) => number | null): void {
    const tree = this.#tree;
    if (tree === null) return;
    const ranges = 1 << this.#bits;
    const width = 2 ** (32 - this.#bits);
    for (let range = this.#nextDue(0, byMs); range >= 0; range = this.#nextDue(range + 1, byMs)) {
      const dueMs = visitor(range * width, (range + 1) * width - 1);
      if (dueMs === null) return;
      this.#set(ranges + range, dueMs);
    }
  }

  clear(): void {
    this.#tree = null;
    this.#bits = 0;
  }

  #nodeOf(hash: number): number {
    return (1 << this.#bits) + (hash >>> (32 - this.#bits));
  }

  /** The first range from one on that may be due by then, or -1. */
  #nextDue(from: number, byMs: number): number {
    const tree = this.#tree as Float64Array;
    const ranges = 1 << this.#bits;
    if (from >= ranges) return -1;
    let node = ranges + from;
    while (tree[node]! > byMs) {
      // Up while it is a right child, then to the right.
      while ((node & 1) === 1) node >>>= 1;
      if (node === 0) return -1;
      node++;
    }
    while (node < ranges) node = tree[node * 2]! <= byMs ? node * 2 : node * 2 + 1;
    return node - ranges;
  }

  #set(leaf: number, dueMs: number): void {
    const tree = this.#tree as Float64Array;
    tree[leaf] = dueMs;
    for (let node = leaf >>> 1; node > 0; node >>>= 1) {
      const least = Math.min(tree[node * 2]!, tree[node * 2 + 1]!);
      if (tree[node] === least) return;
      tree[node] = least;
    }
  }

  #fit(records: number): void {
    if (this.#tree === null) {
      this.#bits = MIN_BITS;
      this.#tree = new Float64Array(2 << MIN_BITS).fill(NEVER);
    }
    const ranges = 1 << this.#bits;
    if (records > ranges * GROW_AT && this.#bits < MAX_BITS) this.#resize(this.#bits + 1);
    else if (records < ranges * SHRINK_AT && this.#bits > MIN_BITS) this.#resize(this.#bits - 1);
  }

  /** By one bit: both halves of a range get its time, or two ranges the lesser one of theirs. */
  #resize(bits: number): void {
    const old = this.#tree as Float64Array;
    const tree = new Float64Array(2 << bits);
    const ranges = 1 << bits;
    const oldRanges = 1 << this.#bits;
    for (let i = 0; i < ranges; i++)
      tree[ranges + i] = bits > this.#bits ? old[oldRanges + (i >>> 1)]! : old[ranges + i]!;
    for (let node = ranges - 1; node > 0; node--) tree[node] = Math.min(tree[node * 2]!, tree[node * 2 + 1]!);
    this.#tree = tree;
    this.#bits = bits;
  }
}
