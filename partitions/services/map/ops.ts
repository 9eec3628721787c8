/**
 * The operations of a map, each once: number, fields and what it does. Keys and values travel as the bytes that the
 * caller's codec made; equality is that of bytes. Members handle them (`service.ts`), proxies send them
 * (`proxy.ts`), the protocol page lists them.
 */
import { ProtocolError } from '../../../src/base/errors.js';
import {
  bool,
  count,
  f64,
  list,
  mapped,
  oneOf,
  optional,
  record,
  text,
  trailing,
  u16,
  u32,
} from '../../../src/wire/fields.js';
import { operationsOf } from '../../../src/wire/message.js';
import { predicateField } from '../../query/predicate-codec.js';
import { joinedCounts, joinedPages, joinedSearches } from '../joining.js';
import {
  functionName,
  key,
  MAX_BATCH,
  next,
  removalPage,
  scanPage,
  searchPage,
  sizePage,
  value,
} from '../keyed-ops.js';
import { lockOperations } from '../lock-ops.js';
import { AS_CONFIGURED, MAX_LIFE_MS } from './life.js';
import { QUERY_OPERATIONS } from './query-ops.js';
import { STORE_OPERATIONS } from './store-ops.js';

const operation = operationsOf('map', 1);

/** Of the error of one entry, in UTF-8. */
export const MAX_FAILURE_BYTES = 2048;

/** Milliseconds, or -1 for what the options of the map say. */
const orDefault = mapped(f64, 'ms or -1', (ms: number) => ms, checkedLife);

function checkedLife(ms: number): number {
  if (ms === AS_CONFIGURED || (Number.isInteger(ms) && ms >= 0 && ms <= MAX_LIFE_MS)) return ms;
  throw new ProtocolError(`not a time to live: ${ms}`);
}

/** What a call says about how long a value is good; left out: as the options of the map say. */
const life = trailing(record({ ttlMs: orDefault, maxIdleMs: orDefault }));

const entryView = record({
  value,
  costBytes: count,
  createdMs: count,
  updatedMs: count,
  accessedMs: count,
  /** 0 for never, as are the next two. */
  expiresMs: count,
  ttlMs: count,
  maxIdleMs: count,
  hits: u32,
  versionMs: count,
  versionCounter: u16,
  versionMemberHi: u32,
  versionMemberLo: u32,
});

/** Of a load: tag of the lineage, view of the takeover and position at which it was granted. */
const fence = record({ lineage: u32, epoch: u32, seq: count });

const processing = { processor: functionName, argument: optional(value) };
/** Entries of a page, by their index, whose processor failed: number and text of the error. */
const failed = list(record({ index: u32, error: u16, message: text(MAX_FAILURE_BYTES) }), MAX_BATCH);

export const MAP_OPERATIONS = {
  get: operation({
    index: 1,
    name: 'get',
    kind: 'read',
    doc: 'The value of a key; counts as an access.',
    request: { key },
    reply: { value: optional(value) },
  }),
  put: operation({
    index: 2,
    name: 'put',
    kind: 'write',
    doc: 'Sets the value of a key and answers with the old one.',
    request: { key, value, life },
    reply: { value: optional(value) },
  }),
  set: operation({
    index: 3,
    name: 'set',
    kind: 'write',
    doc: 'Sets the value of a key.',
    request: { key, value, life },
    reply: {},
  }),
  putIfAbsent: operation({
    index: 4,
    name: 'putIfAbsent',
    kind: 'write',
    doc: 'Sets the value of a key that has none; answers with the value that was there.',
    request: { key, value, life },
    reply: { value: optional(value) },
  }),
  replace: operation({
    index: 5,
    name: 'replace',
    kind: 'write',
    doc: 'Sets the value of a key that has one; answers with the old one.',
    request: { key, value },
    reply: { value: optional(value) },
  }),
  replaceIfSame: operation({
    index: 6,
    name: 'replaceIfSame',
    kind: 'write',
    doc: 'Sets the value of a key that has the expected one.',
    request: { key, expected: value, value },
    reply: { replaced: bool },
  }),
  remove: operation({
    index: 7,
    name: 'remove',
    kind: 'write',
    doc: 'Removes a key and answers with its value.',
    request: { key },
    reply: { value: optional(value) },
  }),
  removeIfSame: operation({
    index: 8,
    name: 'removeIfSame',
    kind: 'write',
    doc: 'Removes a key that has the expected value.',
    request: { key, expected: value },
    reply: { removed: bool },
  }),
  delete: operation({
    index: 9,
    name: 'delete',
    kind: 'write',
    doc: 'Removes a key.',
    request: { key },
    reply: {},
  }),
  evict: operation({
    index: 10,
    name: 'evict',
    kind: 'write',
    doc: 'Takes an entry out of memory; answers whether there was one.',
    request: { key },
    reply: { evicted: bool },
  }),
  containsKey: operation({
    index: 11,
    name: 'containsKey',
    kind: 'read',
    doc: 'Whether a key has a value.',
    request: { key },
    reply: { found: bool },
  }),
  getEntryView: operation({
    index: 12,
    name: 'getEntryView',
    kind: 'read',
    doc: 'The value of a key with its times, counts and version; counts as no access.',
    request: { key },
    reply: { entry: optional(entryView) },
  }),
  getAll: operation({
    index: 13,
    name: 'getAll',
    kind: 'read',
    doc: 'The values of the first keys of the list, as many as fit into a reply, but at least one; ask again for the rest.',
    request: { keys: list(key, MAX_BATCH) },
    reply: { values: list(optional(value), MAX_BATCH) },
  }),
  setAll: operation({
    index: 14,
    name: 'setAll',
    kind: 'write',
    doc: 'Sets the values of several keys as one change.',
    request: { entries: list(record({ key, value }), MAX_BATCH) },
    reply: {},
  }),
  size: operation({
    index: 15,
    name: 'size',
    kind: 'read',
    fansOut: joinedCounts,
    doc: 'The number of entries of the partition.',
    ...sizePage,
  }),
  containsValue: operation({
    index: 16,
    name: 'containsValue',
    kind: 'read',
    fansOut: joinedSearches,
    doc: 'Whether a value is among a bounded number of entries from the cursor on, in order of hashes.',
    ...searchPage,
  }),
  scan: operation({
    index: 17,
    name: 'scan',
    kind: 'read',
    fansOut: joinedPages(['keys', 'values']),
    doc: 'A page of entries from the cursor on, in order of hashes; what is not asked for is left empty.',
    ...scanPage,
  }),
  clear: operation({
    index: 18,
    name: 'clear',
    kind: 'write',
    doc: 'Removes a page of the entries written up to a position (0: until now); the reply says how to go on.',
    ...removalPage,
  }),
  evictAll: operation({
    index: 19,
    name: 'evictAll',
    kind: 'write',
    doc: 'Takes a page of the entries written up to a position (0: until now) out of memory.',
    ...removalPage,
  }),
  beginLoad: operation({
    index: 20,
    name: 'beginLoad',
    kind: 'write',
    doc: 'Asks to load a key: answers with its value, with a lease for leaseMs, or that another one has it, or then with a value that expired at most staleMs ago. Asked again by the same token it gives the same lease.',
    request: { key, client: count, token: count, leaseMs: u32, staleMs: count },
    reply: {
      outcome: oneOf(['value', 'load', 'wait', 'stale'] as const),
      value: optional(value),
      fence,
      leftMs: count,
    },
  }),
  finishLoad: operation({
    index: 21,
    name: 'finishLoad',
    kind: 'write',
    doc: 'Stores what was loaded (null: that there is nothing) if the lease of the fence is still the current one, and ends it. ttlMs 0: for ever; staleMs: how long it is kept beyond that.',
    request: { key, fence, value: optional(value), ttlMs: count, staleMs: count },
    reply: { isCurrent: bool },
  }),
  abandonLoad: operation({
    index: 22,
    name: 'abandonLoad',
    kind: 'write',
    doc: 'Ends the lease of the fence without a value.',
    request: { key, fence },
    reply: {},
  }),
  awaitLoad: operation({
    index: 23,
    name: 'awaitLoad',
    kind: 'read',
    doc: 'Whether a key has a value by now, or somebody loads it for leftMs at the most, or nobody does.',
    request: { key },
    reply: { outcome: oneOf(['value', 'wait', 'free'] as const), value: optional(value), leftMs: count },
  }),
  setTtl: operation({
    index: 24,
    name: 'setTtl',
    kind: 'write',
    doc: 'Gives an entry another time to live, from now on; 0: for ever. Answers whether there is one.',
    request: { key, ttlMs: orDefault },
    reply: { found: bool },
  }),
  tryPut: operation({
    index: 25,
    name: 'tryPut',
    kind: 'write',
    doc: 'Sets the value of a key, or answers that it did not because somebody else held the key for waitMs.',
    request: { key, value, waitMs: u32 },
    reply: { done: bool },
  }),
  tryRemove: operation({
    index: 26,
    name: 'tryRemove',
    kind: 'write',
    doc: 'Removes a key; answers whether it had a value, and whether somebody else held it for waitMs.',
    request: { key, waitMs: u32 },
    reply: { removed: bool, isLocked: bool },
  }),
  putTransient: operation({
    index: 27,
    name: 'putTransient',
    kind: 'write',
    doc: 'Sets the value of a key in memory only: a store behind the map does not get it.',
    request: { key, value, life },
    reply: {},
  }),
  ...lockOperations(operation, 41),
  ...QUERY_OPERATIONS,
  executeOnKey: operation({
    index: 37,
    name: 'executeOnKey',
    kind: 'write',
    doc: 'Runs an entry processor on a key, and answers with its result. Only what it changed goes to the backups.',
    request: { key, ...processing },
    reply: { result: optional(value) },
  }),
  executeOnKeys: operation({
    index: 38,
    name: 'executeOnKeys',
    kind: 'write',
    doc: 'The same for the first keys of the list, as many as time and size allow, but at least one; ask again for the rest. As one change; keys whose processor failed are listed by their index.',
    request: { keys: list(key, MAX_BATCH), ...processing },
    reply: { results: list(optional(value), MAX_BATCH), failed },
  }),
  executeOnEntries: operation({
    index: 39,
    name: 'executeOnEntries',
    kind: 'write',
    doc: 'The same for those entries of a page, from the cursor on in order of hashes, that match the predicate.',
    request: { cursor: u32, predicate: optional(predicateField), ...processing },
    reply: { next, keys: list(key, MAX_BATCH), results: list(optional(value), MAX_BATCH), failed },
  }),
  ...STORE_OPERATIONS,
};
