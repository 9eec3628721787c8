/**
 * One atomic long, in the partition of its name: a value with the version and position of its last write, or the
 * mark of its removal. Invariant: every change goes through `change` or `purge`, which write the delta that a backup
 * needs for the same contents. Called by the handlers, replication and migration.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { i64 } from '../../../src/wire/fields.js';
import type { OperationContext, PurgeHorizon, ServiceState, Version } from '../../service.js';

const DELTA = { image: 1, purge: 2 } as const;
/** What one value takes, roughly. */
const VALUE_BYTES = 128;

interface LongRecord {
  readonly value: bigint;
  readonly tombstone: boolean;
  readonly version: Version;
  /** Cluster that the version comes from, 0 for this one. */
  readonly origin: number;
  readonly seq: number;
}

export class AtomicLongState implements ServiceState {
  #record: LongRecord | null = null;

  /** 0 when it was never set, or was removed. */
  get value(): bigint {
    return this.#record === null ? 0n : this.#record.value;
  }

  get isRemoved(): boolean {
    return this.#record === null || this.#record.tombstone;
  }

  get entryCount(): number {
    return this.isRemoved ? 0 : 1;
  }

  get sizeBytes(): number {
    return this.#record === null ? 0 : VALUE_BYTES;
  }

  /** The reply waits for the write that it shows. */
  look(context: OperationContext): bigint {
    if (this.#record === null) return 0n;
    context.dependsOn(this.#record.seq);
    return this.#record.value;
  }

  /** Sets the value, null to remove it, as the one change of this operation. */
  change(value: bigint | null, context: OperationContext): void {
    const record: LongRecord = {
      value: value ?? 0n,
      tombstone: value === null,
      version: context.version(),
      origin: 0,
      seq: context.seq,
    };
    const out = context.delta();
    out.u8(DELTA.image);
    writeImage(out, record);
    this.#record = record;
  }

  /** Forgets a removal that lies behind the horizon; see `Service.purge`. */
  purge(horizon: PurgeHorizon, context: OperationContext): void {
    if (!this.#isPurgeable(horizon)) return;
    const out = context.delta();
    out.u8(DELTA.purge);
    out.f64(horizon.seq);
    out.f64(horizon.ms);
    this.#record = null;
  }

  #isPurgeable(horizon: PurgeHorizon): boolean {
    const record = this.#record;
    return record?.tombstone === true && record.seq <= horizon.seq && record.version.ms < horizon.ms;
  }

  apply(delta: Reader, seq: number): void {
    const kind = delta.u8();
    if (kind === DELTA.image) this.#record = readImage(delta, seq);
    else if (kind === DELTA.purge) {
      const horizon = { seq: delta.f64(), ms: delta.f64() };
      if (this.#isPurgeable(horizon)) this.#record = null;
    } else throw new ProtocolError(`unknown delta of an atomic long: ${kind}`);
  }

  copy(_cursor: number, _maxBytes: number, out: Writer): number {
    if (this.#record !== null) {
      out.f64(this.#record.seq);
      writeImage(out, this.#record);
    }
    return -1;
  }

  paste(records: Reader): void {
    while (records.remaining > 0) {
      const seq = records.f64();
      const record = readImage(records, seq);
      if (this.#record === null || this.#record.seq < seq) this.#record = record;
    }
  }

  dump(): readonly string[] {
    if (this.#record === null) return [];
    const { value, tombstone, version } = this.#record;
    const { ms, counter, memberHi, memberLo } = version;
    const order = `${ms}.${counter}.${memberHi.toString(16)}.${memberLo.toString(16)}`;
    return [`value ${order} ${tombstone ? 'tombstone' : value}`];
  }

  dispose(): void {
    this.#record = null;
  }
}

function writeImage(out: Writer, { value, tombstone, version, origin }: LongRecord): void {
  out.u8(tombstone ? 1 : 0);
  out.f64(version.ms);
  out.u16(version.counter);
  out.u32(version.memberHi);
  out.u32(version.memberLo);
  out.u16(origin);
  i64.write(out, value);
}

function readImage(input: Reader, seq: number): LongRecord {
  // Fields are read in the order in which they stand here.
  const tombstone = input.u8() === 1;
  const version = { ms: input.f64(), counter: input.u16(), memberHi: input.u32(), memberLo: input.u32() };
  return { tombstone, version, origin: input.u16(), value: i64.read(input), seq };
}
