/**
 * The search behind the linearizability checker, for one key: Wing and Gong's, with Lowe's memo of (set of
 * placed operations, state). An operation can be placed next when it was called before the first answer among
 * those not placed yet. Invariants: the memo is exact (no hash stands in for a set), and when a budget runs out
 * the verdict is `unknown`, never a guess.
 *
 * Two shortcuts keep the search small, both without changing a verdict. An answered operation that fits, and by
 * its answer cannot change any state, is placed at once: whatever order exists also exists with it first. One
 * of unknown outcome (open) is placed only where the very next operation needs it: elsewhere it could be left
 * out, or placed later. That makes what may follow depend on how a place was reached, so the memo keeps places
 * directly after an open operation apart.
 */
import { ILLEGAL, type Model, type UNKNOWN } from './models.js';
import { Timeline } from './timeline.js';

/** An operation as the search sees it; `ret` is Infinity, and `output` UNKNOWN, when the outcome is. */
export interface TimedOperation<Input, Output> {
  readonly input: Input;
  readonly output: Output | typeof UNKNOWN;
  readonly call: number;
  readonly ret: number;
}

export interface SearchBudget {
  readonly maxStates: number;
  /** Asked now and then; true ends the search as `unknown`. */
  readonly expired: () => boolean;
}

export interface SearchResult<State> {
  readonly verdict: 'ok' | 'illegal' | 'unknown';
  /** Distinct (set, state) pairs that were visited. */
  readonly states: number;
  /** Indexes of the operations in the longest order found; of the whole history when `ok`. */
  readonly order: readonly number[];
  /** The state after `order`. */
  readonly state: State;
  /** When not `ok`: the operation that had to come next at the latest, and did not fit. */
  readonly blocking: number | undefined;
}

interface Placed<State> {
  /** Position among the answered operations, or among the open ones. */
  readonly at: number;
  readonly open: boolean;
  /** The only choice that had to be tried at its place. */
  readonly forced: boolean;
  readonly stateBefore: State;
  readonly stateIdBefore: number;
  readonly topWordBefore: number;
}

const CHECK_BUDGET_EVERY = 256;

export function search<State, Input, Output>(
  operations: readonly TimedOperation<Input, Output>[],
  model: Model<State, Input, Output>,
  budget: SearchBudget,
): SearchResult<State> {
  return new Search(operations, model, budget).run();
}

class Search<State, Input, Output> {
  readonly #operations: readonly TimedOperation<Input, Output>[];
  readonly #model: Model<State, Input, Output>;
  readonly #budget: SearchBudget;
  /** Answered and open operations by time of call; the values are indexes of `#operations`. */
  readonly #answered: number[];
  readonly #open: number[];
  readonly #timeline: Timeline;
  readonly #answeredBits: Int32Array;
  readonly #openBits: Int32Array;
  readonly #memo = new Set<string>();
  readonly #stateIds = new Map<string, number>();
  readonly #stack: Placed<State>[] = [];
  #state: State;
  #stateId: number;
  #lowWord = 0;
  #topWord = -1;
  #answeredPlaced = 0;
  #best: { placed: number; order: number[]; state: State; blocking: number | undefined };

  constructor(
    operations: readonly TimedOperation<Input, Output>[],
    model: Model<State, Input, Output>,
    budget: SearchBudget,
  ) {
    this.#operations = operations;
    this.#model = model;
    this.#budget = budget;
    const byCall = operations
      .map((_, index) => index)
      .sort((a, b) => operations[a]!.call - operations[b]!.call);
    this.#answered = byCall.filter((index) => operations[index]!.ret !== Number.POSITIVE_INFINITY);
    this.#open = byCall.filter((index) => operations[index]!.ret === Number.POSITIVE_INFINITY);
    this.#timeline = new Timeline(this.#answered.map((index) => operations[index]!));
    this.#answeredBits = new Int32Array((this.#answered.length + 31) >> 5);
    this.#openBits = new Int32Array((this.#open.length + 31) >> 5);
    this.#state = model.initial;
    this.#stateId = this.#idOf(model.initial);
    this.#best = { placed: -1, order: [], state: model.initial, blocking: undefined };
  }

  run(): SearchResult<State> {
    // Where to go on among the answered operations and among the open ones; a fresh place starts at the front.
    let fresh = true;
    let node = 0;
    let openAt = 0;
    for (let rounds = 1; this.#answeredPlaced < this.#answered.length; rounds++) {
      if (rounds % CHECK_BUDGET_EVERY === 0 && this.#isOverBudget()) return this.#result('unknown');
      if (this.#advance(fresh, node, openAt)) {
        fresh = true;
        continue;
      }
      this.#noteBest();
      let undone = this.#undo();
      while (undone?.forced === true) undone = this.#undo();
      if (undone === undefined) return this.#result('illegal');
      fresh = false;
      node = undone.open ? this.#timeline.firstReturn() : this.#timeline.afterCallOf(undone.at);
      openAt = undone.open ? undone.at + 1 : 0;
    }
    return this.#result('ok');
  }

  /** Places one more operation, if any fits that leads to something new. */
  #advance(fresh: boolean, fromNode: number, fromOpen: number): boolean {
    let node = fromNode;
    if (fresh) {
      const forced = this.#findForced();
      if (forced >= 0) return this.#place(forced, false, true, this.#state, this.#stateId);
      node = this.#timeline.first();
    }
    for (; this.#timeline.isCall(node); node = this.#timeline.next(node)) {
      const at = this.#timeline.operationOf(node);
      const state = this.#step(this.#answered[at]!, this.#state);
      if (state === ILLEGAL) continue;
      const stateId = this.#idOf(state);
      if (!this.#isPointless(at, false, stateId) && this.#place(at, false, false, state, stateId))
        return true;
    }
    return this.#advanceOpen(fresh ? 0 : fromOpen, this.#timeline.timeOf(node));
  }

  /** Places an open operation that was called by `boundary`. */
  #advanceOpen(from: number, boundary: number): boolean {
    for (let at = from; at < this.#open.length; at++) {
      const index = this.#open[at]!;
      if (this.#operations[index]!.call > boundary) return false;
      if ((this.#openBits[at >> 5]! & (1 << (at & 31))) !== 0) continue;
      const state = this.#step(index, this.#state);
      if (state === ILLEGAL) continue;
      const stateId = this.#idOf(state);
      if (stateId === this.#stateId || this.#isPointless(at, true, stateId)) continue;
      if (this.#place(at, true, false, state, stateId)) return true;
    }
    return false;
  }

  /** An answered operation that fits here and cannot change any state, or -1. */
  #findForced(): number {
    if (this.#model.isRead === undefined) return -1;
    for (let node = this.#timeline.first(); this.#timeline.isCall(node); node = this.#timeline.next(node)) {
      const at = this.#timeline.operationOf(node);
      const index = this.#answered[at]!;
      const { input, output } = this.#operations[index]!;
      if (!this.#model.isRead(input, output) || this.#step(index, this.#state) === ILLEGAL) continue;
      if (!this.#isPointless(at, false, this.#stateId)) return at;
    }
    return -1;
  }

  /**
   * Directly after an open operation: would the one at `at`, leading to `stateId`, lead there as well without the
   * open one (which is then left out), or before it (which is then placed later)?
   */
  #isPointless(at: number, open: boolean, stateId: number): boolean {
    const last = this.#stack.at(-1);
    if (last === undefined || !last.open) return false;
    const without = this.#step(open ? this.#open[at]! : this.#answered[at]!, last.stateBefore);
    if (without === ILLEGAL) return false;
    if (this.#idOf(without) === stateId) return true;
    // Of two open ones that commute, the order of their calls is kept, or each would wait for the other.
    if (open && last.at < at) return false;
    const swapped = this.#step(this.#open[last.at]!, without);
    return swapped !== ILLEGAL && this.#idOf(swapped) === stateId;
  }

  /** False, with nothing changed, when the same set in the same state was met before. */
  #place(at: number, open: boolean, forced: boolean, state: State, stateId: number): boolean {
    const word = at >> 5;
    const bits = open ? this.#openBits : this.#answeredBits;
    const topWordBefore = this.#topWord;
    bits[word]! |= 1 << (at & 31);
    if (!open) this.#topWord = Math.max(this.#topWord, word);
    const key = this.#memoKey(stateId, open ? at : -1);
    if (this.#memo.has(key)) {
      bits[word]! &= ~(1 << (at & 31));
      this.#topWord = topWordBefore;
      this.#lowWord = Math.min(this.#lowWord, word);
      return false;
    }
    this.#memo.add(key);
    this.#stack.push({
      at,
      open,
      forced,
      stateBefore: this.#state,
      stateIdBefore: this.#stateId,
      topWordBefore,
    });
    this.#state = state;
    this.#stateId = stateId;
    if (!open) {
      this.#answeredPlaced++;
      this.#timeline.lift(at);
    }
    return true;
  }

  #undo(): Placed<State> | undefined {
    const placed = this.#stack.pop();
    if (placed === undefined) return undefined;
    const { at, open } = placed;
    const bits = open ? this.#openBits : this.#answeredBits;
    bits[at >> 5]! &= ~(1 << (at & 31));
    this.#topWord = placed.topWordBefore;
    this.#state = placed.stateBefore;
    this.#stateId = placed.stateIdBefore;
    if (!open) {
      this.#lowWord = Math.min(this.#lowWord, at >> 5);
      this.#answeredPlaced--;
      this.#timeline.unlift(at);
    }
    return placed;
  }

  /**
   * The exact set and state as text. Answered operations are placed nearly in order of call, so the set is told by
   * the number of leading full words and the words from there to the last one in use.
   */
  #memoKey(stateId: number, openAt: number): string {
    const bits = this.#answeredBits;
    while (this.#lowWord < bits.length && bits[this.#lowWord] === -1) this.#lowWord++;
    // After an open operation, what may follow depends on it and on the state before it.
    const last = openAt < 0 ? '' : twoUnits(openAt) + twoUnits(this.#stateId);
    let key = String.fromCharCode(last.length) + last + twoUnits(stateId) + twoUnits(this.#lowWord);
    for (let word = 0; word < this.#openBits.length; word++) key += twoUnits(this.#openBits[word]!);
    for (let word = this.#lowWord; word <= this.#topWord; word++) key += twoUnits(bits[word]!);
    return key;
  }

  #step(index: number, state: State): State | typeof ILLEGAL {
    const { input, output } = this.#operations[index]!;
    return this.#model.step(state, input, output);
  }

  #idOf(state: State): number {
    const key = this.#model.key(state);
    let id = this.#stateIds.get(key);
    if (id === undefined) {
      id = this.#stateIds.size;
      this.#stateIds.set(key, id);
    }
    return id;
  }

  #isOverBudget(): boolean {
    return this.#memo.size > this.#budget.maxStates || this.#budget.expired();
  }

  #order(): number[] {
    return this.#stack.map(({ at, open }) => (open ? this.#open[at]! : this.#answered[at]!));
  }

  #noteBest(): void {
    if (this.#answeredPlaced <= this.#best.placed) return;
    const blocking = this.#answered[this.#timeline.operationOf(this.#timeline.firstReturn())];
    this.#best = { placed: this.#answeredPlaced, order: this.#order(), state: this.#state, blocking };
  }

  #result(verdict: 'ok' | 'illegal' | 'unknown'): SearchResult<State> {
    const states = this.#memo.size;
    if (verdict === 'ok') {
      return { verdict, states, order: this.#order(), state: this.#state, blocking: undefined };
    }
    this.#noteBest();
    const { order, state, blocking } = this.#best;
    return { verdict, states, order, state, blocking };
  }
}

function twoUnits(word: number): string {
  return String.fromCharCode(word & 0xffff, word >>> 16);
}
