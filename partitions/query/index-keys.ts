/**
 * The two tables that indexes are made of: from keys to hashes of records. Both keep a pair as often as it was put, so that two
 * keys with one hash do not disturb each other. Called by indexes only.
 *
 * `SortedKeys` is a list of blocks in order, each small enough to be shifted at the speed of memory. `HashKeys` has for each key
 * the hashes in order.
 */
import { compareKeys, isBelow, isBeyond, type Key, type KeyRange } from './key-ranges.js';
import { identityOf, type Scalar } from './scalars.js';

export interface IndexKeys {
  put(key: Key, hash: number): void;
  /** Of a pair that is here. */
  drop(key: Key, hash: number): void;
  /** How many pairs a range has. */
  count(range: KeyRange): number;
  /** Adds the hashes of a range to the list. */
  collect(range: KeyRange, into: number[]): void;
  readonly pairs: number;
  /** Of memory, roughly. */
  readonly sizeBytes: number;
  /** All pairs, in one order. For tests and dumps. */
  all(): [Key, number][];
}

/** Of a pair in its block, of a list of several values, and of a text beside its characters. */
const PAIR_BYTES = 16;
const LIST_BYTES = 32;
const TEXT_BYTES = 24;

function keyBytes(key: Key): number {
  let bytes = key.length > 1 ? LIST_BYTES + 8 * key.length : 0;
  for (const value of key) {
    if (typeof value === 'string') bytes += TEXT_BYTES + 2 * value.length;
    else if (typeof value === 'object' || typeof value === 'bigint') bytes += TEXT_BYTES;
    else bytes += 8;
  }
  return bytes;
}

const BLOCK = 256;

interface Block {
  readonly keys: Key[];
  readonly hashes: number[];
}

export class SortedKeys implements IndexKeys {
  #blocks: Block[] = [];
  pairs = 0;
  sizeBytes = 0;

  put(key: Key, hash: number): void {
    const at = this.#blockFor(key, hash);
    const block = this.#blocks[at];
    if (block === undefined) this.#blocks.push({ keys: [key], hashes: [hash] });
    else {
      const place = placeIn(block, key, hash);
      block.keys.splice(place, 0, key);
      block.hashes.splice(place, 0, hash);
      if (block.keys.length > BLOCK) this.#split(at, block);
    }
    this.pairs++;
    this.sizeBytes += PAIR_BYTES + keyBytes(key);
  }

  drop(key: Key, hash: number): void {
    const at = this.#blockFor(key, hash);
    const block = this.#blocks[at];
    if (block === undefined) return;
    const place = placeIn(block, key, hash);
    if (block.hashes[place] !== hash || compareKeys(block.keys[place] as Key, key) !== 0) return;
    block.keys.splice(place, 1);
    block.hashes.splice(place, 1);
    if (block.keys.length === 0) this.#blocks.splice(at, 1);
    this.pairs--;
    this.sizeBytes -= PAIR_BYTES + keyBytes(key);
  }

  count(range: KeyRange): number {
    let count = 0;
    this.#within(range, ({ keys }, from, to) => {
      count += from === 0 && to === keys.length ? keys.length : to - from;
    });
    return count;
  }

  collect(range: KeyRange, into: number[]): void {
    this.#within(range, ({ hashes }, from, to) => {
      for (let i = from; i < to; i++) into.push(hashes[i] as number);
    });
  }

  all(): [Key, number][] {
    return this.#blocks.flatMap(({ keys, hashes }) =>
      keys.map((key, i): [Key, number] => [key, hashes[i] as number]),
    );
  }

  #within(range: KeyRange, visit: (block: Block, from: number, to: number) => void): void {
    const blocks = this.#blocks;
    const first = firstWhere(blocks.length, (i) => !isBelow((blocks[i] as Block).keys.at(-1) as Key, range));
    for (let i = first; i < blocks.length; i++) {
      const block = blocks[i] as Block;
      const { keys } = block;
      if (isBeyond(keys[0] as Key, range)) return;
      const from = firstWhere(keys.length, (at) => !isBelow(keys[at] as Key, range));
      const to = isBeyond(keys.at(-1) as Key, range)
        ? firstWhere(keys.length, (at) => isBeyond(keys[at] as Key, range))
        : keys.length;
      if (from < to) visit(block, from, to);
    }
  }

  /** The block where the pair is, or belongs: the first whose last pair is not before it, else the last. */
  #blockFor(key: Key, hash: number): number {
    const blocks = this.#blocks;
    const found = firstWhere(blocks.length, (i) => {
      const { keys, hashes } = blocks[i] as Block;
      return comparePairs(keys.at(-1) as Key, hashes.at(-1) as number, key, hash) >= 0;
    });
    return Math.min(found, Math.max(0, blocks.length - 1));
  }

  #split(at: number, { keys, hashes }: Block): void {
    const half = keys.length >> 1;
    this.#blocks.splice(at + 1, 0, { keys: keys.splice(half), hashes: hashes.splice(half) });
  }
}

function comparePairs(a: Key, aHash: number, b: Key, bHash: number): number {
  return compareKeys(a, b) || aHash - bHash;
}

function placeIn({ keys, hashes }: Block, key: Key, hash: number): number {
  return firstWhere(keys.length, (i) => comparePairs(keys[i] as Key, hashes[i] as number, key, hash) >= 0);
}

/** The first index for which it holds, as it does for all behind that; `size` when for none. */
function firstWhere(size: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, size];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

interface Bucket {
  readonly key: Key;
  /** In order. */
  readonly hashes: number[];
}

/** Of a bucket and its place in the table. */
const BUCKET_BYTES = 96;

/** Only ranges of one whole key. */
export class HashKeys implements IndexKeys {
  readonly #buckets = new Map<unknown, Bucket>();
  pairs = 0;
  sizeBytes = 0;

  put(key: Key, hash: number): void {
    const identity = identityOfKey(key);
    const bucket = this.#buckets.get(identity);
    if (bucket === undefined) {
      this.#buckets.set(identity, { key, hashes: [hash] });
      this.sizeBytes += BUCKET_BYTES + keyBytes(key);
    } else {
      const { hashes } = bucket;
      hashes.splice(placeOf(hashes, hash), 0, hash);
    }
    this.pairs++;
    this.sizeBytes += 8;
  }

  drop(key: Key, hash: number): void {
    const identity = identityOfKey(key);
    const bucket = this.#buckets.get(identity);
    if (bucket === undefined) return;
    const place = placeOf(bucket.hashes, hash);
    if (bucket.hashes[place] !== hash) return;
    bucket.hashes.splice(place, 1);
    this.pairs--;
    this.sizeBytes -= 8;
    if (bucket.hashes.length > 0) return;
    this.#buckets.delete(identity);
    this.sizeBytes -= BUCKET_BYTES + keyBytes(bucket.key);
  }

  count(range: KeyRange): number {
    return this.#bucketOf(range)?.hashes.length ?? 0;
  }

  collect(range: KeyRange, into: number[]): void {
    for (const hash of this.#bucketOf(range)?.hashes ?? []) into.push(hash);
  }

  all(): [Key, number][] {
    const pairs = [...this.#buckets.values()].flatMap(({ key, hashes }) =>
      hashes.map((hash): [Key, number] => [key, hash]),
    );
    return pairs.sort(([a, aHash], [b, bHash]) => comparePairs(a, aHash, b, bHash));
  }

  #bucketOf({ from }: KeyRange): Bucket | undefined {
    return from === null ? undefined : this.#buckets.get(identityOfKey(from.key));
  }
}

function placeOf(hashes: readonly number[], hash: number): number {
  return firstWhere(hashes.length, (i) => (hashes[i] as number) >= hash);
}

function identityOfKey(key: Key): unknown {
  if (key.length === 1) return identityOf(key[0] as Scalar);
  let text = '';
  for (const value of key) {
    const one = identityOf(value);
    const written = String(one);
    text += `${typeof one}${written.length}:${written}`;
  }
  return text;
}
