/**
 * Whether a request belongs into the partition that it was sent to: a key that lay in two of them would be there twice, and
 * what lies in a wrong one is found by nobody. Called by the executor; whoever sends asks the same functions.
 */
import { affinityBytes, encodeKey } from '../src/wire/keys.js';
import { murmur3, partitionOf } from './hash.js';
import type { Service } from './service.js';

/** The partition of a key: by its affinity part, when it has one. */
export function partitionOfKey(keyBytes: Uint8Array, partitionCount: number): number {
  return partitionOf(murmur3(affinityBytes(keyBytes)), partitionCount);
}

/** The partition of a structure that is in one as a whole. */
export function partitionOfName(name: string, partitionCount: number): number {
  return partitionOf(murmur3(encodeKey(name)), partitionCount);
}

/** Partitions of names that are remembered. */
const MAX_NAMES = 1_000;

interface Keyed {
  readonly key: Uint8Array;
}

/** Where operations of structures with keys have these; each of them has one of the fields, or none. */
interface KeyedRequest extends Partial<Keyed> {
  readonly keys?: readonly Uint8Array[];
  readonly entries?: readonly Keyed[];
  readonly pairs?: readonly Keyed[];
}

export class Placement {
  readonly #partitionCount: number;
  readonly #ofNames = new Map<string, number>();

  constructor(partitionCount: number) {
    this.#partitionCount = partitionCount;
  }

  /** The keys are those of the wire: canonical. */
  isRight({ placedBy }: Service, structure: string, request: unknown, partition: number): boolean {
    if (placedBy === undefined) return true;
    if (placedBy === 'name') return this.#ofName(structure) === partition;
    const { key, keys, entries, pairs } = request as KeyedRequest;
    if (key !== undefined) return this.#isOf(key, partition);
    if (keys !== undefined) return keys.every((each) => this.#isOf(each, partition));
    return (entries ?? pairs ?? []).every((each) => this.#isOf(each.key, partition));
  }

  #isOf(key: Uint8Array, partition: number): boolean {
    return partitionOfKey(key, this.#partitionCount) === partition;
  }

  #ofName(structure: string): number {
    const known = this.#ofNames.get(structure);
    if (known !== undefined) return known;
    const partition = partitionOfName(structure, this.#partitionCount);
    if (this.#ofNames.size >= MAX_NAMES) this.#ofNames.clear();
    this.#ofNames.set(structure, partition);
    return partition;
  }
}
