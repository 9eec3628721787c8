/**
 * Which acquisitions of a lock their holders have ended, for merges: the side that goes on may hold one that was unlocked
 * on this side after they had parted. It holds the one that was held where they parted, which can be any: so what each
 * primary ended first is kept (it was held when it took over), and what it ended last (others may have parted without its
 * last positions, which they would have had to acknowledge before more could be locked and unlocked). Invariant: a list
 * has a bound. Called by `key-locks.ts`.
 */
import type { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import type { Actor } from '../service.js';
import { type LockFence, readFence, writeFence } from './lock-fence.js';

/** Beside the first one of a primary. */
const LAST_OF_PRIMARY = 4;
/** Of one key: those of the last takeovers, as a rule. */
export const MAX_ENDED = 32;

export interface EndedLock {
  readonly fence: LockFence;
  /** Position of its end. */
  readonly seq: number;
  /** Under which primary it ended; zeros when another side has told of it. */
  readonly lineage: number;
  readonly epoch: number;
  /** Wall clock of the primary. */
  readonly atMs: number;
}

export const NONE_ENDED: readonly EndedLock[] = [];

export const ENDED_ELSEWHERE = { lineage: 0, epoch: 0 } as const;

/** The list with one more; `sinceMs`: no fork can be alive any more that parted before. */
export function withEnded(
  list: readonly EndedLock[],
  ended: EndedLock,
  sinceMs: number,
): readonly EndedLock[] {
  const kept = [...list.filter(({ atMs }) => atMs >= sinceMs), ended];
  const own = ended.epoch === 0 ? [] : kept.filter((one) => isSamePrimary(one, ended));
  if (own.length > 1 + LAST_OF_PRIMARY) kept.splice(kept.indexOf(own[1] as EndedLock), 1);
  return kept.slice(-MAX_ENDED);
}

function isSamePrimary(a: Pick<Actor, 'lineage' | 'epoch'>, b: typeof a): boolean {
  return a.lineage === b.lineage && a.epoch === b.epoch;
}

/** Those that were held at a position, and ended behind it. */
export function endedBeyond(list: readonly EndedLock[], sharedSeq: number): LockFence[] {
  return list.filter(({ fence, seq }) => fence.seq <= sharedSeq && seq > sharedSeq).map(({ fence }) => fence);
}

export function writeEnded(out: Writer, list: readonly EndedLock[]): void {
  out.u8(list.length);
  for (const { fence, seq, lineage, epoch, atMs } of list) {
    writeFence(out, fence);
    out.f64(seq);
    out.u32(lineage);
    out.u32(epoch);
    out.f64(atMs);
  }
}

export function readEnded(input: Reader): readonly EndedLock[] {
  const length = input.u8();
  if (length > MAX_ENDED) throw new ProtocolError(`${length} ended locks of one key`);
  // Fields are read in the order in which they stand here.
  return Array.from({ length }, () => ({
    fence: readFence(input),
    seq: input.f64(),
    lineage: input.u32(),
    epoch: input.u32(),
    atMs: input.f64(),
  }));
}
