/**
 * Listening to the items of a queue: listeners as objects of functions, checked before anything is sent, and what members
 * tell as events for people. Called by the proxy of the queue.
 */
import { checkKnown } from '../../../src/base/option-names.js';
import { EVENT_KINDS, type EventKind } from '../../events/event.js';
import type { GapReason, Listening, ToldEvent } from '../../events/listening.js';
import { partitionOf } from '../../hash.js';
import { type EventPosition, type GapEvent, positionOf } from '../proxy-listeners.js';

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
  /** An item was put in, also by a merge, or as a dead letter. */
  itemAdded?(event: ItemEvent<E>): void;
  /** An item is gone for good: taken, removed, acknowledged, or a dead letter elsewhere. */
  itemRemoved?(event: ItemEvent<E>): void;
  /** Changes may have been missed. */
  gap?(event: GapEvent): void;
}

/** What listening needs of a queue. */
export interface ItemSource<E> {
  readonly name: string;
  readonly hash: number;
  readonly serviceId: number;
  readonly listening: Listening | undefined;
  readonly timeoutMs: number | undefined;
  decode(bytes: Uint8Array): E;
}

const KINDS: readonly (readonly [EventKind, 'itemAdded' | 'itemRemoved'])[] = [
  ['added', 'itemAdded'],
  ['removed', 'itemRemoved'],
];

/** Resolves with the id of the listener when all that changes from now on is told. */
export function addItemListener<E>(
  source: ItemSource<E>,
  listener: ItemListener<E>,
  includeValue: boolean,
): Promise<string> {
  check(listener, includeValue);
  const { name } = source;
  const wanted = KINDS.filter(([, method]) => listener[method] !== undefined);
  const listening = listeningOf(source);
  return new Promise((resolve, reject) => {
    const id: string = listening.listen({
      serviceId: source.serviceId,
      structure: name,
      kinds: wanted.reduce((bits, [kind]) => bits | (1 << EVENT_KINDS.indexOf(kind)), 0),
      withValue: includeValue,
      key: null,
      partitionOf: (partitionCount) => partitionOf(source.hash, partitionCount),
      from: null,
      timeoutMs: source.timeoutMs,
      event: (told) => listener[told.kind === 'added' ? 'itemAdded' : 'itemRemoved']?.(eventOf(source, told)),
      gap: (partition: number, reason: GapReason) => listener.gap?.({ name, partition, reason }),
      reached: () => {},
      settled: (error) => (error === null ? resolve(id) : reject(error)),
    });
  });
}

/** False when there is no such listener in this process. */
export function removeItemListener(source: Pick<ItemSource<never>, 'listening'>, id: string): boolean {
  if (typeof id !== 'string') throw new TypeError(`id: expected a string, got ${typeof id}`);
  return listeningOf(source).remove(id);
}

function listeningOf({ listening }: Pick<ItemSource<never>, 'listening'>): Listening {
  if (listening === undefined) throw new TypeError('nothing can be listened to here');
  return listening;
}

function eventOf<E>(source: ItemSource<E>, told: ToldEvent): ItemEvent<E> {
  const bytes = told.value ?? told.old;
  const item = bytes === null ? null : source.decode(bytes);
  return { name: source.name, item, member: told.member, position: positionOf(told) };
}

function check(listener: unknown, includeValue: unknown): void {
  if (typeof listener !== 'object' || listener === null)
    throw new TypeError(`listener: expected an object of functions, got ${String(listener)}`);
  const names = ['itemAdded', 'itemRemoved', 'gap'] as const;
  checkKnown(listener, names);
  for (const name of names) {
    const given: unknown = (listener as Record<string, unknown>)[name];
    if (given !== undefined && typeof given !== 'function')
      throw new TypeError(`listener.${name}: expected a function, got ${String(given)}`);
  }
  if (typeof includeValue !== 'boolean')
    throw new TypeError(`includeValue: expected a boolean, got ${typeof includeValue}`);
}
