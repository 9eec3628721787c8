/** The messages of the chain on the wire: each carries the lineage whose decision it belongs to. */
import type { Reader } from '../base/bytes.js';
import type { AnyMessage, MessageDef } from '../wire/message.js';
import type { ChainMessage } from './chain.js';
import * as messages from './messages.js';
import type { MemberId, View } from './view.js';

const DEFINITIONS = {
  prepare: messages.prepare,
  promise: messages.promise,
  accept: messages.accept,
  accepted: messages.accepted,
  refused: messages.refused,
} as const;

interface Sender {
  send<T>(to: MemberId, def: MessageDef<T>, body: T): void;
}

export function sendChainMessage(
  host: Sender,
  to: MemberId,
  lineage: number,
  message: ChainMessage<View>,
): void {
  const def: AnyMessage = DEFINITIONS[message.kind];
  host.send(to, def, { ...message, lineage });
}

/** The message of the chain with this number, or null when it is none. */
export function receiveChainMessage(
  id: number,
  reader: Reader,
): { readonly lineage: number; readonly message: ChainMessage<View> } | null {
  switch (id) {
    case messages.prepare.id: {
      const { lineage, ...body } = messages.prepare.read(reader);
      return { lineage, message: { kind: 'prepare', ...body } };
    }
    case messages.promise.id: {
      const { lineage, ...body } = messages.promise.read(reader);
      return { lineage, message: { kind: 'promise', ...body } };
    }
    case messages.accept.id: {
      const { lineage, ...body } = messages.accept.read(reader);
      return { lineage, message: { kind: 'accept', ...body } };
    }
    case messages.accepted.id: {
      const { lineage, ...body } = messages.accepted.read(reader);
      return { lineage, message: { kind: 'accepted', ...body } };
    }
    case messages.refused.id: {
      const { lineage, ...body } = messages.refused.read(reader);
      return { lineage, message: { kind: 'refused', ...body } };
    }
    default:
      return null;
  }
}
