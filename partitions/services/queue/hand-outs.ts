/**
 * Items of a queue that somebody got and has to acknowledge: who, how often, and what has become of that. Part of the
 * replicated state. Invariants: an item has one hand-out, that of the highest position, which is kept until the item is
 * gone, so that a copy in progress does not bring back an earlier one; an item is away exactly while its hand-out says so.
 * When a hand-out ends is judged by whoever leads, on its own monotonic clock from when it first looked, which is never
 * before the item was handed out. Called by the state of a queue.
 */
import { DRIFT_MARGIN } from '../../../src/cluster/lease.js';
import type { Actor, Tending } from '../../service.js';
import { isSameActor } from '../actors.js';
import { type Digest, hashOfHandOut } from './digest.js';
import { type Fence, type HandOut, isSameFence, WHERE } from './hand-out.js';
import { comparePlaces, type Item, Items, type Place } from './items.js';
import { type ItemName, type Named, textOf } from './records.js';

interface Entry extends HandOut {
  /** Position of the last change. */
  readonly seq: number;
  /** On the clock of this member, when it first looked; not replicated. */
  sinceMs: number | null;
}

/** Sessions are looked at so often. */
const LOOK_MS = 500;
const ENTRY_BYTES = 240;

export class HandOuts {
  /** The items that are away, in their order. */
  readonly away = new Items();
  readonly #entries = new Map<string, Entry>();
  #lo = 0;
  #hi = 0;
  #tendMs = Number.NEGATIVE_INFINITY;

  /** With those of items that are back. */
  get count(): number {
    return this.#entries.size;
  }

  get sizeBytes(): number {
    return this.#entries.size * ENTRY_BYTES;
  }

  get digest(): Digest {
    return { lo: this.#lo, hi: this.#hi };
  }

  /** When to look for hand-outs that are over, on the clock of this member. */
  get tendMs(): number {
    return this.away.count === 0 ? Number.POSITIVE_INFINITY : this.#tendMs;
  }

  find(name: ItemName): Entry | undefined {
    return this.#entries.size === 0 ? undefined : this.#entries.get(textOf(name));
  }

  /** The item of a hand-out that is away. */
  itemOf({ actor, ms, counter }: Named): Item | undefined {
    return itemAt(this.away, { ms, counter, memberHi: actor.memberHi, memberLo: actor.memberLo });
  }

  isAway(item: ItemName): boolean {
    const entry = this.find(item);
    return entry !== undefined && entry.where !== WHERE.back;
  }

  /** The hand-out with this fence, while its item is with whom it was handed to. */
  current(name: ItemName, fence: Fence): HandOut | undefined {
    const entry = this.find(name);
    return entry?.where === WHERE.out && isSameFence(entry.fence, fence) ? entry : undefined;
  }

  /** Items of these hand-outs go where they say; `nowMs`: when that was decided, null when others did. */
  put(all: readonly HandOut[], seq: number, nowMs: number | null, present: Items): void {
    const moved: { readonly away: Item[]; readonly back: Item[] } = { away: [], back: [] };
    for (const handOut of all) {
      if (!this.#keep({ ...handOut, seq, sinceMs: nowMs })) continue;
      const isBack = handOut.where === WHERE.back;
      const { memberHi, memberLo } = handOut.actor;
      const item = itemAt(isBack ? this.away : present, { ...handOut, memberHi, memberLo });
      if (item === undefined || item.isGone) continue;
      item.isGone = true;
      moved[isBack ? 'back' : 'away'].push(item);
    }
    move(moved.away, present, this.away);
    move(moved.back, this.away, present);
    if (moved.away.length > 0) this.#tendMs = Number.NEGATIVE_INFINITY;
  }

  /** False when a later one is known. */
  #keep(entry: Entry): boolean {
    const name = textOf(entry);
    const known = this.#entries.get(name);
    if (known !== undefined && known.seq >= entry.seq) return false;
    if (known !== undefined) this.#count(known, -1);
    this.#entries.set(name, entry);
    this.#count(entry, 1);
    return true;
  }

  #count(entry: Entry, sign: 1 | -1): void {
    const { lo, hi } = hashOfHandOut(entry);
    this.#lo = (this.#lo + sign * lo) | 0;
    this.#hi = (this.#hi + sign * hi) | 0;
  }

  /** The item is gone. */
  drop(name: ItemName): void {
    const entry = this.find(name);
    if (entry === undefined) return;
    this.#entries.delete(textOf(name));
    this.#count(entry, -1);
  }

  /** Items of an adder with successive numbers are gone. */
  dropRun(actor: Actor, from: number, count: number): void {
    const end = from + count;
    if (count > this.#entries.size)
      this.dropAll((one) => one.ordinal >= from && one.ordinal < end && isSameActor(one.actor, actor));
    else for (let ordinal = from; ordinal < end; ordinal++) this.drop({ actor, ordinal });
  }

  /** The same for all that are meant. */
  dropAll(isMeant: (handOut: HandOut) => boolean): void {
    for (const entry of this.#entries.values()) if (isMeant(entry)) this.drop(entry);
  }

  /**
   * Hand-outs that are over, `max` at the most: their time has passed, or nothing is heard of who got them. `isForgotten`:
   * those of another primary are, too; for tests.
   */
  due(nowMs: number, isGone: Tending['isGone'], max: number, isForgotten = false): HandOut[] {
    const found: HandOut[] = [];
    this.#tendMs = nowMs + LOOK_MS;
    for (let i = 0; i < this.away.count; i++) {
      const entry = this.find(this.away.at(i)) as Entry;
      if (entry.where === WHERE.dead) continue;
      if (isForgotten && entry.sinceMs === null) found.push(entry);
      entry.sinceMs ??= nowMs;
      const endMs = entry.sinceMs + entry.timeoutMs * DRIFT_MARGIN;
      const isDead = entry.where === WHERE.out && isGone(entry.client, entry.sinceMs);
      if (endMs > nowMs && !isDead) this.#tendMs = Math.min(this.#tendMs, endMs);
      else if (found.length < max) found.push(entry);
      else this.#tendMs = nowMs;
    }
    return found;
  }

  /** Hand-outs whose item leaves the queue, with the position that says so. */
  dead(max: number): { readonly handOut: HandOut; readonly item: Item; readonly seq: number }[] {
    const found: { readonly handOut: HandOut; readonly item: Item; readonly seq: number }[] = [];
    for (let i = 0; i < this.away.count && found.length < max; i++) {
      const item = this.away.at(i);
      const entry = this.find(item) as Entry;
      if (entry.where === WHERE.dead) found.push({ handOut: entry, item, seq: entry.seq });
    }
    return found;
  }

  dump(): string[] {
    const words = Object.keys(WHERE);
    return [...this.#entries].map(([name, { where, client, fence, timeoutMs, deliveries }]) => {
      const { lineage, epoch, seq } = fence;
      return `${name} ${words[where]} ${deliveries} ${client} ${lineage}.${epoch}.${seq} ${timeoutMs}`;
    });
  }

  clear(): void {
    this.away.clear();
    this.#entries.clear();
    this.#lo = 0;
    this.#hi = 0;
  }
}

export function itemAt(items: Items, place: Place): Item | undefined {
  const index = items.indexOf(place);
  const item = index < items.count ? items.at(index) : undefined;
  return item !== undefined && comparePlaces(item, place) === 0 ? item : undefined;
}

/** They were marked as gone, so that the ring lets go of them. */
function move(moved: Item[], from: Items, to: Items): void {
  if (moved.length === 0) return;
  moved.sort(comparePlaces);
  from.sweep(moved.length, from.indexOf(moved[0] as Item));
  for (const item of moved) item.isGone = false;
  to.put(moved);
}
