/**
 * Maximum flow of minimum cost over a small integer network, for `assign`. Primal-dual: potentials from
 * shortest distances, then a blocking flow over all arcs on shortest paths at once, so the work grows with
 * the number of different path costs (a handful here) and not with the flow.
 *
 * Deterministic: arcs are tried in the order in which they were added. Costs must not be negative.
 */

export class FlowNetwork {
  readonly #nodeCount: number;
  // Arc 2k is the k-th added one and arc 2k + 1 its reverse, so `arc ^ 1` is the partner of either.
  readonly #heads: number[] = [];
  readonly #room: number[] = [];
  readonly #costs: number[] = [];
  // Arcs by tail: those of node v are #arcs[#firstArc[v]] up to #arcs[#firstArc[v + 1] - 1].
  #arcs = new Int32Array(0);
  #firstArc = new Int32Array(0);
  #potential = new Float64Array(0);
  #level = new Int32Array(0);
  #next = new Int32Array(0);

  constructor(nodeCount: number) {
    this.#nodeCount = nodeCount;
  }

  /** Adds an arc and returns its number, for `flowOf`. `capacity` and `cost` are integers of at least 0. */
  add(from: number, to: number, capacity: number, cost: number): number {
    const arc = this.#heads.length;
    this.#heads.push(to, from);
    this.#room.push(capacity, 0);
    this.#costs.push(cost, -cost);
    return arc;
  }

  /** Adds arcs that let `low` units pass for nothing and the others, up to `high`, for `overCost` each. */
  addRange(from: number, to: number, low: number, high: number, overCost: number): void {
    if (low > 0) this.add(from, to, low, 0);
    if (high > low) this.add(from, to, high - low, overCost);
  }

  /** Units that the last `run` sent through an arc that `add` returned. */
  flowOf(arc: number): number {
    return this.#room[arc ^ 1]!;
  }

  /** Sends as much as possible from source to sink, as cheaply as possible, and returns how much. Call once. */
  run(source: number, sink: number): number {
    this.#sortArcs();
    this.#potential = new Float64Array(this.#nodeCount);
    this.#level = new Int32Array(this.#nodeCount);
    this.#next = new Int32Array(this.#nodeCount);
    let total = 0;
    while (this.#raisePotentials(source, sink)) {
      while (this.#layer(source, sink)) {
        this.#next.set(this.#firstArc.subarray(0, this.#nodeCount));
        total += this.#push(source, sink, Number.MAX_SAFE_INTEGER);
      }
    }
    return total;
  }

  #sortArcs(): void {
    const arcCount = this.#heads.length;
    this.#firstArc = new Int32Array(this.#nodeCount + 1);
    for (let arc = 0; arc < arcCount; arc++) this.#firstArc[this.#heads[arc ^ 1]! + 1]!++;
    for (let node = 0; node < this.#nodeCount; node++) this.#firstArc[node + 1]! += this.#firstArc[node]!;
    this.#arcs = new Int32Array(arcCount);
    const next = this.#firstArc.slice();
    for (let arc = 0; arc < arcCount; arc++) this.#arcs[next[this.#heads[arc ^ 1]!]!++] = arc;
  }

  /**
   * Dijkstra over reduced costs; false when the sink is out of reach. There are few different distances, so
   * a bucket for each of them does better than a heap.
   */
  #raisePotentials(source: number, sink: number): boolean {
    const distance = new Float64Array(this.#nodeCount).fill(Number.POSITIVE_INFINITY);
    const settled = new Uint8Array(this.#nodeCount);
    const buckets = new Map<number, number[]>([[0, [source]]]);
    distance[source] = 0;
    while (buckets.size > 0 && settled[sink] === 0) {
      const near = Math.min(...buckets.keys());
      // The bucket grows while it is read: arcs of reduced cost 0 add to it.
      const bucket = buckets.get(near)!;
      for (let at = 0; at < bucket.length; at++) {
        const node = bucket[at]!;
        if (settled[node] === 1) continue;
        settled[node] = 1;
        this.#relax(node, near, distance, buckets);
      }
      buckets.delete(near);
    }
    const reached = distance[sink]!;
    if (reached === Number.POSITIVE_INFINITY) return false;
    for (let node = 0; node < this.#nodeCount; node++)
      this.#potential[node]! += Math.min(distance[node]!, reached);
    return true;
  }

  #relax(node: number, near: number, distance: Float64Array, buckets: Map<number, number[]>): void {
    for (let at = this.#firstArc[node]!; at < this.#firstArc[node + 1]!; at++) {
      const arc = this.#arcs[at]!;
      if (this.#room[arc] === 0) continue;
      const head = this.#heads[arc]!;
      const through = near + this.#costs[arc]! + this.#potential[node]! - this.#potential[head]!;
      if (through >= distance[head]!) continue;
      distance[head] = through;
      const bucket = buckets.get(through);
      if (bucket === undefined) buckets.set(through, [head]);
      else bucket.push(head);
    }
  }

  #isTight(node: number, arc: number): boolean {
    if (this.#room[arc] === 0) return false;
    return this.#costs[arc]! + this.#potential[node]! - this.#potential[this.#heads[arc]!]! === 0;
  }

  /** Numbers the nodes by their arcs from the source along tight arcs; false when the sink is out of reach. */
  #layer(source: number, sink: number): boolean {
    this.#level.fill(-1);
    this.#level[source] = 0;
    const queue = [source];
    for (let at = 0; at < queue.length && this.#level[sink] === -1; at++) {
      const node = queue[at]!;
      for (let i = this.#firstArc[node]!; i < this.#firstArc[node + 1]!; i++) {
        const arc = this.#arcs[i]!;
        const head = this.#heads[arc]!;
        if (this.#level[head] !== -1 || !this.#isTight(node, arc)) continue;
        this.#level[head] = this.#level[node]! + 1;
        queue.push(head);
      }
    }
    return this.#level[sink] !== -1;
  }

  /** Sends up to `limit` units from `node` to the sink, layer by layer, and returns how many. */
  #push(node: number, sink: number, limit: number): number {
    if (node === sink) return limit;
    let sent = 0;
    const end = this.#firstArc[node + 1]!;
    for (; this.#next[node]! < end; this.#next[node]!++) {
      const arc = this.#arcs[this.#next[node]!]!;
      const head = this.#heads[arc]!;
      if (this.#level[head] !== this.#level[node]! + 1 || !this.#isTight(node, arc)) continue;
      const units = this.#push(head, sink, Math.min(limit - sent, this.#room[arc]!));
      this.#room[arc]! -= units;
      this.#room[arc ^ 1]! += units;
      sent += units;
      if (sent === limit) break;
    }
    return sent;
  }
}
