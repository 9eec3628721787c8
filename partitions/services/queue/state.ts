/**
 * One queue, in the partition of its name: its items in order, and of each primary that ever added one, which of its
 * items are gone. Invariants: an item is here or gone, never both, so what is put twice or late is put once; every
 * change goes through `add`, `remove`, `purge` or `mergeIn`, which write the delta that a backup needs for the same
 * contents. Called by the handlers, merge, replication and migration.
 *
 * An item's name is the primary that added it and a number. A primary counts one by one from its position times
 * `MAX_ITEMS` on: so takes from the head are one range, and numbers are used once also when all was purged in between.
 */
import { Reader, type Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
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
import { nameOfActor } from '../actors.js';
import { writeChanges } from './changes.js';
import { type Digest, QueueDigest } from './digest.js';
import { comparePlaces, FIRST_ITEM, type Item, Items, type Place } from './items.js';
import { MAX_ITEMS } from './ops.js';
import { Ranges } from './ranges.js';
import * as records from './records.js';
import { DELTA, type ItemImage, type ItemName, RECORD, type Removal, type Take } from './records.js';
import { type RemovedItem, RemovedItems } from './removed.js';

/** What an adder, an item besides its bytes, and a range take in memory, roughly. */
const ADDER_BYTES = 256;
const ITEM_BYTES = 128;
const RANGE_BYTES = 16;
/** Has removed what no primary of this side did. */
const NOBODY: Actor = { memberHi: 0, memberLo: 0, lineage: 0, epoch: 0 };
/** Of the bytes of an item so many are part of its hash. */
const HASHED_BYTES = 1024;

/** One that added items. */
export interface Adder {
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

export class QueueState implements ServiceState {
  readonly name: string;
  readonly items = new Items();
  readonly removed: RemovedItems;
  readonly #slab: Slab;
  readonly #adders = new Map<string, Adder>();
  readonly #digest = new QueueDigest();
  #itemBytes = 0;
  /** Position of the last change. */
  lastSeq = 0;

  constructor({ name, slab }: StateEnvironment) {
    this.name = name;
    this.#slab = slab;
    this.removed = new RemovedItems(slab);
  }

  get entryCount(): number {
    return this.items.count;
  }

  get sizeBytes(): number {
    let size = this.#itemBytes + this.items.count * ITEM_BYTES + this.removed.sizeBytes;
    for (const { gone } of this.#adders.values()) size += ADDER_BYTES + gone.length * RANGE_BYTES;
    return size;
  }

  get adders(): readonly Adder[] {
    return [...this.#adders.values()];
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

  isGone({ actor, ordinal }: ItemName): boolean {
    return this.#adders.get(nameOfActor(actor))?.gone.has(ordinal) === true;
  }

  goneOf(actor: Actor): Ranges | undefined {
    return this.#adders.get(nameOfActor(actor))?.gone;
  }

  isHere(place: Place): boolean {
    const { items } = this;
    const index = items.indexOf(place);
    return index < items.count && comparePlaces(items.at(index), place) === 0;
  }

  /** Adds items at the tail, as the one change of this operation. */
  add(all: readonly Uint8Array[], context: OperationContext): void {
    const { actor, seq } = context;
    const adder = this.#adder(actor);
    if (adder.next === 0) adder.next = seq * MAX_ITEMS;
    const out = context.delta();
    records.writeAdded(out, actor, adder.next, all.length);
    const items = all.map((bytes) => {
      const { ms, counter } = context.version();
      const item = { actor, ordinal: adder.next++, ms, counter, bytes };
      records.writeAddedItem(out, item);
      return item;
    });
    this.#put(items, seq);
  }

  /** Removes items, which are in order, as the one change of this operation. `isTaken`: somebody gets them. */
  remove(items: readonly Item[], isTaken: boolean, context: OperationContext): void {
    if (items.length === 0) return;
    const removal = {
      ms: context.version().ms,
      isTaken,
      by: context.actor,
      runs: records.runsOf(items),
    };
    records.writeRemoval(context.delta(), removal);
    this.#remove(removal, context.seq);
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

  /** Puts those items that are neither here nor gone. */
  #put(all: readonly ItemImage[], seq: number): void {
    const fresh: Item[] = [];
    for (const image of all) {
      const { actor: given, ordinal, ms, counter, bytes } = image;
      const { actor, gone } = this.#adder(given);
      const { memberHi, memberLo } = actor;
      if (gone.has(ordinal) || this.isHere({ ms, counter, memberHi, memberLo })) continue;
      const ref = this.#slab.allocate(bytes.length);
      this.#slab.bytes(ref).set(bytes, this.#slab.byteOffset(ref));
      const sizeBytes = bytes.length;
      const hash = hashOf(bytes);
      const item: Item = {
        ms,
        counter,
        memberHi,
        memberLo,
        actor,
        ordinal,
        seq,
        ref,
        sizeBytes,
        hash,
        isGone: false,
      };
      fresh.push(item);
      this.#digest.add(item);
      this.#adder(actor).live++;
      this.#itemBytes += sizeBytes;
    }
    if (fresh.length > 1) fresh.sort(comparePlaces);
    this.items.put(fresh);
    if (seq > this.lastSeq) this.lastSeq = seq;
  }

  #remove({ runs, ms, isTaken, by }: Removal, seq: number): void {
    const removal = { seq, isTaken, take: { by, bySeq: seq, takenMs: ms } };
    let removed = 0;
    let first = this.items.count;
    for (const run of runs) {
      const { memberHi, memberLo } = run.actor;
      const adder = this.#adder(run.actor);
      const end = run.from + run.count;
      adder.gone.add(run.from, end);
      touch(adder, seq, ms);
      const at = this.items.indexOf({ ms: run.ms, counter: run.counter, memberHi, memberLo });
      if (at < first) first = at;
      // Of a copy that is still arriving some may not be here.
      for (let i = at, left = run.count; i < this.items.count && left > 0; i++) {
        const item = this.items.at(i);
        if (item.actor !== adder.actor || item.isGone) continue;
        if (item.ordinal >= end) break;
        this.#drop(item, adder, removal);
        left--;
        removed++;
      }
    }
    this.items.sweep(removed, first);
    if (seq > this.lastSeq) this.lastSeq = seq;
  }

  #drop(item: Item, adder: Adder, removal: Pick<RemovedItem, 'seq' | 'isTaken' | 'take'>): void {
    item.isGone = true;
    this.#digest.remove(item);
    adder.live--;
    this.#itemBytes -= item.sizeBytes;
    this.removed.add(item, removal);
  }

  /** More of an adder's items are gone; not by taking them from here. */
  #addGone({ actor, seq, ms, gone }: records.GoneRecord, atSeq: number): void {
    const adder = this.#adder(actor);
    touch(adder, seq, ms);
    if (atSeq > this.lastSeq) this.lastSeq = atSeq;
    let isNews = false;
    gone.each((from, end) => {
      isNews = adder.gone.add(from, end) || isNews;
    });
    if (!isNews || adder.live === 0) return;
    const take = { by: NOBODY, bySeq: 0, takenMs: ms };
    let removed = 0;
    for (let i = 0; i < this.items.count; i++) {
      const item = this.items.at(i);
      if (item.actor !== adder.actor || !adder.gone.has(item.ordinal)) continue;
      this.#drop(item, adder, { seq: atSeq, isTaken: false, take });
      removed++;
    }
    this.items.sweep(removed, 0);
  }

  /** Somebody got an item of another side, which that side may not have told of before. */
  #addTaken(image: ItemImage, take: Take, seq: number, known: RemovedItem | undefined): void {
    const { actor, ordinal, ms, counter } = image;
    const adder = this.#adder(actor);
    adder.gone.add(ordinal, ordinal + 1);
    touch(adder, seq, take.takenMs);
    if (known !== undefined) {
      Object.assign(known, { seq, isTaken: true, take });
      return;
    }
    const place = { ms, counter, memberHi: actor.memberHi, memberLo: actor.memberLo };
    if (!this.isHere(place)) {
      this.removed.addUnseen(image, seq, take);
      return;
    }
    const index = this.items.indexOf(place);
    this.#drop(this.items.at(index), adder, { seq, isTaken: true, take });
    this.items.sweep(1, index);
  }

  /** Takes in what a merge decided on, written by `merge.ts` behind the kind of the delta. */
  mergeIn(delta: Writer, seq: number): void {
    this.apply(new Reader(delta.buffer.subarray(0, delta.length)), seq);
  }

  /** Forgets what is gone behind the horizon; see `Service.purge`. */
  purge(horizon: PurgeHorizon, context: OperationContext): void {
    const isDue = this.adders.some((adder) => isPurgeable(adder, horizon));
    if (!isDue && !this.removed.isPurgeable(horizon)) return;
    const out = context.delta();
    out.u8(DELTA.purge);
    out.f64(horizon.seq);
    out.f64(horizon.ms);
    this.#purge(horizon);
  }

  #purge(horizon: PurgeHorizon): void {
    this.removed.purge(horizon);
    for (const adder of this.adders) {
      if (!isPurgeable(adder, horizon)) continue;
      adder.gone.clear();
      if (adder.live === 0) this.#adders.delete(adder.name);
    }
  }

  apply(delta: Reader, seq: number): void {
    const kind = delta.u8();
    if (kind === DELTA.add) this.#put(records.readAdded(delta), seq);
    else if (kind === DELTA.remove) this.#remove(records.readRemoval(delta), seq);
    else if (kind === DELTA.purge) this.#purge({ seq: delta.f64(), ms: delta.f64() });
    else if (kind === DELTA.merge) this.#readRecords(delta, seq);
    else throw new ProtocolError(`unknown delta of a queue: ${kind}`);
  }

  /** What is gone first, by adder, then the items. */
  copy(cursor: number, maxBytes: number, out: Writer): number {
    const start = out.length;
    const adders = cursor < FIRST_ITEM ? this.adders : [];
    const firstGone = adders.findIndex(({ gone }) => gone.length > 0);
    for (let i = cursor; i < adders.length; i++) {
      const adder = adders[i] as Adder;
      if (adder.gone.length === 0) continue;
      if (out.length > start && out.length - start >= maxBytes) return i;
      // Once, and together with something that is said to be gone.
      if (i === firstGone) {
        out.u8(RECORD.removed);
        this.removed.write(out);
      }
      out.u8(RECORD.gone);
      records.writeGone(out, adder);
    }
    // A chunk is full by now, perhaps.
    if (out.length > start && this.items.count > 0) return FIRST_ITEM;
    return this.eachItem(Math.max(cursor, FIRST_ITEM), (item, isNewCursor) => {
      if (isNewCursor && out.length > start && out.length - start + item.sizeBytes > maxBytes) return false;
      out.u8(RECORD.item);
      out.f64(item.seq);
      records.writeItem(out, item, this.bytesOf(item));
      return true;
    });
  }

  /**
   * Visits items from a cursor on until `visit` says no; gives the cursor of that item, or -1 at the end. One can only
   * go on at a cursor, so of those that share one (there are few) only the first may be refused.
   */
  eachItem(cursor: number, visit: (item: Item, isNewCursor: boolean) => boolean): number {
    const { items } = this;
    let last = -1;
    for (let i = items.indexOf(placeOfCursor(cursor)); i < items.count; i++) {
      const item = items.at(i);
      const own = cursorOf(item);
      if (!visit(item, own !== last)) return own;
      last = own;
    }
    return -1;
  }

  paste(input: Reader): void {
    this.#readRecords(input, null);
  }

  /** Of a copy, where each record has its own position, or of a merge at one position. */
  #readRecords(input: Reader, mergeSeq: number | null): void {
    let batch: ItemImage[] = [];
    let batchSeq = mergeSeq ?? 0;
    let known: ReadonlyMap<string, RemovedItem> | null = null;
    while (input.remaining > 0) {
      const kind = input.u8();
      if (kind === RECORD.removed) this.removed.paste(input);
      else if (kind === RECORD.taken) {
        const image = records.readItem(input);
        known ??= this.removed.byName();
        this.#addTaken(image, records.readTake(input), mergeSeq ?? 0, known.get(records.textOf(image)));
      } else if (kind === RECORD.gone) {
        const record = records.readGone(input);
        this.#addGone(mergeSeq === null ? record : { ...record, seq: mergeSeq }, mergeSeq ?? record.seq);
      } else if (kind === RECORD.item) {
        const seq = records.readWhole(input);
        if (mergeSeq === null && seq !== batchSeq) {
          this.#put(batch, batchSeq);
          batch = [];
          batchSeq = seq;
        }
        batch.push(records.readItem(input));
      } else throw new ProtocolError(`unknown record of a queue: ${kind}`);
    }
    this.#put(batch, batchSeq);
  }

  changes(cursor: number, since: MergeSince, maxBytes: number, out: Writer): number {
    return writeChanges(this, cursor, since, maxBytes, out);
  }

  wholeDigest(): Digest {
    return this.#digest.with(this.#adders.values());
  }

  /** Without what is remembered of removed items: how much of it is kept is no concern of users. */
  dump(): readonly string[] {
    const lines: string[] = [];
    for (let i = 0; i < this.items.count; i++) {
      const item = this.items.at(i);
      const name = `${nameOfActor(item.actor)}#${item.ordinal}`;
      lines.push(`${name} ${item.ms}.${item.counter} ${item.hash.toString(16)}`);
    }
    for (const { name, gone } of this.adders)
      if (gone.length > 0) lines.push(`${name} gone ${gone} tombstone`);
    return lines.sort();
  }

  dispose(): void {
    for (let i = 0; i < this.items.count; i++) this.#slab.free(this.items.at(i).ref);
    this.items.clear();
    this.removed.clear();
    this.#adders.clear();
    this.#digest.clear();
    this.#itemBytes = 0;
    this.lastSeq = 0;
  }
}

/** By what `equals` tells most items apart without looking at their bytes. */
export function hashOf(bytes: Uint8Array): number {
  return murmur3(bytes.length > HASHED_BYTES ? bytes.subarray(0, HASHED_BYTES) : bytes);
}

function touch(adder: Adder, seq: number, ms: number): void {
  if (seq > adder.seq) adder.seq = seq;
  if (ms > adder.ms) adder.ms = ms;
}

function isPurgeable({ gone, live, seq, ms }: Adder, horizon: PurgeHorizon): boolean {
  if (gone.length === 0) return live === 0;
  return seq <= horizon.seq && ms < horizon.ms;
}

/** Of the items of one cursor there are few: those of one millisecond, and of 32 versions of it. */
function cursorOf({ ms, counter }: Item): number {
  return FIRST_ITEM + ms * 2048 + (counter >>> 5);
}

function placeOfCursor(cursor: number): Place {
  const at = cursor - FIRST_ITEM;
  return { ms: Math.floor(at / 2048), counter: (at % 2048) * 32, memberHi: 0, memberLo: 0 };
}
