/**
 * What `getEntryView` tells about an entry, and how it is made from the reply. Called by the proxy of the map.
 */
import type { ReplyOf } from '../../../src/wire/message.js';
import type { MAP_OPERATIONS } from './ops.js';

/** The order of two writes of an entry: time, then counter, then the member that decided. */
export interface EntryVersion {
  /** Hybrid logical time, milliseconds since 1970. */
  readonly ms: number;
  /** Tells versions of one millisecond apart, 0..65,535. */
  readonly counter: number;
  /** First 16 hex digits of the member's UUID. */
  readonly member: string;
}

/** An entry with what the grid knows about it. Times are milliseconds since 1970. */
export interface EntryView<K, V> {
  readonly key: K;
  readonly value: V;
  /** Bytes of memory at the primary, without the index. */
  readonly cost: number;
  readonly creationTime: number;
  /** `Infinity` for never. */
  readonly expirationTime: number;
  /** Reads that the primary counted. */
  readonly hits: number;
  /** 0 when it was never read. */
  readonly lastAccessTime: number;
  /** When it was written to a store behind the map; absent without one. */
  readonly lastStoredTime?: number;
  readonly lastUpdateTime: number;
  readonly version: EntryVersion;
  /** Milliseconds, `Infinity` for none. */
  readonly ttl: number;
  /** Milliseconds, `Infinity` for none. */
  readonly maxIdle: number;
}

type EntryFields = NonNullable<ReplyOf<typeof MAP_OPERATIONS.getEntryView>['entry']>;

export function entryViewOf<K, V>(key: K, value: V, entry: EntryFields): EntryView<K, V> {
  const hex = (word: number) => word.toString(16).padStart(8, '0');
  const orNever = (ms: number) => (ms === 0 ? Number.POSITIVE_INFINITY : ms);
  return {
    key,
    value,
    cost: entry.costBytes,
    creationTime: entry.createdMs,
    expirationTime: orNever(entry.expiresMs),
    hits: entry.hits,
    lastAccessTime: entry.accessedMs,
    lastUpdateTime: entry.updatedMs,
    version: {
      ms: entry.versionMs,
      counter: entry.versionCounter,
      member: hex(entry.versionMemberHi) + hex(entry.versionMemberLo),
    },
    ttl: orNever(entry.ttlMs),
    maxIdle: orNever(entry.maxIdleMs),
  };
}
