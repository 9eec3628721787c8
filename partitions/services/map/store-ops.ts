/** The operations of a map with a store that users ask for by name, each once; see `ops.ts`. */
import { bool, count, list, oneOf, record, text, u32 } from '../../../src/wire/fields.js';
import { operationsOf } from '../../../src/wire/message.js';
import { key, MAX_BATCH } from '../keyed-ops.js';
import { MAX_MESSAGE_BYTES } from './pending.js';

const operation = operationsOf('map', 1);

/** A text that the member has cut to fit, in UTF-8. */
const message = text(3 * MAX_MESSAGE_BYTES);

export const STORE_OPERATIONS = {
  loadKeys: operation({
    index: 46,
    name: 'loadKeys',
    kind: 'write',
    doc: 'Asks the store for those keys that are not in memory; answers how many of all have a value then. With evicts: takes keys out of memory that the store has.',
    request: { keys: list(key, MAX_BATCH), evicts: bool },
    reply: { loaded: u32 },
  }),
  fillMap: operation({
    index: 47,
    name: 'fillMap',
    kind: 'read',
    doc: "Loads all that the store has, as a job of this client and token, by the member that leads the partition of the map's name; asked again it answers how far that is.",
    request: { client: count, token: count, replaces: bool },
    reply: { state: oneOf(['running', 'done', 'failed'] as const), loaded: count, message },
  }),
  flushStore: operation({
    index: 48,
    name: 'flushStore',
    kind: 'read',
    doc: 'Has all that is owed to the store up to a position (0: until now) written without delay; answers how much of it is left.',
    request: { upTo: count },
    reply: { upTo: count, pending: u32, failed: u32 },
  }),
  storeStatus: operation({
    index: 49,
    name: 'storeStatus',
    kind: 'read',
    doc: 'What the store lacks of the partition: writes, those that were set aside, since when (milliseconds since 1970, 0: nothing), and some of those that it refuses.',
    request: {},
    reply: {
      pending: u32,
      setAside: u32,
      oldestMs: count,
      failed: list(record({ key, attempts: u32, message, isAside: bool }), MAX_BATCH),
    },
  }),
  retryFailed: operation({
    index: 50,
    name: 'retryFailed',
    kind: 'write',
    doc: 'Has writes tried again that were set aside, some at a time; answers how many.',
    request: {},
    reply: { retried: u32 },
  }),
};
