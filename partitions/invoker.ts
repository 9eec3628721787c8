/**
 * How the public API of a structure reaches the grid: the same for clients and for embedded members. Proxies turn
 * arguments into requests and replies into values; routing, deadlines, retries and exactly-once are the invoker's.
 */

import type { GridError } from '../src/base/errors.js';
import { checkNames } from '../src/base/option-names.js';
import type { Clock } from '../src/base/ports.js';
import type { OperationDef } from '../src/wire/message.js';
import type { ValueCodec } from '../src/wire/values.js';
import type { AnswerPlace } from './call.js';
import type { Listening } from './events/listening.js';
import type { Place } from './history.js';
import { MAX_LOCK_OWNER_BYTES } from './limits.js';
import type { NearValues } from './near.js';

/** What a session has seen, by partition: the least that its next answers have to show. */
export interface SeenPlaces {
  lowest(partition: number): Place | null;
  /** `held`: what the answer was held against, which is part of what it shows; null for nothing. */
  saw(partition: number, place: Place, held: Place | null): void;
}

/** Options of one call, set through `structure.with(options)`. */
export interface CallOptions {
  /** The whole call, retries included, ends within this time. Default 10,000. */
  readonly timeoutMs?: number;
  /** Aborting before the call was sent rejects with `signal.reason`; a write aborted later is indeterminate. */
  readonly signal?: AbortSignal;
  /**
   * `EC`: a write waits for its sync backups, a read goes to the primary. `EL`: a write answers at once (never for a PC
   * structure), a read may be answered by any replica. Default: the preset of the structure.
   */
  readonly consistency?: 'EC' | 'EL';
  /** How far behind a read with `EL` may be, ms; one that no replica can answer so freshly goes to the primary. Default: any. */
  readonly maxStalenessMs?: number;
  /**
   * What the call must not go back behind: a session of `grid.session()`. Default with `EL`: everything that calls of this
   * client with `EL` have seen; null: nothing.
   */
  readonly session?: SeenPlaces | null;
  /**
   * Names the owner of locks, up to 128 bytes: a lock that a call takes through this view belongs to it in this client or
   * member, and only calls through a view with the same owner write the key, unlock it, and lock it again meanwhile.
   * Default: each `lock` is an acquisition of its own.
   */
  readonly lockOwner?: string;
}

/** Options of the requests of one call that sends several: all of them end at one time. */
export interface RequestOptions extends CallOptions {
  /** On the clock of the invoker that gave it. */
  readonly deadlineMs?: number;
  /** The call may wait at the primary for so long: it ends by so much later, and is asked for steadily. */
  readonly waitMs?: number;
  /** The method that was called, for messages; left out where it has the name of the operation. */
  readonly calledAs?: string | undefined;
  /** The answer has to tell its place. */
  readonly withPlace?: boolean;
  /** The call goes to the primary and waits as with `EC`, whatever else is asked for; its session sees it all the same. */
  readonly isStrict?: boolean;
}

const CALL_OPTIONS = [
  'timeoutMs',
  'signal',
  'consistency',
  'maxStalenessMs',
  'session',
  'lockOwner',
] as const;

/** Throws a TypeError for options that mean nothing; gives them back. */
export function checkedOptions<O extends CallOptions>(options: O): O {
  checkNames(options, CALL_OPTIONS);
  const { consistency, maxStalenessMs, timeoutMs, session, signal, lockOwner } = options;
  if (session !== undefined && session !== null && !isSession(session))
    throw new TypeError(
      'session: expected what client.session() gives, or null; for a token it is client.session(token)',
    );
  if (signal !== undefined && typeof signal?.addEventListener !== 'function')
    throw new TypeError('signal: expected an AbortSignal');
  if (consistency !== undefined && consistency !== 'EC' && consistency !== 'EL')
    throw new TypeError(`consistency: expected 'EC' or 'EL', got ${JSON.stringify(consistency)}`);
  if (lockOwner !== undefined) checkOwner(lockOwner);
  for (const [name, value] of Object.entries({ maxStalenessMs, timeoutMs })) {
    if (value !== undefined) checkWait(name, value);
  }
  return options;
}

/** How long something may take; `Infinity` too. Throws a TypeError that names it for what is no such time. */
export function checkWait(name: string, ms: unknown): void {
  if (typeof ms !== 'number' || !(ms >= 0))
    throw new TypeError(`${name}: expected milliseconds, 0 or more, got ${String(ms)}`);
}

function checkOwner(lockOwner: unknown): void {
  if (typeof lockOwner !== 'string' || lockOwner === '')
    throw new TypeError(`lockOwner: expected a text that is not empty, got ${JSON.stringify(lockOwner)}`);
  const bytes = Buffer.byteLength(lockOwner);
  if (bytes > MAX_LOCK_OWNER_BYTES)
    throw new TypeError(`lockOwner: it has ${bytes} bytes; the limit is ${MAX_LOCK_OWNER_BYTES}`);
}

function isSession(given: unknown): boolean {
  const { lowest, saw } = Object(given) as Partial<SeenPlaces>;
  return typeof lowest === 'function' && typeof saw === 'function';
}

export interface Invoker {
  /** Number of the session of all its calls, which no other invoker has. */
  readonly client: number;
  /** A number that this invoker gives only once. */
  nextToken(): number;
  readonly clock: Clock;
  readonly partitionCount: number;
  readonly codec: ValueCodec;
  /** What is kept in this process of a map's values; null without a near cache. */
  nearCache?(map: string): NearValues | null;
  /** How this process listens to changes; left out where nothing is told. */
  readonly listening?: Listening | undefined;
  /** Calls `fn` when calls are refused from now on, or at once when they are, with why; gives what ends that. */
  whenClosed(fn: (error: GridError) => void): () => void;
  /** The same options with the deadline of a call that begins now, for all the requests that it sends. */
  bounded(options: RequestOptions): RequestOptions;
  /**
   * Runs an operation in a partition of a structure. `decode` is called as soon as the reply is there, in the same
   * turn: byte fields of the reply are views into a frame and must be copied or decoded by it. `place` is null when the
   * call did not ask for it. Rejects with a `GridError` (or what `decode` throws).
   */
  invoke<Q, P, R>(
    operation: OperationDef<Q, P>,
    partition: number,
    structure: string,
    request: Q,
    options: RequestOptions,
    decode: (reply: P, place: AnswerPlace | null) => R,
  ): Promise<R>;
  /** Reads may be sent for several partitions at a time; else every call goes by itself. */
  readonly fansOut: boolean;
  /**
   * Runs a read that fans out in several partitions, `MAX_FAN_OUT` at the most, with one message to each member that has some
   * of them; each partition counts as a call. `take` is called as `decode` is, with what one partition has answered, or
   * several together, and each partition once. Resolves when all have answered, or when `take` has given true: enough is
   * known. Rejects as soon as one partition fails, with what it failed with.
   */
  invokeEach<Q, P>(
    operation: OperationDef<Q, P>,
    partitions: readonly number[],
    structure: string,
    request: Q,
    options: RequestOptions,
    take: (reply: P, partitions: readonly number[]) => boolean,
  ): Promise<void>;
}
