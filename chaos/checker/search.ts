/**
 * The search behind the linearizability checker, for one key: Wing and Gong's, with Lowe's memo of (set of
 * placed operations, state). An operation can be placed next when it was called before the first answer among
 * those not placed yet. Invariants: the memo is exact (no hash stands in for a set), and when a budget runs out
 * the verdict is `unknown`, never a guess.
 *
 * Two shortcuts keep the search small, both without changing a verdict. An answered operation that fits and does
 * not change the state is placed at once: whatever order exists later also exists with it first. An operation
 * of unknown outcome never has to be placed, and is not when it would change nothing.
 */
import { ILLEGAL, type Model, type UNKNOWN } from './models.js';

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
    let openAt = fromOpen;
    if (fresh) {
      const forced = this.#findForced();
      if (forced >= 0) return this.#place(forced, false, true, this.#state, this.#stateId);
      node = this.#timeline.first();
      openAt = 0;
    }
    for (; this.#timeline.isCall(node); node = this.#timeline.next(node)) {
      const at = this.#timeline.operationOf(node);
      const state = this.#step(this.#answered[at]!);
      if (state === ILLEGAL) continue;
      if (this.#place(at, false, false, state, this.#idOf(state))) return true;
    }
    const boundary = this.#timeline.timeOf(node);
    for (; openAt < this.#open.length; openAt++) {
      const index = this.#open[openAt]!;
      if (this.#operations[index]!.call > boundary) return false;
      if ((this.#openBits[openAt >> 5]! & (1 << (openAt & 31))) !== 0) continue;
      const state = this.#step(index);
      if (state === ILLEGAL) continue;
      const stateId = this.#idOf(state);
      if (stateId !== this.#stateId && this.#place(openAt, true, false, state, stateId)) return true;
    }
    return false;
  }

  /** An answered operation that fits here without changing the state, or -1. */
  #findForced(): number {
    for (let node = this.#timeline.first(); this.#timeline.isCall(node); node = this.#timeline.next(node)) {
      const at = this.#timeline.operationOf(node);
      const state = this.#step(this.#answered[at]!);
      if (state !== ILLEGAL && this.#idOf(state) === this.#stateId) return at;
    }
    return -1;
  }

  /** False, with nothing changed, when the same set in the same state was met before. */
  #place(at: number, open: boolean, forced: boolean, state: State, stateId: number): boolean {
    const word = at >> 5;
    const bits = open ? this.#openBits : this.#answeredBits;
    const topWordBefore = this.#topWord;
    bits[word]! |= 1 << (at & 31);
    if (!open) this.#topWord = Math.max(this.#topWord, word);
    const key = this.#memoKey(stateId);
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
  #memoKey(stateId: number): string {
    const bits = this.#answeredBits;
    while (this.#lowWord < bits.length && bits[this.#lowWord] === -1) this.#lowWord++;
    let key = twoUnits(stateId) + twoUnits(this.#lowWord);
    for (let word = 0; word < this.#openBits.length; word++) key += twoUnits(this.#openBits[word]!);
    for (let word = this.#lowWord; word <= this.#topWord; word++) key += twoUnits(bits[word]!);
    return key;
  }

  #step(index: number): State | typeof ILLEGAL {
    const { input, output } = this.#operations[index]!;
    return this.#model.step(this.#state, input, output);
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

/**
 * Calls and answers of the operations not placed yet, in order of time, as a linked list; a call comes before an
 * answer of the same time, because intervals are closed.
 */
class Timeline {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #times: Float64Array;
  readonly #operations: Int32Array;
  readonly #calls: Uint8Array;
  readonly #callNodes: Int32Array;
  readonly #returnNodes: Int32Array;

  /** Node 0 is the head; the operations are in order of call. */
  constructor(operations: readonly { readonly call: number; readonly ret: number }[]) {
    const events = operations.flatMap(({ call, ret }, at) => [
      { at, time: call, isCall: 1 },
      { at, time: ret, isCall: 0 },
    ]);
    events.sort((a, b) => a.time - b.time || b.isCall - a.isCall || a.at - b.at);
    const size = events.length + 1;
    this.#next = Int32Array.from({ length: size }, (_, node) => (node + 1) % size);
    this.#previous = Int32Array.from({ length: size }, (_, node) => (node + size - 1) % size);
    this.#times = new Float64Array(size);
    this.#operations = new Int32Array(size);
    this.#calls = new Uint8Array(size);
    this.#callNodes = new Int32Array(operations.length);
    this.#returnNodes = new Int32Array(operations.length);
    events.forEach(({ at, time, isCall }, index) => {
      const node = index + 1;
      this.#times[node] = time;
      this.#operations[node] = at;
      this.#calls[node] = isCall;
      (isCall === 1 ? this.#callNodes : this.#returnNodes)[at] = node;
    });
  }

  first(): number {
    return this.#next[0]!;
  }

  next(node: number): number {
    return this.#next[node]!;
  }

  isCall(node: number): boolean {
    return this.#calls[node] === 1;
  }

  timeOf(node: number): number {
    return this.#times[node]!;
  }

  operationOf(node: number): number {
    return this.#operations[node]!;
  }

  afterCallOf(at: number): number {
    return this.#next[this.#callNodes[at]!]!;
  }

  /** The first answer that is still due: what was called later cannot be placed before it. */
  firstReturn(): number {
    let node = this.first();
    while (this.isCall(node)) node = this.next(node);
    return node;
  }

  lift(at: number): void {
    this.#unlink(this.#callNodes[at]!);
    this.#unlink(this.#returnNodes[at]!);
  }

  /** Undoes the latest `lift`; the links of the lifted nodes still say where they were. */
  unlift(at: number): void {
    this.#relink(this.#returnNodes[at]!);
    this.#relink(this.#callNodes[at]!);
  }

  #unlink(node: number): void {
    this.#next[this.#previous[node]!] = this.#next[node]!;
    this.#previous[this.#next[node]!] = this.#previous[node]!;
  }

  #relink(node: number): void {
    this.#next[this.#previous[node]!] = node;
    this.#previous[this.#next[node]!] = node;
  }
}
