/** The numbers by which acquisitions of one lock are told apart and ordered, and how they travel. Called by whatever has locks. */
import type { Reader, Writer } from '../../src/base/bytes.js';

/** Of two fences of a key in one history the later one is larger, by epoch, then by position. */
export interface LockFence {
  /** View in which the primary took over that gave it; above those of lineages that were merged. */
  readonly epoch: number;
  /** Position of the stream at which it was given. */
  readonly seq: number;
}

export const NO_FENCE: LockFence = { epoch: 0, seq: 0 };

/** Of acquisitions of one history: two sides may give equal fences after they have parted. */
export function isSameFence(a: LockFence, b: LockFence): boolean {
  return a.epoch === b.epoch && a.seq === b.seq;
}

export function writeFence(out: Writer, { epoch, seq }: LockFence): void {
  out.u32(epoch);
  out.f64(seq);
}

export function readFence(input: Reader): LockFence {
  return { epoch: input.u32(), seq: input.f64() };
}
