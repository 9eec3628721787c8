/**
 * When an answer may be told: once what it shows can not be lost any more, and if the member still may speak then. Owned by
 * the executor.
 */
import { placeOf } from './behind.js';
import { type CallRef, type ReplySink, TO_NOBODY } from './call.js';
import type { ExecutorOptions } from './executor-options.js';
import { READ_WAIT_MS } from './limits.js';
import type { PartitionReplica } from './replica.js';
import type { Replicator, Waiter } from './replicator.js';
import type { StructureOptions } from './service.js';
import type { WindowEntry } from './sessions.js';

export class Answers {
  readonly #options: ExecutorOptions;
  readonly #replicator: Replicator;

  constructor(replicator: Replicator, options: ExecutorOptions) {
    this.#options = options;
    this.#replicator = replicator;
  }

  /** What was found may be told unless the member has lost its right to speak since the call was admitted. */
  #release(
    call: CallRef,
    options: StructureOptions,
    isWrite: boolean,
    sink: ReplySink,
    tell: () => void,
  ): void {
    const closed = this.#options.gate.mayAnswer(call.partition, options);
    if (closed === null) tell();
    else sink.fail(call, closed.error, isWrite, closed.message);
  }

  /** Whether a position can not be lost any more; without sync backups that is so as soon as it is applied. */
  isCommitted(replica: PartitionReplica, syncBackups: number, seq: number): boolean {
    return syncBackups === 0 || seq <= this.#replicator.committed(replica.id, syncBackups);
  }

  /** Answers a call that was applied, once that is safe. */
  finish(
    replica: PartitionReplica,
    options: StructureOptions,
    { seq, syncBackups, reply, origin }: WindowEntry,
    withPlace: boolean,
    call: CallRef,
    sink: ReplySink,
  ): void {
    // What came by a merge was announced at its position, and is there somewhat later.
    const at = origin === undefined ? seq : replica.seq;
    const tell = () => sink.reply(call, reply, withPlace ? placeOf(replica, at) : undefined);
    const what = { syncBackups, seq, isWrite: true };
    this.whenSafe(replica, options, what, this.#patiently(options), call, sink, tell);
  }

  /** Tells what is at a position, or depends on it, once that can not be lost any more. */
  whenSafe(
    replica: PartitionReplica,
    options: StructureOptions,
    what: { readonly syncBackups: number; readonly seq: number; readonly isWrite: boolean },
    limits: Pick<Waiter, 'deadlineMs' | 'silenceMs' | 'succeedOnTimeout'>,
    call: CallRef,
    sink: ReplySink,
    tell: () => void,
  ): void {
    const { syncBackups, seq, isWrite } = what;
    const done = () => this.#release(call, options, isWrite, sink, tell);
    if (this.isCommitted(replica, syncBackups, seq)) done();
    else this.#replicator.wait(replica.id, syncBackups, { seq, isWrite, ...limits, call, sink, done });
  }

  /** Calls `done` with whether all that the replica has can not be lost any more, as a write waits for that. */
  whenAllSafe(
    replica: PartitionReplica,
    options: StructureOptions,
    call: CallRef,
    done: (isSafe: boolean) => void,
  ): void {
    const sink: ReplySink = { ...TO_NOBODY, fail: () => done(false) };
    const what = { syncBackups: options.backups.sync, seq: replica.seq, isWrite: true };
    this.whenSafe(replica, options, what, this.#patiently(options), call, sink, () => done(true));
  }

  /** Of a write. */
  #patiently(options: StructureOptions) {
    return {
      deadlineMs: this.#options.clock.now() + options.backupTimeoutMs,
      silenceMs: options.backupTimeoutMs,
      succeedOnTimeout: options.onBackupTimeout === 'success',
    };
  }

  /** Of what only has to become safe. */
  briefly() {
    const deadlineMs = this.#options.clock.now() + READ_WAIT_MS;
    return { deadlineMs, silenceMs: 0, succeedOnTimeout: false };
  }
}
