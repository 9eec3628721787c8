/** The options of an atomic long. Parsed by configuration; the docs and the schema file are made from it. */
import { z } from 'zod';
import { DEFAULT_MERGE_POLICY } from '../../merge-policies.js';
import { commonOptions, withCommonRules } from '../common-options.js';

export const atomicLongOptions = withCommonRules(
  z.strictObject({
    ...commonOptions,
    mergePolicy: z
      .literal(DEFAULT_MERGE_POLICY)
      .default(DEFAULT_MERGE_POLICY)
      .describe(
        'Only this: additions of all sides of a split count, and of the values that were set the latest.',
      ),
  }),
);

export type AtomicLongOptions = z.output<typeof atomicLongOptions>;
