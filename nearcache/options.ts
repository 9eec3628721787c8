/** The options of a near cache, the same for clients and embedded members. Parsed by configuration. */
import { z } from 'zod';
import { MAX_STALENESS_MS } from './messages.js';

const MAX_MS = 604_800_000;

export const nearCacheOptions = z.strictObject({
  maxEntries: z
    .int()
    .min(1)
    .max(100_000_000)
    .default(10_000)
    .describe('Entries that are kept at the most; beyond it, eviction decides which one goes.'),
  maxBytes: z
    .int()
    .min(1_024)
    .max(2 ** 40)
    .optional()
    .describe('Bytes of keys and encoded values that are kept at the most, beside maxEntries.'),
  eviction: z
    .enum(['LRU', 'LFU'])
    .default('LRU')
    .describe('Which entry goes first: the one not used for longest, or the one used least often.'),
  ttlMs: z
    .int()
    .min(0)
    .max(MAX_MS)
    .default(0)
    .describe('An entry is kept for so long at the most, whether its key changes or not; 0: no limit.'),
  maxIdleMs: z
    .int()
    .min(0)
    .max(MAX_MS)
    .default(0)
    .describe('An entry that was not read for so long goes; 0: no limit.'),
  maxStalenessMs: z
    .int()
    .min(1)
    .max(MAX_STALENESS_MS)
    .default(1_000)
    .describe(
      'No value from here is older than this. A third of it is how often members are asked for their positions while the cache is in use.',
    ),
  format: z
    .enum(['objects', 'bytes'])
    .default('objects')
    .describe('Keep decoded values, which is fastest, or their bytes, decoded at each read.'),
  sharing: z
    .enum(['frozen', 'copied'])
    .default('frozen')
    .describe(
      'All readers get one object, frozen; or each gets a copy of its own. What holds a Buffer, typed array, Map, Set or Date is always copied.',
    ),
  cacheAbsent: z.boolean().default(true).describe('Keep as well that a key has no value.'),
  preload: z
    .strictObject({
      file: z.string().min(1).max(4_096).describe('Where the keys are kept, with the name of the map added.'),
      intervalMs: z
        .int()
        .min(1_000)
        .max(MAX_MS)
        .default(60_000)
        .describe('How often they are written; they are as well at the end.'),
    })
    .optional()
    .describe('Keep the keys in a file, and read their values at the next start.'),
});

export type NearCacheOptions = z.output<typeof nearCacheOptions>;
