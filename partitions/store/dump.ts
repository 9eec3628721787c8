/** The records of a store as text, for comparing replicas. Called by the states that keep their data in a record store. */
import { murmur3 } from '../hash.js';
import type { RecordStore } from './record-store.js';

const EVERYTHING = { records: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };

/** A line for each record: key, version, and the hash of its value. */
export function dumpRecords(store: RecordStore): string[] {
  const lines: string[] = [];
  store.scan(0, EVERYTHING, (ref) => {
    const { ms, counter, memberHi, memberLo } = store.metaOf(ref);
    const version = `${ms}.${counter}.${memberHi.toString(16)}.${memberLo.toString(16)}`;
    const content = store.isTombstone(ref) ? 'tombstone' : murmur3(store.valueOf(ref)).toString(16);
    lines.push(`${Buffer.from(store.keyOf(ref)).toString('hex')} ${version} ${content}`);
  });
  return lines;
}
