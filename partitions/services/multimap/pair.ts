/**
 * One pair of a multimap as bytes. A pair never changes: it is put, under an id that nothing else has, and removed. The
 * key of its record is the user's key, and behind it a tail of fixed size: whether an equal pair may stand beside it,
 * the hash of the value, the call that put it, and the id, which is the version of its putting, so that ids have the
 * order of time. By the call two sides of a split that both carried it out know that their two pairs are one. Pure
 * functions; called by state, index and merge of the multimap.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { MAX_KEY_BYTES } from '../../../src/wire/keys.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import { murmur3 } from '../../hash.js';
import type { CallId } from '../../service.js';
import type { Image } from '../../store/mend.js';
import { REMOVAL, type RecordMeta, type RecordVersion } from '../../store/record-layout.js';
import { readVersion, VERSION_BYTES, writeVersion } from '../../store/record-version.js';

/** What a pair is to the other pairs of its key: the first is that of a SET, of which equal ones count as one. */
export const KIND = { unique: 1, repeatable: 2 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** Big endian, so that the order of ids is that of their bytes: a positive double has the order of its bits. */
export const ID_BYTES = VERSION_BYTES;
/** Client and sequence, and which of the pairs of the call it is. */
const CALL_BYTES = 8 + 8 + 2;
/** Kind, hash of the value, call, id. */
export const TAIL_BYTES = 1 + 4 + CALL_BYTES + ID_BYTES;
/** Of a tail. */
const VALUE_HASH_END = 1 + 4;
const MAX_TIME_MS = 2 ** 48;
const FLAG = { tombstone: 1 } as const;

export const NO_VALUE = new Uint8Array(0);

/** A call that puts pairs; `index` counts them. */
export interface PutCall extends CallId {
  readonly index: number;
}

export function pairKey(
  key: Uint8Array,
  kind: Kind,
  valueHash: number,
  { client, sequence, index }: PutCall,
  { ms, counter, memberHi, memberLo }: RecordVersion,
): Buffer {
  const bytes = Buffer.allocUnsafe(key.length + TAIL_BYTES);
  bytes.set(key);
  let at = bytes.writeUInt8(kind, key.length);
  at = bytes.writeUInt32BE(valueHash, at);
  at = bytes.writeDoubleBE(client, at);
  at = bytes.writeDoubleBE(sequence, at);
  at = bytes.writeUInt16BE(index, at);
  at = bytes.writeDoubleBE(ms, at);
  at = bytes.writeUInt16BE(counter, at);
  at = bytes.writeUInt32BE(memberHi, at);
  bytes.writeUInt32BE(memberLo, at);
  return bytes;
}

/** Beginning of the keys of all pairs of this key, kind and value. */
export function pairPrefix(key: Uint8Array, kind: Kind, valueHash: number): Buffer {
  const bytes = Buffer.allocUnsafe(key.length + VALUE_HASH_END);
  bytes.set(key);
  bytes.writeUInt32BE(valueHash, bytes.writeUInt8(kind, key.length));
  return bytes;
}

/** The same of a pair that there is. */
export function prefixOf(pair: Uint8Array): Uint8Array {
  return pair.subarray(0, pair.length - TAIL_BYTES + VALUE_HASH_END);
}

/** Whether the same call put both pairs, which one side or two have done under ids of their own. */
export function isSameCall(a: Uint8Array, b: Uint8Array): boolean {
  const withoutId = (pair: Uint8Array) => pair.subarray(0, pair.length - ID_BYTES);
  return Buffer.compare(withoutId(a), withoutId(b)) === 0;
}

export function userKeyOf(pair: Uint8Array): Uint8Array {
  return pair.subarray(0, pair.length - TAIL_BYTES);
}

export function tailOf(pair: Uint8Array): Uint8Array {
  return pair.subarray(pair.length - TAIL_BYTES);
}

export function kindOf(pair: Uint8Array): Kind {
  return pair[pair.length - TAIL_BYTES] as Kind;
}

export function valueHashOf(pair: Uint8Array): number {
  return asBuffer(pair).readUInt32BE(pair.length - TAIL_BYTES + 1);
}

export function idOf(pair: Uint8Array): Uint8Array {
  return pair.subarray(pair.length - ID_BYTES);
}

export function versionOf(pair: Uint8Array): RecordVersion {
  const bytes = asBuffer(pair);
  const at = pair.length - ID_BYTES;
  return {
    ms: bytes.readDoubleBE(at),
    counter: bytes.readUInt16BE(at + 8),
    memberHi: bytes.readUInt32BE(at + 10),
    memberLo: bytes.readUInt32BE(at + 14),
  };
}

/**
 * Where the record store keeps the pair. Equal pairs of a SET lie together, so that one is found by its value; of a
 * list, of which there can be very many, only those of the same call.
 */
export function pairHash(pair: Uint8Array): number {
  return murmur3(kindOf(pair) === KIND.unique ? prefixOf(pair) : pair.subarray(0, pair.length - ID_BYTES));
}

/** Of a pair that was put (`version` is its id), or removed. */
export function metaOf(
  { ms, counter, memberHi, memberLo }: RecordVersion,
  tombstone: boolean,
  seq: number,
): RecordMeta {
  return {
    ms,
    counter,
    memberHi,
    memberLo,
    tombstone,
    cause: REMOVAL.removed,
    seq,
    origin: 0,
    createdMs: ms,
    updatedMs: ms,
    expiresMs: 0,
    ttlMs: 0,
    maxIdleMs: 0,
    staleMs: 0,
    accessedMs: 0,
    hits: 0,
  };
}

/** Its position is not in it: a delta has it from the stream, a copy writes it in front. */
export function writeImage(out: Writer, meta: RecordMeta, pair: Uint8Array, value: Uint8Array): void {
  out.u8(meta.tombstone ? FLAG.tombstone : 0);
  out.bytes(pair);
  // The version of a pair that is there is its id.
  if (meta.tombstone) writeVersion(out, meta);
  else out.bytes(value);
}

export function readImage(input: Reader, seq: number): Image {
  const tombstone = (input.u8() & FLAG.tombstone) !== 0;
  const key = input.blob(MAX_KEY_BYTES + TAIL_BYTES);
  if (key.length <= TAIL_BYTES) throw new ProtocolError(`a pair of ${key.length} bytes without a key`);
  const kind = kindOf(key);
  if (kind !== KIND.unique && kind !== KIND.repeatable) throw new ProtocolError(`a pair of the kind ${kind}`);
  const id = checked(versionOf(key));
  const version = tombstone ? checked(readVersion(input)) : id;
  const value = tombstone ? NO_VALUE : input.blob(MAX_VALUE_BYTES + 1);
  return { meta: metaOf(version, tombstone, seq), key, value };
}

/** What comes from another side must not drag this side's clock to where it cannot count any more. */
function checked(version: RecordVersion): RecordVersion {
  const { ms } = version;
  if (!(Number.isInteger(ms) && ms >= 0 && ms < MAX_TIME_MS))
    throw new ProtocolError(`a pair with the time ${ms}`);
  return version;
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
