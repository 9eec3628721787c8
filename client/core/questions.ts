/**
 * Questions about calls whose outcome is unknown: asks the primary of the partition, under the call's own id, until
 * it has an answer or the time is over. Asking makes sure that a call which was not applied never will be. Owned by
 * the call table; what can still be asked about holds back the session's watermark.
 */

import type { AnswerPlace } from '../../partitions/call.js';
import { Reader } from '../../src/base/bytes.js';
import type { Resolution } from '../../src/base/errors.js';
import type { Clock } from '../../src/base/ports.js';
import { FIRST_OPERATION, type OperationDef } from '../../src/wire/message.js';
import * as messages from '../../src/wire/messages.js';
import type { Route, Routes } from './routes.js';

/** How long a call of unknown outcome can be asked about. */
const RESOLVE_WINDOW_MS = 60_000;
const MAX_UNRESOLVED = 4096;
const ASK_AGAIN_MS = 2000;
const NO_ROUTE_MS = 25;

/** What a question needs to know of its call. */
export interface UnresolvedCall {
  readonly sequence: number;
  // biome-ignore lint/suspicious/noExplicitAny: calls of any operation meet in one table
  readonly operation: OperationDef<any, any>;
  readonly partition: number;
  readonly structure: string;
  readonly startedMs: number;
  /** Tag of the lineage in which the call began. */
  readonly lineage: number;
  readonly decode: (reply: never, place: AnswerPlace | null) => unknown;
}

export interface QuestionsOptions {
  readonly clock: Clock;
  readonly routes: Routes;
  /** Number of the session. */
  readonly client: number;
  readonly timeoutMs: number;
  /** The session's watermark. */
  below(): number;
  /** There is something to look after from now on. */
  asked(): void;
}

interface Question {
  readonly call: UnresolvedCall;
  readonly deadlineMs: number;
  readonly promise: Promise<Resolution<unknown>>;
  readonly done: (resolution: Resolution<unknown>) => void;
  route: Route | null;
  askedMs: number;
}

export class Questions {
  readonly #options: QuestionsOptions;
  /** Calls that can be asked about, until when; those that end first come first. */
  readonly #unresolved = new Map<number, number>();
  readonly #open = new Map<number, Question>();
  /** Null when it has to be looked for. */
  #lowest: number | null = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#unresolved.size + this.#open.size;
  }

  /** Lowest sequence that the grid must not forget; Infinity when there is none. */
  get lowest(): number {
    if (this.#lowest !== null) return this.#lowest;
    let lowest = Number.POSITIVE_INFINITY;
    for (const sequence of this.#unresolved.keys()) if (sequence < lowest) lowest = sequence;
    for (const sequence of this.#open.keys()) if (sequence < lowest) lowest = sequence;
    this.#lowest = lowest;
    return lowest;
  }

  #forget(from: Map<number, unknown>, sequence: number): void {
    from.delete(sequence);
    if (sequence === this.#lowest) this.#lowest = null;
  }

  /** The call was settled as indeterminate: it can be asked about for a while. */
  remember(call: UnresolvedCall): void {
    if (this.#unresolved.size >= MAX_UNRESOLVED)
      this.#forget(this.#unresolved, this.#unresolved.keys().next().value as number);
    this.#unresolved.set(call.sequence, this.#options.clock.now() + RESOLVE_WINDOW_MS);
    if (this.#lowest !== null) this.#lowest = Math.min(this.#lowest, call.sequence);
  }

  /** What `error.resolve()` calls: asks once at a time, and keeps an answer that it has got. */
  asker(call: UnresolvedCall): () => Promise<Resolution<unknown>> {
    let answer: Resolution<unknown> | null = null;
    return async () => {
      if (answer !== null) return answer;
      const resolution = await this.#ask(call);
      if (resolution.outcome !== 'unknown') answer = resolution;
      return resolution;
    };
  }

  #ask(call: UnresolvedCall): Promise<Resolution<unknown>> {
    const open = this.#open.get(call.sequence);
    if (open !== undefined) return open.promise;
    if (!this.#unresolved.has(call.sequence) || this.#closed) return Promise.resolve({ outcome: 'unknown' });
    const { clock, timeoutMs } = this.#options;
    let settle: (resolution: Resolution<unknown>) => void = () => {};
    const promise = new Promise<Resolution<unknown>>((resolve) => {
      settle = resolve;
    });
    const done = (resolution: Resolution<unknown>) => {
      this.#forget(this.#open, call.sequence);
      if (resolution.outcome !== 'unknown') this.#forget(this.#unresolved, call.sequence);
      settle(resolution);
    };
    const deadlineMs = clock.now() + timeoutMs;
    const question: Question = {
      call,
      deadlineMs,
      promise,
      done,
      route: null,
      askedMs: Number.NEGATIVE_INFINITY,
    };
    this.#open.set(call.sequence, question);
    this.#send(question, clock.now());
    this.#options.asked();
    return promise;
  }

  #send(question: Question, nowMs: number): void {
    const { routes, client } = this.#options;
    const { partition, sequence, operation, structure, startedMs, lineage } = question.call;
    if (routes.lineage !== lineage && routes.lineage !== 0) {
      // Another lineage knows nothing of the call, and must not say that it was not done.
      question.done({ outcome: 'unknown' });
      return;
    }
    const route = routes.toPrimary(partition);
    if (route === null) return;
    question.route = route;
    question.askedMs = nowMs;
    const at = route.writeOffset;
    const address = { partition, view: routes.view, lineage: routes.lineage, client, sequence };
    messages.resolveCall.write(route.begin(messages.resolveCall.id, address), {
      service: (operation.id - FIRST_OPERATION) >>> 8,
      structure,
      below: this.#options.below(),
      ageMs: Math.ceil(nowMs - startedMs),
    });
    route.end(at);
  }

  /** A refusal for this sequence: true when it was a question's, which is asked again later. */
  refused(sequence: number): boolean {
    const question = this.#open.get(sequence);
    if (question === undefined) return false;
    question.route = null;
    return true;
  }

  answered(sequence: number, outcome: 'done' | 'not done' | 'unknown', reply: Uint8Array): void {
    const question = this.#open.get(sequence);
    if (question === undefined) return;
    if (outcome !== 'done') {
      question.done({ outcome });
      return;
    }
    const body = question.call.operation.reply.read(new Reader(reply));
    let value: unknown;
    try {
      value = question.call.decode(body as never, null);
    } catch {
      // The call was done, whatever the user's serializer makes of its reply.
      value = undefined;
    }
    question.done({ outcome, reply: value });
  }

  routeClosed(route: Route): void {
    for (const question of this.#open.values()) if (question.route === route) question.route = null;
  }

  tick(nowMs: number): void {
    for (const question of this.#open.values()) {
      if (nowMs >= question.deadlineMs) question.done({ outcome: 'unknown' });
      else if (nowMs - question.askedMs >= (question.route === null ? NO_ROUTE_MS : ASK_AGAIN_MS))
        this.#send(question, nowMs);
    }
    // All are remembered for equally long, so they end in the order in which they came.
    for (const [sequence, untilMs] of this.#unresolved) {
      if (nowMs < untilMs) break;
      this.#forget(this.#unresolved, sequence);
    }
  }

  close(): void {
    this.#closed = true;
    for (const question of [...this.#open.values()]) question.done({ outcome: 'unknown' });
    this.#unresolved.clear();
    this.#lowest = Number.POSITIVE_INFINITY;
  }
}
