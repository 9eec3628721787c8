/**
 * The items that were removed lately, with their bytes as far as there is room. Merging needs them: an item that both
 * sides of a split have given out is reported with its value, and one that a call took whose effect does not count is
 * put back. Invariants: bounded; the newest has its bytes; what the primary of today had added itself goes first, because
 * the items that were there when sides parted are those of earlier ones. Called by the state of a queue.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import type { Actor, PurgeHorizon } from '../../service.js';
import type { Slab } from '../../store/slab.js';
import { isSameActor } from '../actors.js';
import type { Item } from './items.js';
import * as records from './records.js';
import { type ItemImage, readItem, readWhole, type Take, writeItem } from './records.js';

const MAX_OWN = 1_024;
const MAX_EARLIER = 8_192;
const MAX_BYTES = 256 * 1024;
/** Removals of items that a copy still has to bring. */
const MAX_EARLY = 1_024;
/** What one takes in memory besides its bytes, roughly. */
const ENTRY_BYTES = 160;
const NO_BYTES = new Uint8Array(0);

export interface RemovedItem extends Omit<ItemImage, 'bytes'> {
  /** Position at which it was added. */
  readonly addedSeq: number;
  /** Position at which it was removed here, or a merge told of it. */
  seq: number;
  /** Somebody got it. */
  isTaken: boolean;
  /** What removed it. */
  take: Take;
  /** Cell of its bytes; 0 when there was no room. */
  ref: number;
  readonly sizeBytes: number;
}

/** How an item was removed. */
export type Removing = Pick<RemovedItem, 'seq' | 'isTaken' | 'take'>;

/** Items of one adder that were removed before the copy of the queue brought them. */
interface Early {
  readonly actor: Actor;
  readonly from: number;
  readonly end: number;
  readonly removal: Removing;
}

export class RemovedItems {
  readonly #slab: Slab;
  /** Each in order of removal; by whether the primary that removed it had added it itself. */
  #own: RemovedItem[] = [];
  #earlier: RemovedItem[] = [];
  #keptBytes = 0;
  #early: Early[] = [];

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  get sizeBytes(): number {
    return this.#keptBytes + (this.#own.length + this.#earlier.length) * ENTRY_BYTES;
  }

  /** Takes over the cell of an item that is removed now. */
  add(item: Item, removal: Removing): void {
    const { actor, ordinal, ms, counter, seq: addedSeq, ref, sizeBytes } = item;
    this.#keptBytes += sizeBytes;
    this.#push({ actor, ordinal, ms, counter, addedSeq, ref, sizeBytes, ...removal });
  }

  /** Some of these items were not here when they were removed: a copy that is still arriving may bring them. */
  expect(actor: Actor, from: number, end: number, removal: Removing): void {
    this.#early.push({ actor, from, end, removal });
    if (this.#early.length > MAX_EARLY) this.#early.shift();
  }

  /** A copy brought an item, of this position, that is gone: it is remembered if it was removed while the copy came. */
  arrived(image: ItemImage, addedSeq: number): void {
    const { actor, ordinal, ms, counter, bytes } = image;
    const early = this.#early.find(
      (each) => ordinal >= each.from && ordinal < each.end && isSameActor(each.actor, actor),
    );
    if (early === undefined || this.byName().has(records.textOf(image))) return;
    const ref = bytes.length === 0 ? 0 : this.#store(bytes);
    this.#push({ actor, ordinal, ms, counter, addedSeq, ref, sizeBytes: bytes.length, ...early.removal });
  }

  /** The same for an item that was never here. */
  addUnseen({ actor, ordinal, ms, counter, bytes }: ItemImage, seq: number, take: Take): void {
    const ref = bytes.length === 0 ? 0 : this.#store(bytes);
    const rest = { addedSeq: seq, seq, isTaken: true, take, ref, sizeBytes: bytes.length };
    this.#push({ actor, ordinal, ms, counter, ...rest });
  }

  #push(removed: RemovedItem): void {
    (isSameActor(removed.actor, removed.take.by) ? this.#own : this.#earlier).push(removed);
    this.#shrink(removed);
  }

  #shrink(newest: RemovedItem): void {
    // Not one by one: what is taken from the front of an array moves the rest.
    if (this.#own.length > 2 * MAX_OWN) this.#forget(this.#own.splice(0, MAX_OWN));
    if (this.#earlier.length > 2 * MAX_EARLIER) this.#forget(this.#earlier.splice(0, MAX_EARLIER));
    if (this.#keptBytes <= MAX_BYTES) return;
    for (const list of [this.#own, this.#earlier]) {
      for (const each of list) {
        if (this.#keptBytes <= MAX_BYTES / 2) return;
        if (each !== newest) this.#release(each);
      }
    }
  }

  #release(removed: RemovedItem): void {
    if (removed.ref === 0) return;
    this.#slab.free(removed.ref);
    this.#keptBytes -= removed.sizeBytes;
    removed.ref = 0;
  }

  #forget(all: readonly RemovedItem[]): void {
    for (const each of all) this.#release(each);
  }

  byName(): ReadonlyMap<string, RemovedItem> {
    return new Map(this.all().map((each) => [records.textOf(each), each]));
  }

  /** In no order. */
  all(): RemovedItem[] {
    return [...this.#own, ...this.#earlier];
  }

  /** Null when they are not kept. A view, valid until the next change. */
  bytesOf({ ref, sizeBytes }: RemovedItem): Uint8Array | null {
    if (ref === 0) return null;
    const at = this.#slab.byteOffset(ref);
    return this.#slab.bytes(ref).subarray(at, at + sizeBytes);
  }

  isPurgeable(horizon: PurgeHorizon): boolean {
    return isBehind(this.#own[0], horizon) || isBehind(this.#earlier[0], horizon);
  }

  purge(horizon: PurgeHorizon): void {
    const keep = (list: RemovedItem[]) => {
      this.#forget(list.filter((each) => isBehind(each, horizon)));
      return list.filter((each) => !isBehind(each, horizon));
    };
    this.#own = keep(this.#own);
    this.#earlier = keep(this.#earlier);
    this.#early = this.#early.filter(({ removal }) => removal.seq > horizon.seq);
  }

  /** Behind the place in the list and the number of bytes, null for none. */
  write(out: Writer): void {
    out.u32(this.#own.length);
    out.u32(this.#earlier.length);
    for (const each of this.all()) {
      const bytes = this.bytesOf(each);
      out.f64(each.addedSeq);
      out.f64(each.seq);
      records.writeTake(out, each.take);
      out.u8((each.isTaken ? 1 : 0) | (bytes === null ? 0 : 2));
      writeItem(out, each, bytes ?? NO_BYTES);
    }
  }

  /** Of a copy: what is here already is newer. */
  paste(input: Reader): void {
    const own = input.u32();
    const count = own + input.u32();
    const known = new Set(this.all().map(({ ms, counter, actor }) => `${ms}.${counter}.${actor.memberHi}`));
    const lists: [RemovedItem[], RemovedItem[]] = [[], []];
    for (let i = 0; i < count; i++) {
      // Fields are read in the order in which they stand here.
      const times = { addedSeq: readWhole(input), seq: readWhole(input), take: records.readTake(input) };
      const flags = input.u8();
      const { bytes, ...item } = readItem(input);
      if (known.has(`${item.ms}.${item.counter}.${item.actor.memberHi}`)) continue;
      const ref = (flags & 2) === 0 ? 0 : this.#store(bytes);
      lists[i < own ? 0 : 1].push({
        ...item,
        ...times,
        isTaken: (flags & 1) !== 0,
        ref,
        sizeBytes: bytes.length,
      });
    }
    this.#own = [...lists[0], ...this.#own];
    this.#earlier = [...lists[1], ...this.#earlier];
  }

  #store(bytes: Uint8Array): number {
    const ref = this.#slab.allocate(bytes.length);
    this.#slab.bytes(ref).set(bytes, this.#slab.byteOffset(ref));
    this.#keptBytes += bytes.length;
    return ref;
  }

  clear(): void {
    this.#forget(this.all());
    this.#own = [];
    this.#earlier = [];
  }
}

function isBehind(removed: RemovedItem | undefined, { seq, ms }: PurgeHorizon): boolean {
  return removed !== undefined && removed.seq <= seq && removed.take.takenMs < ms;
}
