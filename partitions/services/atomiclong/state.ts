/**
 * One atomic long, in the partition of its name: the sums of its additions and the last value that was set, or the
 * mark of its removal (`sums.ts` says what they mean). Invariant: every change goes through `add`, `set`, `purge` or
 * `merge`, which write the delta that a backup needs for the same contents: the whole of it, and in front what the
 * change was, for a merge that has to take it out. Called by the handlers, replication and migration.
 */
import { Reader, type Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import type {
  MergeContext,
  MergeSince,
  OperationContext,
  PurgeHorizon,
  ServiceState,
  StateEnvironment,
} from '../../service.js';
import { mergeSums, type SkippedCall, writeChanges } from './merge.js';
import {
  type Base,
  folded,
  isRemoved,
  readBase,
  readSums,
  readVoided,
  type Sums,
  tallies,
  tallyOf,
  textOf,
  VOIDED_BYTES,
  valueOfSums,
  withAddition,
  writeBase,
  writeSums,
  writeVoided,
} from './sums.js';

const DELTA = { set: 1, purge: 2, add: 3, whole: 4 } as const;
const NOTHING: Sums = { base: null, sums: [], voided: [], seq: 0 };
/** What a counter, and each of its sums, takes in memory, roughly. */
const COUNTER_BYTES = 128;
const SUM_BYTES = 160;

export class AtomicLongState implements ServiceState {
  readonly #name: string;
  #sums: Sums | null = null;
  /** Of `#sums`; asked for with every call. */
  #value = 0n;

  constructor({ name }: StateEnvironment) {
    this.#name = name;
  }

  /** 0 when it was never set, or was removed. */
  get value(): bigint {
    return this.#value;
  }

  get isRemoved(): boolean {
    return this.#sums === null || isRemoved(this.#sums);
  }

  get entryCount(): number {
    return this.isRemoved ? 0 : 1;
  }

  get sizeBytes(): number {
    if (this.#sums === null) return 0;
    const { sums, voided, base } = this.#sums;
    return COUNTER_BYTES + (sums.length + voided.length + (base?.seen.length ?? 0)) * SUM_BYTES;
  }

  /** The reply waits for the write that it shows. */
  look(context: OperationContext): bigint {
    if (this.#sums === null) return 0n;
    context.dependsOn(this.#sums.seq);
    return this.#value;
  }

  /** Adds, as the one change of this operation. */
  add(amount: bigint, context: OperationContext): void {
    const { actor, seq } = context;
    const next = withAddition(this.#sums ?? NOTHING, actor, amount, seq, context.version().ms);
    const out = context.delta();
    out.u8(DELTA.add);
    writeVoided(out, { actor, ordinal: tallyOf(next.sums, actor)?.additions ?? 0, amount });
    this.#change(out, next);
  }

  /** Sets the value, null to remove it, as the one change of this operation. */
  set(value: bigint | null, context: OperationContext): void {
    const now = this.#sums ?? NOTHING;
    const base: Base = {
      value: value ?? 0n,
      tombstone: value === null,
      version: context.version(),
      origin: 0,
      seq: context.seq,
      seen: tallies(now),
    };
    const out = context.delta();
    out.u8(DELTA.set);
    writeBase(out, now.base);
    this.#change(out, { ...now, base, seq: context.seq });
  }

  /** Takes in what another side of a split changed; see `Service.merge`. */
  merge(records: Reader, merge: MergeContext): void {
    while (records.remaining > 0) {
      const next = mergeSums(this.#sums, records, merge, this.#name);
      if (next === null || next === this.#sums) continue;
      const out = merge.operation.delta();
      out.u8(DELTA.whole);
      this.#change(out, next);
      return;
    }
  }

  /** Forgets a removal that lies behind the horizon, and folds old sums; see `Service.purge`. */
  purge(horizon: PurgeHorizon, context: OperationContext): void {
    if (this.#isPurgeable(horizon)) {
      const out = context.delta();
      out.u8(DELTA.purge);
      out.f64(horizon.seq);
      out.f64(horizon.ms);
      this.#put(null);
      return;
    }
    const sums = this.#sums;
    const next = sums === null ? null : folded(sums, horizon, context.seq);
    if (next === null || next === sums) return;
    const out = context.delta();
    out.u8(DELTA.whole);
    this.#change(out, next);
  }

  #isPurgeable({ seq, ms }: PurgeHorizon): boolean {
    const sums = this.#sums;
    if (sums === null || sums.base === null || !isRemoved(sums)) return false;
    return sums.seq <= seq && sums.base.version.ms < ms;
  }

  #change(out: Writer, sums: Sums): void {
    writeSums(out, sums);
    this.#put(sums);
  }

  #put(sums: Sums | null): void {
    this.#sums = sums;
    this.#value = sums === null ? 0n : valueOfSums(sums);
  }

  apply(delta: Reader, seq: number): void {
    const kind = delta.u8();
    if (kind === DELTA.purge) {
      const horizon = { seq: delta.f64(), ms: delta.f64() };
      if (this.#isPurgeable(horizon)) this.#put(null);
      return;
    }
    readCall(kind, delta);
    this.#put(readSums(delta, seq));
  }

  copy(_cursor: number, _maxBytes: number, out: Writer): number {
    if (this.#sums !== null) {
      out.f64(this.#sums.seq);
      writeSums(out, this.#sums);
    }
    return -1;
  }

  paste(records: Reader): void {
    while (records.remaining > 0) {
      const sums = readSums(records, records.f64());
      if (this.#sums === null || this.#sums.seq < sums.seq) this.#put(sums);
    }
  }

  changes(_cursor: number, since: MergeSince, _maxBytes: number, out: Writer): number {
    const sums = this.#sums;
    if (sums === null || sums.seq <= since.sharedSeq) return -1;
    writeChanges(out, sums, since, (delta) => {
      const input = new Reader(delta);
      return readCall(input.u8(), input);
    });
    return -1;
  }

  dump(): readonly string[] {
    return this.#sums === null ? [] : [textOf(this.#sums)];
  }

  dispose(): void {
    this.#put(null);
  }
}

/** See `Service.additionOf`. */
export function additionOf(delta: Uint8Array): Uint8Array | null {
  // A copy of its own: a view would keep the whole of what it was read from.
  return delta[0] === DELTA.add ? new Uint8Array(delta.subarray(0, 1 + VOIDED_BYTES)) : null;
}

/** What stands in front of the contents in a delta. */
function readCall(kind: number, delta: Reader): SkippedCall {
  if (kind === DELTA.add) return { addition: readVoided(delta), replaced: null };
  if (kind === DELTA.set) return { addition: null, replaced: readBase(delta) };
  if (kind === DELTA.whole) return { addition: null, replaced: null };
  throw new ProtocolError(`unknown delta of an atomic long: ${kind}`);
}
