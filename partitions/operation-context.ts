/** What an operation knows and does besides its state, as the executor hands it to handlers. */
import { assert } from '../src/base/assert.js';
import { Writer } from '../src/base/bytes.js';
import type { HybridClock } from '../src/base/hlc.js';
import type { Clock } from '../src/base/ports.js';
import type { EpochStart } from './history.js';
import type { NeedsStore } from './needs-store.js';
import type { Actor, CallId, OperationContext, StoreAccess, StructureOptions, Version } from './service.js';
import type { UserFunctions } from './user-functions.js';

export interface ContextOptions {
  readonly clock: Clock;
  readonly hlc: HybridClock;
  /** First 64 bits of this member's UUID. */
  readonly memberHi: number;
  readonly memberLo: number;
}

/** One context serves all operations of a member: they run one after the other. */
export class Context implements OperationContext {
  readonly #own: ContextOptions;
  readonly functions: UserFunctions;
  readonly #delta = new Writer(1024);
  #epoch: EpochStart | undefined;
  #of: StructureOptions | null = null;
  call: CallId | null = null;
  /** An operation, or a merge, is at work with it. */
  isBusy = false;
  seq = 0;
  changed = false;
  dependency = 0;
  goodForMs = Number.POSITIVE_INFINITY;
  /** Hashes of the keys that have another value by now. */
  readonly touchedHashes: number[] = [];
  /** What the operation gave is void: its call waits for so long. */
  parkMs = 0;
  #mostWaitMs = 0;
  #waitedMs = 0;
  store: StoreAccess | null = null;
  /** The operation has changed nothing, and waits for the store. */
  needs: NeedsStore | null = null;

  constructor(options: ContextOptions, functions: UserFunctions) {
    this.#own = options;
    this.functions = functions;
  }

  /** The operation comes behind all that the replica has; `options` are those of its structure. */
  begin(
    replica: { readonly seq: number; readonly history: readonly EpochStart[] },
    options: StructureOptions,
    call: CallId | null = null,
  ): this {
    this.call = call;
    this.seq = replica.seq + 1;
    // The one that the primary leads.
    this.#epoch = replica.history.at(-1);
    this.#of = options;
    this.changed = false;
    this.dependency = 0;
    this.goodForMs = Number.POSITIVE_INFINITY;
    this.touchedHashes.length = 0;
    this.parkMs = 0;
    this.#mostWaitMs = 0;
    this.store = null;
    this.needs = null;
    this.#delta.reset();
    return this;
  }

  /** The operation may ask for so much time, less what its call has waited already. */
  mayWait(mostWaitMs: number, waitedMs: number): void {
    this.#mostWaitMs = mostWaitMs;
    this.#waitedMs = waitedMs;
  }

  get wallMs(): number {
    return this.#own.clock.wallNow();
  }

  get nowMs(): number {
    return this.#own.clock.now();
  }

  version(): Version {
    const { ms, counter } = this.#own.hlc.next(this.#own.clock.wallNow());
    return { ms, counter, memberHi: this.#own.memberHi, memberLo: this.#own.memberLo };
  }

  observe({ ms, counter }: Version): void {
    this.#own.hlc.observe(ms, counter);
  }

  get actor(): Actor {
    const { memberHi, memberLo } = this.#own;
    return { memberHi, memberLo, lineage: this.#epoch?.lineage ?? 0, epoch: this.#epoch?.epoch ?? 0 };
  }

  get options(): StructureOptions {
    assert(this.#of !== null, 'the context of an operation that has not begun');
    return this.#of;
  }

  delta(): Writer {
    this.changed = true;
    return this.#delta;
  }

  wait(waitMs: number): boolean {
    const leftMs = Math.min(waitMs, this.#mostWaitMs) - this.#waitedMs;
    if (leftMs <= 0) return false;
    this.parkMs = leftMs;
    return true;
  }

  dependsOn(seq: number): void {
    if (seq > this.dependency) this.dependency = seq;
  }

  goodFor(ms: number): void {
    if (ms < this.goodForMs) this.goodForMs = ms;
  }

  touched(hash: number): void {
    this.touchedHashes.push(hash);
  }

  /** A view, valid until the next operation. */
  takeDelta(): Uint8Array {
    return this.#delta.buffer.subarray(0, this.#delta.length);
  }
}
