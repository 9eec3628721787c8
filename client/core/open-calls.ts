/**
 * The calls of a session that are not settled, by their numbers, and the number below which the grid may forget what it has
 * answered. Those of a fan-out have numbers in a row, in a block of their own: a `Map` that grows and shrinks with each query
 * leaves tables behind that keep what was in them from being freed. Called by `calls.ts`.
 */
import { MAX_FAN_OUT } from '../../partitions/fan-out-messages.js';
import type { OpenCall } from './open-call.js';

/** The watermark is computed anew after this many calls. */
const WATERMARK_EVERY = 128;
/** With so few open calls it costs nothing to compute it each time. */
const FEW_CALLS = 32;

/** Of a fan-out, which is one call for whoever asked, and more work than one. */
const COUNTED_AS_ONE = 16;

interface Block {
  /** Null when it is settled. */
  readonly calls: (OpenCall | null)[];
  open: number;
}

export class OpenCalls {
  readonly #singles = new Map<number, OpenCall>();
  /** By the number of their first call, divided by `MAX_FAN_OUT`. */
  readonly #blocks = new Map<number, Block>();
  readonly #lowestQuestion: () => number;
  #inBlocks = 0;
  #next = 1;
  #below = 1;

  /** `lowestQuestion`: the lowest number of a call that the grid may still be asked about. */
  constructor(lowestQuestion: () => number) {
    this.#lowestQuestion = lowestQuestion;
  }

  /** As they count for the limit of calls in flight. */
  get weight(): number {
    return this.#singles.size + this.#blocks.size + Math.floor(this.#inBlocks / COUNTED_AS_ONE);
  }

  get isEmpty(): boolean {
    return this.#singles.size + this.#inBlocks === 0;
  }

  /** No answer is needed any more of calls below this one. */
  get below(): number {
    return this.#below;
  }

  nextSequence(): number {
    return this.#next++;
  }

  /** The first of `MAX_FAN_OUT` numbers in a row, for the calls of a fan-out. */
  nextBlock(): number {
    const index = Math.ceil(this.#next / MAX_FAN_OUT);
    this.#next = (index + 1) * MAX_FAN_OUT;
    this.#blocks.set(index, { calls: [], open: 0 });
    return index * MAX_FAN_OUT;
  }

  /** A call with a number that was given here. */
  add(call: OpenCall): void {
    const block = this.#blockOf(call.sequence);
    if (block === undefined) this.#singles.set(call.sequence, call);
    else {
      block.calls[call.sequence % MAX_FAN_OUT] = call;
      block.open++;
      this.#inBlocks++;
    }
    if ((call.sequence & (WATERMARK_EVERY - 1)) === 0 || this.#singles.size <= FEW_CALLS)
      this.computeWatermark();
  }

  #blockOf(sequence: number): Block | undefined {
    return this.#blocks.size === 0 ? undefined : this.#blocks.get(Math.floor(sequence / MAX_FAN_OUT));
  }

  get(sequence: number): OpenCall | undefined {
    return this.#blockOf(sequence)?.calls[sequence % MAX_FAN_OUT] ?? this.#singles.get(sequence);
  }

  /** Those of some numbers that are open. */
  some(sequences: readonly number[]): OpenCall[] {
    const calls: OpenCall[] = [];
    for (const sequence of sequences) {
      const call = this.get(sequence);
      if (call !== undefined) calls.push(call);
    }
    return calls;
  }

  has(call: OpenCall): boolean {
    return this.get(call.sequence) === call;
  }

  all(): Iterable<OpenCall> {
    return this.#blocks.size === 0 ? this.#singles.values() : this.#withBlocks();
  }

  *#withBlocks(): Generator<OpenCall> {
    yield* this.#singles.values();
    for (const { calls } of this.#blocks.values()) for (const call of calls) if (call != null) yield call;
  }

  /** Does nothing for a call that is closed. */
  close(call: OpenCall): void {
    if (this.#remove(call)) call.unlisten?.();
  }

  /** False when it was not here. */
  #remove({ sequence }: OpenCall): boolean {
    const block = this.#blockOf(sequence);
    if (block === undefined) return this.#singles.delete(sequence);
    const at = sequence % MAX_FAN_OUT;
    if (block.calls[at] == null) return false;
    block.calls[at] = null;
    this.#inBlocks--;
    if (--block.open === 0) this.#blocks.delete(Math.floor(sequence / MAX_FAN_OUT));
    return true;
  }

  /** Only for tests: the call gets another number. */
  renumber(call: OpenCall): void {
    this.#remove(call);
    (call as { sequence: number }).sequence = this.#next++;
    this.#singles.set(call.sequence, call);
  }

  computeWatermark(): void {
    let below = this.#next;
    // Calls are opened in order, so the first open write is the lowest unless one was sent under a new number.
    for (const { isWrite, sequence } of this.#singles.values()) {
      if (isWrite) {
        below = Math.min(below, sequence);
        break;
      }
    }
    below = Math.min(below, this.#lowestQuestion());
    if (below > this.#below) this.#below = below;
  }
}
