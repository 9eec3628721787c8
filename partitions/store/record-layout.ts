/**
 * The header of a record in its cell, as 32-bit words: times of 48 bits and the stream position of 53 bits are
 * split into a low word and packed high parts, which keeps a record small. Behind the header come the key and
 * the value, without padding. A record that ever had an expiry has the longer header. Called by the record
 * store only; the layout never leaves the process.
 */

/** First 64 bits of the UUID of the member that wrote the version, and its hybrid logical time. */
export interface RecordVersion {
  /** HLC milliseconds, an integer below 2^48. */
  ms: number;
  /** u16 */
  counter: number;
  /** u32 */
  memberHi: number;
  /** u32 */
  memberLo: number;
}

/** Why there is no entry any more: a user removed it, it made room for others, its time was over, or all went. */
export const REMOVAL = { removed: 0, evicted: 1, expired: 2, cleared: 3 } as const;
export type RemovalCause = (typeof REMOVAL)[keyof typeof REMOVAL];

/** All about a record but its key and value. Times are integers in [0, 2^48); fractions are cut off. */
export interface RecordMeta extends RecordVersion {
  tombstone: boolean;
  /** Of a tombstone; 0 for an entry. */
  cause: RemovalCause;
  /** u16 id of the cluster that the version comes from, 0 for this one. */
  origin: number;
  /** Position in the stream of the partition, an integer below 2^53. */
  seq: number;
  createdMs: number;
  updatedMs: number;
  /** From when on the entry is not shown any more, 0 for never. This and the next three saturate at 2^48 - 1. */
  expiresMs: number;
  ttlMs: number;
  maxIdleMs: number;
  /** How long it is kept beyond `expiresMs`. */
  staleMs: number;
  accessedMs: number;
  /** u32, saturating. */
  hits: number;
}

/** Of a record of which nothing but key and value counts. */
export const BLANK_META: RecordMeta = {
  ms: 0,
  counter: 0,
  memberHi: 0,
  memberLo: 0,
  tombstone: false,
  cause: REMOVAL.removed,
  origin: 0,
  seq: 0,
  createdMs: 0,
  updatedMs: 0,
  expiresMs: 0,
  ttlMs: 0,
  maxIdleMs: 0,
  staleMs: 0,
  accessedMs: 0,
  hits: 0,
};

const HASH = 0;
const VERSION_LOW = 1;
const VERSION_HIGH_COUNTER = 2;
const MEMBER_HI = 3;
const MEMBER_LO = 4;
const SEQ_LOW = 5;
const SEQ_HIGH_TOMBSTONE = 6;
const CREATED_LOW = 7;
const UPDATED_LOW = 8;
const ACCESSED_LOW = 9;
const CREATED_UPDATED_HIGH = 10;
const ACCESSED_HIGH_ORIGIN = 11;
const HITS = 12;
const VALUE_BYTES = 13;
/** With the expiry flag; right before the key, so that a lookup touches few cache lines. */
const KEY_BYTES_EXPIRY = 14;
const EXPIRES_LOW = 15;
const TTL_LOW = 16;
const MAX_IDLE_LOW = 17;
const EXPIRES_TTL_HIGH = 18;
const MAX_IDLE_STALE_HIGH = 19;
const STALE_LOW = 20;
const TOLD_LOW = 21;
const TOLD_HIGH = 22;

export const HEADER_BYTES = 60;
export const EXPIRY_HEADER_BYTES = 92;

const SEQ_HIGH_MASK = 0x1fffff;
const TOMBSTONE_FLAG = 0x80000000;
const CAUSE_SHIFT = 29;
const EXPIRY_FLAG = 0x80000000;
const KEY_BYTES_MASK = 0x7fffffff;
const TWO_32 = 2 ** 32;
const MAX_TIME_MS = 2 ** 48 - 1;
const MAX_HITS = 0xffffffff;

function high(n: number): number {
  return Math.floor(n / TWO_32);
}

function saturate(ms: number): number {
  return ms > MAX_TIME_MS ? MAX_TIME_MS : ms;
}

/** When an entry is over as its record stands, milliseconds since 1970, 0 for never: for people and merges. */
export function expirationOf(meta: Expiry & Pick<RecordMeta, 'accessedMs' | 'updatedMs'>): number {
  const byTtl = meta.expiresMs > 0 ? meta.expiresMs : Number.POSITIVE_INFINITY;
  const used = Math.max(meta.accessedMs, meta.updatedMs);
  const ends = meta.maxIdleMs > 0 ? Math.min(byTtl, used + meta.maxIdleMs) : byTtl;
  return ends === Number.POSITIVE_INFINITY ? 0 : ends;
}

/** The whole header but the expiry words, which exist only when `withExpiry`. */
export function writeHeader(
  words: Uint32Array,
  at: number,
  hash: number,
  keyBytes: number,
  valueBytes: number,
  meta: RecordMeta,
  withExpiry: boolean,
): void {
  words[at + HASH] = hash;
  words[at + VERSION_LOW] = meta.ms;
  words[at + VERSION_HIGH_COUNTER] = (high(meta.ms) << 16) | meta.counter;
  words[at + MEMBER_HI] = meta.memberHi;
  words[at + MEMBER_LO] = meta.memberLo;
  words[at + SEQ_LOW] = meta.seq;
  words[at + SEQ_HIGH_TOMBSTONE] =
    (meta.tombstone ? TOMBSTONE_FLAG : 0) | (meta.cause << CAUSE_SHIFT) | high(meta.seq);
  words[at + CREATED_LOW] = meta.createdMs;
  words[at + UPDATED_LOW] = meta.updatedMs;
  words[at + CREATED_UPDATED_HIGH] = (high(meta.createdMs) << 16) | high(meta.updatedMs);
  words[at + ACCESSED_LOW] = meta.accessedMs;
  words[at + ACCESSED_HIGH_ORIGIN] = (high(meta.accessedMs) << 16) | meta.origin;
  words[at + HITS] = meta.hits > MAX_HITS ? MAX_HITS : meta.hits;
  words[at + VALUE_BYTES] = valueBytes;
  words[at + KEY_BYTES_EXPIRY] = keyBytes | (withExpiry ? EXPIRY_FLAG : 0);
}

/** The fields of a record that say when it is over. */
export type Expiry = Pick<RecordMeta, 'expiresMs' | 'ttlMs' | 'maxIdleMs' | 'staleMs'>;

export function writeExpiry(words: Uint32Array, at: number, expiry: Expiry): void {
  const expires = saturate(expiry.expiresMs);
  const ttl = saturate(expiry.ttlMs);
  const maxIdle = saturate(expiry.maxIdleMs);
  const stale = saturate(expiry.staleMs);
  words[at + EXPIRES_LOW] = expires;
  words[at + TTL_LOW] = ttl;
  words[at + MAX_IDLE_LOW] = maxIdle;
  words[at + EXPIRES_TTL_HIGH] = (high(expires) << 16) | high(ttl);
  words[at + STALE_LOW] = stale;
  words[at + MAX_IDLE_STALE_HIGH] = (high(maxIdle) << 16) | high(stale);
}

/** The last use of the entry that every replica was told of: only with the expiry words. */
export function writeTold(words: Uint32Array, at: number, ms: number): void {
  words[at + TOLD_LOW] = ms;
  words[at + TOLD_HIGH] = high(ms);
}

export function readToldMs(words: Uint32Array, at: number): number {
  return words[at + TOLD_HIGH]! * TWO_32 + words[at + TOLD_LOW]!;
}

export function readHash(words: Uint32Array, at: number): number {
  return words[at + HASH]!;
}

export function readVersionMs(words: Uint32Array, at: number): number {
  return (words[at + VERSION_HIGH_COUNTER]! >>> 16) * TWO_32 + words[at + VERSION_LOW]!;
}

/** The version as four words, for digests; `i` in [0, 4). */
export function versionWord(words: Uint32Array, at: number, i: number): number {
  return words[at + VERSION_LOW + i]!;
}

/** Negative, zero or positive: the version at `at` is older than, equal to or newer than `v`. */
export function compareVersionAt(words: Uint32Array, at: number, v: RecordVersion): number {
  const ms = readVersionMs(words, at);
  if (ms !== v.ms) return ms < v.ms ? -1 : 1;
  const counter = words[at + VERSION_HIGH_COUNTER]! & 0xffff;
  if (counter !== v.counter) return counter < v.counter ? -1 : 1;
  const memberHi = words[at + MEMBER_HI]!;
  if (memberHi !== v.memberHi) return memberHi < v.memberHi ? -1 : 1;
  const memberLo = words[at + MEMBER_LO]!;
  return memberLo === v.memberLo ? 0 : memberLo < v.memberLo ? -1 : 1;
}

export function readSeq(words: Uint32Array, at: number): number {
  return (words[at + SEQ_HIGH_TOMBSTONE]! & SEQ_HIGH_MASK) * TWO_32 + words[at + SEQ_LOW]!;
}

export function readTombstone(words: Uint32Array, at: number): boolean {
  return words[at + SEQ_HIGH_TOMBSTONE]! >= TOMBSTONE_FLAG;
}

export function readCause(words: Uint32Array, at: number): RemovalCause {
  return ((words[at + SEQ_HIGH_TOMBSTONE]! >>> CAUSE_SHIFT) & 3) as RemovalCause;
}

export function hasExpiry(words: Uint32Array, at: number): boolean {
  return words[at + KEY_BYTES_EXPIRY]! >= EXPIRY_FLAG;
}

export function headerBytesAt(words: Uint32Array, at: number): number {
  return hasExpiry(words, at) ? EXPIRY_HEADER_BYTES : HEADER_BYTES;
}

export function readKeyBytes(words: Uint32Array, at: number): number {
  return words[at + KEY_BYTES_EXPIRY]! & KEY_BYTES_MASK;
}

export function readValueBytes(words: Uint32Array, at: number): number {
  return words[at + VALUE_BYTES]!;
}

export function readExpiresMs(words: Uint32Array, at: number): number {
  if (!hasExpiry(words, at)) return 0;
  return (words[at + EXPIRES_TTL_HIGH]! >>> 16) * TWO_32 + words[at + EXPIRES_LOW]!;
}

export function readTtlMs(words: Uint32Array, at: number): number {
  if (!hasExpiry(words, at)) return 0;
  return (words[at + EXPIRES_TTL_HIGH]! & 0xffff) * TWO_32 + words[at + TTL_LOW]!;
}

export function readMaxIdleMs(words: Uint32Array, at: number): number {
  if (!hasExpiry(words, at)) return 0;
  return (words[at + MAX_IDLE_STALE_HIGH]! >>> 16) * TWO_32 + words[at + MAX_IDLE_LOW]!;
}

export function readStaleMs(words: Uint32Array, at: number): number {
  if (!hasExpiry(words, at)) return 0;
  return (words[at + MAX_IDLE_STALE_HIGH]! & 0xffff) * TWO_32 + words[at + STALE_LOW]!;
}

export function readUpdatedMs(words: Uint32Array, at: number): number {
  return (words[at + CREATED_UPDATED_HIGH]! & 0xffff) * TWO_32 + words[at + UPDATED_LOW]!;
}

export function readCreatedMs(words: Uint32Array, at: number): number {
  return (words[at + CREATED_UPDATED_HIGH]! >>> 16) * TWO_32 + words[at + CREATED_LOW]!;
}

export function readHits(words: Uint32Array, at: number): number {
  return words[at + HITS]!;
}

export function readAccessedMs(words: Uint32Array, at: number): number {
  return (words[at + ACCESSED_HIGH_ORIGIN]! >>> 16) * TWO_32 + words[at + ACCESSED_LOW]!;
}

/** What the primary says of the reads of an entry. */
export function writeReads(words: Uint32Array, at: number, accessedMs: number, hits: number): void {
  words[at + HITS] = hits;
  words[at + ACCESSED_LOW] = accessedMs;
  words[at + ACCESSED_HIGH_ORIGIN] = (high(accessedMs) << 16) | (words[at + ACCESSED_HIGH_ORIGIN]! & 0xffff);
}

/** One more hit, at `nowMs`. */
export function writeTouch(words: Uint32Array, at: number, nowMs: number): void {
  if (words[at + HITS]! < MAX_HITS) words[at + HITS]! += 1;
  words[at + ACCESSED_LOW] = nowMs;
  words[at + ACCESSED_HIGH_ORIGIN] = (high(nowMs) << 16) | (words[at + ACCESSED_HIGH_ORIGIN]! & 0xffff);
}

export function readMeta(words: Uint32Array, at: number): RecordMeta {
  return {
    ms: readVersionMs(words, at),
    counter: words[at + VERSION_HIGH_COUNTER]! & 0xffff,
    memberHi: words[at + MEMBER_HI]!,
    memberLo: words[at + MEMBER_LO]!,
    tombstone: readTombstone(words, at),
    cause: readCause(words, at),
    origin: words[at + ACCESSED_HIGH_ORIGIN]! & 0xffff,
    seq: readSeq(words, at),
    createdMs: readCreatedMs(words, at),
    updatedMs: readUpdatedMs(words, at),
    expiresMs: readExpiresMs(words, at),
    ttlMs: readTtlMs(words, at),
    maxIdleMs: readMaxIdleMs(words, at),
    staleMs: readStaleMs(words, at),
    accessedMs: readAccessedMs(words, at),
    hits: readHits(words, at),
  };
}
