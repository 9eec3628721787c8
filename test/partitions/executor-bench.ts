/** What executors are tested with: a service of numbers, a sink that remembers answers, and backups as the test says. */
import type { AnswerPlace, CallRef, ReplySink } from '../../partitions/call.js';
import type { Refusal, Replicator, Waiter } from '../../partitions/executor.js';
import { DeltaLog } from '../../partitions/log.js';
import { PartitionReplica } from '../../partitions/replica.js';
import type { OperationContext, Service, ServiceState, StructureOptions } from '../../partitions/service.js';
import { SessionWindows } from '../../partitions/sessions.js';
import { Slab } from '../../partitions/store/slab.js';
import { Reader } from '../../src/base/bytes.js';
import { type ErrorName, OverloadError } from '../../src/base/errors.js';
import { bytes, count } from '../../src/wire/fields.js';
import { operationsOf } from '../../src/wire/message.js';

/** A number with the position of its last change. */
export class Cell implements ServiceState {
  value = 0;
  changedAt = 0;
  readonly entryCount = 1;
  readonly sizeBytes = 8;
  apply(delta: Reader, seq: number): void {
    this.value = delta.f64();
    this.changedAt = seq;
  }
  copy(): number {
    return -1;
  }
  paste(): void {}
  changes(): number {
    return -1;
  }
  dump(): readonly string[] {
    return [`${this.value}`];
  }
  dispose(): void {}
}

const operation = operationsOf('cell', 200);
export const ADD = operation({
  index: 1,
  name: 'add',
  kind: 'write',
  doc: '',
  request: { by: count },
  reply: { value: count },
});
export const GET = operation({
  index: 2,
  name: 'get',
  kind: 'read',
  doc: '',
  request: {},
  reply: { value: count },
});
export const FAIL = operation({
  index: 3,
  name: 'fail',
  kind: 'write',
  doc: '',
  request: { how: count },
  reply: {},
});

export const FILL = operation({
  index: 4,
  name: 'fill',
  kind: 'write',
  doc: '',
  request: { data: bytes(32 * 1024 * 1024) },
  reply: {},
});

/** How often a handler that changes something has run. */
export const counts = { applied: 0 };

export const CELL: Service = {
  id: 200,
  name: 'cell',
  operations: [ADD, GET, FAIL, FILL],
  createState: () => new Cell(),
  merge() {},
  handlers: {
    add(cell: Cell, { by }: { by: number }, context: OperationContext) {
      if (by === 0) return { value: cell.value };
      counts.applied++;
      cell.value += by;
      cell.changedAt = context.seq;
      context.delta().f64(cell.value);
      return { value: cell.value };
    },
    get(cell: Cell, _request: object, context: OperationContext) {
      context.dependsOn(cell.changedAt);
      return { value: cell.value };
    },
    fill(_cell: Cell, { data }: { data: Uint8Array }, context: OperationContext) {
      context.delta().f64(data.length);
      return {};
    },
    fail(_cell: Cell, { how }: { how: number }, context: OperationContext) {
      context.delta().f64(99);
      if (how === 0) throw new OverloadError('too much of it');
      throw new TypeError('a mistake');
    },
  } as Service['handlers'],
};

export type Answer =
  | { readonly kind: 'reply'; readonly value: number }
  | {
      readonly kind: 'fail';
      readonly error: ErrorName;
      readonly maybeApplied: boolean;
      readonly message: string;
    }
  | { readonly kind: 'joined'; readonly sequences: readonly number[]; readonly value: number }
  | { readonly kind: 'rest'; readonly sequences: readonly number[] }
  | { readonly kind: 'resolved'; readonly outcome: string; readonly value: number | null };

export class Sink implements ReplySink {
  readonly isFull = false;
  isOpen = true;
  readonly answers: Answer[] = [];
  readonly places: AnswerPlace[] = [];
  reply(_call: CallRef, body: Uint8Array, place?: AnswerPlace): void {
    if (place !== undefined) this.places.push(place);
    this.answers.push({ kind: 'reply', value: body.length === 0 ? 0 : new Reader(body).f64() });
  }
  fail(_call: CallRef, error: ErrorName, maybeApplied: boolean, message: string): void {
    this.answers.push({ kind: 'fail', error, maybeApplied, message });
  }
  resolved(_call: CallRef, outcome: string, body: Uint8Array): void {
    const value = body.length === 0 ? null : new Reader(body).f64();
    this.answers.push({ kind: 'resolved', outcome, value });
  }
  joined(_client: number, sequences: readonly number[], body: Uint8Array): void {
    this.answers.push({ kind: 'joined', sequences, value: new Reader(body).f64() });
  }
  rest(_client: number, sequences: readonly number[]): void {
    this.answers.push({ kind: 'rest', sequences });
  }
}

/** Backups as the test says: `committedSeq` is what they all have. */
export class Backups implements Replicator {
  readonly replies = { sizeBytes: 0 };
  readonly here = new PartitionReplica(
    0,
    new Slab(),
    new SessionWindows(this.replies),
    new DeltaLog({ sizeBytes: 0 }),
  );
  readonly stream: { seq: number; body: Uint8Array }[] = [];
  waiting: { syncBackups: number; waiter: Waiter }[] = [];
  committedSeq = Number.POSITIVE_INFINITY;
  synced = 1;
  refused: Refusal | null = null;

  refusal(): Refusal | null {
    return this.refused;
  }
  replica(): PartitionReplica {
    return this.here;
  }
  readable(): PartitionReplica | null {
    return this.held;
  }
  ageMs(): number {
    return this.ageNowMs;
  }
  /** What this member has although it is not the primary. */
  held: PartitionReplica | null = null;
  ageNowMs = Number.POSITIVE_INFINITY;
  /** The cluster has other members. */
  awaits = true;
  awaitsBackup(): boolean {
    return this.awaits;
  }
  syncedBackups(_partition: number, syncBackups: number): number {
    return Math.min(this.synced, syncBackups);
  }
  isReplicated(): boolean {
    return true;
  }
  append(replica: PartitionReplica, body: Uint8Array): void {
    this.stream.push({ seq: replica.seq, body });
  }
  committed(_partition: number, syncBackups: number): number {
    return syncBackups === 0 ? this.here.seq : Math.min(this.committedSeq, this.here.seq);
  }
  wait(_partition: number, syncBackups: number, waiter: Waiter): void {
    this.waiting.push({ syncBackups, waiter });
  }
  /** All backups have the positions up to here. */
  acknowledge(seq: number): void {
    this.committedSeq = seq;
    const due = this.waiting.filter(({ waiter }) => waiter.seq <= seq);
    this.waiting = this.waiting.filter(({ waiter }) => waiter.seq > seq);
    for (const { waiter } of due) waiter.done();
  }
}

/** Of an available structure with one sync backup. */
export const OPTIONS: StructureOptions = {
  backups: { sync: 1, async: 0 },
  minSynced: 0,
  backupTimeoutMs: 5_000,
  onBackupTimeout: 'indeterminate',
  consistency: 'PA/EC',
  mergePolicy: 'LatestUpdate',
  splitBrainProtection: '',
};

export const OPEN_GATE = { admit: () => null, admitBehind: () => null, mayAnswer: () => null };
