/**
 * The parts of a queue as bytes, in deltas, copies and merges: items, runs of names, ranges of what is gone. What is
 * read comes from the network, so each number is checked.
 */
import { Reader, type Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import type { Actor } from '../../service.js';
import { ACTOR_BYTES, nameOfActor, readActor, writeActor } from '../actors.js';
import { MAX_ITEMS } from './ops.js';
import { Ranges } from './ranges.js';

export const DELTA = { add: 1, remove: 2, purge: 3, merge: 4, hand: 5 } as const;
/** In copies and merges. */
export const RECORD = { gone: 1, item: 2, removed: 3, taken: 4, handed: 5 } as const;

/**
 * Of an item that was taken, in a merge: both sides had it; its bytes follow; the call that had added it is one that the
 * other side has applied itself, or declared void.
 */
export const TAKEN = { shared: 1, withBytes: 2, doubled: 4 } as const;

/** Times are below this, so that a place fits into a cursor. */
const MAX_TIME_MS = 2 ** 42 - 2 ** 20;
const MAX_TRACE_BYTES = 256;

/** What an item is called by: who added it, and the how manieth of that one it is. */
export interface ItemName {
  readonly actor: Actor;
  readonly ordinal: number;
}

/** An item with its bytes, as it is written. */
export interface ItemImage extends ItemName {
  readonly ms: number;
  readonly counter: number;
  readonly bytes: Uint8Array;
}

/** Items of one adder with successive numbers; the place is that of the first one. */
export interface Run {
  readonly actor: Actor;
  readonly from: number;
  readonly count: number;
  readonly ms: number;
  readonly counter: number;
}

/** Items that one call or one merge took away. */
export interface Removal {
  readonly ms: number;
  /** Somebody got the items; they were not just dropped. */
  readonly isTaken: boolean;
  readonly by: Actor;
  readonly runs: readonly Run[];
}

/** That somebody got an item, and by what that is told from another time that it was given out. */
export interface Take {
  readonly by: Actor;
  /** Position in the history of the primary that gave it out. */
  readonly bySeq: number;
  readonly takenMs: number;
}

/** What is gone of one adder, as of a position and a time. */
export interface GoneRecord {
  readonly actor: Actor;
  readonly seq: number;
  readonly ms: number;
  readonly gone: Ranges;
}

export type Named = ItemName & Pick<ItemImage, 'ms' | 'counter'>;

/** Items in order, as runs. */
export function runsOf(items: readonly Named[]): Run[] {
  const runs: (Run & { count: number })[] = [];
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

/** With the kind of the delta in front. */
export function writeRemoval(out: Writer, { ms, isTaken, by, runs }: Removal): void {
  out.u8(DELTA.remove);
  out.f64(ms);
  out.u8(isTaken ? 1 : 0);
  writeActor(out, by);
  out.u32(runs.length);
  for (const { actor, from, count, ms: firstMs, counter } of runs) {
    writeActor(out, actor);
    out.f64(from);
    out.u32(count);
    out.f64(firstMs);
    out.u16(counter);
  }
}

export function readRemoval(input: Reader): Removal {
  const ms = readTime(input);
  const isTaken = input.u8() === 1;
  const by = readActor(input);
  const runs: Run[] = [];
  for (let left = input.u32(); left > 0; left--) runs.push(readRun(input));
  return { ms, isTaken, by, runs };
}

function readRun(input: Reader): Run {
  // Fields are read in the order in which they stand here.
  const run = {
    actor: readActor(input),
    from: readWhole(input),
    count: input.u32(),
    ms: readTime(input),
    counter: input.u16(),
  };
  if (run.count === 0) throw new ProtocolError('a queue with an empty run of items');
  return run;
}

/** With the kind of the delta in front; the items themselves follow, each by `writeAddedItem`. */
export function writeAdded(out: Writer, actor: Actor, from: number, count: number): void {
  out.u8(DELTA.add);
  writeActor(out, actor);
  out.f64(from);
  out.u32(count);
}

/** Kind, adder, first number and count: what stands in front of the items. */
const ADDED_HEAD_BYTES = 1 + ACTOR_BYTES + 8 + 4;

export function writeAddedItem(out: Writer, { ms, counter, bytes }: ItemImage): void {
  out.f64(ms);
  out.u16(counter);
  out.bytes(bytes);
}

export function readAdded(input: Reader): ItemImage[] {
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

/** See `Service.traceOf`: the names that the call added or took away. */
export function traceOf(delta: Uint8Array): Uint8Array | null {
  if (delta[0] === DELTA.add) return new Uint8Array(delta.subarray(0, ADDED_HEAD_BYTES));
  const isSmall = delta[0] === DELTA.remove && delta.length <= MAX_TRACE_BYTES;
  return isSmall ? new Uint8Array(delta) : null;
}

/** Names of items, by adder. */
export class NameSet {
  readonly #byAdder = new Map<string, Ranges>();

  get isEmpty(): boolean {
    return this.#byAdder.size === 0;
  }

  add(actor: Actor, from: number, count = 1): void {
    const name = nameOfActor(actor);
    let ranges = this.#byAdder.get(name);
    if (ranges === undefined) {
      ranges = new Ranges();
      this.#byAdder.set(name, ranges);
    }
    ranges.add(from, from + count);
  }

  has({ actor, ordinal }: ItemName): boolean {
    return !this.isEmpty && this.#byAdder.get(nameOfActor(actor))?.has(ordinal) === true;
  }

  /** The ranges less what is named here of their adder. */
  leftOf(actor: Actor, ranges: Ranges): Ranges {
    const cut = this.#byAdder.get(nameOfActor(actor));
    return cut === undefined ? ranges : ranges.without(cut);
  }
}

/** What calls did, of traces or of whole deltas: the names that they added, and those that they took away. */
export class Traces {
  readonly added = new NameSet();
  readonly removed = new NameSet();

  constructor(deltas: Iterable<Uint8Array>) {
    for (const delta of deltas) if (delta.length > 0) this.#read(new Reader(delta));
  }

  #read(input: Reader): void {
    const kind = input.u8();
    if (kind === DELTA.add) this.added.add(readActor(input), readWhole(input), input.u32());
    else if (kind === DELTA.remove)
      for (const { actor, from, count } of readRemoval(input).runs) this.removed.add(actor, from, count);
  }
}

/** Without its bytes. */
export function writeName(out: Writer, { actor, ordinal, ms, counter }: Named): void {
  writeActor(out, actor);
  out.f64(ordinal);
  out.f64(ms);
  out.u16(counter);
}

export function readName(input: Reader): Named {
  // Fields are read in the order in which they stand here.
  return { actor: readActor(input), ordinal: readWhole(input), ms: readTime(input), counter: input.u16() };
}

export function textOf({ actor, ordinal }: ItemName): string {
  return `${nameOfActor(actor)}#${ordinal}`;
}

export function writeItem(out: Writer, item: Named, bytes: Uint8Array): void {
  writeName(out, item);
  out.bytes(bytes);
}

export function readItem(input: Reader): ItemImage {
  return { ...readName(input), bytes: input.blob(MAX_VALUE_BYTES + 1) };
}

export function writeTake(out: Writer, { by, bySeq, takenMs }: Take): void {
  writeActor(out, by);
  out.f64(bySeq);
  out.f64(takenMs);
}

export function readTake(input: Reader): Take {
  // Fields are read in the order in which they stand here.
  return { by: readActor(input), bySeq: readWhole(input), takenMs: readTime(input) };
}

export function writeGone(out: Writer, { actor, seq, ms, gone }: GoneRecord): void {
  writeActor(out, actor);
  out.f64(seq);
  out.f64(ms);
  gone.write(out);
}

export function readGone(input: Reader): GoneRecord {
  // Fields are read in the order in which they stand here.
  return { actor: readActor(input), seq: readWhole(input), ms: readTime(input), gone: Ranges.read(input) };
}

export function readWhole(input: Reader): number {
  const value = input.f64();
  if (!Number.isSafeInteger(value) || value < 0) throw new ProtocolError(`a queue with the number ${value}`);
  return value;
}

export function isTime(ms: number): boolean {
  return Number.isInteger(ms) && ms >= 0 && ms < MAX_TIME_MS;
}

export function readTime(input: Reader): number {
  const ms = input.f64();
  if (!isTime(ms)) throw new ProtocolError(`a queue with the time ${ms}`);
  return ms;
}
