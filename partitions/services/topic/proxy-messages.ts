/**
 * Listening to the messages of a topic through a proxy: what members tell of the partition of the topic, as messages for
 * people. Invariant: a listener is checked before anything is sent. Called by the proxy of the topic.
 */
import { checkKnown } from '../../../src/base/option-names.js';
import { EVENT_KINDS, type EventKind, type EventPlace } from '../../events/event.js';
import type { GapReason, ListenRequest, ToldEvent } from '../../events/listening.js';
import { type EventSource, EventStream, type StreamCalls, type WithType } from '../proxy-events.js';
import {
  begun,
  checkedFunctions,
  type EventPosition,
  type GapEvent,
  give,
  listeningOf,
  positionOf,
} from '../proxy-listeners.js';
import type { NamedRequests } from '../proxy-named.js';
import { publisherName, readHead } from './head.js';
import { topicService } from './service.js';

export interface Message<E> {
  /** Of the topic. */
  readonly name: string;
  /** What was published. */
  readonly messageObject: E;
  /** Wall clock of the member that took it, ms. */
  readonly publishingTime: number;
  /** The same for all messages of one client or embedded member: what it has as `topic.publisher`. */
  readonly publisher: string;
  /** Id of the member that told it. */
  readonly member: string;
  readonly position: EventPosition;
}

/** What is called for what; each function may be left out. */
export interface MessageListener<E> {
  message?(message: Message<E>): void;
  gap?(event: GapEvent): void;
}

export interface MessagesOptions {
  /** A token: go on behind it. Default: with what is published from now on. */
  readonly from?: string;
}

/** What `for await` over the messages of a topic gives. */
export type TopicEvent<E> = WithType<'message', Message<E>> | WithType<'gap', GapEvent>;

export type TopicMessages<E> = EventStream<TopicEvent<E>>;

/** `merged`: of messages of another side of a split, which were told there. */
const KINDS: readonly EventKind[] = ['added', 'merged'];

export async function addMessageListener<E>(
  topic: NamedRequests,
  listener: ((message: Message<E>) => void) | MessageListener<E>,
): Promise<string> {
  const given = typeof listener === 'function' ? { message: listener } : listener;
  const functions = checkedFunctions(given, ['message', 'gap']);
  const { name, invoker, options } = topic;
  const gap = (partition: number, reason: GapReason) =>
    functions.gap?.call(given, { name, partition, reason });
  const request = requestOf(topic, null, {
    event: (told) =>
      give(
        told,
        (one) => messageOf<E>(topic, one),
        (message) => functions.message?.call(given, message),
        gap,
      ),
    gap,
    reached: () => {},
  });
  return begun(listeningOf(invoker), request, options.signal);
}

/** Throws a `TypeError` for wrong options, and an `EventTokenError` for a token of another topic. */
export function messagesOf<E>(topic: NamedRequests, options: MessagesOptions): TopicMessages<E> {
  checkKnown(options, ['from']);
  const { name, invoker } = topic;
  const source: EventSource<TopicEvent<E>> = {
    name,
    serviceId: topicService.id,
    partitionCount: invoker.partitionCount,
    listening: listeningOf(invoker),
    signal: topic.options.signal,
    request: (from, calls) => requestOf(topic, from, calls),
    eventOf: (told) => ({ type: 'message', ...messageOf<E>(topic, told) }),
  };
  return new EventStream(source, options.from);
}

function requestOf(
  { name, partitionOf, options }: NamedRequests,
  from: ReadonlyMap<number, EventPlace> | null,
  calls: StreamCalls,
): Omit<ListenRequest, 'settled'> {
  const lineage: GapReason = 'lineage';
  return {
    serviceId: topicService.id,
    structure: name,
    kinds: KINDS.reduce((bits, kind) => bits | (1 << EVENT_KINDS.indexOf(kind)), 0),
    withValue: true,
    key: null,
    predicate: null,
    partitionOf,
    from,
    timeoutMs: options.timeoutMs,
    event: (told) => (told.kind === 'merged' ? calls.gap(told.partition, lineage) : calls.event(told)),
    gap: calls.gap,
    reached: calls.reached,
    ...(calls.ended === undefined ? {} : { ended: calls.ended }),
  };
}

function messageOf<E>({ name, invoker }: NamedRequests, told: ToldEvent): Message<E> {
  const { client, publishedMs } = readHead(told.key);
  return {
    name,
    messageObject: invoker.codec.decode(told.value as Uint8Array) as E,
    publishingTime: publishedMs,
    publisher: publisherName(client),
    member: told.member,
    position: positionOf(told),
  };
}
