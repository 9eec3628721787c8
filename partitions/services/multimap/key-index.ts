/**
 * Which pairs each key of a multimap has, in one partition: a record for each key, whose value is the tails of its
 * pairs in the order of their ids. Made from the pairs by each replica for itself, and part of no digest, delta or
 * copy. Invariants: a key is here exactly when it has a pair; tails are in ascending order of ids. Called by the
 * state of the multimap only.
 *
 * The tails lie packed in one cell of the slab, so that the collector does not walk them and a value is looked for at
 * the speed of memory; a cell grows by half, so that adding is cheap for keys with very many values too, and tails are
 * closed up from the nearer end, so that removing them in their order is.
 */
import { murmur3 } from '../../hash.js';
import { BLANK_META } from '../../store/record-layout.js';
import { RecordStore } from '../../store/record-store.js';
import type { Slab } from '../../store/slab.js';
import { asBuffer, ID_BYTES, KIND, TAIL_BYTES } from './pair.js';

/** Position of the last change of the key, room in front of the tails, tails, those hidden, those repeatable. */
const AT = { seq: 0, first: 8, count: 12, hidden: 16, repeatable: 20 } as const;
const HEAD_BYTES = 24;
const ID_AT = TAIL_BYTES - ID_BYTES;
const VALUE_HASH_AT = 1;

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
    const bytes = this.#bytes(ref);
    const from = offset(bytes, index);
    return bytes.subarray(from, from + TAIL_BYTES);
  }

  /** The index of the first tail with this hash of the value that is repeatable, from an index on, or -1. */
  nextRepeatable(ref: number, valueHash: number, from: number): number {
    const bytes = this.#bytes(ref);
    const start = offset(bytes, 0);
    const end = start + bytes.readUInt32LE(AT.count) * TAIL_BYTES;
    for (let at = start + from * TAIL_BYTES; at < end; at += TAIL_BYTES) {
      if (bytes.readUInt32BE(at + VALUE_HASH_AT) === valueHash && bytes[at] === KIND.repeatable)
        return (at - start) / TAIL_BYTES;
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
    if (old !== null && hasRoom(old)) {
      insert(old, tail, isHidden);
      return;
    }
    const grown = resized(old, Math.max(count + 1, Math.floor(count * 1.5)));
    insert(grown, tail, isHidden);
    this.store.put(hash, key, grown, BLANK_META);
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
    closeUp(bytes, rank(bytes, asBuffer(tail).subarray(ID_AT)));
    if (unhides) add(bytes, AT.hidden, -1);
    if (tail[0] === KIND.repeatable) add(bytes, AT.repeatable, -1);
    if (count * 4 <= capacityOf(bytes)) this.store.put(hash, key, resized(bytes, count * 2), BLANK_META);
  }

  clear(): void {
    this.store.clear();
  }

  /** The record of a key, to be read and written in place. */
  #bytes(ref: number): Buffer {
    return asBuffer(this.store.valueOf(ref));
  }
}

function capacityOf(bytes: Buffer): number {
  return (bytes.length - HEAD_BYTES) / TAIL_BYTES;
}

/** Where the tail of this index begins. */
function offset(bytes: Buffer, index: number): number {
  return HEAD_BYTES + (bytes.readUInt32LE(AT.first) + index) * TAIL_BYTES;
}

/** Behind the tails; or so much in front of them that moving them to the front is paid for by many additions. */
function hasRoom(bytes: Buffer): boolean {
  const count = bytes.readUInt32LE(AT.count);
  const capacity = capacityOf(bytes);
  return bytes.readUInt32LE(AT.first) + count < capacity || count * 4 < capacity * 3;
}

/** A copy of the record, with so much room for tails. */
function resized(old: Buffer | null, capacity: number): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + capacity * TAIL_BYTES);
  if (old === null) return bytes;
  old.copy(bytes, 0, 0, HEAD_BYTES);
  old.copy(bytes, HEAD_BYTES, offset(old, 0), offset(old, old.readUInt32LE(AT.count)));
  bytes.writeUInt32LE(0, AT.first);
  return bytes;
}

/** Puts a tail where its id belongs; there is room for it. */
function insert(bytes: Buffer, tail: Uint8Array, isHidden: boolean): void {
  const count = bytes.readUInt32LE(AT.count);
  if (offset(bytes, count) === bytes.length) {
    bytes.copyWithin(HEAD_BYTES, offset(bytes, 0));
    bytes.writeUInt32LE(0, AT.first);
  }
  const at = offset(bytes, rank(bytes, asBuffer(tail).subarray(ID_AT)));
  bytes.copyWithin(at + TAIL_BYTES, at, offset(bytes, count));
  bytes.set(tail, at);
  bytes.writeUInt32LE(count + 1, AT.count);
  if (isHidden) add(bytes, AT.hidden, 1);
  if (tail[0] === KIND.repeatable) add(bytes, AT.repeatable, 1);
}

/** Takes the tail of this index out. */
function closeUp(bytes: Buffer, index: number): void {
  const count = bytes.readUInt32LE(AT.count);
  const at = offset(bytes, index);
  if (index * 2 < count) {
    bytes.copyWithin(offset(bytes, 1), offset(bytes, 0), at);
    add(bytes, AT.first, 1);
  } else {
    bytes.copyWithin(at, at + TAIL_BYTES, offset(bytes, count));
  }
  bytes.writeUInt32LE(count - 1, AT.count);
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
  const from = offset(bytes, index) + ID_AT;
  return bytes.compare(id, 0, ID_BYTES, from, from + ID_BYTES);
}
