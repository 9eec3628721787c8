/** The kinds of deltas of a map, and what a merge on a third side has to know of them. Called by the state of the map. */
import { Reader, Writer } from '../../../src/base/bytes.js';
import { writeVersion } from '../../store/record-version.js';
import { STORE_DELTA } from './owed.js';
import { readImage } from './record-image.js';

/** The first byte of a delta, unless it is one of `STORE_DELTA`. */
export const DELTA = {
  one: 1,
  many: 2,
  purge: 3,
  merge: 4,
  grantLoad: 5,
  releaseLoad: 6,
  lock: 7,
  upkeep: 8,
  renew: 9,
  indexes: 30,
} as const;

/** Parts of a delta of a merge. */
export const MERGED = { image: 1, mark: 2, locks: 3, forgotten: 4, indexes: 30 } as const;

/**
 * Leases and locks are of one side only: what they did does not go to another one. Lists of indexes are united, whoever
 * made them.
 */
const TELLS_NOTHING: ReadonlySet<number> = new Set([
  DELTA.grantLoad,
  DELTA.releaseLoad,
  DELTA.lock,
  DELTA.indexes,
]);

/** Keys of one call that are traced. */
const MAX_TRACED = 12;

/** See `Service.traceOf`: the versions that the call gave its records. */
export function traceOf(delta: Uint8Array): Uint8Array | null {
  const reader = new Reader(delta);
  let kind = reader.u8();
  if (kind === STORE_DELTA.owed) reader.u8();
  if (kind === STORE_DELTA.owed || kind === STORE_DELTA.settled) kind = reader.u8();
  if (TELLS_NOTHING.has(kind)) return new Uint8Array(0);
  const count = kind === DELTA.one || kind === DELTA.renew ? 1 : kind === DELTA.many ? reader.u32() : 0;
  if (count === 0 || count > MAX_TRACED) return null;
  const out = new Writer(count * 18);
  for (let i = 0; i < count; i++) writeVersion(out, readImage(reader, 0).meta);
  return out.toBytes();
}
