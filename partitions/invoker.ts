/**
 * How the public API of a structure reaches the grid: the same for clients and for embedded members. Proxies turn
 * arguments into requests and replies into values; routing, deadlines, retries and exactly-once are the invoker's.
 */
import type { OperationDef } from '../src/wire/message.js';
import type { ValueCodec } from '../src/wire/values.js';

/** Options of one call, set through `structure.with(options)`. */
export interface CallOptions {
  /** The whole call, retries included, ends within this time. Default 10,000. */
  readonly timeoutMs?: number;
  /** Aborting before the call was sent rejects with `signal.reason`; a write aborted later is indeterminate. */
  readonly signal?: AbortSignal;
}

/** Options of the requests of one call that sends several: all of them end at one time. */
export interface RequestOptions extends CallOptions {
  /** On the clock of the invoker that gave it. */
  readonly deadlineMs?: number;
}

export interface Invoker {
  readonly partitionCount: number;
  readonly codec: ValueCodec;
  /** The same options with the deadline of a call that begins now, for all the requests that it sends. */
  bounded(options: RequestOptions): RequestOptions;
  /**
   * Runs an operation in a partition of a structure. `decode` is called as soon as the reply is there, in the same
   * turn: byte fields of the reply are views into a frame and must be copied or decoded by it.
   * Rejects with a `GridError` (or what `decode` throws).
   */
  invoke<Q, P, R>(
    operation: OperationDef<Q, P>,
    partition: number,
    structure: string,
    request: Q,
    options: RequestOptions,
    decode: (reply: P) => R,
  ): Promise<R>;
}
