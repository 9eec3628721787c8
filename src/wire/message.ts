/**
 * One definition per message. A definition gives the number on the wire, the body's type, its codec and its
 * row in the protocol page. An operation is a message whose answer is a `reply` with the operation's reply
 * body, or a `failure`. `src/protocol.ts` lists them all.
 */
import type { Reader, Writer } from '../base/bytes.js';
import { type AnyShape, type FieldsOf, record } from './fields.js';

/** Control messages (heartbeats, votes, acknowledgements) overtake everything else on a connection. */
export type Lane = 'control' | 'normal';

export interface MessageDef<T> {
  readonly id: number;
  readonly name: string;
  readonly doc: string;
  readonly lane: Lane;
  readonly fields: AnyShape;
  write(writer: Writer, body: T): void;
  read(reader: Reader): T;
}

// biome-ignore lint/suspicious/noExplicitAny: lists of definitions of any body
export type AnyMessage = MessageDef<any>;
export type BodyOf<D> = D extends MessageDef<infer T> ? T : never;

export function defineMessage<R extends AnyShape>(options: {
  readonly id: number;
  readonly name: string;
  readonly doc: string;
  readonly lane?: Lane;
  readonly fields: R;
}): MessageDef<FieldsOf<R>> {
  const body = record(options.fields);
  return {
    id: options.id,
    name: options.name,
    doc: options.doc,
    lane: options.lane ?? 'normal',
    fields: options.fields,
    write: body.write,
    read: body.read,
  };
}

/** `write` operations change state, get a position and are applied at most once; `read` ones do neither. */
export type OperationKind = 'read' | 'write';

/** How the answers of several partitions become one. */
export interface Joining<Reply> {
  /** Bytes of an answer, roughly; -1 for one that goes by itself, as a page does that has others behind it. */
  sizeOf(one: Reply): number;
  /** A copy to which others can be added. */
  copy(one: Reply): Reply;
  /** False when the two cannot be one, and then nothing is changed. */
  add(all: Reply, one: Reply): boolean;
}

export interface OperationDef<Request, Reply> {
  readonly id: number;
  /** `service.operation`, for example `map.put`. */
  readonly name: string;
  readonly doc: string;
  readonly kind: OperationKind;
  /**
   * Of a read in bounded steps, of memory alone: a member can be asked for it in several partitions with one message. Null for
   * all others.
   */
  readonly fansOut: Joining<Reply> | null;
  readonly request: MessageDef<Request>;
  readonly reply: MessageDef<Reply>;
}

// biome-ignore lint/suspicious/noExplicitAny: lists of definitions of any body
export type AnyOperation = OperationDef<any, any>;
export type RequestOf<O> = O extends OperationDef<infer Q, unknown> ? Q : never;
export type ReplyOf<O> =
  O extends OperationDef<never, infer P> ? P : O extends OperationDef<infer _Q, infer P> ? P : never;

/** First operation number; a service with number s owns [FIRST_OPERATION + 256 s, + 256). */
export const FIRST_OPERATION = 0x1000;

/** Defines the operations of one service; `index` is the operation's number inside it and never reused. */
export function operationsOf(service: string, serviceId: number) {
  return <Q extends AnyShape, P extends AnyShape>(options: {
    readonly index: number;
    readonly name: string;
    readonly kind: OperationKind;
    readonly fansOut?: Joining<FieldsOf<P>>;
    readonly doc: string;
    readonly request: Q;
    readonly reply: P;
  }): OperationDef<FieldsOf<Q>, FieldsOf<P>> => {
    const id = FIRST_OPERATION + serviceId * 256 + options.index;
    const name = `${service}.${options.name}`;
    const { doc } = options;
    return {
      id,
      name,
      doc,
      kind: options.kind,
      fansOut: options.fansOut ?? null,
      request: defineMessage({ id, name, doc, fields: options.request }),
      reply: defineMessage({ id, name: `${name} (reply)`, doc: '', fields: options.reply }),
    };
  };
}
