/**
 * The operations of queries of a map, part of the table in `ops.ts`. Each is one bounded step in one partition: the reply says
 * at which hash to go on, how many entries were visited and matched, and which index was used. Handled in `query-handlers.ts`,
 * sent by `proxy-query.ts`.
 */
import { bool, count, list, oneOf, optional, record, text, u32 } from '../../../src/wire/fields.js';
import { operationsOf } from '../../../src/wire/message.js';
import { aggregatorField } from '../../query/aggregators.js';
import { indexField } from '../../query/index-definition.js';
import { singlePathField } from '../../query/path-field.js';
import { predicateField } from '../../query/predicate-codec.js';
import { attributesField } from '../../query/projections.js';
import { scalarField } from '../../query/scalar-codec.js';
import { joinedPages } from '../joining.js';
import { key, MAX_BATCH, next, value } from '../keyed-ops.js';

const operation = operationsOf('map', 1);

/** What a step cost, and found. */
const told = { visited: u32, matched: u32, index: text(1_024) };
const SUMS = ['visited', 'matched'] as const;
/** Of what tells which index was used. */
const SAME = ['index'] as const;
const where = { predicate: predicateField, cursor: u32 };
const anchor = record({ sort: scalarField, key });

export const QUERY_OPERATIONS = {
  query: operation({
    index: 30,
    name: 'query',
    kind: 'read',
    fansOut: joinedPages(['keys', 'values'], SUMS),
    doc: 'A page of the entries that match a predicate, from the cursor on, in order of hashes; what is not asked for is left empty.',
    request: { ...where, what: oneOf(['keys', 'values', 'entries'] as const), maxBytes: u32 },
    reply: { next, keys: list(key, MAX_BATCH), values: list(value, MAX_BATCH), ...told },
  }),
  removeWhere: operation({
    index: 31,
    name: 'removeWhere',
    kind: 'write',
    doc: 'Removes a page of the entries that match a predicate and were written up to a position (0: until now).',
    request: { ...where, upTo: count },
    reply: { next, upTo: count, removed: u32, ...told },
  }),
  aggregate: operation({
    index: 32,
    name: 'aggregate',
    kind: 'read',
    fansOut: joinedPages(['partials'], SUMS, SAME),
    doc: 'The partial result of an aggregator for a page of the entries that match a predicate, as an encoded value; several where the answers of partitions were joined.',
    request: { ...where, aggregator: aggregatorField },
    reply: { next, partials: list(value, MAX_BATCH), ...told },
  }),
  project: operation({
    index: 33,
    name: 'project',
    kind: 'read',
    fansOut: joinedPages(['rows'], SUMS),
    doc: 'The values at some paths in a page of the entries that match a predicate, for each entry an encoded array.',
    request: { ...where, attributes: attributesField, maxBytes: u32 },
    reply: { next, rows: list(value, MAX_BATCH), ...told },
  }),
  setIndex: operation({
    index: 34,
    name: 'setIndex',
    kind: 'write',
    doc: 'Adds an index to the list of the partition; null empties the list.',
    request: { index: optional(indexField) },
    reply: {},
  }),
  warmIndex: operation({
    index: 36,
    name: 'warmIndex',
    kind: 'read',
    doc: 'A bounded step of building what is in an index of the list; answers whether it is built.',
    request: { index: indexField },
    reply: { isBuilt: bool },
  }),
  queryPage: operation({
    index: 35,
    name: 'queryPage',
    kind: 'read',
    fansOut: joinedPages(['places', 'values'], SUMS),
    doc: 'Of the matching entries in a step from the cursor on, those that come first in an order, behind one place and before another, at most limit of them.',
    request: {
      ...where,
      attribute: singlePathField,
      order: oneOf(['asc', 'desc'] as const),
      after: optional(anchor),
      before: optional(anchor),
      limit: u32,
      withValues: oneOf(['no', 'yes'] as const),
    },
    reply: { next, places: list(anchor, MAX_BATCH), values: list(value, MAX_BATCH), ...told },
  }),
};
