/**
 * The operations of a topic, each once: number, fields and what it does. Messages travel as the bytes that the caller's
 * codec made. Members handle them (`service.ts`), proxies send them (`proxy.ts`), the protocol page lists them.
 */
import { bytes, list } from '../../../src/wire/fields.js';
import { operationsOf } from '../../../src/wire/message.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';

/** Of one request. */
export const MAX_MESSAGES = 4_096;
/** Of one request with more than one message: what members keep for listeners has room for it. */
export const MAX_TOGETHER_BYTES = 2 * 1024 * 1024;

const operation = operationsOf('topic', 5);

export const TOPIC_OPERATIONS = {
  publish: operation({
    index: 1,
    name: 'publish',
    kind: 'write',
    doc: 'Tells whoever listens of these messages, in their order.',
    request: {
      /** Each with the byte that says its format. */
      messages: list(bytes(MAX_VALUE_BYTES + 1), MAX_MESSAGES),
    },
    reply: {},
  }),
  destroy: operation({
    index: 2,
    name: 'destroy',
    kind: 'write',
    doc: 'The topic is not listed any more until somebody publishes.',
    request: {},
    reply: {},
  }),
};
