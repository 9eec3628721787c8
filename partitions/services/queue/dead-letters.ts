/**
 * Items that were handed out too often go to another queue, perhaps of another partition, in two calls of the primary:
 * one puts the item there, one removes it here. Invariants: what is moved has a name there that its name here and the
 * queue determine, so that it is put once, whoever repeats the first call, also on two sides of a split; the second call
 * is made only when the first was answered, so nothing is lost. Called by the service of the queue, for the errands of
 * its primary.
 */
import type { ReplyOf } from '../../../src/wire/message.js';
import type { Errand, ErrandCall } from '../../errands.js';
import { murmur3 } from '../../hash.js';
import type { Actor, StructureOptions } from '../../service.js';
import { QUEUE_OPERATIONS } from './ops.js';
import { deadLetterQueueOf } from './options.js';
import { type Named, textOf } from './records.js';
import type { QueueState } from './state.js';

/** Items of one queue that are moved at a time. */
const MOST = 16;
/** The words of the actor under which an item stands in a dead-letter queue: hashes with these seeds. */
const SEEDS = [0x5bd1e995, 0x2c9277b5, 0x85ebca77, 0xc2b2ae3d] as const;

/** What the item of a queue is called by in any dead-letter queue. */
export function letterOf(queue: string, { actor, ordinal, ms, counter }: Named): Named {
  const { memberHi, memberLo, lineage, epoch } = actor;
  const text = Buffer.from(`${queue}\n${memberHi}.${memberLo}.${lineage}.${epoch}`);
  const [first, second, third, fourth] = SEEDS.map((seed) => murmur3(text, seed)) as [
    number,
    number,
    number,
    number,
  ];
  const letter: Actor = { memberHi: first, memberLo: second, lineage: third, epoch: fourth };
  return { actor: letter, ordinal, ms, counter };
}

/** What the primary of the queue has to do: moving the items that have died. */
export function errandsOf(state: QueueState, options: StructureOptions): Errand[] {
  return state.handed.dead(MOST).flatMap(({ handOut, item: found, seq }) => {
    const target = deadLetterQueueOf(options, state.name, handOut.deliveries);
    if (target === null) return [];
    const item = Buffer.from(state.bytesOf(found));
    const name = wireName(handOut);
    const bury: ErrandCall = {
      operation: QUEUE_OPERATIONS.bury,
      structure: target,
      request: { from: state.name, name, item },
      goesOn: ({ accepted }: ReplyOf<typeof QUEUE_OPERATIONS.bury>) => accepted,
    };
    const { buried: operation } = QUEUE_OPERATIONS;
    const buried: ErrandCall = { operation, structure: state.name, request: { name }, goesOn: () => true };
    return { key: textOf(handOut), seq, calls: [bury, buried] };
  });
}

/** As requests have it. */
export function wireName({ actor, ordinal, ms, counter }: Named) {
  const { memberHi, memberLo, lineage, epoch } = actor;
  return { memberHi, memberLo, lineage, epoch, ordinal, ms, counter };
}

export function nameFrom({ ordinal, ms, counter, ...actor }: ReturnType<typeof wireName>): Named {
  return { actor, ordinal, ms, counter };
}
