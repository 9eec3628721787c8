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

  /** Those of this set that are not in the other one. */
  without(other: Ranges): Ranges {
    const left = new Ranges();
    this.each((from, end) => {
      let at = from;
      for (let i = other.#after(from) & ~1; i < other.#bounds.length && at < end; i += 2) {
        const [first, last] = [other.#bounds[i] as number, other.#bounds[i + 1] as number];
        if (first > at) left.add(at, Math.min(first, end));
        at = Math.max(at, last);
      }
      if (at < end) left.add(at, end);
    });
    return left;
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

  static read(input: Reader): Ranges {
    const size = input.u32();
    if (size > MAX_RANGES || size * 16 > input.remaining)
      throw new ProtocolError(`a queue with ${size} ranges of removed items`);
    const ranges = new Ranges();
    for (let i = 0; i < size; i++) {
      const from = input.f64();
      const end = input.f64();
      if (!(Number.isSafeInteger(from) && Number.isSafeInteger(end) && 0 <= from && from < end))
        throw new ProtocolError(`a queue with the range ${from} to ${end}`);
      ranges.add(from, end);
    }
    return ranges;
  }
}
