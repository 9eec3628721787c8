/**
 * The hash tree of one record store: two replicas with the same entries and tombstones have the same digests, whatever
 * the order of their writes and the sizes of their trees. A node is a prefix of the key hash (`depth` bits of it), its
 * digest the sum of the digests of the records below it, 64 bits in two words, so trees of different sizes compare
 * node by node. Invariants: a leaf that is not marked has the digest that its contents had when it was last computed;
 * an inner node is the sum of its leaves. A write only marks its leaf; digests are computed when they are asked for,
 * within a budget. The bytes are read as little-endian words, as on every machine that Node supports in practice.
 * Called by the record store (marks), anti-entropy, scrub and merge.
 *
 * What a scrub finds: contents that changed in memory without a write. What it cannot find: a change in a leaf that
 * has seen a write since, because that computes the digest of the leaf anew from what is there.
 */
import {
  headerBytesAt,
  readHash,
  readKeyBytes,
  readTombstone,
  readValueBytes,
  versionWord,
} from './record-layout.js';

/** The digest of some records, and how much was read for it. Reused by whoever computes many. */
export interface Sum {
  lo: number;
  hi: number;
  /** How many records, and their header and content bytes. */
  records: number;
  bytes: number;
}

export function emptySum(): Sum {
  return { lo: 0, hi: 0, records: 0, bytes: 0 };
}

/** Bytes that may still be read; a step ends when none are left, behind the leaf at which it happens. */
export interface DigestBudget {
  bytes: number;
  /** Counts those that were read. */
  records: number;
}

/** What a tree needs of its store. */
export interface DigestSource {
  readonly recordCount: number;
  /** Adds the records with a hash in [from, to] to the sum. */
  sumRange(from: number, to: number, sum: Sum): void;
}

const CLEAN = 0;
const DIRTY = 1;
/** A scrub found contents that do not fit the digest, which is kept to tell which replica is right. */
const FAULT = 2;

const MIN_BITS = 1;
const MAX_BITS = 24;
/** Records per leaf: from the first on the tree grows, to half of it; below the last it shrinks. */
const GROW_AT = 16;
const SHRINK_AT = 2;

const scratch: Sum = emptySum();

/** First hash below a node. */
export function firstHash(depth: number, prefix: number): number {
  return depth === 0 ? 0 : prefix * 2 ** (32 - depth);
}

/** Last hash below a node. */
export function lastHash(depth: number, prefix: number): number {
  return firstHash(depth, prefix) + 2 ** (32 - depth) - 1;
}

function mix(n: number): number {
  let mixed = n;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/** Adds the record in a cell: key, version, tombstone mark and value; not its times, hits and position. */
export function addRecord(words: Uint32Array, at: number, sum: Sum): void {
  const keyBytes = readKeyBytes(words, at);
  const contentBytes = keyBytes + readValueBytes(words, at);
  let a = mix(readHash(words, at) ^ keyBytes) ^ (readTombstone(words, at) ? 0x2545f491 : 0x9e3779b9);
  let b = contentBytes ^ 0x7f4a7c15;
  for (let i = 0; i < 4; i++) {
    const word = versionWord(words, at, i);
    a = Math.imul(a ^ word, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b + word, 0x1b873593);
    b ^= b >>> 15;
  }
  let i = at + headerBytesAt(words, at) / 4;
  // A length that decayed in memory must not make this a walk through everything.
  const end = Math.min(i + (contentBytes >>> 2), words.length);
  for (; i < end; i++) {
    const word = words[i]!;
    a = Math.imul(a ^ word, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b + word, 0x1b873593);
    b ^= b >>> 15;
  }
  const rest = contentBytes & 3;
  if (rest !== 0) {
    // What lies behind the content in its last word is left from other records.
    const word = (words[i] ?? 0) & ((1 << (rest * 8)) - 1);
    a = Math.imul(a ^ word, 0xcc9e2d51);
    b = Math.imul(b + word, 0x1b873593);
    b ^= b >>> 15;
  }
  sum.lo = (sum.lo + mix(a ^ (b >>> 7))) | 0;
  sum.hi = (sum.hi + mix(b + Math.imul(a, 0x9e3779b1))) | 0;
  sum.records++;
  sum.bytes += contentBytes + headerBytesAt(words, at);
}

export class StoreDigest {
  readonly #source: DigestSource;
  #bits = 0;
  #shift = 32;
  /** Node n of the binary tree (1 is the root, children 2n and 2n + 1) is words [2n] and [2n + 1]. */
  #nodes = new Uint32Array(0);
  #marks = new Uint8Array(0);

  constructor(source: DigestSource) {
    this.#source = source;
    this.#begin(bitsFor(source.recordCount));
  }

  /** Depth of the leaves. */
  get bits(): number {
    return this.#bits;
  }

  get leaves(): number {
    return this.#marks.length;
  }

  /** A record with this hash was written or removed. On the path of every write. */
  touch(hash: number): void {
    this.#marks[hash >>> this.#shift] = DIRTY;
  }

  /** Has the leaves that hold these hashes computed anew. */
  doubt(from: number, to: number): void {
    this.#marks.fill(DIRTY, from >>> this.#shift, (to >>> this.#shift) + 1);
  }

  /** Everything has to be computed anew. */
  #begin(bits: number): void {
    this.#bits = bits;
    this.#shift = 32 - bits;
    this.#nodes = new Uint32Array(2 ** bits * 4);
    this.#marks = new Uint8Array(2 ** bits).fill(DIRTY);
  }

  /** Fits the tree to the number of records: larger ones are computed anew step by step, smaller ones are cut. */
  #fit(): void {
    const count = this.#source.recordCount;
    if (count > this.leaves * GROW_AT && this.#bits < MAX_BITS) this.#begin(bitsFor(count));
    while (count < this.leaves * SHRINK_AT && this.#bits > MIN_BITS) this.#cut();
  }

  #cut(): void {
    const marks = new Uint8Array(this.leaves / 2);
    for (let i = 0; i < marks.length; i++) {
      marks[i] = this.#marks[2 * i] === CLEAN && this.#marks[2 * i + 1] === CLEAN ? CLEAN : DIRTY;
    }
    this.#bits--;
    this.#shift++;
    this.#nodes = this.#nodes.slice(0, marks.length * 4);
    this.#marks = marks;
  }

  /**
   * The digest of a node, into `out`; false when the budget ended before all leaves below it were computed: ask again,
   * what was computed is kept. A node below the leaves is computed from the contents.
   */
  digestOf(depth: number, prefix: number, budget: DigestBudget, out: Sum): boolean {
    this.#fit();
    if (depth > this.#bits) {
      if (budget.bytes <= 0) return false;
      out.lo = out.hi = out.records = out.bytes = 0;
      this.#source.sumRange(firstHash(depth, prefix), lastHash(depth, prefix), out);
      budget.bytes -= out.bytes;
      out.lo >>>= 0;
      out.hi >>>= 0;
      return true;
    }
    const span = 2 ** (this.#bits - depth);
    const end = (prefix + 1) * span;
    for (let leaf = this.#nextDirty(prefix * span, end); leaf < end; leaf = this.#nextDirty(leaf + 1, end)) {
      if (budget.bytes <= 0) return false;
      this.#compute(leaf, budget);
    }
    const node = 2 ** depth + prefix;
    out.lo = this.#nodes[2 * node]!;
    out.hi = this.#nodes[2 * node + 1]!;
    return true;
  }

  /** `end` or more when there is none before it. */
  #nextDirty(from: number, end: number): number {
    const marks = this.#marks;
    // Most trees that are asked for are all clean; a short look saves the call for small ranges.
    if (end - from <= 64) {
      let leaf = from;
      while (leaf < end && marks[leaf] !== DIRTY) leaf++;
      return leaf;
    }
    const found = marks.indexOf(DIRTY, from);
    return found < 0 ? end : found;
  }

  #sumOf(leaf: number, budget: DigestBudget): Sum {
    scratch.lo = scratch.hi = scratch.records = scratch.bytes = 0;
    this.#source.sumRange(firstHash(this.#bits, leaf), lastHash(this.#bits, leaf), scratch);
    budget.bytes -= scratch.bytes + LEAF_BYTES;
    budget.records += scratch.records;
    return scratch;
  }

  #compute(leaf: number, budget: DigestBudget): void {
    const { lo, hi } = this.#sumOf(leaf, budget);
    const nodes = this.#nodes;
    const first = this.leaves + leaf;
    const moreLo = lo - nodes[2 * first]!;
    const moreHi = hi - nodes[2 * first + 1]!;
    for (let node = first; node > 0; node >>>= 1) {
      nodes[2 * node]! += moreLo;
      nodes[2 * node + 1]! += moreHi;
    }
    this.#marks[leaf] = CLEAN;
  }

  /**
   * Compares leaves with their contents, from `leaf` on, and computes marked ones. `fault` is told each leaf that does
   * not fit; it keeps its digest until the next write or `doubt`. Returns the leaf to go on with, or -1 at the end.
   */
  scrub(leaf: number, budget: DigestBudget, fault: (depth: number, prefix: number) => void): number {
    this.#fit();
    for (let at = leaf; at < this.leaves; at++) {
      if (budget.bytes <= 0) return at;
      if (this.#marks[at] === DIRTY) this.#compute(at, budget);
      else if (!this.#fits(at, budget) && this.#marks[at] === CLEAN) {
        this.#marks[at] = FAULT;
        fault(this.#bits, at);
      }
    }
    return -1;
  }

  #fits(leaf: number, budget: DigestBudget): boolean {
    const { lo, hi } = this.#sumOf(leaf, budget);
    const node = this.leaves + leaf;
    return this.#nodes[2 * node] === lo >>> 0 && this.#nodes[2 * node + 1] === hi >>> 0;
  }

  /** Scrubs the leaf with this hash alone: false when its contents do not fit its digest. */
  holds(hash: number, budget: DigestBudget): boolean {
    const leaf = hash >>> this.#shift;
    if (this.#marks[leaf] === DIRTY || this.#fits(leaf, budget)) return true;
    this.#marks[leaf] = FAULT;
    return false;
  }

  /** Whether this node is a leaf that a scrub found faulty and that nothing has written to since. */
  isFaulty(depth: number, prefix: number): boolean {
    return depth === this.#bits && this.#marks[prefix] === FAULT;
  }
}

/** What looking at a leaf costs beside its records. */
const LEAF_BYTES = 64;

/** 8 to 16 records for each leaf. */
function bitsFor(count: number): number {
  const bits = Math.floor(Math.log2(Math.max(1, count) / (GROW_AT / 2)));
  return Math.min(MAX_BITS, Math.max(MIN_BITS, bits));
}
