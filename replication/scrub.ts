/**
 * A slow walk through everything that this member holds: contents that do not fit the digest which was computed when
 * they were last written have changed in memory by themselves. One pass takes about `scrubIntervalMs`; faults are told
 * to `anti-entropy.ts`, which owns this.
 */
import type { PartitionReplica } from '../partitions/replica.js';
import type { DigestBudget } from '../partitions/store/digest.js';
import type { AntiEntropyOptions } from './anti-entropy-parts.js';
import type { NodeRef } from './anti-entropy-task.js';

/** A grid that holds little is done sooner than its time. */
const LEAST_BYTES_PER_TICK = 16 * 1024;

export interface ScrubHost {
  all(): Iterable<PartitionReplica>;
  fault(replica: PartitionReplica, node: NodeRef): void;
}

export class Scrub {
  readonly #host: ScrubHost;
  readonly #options: AntiEntropyOptions;
  #nextPassMs = Number.NEGATIVE_INFINITY;
  #bytesPerMs = 0;
  /** Bytes that are due. */
  #credit = 0;
  #replicas: PartitionReplica[] = [];
  /** Of the first of them: what is left, and where the first one goes on. */
  #structures: { readonly serviceId: number; readonly name: string }[] = [];
  #leaf = 0;
  passes = 0;

  constructor(options: AntiEntropyOptions, host: ScrubHost) {
    this.#options = options;
    this.#host = host;
  }

  /** A pass begins now, and not when its time has come. */
  soon(): void {
    this.#nextPassMs = Number.NEGATIVE_INFINITY;
  }

  get isRunning(): boolean {
    return this.#replicas.length > 0;
  }

  tick(nowMs: number, elapsedMs: number, budget: DigestBudget): void {
    if (this.#options.scrubIntervalMs === 0) return;
    if (!this.isRunning) {
      if (nowMs < this.#nextPassMs) return;
      this.#begin(nowMs);
    }
    this.#credit += Math.max(LEAST_BYTES_PER_TICK, elapsedMs * this.#bytesPerMs);
    // What is in arrears because the machine was busy is not made up for in one go.
    this.#credit = Math.min(this.#credit, budget.bytes);
    while (this.isRunning && this.#credit > 0) this.#step(budget);
    if (!this.isRunning) this.passes++;
  }

  #begin(nowMs: number): void {
    const { scrubIntervalMs } = this.#options;
    this.#nextPassMs = nowMs + scrubIntervalMs;
    this.#replicas = [...this.#host.all()];
    this.#credit = 0;
    let sizeBytes = 0;
    for (const replica of this.#replicas) sizeBytes += replica.sizeBytes;
    this.#bytesPerMs = sizeBytes / scrubIntervalMs;
    this.#enter();
  }

  #enter(): void {
    this.#structures = this.#replicas[0]?.structures() ?? [];
    this.#leaf = 0;
  }

  #step(budget: DigestBudget): void {
    const replica = this.#replicas[0] as PartitionReplica;
    const structure = this.#structures[0];
    if (structure === undefined) {
      this.#replicas.shift();
      this.#credit--;
      this.#enter();
      return;
    }
    const { serviceId, name } = structure;
    const store = replica.find(serviceId, name)?.digested?.store;
    const own = { bytes: this.#credit, records: 0 };
    const next =
      store?.digest.scrub(this.#leaf, own, (depth, prefix) =>
        this.#host.fault(replica, { service: serviceId, structure: name, depth, prefix }),
      ) ?? -1;
    const read = this.#credit - own.bytes;
    this.#credit -= read + 1;
    budget.bytes -= read;
    budget.records += own.records;
    this.#leaf = Math.max(0, next);
    if (next < 0) this.#structures.shift();
  }
}
