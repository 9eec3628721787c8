/**
 * Which acquisitions of a lock their holders have ended, for merges: the side that goes on, or a third one, may hold one
 * that was unlocked on this side after they had parted. It holds the one that was held where they parted, which can be any:
 * so what each primary ended first is kept (it was held when it took over), and what it ended last (others may have parted
 * without its last positions, which they would have had to acknowledge before more could be locked and unlocked); and
 * what was told by sides that were merged in. Invariant: a list has a bound. Called by `key-locks.ts`.
 */
import type { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import { type EpochName, isSameEpoch } from '../history.js';
import { isSameFence, type LockFence, readFence, writeFence } from './lock-fence.js';

/** Beside the first one of a primary. */
const LAST_OF_PRIMARY = 4;
/** Of one key: those of the last takeovers, as a rule. */
export const MAX_ENDED = 48;

/** An acquisition, so that any side knows it by its name. */
export interface NamedLock {
  readonly fence: LockFence;
  /** In which it was given: two sides may give equal fences. */
  readonly lineage: number;
  /** Position at which it was last given, the first time or once more. */
  readonly givenSeq: number;
}

export interface EndedLock extends NamedLock {
  /** Position of its end. */
  readonly seq: number;
  /** Under which primary it ended; zeros when another side has told of it. */
  readonly by: EpochName;
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
  const own = ended.by.epoch === 0 ? [] : kept.filter(({ by }) => isSameEpoch(by, ended.by));
  if (own.length > 1 + LAST_OF_PRIMARY) kept.splice(kept.indexOf(own[1] as EndedLock), 1);
  return kept.slice(-MAX_ENDED);
}

export function isSameLock(a: Omit<NamedLock, 'givenSeq'>, b: typeof a): boolean {
  return a.lineage === b.lineage && isSameFence(a.fence, b.fence);
}

/** What a name takes on the wire. */
export const NAMED_BYTES = 24;

export function writeNamed(out: Writer, { fence, lineage, givenSeq }: NamedLock): void {
  writeFence(out, fence);
  out.u32(lineage);
  out.f64(givenSeq);
}

/** Fields are read in the order in which they stand here. */
export function readNamed(input: Reader): NamedLock {
  return { fence: readFence(input), lineage: input.u32(), givenSeq: input.f64() };
}

export function writeEnded(out: Writer, list: readonly EndedLock[]): void {
  out.u8(list.length);
  for (const ended of list) {
    writeNamed(out, ended);
    out.f64(ended.seq);
    out.u32(ended.by.lineage);
    out.u32(ended.by.epoch);
    out.f64(ended.atMs);
  }
}

export function readEnded(input: Reader): readonly EndedLock[] {
  const length = input.u8();
  if (length > MAX_ENDED) throw new ProtocolError(`${length} ended locks of one key`);
  // Fields are read in the order in which they stand here.
  return Array.from({ length }, () => ({
    ...readNamed(input),
    seq: input.f64(),
    by: { lineage: input.u32(), epoch: input.u32() },
    atMs: input.f64(),
  }));
}
