/**
 * The operations with which users read and acknowledge merge reports. They go to partitions like those of any
 * structure, but no proxy and no configuration has this one: `client/core/merge-reports.ts` sends them.
 */
import { bool, bytes, count, list, oneOf, optional, record, text, u16, u32 } from '../../src/wire/fields.js';
import { operationsOf } from '../../src/wire/message.js';

export const MERGE_JOURNAL_ID = 239;
/** Name under which each partition has its journal. */
export const JOURNAL_NAME = 'merges';

/** Reports that one partition keeps; the oldest one goes when there is a further one. */
export const MAX_REPORTS = 256;
/** Structures that a report counts apart; what is beyond counts for a structure without a name. */
export const MAX_COUNTED = 128;
/** Hashes of keys of discarded entries for which the report had no room. */
export const MAX_HASHES = 1024;
export const MAX_REPORT_ID_BYTES = 96;
const MAX_VALUE_BYTES = 40 * 1024 * 1024;

export const countsField = record({
  service: text(64),
  name: text(240),
  merged: count,
  discarded: count,
  resurrected: count,
  failed: count,
});

export const reportField = record({
  id: text(MAX_REPORT_ID_BYTES),
  /** Lineage tags. */
  from: u32,
  to: u32,
  /** Wall clock. */
  startedMs: count,
  /** Entries that can be read, and those that were left out for want of room. */
  entries: u32,
  truncated: count,
  structures: list(countsField, MAX_COUNTED + 1),
});

export const entryField = record({
  service: text(64),
  structure: text(240),
  key: bytes(MAX_VALUE_BYTES),
  kept: optional(bytes(MAX_VALUE_BYTES)),
  discarded: optional(bytes(MAX_VALUE_BYTES)),
  side: oneOf(['source', 'owner'] as const),
  reason: text(2048),
});

const operation = operationsOf('mergeJournal', MERGE_JOURNAL_ID);
const id = text(MAX_REPORT_ID_BYTES);

export const JOURNAL_OPERATIONS = {
  overview: operation({
    index: 1,
    name: 'overview',
    kind: 'read',
    doc: 'The partitions of the member (not only this one) that have merge reports nobody has acknowledged.',
    request: {},
    reply: { partitions: list(u16, 20_000) },
  }),
  summary: operation({
    index: 2,
    name: 'summary',
    kind: 'read',
    doc: 'The reports of merges into the partition that nobody has acknowledged, without their entries.',
    request: {},
    /** `seq`: position of the last change, for `ack`. */
    reply: { reports: list(record({ report: reportField, seq: count, done: bool }), MAX_REPORTS + 1) },
  }),
  page: operation({
    index: 3,
    name: 'page',
    kind: 'read',
    doc: 'Discarded entries of a report behind `after` (empty: from the start), at least one; with the last ones the hashes of the keys that were left out.',
    request: { id, after: text(96), maxBytes: u32 },
    reply: {
      isLast: bool,
      last: text(96),
      entries: list(entryField, 4096),
      hashes: list(u32, MAX_HASHES),
    },
  }),
  ack: operation({
    index: 4,
    name: 'ack',
    kind: 'write',
    doc: 'Removes a report, unless it has changed after position `seq`.',
    request: { id, seq: count },
    reply: { acknowledged: bool },
  }),
};
