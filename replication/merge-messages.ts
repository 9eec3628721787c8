/**
 * Messages of a merge, between the holder of a replica that is out of use and the primary that its contents go to.
 * Numbers 80..89. The partition is in the header; `merge` is a number of the holder's for one attempt.
 */

import { historyField } from '../partitions/history.js';
import { bool, bytes, count, list, oneOf, text, u8, u32 } from '../src/wire/fields.js';
import { defineMessage } from '../src/wire/message.js';

const MAX_RECORDS_BYTES = 40 * 1024 * 1024;
/** Calls that one page can hold. */
const MAX_SKIPPED = 65_536;

export const mergeBegin = defineMessage({
  id: 80,
  name: 'mergeBegin',
  doc: 'Asks the primary what it has of the contents of a replica that is out of use.',
  fields: { merge: u32, reportId: text(96), seq: count, history: historyField },
});

export const mergeBegun = defineMessage({
  id: 81,
  name: 'mergeBegun',
  doc: 'Answer to mergeBegin: everything is here and safe, or wait and ask again, or go on behind what is here.',
  fields: {
    merge: u32,
    state: oneOf(['go', 'done', 'wait'] as const),
    fromSeq: count,
    service: u8,
    name: text(240),
    cursor: count,
  },
});

export const mergeCalls = defineMessage({
  id: 82,
  name: 'mergeCalls',
  doc: 'Calls that the source has applied beyond what is shared, with their replies.',
  fields: { merge: u32, index: u32, calls: bytes(MAX_RECORDS_BYTES) },
});

export const mergeBatch = defineMessage({
  id: 83,
  name: 'mergeBatch',
  doc: 'Changed records of one structure, and where the source goes on behind them. The primary takes the steps of a merge in order of their index.',
  fields: {
    merge: u32,
    index: u32,
    service: u8,
    structure: text(240),
    records: bytes(MAX_RECORDS_BYTES),
    nextService: u8,
    nextName: text(240),
    nextCursor: count,
  },
});

export const mergeEnd = defineMessage({
  id: 84,
  name: 'mergeEnd',
  doc: 'The last step of a merge: the source has sent everything.',
  fields: { merge: u32, index: u32 },
});

export const mergeAck = defineMessage({
  id: 85,
  name: 'mergeAck',
  doc: 'A step was taken and can not be lost any more; of calls, the positions of those that the owner has applied itself. A merge that is not known (any more) has to begin anew.',
  lane: 'control',
  fields: { merge: u32, index: u32, known: bool, skipped: list(count, MAX_SKIPPED) },
});
