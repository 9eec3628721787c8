/** What an operation knows and does besides its state, as the executor hands it to handlers. */
import { assert } from '../src/base/assert.js';
import { Writer } from '../src/base/bytes.js';
import type { HybridClock } from '../src/base/hlc.js';
import type { Clock } from '../src/base/ports.js';
import type { CallPrefix } from './call.js';
import type { EpochStart } from './history.js';
import type { NeedsStore } from './needs-store.js';
import type { PartitionReplica } from './replica.js';
import { mayBeElsewhere } from './resolution.js';
import type {
  Actor,
  CallId,
  OperationContext,
  StoreAccess,
  StructureFaults,
  StructureOptions,
  Version,
} from './service.js';
import type { UserFunctions } from './user-functions.js';

/** What a call waits for, and who has it. */
export interface Line {
  readonly thing: string;
  readonly holder: string;
  readonly as: string;
}

/** For any change of the structure. */
export const NO_LINE: Line = { thing: '', holder: '', as: '' };

export interface ContextOptions {
  readonly clock: Clock;
  readonly hlc: HybridClock;
  /** First 64 bits of this member's UUID. */
  readonly memberHi: number;
  readonly memberLo: number;
  readonly structureFaults?: StructureFaults;
  /** See `ExecutorOptions`. */
  readonly isInFork?: () => boolean;
}

/** One context serves all operations of a member: they run one after the other. */
export class Context implements OperationContext {
  readonly #own: ContextOptions;
  readonly functions: UserFunctions;
  readonly #delta = new Writer(1024);
  #epoch: EpochStart | undefined;
  #of: StructureOptions | null = null;
  #replica: Pick<PartitionReplica, 'structures'> | null = null;
  call: CallId | null = null;
  /** An operation, or a merge, is at work with it. */
  isBusy = false;
  seq = 0;
  changed = false;
  dependency = 0;
  goodForMs = Number.POSITIVE_INFINITY;
  isBehind = false;
  isUndecided = false;
  isCrowded = false;
  /** Keys that a read left something to do about; views. */
  upkeepKeys: Uint8Array[] = [];
  #ledSinceMs = Number.NEGATIVE_INFINITY;
  /** Hashes of the keys that have another value by now. */
  readonly touchedHashes: number[] = [];
  /** What the operation gave is void: its call waits for so long. */
  parkMs = 0;
  /** For what it waits, and behind whom; see `waitFor`. */
  line: Line = NO_LINE;
  /** Things for which nobody has to wait any more. */
  readonly woken: string[] = [];
  /** The least that was told by `endsIn`. */
  endsInMs = Number.POSITIVE_INFINITY;
  lockOwner = '';
  #lockWaitMs = 0;
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
    replica: Pick<PartitionReplica, 'seq' | 'history' | 'ledSinceMs' | 'structures'>,
    options: StructureOptions,
    call: CallId | null = null,
  ): this {
    this.call = call;
    this.#replica = replica;
    this.seq = replica.seq + 1;
    // The one that the primary leads.
    this.#epoch = replica.history.at(-1);
    this.#of = options;
    this.changed = false;
    this.dependency = 0;
    this.goodForMs = Number.POSITIVE_INFINITY;
    this.touchedHashes.length = 0;
    this.isBehind = false;
    this.isUndecided = false;
    this.isCrowded = false;
    if (this.upkeepKeys.length > 0) this.upkeepKeys = [];
    this.#ledSinceMs = replica.ledSinceMs;
    this.parkMs = 0;
    this.line = NO_LINE;
    this.woken.length = 0;
    this.endsInMs = Number.POSITIVE_INFINITY;
    this.lockOwner = '';
    this.#mostWaitMs = 0;
    this.store = null;
    this.needs = null;
    this.#delta.reset();
    return this;
  }

  /** A call is run: it may wait for `mostWaitMs` at the most. */
  calledBy({ lockOwner, lockWaitMs, ageMs }: CallPrefix, mostWaitMs: number): void {
    this.lockOwner = lockOwner;
    this.#lockWaitMs = lockWaitMs;
    this.#mostWaitMs = mostWaitMs;
    this.#waitedMs = ageMs;
  }

  get client(): number {
    return this.call?.client ?? 0;
  }

  get wallMs(): number {
    return this.#own.clock.wallNow();
  }

  get nowMs(): number {
    return this.#own.clock.now();
  }

  get leadsSinceMs(): number {
    return this.wallMs - (this.nowMs - this.#ledSinceMs);
  }

  get mayBeElsewhere(): boolean {
    if (this.#own.isInFork?.() !== true) return false;
    return mayBeElsewhere({ ledSinceMs: this.#ledSinceMs }, this.options, this.#waitedMs, this.nowMs);
  }

  undecided(): void {
    this.isUndecided = true;
  }

  upkeep(key: Uint8Array): void {
    this.upkeepKeys.push(key);
  }

  crowded(): void {
    this.isCrowded = true;
  }

  version(): Version {
    const { ms, counter } = this.#own.hlc.next(this.#own.clock.wallNow());
    return { ms, counter, memberHi: this.#own.memberHi, memberLo: this.#own.memberLo };
  }

  observe({ ms, counter }: Version): void {
    this.#own.hlc.observe(ms, counter);
  }

  get faults(): StructureFaults | undefined {
    return this.#own.structureFaults;
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

  waitFor(thing: string, holder: string, as: string, waitMs: number | null): boolean {
    if (!this.wait(waitMs ?? this.#lockWaitMs)) return false;
    this.line = { thing, holder, as };
    return true;
  }

  wake(thing: string): void {
    this.woken.push(thing);
  }

  endsIn(ms: number): void {
    this.endsInMs = Math.min(this.endsInMs, ms);
  }

  dependsOn(seq: number): void {
    if (seq > this.dependency) this.dependency = seq;
  }

  goodFor(ms: number): void {
    if (ms < this.goodForMs) this.goodForMs = ms;
  }

  structures(): ReturnType<OperationContext['structures']> {
    return this.#replica?.structures() ?? [];
  }

  touched(hash: number): void {
    this.touchedHashes.push(hash);
  }

  /** A view, valid until the next operation. */
  takeDelta(): Uint8Array {
    return this.#delta.buffer.subarray(0, this.#delta.length);
  }
}
