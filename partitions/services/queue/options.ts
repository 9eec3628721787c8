/** The options of a queue. Parsed by configuration; the docs and the schema file are made from it. */
import { z } from 'zod';
import { MAX_STRUCTURE_NAME_BYTES } from '../../limits.js';
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
    emptyTtlMs: z
      .int()
      .min(0)
      .max(604_800_000)
      .default(0)
      .describe(
        'An empty queue that nobody used for so long is forgotten, with the marks of what was taken: a side of a split that lasted longer may bring items back. 0, or above it: after forkRetentionMs.',
      ),
    maxDeliveries: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(0)
      .describe(
        'How often an item is handed out that has to be acknowledged (poll with ackTimeoutMs); then it goes to the deadLetterQueue. 0: for ever.',
      ),
    deadLetterQueue: z
      .string()
      .max(MAX_STRUCTURE_NAME_BYTES)
      .default('')
      .describe(
        'Name of the queue that gets items which were handed out maxDeliveries times and never acknowledged. Empty: none.',
      ),
    mergePolicy: z
      .literal(DEFAULT_MERGE_POLICY)
      .default(DEFAULT_MERGE_POLICY)
      .describe(
        'Only this: the items that any side of a split added and none has taken stay, in the order of their times.',
      ),
  }),
).superRefine(({ maxDeliveries, deadLetterQueue }, context) => {
  if (maxDeliveries > 0 && deadLetterQueue === '') {
    const message = `${maxDeliveries} deliveries, and no deadLetterQueue for items that were handed out so often; name one, or use 0`;
    context.addIssue({ code: 'custom', path: ['deadLetterQueue'], message });
  }
  if (maxDeliveries === 0 && deadLetterQueue !== '') {
    const message = `0 is for ever: nothing would come into '${deadLetterQueue}'; use 1 or more, or leave deadLetterQueue out`;
    context.addIssue({ code: 'custom', path: ['maxDeliveries'], message });
  }
});

export type QueueOptions = z.output<typeof queueOptions>;

/** Of the options of a queue, as an operation gets them. */
export function maxSizeOf(options: StructureOptions): number {
  const { maxSize } = options as QueueOptions;
  return maxSize === 0 ? Number.POSITIVE_INFINITY : maxSize;
}

/** How long an empty queue is kept that nobody uses; infinite when the queue says nothing. */
export function emptyTtlOf(options: StructureOptions): number {
  const { emptyTtlMs } = options as QueueOptions;
  return emptyTtlMs > 0 ? emptyTtlMs : Number.POSITIVE_INFINITY;
}

/** The queue that gets an item which was handed out so often without being acknowledged; null: it stays. */
export function deadLetterQueueOf(
  options: StructureOptions,
  queue: string,
  deliveries: number,
): string | null {
  const { maxDeliveries, deadLetterQueue } = options as QueueOptions;
  const isSpent = maxDeliveries > 0 && deliveries >= maxDeliveries;
  // A queue that is its own dead-letter queue would move items for ever.
  return isSpent && deadLetterQueue !== queue ? deadLetterQueue : null;
}
