/**
 * What a lock of a key consists of: its holder, its fence, and from whom it was taken last. How it travels, and how it is
 * told to people. Called by `key-locks.ts`.
 */
import type { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import { MAX_LOCK_OWNER_BYTES } from '../limits.js';
import { type EndedLock, NONE_ENDED, readEnded, writeEnded } from './ended-locks.js';
import type { HeldCodec } from './lease-table.js';
import { type LockFence, NO_FENCE, readFence, writeFence } from './lock-fence.js';

/** Why a lock is not held any more. */
export const WHY = { unlocked: 0, lease: 1, session: 2, forced: 3 } as const;
export type Why = (typeof WHY)[keyof typeof WHY];

export interface KeyLock {
  /** Session of the holder. */
  readonly client: number;
  /** '' for one that was taken without an owner. */
  readonly owner: string;
  /** Names the acquisition: a number that its session gives once. */
  readonly token: number;
  /** How often its owner has it. */
  readonly count: number;
  /** 0: for as long as the session lives. */
  readonly leaseMs: number;
  readonly fence: LockFence;
  /** Position at which it was last given, the first time or once more. */
  readonly givenSeq: number;
  /** First 32 bits of the lineage in which it was given. */
  readonly lineage: number;
  /** When it was taken, or given back, on the wall clock of the primary. */
  readonly atMs: number;
  /** Session from which the lock of the key was last taken against its will, and why. */
  readonly lostBy: number;
  readonly lostWhy: Why;
  /** Acquisitions that their holders, or `forceUnlock`, ended, as far as a merge may have to know of them. */
  readonly ended: readonly EndedLock[];
}

export const NOBODY: KeyLock = {
  client: 0,
  owner: '',
  token: 0,
  count: 0,
  leaseMs: 0,
  fence: NO_FENCE,
  givenSeq: 0,
  lineage: 0,
  atMs: 0,
  lostBy: 0,
  lostWhy: WHY.unlocked,
  ended: NONE_ENDED,
};

export const LOCK_CODEC: HeldCodec<KeyLock> = {
  write(out: Writer, lock: KeyLock) {
    const { client, owner, token, count, leaseMs, atMs, lostBy, lostWhy } = lock;
    out.f64(client);
    out.string(owner);
    out.f64(token);
    out.u32(count);
    out.u32(leaseMs);
    writeFence(out, lock.fence);
    out.f64(lock.givenSeq);
    out.u32(lock.lineage);
    out.f64(atMs);
    out.f64(lostBy);
    out.u8(lostWhy);
    writeEnded(out, lock.ended);
  },
  read(input: Reader): KeyLock {
    // Fields are read in the order in which they stand here.
    return {
      client: input.f64(),
      owner: input.string(MAX_LOCK_OWNER_BYTES),
      token: input.f64(),
      count: input.u32(),
      leaseMs: input.u32(),
      fence: readFence(input),
      givenSeq: input.f64(),
      lineage: input.u32(),
      atMs: input.f64(),
      lostBy: input.f64(),
      lostWhy: whyOf(input.u8()),
      ended: readEnded(input),
    };
  },
};

function whyOf(given: number): Why {
  if (given > WHY.forced) throw new ProtocolError(`unknown end of a lock: ${given}`);
  return given as Why;
}

/** Names who may write while somebody holds a key: the calls of one owner of one session. */
export function holderName(client: number, owner: string): string {
  return `${client}/${owner}`;
}

/** For people: another session is that of another client or embedded member, with the number that `publisher` of topics has. */
export function whoHolds(
  { client, owner }: KeyLock,
  caller: { readonly client: number; readonly lockOwner: string },
): string {
  const by = owner === '' ? 'by a lock() without lockOwner' : `with the lockOwner '${owner}'`;
  if (client === caller.client) return `this client or member itself, ${by}`;
  return `another client or member (session ${client.toString(16).padStart(14, '0')}), ${by}`;
}

export function endedBy(why: Why): string {
  if (why === WHY.lease) return 'its lease had ended';
  if (why === WHY.session) return 'nothing had been heard of the session for too long';
  if (why === WHY.forced) return 'somebody called forceUnlock';
  return 'it was unlocked';
}
