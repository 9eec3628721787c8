/** A call that is not settled, as the table of calls keeps it: what it asks, and how far its present attempt has come. */
import type { AnswerPlace } from '../../partitions/call.js';
import type { Place } from '../../partitions/history.js';
import type { RequestOptions, SeenPlaces } from '../../partitions/invoker.js';
import type { GridError, IndeterminateError } from '../../src/base/errors.js';
import type { Clock } from '../../src/base/ports.js';
import type { OperationDef } from '../../src/wire/message.js';
import type { Route, Routes } from './routes.js';
import { type Wish, wishOf } from './wish.js';

/** An attempt that was not answered this long after it had left is sent again, ms; doubled for each attempt. */
export const SILENCE_MS = 2_000;
/** Of the time of a call, ms: the primary answers this much before its end, so that the caller knows the outcome. */
const MARGIN_MS = 1_000;

/**
 * A call was refused because its key is locked: true when it is to be sent again, to wait in line. It asks for that once,
 * and not in its first attempt, so that calls on free keys ask for nothing.
 */
export function waitsForLock(call: OpenCall): boolean {
  const totalMs = call.deadlineMs - call.startedMs;
  const waitMs = Math.floor(totalMs - Math.min(MARGIN_MS, totalMs / 4));
  if (call.lockWaitMs > 0 || waitMs <= 0) return false;
  call.lockWaitMs = Math.min(waitMs, 0xffff_ffff);
  call.waits = true;
  return true;
}

/** Settles such a call when the grid has said that it never takes effect, or at its deadline as of unknown outcome. */
export async function voided(
  unknown: IndeterminateError,
  call: OpenCall,
  refusal: GridError,
  clock: Clock,
): Promise<void> {
  const deadline = clock.setTimer(Math.max(0, call.deadlineMs - clock.now()), () => call.reject(unknown));
  const resolution = await unknown.resolve();
  deadline.cancel();
  if (resolution.outcome === 'done') call.resolve(resolution.reply as never);
  else call.reject(resolution.outcome === 'not done' ? refusal : unknown);
}

/** What several calls are for whoever asked. */
export interface Together {
  /** The answer of one of them, or of several that were joined; they are not open any more. */
  answered(reply: never, calls: readonly OpenCall[]): void;
}

/** What a call is to do, and who is told how it ended. */
export type Called = Pick<OpenCall, 'operation' | 'structure' | 'request'> & {
  // biome-ignore lint/suspicious/noExplicitAny: calls of any operation meet in one table
  readonly decode: (reply: any, place: AnswerPlace | null) => unknown;
  // biome-ignore lint/suspicious/noExplicitAny: the same
  readonly resolve: (value: any) => void;
  readonly reject: (error: unknown) => void;
  readonly fanOut: Together | null;
};

/** Where a call comes from. */
interface Origin {
  readonly sequence: number;
  readonly startedMs: number;
  /** Unless the options have one. */
  readonly timeoutMs: number;
  readonly routes: Routes;
  readonly seen: SeenPlaces;
}

export function openCall(
  what: Called,
  partition: number,
  options: RequestOptions,
  { sequence, startedMs, timeoutMs, routes, seen }: Origin,
): OpenCall {
  const { operation, structure, request, decode, resolve, reject, fanOut } = what;
  const { waitMs = 0 } = options;
  return {
    sequence,
    operation,
    isWrite: operation.kind === 'write',
    partition,
    structure,
    calledAs: options.calledAs,
    request,
    decode,
    resolve,
    reject,
    fanOut,
    startedMs,
    deadlineMs: (options.deadlineMs ?? startedMs + (options.timeoutMs ?? timeoutMs)) + waitMs,
    waits: waitMs > 0,
    lockWaitMs: 0,
    wish: wishOf(operation, structure, options, routes, seen),
    lineage: routes.lineage,
    held: null,
    isBehind: false,
    route: null,
    attempts: 0,
    attemptMs: startedMs,
    patienceMs: SILENCE_MS,
    retryAtMs: startedMs,
    uncertain: false,
    refusal: null,
    unlisten: null,
  };
}

export interface OpenCall {
  readonly sequence: number;
  // biome-ignore lint/suspicious/noExplicitAny: calls of any operation meet in one table
  readonly operation: OperationDef<any, any>;
  readonly isWrite: boolean;
  readonly partition: number;
  readonly structure: string;
  /** The method that was called, when it has another name than the operation. */
  readonly calledAs: string | undefined;
  readonly request: unknown;
  readonly decode: (reply: never, place: AnswerPlace | null) => unknown;
  /** What it asks for beside its request; null: nothing. */
  readonly wish: Wish | null;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  /** What it is a part of, which takes its answer. */
  readonly fanOut: Together | null;
  readonly startedMs: number;
  readonly deadlineMs: number;
  /** It may wait at the primary, which takes a caller that does not ask again for gone. */
  waits: boolean;
  /** How long it may wait for a key that is locked; 0 until it has met one. */
  lockWaitMs: number;
  lineage: number;
  /** Of its first attempt; later ones are held against no less. */
  held: Place | null;
  /** The present attempt went to a replica that need not be the primary. */
  isBehind: boolean;
  /** Where the present attempt went; null while the call waits for its next one. */
  route: Route | null;
  attempts: number;
  /** When the present attempt was made, or was last seen waiting to leave. */
  attemptMs: number;
  /** How long its silence is borne. */
  patienceMs: number;
  retryAtMs: number;
  /** An attempt is unaccounted for: without an answer of the grid its effect is unknown. */
  uncertain: boolean;
  refusal: GridError | null;
  unlisten: (() => void) | null;
}
