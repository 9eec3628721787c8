/**
 * The way of the embedded member's own calls: to its own partitions without a connection, to those of others over
 * the connections between members.
 */
import type { Calls } from '../../client/core/calls.js';
import type { Route, Routes } from '../../client/core/routes.js';
import { whyNoRoute } from '../../client/core/why-no-route.js';
import {
  type AnswerPlace,
  type CallRef,
  MANY_ANSWERS_WAIT,
  placeFields,
  type ReplySink,
} from '../../partitions/call.js';
import type { Executor } from '../../partitions/executor.js';
import { fanOut, fanOutReply, fanOutRest } from '../../partitions/fan-out-messages.js';
import { isLatency } from '../../partitions/service.js';
import { Reader, Writer } from '../base/bytes.js';
import { ERROR_ROWS, type ErrorName, type GridError, ProtocolError } from '../base/errors.js';
import type { MemberId, View } from '../cluster/view.js';
import { optionsFor } from '../config/rows.js';
import { type Address, beginMessage, endMessage, Header, NO_PARTITION } from '../wire/frame.js';
import { failure, placedReply, reply, resolveCall, resolvedCall } from '../wire/messages.js';

/** Runs messages of the embedded API in this member, in the same turn. */
export class LocalRoute implements Route, ReplySink {
  readonly #executor: Executor;
  readonly #calls: () => Calls;
  #writer = new Writer(1024);
  readonly queuedBytes = 0;
  readonly receivedMs = Number.NEGATIVE_INFINITY;
  readonly isFull = false;
  readonly isOpen = true;
  readonly isLocal = true;

  constructor(executor: Executor, calls: () => Calls) {
    this.#executor = executor;
    this.#calls = calls;
  }

  get writeOffset(): number {
    return this.#writer.length;
  }

  begin(message: number, address: Address): Writer {
    beginMessage(this.#writer, message, address);
    return this.#writer;
  }

  end(startOffset: number): void {
    endMessage(this.#writer, startOffset);
    const bytes = this.#writer.toBytes();
    this.#writer.reset();
    if (this.#writer.buffer.length > 1024 * 1024) this.#writer = new Writer(1024);
    const header = new Header();
    const reader = new Reader(bytes);
    header.read(reader);
    dispatchCall(this.#executor, header, reader, this);
  }

  #header(message: number, call: CallRef): Header {
    const header = new Header();
    header.message = message;
    header.partition = call.partition;
    header.client = call.client;
    header.sequence = call.sequence;
    return header;
  }

  reply(call: CallRef, body: Uint8Array, place?: AnswerPlace): void {
    if (place === undefined) {
      this.#calls().receive(this.#header(reply.id, call), new Reader(body));
      return;
    }
    const writer = new Writer();
    placedReply.write(writer, placeFields(place));
    writer.raw(body);
    this.#calls().receive(this.#header(placedReply.id, call), new Reader(writer.toBytes()));
  }

  fail(call: CallRef, error: ErrorName, maybeApplied: boolean, message: string): void {
    const writer = new Writer();
    failure.write(writer, { error: ERROR_ROWS[error].wire, maybeApplied, message: message.slice(0, 500) });
    this.#calls().receive(this.#header(failure.id, call), new Reader(writer.toBytes()));
  }

  resolved(call: CallRef, outcome: 'done' | 'not done' | 'unknown', body: Uint8Array): void {
    const writer = new Writer();
    resolvedCall.write(writer, { outcome, reply: body });
    this.#calls().receive(this.#header(resolvedCall.id, call), new Reader(writer.toBytes()));
  }

  joined(client: number, sequences: readonly number[], body: Uint8Array): void {
    const writer = new Writer();
    fanOutReply.write(writer, { sequences });
    writer.raw(body);
    const header = this.#header(fanOutReply.id, { partition: NO_PARTITION, client, sequence: 0 });
    this.#calls().receive(header, new Reader(writer.toBytes()));
  }

  rest(client: number, sequences: readonly number[]): void {
    const writer = new Writer();
    fanOutRest.write(writer, { sequences });
    const header = this.#header(fanOutRest.id, { partition: NO_PARTITION, client, sequence: 0 });
    this.#calls().receive(header, new Reader(writer.toBytes()));
  }
}

/** A call, several in one message, or a question about one; from whomever it came. False for any other message. */
export function dispatchCall(executor: Executor, header: Header, reader: Reader, sink: ReplySink): boolean {
  if (executor.knows(header.message)) {
    const { partition, client, sequence } = header;
    const call = { partition, client, sequence };
    if (sink.isFull) sink.fail(call, 'Overload', false, MANY_ANSWERS_WAIT);
    else executor.execute(header, reader, sink);
    return true;
  }
  if (header.message === fanOut.id) {
    executor.fanOut(header, reader, sink);
    return true;
  }
  if (header.message !== resolveCall.id) return false;
  const { service, structure, below, ageMs } = resolveCall.read(reader);
  const { partition, client, sequence } = header;
  const call = { partition, client, sequence };
  executor.resolve(call, service, { structure, below, ageMs }, header, sink);
  return true;
}

/**
 * The same for a call that came from a member. It may be the call of a client for which that member forwards, so one
 * that cannot be read or ends with a fault fails alone: the connection between the two members has done nothing wrong.
 */
export function dispatchMemberCall(
  executor: Executor,
  header: Header,
  reader: Reader,
  sink: ReplySink,
): boolean {
  try {
    return dispatchCall(executor, header, reader, sink);
  } catch (error) {
    const { partition, client, sequence } = header;
    if (!(error instanceof ProtocolError)) executor.broke(header, sink, error);
    else sink.fail({ partition, client, sequence }, 'Protocol', false, error.message);
    return true;
  }
}

export class MemberRoutes implements Routes {
  readonly partitionCount: number;
  readonly #self: MemberId;
  readonly #view: () => View | null;
  readonly #where: () => { readonly view: number; readonly lineage: number };
  readonly #linkTo: (id: MemberId) => Route | null;
  readonly #local: Route;
  readonly fansOut = true;

  constructor(
    partitionCount: number,
    self: MemberId,
    view: () => View | null,
    where: () => { readonly view: number; readonly lineage: number },
    linkTo: (id: MemberId) => Route | null,
    local: Route,
  ) {
    this.partitionCount = partitionCount;
    this.#self = self;
    this.#view = view;
    this.#where = where;
    this.#linkTo = linkTo;
    this.#local = local;
  }

  get view(): number {
    return this.#where().view;
  }

  get lineage(): number {
    return this.#where().lineage;
  }

  toPrimary(partition: number): Route | null {
    const primary = this.#view()?.table[partition]?.replicas[0]?.member;
    if (primary === undefined) return null;
    return primary === this.#self ? this.#local : this.#linkTo(primary);
  }

  /** This member itself when it is one; else any. */
  toReplica(partition: number): Route | null {
    const replicas = this.#view()?.table[partition]?.replicas.filter(({ synced }) => synced) ?? [];
    if (replicas.some(({ member }) => member === this.#self)) return this.#local;
    const open = replicas.flatMap(({ member }) => this.#linkTo(member) ?? []);
    return open[partition % Math.max(1, open.length)] ?? null;
  }

  isLatency(service: string, structure: string): boolean {
    return isLatency(optionsFor(service, structure, this.#view()?.structures ?? []));
  }

  whyNoRoute(partition: number): GridError {
    return whyNoRoute(this.#view(), partition);
  }

  /** A member learns newer views through heartbeats. */
  refresh(): void {}
}
