/** The options of a topic. Parsed by configuration; the docs and the schema file are made from it. */
import { z } from 'zod';
import { DEFAULT_MERGE_POLICY } from '../../merge-policies.js';
import { commonOptions, withCommonRules } from '../common-options.js';

export const topicOptions = withCommonRules(
  z.strictObject({
    ...commonOptions,
    mergePolicy: z
      .literal(DEFAULT_MERGE_POLICY)
      .default(DEFAULT_MERGE_POLICY)
      .describe(
        'Only this: each side of a split tells its own listeners; those of the other sides are told of a gap.',
      ),
  }),
);

export type TopicOptions = z.output<typeof topicOptions>;
