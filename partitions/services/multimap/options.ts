/** The options of a multimap. Parsed by configuration; the docs and the schema file are made from it. */
import { z } from 'zod';
import { DEFAULT_MERGE_POLICY } from '../../merge-policies.js';
import { commonOptions, withCommonRules } from '../common-options.js';

export const multiMapOptions = withCommonRules(
  z.strictObject({
    ...commonOptions,
    valueCollectionType: z
      .enum(['SET', 'LIST'])
      .default('SET')
      .describe(
        'SET: a key has a value once. LIST: a key may have equal values several times, in the order in which they were put.',
      ),
    mergePolicy: z
      .literal(DEFAULT_MERGE_POLICY)
      .default(DEFAULT_MERGE_POLICY)
      .describe(
        'Only this: pairs that were put on any side of a split are there, and a removal takes out what it saw.',
      ),
  }),
);

export type MultiMapOptions = z.output<typeof multiMapOptions>;
