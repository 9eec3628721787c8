/**
 * One index over the records of one partition of a map. It is made by each replica for itself from the records, in bounded
 * steps and in the order of hashes, and belongs to no delta, copy or digest. Invariant: of the records with a hash below
 * `builtTo` it has exactly the keys; those that cannot be decoded are apart, and are candidates of every query, so that the
 * query says about them what a scan would say. Called by the indexes of a state.
 */
import type { RecordStore } from '../store/record-store.js';
import { EntryBytes } from './entry-bytes.js';
import { type IndexDefinition, identityOfIndex } from './index-definition.js';
import { HashKeys, type IndexKeys, SortedKeys } from './index-keys.js';
import { type Key, type KeyRange, shortened } from './key-ranges.js';
import { type Entry, type Path, pathOf, readOne, someAt } from './paths.js';
import { identityOf, type Scalar, scalarOf } from './scalars.js';

const HASH_END = 2 ** 32;
const STEP = { records: 64, bytes: 128 * 1024 };
/** Of one that cannot be decoded. */
const UNREADABLE_BYTES = 32;

export class AttributeIndex {
  readonly definition: IndexDefinition;
  readonly #paths: readonly Path[];
  #keys: IndexKeys;
  /** By hash: how many of its records cannot be decoded. */
  readonly #unreadable = new Map<number, number>();
  readonly #entry = new EntryBytes();
  #builtTo = 0;

  constructor(definition: IndexDefinition) {
    this.definition = definition;
    this.#paths = definition.attributes.map(pathOf);
    this.#keys = this.#emptyKeys();
  }

  #emptyKeys(): IndexKeys {
    return this.definition.type === 'HASH' ? new HashKeys() : new SortedKeys();
  }

  get isBuilt(): boolean {
    return this.#builtTo >= HASH_END;
  }

  get sizeBytes(): number {
    return this.#keys.sizeBytes + this.#unreadable.size * UNREADABLE_BYTES;
  }

  /** Goes on until it is built, or `isOver`, or so many records; gives how many it read. */
  build(store: RecordStore, records: number, isOver: () => boolean): number {
    let read = 0;
    while (!this.isBuilt && read < records) {
      let walked = 0;
      const next = store.scan(this.#builtTo, STEP, (ref) => {
        walked++;
        if (!store.isTombstone(ref)) this.#enter(store.hashOf(ref), store.keyOf(ref), store.valueOf(ref));
      });
      this.#builtTo = next < 0 ? HASH_END : next;
      read += walked;
      if (isOver()) break;
    }
    this.#entry.forget();
    return read;
  }

  /** A record of a key has another value, or none: `before` and `after` are null for none. */
  changed(hash: number, key: Uint8Array, before: Uint8Array | null, after: Uint8Array | null): void {
    if (hash >= this.#builtTo) return;
    if (before !== null) this.#leave(hash, key, before);
    if (after !== null) this.#enter(hash, key, after);
    this.#entry.forget();
  }

  clear(): void {
    this.#keys = this.#emptyKeys();
    this.#unreadable.clear();
  }

  count(ranges: readonly KeyRange[]): number {
    let count = this.#unreadable.size;
    for (const range of ranges) count += this.#keys.count(range);
    return count;
  }

  collect(ranges: readonly KeyRange[], into: number[]): void {
    for (const range of ranges) this.#keys.collect(range, into);
    for (const hash of this.#unreadable.keys()) into.push(hash);
  }

  /** What it has, as text in one order: two indexes with the same text find the same. */
  dump(): string[] {
    const lines = this.#keys.all().map(([key, hash]) => `${hash} ${key.map(text).join(' ')}`);
    const unreadable = [...this.#unreadable].map(([hash, count]) => `${hash} unreadable ${count}`);
    return [identityOfIndex(this.definition), ...[...lines, ...unreadable].sort()];
  }

  #enter(hash: number, key: Uint8Array, value: Uint8Array): void {
    const keys = this.#keysOf(key, value);
    if (keys === null) this.#unreadable.set(hash, (this.#unreadable.get(hash) ?? 0) + 1);
    else for (const one of keys) this.#keys.put(one, hash);
  }

  #leave(hash: number, key: Uint8Array, value: Uint8Array): void {
    const keys = this.#keysOf(key, value);
    if (keys !== null) {
      for (const one of keys) this.#keys.drop(one, hash);
      return;
    }
    const left = (this.#unreadable.get(hash) ?? 1) - 1;
    if (left > 0) this.#unreadable.set(hash, left);
    else this.#unreadable.delete(hash);
  }

  /** Null when the entry cannot be decoded. */
  #keysOf(key: Uint8Array, value: Uint8Array): Key[] | null {
    try {
      return keysAt(this.#paths, this.#entry.of(key, value));
    } catch {
      return null;
    }
  }
}

/** What cannot be compared counts as null here: the predicate finds out. */
function keysAt(paths: readonly Path[], entry: Entry): Key[] {
  const [only] = paths;
  if (only === undefined || !only.hasAny)
    return [paths.map((path) => shortened(scalarOf(readOne(path, entry)) ?? null))];
  const keys: Key[] = [];
  someAt(only, entry, (value) => {
    keys.push([shortened(scalarOf(value) ?? null)]);
    return false;
  });
  return keys;
}

/** The same for equal values. */
function text(value: Scalar): string {
  const identity = identityOf(value);
  return `${typeof identity} ${String(identity)}`;
}
