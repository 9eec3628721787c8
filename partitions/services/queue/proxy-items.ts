/**
 * Listening to the items of a queue through a proxy: what members tell of the partition of the queue, as events for people.
 * Invariant: a listener is checked before anything is sent. Called by the proxy of the queue.
 */
import { EVENT_KINDS, type EventKind } from '../../events/event.js';
import type { GapReason, ListenRequest, ToldEvent } from '../../events/listening.js';
import type { Invoker } from '../../invoker.js';
import {
  begun,
  checkedBoolean,
  checkedFunctions,
  type EventPosition,
  type GapEvent,
  give,
  listeningOf,
  positionOf,
  removed,
} from '../proxy-listeners.js';
import type { NamedRequests } from '../proxy-named.js';
import { queueService } from './service.js';

export interface ItemEvent<E> {
  /** Of the queue. */
  readonly name: string;
  /** Null without `includeValue`. */
  readonly item: E | null;
  /** Id of the member that told it. */
  readonly member: string;
  readonly position: EventPosition;
}

/** What is called for what; each function may be left out. */
export interface ItemListener<E> {
  itemAdded?(event: ItemEvent<E>): void;
  itemRemoved?(event: ItemEvent<E>): void;
  gap?(event: GapEvent): void;
}

const ITEM_KINDS = { itemAdded: 'added', itemRemoved: 'removed' } as const satisfies Record<
  string,
  EventKind
>;
type FunctionName = keyof typeof ITEM_KINDS;
const NAMES = Object.keys(ITEM_KINDS) as FunctionName[];

export async function addItemListener<E>(
  { name, partitionOf, invoker, options }: NamedRequests,
  listener: ItemListener<E>,
  includeValue: boolean,
): Promise<string> {
  const functions = checkedFunctions(listener, [...NAMES, 'gap']);
  const names = NAMES.filter((one) => functions[one] !== undefined);
  const eventOf = (told: ToldEvent): ItemEvent<E> => {
    const { value, old, member } = told;
    const bytes = value ?? old;
    const item = bytes === null ? null : (invoker.codec.decode(bytes) as E);
    return { name, item, member, position: positionOf(told) };
  };
  const gap = (partition: number, reason: GapReason) =>
    functions.gap?.call(listener, { name, partition, reason });
  const request: Omit<ListenRequest, 'settled'> = {
    serviceId: queueService.id,
    structure: name,
    kinds: names.reduce((bits, one) => bits | (1 << EVENT_KINDS.indexOf(ITEM_KINDS[one])), 0),
    withValue: checkedBoolean('includeValue', includeValue),
    key: null,
    predicate: null,
    partitionOf,
    from: null,
    timeoutMs: options.timeoutMs,
    event: (told) => {
      const called = names.find((one) => ITEM_KINDS[one] === told.kind);
      if (called === undefined) return;
      return give(told, eventOf, (event) => functions[called]?.call(listener, event), gap);
    },
    gap,
    reached: () => {},
  };
  return begun(listeningOf(invoker), request, options.signal);
}

export async function removeItemListener(invoker: Invoker, id: string): Promise<boolean> {
  return removed(listeningOf(invoker), id);
}
