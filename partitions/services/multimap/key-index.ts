/**
 * Which pairs each key of a multimap has, in one partition: a record for each key, whose value is the tails of its
 * pairs in the order of their ids. Made from the pairs by each replica for itself, and part of no digest, delta or
 * copy. Invariants: a key is here exactly when it has a pair; tails are in ascending order of ids. Called by the
 * state of the multimap only.
 *
 * The tails lie packed in one cell of the slab, so that the collector does not walk them and a value is looked for at
 * the speed of memory; a cell grows by half, so that adding is cheap for keys with very many values too.
 */
import { murmur3 } from '../../hash.js';
import type { RecordMeta } from '../../store/record-layout.js';
import { RecordStore } from '../../store/record-store.js';
import type { Slab } from '../../store/slab.js';
import { asBuffer, ID_BYTES, KIND, TAIL_BYTES } from './pair.js';

/** Position of the last change of the key, tails, those that are hidden, those that are repeatable. */
const AT = { seq: 0, count: 8, hidden: 12, repeatable: 16 } as const;
const HEAD_BYTES = 20;
const ID_AT = TAIL_BYTES - ID_BYTES;
const VALUE_HASH_AT = 1;

/** Of a record of the index nothing but its value counts. */
const META: RecordMeta = {
  ms: 0,
  counter: 0,
  memberHi: 0,
  memberLo: 0,
  tombstone: false,
  origin: 0,
  seq: 0,
  createdMs: 0,
  updatedMs: 0,
  expiresMs: 0,
  ttlMs: 0,
  maxIdleMs: 0,
  accessedMs: 0,
  hits: 0,
};

export class KeyIndex {
  /** By the user's key. */
  readonly store: RecordStore;

  constructor(slab: Slab) {
    this.store = new RecordStore(slab);
  }

  get sizeBytes(): number {
    return this.store.sizeBytes + this.store.indexBytes;
  }

  /** The ref of a key that has pairs, valid until the next change; else -1. */
  find(key: Uint8Array): number {
    return this.store.find(murmur3(key), key);
  }

  lastSeq(ref: number): number {
    return this.#bytes(ref).readDoubleLE(AT.seq);
  }

  count(ref: number): number {
    return this.#bytes(ref).readUInt32LE(AT.count);
  }

  /** Pairs that stand for the same as another one of the key. */
  hidden(ref: number): number {
    return this.#bytes(ref).readUInt32LE(AT.hidden);
  }

  hasRepeatable(ref: number): boolean {
    return this.#bytes(ref).readUInt32LE(AT.repeatable) > 0;
  }

  /** A view, valid until the next change. */
  tail(ref: number, index: number): Buffer {
    const from = HEAD_BYTES + index * TAIL_BYTES;
    return this.#bytes(ref).subarray(from, from + TAIL_BYTES);
  }

  /** The index of the first tail with this hash of the value that is repeatable, from an index on, or -1. */
  nextRepeatable(ref: number, valueHash: number, from: number): number {
    const bytes = this.#bytes(ref);
    const end = HEAD_BYTES + bytes.readUInt32LE(AT.count) * TAIL_BYTES;
    for (let at = HEAD_BYTES + from * TAIL_BYTES; at < end; at += TAIL_BYTES) {
      if (bytes.readUInt32BE(at + VALUE_HASH_AT) === valueHash && bytes[at] === KIND.repeatable)
        return (at - HEAD_BYTES) / TAIL_BYTES;
    }
    return -1;
  }

  /** How many tails have a smaller id. */
  rank(ref: number, id: Uint8Array): number {
    return rank(this.#bytes(ref), asBuffer(id));
  }

  /** Something about the key was decided at this position. False when the key has no pairs. */
  touch(key: Uint8Array, seq: number): boolean {
    const ref = this.find(key);
    if (ref < 0) return false;
    const bytes = this.#bytes(ref);
    if (seq > bytes.readDoubleLE(AT.seq)) bytes.writeDoubleLE(seq, AT.seq);
    return true;
  }

  add(key: Uint8Array, tail: Uint8Array, isHidden: boolean): void {
    const hash = murmur3(key);
    const ref = this.store.find(hash, key);
    const old = ref < 0 ? null : this.#bytes(ref);
    const count = old === null ? 0 : old.readUInt32LE(AT.count);
    const capacity = old === null ? 0 : (old.length - HEAD_BYTES) / TAIL_BYTES;
    if (old !== null && count < capacity) {
      insert(old, tail, isHidden);
      return;
    }
    const grown = Buffer.alloc(HEAD_BYTES + Math.max(count + 1, Math.floor(count * 1.5)) * TAIL_BYTES);
    old?.copy(grown);
    insert(grown, tail, isHidden);
    this.store.put(hash, key, grown, META);
  }

  /** Takes a tail that is here out; the key with its last one. `unhides`: a pair that was hidden is not any more. */
  remove(key: Uint8Array, tail: Uint8Array, unhides: boolean): void {
    const hash = murmur3(key);
    const ref = this.store.find(hash, key);
    const bytes = this.#bytes(ref);
    const count = bytes.readUInt32LE(AT.count) - 1;
    if (count === 0) {
      this.store.remove(ref);
      return;
    }
    const at = HEAD_BYTES + rank(bytes, asBuffer(tail).subarray(ID_AT)) * TAIL_BYTES;
    bytes.copyWithin(at, at + TAIL_BYTES, HEAD_BYTES + (count + 1) * TAIL_BYTES);
    bytes.writeUInt32LE(count, AT.count);
    if (unhides) add(bytes, AT.hidden, -1);
    if (tail[0] === KIND.repeatable) add(bytes, AT.repeatable, -1);
    const capacity = (bytes.length - HEAD_BYTES) / TAIL_BYTES;
    if (count * 4 > capacity) return;
    this.store.put(hash, key, Buffer.from(bytes.subarray(0, HEAD_BYTES + count * 2 * TAIL_BYTES)), META);
  }

  clear(): void {
    this.store.clear();
  }

  /** The record of a key, to be read and written in place. */
  #bytes(ref: number): Buffer {
    return asBuffer(this.store.valueOf(ref));
  }
}

/** Puts a tail where its id belongs; there is room for it. */
function insert(bytes: Buffer, tail: Uint8Array, isHidden: boolean): void {
  const count = bytes.readUInt32LE(AT.count);
  const at = HEAD_BYTES + rank(bytes, asBuffer(tail).subarray(ID_AT)) * TAIL_BYTES;
  bytes.copyWithin(at + TAIL_BYTES, at, HEAD_BYTES + count * TAIL_BYTES);
  bytes.set(tail, at);
  bytes.writeUInt32LE(count + 1, AT.count);
  if (isHidden) add(bytes, AT.hidden, 1);
  if (tail[0] === KIND.repeatable) add(bytes, AT.repeatable, 1);
}

function add(bytes: Buffer, at: number, amount: number): void {
  bytes.writeUInt32LE(bytes.readUInt32LE(at) + amount, at);
}

function rank(bytes: Buffer, id: Buffer): number {
  let low = 0;
  let high = bytes.readUInt32LE(AT.count);
  // Ids grow, so most of what comes belongs behind all that is there.
  if (high > 0 && compareAt(bytes, high - 1, id) < 0) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareAt(bytes, middle, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function compareAt(bytes: Buffer, index: number, id: Buffer): number {
  const from = HEAD_BYTES + index * TAIL_BYTES + ID_AT;
  return bytes.compare(id, 0, ID_BYTES, from, from + ID_BYTES);
}
