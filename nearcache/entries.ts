/**
 * The entries of a near cache, bounded by number and bytes, found by key and by the hash of a key. Which one goes first is
 * LRU (exact: a list in order of use) or LFU (the least used of a few, the one not used for longest among equals; uses of
 * long ago count less). Called by `near-map.ts`.
 */
import type { Track } from './tracks.js';
import type { Kept } from './values.js';

/** What an entry takes beside key and value: objects, and its places in two maps. */
const ENTRY_BYTES = 250;
/** Entries that LFU compares. */
const SAMPLED = 16;
/** From one to the next: neighbours came together and are alike. */
const STRIDE = 7_919;
/** After so many uses for each entry, what was used before counts half. */
const USES_PER_AGE = 10;
const MIN_AGE_USES = 1_000;

export class Entry {
  readonly key: unknown;
  readonly hash: number;
  readonly track: Track;
  /** Void when the track has another one. */
  readonly generation: number;
  /** Position at which the value was read: it has all changes of its key up to there. */
  readonly seq: number;
  /** The value was at least as new as then when it came. */
  readonly asOfMs: number;
  /** The value has expired in the grid from then on; Infinity for never. */
  readonly untilMs: number;
  readonly kept: Kept;
  readonly sizeBytes: number;
  readonly createdMs: number;
  usedMs: number;
  /** Halved once for each age of the cache that has passed. */
  uses = 1;
  age = 0;
  /** Place in the list of all. */
  at = -1;
  newer: Entry | null = null;
  older: Entry | null = null;

  constructor(
    key: unknown,
    hash: number,
    track: Track,
    read: { readonly seq: number; readonly asOfMs: number; readonly untilMs: number },
    kept: Kept,
    sizeBytes: number,
    nowMs: number,
  ) {
    this.key = key;
    this.hash = hash;
    this.track = track;
    this.generation = track.generation;
    this.seq = read.seq;
    this.asOfMs = read.asOfMs;
    this.untilMs = read.untilMs;
    this.kept = kept;
    this.sizeBytes = sizeBytes + ENTRY_BYTES;
    this.createdMs = nowMs;
    this.usedMs = nowMs;
  }
}

export interface EntriesOptions {
  readonly maxEntries: number;
  readonly maxBytes?: number | undefined;
  readonly eviction: 'LRU' | 'LFU';
}

export class Entries {
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #isLfu: boolean;
  readonly #byKey = new Map<unknown, Entry>();
  readonly #byHash = new Map<number, Entry[]>();
  readonly #all: Entry[] = [];
  #newest: Entry | null = null;
  #oldest: Entry | null = null;
  #hand = 0;
  #age = 0;
  #usesOfAge = 0;
  sizeBytes = 0;
  evictions = 0;

  constructor({ maxEntries, maxBytes, eviction }: EntriesOptions) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes ?? Number.POSITIVE_INFINITY;
    this.#isLfu = eviction === 'LFU';
  }

  get size(): number {
    return this.#all.length;
  }

  /** Keys, the one used last first. */
  *keys(): Generator<unknown> {
    for (let entry = this.#newest; entry !== null; entry = entry.older) yield entry.key;
  }

  get(key: unknown): Entry | undefined {
    return this.#byKey.get(key);
  }

  used(entry: Entry, nowMs: number): void {
    entry.usedMs = nowMs;
    if (this.#isLfu) this.#counted(entry);
    if (this.#newest === entry) return;
    this.#unlink(entry);
    this.#link(entry);
  }

  #counted(entry: Entry): void {
    entry.uses = this.#usesOf(entry) + 1;
    this.#grow();
  }

  #grow(): void {
    if (++this.#usesOfAge < Math.max(MIN_AGE_USES, USES_PER_AGE * this.size)) return;
    this.#usesOfAge = 0;
    this.#age++;
  }

  /** What has aged is halved when it is looked at. */
  #usesOf(entry: Entry): number {
    entry.uses >>>= Math.min(31, this.#age - entry.age);
    entry.age = this.#age;
    return entry.uses;
  }

  put(entry: Entry): void {
    const before = this.#byKey.get(entry.key);
    if (before !== undefined) this.delete(before);
    if (entry.sizeBytes > this.#maxBytes) return;
    while (this.size >= this.#maxEntries || this.sizeBytes + entry.sizeBytes > this.#maxBytes) {
      this.delete(this.#victim());
      this.evictions++;
    }
    entry.age = this.#age;
    if (this.#isLfu) this.#grow();
    this.#byKey.set(entry.key, entry);
    const sameHash = this.#byHash.get(entry.hash);
    if (sameHash === undefined) this.#byHash.set(entry.hash, [entry]);
    else sameHash.push(entry);
    entry.at = this.#all.push(entry) - 1;
    this.#link(entry);
    this.sizeBytes += entry.sizeBytes;
  }

  delete(entry: Entry): void {
    if (this.#all[entry.at] !== entry) return;
    this.#byKey.delete(entry.key);
    const sameHash = this.#byHash.get(entry.hash) as Entry[];
    if (sameHash.length === 1) this.#byHash.delete(entry.hash);
    else sameHash.splice(sameHash.indexOf(entry), 1);
    const last = this.#all.pop() as Entry;
    if (last !== entry) {
      this.#all[entry.at] = last;
      last.at = entry.at;
    }
    this.#unlink(entry);
    this.sizeBytes -= entry.sizeBytes;
  }

  /** Entries whose keys have this hash; a copy. */
  ofHash(hash: number): readonly Entry[] {
    const found = this.#byHash.get(hash);
    return found === undefined ? NONE : found.slice();
  }

  clear(): void {
    this.#byKey.clear();
    this.#byHash.clear();
    this.#all.length = 0;
    this.#newest = null;
    this.#oldest = null;
    this.sizeBytes = 0;
  }

  #victim(): Entry {
    const oldest = this.#oldest as Entry;
    if (!this.#isLfu) return oldest;
    let least = oldest;
    let fewest = this.#usesOf(oldest);
    for (let i = 0; i < SAMPLED; i++) {
      this.#hand = (this.#hand + STRIDE) % this.#all.length;
      const entry = this.#all[this.#hand] as Entry;
      const uses = this.#usesOf(entry);
      if (uses > fewest || (uses === fewest && entry.usedMs >= least.usedMs)) continue;
      least = entry;
      fewest = uses;
    }
    return least;
  }

  #link(entry: Entry): void {
    entry.older = this.#newest;
    entry.newer = null;
    if (this.#newest !== null) this.#newest.newer = entry;
    this.#newest = entry;
    this.#oldest ??= entry;
  }

  #unlink(entry: Entry): void {
    const { newer, older } = entry;
    if (newer === null) this.#newest = older;
    else newer.older = older;
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    entry.newer = null;
    entry.older = null;
  }
}

const NONE: readonly Entry[] = [];
