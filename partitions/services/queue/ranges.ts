/**
 * A set of whole numbers as ranges: of each primary's items those that are gone. Invariant: the ranges are sorted and
 * neither touch nor overlap, so that equal sets are equal lists. Taking from the head extends the last range; what is
 * taken from the middle costs as much as there are ranges behind it. Called by the state of a queue.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';

const MAX_RANGES = 4 * 1024 * 1024;

export class Ranges {
  /** First and end (not included) in turn. */
  readonly #bounds: number[] = [];

  get length(): number {
    return this.#bounds.length / 2;
  }

  has(value: number): boolean {
    return (this.#after(value) & 1) === 1;
  }

  /** How many of [from, end) are in the set. */
  overlap(from: number, end: number): number {
    let size = 0;
    for (let i = this.#after(from) & ~1; i < this.#bounds.length; i += 2) {
      const [first, last] = [this.#bounds[i] as number, this.#bounds[i + 1] as number];
      if (first >= end) break;
      size += Math.min(last, end) - Math.max(first, from);
    }
    return size;
  }

  /** Adds [from, end); false when all of it was there. */
  add(from: number, end: number): boolean {
    const bounds = this.#bounds;
    const size = bounds.length;
    if (size === 0 || from > (bounds[size - 1] as number)) {
      bounds.push(from, end);
      return true;
    }
    if (from >= (bounds[size - 2] as number)) {
      if (end <= (bounds[size - 1] as number)) return false;
      bounds[size - 1] = end;
      return true;
    }
    return this.#insert(from, end);
  }

  #insert(from: number, end: number): boolean {
    const bounds = this.#bounds;
    // Ranges that touch are joined, so both ends are looked for one further out.
    let first = this.#after(from - 1);
    if ((first & 1) === 1) first--;
    let behind = this.#after(end);
    if ((behind & 1) === 1) behind++;
    if (behind - first === 2 && (bounds[first] as number) <= from && (bounds[first + 1] as number) >= end)
      return false;
    const low = behind > first ? Math.min(from, bounds[first] as number) : from;
    const high = behind > first ? Math.max(end, bounds[behind - 1] as number) : end;
    bounds.splice(first, behind - first, low, high);
    return true;
  }

  /** Index of the first bound that is greater than the value: odd inside of a range. */
  #after(value: number): number {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((bounds[middle] as number) <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  each(visit: (from: number, end: number) => void): void {
    for (let i = 0; i < this.#bounds.length; i += 2)
      visit(this.#bounds[i] as number, this.#bounds[i + 1] as number);
  }

  clear(): void {
    this.#bounds.length = 0;
  }

  toString(): string {
    const texts: string[] = [];
    this.each((from, end) => texts.push(`${from}-${end - 1}`));
    return texts.join(' ');
  }

  write(out: Writer): void {
    out.u32(this.length);
    this.each((from, end) => {
      out.f64(from);
      out.f64(end);
    });
  }

  /** Calls `visit` with each range that was written. */
  static read(input: Reader, visit: (from: number, end: number) => void): void {
    const size = input.u32();
    if (size > MAX_RANGES || size * 16 > input.remaining)
      throw new ProtocolError(`a queue with ${size} ranges of removed items`);
    for (let i = 0; i < size; i++) {
      const from = input.f64();
      const end = input.f64();
      if (!(Number.isSafeInteger(from) && Number.isSafeInteger(end) && 0 <= from && from < end))
        throw new ProtocolError(`a queue with the range ${from} to ${end}`);
      visit(from, end);
    }
  }
}
