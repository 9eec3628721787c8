/**
 * The public API of a topic, the same for clients and embedded members. Invariant: a wrong argument rejects the promise
 * before anything is sent; nothing is thrown but by `messages`. Method names and arguments are those of Hazelcast's Node.js
 * client.
 */
import { ValueTooLargeError } from '../../../src/base/errors.js';
import { isIterable } from '../../../src/base/iterable.js';
import { type CallOptions, checkedOptions, type Invoker, type RequestOptions } from '../../invoker.js';
import { mapItems } from '../bulk.js';
import { listeningOf, removed } from '../proxy-listeners.js';
import { NamedRequests } from '../proxy-named.js';
import { nothing } from '../proxy-requests.js';
import type { StructureModule } from '../structure.js';
import { publisherName } from './head.js';
import { MAX_MESSAGES, MAX_TOGETHER_BYTES, TOPIC_OPERATIONS } from './ops.js';
import { topicOptions } from './options.js';
import {
  addMessageListener,
  type Message,
  type MessageListener,
  type MessagesOptions,
  messagesOf,
  type TopicMessages,
} from './proxy-messages.js';
import { Outbox } from './proxy-outbox.js';
import { topicService } from './service.js';

/**
 * Publish and subscribe, in one partition. What is published through one object is told in the order of its calls, to
 * everybody who listens then; nothing is kept. Messages cannot be null or undefined. Methods reject with a `TypeError` for
 * what cannot be a message, with a `ValueTooLargeError` for one above 16 MiB, and with a `GridError` for what happened on
 * the way.
 */
export class GridTopic<E> {
  readonly name: string;
  readonly #requests: NamedRequests;
  readonly #forget: () => void;
  readonly #outbox: Outbox;

  constructor(name: string, invoker: Invoker, options: RequestOptions, forget: () => void) {
    this.name = name;
    this.#requests = new NamedRequests(name, invoker, options);
    this.#forget = forget;
    this.#outbox = new Outbox(invoker.clock, (messages, of) =>
      this.#requests.send(TOPIC_OPERATIONS.publish, () => ({ messages }), nothing, of),
    );
  }

  /** What messages have as `publisher` that this client or embedded member publishes. */
  get publisher(): string {
    return publisherName(this.#requests.invoker.client);
  }

  /**
   * The same topic with options for each call made through it; throws a TypeError for those that mean nothing. It has an
   * order of its own: what is published through it may overtake what is published through another object.
   */
  with(options: CallOptions): GridTopic<E> {
    const { invoker, options: own } = this.#requests;
    return new GridTopic(this.name, invoker, { ...own, ...checkedOptions(options) }, this.#forget);
  }

  /** Resolves when the message can not be lost on its way to whoever listens, within what the topic's backups cover. */
  publish(message: E): Promise<void> {
    return this.#publish(() => [this.#encode(message)]);
  }

  /** Publishes messages in their order, in one step: all or none. At most 4,096 messages and 2 MiB at a time. */
  publishAll(messages: Iterable<E>): Promise<void> {
    return this.#publish(() => this.#together(messages));
  }

  async #publish(encode: () => readonly Uint8Array[]): Promise<void> {
    const messages = encode();
    const { invoker, options } = this.#requests;
    if (messages.length > 0) await this.#outbox.publish(messages, invoker.bounded(options));
  }

  #together(messages: Iterable<E>): readonly Uint8Array[] {
    if (!isIterable(messages))
      throw new TypeError('messages: expected an array or another iterable of messages');
    const encoded = mapItems('messages', messages, (message) => this.#encode(message));
    if (encoded.length > MAX_MESSAGES)
      throw new TypeError(`messages: ${encoded.length} messages; the limit is ${MAX_MESSAGES} at a time`);
    const sizeBytes = encoded.reduce((sum, { length }) => sum + length, 0);
    if (encoded.length > 1 && sizeBytes > MAX_TOGETHER_BYTES) {
      const limit = `the limit is ${MAX_TOGETHER_BYTES} bytes at a time`;
      throw new ValueTooLargeError(`messages: they have ${sizeBytes} bytes together; ${limit}`);
    }
    return encoded;
  }

  #encode(message: E): Uint8Array {
    return this.#requests.invoker.codec.encode(message);
  }

  /**
   * Calls the function with each message that is published from the moment on at which this resolves with the id of the
   * listener: those of one publisher in their order, each once, and when they can not be lost any more. An object of
   * functions is called with `message` and `gap`: some messages may be missing. Rejects with a `TypeError` for unknown
   * fields and what is no function.
   */
  addMessageListener(listener: ((message: Message<E>) => void) | MessageListener<E>): Promise<string> {
    return addMessageListener(this.#requests, listener);
  }

  /** Resolves with whether there was such a listener of this process. */
  async removeMessageListener(id: string): Promise<boolean> {
    return removed(listeningOf(this.#requests.invoker), id);
  }

  /**
   * The messages as an async iterator, which ends when the loop over it is left. `messages.token()` is a text from which
   * another iterator goes on, in another process too (`from`). Throws a `TypeError` for wrong options, and an
   * `EventTokenError` for a token that is none of this topic.
   */
  messages(options: MessagesOptions = {}): TopicMessages<E> {
    return messagesOf(this.#requests, options);
  }

  /**
   * The topic is not listed any more until somebody publishes; the next `getTopic` of this name gives a new object. Listeners
   * stay.
   */
  destroy(): Promise<void> {
    this.#forget();
    return this.#requests.send(TOPIC_OPERATIONS.destroy, () => ({}), nothing);
  }
}

declare module '../structure.js' {
  interface StructureGetters {
    /** The topic of that name: always the same object. */
    getTopic<E = unknown>(name: string): GridTopic<E>;
  }
}

export const TOPIC = {
  service: topicService,
  options: topicOptions,
  configKey: 'topics',
  getter: 'getTopic',
  createProxy: (name: string, invoker: Invoker, options: CallOptions, forget: () => void) =>
    new GridTopic(name, invoker, options, forget),
} as const satisfies StructureModule;
