/**
 * One queue, in the partition of its name: its items in order, and of each primary that ever added one, which of its
 * items are gone. Invariants: an item is here or gone, never both, so what is put twice or late is put once; every
 * change goes through `add`, `remove` or `purge`, which write the delta that a backup needs for the same contents.
 * Called by the handlers, replication and migration.
 *
 * An item's name is the primary that added it and a number. A primary counts one by one from its position times
 * `MAX_ITEMS` on: so takes from the head are one range, and numbers are used once also when all was purged in between.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import { murmur3 } from '../../hash.js';
import type {
  Actor,
  MergeSince,
  OperationContext,
  PurgeHorizon,
  ServiceState,
  StateEnvironment,
} from '../../service.js';
import type { Slab } from '../../store/slab.js';
import { nameOfActor, readActor, writeActor } from '../actors.js';
import { comparePlaces, type Item, Items } from './items.js';
import { MAX_ITEMS } from './ops.js';
import { Ranges } from './ranges.js';

const DELTA = { add: 1, remove: 2, purge: 3 } as const;
const RECORD = { gone: 1, item: 2 } as const;
/** What a queue, an item besides its bytes, and a range take in memory, roughly. */
const ADDER_BYTES = 256;
const ITEM_BYTES = 128;
const RANGE_BYTES = 16;
/** Of the bytes of an item so many are part of its hash. */
const HASHED_BYTES = 1024;
/** Times are below this, so that a place fits into a cursor. */
const MAX_TIME_MS = 2 ** 42 - 2 ** 20;
/** Cursors of a copy below this are of adders, those from here on of items. */
const FIRST_ITEM = 2 ** 20;

/** One that added items. */
interface Adder {
  readonly actor: Actor;
  readonly name: string;
  readonly gone: Ranges;
  /** Items that are here. */
  live: number;
  /** Number of its next item; 0 when this replica does not continue it. */
  next: number;
  /** Position and time of the last change of `gone`. */
  seq: number;
  ms: number;
}

/** Items of one adder with successive numbers; the place is that of the first one. */
interface Run {
  readonly actor: Actor;
  readonly from: number;
  readonly count: number;
  readonly ms: number;
  readonly counter: number;
}

/** What is not in memory yet. */
interface NewItem {
  readonly actor: Actor;
  readonly ordinal: number;
  readonly ms: number;
  readonly counter: number;
  readonly bytes: Uint8Array;
}

export class QueueState implements ServiceState {
  readonly name: string;
  readonly items = new Items();
  readonly #slab: Slab;
  readonly #adders = new Map<string, Adder>();
  #itemBytes = 0;
  /** Position of the last change. */
  lastSeq = 0;

  constructor({ name, slab }: StateEnvironment) {
    this.name = name;
    this.#slab = slab;
  }

  get entryCount(): number {
    return this.items.count;
  }

  get sizeBytes(): number {
    let size = this.#itemBytes + this.items.count * ITEM_BYTES;
    for (const { gone } of this.#adders.values()) size += ADDER_BYTES + gone.length * RANGE_BYTES;
    return size;
  }

  /** A view, valid until the next change. */
  bytesOf({ ref, sizeBytes }: Item): Uint8Array {
    const at = this.#slab.byteOffset(ref);
    return this.#slab.bytes(ref).subarray(at, at + sizeBytes);
  }

  /** Whether it is the item with these bytes, which have this hash. */
  equals(item: Item, bytes: Uint8Array, hash: number): boolean {
    if (item.hash !== hash || item.sizeBytes !== bytes.length) return false;
    return Buffer.compare(this.bytesOf(item), bytes) === 0;
  }

  /** Adds items at the tail, as the one change of this operation. */
  add(all: readonly Uint8Array[], context: OperationContext): void {
    const { actor, seq } = context;
    const adder = this.#adder(actor);
    if (adder.next === 0) adder.next = seq * MAX_ITEMS;
    const out = context.delta();
    out.u8(DELTA.add);
    writeActor(out, actor);
    out.f64(adder.next);
    out.u32(all.length);
    const items = all.map((bytes) => {
      const { ms, counter } = context.version();
      out.f64(ms);
      out.u16(counter);
      out.bytes(bytes);
      return { actor, ordinal: adder.next++, ms, counter, bytes };
    });
    this.#put(items, seq);
  }

  /** Removes items, which are in order, as the one change of this operation. */
  remove(items: readonly Item[], context: OperationContext): void {
    if (items.length === 0) return;
    const { ms } = context.version();
    const runs = runsOf(items);
    const out = context.delta();
    out.u8(DELTA.remove);
    out.f64(ms);
    out.u32(runs.length);
    for (const run of runs) writeRun(out, run);
    this.#remove(runs, ms, context.seq);
  }

  #adder(actor: Actor): Adder {
    const name = nameOfActor(actor);
    let adder = this.#adders.get(name);
    if (adder === undefined) {
      adder = { actor, name, gone: new Ranges(), live: 0, next: 0, seq: 0, ms: 0 };
      this.#adders.set(name, adder);
    }
    return adder;
  }

  /** Puts items that are neither here nor gone; they are in order. */
  #put(all: readonly NewItem[], seq: number): void {
    const fresh: Item[] = [];
    for (const { actor, ordinal, ms, counter, bytes } of all) {
      const adder = this.#adder(actor);
      const place = { ms, counter, memberHi: actor.memberHi, memberLo: actor.memberLo };
      if (adder.gone.has(ordinal) || this.#isHere(place)) continue;
      const ref = this.#slab.allocate(bytes.length);
      const at = this.#slab.byteOffset(ref);
      this.#slab.bytes(ref).set(bytes, at);
      const sizeBytes = bytes.length;
      fresh.push({
        ...place,
        actor: adder.actor,
        ordinal,
        seq,
        ref,
        sizeBytes,
        hash: hashOf(bytes),
        isGone: false,
      });
      adder.live++;
      this.#itemBytes += sizeBytes;
    }
    this.items.put(fresh);
    if (seq > this.lastSeq) this.lastSeq = seq;
  }

  #isHere(place: Pick<Item, 'ms' | 'counter' | 'memberHi' | 'memberLo'>): boolean {
    const { items } = this;
    const index = items.indexOf(place);
    return index < items.count && comparePlaces(items.at(index), place) === 0;
  }

  #remove(runs: readonly Run[], ms: number, seq: number): void {
    let removed = 0;
    let first = this.items.count;
    for (const run of runs) {
      const adder = this.#adder(run.actor);
      adder.gone.add(run.from, run.from + run.count);
      if (seq > adder.seq) adder.seq = seq;
      if (ms > adder.ms) adder.ms = ms;
      const { memberHi, memberLo } = run.actor;
      const at = this.items.indexOf({ ms: run.ms, counter: run.counter, memberHi, memberLo });
      if (at < first) first = at;
      removed += this.#markGone(adder, run, at);
    }
    this.items.sweep(removed, first);
    if (seq > this.lastSeq) this.lastSeq = seq;
  }

  /** Of a copy that is still arriving some may not be here. */
  #markGone(adder: Adder, { from, count }: Run, at: number): number {
    let left = count;
    for (let i = at; i < this.items.count && left > 0; i++) {
      const item = this.items.at(i);
      if (item.actor !== adder.actor) continue;
      if (item.ordinal >= from + count) break;
      if (item.isGone) continue;
      this.#drop(item);
      adder.live--;
      left--;
    }
    return count - left;
  }

  #drop(item: Item): void {
    item.isGone = true;
    this.#itemBytes -= item.sizeBytes;
    this.#slab.free(item.ref);
  }

  /** Forgets what is gone behind the horizon; see `Service.purge`. */
  purge(horizon: PurgeHorizon, context: OperationContext): void {
    if (![...this.#adders.values()].some((adder) => isPurgeable(adder, horizon))) return;
    const out = context.delta();
    out.u8(DELTA.purge);
    out.f64(horizon.seq);
    out.f64(horizon.ms);
    this.#purge(horizon);
  }

  #purge(horizon: PurgeHorizon): void {
    for (const adder of this.#adders.values()) {
      if (!isPurgeable(adder, horizon)) continue;
      adder.gone.clear();
      if (adder.live === 0) this.#adders.delete(adder.name);
    }
  }

  apply(delta: Reader, seq: number): void {
    const kind = delta.u8();
    if (kind === DELTA.add) this.#put(readAdded(delta), seq);
    else if (kind === DELTA.remove) {
      const ms = readTime(delta);
      const runs: Run[] = [];
      for (let left = delta.u32(); left > 0; left--) runs.push(readRun(delta));
      this.#remove(runs, ms, seq);
    } else if (kind === DELTA.purge) this.#purge({ seq: delta.f64(), ms: delta.f64() });
    else throw new ProtocolError(`unknown delta of a queue: ${kind}`);
  }

  /** What is gone first, by adder, then the items. */
  copy(cursor: number, maxBytes: number, out: Writer): number {
    const start = out.length;
    if (cursor < FIRST_ITEM) {
      const adders = [...this.#adders.values()];
      for (let i = cursor; i < adders.length; i++) {
        const adder = adders[i] as Adder;
        if (adder.gone.length === 0) continue;
        if (out.length > start && out.length - start >= maxBytes) return i;
        writeGone(out, adder);
      }
      // A chunk is full by now, perhaps.
      if (out.length > start && this.items.count > 0) return FIRST_ITEM;
    }
    return this.#copyItems(Math.max(cursor, FIRST_ITEM), maxBytes, out);
  }

  /** A copy can only go on at a cursor, so the few items that share one are never torn apart. */
  #copyItems(cursor: number, maxBytes: number, out: Writer): number {
    const { items } = this;
    const start = out.length;
    let last = -1;
    for (let i = items.indexOf(placeOfCursor(cursor)); i < items.count; i++) {
      const item = items.at(i);
      const own = cursorOf(item);
      if (own !== last && out.length > start && out.length - start + item.sizeBytes > maxBytes) return own;
      last = own;
      out.u8(RECORD.item);
      out.f64(item.seq);
      writeItem(out, item, this.bytesOf(item));
    }
    return -1;
  }

  paste(records: Reader): void {
    let batch: NewItem[] = [];
    let batchSeq = 0;
    while (records.remaining > 0) {
      if (records.u8() === RECORD.gone) {
        this.#pasteGone(records);
        continue;
      }
      const seq = records.f64();
      if (seq !== batchSeq) {
        this.#put(batch, batchSeq);
        batch = [];
        batchSeq = seq;
      }
      batch.push(readItem(records));
    }
    this.#put(batch, batchSeq);
  }

  #pasteGone(records: Reader): void {
    const adder = this.#adder(readActor(records));
    const seq = records.f64();
    const ms = readTime(records);
    if (seq > adder.seq) adder.seq = seq;
    if (ms > adder.ms) adder.ms = ms;
    if (seq > this.lastSeq) this.lastSeq = seq;
    let isNews = false;
    Ranges.read(records, (from, end) => {
      isNews = adder.gone.add(from, end) || isNews;
    });
    if (!isNews || adder.live === 0) return;
    let removed = 0;
    for (let i = 0; i < this.items.count; i++) {
      const item = this.items.at(i);
      if (item.actor !== adder.actor || !adder.gone.has(item.ordinal)) continue;
      this.#drop(item);
      adder.live--;
      removed++;
    }
    this.items.sweep(removed, 0);
  }

  changes(_cursor: number, _since: MergeSince, _maxBytes: number, _out: Writer): number {
    return -1;
  }

  dump(): readonly string[] {
    const lines: string[] = [];
    for (let i = 0; i < this.items.count; i++) {
      const item = this.items.at(i);
      const name = `${nameOfActor(item.actor)}#${item.ordinal}`;
      lines.push(`${name} ${item.ms}.${item.counter} ${item.hash.toString(16)}`);
    }
    for (const { name, gone } of this.#adders.values())
      if (gone.length > 0) lines.push(`${name} gone ${gone} tombstone`);
    return lines.sort();
  }

  dispose(): void {
    for (let i = 0; i < this.items.count; i++) this.#slab.free(this.items.at(i).ref);
    this.items.clear();
    this.#adders.clear();
    this.#itemBytes = 0;
    this.lastSeq = 0;
  }
}

/** By what `equals` tells most items apart without looking at their bytes. */
export function hashOf(bytes: Uint8Array): number {
  return murmur3(bytes.length > HASHED_BYTES ? bytes.subarray(0, HASHED_BYTES) : bytes);
}

function isPurgeable({ gone, live, seq, ms }: Adder, horizon: PurgeHorizon): boolean {
  if (gone.length === 0) return live === 0;
  return seq <= horizon.seq && ms < horizon.ms;
}

function runsOf(items: readonly Item[]): Run[] {
  const runs: { actor: Actor; from: number; count: number; ms: number; counter: number }[] = [];
  let last = runs[0];
  for (const { actor, ordinal, ms, counter } of items) {
    if (last?.actor === actor && last.from + last.count === ordinal) last.count++;
    else {
      last = { actor, from: ordinal, count: 1, ms, counter };
      runs.push(last);
    }
  }
  return runs;
}

function writeRun(out: Writer, { actor, from, count, ms, counter }: Run): void {
  writeActor(out, actor);
  out.f64(from);
  out.u32(count);
  out.f64(ms);
  out.u16(counter);
}

function readRun(input: Reader): Run {
  // Fields are read in the order in which they stand here.
  return {
    actor: readActor(input),
    from: readWhole(input),
    count: Math.max(1, input.u32()),
    ms: readTime(input),
    counter: input.u16(),
  };
}

function readAdded(input: Reader): NewItem[] {
  const actor = readActor(input);
  const from = readWhole(input);
  const count = input.u32();
  if (count > MAX_ITEMS) throw new ProtocolError(`a queue that got ${count} items at once`);
  // Fields are read in the order in which they stand here.
  return Array.from({ length: count }, (_, i) => ({
    actor,
    ordinal: from + i,
    ms: readTime(input),
    counter: input.u16(),
    bytes: input.blob(MAX_VALUE_BYTES + 1),
  }));
}

function writeItem(out: Writer, { actor, ordinal, ms, counter }: Item, bytes: Uint8Array): void {
  writeActor(out, actor);
  out.f64(ordinal);
  out.f64(ms);
  out.u16(counter);
  out.bytes(bytes);
}

function readItem(input: Reader): NewItem {
  // Fields are read in the order in which they stand here.
  return {
    actor: readActor(input),
    ordinal: readWhole(input),
    ms: readTime(input),
    counter: input.u16(),
    bytes: input.blob(MAX_VALUE_BYTES + 1),
  };
}

function writeGone(out: Writer, { actor, seq, ms, gone }: Adder): void {
  out.u8(RECORD.gone);
  writeActor(out, actor);
  out.f64(seq);
  out.f64(ms);
  gone.write(out);
}

function readWhole(input: Reader): number {
  const value = input.f64();
  if (!Number.isSafeInteger(value) || value < 0) throw new ProtocolError(`a queue with the number ${value}`);
  return value;
}

function readTime(input: Reader): number {
  const ms = input.f64();
  if (!(Number.isInteger(ms) && ms >= 0 && ms < MAX_TIME_MS))
    throw new ProtocolError(`a queue with the time ${ms}`);
  return ms;
}

/** Of the items of one cursor there are few: those of one millisecond, and of 32 versions of it. */
function cursorOf({ ms, counter }: Item): number {
  return FIRST_ITEM + ms * 2048 + (counter >>> 5);
}

function placeOfCursor(cursor: number) {
  const at = cursor - FIRST_ITEM;
  return { ms: Math.floor(at / 2048), counter: (at % 2048) * 32, memberHi: 0, memberLo: 0 };
}
