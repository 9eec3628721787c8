/**
 * What the primary of a key decides about its lock, the same for every structure that has locks, and what it does with
 * writes of keys that somebody else holds. Invariants: a key has one holder; whoever waits for it gets it in the order in
 * which the primary heard of them. Called by the `service.ts` of map and multimap.
 */

import { Reader, textOf, Writer } from '../../src/base/bytes.js';
import type { AnyOperation } from '../../src/wire/message.js';
import type { OperationContext } from '../service.js';
import { holderName, whoHolds } from './key-lock.js';
import { givesLock, type KeyLocks } from './key-locks.js';
import type { LockOperations } from './lock-ops.js';
import type { HandlersOf } from './structure.js';

export interface Lockable {
  readonly locks: KeyLocks;
}

const FREE = { fence: null, holder: '', mayBeElsewhere: false };

export const lockHandlers: HandlersOf<
  Lockable,
  { readonly [K in keyof LockOperations]: LockOperations[K] & AnyOperation }
> = {
  lock({ locks }, { key, token, waitMs, leaseMs }, context) {
    const entry = locks.find(key);
    const isFree = entry === undefined || context.faults?.lockGrantedTwice === true;
    if (isFree) return { ...FREE, fence: locks.grant(key, token, leaseMs, context) };
    const { held } = entry;
    const { client, lockOwner } = context;
    const isNamed = lockOwner !== '';
    if (isNamed && !locks.isBlocked(key, context))
      return { ...FREE, fence: locks.grant(key, token, leaseMs, context) };
    // Without an owner each acquisition is one of its own, also beside others of its session.
    const as = isNamed ? holderName(client, lockOwner) : '';
    if (context.waitFor(textOf(key), holderName(held.client, held.owner), as, waitMs)) return FREE;
    return { fence: null, holder: whoHolds(held, context), mayBeElsewhere: context.mayBeElsewhere };
  },

  unlock({ locks }, { key, token, fence }, context) {
    locks.unlock(key, { token, fence }, context);
    return {};
  },

  forceUnlock: ({ locks }, { key }, context) => ({ unlocked: locks.forceUnlock(key, context) }),

  isLocked({ locks }, { key }, context) {
    const entry = locks.look(key);
    if (entry !== undefined) context.dependsOn(entry.seq);
    return { locked: entry?.isReleased === false };
  },
};

const GIVEN_ELSEWHERE = {
  fence: null,
  holder: 'the caller, on another side of a split that was merged in',
  mayBeElsewhere: true,
};

/**
 * `Service.replyElsewhere` of a structure whose deltas of locks begin with this kind: locks of the other side are gone, so
 * who asks again here is told that it does not have what it was given there, and gives it back should that side be the one
 * that stays.
 */
export function lockReplyElsewhere({ lock }: Pick<LockOperations, 'lock'>, kind: number) {
  return (delta: Uint8Array, reply: Uint8Array): Uint8Array | null => {
    const reader = new Reader(delta);
    // Unlocking one of several times leaves the lock as well, and has an empty reply.
    if (reply.length === 0 || reader.u8() !== kind || !givesLock(reader)) return null;
    const out = new Writer();
    lock.reply.write(out, GIVEN_ELSEWHERE);
    return out.toBytes();
  };
}

type Handler<S> = (state: S, request: never, context: OperationContext) => unknown;

/** The reply of a call that waits: nobody reads it. */
export const WAITS = {} as never;

/** The same handler of a write of one key, which waits while somebody else holds the key. */
export function guarded<S extends Lockable, Q extends { readonly key: Uint8Array }, P>(
  handler: (state: S, request: Q, context: OperationContext) => P,
): (state: S, request: Q, context: OperationContext) => P {
  return (state, request, context) => {
    if (state.locks.heldCount > 0 && state.locks.blocks(request.key, context)) return WAITS;
    return handler(state, request, context);
  };
}

/** The same for a write of several keys as one change: it waits for all of them. */
export function guardedAll<S extends Lockable, Q, P>(
  keysOf: (request: Q) => readonly { readonly key: Uint8Array }[],
  handler: (state: S, request: Q, context: OperationContext) => P,
): (state: S, request: Q, context: OperationContext) => P {
  return (state, request, context) => {
    const { locks } = state;
    if (locks.heldCount > 0 && keysOf(request).some(({ key }) => locks.blocks(key, context))) return WAITS;
    return handler(state, request, context);
  };
}

/** Handlers of a structure, with those of this list guarded. */
export function withGuards<S extends Lockable, H extends Readonly<Record<string, Handler<S>>>>(
  handlers: H,
  guardedNames: readonly (keyof H)[],
): H {
  const result: Record<string, unknown> = { ...handlers };
  for (const name of guardedNames) result[name as string] = guarded(handlers[name] as never);
  return result as H;
}
