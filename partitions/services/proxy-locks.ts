/**
 * What users do with locks of keys, the same for every structure that has them: arguments become requests, fences become
 * numbers that compare. Invariant: an acquisition that its caller was not given, and that may have been granted all the
 * same, is given back. Called by the proxies of map and multimap.
 */
import {
  ClientClosedError,
  IndeterminateError,
  KeyLockedError,
  LockLostError,
  NotLockOwnerError,
  type Resolution,
} from '../../src/base/errors.js';
import { keyText } from '../../src/wire/key-text.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { OperationDef, ReplyOf } from '../../src/wire/message.js';
import { checkWait, type RequestOptions } from '../invoker.js';
import type { LockFence } from './lock-fence.js';
import type { LockOperations } from './lock-ops.js';
import { attempt, inParts, type KeyedRequests, keyOnly, nothing, pause } from './proxy-requests.js';

/** Of the time of a call: the primary answers this much before its end, so that the caller knows the outcome. */
const MARGIN_MS = 1_000;
/** What nobody knows of is given back: asked about, and unlocked, so often, each time for so long. */
const GIVE_BACK_TRIES = 30;
const GIVE_BACK_MS = 10_000;
/** Doubled from one try to the next. */
const GIVE_BACK_PAUSE_MS = 1_000;
const MAX_GIVE_BACK_PAUSE_MS = 8_000;
const MAX_LEASE_MS = 0xffff_ffff;
/** Of a fence, for the position; no partition gets further under one primary. */
const POSITION_BITS = 44n;

const UNKNOWN: Resolution<unknown> = { outcome: 'unknown' };

type LockReply = ReplyOf<LockOperations['lock']>;

export class ProxyLocks<K> {
  readonly #requests: KeyedRequests<K, unknown>;
  readonly #operations: LockOperations;

  constructor(requests: KeyedRequests<K, unknown>, operations: LockOperations) {
    // Whatever the preset of the structure: a lock waits for its sync backups.
    this.#requests = requests.with({ ...requests.options, isStrict: true });
    this.#operations = operations;
  }

  lock(key: K, leaseMs?: number): Promise<bigint> {
    return attempt(async () => {
      const keyBytes = encodeKey(key);
      const lease = checkedLease(leaseMs);
      const { name, invoker, options } = this.#requests;
      const totalMs = (invoker.bounded(options).deadlineMs as number) - invoker.clock.now();
      const marginMs = Math.min(MARGIN_MS, totalMs / 4);
      const ending = { ...options, timeoutMs: marginMs };
      const { fence, holder } = await this.#acquire(keyBytes, totalMs - marginMs, lease, ending);
      if (fence !== null) return fenceOf(fence);
      const [inAll, rest] = [Math.round(totalMs), Math.round(marginMs)];
      const kept = `timeoutMs is ${inAll}, of which the last ${rest} are kept for the answer`;
      const waited = `lock of the key ${keyText(keyBytes)} of '${name}' was not had within ${inAll - rest} ms (${kept})`;
      throw new KeyLockedError(`${waited}: it is locked by ${holder}; try again, or give it more time`);
    });
  }

  tryLock(key: K, timeoutMs = 0, leaseMs?: number): Promise<bigint | null> {
    return attempt(async () => {
      const keyBytes = encodeKey(key);
      checkWait('timeoutMs', timeoutMs);
      const { options } = this.#requests;
      const { fence } = await this.#acquire(keyBytes, timeoutMs, checkedLease(leaseMs), {
        ...options,
        calledAs: 'tryLock',
      });
      return fence === null ? null : fenceOf(fence);
    });
  }

  unlock(key: K, fence?: bigint): Promise<void> {
    return attempt(() => this.#unlock(encodeKey(key), 0, fence === undefined ? null : fieldsOf(fence)));
  }

  forceUnlock(key: K): Promise<void> {
    return attempt(() => this.#send(this.#operations.forceUnlock, keyOnly(encodeKey(key)), nothing));
  }

  isLocked(key: K): Promise<boolean> {
    const request = () => keyOnly(encodeKey(key));
    return attempt(() => this.#send(this.#operations.isLocked, request(), ({ locked }) => locked));
  }

  #acquire(
    keyBytes: Uint8Array,
    waitMs: number,
    leaseMs: number,
    options: RequestOptions,
  ): Promise<LockReply> {
    const { clock } = this.#requests.invoker;
    const once = (partMs: number) => this.#acquireOnce(keyBytes, partMs, leaseMs, options);
    return inParts(clock, waitMs, once, ({ fence }) => fence !== null);
  }

  async #acquireOnce(
    keyBytes: Uint8Array,
    waitMs: number,
    leaseMs: number,
    options: RequestOptions,
  ): Promise<LockReply> {
    const token = this.#requests.invoker.nextToken();
    const request = { key: keyBytes, token, waitMs, leaseMs };
    try {
      const reply = await this.#send(this.#operations.lock, request, (it) => it, { ...options, waitMs });
      if (reply.fence === null && reply.mayBeElsewhere) void this.#giveBack(null, keyBytes, token);
      return reply;
    } catch (error) {
      if (error instanceof IndeterminateError) void this.#giveBack(error, keyBytes, token);
      throw error;
    }
  }

  /**
   * The caller was told that nobody knows: so it does not hold the lock, whatever became of the call, or may still become
   * of it where it waits. `error` null: it was told that it does not have it, by a side that may not be the one that stays;
   * what that side says of the call is no news then, and the lock may be there only when the sides are one again.
   */
  async #giveBack(error: IndeterminateError | null, keyBytes: Uint8Array, token: number): Promise<void> {
    const { invoker } = this.#requests;
    for (let tries = 0; tries < GIVE_BACK_TRIES; tries++) {
      const resolution = (await error?.resolve()) ?? UNKNOWN;
      if (resolution.outcome === 'not done') return;
      const reply = resolution.outcome === 'done' ? (resolution.reply as LockReply | undefined) : undefined;
      if (reply?.fence === null && !reply.mayBeElsewhere) return;
      const isGiven = resolution.outcome === 'done' && reply?.fence !== null;
      const ended = await this.#tryGiveBack(keyBytes, token);
      if (ended === 'given back' || (ended === 'not held' && isGiven)) return;
      await pause(invoker, Math.min(MAX_GIVE_BACK_PAUSE_MS, GIVE_BACK_PAUSE_MS * 2 ** tries));
    }
  }

  async #tryGiveBack(key: Uint8Array, token: number): Promise<'given back' | 'not held' | 'unknown'> {
    // Whatever ended the call must not end this.
    const { signal: _, ...others } = this.#requests.options;
    const options = { ...others, timeoutMs: GIVE_BACK_MS };
    try {
      await this.#send(this.#operations.unlock, { key, token, fence: null }, nothing, options);
      return 'given back';
    } catch (error) {
      // A session that has ended holds nothing.
      if (error instanceof ClientClosedError) return 'given back';
      const isHeld = !(error instanceof NotLockOwnerError || error instanceof LockLostError);
      return isHeld ? 'unknown' : 'not held';
    }
  }

  #unlock(keyBytes: Uint8Array, token: number, fence: LockFence | null): Promise<void> {
    return this.#send(this.#operations.unlock, { key: keyBytes, token, fence }, nothing);
  }

  #send<Q extends { readonly key: Uint8Array }, P, R>(
    operation: OperationDef<Q, P>,
    request: Q,
    decode: (reply: P) => R,
    options: RequestOptions = this.#requests.options,
  ): Promise<R> {
    const requests = this.#requests;
    const partition = requests.partition(request.key);
    return requests.invoker.invoke(operation, partition, requests.name, request, options, decode);
  }
}

/** 0 for none: until the session ends. */
function checkedLease(leaseMs: number | undefined): number {
  if (leaseMs === undefined || leaseMs === Number.POSITIVE_INFINITY) return 0;
  if (typeof leaseMs === 'number' && leaseMs > 0 && leaseMs <= MAX_LEASE_MS) return Math.ceil(leaseMs);
  throw new TypeError(
    `leaseMs: expected milliseconds above 0, up to ${MAX_LEASE_MS}, or nothing for a lock without end, got ${String(leaseMs)}`,
  );
}

function fieldsOf(fence: unknown): LockFence {
  const most = 1n << (POSITION_BITS + 32n);
  if (typeof fence !== 'bigint' || fence < 0n || fence >= most)
    throw new TypeError(`fence: expected what lock gave, a bigint, got ${String(fence)}`);
  return { epoch: Number(fence >> POSITION_BITS), seq: Number(BigInt.asUintN(Number(POSITION_BITS), fence)) };
}

function fenceOf({ epoch, seq }: LockFence): bigint {
  return (BigInt(epoch) << POSITION_BITS) + BigInt(seq);
}
