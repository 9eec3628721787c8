/**
 * What every call carries between its header and the request of its operation, and where its answer goes. Written
 * by invokers, read by the executor.
 */
import type { Reader, Writer } from '../src/base/bytes.js';
import { type ErrorName, ProtocolError } from '../src/base/errors.js';
import { count } from '../src/wire/fields.js';
import { type Place, readPlace, writePlace } from './history.js';
import { MAX_LOCK_OWNER_BYTES, MAX_STRUCTURE_NAME_BYTES } from './limits.js';

/** What one call asks for beside its request; what it leaves out, the structure's preset decides. */
export interface Ask {
  /** Null: as the structure's preset says. */
  readonly consistency: 'EC' | 'EL' | null;
  /** The answer has to tell its place: where it comes from, its position and its age. */
  readonly withPlace: boolean;
  /** The answer must not be of an earlier position. */
  readonly atLeast: Place | null;
  /** The answer of a backup may be behind by this much at the most, ms; null: by any. */
  readonly maxStalenessMs: number | null;
  /** For whom locks are taken, given back and passed; '' for nobody in particular. */
  readonly lockOwner: string;
  /** A write of a key that somebody else has locked may wait for so long since its first attempt, ms. */
  readonly lockWaitMs: number;
}

/** What every call and every question about one carries. */
export interface CallHead {
  readonly structure: string;
  /** The client needs no reply any more of its calls below this sequence. */
  readonly below: number;
  /** Since the first attempt of this call; a retry older than the session's life is never applied. */
  readonly ageMs: number;
}

export interface CallPrefix extends CallHead, Ask {}

export const ASKS_NOTHING: Ask = {
  consistency: null,
  withPlace: false,
  atLeast: null,
  maxStalenessMs: null,
  lockOwner: '',
  lockWaitMs: 0,
};

const FLAG = {
  ec: 1,
  el: 2,
  withPlace: 4,
  atLeast: 8,
  maxStaleness: 16,
  lockOwner: 32,
  lockWait: 64,
} as const;

export function writePrefix(
  writer: Writer,
  structure: string,
  below: number,
  ageMs: number,
  ask: Ask = ASKS_NOTHING,
): void {
  writer.f64(below);
  writer.u32(Math.min(ageMs, 0xffff_ffff));
  writer.string(structure);
  writer.u8(ask === ASKS_NOTHING ? 0 : flagsOf(ask));
  if (ask.atLeast !== null) writePlace(writer, ask.atLeast);
  if (ask.maxStalenessMs !== null) writer.f64(ask.maxStalenessMs);
  if (ask.lockOwner !== '') writer.string(ask.lockOwner);
  if (ask.lockWaitMs > 0) writer.u32(Math.min(ask.lockWaitMs, 0xffff_ffff));
}

function flagsOf({ consistency, withPlace, atLeast, maxStalenessMs, lockOwner, lockWaitMs }: Ask): number {
  const policy = consistency === 'EC' ? FLAG.ec : consistency === 'EL' ? FLAG.el : 0;
  const place = (withPlace ? FLAG.withPlace : 0) | (atLeast === null ? 0 : FLAG.atLeast);
  const lock = (lockOwner === '' ? 0 : FLAG.lockOwner) | (lockWaitMs > 0 ? FLAG.lockWait : 0);
  return policy | place | lock | (maxStalenessMs === null ? 0 : FLAG.maxStaleness);
}

/** `waitedMs`: so long ago it was read for the first time. */
export function readPrefix(reader: Reader, waitedMs = 0): CallPrefix {
  const below = count.read(reader);
  const ageMs = reader.u32() + waitedMs;
  const structure = reader.name(MAX_STRUCTURE_NAME_BYTES);
  const flags = reader.u8();
  if (flags === 0) return { structure, below, ageMs, ...ASKS_NOTHING };
  const atLeast = (flags & FLAG.atLeast) === 0 ? null : readPlace(reader);
  return {
    structure,
    below,
    ageMs,
    consistency: (flags & FLAG.ec) !== 0 ? 'EC' : (flags & FLAG.el) !== 0 ? 'EL' : null,
    withPlace: (flags & FLAG.withPlace) !== 0,
    atLeast,
    maxStalenessMs: (flags & FLAG.maxStaleness) === 0 ? null : readStaleness(reader),
    lockOwner: (flags & FLAG.lockOwner) === 0 ? '' : reader.string(MAX_LOCK_OWNER_BYTES),
    lockWaitMs: (flags & FLAG.lockWait) === 0 ? 0 : reader.u32(),
  };
}

function readStaleness(reader: Reader): number {
  const ms = reader.f64();
  if (!(ms >= 0)) throw new ProtocolError(`a call that may be behind by ${ms} ms`);
  return ms;
}

/** The prefix's fields in wire order, for the protocol page. */
export const PREFIX_FIELDS = [
  ['below', 'f64', 'the client needs no reply any more of its calls below this sequence'],
  ['ageMs', 'u32', 'milliseconds since the first attempt of the call'],
  ['structure', `text<=${MAX_STRUCTURE_NAME_BYTES}`, 'name of the structure'],
  [
    'flags',
    'u8',
    'what the call asks for: 1 EC, 2 EL (else as the preset of the structure), 4 the place of the answer, 8 atLeast follows, 16 maxStalenessMs follows, 32 lockOwner follows, 64 lockWaitMs follows',
  ],
  ['atLeast', 'u32 lineage, u32 epoch, f64 seq', 'only with flag 8: the lowest position of the answer'],
  ['maxStalenessMs', 'f64', 'only with flag 16: how old the answer of a backup may be'],
  [
    'lockOwner',
    `text<=${MAX_LOCK_OWNER_BYTES}`,
    'only with flag 32: for whom locks are taken, given back and passed',
  ],
  [
    'lockWaitMs',
    'u32',
    'only with flag 64: how long since its first attempt a write may wait for a key that is locked',
  ],
] as const;

/** Where an answer comes from. */
export interface AnswerPlace {
  readonly source: 'primary' | 'backup';
  /** The answer is at least as new as this long ago; Infinity when the backup does not know how old it is. */
  readonly ageMs: number;
  /** What the answer is of: for sessions. */
  readonly position: Place;
  /** The history in which it was answered, to which the age refers: tag of the lineage, and view of the takeover. */
  readonly lineage: number;
  readonly view: number;
  /** What it shows ends by itself in so long, ms; Infinity: when something changes. */
  readonly goodForMs: number;
}

/** As the message has it. */
export function placeFields({
  source,
  ageMs,
  position,
  lineage: sideLineage,
  view: sideView,
  goodForMs,
}: AnswerPlace) {
  return { source, ageMs, ...position, sideLineage, sideView, goodForMs };
}

/** Of such a message. */
export function placeFrom(fields: ReturnType<typeof placeFields>): AnswerPlace {
  const { source, ageMs, lineage, epoch, seq, sideLineage, sideView, goodForMs } = fields;
  return {
    source,
    ageMs,
    position: { lineage, epoch, seq },
    lineage: sideLineage,
    view: sideView,
    goodForMs,
  };
}

/** What the caller knew when it sent the call: tag of the lineage, and number of the view. */
export interface Caller {
  readonly lineage: number;
  readonly view: number;
}

/** Names a call for its answer; kept while the call waits. */
export interface CallRef {
  readonly partition: number;
  readonly client: number;
  readonly sequence: number;
}

/** Why a call is refused whose sink is full. */
export const MANY_ANSWERS_WAIT = 'too many answers wait to be sent to you';

/** Where the answer of a call goes: the connection it came from, or the calls of the embedded member. */
export interface ReplySink {
  /** So many answers wait to be sent there that further calls are refused, or they would pile up without end. */
  readonly isFull: boolean;
  /** False when an answer would reach nobody. */
  readonly isOpen: boolean;
  /** The reply's body, encoded; the sink does not keep the bytes. `place`: only for a call that asked for it. */
  reply(call: CallRef, body: Uint8Array, place?: AnswerPlace): void;
  fail(call: CallRef, error: ErrorName, maybeApplied: boolean, message: string): void;
  /** Answer to a question about a call of unknown outcome. */
  resolved(call: CallRef, outcome: 'done' | 'not done' | 'unknown', body: Uint8Array): void;
  /** The same for several calls of a `fanOut`, whose answers are joined to one. */
  joined(client: number, sequences: readonly number[], body: Uint8Array): void;
  /** Calls of a `fanOut` that are to be sent again. */
  rest(client: number, sequences: readonly number[]): void;
}

/** For what nobody waits for an answer of. */
export const TO_NOBODY: ReplySink = {
  isFull: false,
  isOpen: true,
  reply() {},
  fail() {},
  resolved() {},
  joined() {},
  rest() {},
};
