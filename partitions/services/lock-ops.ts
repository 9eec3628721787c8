/**
 * The operations of locks of keys, the same for every structure that has them. Who calls is known from the call itself:
 * its session and the owner that it names. Called by the `ops.ts` of map and multimap.
 */
import { bool, count, type FieldsOf, optional, record, text, u32 } from '../../src/wire/fields.js';
import type { OperationDef, operationsOf } from '../../src/wire/message.js';
import { key } from './keyed-ops.js';

const fence = record({ epoch: u32, seq: count });

const lock = {
  request: { key, token: count, waitMs: u32, leaseMs: u32 },
  reply: { fence: optional(fence), holder: text(512), mayBeElsewhere: bool },
};
const unlock = { request: { key, token: count, fence: optional(fence) }, reply: {} };
const forceUnlock = { request: { key }, reply: { unlocked: bool } };
const isLocked = { request: { key }, reply: { locked: bool } };

type Def<S extends typeof lock | typeof unlock | typeof forceUnlock | typeof isLocked> = OperationDef<
  FieldsOf<S['request']>,
  FieldsOf<S['reply']>
>;

export interface LockOperations {
  readonly lock: Def<typeof lock>;
  readonly unlock: Def<typeof unlock>;
  readonly forceUnlock: Def<typeof forceUnlock>;
  readonly isLocked: Def<typeof isLocked>;
}

/** `firstIndex`: of four numbers in a row. */
export function lockOperations(operation: ReturnType<typeof operationsOf>, firstIndex: number) {
  return {
    lock: operation({
      index: firstIndex,
      name: 'lock',
      kind: 'write',
      doc: 'Locks a key for the owner that the call names, once more if it holds it, else for this acquisition alone (token); waits up to waitMs in order of arrival. leaseMs 0: until the session ends. Without a fence: holder says who has it, and mayBeElsewhere that another side of a split may have given it.',
      ...lock,
    }),
    unlock: operation({
      index: firstIndex + 1,
      name: 'unlock',
      kind: 'write',
      doc: 'Gives a lock of the caller back once; with a token (else 0) or a fence only if it is the one of that acquisition.',
      ...unlock,
    }),
    forceUnlock: operation({
      index: firstIndex + 2,
      name: 'forceUnlock',
      kind: 'write',
      doc: 'Ends the lock of a key, whoever holds it; answers whether somebody did.',
      ...forceUnlock,
    }),
    isLocked: operation({
      index: firstIndex + 3,
      name: 'isLocked',
      kind: 'read',
      doc: 'Whether somebody holds the lock of a key.',
      ...isLocked,
    }),
  };
}
