/**
 * Which indexes a map has, in one partition, and what this replica has made of them. The list is part of the state: one value
 * that a delta says as a whole, with the position at which it was decided, so that a copy that comes late does not bring back
 * an older one. Indexes of the configuration are not in it: every member has them with the view. What becomes of the list: a
 * promoted backup has it from the stream, a new replica from the copy; a merge of two sides unites their lists; anti-entropy
 * leaves it alone, because an answer does not depend on it, only what it costs. Called by the state of the map.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { type IndexDefinition, identityOfIndex, indexField } from '../../query/index-definition.js';
import type { Predicate } from '../../query/predicate.js';
import { ALL_ENTRIES, type SliceClock } from '../../query/slice.js';
import { type Found, StateIndexes } from '../../query/state-indexes.js';
import type { RecordStore } from '../../store/record-store.js';

/** After merges; users may add fewer. */
const MAX_DEFINITIONS = 64;
/** Of a definition in memory, roughly. */
const DEFINITION_BYTES = 256;
const NO_INDEXES: readonly IndexDefinition[] = [];
const EVERYWHERE: Found = { candidates: ALL_ENTRIES };

export class MapIndexes {
  readonly #store: RecordStore;
  #definitions = NO_INDEXES;
  /** Position at which the list was decided. */
  #seq = 0;
  #contents: StateIndexes | null = null;
  /** With those of the configuration, for as long as these are the same list. */
  #all: {
    readonly configured: readonly IndexDefinition[];
    readonly list: readonly IndexDefinition[];
  } | null = null;

  constructor(store: RecordStore) {
    this.#store = store;
  }

  /** Those that were added while the grid ran. */
  get definitions(): readonly IndexDefinition[] {
    return this.#definitions;
  }

  /** Of the list, which all replicas have. */
  get sizeBytes(): number {
    return this.#definitions.length * DEFINITION_BYTES;
  }

  /** Of the contents, which this replica has made for itself. */
  get derivedBytes(): number {
    return this.#contents?.sizeBytes ?? 0;
  }

  /** Where a query looks. */
  find(predicate: Predicate, configured: readonly IndexDefinition[], clock: SliceClock): Found {
    if (this.#definitions.length === 0 && configured.length === 0) return EVERYWHERE;
    return this.#made().find(predicate, this.#withConfigured(configured), clock);
  }

  /** One step of building what an index has; true when it is there. */
  warm(definition: IndexDefinition, clock: SliceClock): boolean {
    return this.#made().warm(definition, clock);
  }

  #made(): StateIndexes {
    this.#contents ??= new StateIndexes(this.#store);
    return this.#contents;
  }

  #withConfigured(configured: readonly IndexDefinition[]): readonly IndexDefinition[] {
    if (this.#all === null || this.#all.configured !== configured) {
      this.#all = { configured, list: united(this.#definitions, configured) };
      this.#contents?.keepOnly(this.#all.list);
    }
    return this.#all.list;
  }

  /** The list as it is from a position on, written into the delta of that position. */
  change(definitions: readonly IndexDefinition[], seq: number, out: Writer): void {
    this.#set(definitions, seq);
    this.write(out);
  }

  apply(input: Reader, seq: number): void {
    this.#set(readDefinitions(input), seq);
  }

  #set(definitions: readonly IndexDefinition[], seq: number): void {
    this.#definitions = definitions.length === 0 ? NO_INDEXES : [...definitions];
    this.#seq = seq;
    this.#all = null;
  }

  /** What both lists have; null when that is no more than is here. */
  unitedWith(others: readonly IndexDefinition[]): readonly IndexDefinition[] | null {
    const all = united(this.#definitions, others).slice(0, MAX_DEFINITIONS);
    return all.length > this.#definitions.length ? all : null;
  }

  /** A change of records came by the stream. */
  noteApplied(): void {
    this.#contents?.noteApplied();
  }

  get seq(): number {
    return this.#seq;
  }

  write(out: Writer): void {
    out.u8(this.#definitions.length);
    for (const index of this.#definitions) indexField.write(out, index);
  }

  /** As one record of a copy, behind the mark that says what it is; gives its next cursor, which is none. */
  copy(out: Writer, mark: number): number {
    out.f64(mark);
    out.f64(this.#seq);
    this.write(out);
    return -1;
  }

  /** Takes a copied list unless the one here is later. */
  paste(input: Reader): void {
    const seq = input.f64();
    const definitions = readDefinitions(input);
    if (seq > this.#seq) this.#set(definitions, seq);
  }

  dump(): string[] {
    return this.#definitions.map((index) => `index ${identityOfIndex(index)} ${index.name}`);
  }

  /** Of what was built, for tests. */
  dumpContents(): string[] {
    return this.#contents?.dump() ?? [];
  }

  dispose(): void {
    this.#contents?.drop();
    this.#contents = null;
    this.#set(NO_INDEXES, 0);
  }
}

function united(
  some: readonly IndexDefinition[],
  others: readonly IndexDefinition[],
): readonly IndexDefinition[] {
  const known = new Set(some.map(identityOfIndex));
  return [...some, ...others.filter((index) => !known.has(identityOfIndex(index)))];
}

export function readDefinitions(input: Reader): IndexDefinition[] {
  const size = input.u8();
  if (size > MAX_DEFINITIONS) throw new ProtocolError(`a map with ${size} indexes`);
  return Array.from({ length: size }, () => indexField.read(input));
}
