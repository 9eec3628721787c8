/**
 * One record as bytes: what deltas and migration copies are made of. An image is the whole record, so that it can
 * be put over whatever a replica has. Called by the state of the map only.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { MAX_KEY_BYTES } from '../../../src/wire/keys.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import type { Image } from '../../store/mend.js';
import type { RecordMeta, RemovalCause } from '../../store/record-layout.js';

/**
 * In front of an image that a merge brings: there was an entry of the key when the sides parted; see `MapState.changes`.
 * `indexes` is in front of a list of indexes, `locks` in front of what became of locks, `forgotten` in front of a range of
 * hashes in which the store was told of what is not in memory.
 */
export const CHANGED = { existed: 1, skipped: 2, locks: 4, forgotten: 8, indexes: 128 } as const;

const FLAG = { tombstone: 1, expiry: 2 } as const;
/** The cause of a removal takes two bits from here on. */
const CAUSE_SHIFT = 2;

/** Its position is not in it: a delta has it from the stream, a copy writes it in front. */
export function writeImage(out: Writer, meta: RecordMeta, key: Uint8Array, value: Uint8Array): void {
  const withExpiry = meta.expiresMs > 0 || meta.ttlMs > 0 || meta.maxIdleMs > 0;
  out.u8(
    (meta.tombstone ? FLAG.tombstone : 0) | (withExpiry ? FLAG.expiry : 0) | (meta.cause << CAUSE_SHIFT),
  );
  out.f64(meta.ms);
  out.u16(meta.counter);
  out.u32(meta.memberHi);
  out.u32(meta.memberLo);
  out.u16(meta.origin);
  out.f64(meta.createdMs);
  out.f64(meta.updatedMs);
  out.f64(meta.accessedMs);
  out.u32(meta.hits);
  if (withExpiry) {
    out.f64(meta.expiresMs);
    out.f64(meta.ttlMs);
    out.f64(meta.maxIdleMs);
    out.f64(meta.staleMs);
  }
  out.bytes(key);
  out.bytes(value);
}

export function readImage(input: Reader, seq: number): Image {
  const flags = input.u8();
  const withExpiry = (flags & FLAG.expiry) !== 0;
  // Fields are read in the order in which they stand here.
  const meta: RecordMeta = {
    tombstone: (flags & FLAG.tombstone) !== 0,
    cause: ((flags >>> CAUSE_SHIFT) & 3) as RemovalCause,
    seq,
    ms: input.f64(),
    counter: input.u16(),
    memberHi: input.u32(),
    memberLo: input.u32(),
    origin: input.u16(),
    createdMs: input.f64(),
    updatedMs: input.f64(),
    accessedMs: input.f64(),
    hits: input.u32(),
    expiresMs: withExpiry ? input.f64() : 0,
    ttlMs: withExpiry ? input.f64() : 0,
    maxIdleMs: withExpiry ? input.f64() : 0,
    staleMs: withExpiry ? input.f64() : 0,
  };
  return { meta, key: input.blob(MAX_KEY_BYTES), value: input.blob(MAX_VALUE_BYTES + 1) };
}
