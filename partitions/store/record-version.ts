/** The version of a record as bytes and as a name. Called by what writes and merges the records of structures. */
import type { Reader, Writer } from '../../src/base/bytes.js';
import type { RecordVersion } from './record-layout.js';

/** What `writeVersion` writes: a time, a counter and two words. */
export const VERSION_BYTES = 18;

/** Names one change of one key. */
export function writeVersion(out: Writer, { ms, counter, memberHi, memberLo }: RecordVersion): void {
  out.f64(ms);
  out.u16(counter);
  out.u32(memberHi);
  out.u32(memberLo);
}

export function readVersion(input: Reader): RecordVersion {
  // Fields are read in the order in which they stand here.
  return { ms: input.f64(), counter: input.u16(), memberHi: input.u32(), memberLo: input.u32() };
}

export function nameOf({ ms, counter, memberHi, memberLo }: RecordVersion): string {
  return `${ms}.${counter}.${memberHi}.${memberLo}`;
}
