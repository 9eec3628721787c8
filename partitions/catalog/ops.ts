/**
 * The operation that tells which structures a partition has something of. It goes to partitions like those of any structure,
 * but no proxy and no configuration has this one: `client/core/distributed-objects.ts` sends it.
 */
import { bool, list, record, text, u8 } from '../../src/wire/fields.js';
import { operationsOf } from '../../src/wire/message.js';
import { MAX_STRUCTURE_NAME_BYTES } from '../limits.js';

export const CATALOG_ID = 238;
/** In the place of a structure's name. */
export const CATALOG_NAME = 'structures';

/** Structures of one page. */
export const MAX_LISTED = 1_000;

const structure = record({ service: u8, name: text(MAX_STRUCTURE_NAME_BYTES) });

export const CATALOG_OPERATIONS = {
  list: operationsOf(
    'catalog',
    CATALOG_ID,
  )({
    index: 1,
    name: 'list',
    kind: 'read',
    doc: 'The structures that the partition has entries of, in order of their kinds and names, behind the given one; a page.',
    request: { after: structure },
    reply: { structures: list(structure, MAX_LISTED), isLast: bool },
  }),
};
