/**
 * The answers to the calls of one `fanOut` that are there at once, as one: it costs less to write, to send and to read than an
 * answer for each partition. Invariants: answers may be views of what is in memory, so those that were taken are encoded before
 * anything can change, be it by a call or by whoever is told another answer; they are told when all calls were run. Used by
 * `runFanOut` and the executor.
 */
import { Writer } from '../src/base/bytes.js';
import type { AnyOperation, Joining } from '../src/wire/message.js';
import type { ReplySink } from './call.js';

/** An answer that is as large is complete, and the next begins another one. */
const MOST_BYTES = 256 * 1024;
/** Kept for the next answers; of more than that nobody has use for long. */
const KEPT_BYTES = 1024 * 1024;

/** Of all joined answers, each until it is complete: memory that is made anew for each would keep the collector busy. */
let writer = new Writer(16 * 1024);

interface Complete {
  readonly sequences: readonly number[];
  readonly body: Uint8Array;
}

export class JoinedAnswers {
  readonly #operation: AnyOperation;
  readonly #joining: Joining<unknown>;
  #all: unknown = null;
  #sequences: number[] = [];
  /** Of what is not complete, roughly. */
  #openBytes = 0;
  #completeBytes = 0;
  readonly #complete: Complete[] = [];

  /** Of an operation that fans out. */
  constructor(operation: AnyOperation, joining: Joining<unknown>) {
    this.#operation = operation;
    this.#joining = joining;
  }

  get bytes(): number {
    return this.#completeBytes + this.#openBytes;
  }

  /** False for an answer that goes by itself. */
  take(sequence: number, reply: unknown): boolean {
    const bytes = this.#joining.sizeOf(reply);
    if (bytes < 0) return false;
    if (this.#sequences.length > 0 && !this.#joining.add(this.#all, reply)) this.complete();
    if (this.#sequences.length === 0) this.#all = this.#joining.copy(reply);
    this.#sequences.push(sequence);
    this.#openBytes += bytes;
    if (this.#openBytes >= MOST_BYTES) this.complete();
    return true;
  }

  /** Encodes what was taken; what is taken from here on is another answer. */
  complete(): void {
    if (this.#sequences.length === 0) return;
    const body = Buffer.from(this.#encoded());
    this.#complete.push({ sequences: this.#sequences, body });
    this.#completeBytes += body.length;
    this.#all = null;
    this.#sequences = [];
    this.#openBytes = 0;
  }

  /** A view, until the next one is encoded. */
  #encoded(): Uint8Array {
    if (writer.buffer.length > KEPT_BYTES) writer = new Writer(16 * 1024);
    writer.reset();
    this.#operation.reply.write(writer, this.#all);
    return writer.buffer.subarray(0, writer.length);
  }

  tell(client: number, sink: ReplySink): void {
    if (this.#complete.length === 0 && this.#sequences.length > 0) {
      // As nearly always: no copy is needed, because a sink keeps no bytes.
      sink.joined(client, this.#sequences, this.#encoded());
      return;
    }
    this.complete();
    for (const { sequences, body } of this.#complete) sink.joined(client, sequences, body);
  }
}
