/** The options of a map. Parsed by configuration; the docs and the schema file are made from it. */
import { z } from 'zod';
import {
  checkedIndex,
  INDEX_TYPES,
  MAX_INDEX_ATTRIBUTES,
  MAX_INDEX_NAME,
  MAX_INDEXES,
} from '../../query/index-definition.js';
import { commonOptions, withCommonRules } from '../common-options.js';
import { MAX_LIFE_MS } from './life.js';
import { storeOptions } from './store-options.js';

const life = (what: string) => z.int().min(0).max(MAX_LIFE_MS).default(0).describe(what);

const eviction = z
  .strictObject({
    policy: z
      .enum(['NONE', 'LRU', 'LFU', 'RANDOM'])
      .default('NONE')
      .describe(
        'Which entries make room: LRU those that were not used for longest, LFU those that were read least often for their age, RANDOM any, NONE nothing is evicted. Some entries are sampled, not all compared.',
      ),
    maxEntries: z
      .int()
      .min(1)
      .max(1_000_000_000)
      .optional()
      .describe('Entries of the map that one member leads as primary; its backups come on top.'),
    maxBytes: z
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .optional()
      .describe('The same in bytes of keys, values and what is kept about them (60 or 92 bytes an entry).'),
  })
  .refine(
    ({ policy, maxEntries, maxBytes }) =>
      (policy === 'NONE') === (maxEntries === undefined && maxBytes === undefined),
    'a policy needs maxEntries or maxBytes, and these need a policy other than NONE',
  )
  .prefault({})
  .describe('Bounds what one member has of the map: with more, entries are removed on every replica.');

const index = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .max(MAX_INDEX_NAME)
      .optional()
      .describe('For statistics. Left out: made of the rest.'),
    type: z
      .enum(INDEX_TYPES)
      .default('SORTED')
      .describe('SORTED serves equality and ranges; HASH equality alone.'),
    attributes: z
      .array(z.string())
      .min(1)
      .max(MAX_INDEX_ATTRIBUTES)
      .describe('Paths of fields, for example age, address.city, tags[any] or __key.'),
  })
  .transform((given, context) => {
    try {
      return checkedIndex(given);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  });

const indexes = z
  .array(index)
  .max(MAX_INDEXES)
  .default([])
  .describe('Indexes that queries use, at most 16: each { name, type, attributes } with 1 to 4 attributes.');

const store = storeOptions
  .optional()
  .describe('The store that the map is kept in, by the name that it is registered under; left out: none.');

export const mapOptions = withCommonRules(
  z.strictObject({
    ...commonOptions,
    ttlMs: life(
      'Entries end so long after their last write, 0 to 1,000,000,000,000 ms; 0: never. What a call says goes before it.',
    ),
    maxIdleMs: life(
      'Entries end when they were not used for so long, 0 to 1,000,000,000,000 ms; 0: never. Reads and writes at the primary count. What a call says goes before it.',
    ),
    eviction,
    indexes,
    store,
  }),
);

export type MapOptions = z.output<typeof mapOptions>;
export type Eviction = MapOptions['eviction'];
