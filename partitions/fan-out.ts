/**
 * Runs the calls of one `fanOut` message. Invariant: a member stays with one message for a bounded time and a bounded size of
 * its answers, so that heartbeats and other calls get on; what is left then its sender asks for again, which needs no memory
 * here. At least one call is run each time. Used by the executor.
 */
import type { Reader } from '../src/base/bytes.js';
import { type ErrorName, ProtocolError } from '../src/base/errors.js';
import type { Clock } from '../src/base/ports.js';
import { Header } from '../src/wire/frame.js';
import { type AnswerPlace, type CallRef, MANY_ANSWERS_WAIT, type ReplySink } from './call.js';
import { fanOut } from './fan-out-messages.js';
import { JoinedAnswers } from './joined-answers.js';
import { type Asked, asked, type Bound } from './operations.js';
import { Arrival } from './parked.js';

/** With the step of the last call, which takes about as long at the most. */
const STAY_MS = 4;
const STAY_BYTES = 1024 * 1024;

/** Throws a `ProtocolError` for what cannot be read, before anything is run. */
export function runFanOut(
  { view, lineage, client }: Header,
  reader: Reader,
  sink: ReplySink,
  clock: Clock,
  operations: ReadonlyMap<number, Bound>,
  run: (one: Asked, arrival: Arrival) => void,
): void {
  const { operation: message, calls } = fanOut.read(reader);
  const bound = operations.get(message);
  const joining = bound?.operation.fansOut ?? null;
  if (bound === undefined || joining === null)
    throw new ProtocolError(`a fanOut of ${message}, which is no operation that can be asked for so`);
  const { bytes, offset, end } = reader;
  const all = asked(bound, reader, 0);
  const joined = new JoinedAnswers(bound.operation, joining);
  const counted = new CountedSink(sink, joined);
  const endMs = clock.now() + STAY_MS;
  const isOver = () => clock.now() >= endMs || counted.bytes + joined.bytes >= STAY_BYTES;
  let at = 0;
  for (; at < calls.length && (at === 0 || !isOver()); at++) {
    const { partition, sequence, atLeast } = calls[at] as (typeof calls)[number];
    if (sink.isFull) {
      sink.fail({ partition, client, sequence }, 'Overload', false, MANY_ANSWERS_WAIT);
      continue;
    }
    // One for each call: what waits for backups keeps it.
    const header = Object.assign(new Header(), { message, partition, view, lineage, client, sequence });
    const one = atLeast === null ? all : { ...all, prefix: { ...all.prefix, atLeast } };
    run(one, new Arrival(header, { bytes, offset, end }, counted, joined));
  }
  joined.tell(client, sink);
  if (at < calls.length) {
    const rest = calls.slice(at).map(({ sequence }) => sequence);
    sink.rest(client, rest);
  }
}

/** Passes answers on, and counts their bytes. Whoever takes one may change what others are views of. */
class CountedSink implements ReplySink {
  readonly #to: ReplySink;
  readonly #joined: JoinedAnswers;
  bytes = 0;

  constructor(to: ReplySink, joined: JoinedAnswers) {
    this.#to = to;
    this.#joined = joined;
  }

  get isFull(): boolean {
    return this.#to.isFull;
  }

  get isOpen(): boolean {
    return this.#to.isOpen;
  }

  reply(call: CallRef, body: Uint8Array, place?: AnswerPlace): void {
    this.#joined.complete();
    this.bytes += body.length;
    this.#to.reply(call, body, place);
  }

  fail(call: CallRef, error: ErrorName, maybeApplied: boolean, message: string): void {
    this.#to.fail(call, error, maybeApplied, message);
  }

  resolved(call: CallRef, outcome: 'done' | 'not done' | 'unknown', body: Uint8Array): void {
    this.#to.resolved(call, outcome, body);
  }

  joined(client: number, sequences: readonly number[], body: Uint8Array): void {
    this.#to.joined(client, sequences, body);
  }

  rest(client: number, sequences: readonly number[]): void {
    this.#to.rest(client, sequences);
  }
}
