/**
 * What every call carries between its header and the request of its operation, and where its answer goes. Written
 * by invokers, read by the executor.
 */
import type { Reader, Writer } from '../src/base/bytes.js';
import type { ErrorName } from '../src/base/errors.js';
import { count } from '../src/wire/fields.js';
import { MAX_STRUCTURE_NAME_BYTES } from './limits.js';

export interface CallPrefix {
  readonly structure: string;
  /** The client needs no reply any more of its calls below this sequence. */
  readonly below: number;
  /** Since the first attempt of this call; a retry older than the session's life is never applied. */
  readonly ageMs: number;
}

export function writePrefix(writer: Writer, structure: string, below: number, ageMs: number): void {
  writer.f64(below);
  writer.u32(Math.min(ageMs, 0xffff_ffff));
  writer.string(structure);
}

export function readPrefix(reader: Reader): CallPrefix {
  const below = count.read(reader);
  const ageMs = reader.u32();
  return { structure: reader.name(MAX_STRUCTURE_NAME_BYTES), below, ageMs };
}

/** The prefix's fields in wire order, for the protocol page. */
export const PREFIX_FIELDS = [
  ['below', 'f64', 'the client needs no reply any more of its calls below this sequence'],
  ['ageMs', 'u32', 'milliseconds since the first attempt of the call'],
  ['structure', `text<=${MAX_STRUCTURE_NAME_BYTES}`, 'name of the structure'],
] as const;

/** Names a call for its answer; kept while the call waits. */
export interface CallRef {
  readonly partition: number;
  readonly client: number;
  readonly sequence: number;
}

/** Where the answer of a call goes: the connection it came from, or the calls of the embedded member. */
export interface ReplySink {
  /** So many answers wait to be sent there that further calls are refused, or they would pile up without end. */
  readonly isFull: boolean;
  /** The reply's body, encoded; the sink does not keep the bytes. */
  reply(call: CallRef, body: Uint8Array): void;
  fail(call: CallRef, error: ErrorName, maybeApplied: boolean, message: string): void;
  /** Answer to a question about a call of unknown outcome. */
  resolved(call: CallRef, outcome: 'done' | 'not done' | 'unknown', body: Uint8Array): void;
}
