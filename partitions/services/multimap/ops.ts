/**
 * The operations of a multimap, each once: number, fields and what it does. Keys and values travel as the bytes that
 * the caller's codec made; equality is that of bytes. Members handle them (`service.ts`), proxies send them
 * (`proxy.ts`), the protocol page lists them.
 */
import { ProtocolError } from '../../../src/base/errors.js';
import { bool, bytes, count, list, mapped, optional, record } from '../../../src/wire/fields.js';
import { operationsOf } from '../../../src/wire/message.js';
import { joinedCounts, joinedPages, joinedSearches } from '../joining.js';
import { key, MAX_BATCH, removalPage, scanPage, searchPage, sizePage, value } from '../keyed-ops.js';
import { lockOperations } from '../lock-ops.js';
import { ID_BYTES } from './pair.js';

/** Most values of one key in one reply; what fits is read or removed at once, more in further requests. */
export const MAX_PAGE_VALUES = 10_000;

const operation = operationsOf('multiMap', 4);
const id = mapped<Uint8Array, Uint8Array>(
  bytes(ID_BYTES),
  `bytes=${ID_BYTES}`,
  (given) => given,
  (given) => {
    if (given.length !== ID_BYTES) throw new ProtocolError(`the id of a pair with ${given.length} bytes`);
    return given;
  },
);
const values = list(value, MAX_PAGE_VALUES);

export const MULTI_MAP_OPERATIONS = {
  put: operation({
    index: 1,
    name: 'put',
    kind: 'write',
    doc: 'Puts a pair; answers false, and changes nothing, when a multimap of the type SET has it.',
    request: { key, value },
    reply: { added: bool },
  }),
  putAll: operation({
    index: 2,
    name: 'putAll',
    kind: 'write',
    doc: 'Puts several pairs as one change, in the order of the list.',
    request: { pairs: list(record({ key, value }), MAX_BATCH) },
    reply: {},
  }),
  get: operation({
    index: 3,
    name: 'get',
    kind: 'read',
    doc: 'The values of a key in the order in which they were put, from behind a pair on; with more left, the pair to go on behind.',
    request: { key, after: optional(id) },
    reply: { values, next: optional(id) },
  }),
  remove: operation({
    index: 4,
    name: 'remove',
    kind: 'write',
    doc: 'Removes a pair, of equal ones of the type LIST the first; answers whether there was one.',
    request: { key, value },
    reply: { removed: bool },
  }),
  removeAll: operation({
    index: 5,
    name: 'removeAll',
    kind: 'write',
    doc: 'Removes the values of a key that were put up to a position (0: until now), as many as fit into a reply, from behind a pair on, and answers with them if asked to; with more left, the pair to go on behind.',
    request: { key, after: optional(id), upTo: count, withValues: bool },
    reply: { values, next: optional(id), upTo: count },
  }),
  containsKey: operation({
    index: 6,
    name: 'containsKey',
    kind: 'read',
    doc: 'Whether a key has a value.',
    request: { key },
    reply: { found: bool },
  }),
  containsEntry: operation({
    index: 7,
    name: 'containsEntry',
    kind: 'read',
    doc: 'Whether a key has this value.',
    request: { key, value },
    reply: { found: bool },
  }),
  valueCount: operation({
    index: 8,
    name: 'valueCount',
    kind: 'read',
    doc: 'The number of values of a key.',
    request: { key },
    reply: { values: count },
  }),
  size: operation({
    index: 9,
    name: 'size',
    kind: 'read',
    fansOut: joinedCounts,
    doc: 'The number of pairs of the partition.',
    ...sizePage,
  }),
  containsValue: operation({
    index: 10,
    name: 'containsValue',
    kind: 'read',
    fansOut: joinedSearches,
    doc: 'Whether a value is among a bounded number of pairs from the cursor on, in order of hashes.',
    ...searchPage,
  }),
  scan: operation({
    index: 11,
    name: 'scan',
    kind: 'read',
    fansOut: joinedPages(['keys', 'values']),
    doc: 'A page of keys, each once, or of pairs from the cursor on, in order of hashes; what is not asked for is left empty.',
    ...scanPage,
  }),
  clear: operation({
    index: 12,
    name: 'clear',
    kind: 'write',
    doc: 'Removes a page of the pairs put up to a position (0: until now); the reply says how to go on.',
    ...removalPage,
  }),
  ...lockOperations(operation, 13),
};
