/** What the parts of replication need of the member: to send, and to know the time. Implemented by `replication.ts`. */
import type { Executor } from '../partitions/executor.js';
import type { HybridClock } from '../src/base/hlc.js';
import type { Clock, Logger } from '../src/base/ports.js';
import type { MemberId, View } from '../src/cluster/view.js';
import type { MessageDef } from '../src/wire/message.js';

/** Faults that tests put in on purpose, to see them found; never set outside of them. */
export interface ReplicationFaults {
  /** A backup acknowledges what it received, not what it applied. */
  readonly ackBeforeApply?: boolean;
  /** A new primary serves without the confirmation of the old one. */
  readonly handoverUnconfirmed?: boolean;
  /** A replica is reported complete without its acknowledgement being waited for. */
  readonly readyUnwaited?: boolean;
  /** A former primary confirms a handover without what was left of its own wait for a lease. */
  readonly confirmWithoutWait?: boolean;
}

export interface ReplicationHost {
  readonly self: MemberId;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly hlc: HybridClock;
  readonly faults: ReplicationFaults;
  readonly view: View | null;
  send<T>(to: MemberId, def: MessageDef<T>, partition: number, body: T): void;
  /** Bytes that wait to be sent to a member; replication holds back what its log keeps anyway. */
  queuedBytes(to: MemberId): number;
  /** When a member last confirmed that bytes arrived; complete messages or not. */
  confirmedMs(to: MemberId): number;
  /** This member can prove now that it belongs to the majority. */
  holdsLease(): boolean;
  /** Something that the next view depends on has changed. */
  reportSoon(): void;
  executor(): Executor;
  /** Whether a client session that held something at `sinceMs` is dead; this member judges since `listensMs`. */
  isGone(client: number, sinceMs: number, listensMs: number): boolean;
}

/** What replication has done since the start, for status, metrics and chaos runs. */
export interface ReplicationCounters {
  promotions: number;
  handovers: number;
  staleNacks: number;
  resent: number;
  repairs: number;
  divergent: number;
  migrationsStarted: number;
  migrationsCompleted: number;
  copiedBytes: number;
  backupTimeouts: number;
  levelledEntries: number;
  heldEntries: number;
  waitedReads: number;
  /** Replicas out of use whose contents were merged, or were there already, and that were given up. */
  mergesCompleted: number;
  mergeBytesSent: number;
  mergeBatches: number;
  /** As owner. */
  mergedEntries: number;
  mergeDiscarded: number;
  mergeFailed: number;
  /** Nodes of digests that a primary has compared with a backup, and those of them that differed. */
  digestsCompared: number;
  digestsDiffering: number;
  /** Records that anti-entropy put right or dropped here. */
  entriesRepaired: number;
  /** What this member has sent for it. */
  antiEntropyBytes: number;
  scrubbedRecords: number;
  /** Leaves whose contents did not fit their digests. */
  scrubFaults: number;
  /** Entries that were over, and that made room for others; removed here as primary. */
  expirations: number;
  evictions: number;
}

export function newCounters(): ReplicationCounters {
  return {
    promotions: 0,
    handovers: 0,
    staleNacks: 0,
    resent: 0,
    repairs: 0,
    divergent: 0,
    migrationsStarted: 0,
    migrationsCompleted: 0,
    copiedBytes: 0,
    backupTimeouts: 0,
    levelledEntries: 0,
    heldEntries: 0,
    waitedReads: 0,
    mergesCompleted: 0,
    mergeBytesSent: 0,
    mergeBatches: 0,
    mergedEntries: 0,
    mergeDiscarded: 0,
    mergeFailed: 0,
    digestsCompared: 0,
    digestsDiffering: 0,
    entriesRepaired: 0,
    antiEntropyBytes: 0,
    scrubbedRecords: 0,
    scrubFaults: 0,
    expirations: 0,
    evictions: 0,
  };
}
