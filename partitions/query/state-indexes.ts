/**
 * The indexes of a map in one partition. What there are is part of the state and the same on all replicas; what is in them each
 * replica makes for itself, when a query asks first, in bounded steps. Reasons: a backup that nobody asks pays nothing for them,
 * neither memory nor decoding; a primary that takes over pays once for each record, which is what keeping it up would have cost
 * for one write of each. Invariants: what is in an index follows every change of the records in the same step; on a replica
 * that applies more changes than it would take to build it anew, without being asked, it is dropped. Called by the state of the
 * map, by its handlers of queries, and by the record store as its watcher.
 */
import type { RecordStore, RecordWatcher } from '../store/record-store.js';
import { AttributeIndex } from './attribute-index.js';
import { type IndexDefinition, identityOfIndex } from './index-definition.js';
import { type Choice, choiceFor, type Way } from './plan.js';
import type { Predicate } from './predicate.js';
import { ALL_ENTRIES, type Candidates, type SliceClock } from './slice.js';

/** Of one step of building. */
const BUILD_RECORDS = 2_000;
const BUILD_MS = 5;
/** Changes that are applied for nobody before the contents are dropped, beside as many as there are records. */
const MIN_IDLE_CHANGES = 1_000;

/** Where a query looks; or, while an index is being built, how many records this step has read. */
export type Found = { readonly candidates: Candidates } | { readonly read: number };

export class StateIndexes implements RecordWatcher {
  readonly #store: RecordStore;
  readonly #made = new Map<string, AttributeIndex>();
  #idleChanges = 0;

  constructor(store: RecordStore) {
    this.#store = store;
  }

  get sizeBytes(): number {
    let bytes = 0;
    for (const index of this.#made.values()) bytes += index.sizeBytes;
    return bytes;
  }

  /** Where what the predicate matches is, by the way with the fewest candidates. */
  find(predicate: Predicate, definitions: readonly IndexDefinition[], clock: SliceClock): Found {
    const choice = choiceFor(predicate, definitions);
    if (choice === null) return { candidates: ALL_ENTRIES };
    this.#idleChanges = 0;
    const read = this.#build(choice.indexes, clock);
    if (read !== null) return { read };
    const best = this.#best(choice);
    // Going through them is cheaper than finding them first.
    if (best.count > 0 && best.count >= this.#store.liveCount) return { candidates: ALL_ENTRIES };
    const hashes: number[] = [];
    const names: string[] = [];
    this.#collect(best, hashes, names);
    return { candidates: { hashes: ascending(hashes), index: names.join(' + ').slice(0, 300) } };
  }

  /** One step of building one index; true when it is there. */
  warm(definition: IndexDefinition, clock: SliceClock): boolean {
    this.#idleChanges = 0;
    return this.#build([definition], clock) === null;
  }

  /** Null when all are built, else how many records were read. */
  #build(definitions: readonly IndexDefinition[], clock: SliceClock): number | null {
    let read = 0;
    const endMs = clock.nowMs + BUILD_MS;
    const isOver = () => clock.nowMs >= endMs;
    for (const definition of definitions) {
      const index = this.#index(definition);
      if (index.isBuilt) continue;
      if (read >= BUILD_RECORDS || (read > 0 && isOver())) return read;
      read += index.build(this.#store, BUILD_RECORDS - read, isOver);
      if (!index.isBuilt) return read;
    }
    return null;
  }

  #index(definition: IndexDefinition): AttributeIndex {
    const identity = identityOfIndex(definition);
    let index = this.#made.get(identity);
    if (index === undefined) {
      index = new AttributeIndex(definition);
      this.#made.set(identity, index);
      this.#store.watcher = this;
    }
    return index;
  }

  #best({ ways }: Choice): Counted {
    let best: Counted | null = null;
    for (const way of ways) {
      const counted = this.#count(way);
      if (best === null || counted.count < best.count) best = counted;
    }
    return best as Counted;
  }

  #count(way: Way): Counted {
    if ('lookup' in way)
      return { way, count: this.#index(way.lookup.index).count(way.lookup.ranges), each: [] };
    const each = way.each.map((choice) => this.#best(choice));
    return { way, count: each.reduce((sum, { count }) => sum + count, 0), each };
  }

  #collect({ way, each }: Counted, into: number[], names: string[]): void {
    if ('lookup' in way) {
      const { index, ranges } = way.lookup;
      if (!names.includes(index.name)) names.push(index.name);
      this.#index(index).collect(ranges, into);
    }
    for (const one of each) this.#collect(one, into, names);
  }

  /** A change of the stream was applied here, which the primary had decided on. */
  noteApplied(): void {
    this.#idleChanges++;
    if (this.#idleChanges > MIN_IDLE_CHANGES + this.#store.recordCount) this.drop();
  }

  /** Forgets the contents; a query makes them anew. */
  drop(): void {
    this.#made.clear();
    this.#idleChanges = 0;
    this.#store.watcher = null;
  }

  /** Forgets the contents of indexes that are not there any more. */
  keepOnly(definitions: readonly IndexDefinition[]): void {
    const kept = new Set(definitions.map(identityOfIndex));
    for (const identity of this.#made.keys()) if (!kept.has(identity)) this.#made.delete(identity);
    if (this.#made.size === 0) this.drop();
  }

  replacing(hash: number, key: Uint8Array, before: Uint8Array | null, after: Uint8Array | null): void {
    for (const index of this.#made.values()) index.changed(hash, key, before, after);
  }

  cleared(): void {
    for (const index of this.#made.values()) index.clear();
  }

  /** What is in the indexes that are built. For tests. */
  dump(): string[] {
    const built = [...this.#made.values()].filter((index) => index.isBuilt);
    return built.flatMap((index) => index.dump());
  }
}

interface Counted {
  readonly way: Way;
  /** Candidates, some maybe twice. */
  readonly count: number;
  /** Of a way with several parts: the best of each. */
  readonly each: readonly Counted[];
}

/** The hashes of one key are in order as they come. */
function ascending(hashes: readonly number[]): ArrayLike<number> {
  for (let i = 1; i < hashes.length; i++)
    if ((hashes[i] as number) < (hashes[i - 1] as number)) return new Uint32Array(hashes).sort();
  return hashes;
}
