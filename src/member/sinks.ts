/** Where answers go: the connection of the caller, looked up when the answer is there. */
import { type AnswerPlace, type CallRef, placeFields, type ReplySink } from '../../partitions/call.js';
import { fanOutReply, fanOutRest } from '../../partitions/fan-out-messages.js';
import { ERROR_ROWS, type ErrorName } from '../base/errors.js';
import type { MemberId } from '../cluster/view.js';
import { type Address, NO_PARTITION } from '../wire/frame.js';
import type { Link } from '../wire/link.js';
import { failure, placedReply, reply, resolvedCall } from '../wire/messages.js';

export class LinkSink implements ReplySink {
  readonly #link: () => Link | null;
  readonly #where: () => { readonly view: number; readonly lineage: number };

  constructor(link: () => Link | null, where: () => { readonly view: number; readonly lineage: number }) {
    this.#link = link;
    this.#where = where;
  }

  get isFull(): boolean {
    return this.#link()?.isCongested === true;
  }

  get isOpen(): boolean {
    return this.#link() !== null;
  }

  #address(call: CallRef): Address {
    const { view, lineage } = this.#where();
    return { partition: call.partition, view, lineage, client: call.client, sequence: call.sequence };
  }

  reply(call: CallRef, body: Uint8Array, place?: AnswerPlace): void {
    const link = this.#link();
    if (link === null) return;
    const at = link.writeOffset;
    if (place === undefined) link.begin(reply.id, this.#address(call)).raw(body);
    else {
      const writer = link.begin(placedReply.id, this.#address(call));
      placedReply.write(writer, placeFields(place));
      writer.raw(body);
    }
    link.end(at);
  }

  fail(call: CallRef, error: ErrorName, maybeApplied: boolean, message: string): void {
    const body = { error: ERROR_ROWS[error].wire, maybeApplied, message: message.slice(0, 500) };
    this.#link()?.send(failure, this.#address(call), body);
  }

  resolved(call: CallRef, outcome: 'done' | 'not done' | 'unknown', body: Uint8Array): void {
    this.#link()?.send(resolvedCall, this.#address(call), { outcome, reply: body });
  }

  joined(client: number, sequences: readonly number[], body: Uint8Array): void {
    const link = this.#link();
    if (link === null) return;
    const at = link.writeOffset;
    const call = { partition: NO_PARTITION, client, sequence: 0 };
    const writer = link.begin(fanOutReply.id, this.#address(call));
    fanOutReply.write(writer, { sequences });
    writer.raw(body);
    link.end(at);
  }

  rest(client: number, sequences: readonly number[]): void {
    const call = { partition: NO_PARTITION, client, sequence: 0 };
    this.#link()?.send(fanOutRest, this.#address(call), { sequences });
  }
}

/** The sinks of members whose calls arrive here: embedded calls, and those that are forwarded for clients. */
export class MemberSinks {
  readonly #sinks = new Map<MemberId, LinkSink>();
  readonly #linkTo: (member: MemberId) => Link | null;
  readonly #where: () => { readonly view: number; readonly lineage: number };

  constructor(
    linkTo: (member: MemberId) => Link | null,
    where: () => { readonly view: number; readonly lineage: number },
  ) {
    this.#linkTo = linkTo;
    this.#where = where;
  }

  of(member: MemberId): LinkSink {
    let sink = this.#sinks.get(member);
    if (sink === undefined) {
      sink = new LinkSink(() => this.#linkTo(member), this.#where);
      // Members come and go; a sink costs nothing to make again.
      if (this.#sinks.size > 2000) this.#sinks.clear();
      this.#sinks.set(member, sink);
    }
    return sink;
  }
}
