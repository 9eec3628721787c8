/**
 * What the primary of a queue decides about items that have to be acknowledged: who gets one, when it comes back, and when
 * it leaves for the dead-letter queue. Invariants: an item is with one consumer at a time, and only who has it now can
 * acknowledge it; what comes back is at its old place. Part of the handlers in `service.ts`.
 */
import { OperationFailedError } from '../../../src/base/errors.js';
import type { OperationContext, StructureOptions, Tending } from '../../service.js';
import type { HandlersOf } from '../structure.js';
import { letterOf, nameFrom, wireName } from './dead-letters.js';
import { type HandOut, WHERE } from './hand-out.js';
import type { Item } from './items.js';
import { MAX_ITEMS, type QUEUE_OPERATIONS } from './ops.js';
import { deadLetterQueueOf, maxSizeOf } from './options.js';
import { page } from './page.js';
import { DELTA, isTime, RECORD, writeItem } from './records.js';
import { MOVER, type QueueState } from './state.js';

type HandOperations = Pick<
  typeof QUEUE_OPERATIONS,
  'handOut' | 'acknowledge' | 'giveBack' | 'extend' | 'bury' | 'buried'
>;

export const handOutHandlers: HandlersOf<QueueState, HandOperations> = {
  handOut(state, { client, max, ackTimeoutMs, waitMs }, context) {
    if (state.items.count === 0 && context.wait(waitMs)) return { deliveries: [] };
    const items = page(state, headOf(state, context), Math.min(max, MAX_ITEMS));
    const { lineage, epoch } = context.actor;
    const fence = { lineage, epoch, seq: context.seq };
    const handed = items.map((item): HandOut => {
      const { actor, ordinal, ms, counter } = item;
      const deliveries = (state.handed.find(item)?.deliveries ?? 0) + 1;
      const what = { where: WHERE.out, client, fence, timeoutMs: ackTimeoutMs, deliveries };
      return { actor, ordinal, ms, counter, ...what };
    });
    state.hand(handed, context);
    const deliveries = handed.map((handOut, i) => ({
      item: state.bytesOf(items[i] as Item),
      name: wireName(handOut),
      fence,
      deliveries: handOut.deliveries,
    }));
    return { deliveries };
  },

  acknowledge(state, { name, fence }, context) {
    const handOut = state.handed.current(nameFrom(name), fence);
    const item = handOut === undefined ? undefined : state.handed.itemOf(handOut);
    if (item === undefined) return { isCurrent: false };
    if (context.faults?.ackIgnored === true) return { isCurrent: true };
    state.removeAway([item], context.actor, context);
    return { isCurrent: true };
  },

  giveBack(state, { name, fence, delayMs }, context) {
    const handOut = state.handed.current(nameFrom(name), fence);
    if (handOut === undefined) return { isCurrent: false };
    const back = returned(handOut, context.options, state.name);
    const isLate = delayMs > 0 && back.where === WHERE.back;
    state.hand([isLate ? { ...back, where: WHERE.late, timeoutMs: delayMs } : back], context);
    return { isCurrent: true };
  },

  extend(state, { name, fence, ackTimeoutMs }, context) {
    const handOut = state.handed.current(nameFrom(name), fence);
    if (handOut === undefined) return { isCurrent: false };
    state.hand([{ ...handOut, timeoutMs: ackTimeoutMs }], context);
    return { isCurrent: true };
  },

  bury(state, { from, name, item }, context) {
    const isDoubled = context.faults?.letterDoubled === true;
    const letter = letterOf(isDoubled ? `${from} ${context.seq}` : from, nameFrom(name));
    if (!isTime(letter.ms)) throw new OperationFailedError(`a dead letter of the time ${letter.ms}`);
    const { memberHi, memberLo } = letter.actor;
    if (state.isGone(letter) || state.isHere({ ...letter, memberHi, memberLo })) return { accepted: true };
    if (state.entryCount >= maxSizeOf(context.options)) return { accepted: false };
    const out = context.delta();
    out.u8(DELTA.merge);
    out.u8(RECORD.item);
    out.f64(context.seq);
    writeItem(out, letter, item);
    state.mergeIn(out, context.seq);
    return { accepted: true };
  },

  buried(state, { name }, context) {
    const handOut = state.handed.find(nameFrom(name));
    const item = handOut?.where === WHERE.dead ? state.handed.itemOf(handOut) : undefined;
    if (item !== undefined) state.removeAway([item], MOVER, context);
    return {};
  },
};

/** Index of the item to be handed out next. */
function headOf({ items, handed }: QueueState, { faults }: OperationContext): number {
  let index = 0;
  if (faults?.returnedLast === true)
    while (index < items.count - 1 && handed.find(items.at(index)) !== undefined) index++;
  return index;
}

/** The item is with nobody any more. */
function returned(handOut: HandOut, options: StructureOptions, queue: string): HandOut {
  const isSpent = deadLetterQueueOf(options, queue, handOut.deliveries) !== null;
  return { ...handOut, where: isSpent ? WHERE.dead : WHERE.back, client: 0, timeoutMs: 0 };
}

/** `Service.tend` of the queue: what was not acknowledged in time comes back. */
export function tendQueue(state: QueueState, { isGone }: Tending, context: OperationContext): void {
  const { options } = context;
  const isForgotten = context.faults?.handOutsForgotten === true;
  const due = state.handed.due(context.nowMs, isGone, MAX_ITEMS, isForgotten);
  // With other options by now the item stays after all.
  const revived = state.handed
    .dead(MAX_ITEMS)
    .filter(({ handOut }) => deadLetterQueueOf(options, state.name, handOut.deliveries) === null);
  const all = [...due, ...revived.map(({ handOut }) => handOut)].slice(0, MAX_ITEMS);
  state.hand(
    all.map((handOut) => returned(handOut, options, state.name)),
    context,
  );
}
