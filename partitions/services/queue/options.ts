/** The options of a queue. Parsed by configuration; the docs and the schema file are made from it. */
import { z } from 'zod';
import { DEFAULT_MERGE_POLICY } from '../../merge-policies.js';
import type { StructureOptions } from '../../service.js';
import { commonOptions, withCommonRules } from '../common-options.js';

export const queueOptions = withCommonRules(
  z.strictObject({
    ...commonOptions,
    maxSize: z
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .default(0)
      .describe(
        'Items that the queue takes, 0 for any number; a merge of two sides of a split may exceed it.',
      ),
    mergePolicy: z
      .literal(DEFAULT_MERGE_POLICY)
      .default(DEFAULT_MERGE_POLICY)
      .describe(
        'Only this: the items that any side of a split added and none has taken stay, in the order of their times.',
      ),
  }),
);

export type QueueOptions = z.output<typeof queueOptions>;

/** Of the options of a queue, as an operation gets them. */
export function maxSizeOf(options: StructureOptions): number {
  const { maxSize } = options as QueueOptions;
  return maxSize === 0 ? Number.POSITIVE_INFINITY : maxSize;
}
