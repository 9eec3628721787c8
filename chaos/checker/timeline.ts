/**
 * Calls and answers of the operations not placed yet, in order of time, as a linked list; what the search for a
 * linearization walks over. Invariants: a call comes before an answer of the same time, because intervals are
 * closed; `unlift` is called in the reverse order of `lift`.
 */
export class Timeline {
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
