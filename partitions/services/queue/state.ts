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
import type { ChangeSink } from '../../events/event.js';
import { murmur3 } from '../../hash.js';
import { EMPTY_BYTES } from '../../limits.js';
import type {
  Actor,
  MergeSince,
  OperationContext,
  PurgeHorizon,
  ServiceState,
  StateEnvironment,
} from '../../service.js';
import type { Slab } from '../../store/slab.js';
import { isSameActor, nameOfActor } from '../actors.js';
import { writeChanges } from './changes.js';
import { writeCopy } from './copy.js';
import { type Digest, QueueDigest } from './digest.js';
import { type HandOut, readHandOut, readHandOuts, writeHandOuts } from './hand-out.js';
import { HandOuts, itemAt } from './hand-outs.js';
import { comparePlaces, type Item, Items, inOrder, type Place } from './items.js';
import { MAX_ITEMS } from './ops.js';
import { Ranges } from './ranges.js';
import * as records from './records.js';
import { DELTA, type ItemImage, type ItemName, RECORD, type Removal, type Take } from './records.js';
import { type RemovedItem, RemovedItems, type Removing } from './removed.js';

/** What an adder, an item besides its bytes, and a range take in memory, roughly. */
const ADDER_BYTES = 256;
const ITEM_BYTES = 128;
const RANGE_BYTES = 16;
/** Has removed what no primary of this side did. */
const NOBODY: Actor = { memberHi: 0, memberLo: 0, lineage: 0, epoch: 0 };
/** Has moved what went to a dead-letter queue. */
export const MOVER: Actor = { memberHi: 0, memberLo: 1, lineage: 0, epoch: 0 };
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
  /** Those that can be taken. */
  readonly items = new Items();
  readonly handed = new HandOuts();
  readonly removed: RemovedItems;
  events: ChangeSink | null = null;
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

  /** With the items that are handed out. */
  get entryCount(): number {
    return this.items.count + this.handed.away.count;
  }

  get tendMs(): number {
    return this.handed.tendMs;
  }

  get sizeBytes(): number {
    let size =
      this.#itemBytes + this.entryCount * ITEM_BYTES + this.removed.sizeBytes + this.handed.sizeBytes;
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
    return this.itemAt(place) !== undefined;
  }

  itemAt(place: Place): Item | undefined {
    return itemAt(this.items, place) ?? itemAt(this.handed.away, place);
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
    if (items.length > 0) this.#removeRuns(records.runsOf(items), isTaken, context.actor, context);
  }

  /** The same for items that are handed out; `by`: who gets the credit. */
  removeAway(items: readonly Item[], by: Actor, context: OperationContext): void {
    if (items.length > 0) this.#removeRuns(items.flatMap(alone), true, by, context);
  }

  clear(context: OperationContext): void {
    const away = [...inOrder(this.handed.away, new Items())];
    const runs = [...away.flatMap(alone), ...records.runsOf([...inOrder(this.items, new Items())])];
    if (runs.length > 0) this.#removeRuns(runs, false, context.actor, context);
  }

  #removeRuns(runs: readonly records.Run[], isTaken: boolean, by: Actor, context: OperationContext): void {
    const removal = { ms: context.version().ms, isTaken, by, runs };
    records.writeRemoval(context.delta(), removal);
    this.#remove(removal, context.seq);
  }

  /** Items go where these hand-outs say, as the one change of this operation. */
  hand(all: readonly HandOut[], context: OperationContext): void {
    if (all.length === 0) return;
    const out = context.delta();
    out.u8(DELTA.hand);
    writeHandOuts(out, all);
    this.#hand(all, context.seq, context.nowMs);
  }

  #hand(all: readonly HandOut[], seq: number, nowMs: number | null): void {
    // Of a copy that is still arriving: what is gone has no hand-out any more.
    const kept = all.filter((handOut) => !this.isGone(handOut));
    this.handed.put(kept, seq, nowMs, this.items);
    if (seq > this.lastSeq) this.lastSeq = seq;
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
      if (gone.has(ordinal)) {
        this.removed.arrived(image, seq);
        continue;
      }
      if (this.isHere({ ms, counter, memberHi, memberLo })) continue;
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
      this.events?.tell(seq, 'added', EMPTY_BYTES, bytes, null);
      this.#adder(actor).live++;
      this.#itemBytes += sizeBytes;
    }
    if (fresh.length > 1) fresh.sort(comparePlaces);
    if (this.handed.count === 0) this.items.put(fresh);
    else {
      this.items.put(fresh.filter((item) => !this.handed.isAway(item)));
      this.handed.away.put(fresh.filter((item) => this.handed.isAway(item)));
    }
    if (seq > this.lastSeq) this.lastSeq = seq;
  }

  #remove({ runs, ms, isTaken, by }: Removal, seq: number): void {
    // What a letter is moved by is the same on all sides: moving it twice is no second taking.
    const bySeq = isSameActor(by, MOVER) ? 0 : seq;
    const removal = { seq, isTaken, take: { by, bySeq, takenMs: ms } };
    let removed = 0;
    let first = this.items.count;
    for (const run of runs) {
      const { memberHi, memberLo } = run.actor;
      const adder = this.#adder(run.actor);
      const end = run.from + run.count;
      adder.gone.add(run.from, end);
      touch(adder, seq, ms);
      const place = { ms: run.ms, counter: run.counter, memberHi, memberLo };
      if (this.#removeHanded(run, place, adder, removal)) continue;
      const at = this.items.indexOf(place);
      if (at < first) first = at;
      // Of a copy that is still arriving some may not be here.
      let left = run.count;
      for (let i = at; i < this.items.count && left > 0; i++) {
        const item = this.items.at(i);
        if (item.actor !== adder.actor || item.isGone) continue;
        if (item.ordinal >= end) break;
        this.#drop(item, adder, removal);
        left--;
        removed++;
      }
      if (left > 0) this.removed.expect(run.actor, run.from, end, removal);
    }
    this.items.sweep(removed, first);
    if (seq > this.lastSeq) this.lastSeq = seq;
  }

  /** Drops the hand-outs of what a run removes; true when that was an item that is away, which stands alone. */
  #removeHanded({ actor, from, count }: records.Run, place: Place, adder: Adder, removal: Removing): boolean {
    const { handed } = this;
    if (handed.count === 0) return false;
    handed.dropRun(actor, from, count);
    const item = itemAt(handed.away, place);
    if (item === undefined) return false;
    this.#drop(item, adder, removal);
    handed.away.sweep(1, handed.away.indexOf(place));
    return true;
  }

  #drop(item: Item, adder: Adder, removal: Removing): void {
    item.isGone = true;
    this.events?.tell(removal.seq, 'removed', EMPTY_BYTES, null, this.bytesOf(item));
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
    if (!isNews) return;
    if (this.handed.count > 0) this.handed.dropAll((handOut) => this.isGone(handOut));
    if (adder.live === 0) return;
    const take = { by: NOBODY, bySeq: 0, takenMs: ms };
    for (const ring of [this.items, this.handed.away]) {
      let removed = 0;
      for (let i = 0; i < ring.count; i++) {
        const item = ring.at(i);
        if (item.actor !== adder.actor || !adder.gone.has(item.ordinal)) continue;
        this.#drop(item, adder, { seq: atSeq, isTaken: false, take });
        removed++;
      }
      ring.sweep(removed, 0);
    }
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
    this.handed.drop(image);
    const ring = itemAt(this.items, place) === undefined ? this.handed.away : this.items;
    const item = itemAt(ring, place);
    if (item === undefined) {
      this.removed.addUnseen(image, seq, take);
      return;
    }
    this.#drop(item, adder, { seq, isTaken: true, take });
    ring.sweep(1, ring.indexOf(place));
  }

  /** Takes in what a merge decided on, written by `merge.ts` behind the kind of the delta. */
  mergeIn(delta: Writer, seq: number): void {
    this.apply(new Reader(delta.buffer.subarray(0, delta.length)), seq);
  }

  /** It has no item, and had none since that time. */
  isUnusedSince(ms: number): boolean {
    return this.entryCount === 0 && this.adders.every((adder) => adder.ms < ms);
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
    else if (kind === DELTA.hand) this.#hand(readHandOuts(delta), seq, null);
    else throw new ProtocolError(`unknown delta of a queue: ${kind}`);
  }

  copy(cursor: number, maxBytes: number, out: Writer): number {
    return writeCopy(this, cursor, maxBytes, out);
  }

  paste(input: Reader): void {
    const { events } = this;
    // What is copied was told when it changed.
    this.events = null;
    try {
      this.#readRecords(input, null);
    } finally {
      this.events = events;
    }
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
      } else if (kind === RECORD.handed) {
        this.#put(batch, batchSeq);
        batch = [];
        const seq = records.readWhole(input);
        this.#hand([readHandOut(input)], mergeSeq ?? seq, null);
      } else throw new ProtocolError(`unknown record of a queue: ${kind}`);
    }
    this.#put(batch, batchSeq);
  }

  changes(cursor: number, since: MergeSince, maxBytes: number, out: Writer): number {
    return writeChanges(this, cursor, since, maxBytes, out);
  }

  wholeDigest(): Digest {
    return this.#digest.with(this.handed.digest, this.#adders.values());
  }

  /** Without what is remembered of removed items: how much of it is kept is no concern of users. */
  dump(): readonly string[] {
    const lines: string[] = [];
    lines.push(...this.handed.dump());
    for (const item of inOrder(this.items, this.handed.away)) {
      const name = `${nameOfActor(item.actor)}#${item.ordinal}`;
      lines.push(`${name} ${item.ms}.${item.counter} ${item.hash.toString(16)}`);
    }
    for (const { name, gone } of this.adders)
      if (gone.length > 0) lines.push(`${name} gone ${gone} tombstone`);
    return lines.sort();
  }

  dispose(): void {
    for (const { ref } of inOrder(this.items, this.handed.away)) this.#slab.free(ref);
    this.items.clear();
    this.handed.clear();
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

/** An item that is away stands alone in a removal. */
function alone(item: Item): records.Run[] {
  return records.runsOf([item]);
}

function touch(adder: Adder, seq: number, ms: number): void {
  if (seq > adder.seq) adder.seq = seq;
  if (ms > adder.ms) adder.ms = ms;
}

function isPurgeable({ gone, live, seq, ms }: Adder, horizon: PurgeHorizon): boolean {
  if (gone.length === 0) return live === 0;
  return seq <= horizon.seq && ms < horizon.ms;
}
