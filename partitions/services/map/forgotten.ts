/**
 * Where a store may have writes of this side of a split of which the memory keeps no trace: the entry went out of memory,
 * or was loaded again. A position for each range of hashes, the last one of such a write. A merge tells the other side,
 * which asks the store then for what it has in these ranges itself. Part of the replicated state, but not of digests: it
 * may say more than was, never less. Only maps whose store was told something keep it. Called by `owed.ts`.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';

/** Hashes have 32 bits. */
export const RANGES = 256;
const SHIFT = 24;

export class Forgotten {
  /** The store was told of something, or is owed it. */
  isOn = false;
  #seqs: Float64Array | null = null;

  get sizeBytes(): number {
    return this.#seqs?.byteLength ?? 0;
  }

  begin(): void {
    this.isOn = true;
  }

  note(hash: number, seq: number): void {
    this.noteRange(hash >>> SHIFT, seq);
  }

  noteRange(range: number, seq: number): void {
    this.isOn = true;
    this.#seqs ??= new Float64Array(RANGES);
    if (range < RANGES && seq > (this.#seqs[range] as number)) this.#seqs[range] = seq;
  }

  /** Those with a write beyond a position. */
  beyond(seq: number): number[] {
    return [...(this.#seqs ?? []).entries()].flatMap(([range, at]) => (at > seq ? [range] : []));
  }

  copy(out: Writer): void {
    const ranges = this.beyond(0);
    out.u16(ranges.length);
    for (const range of ranges) {
      out.u8(range);
      out.f64((this.#seqs as Float64Array)[range] as number);
    }
  }

  paste(input: Reader): void {
    this.begin();
    for (let left = input.u16(); left > 0; left--) this.noteRange(input.u8(), input.f64());
  }

  clear(): void {
    this.isOn = false;
    this.#seqs = null;
  }
}

/** The first and the last hash of a range. */
export function boundsOf(range: number): readonly [number, number] {
  const first = range * 2 ** SHIFT;
  return [first, first + 2 ** SHIFT - 1];
}
