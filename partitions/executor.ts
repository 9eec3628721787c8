/**
 * Runs operations on primaries: admit, look the call up in its session's window, apply once and synchronously, hand
 * the change to replication, and answer as soon as what the answer shows can not be lost any more. Called by the
 * member's router; knows no structure by name.
 */
import { type Reader, Writer } from '../src/base/bytes.js';
import { errorNameOf, GridError } from '../src/base/errors.js';
import type { Header } from '../src/wire/frame.js';
import { ValueCodec } from '../src/wire/values.js';
import { appendEntry } from './append-entry.js';
import { additionOf } from './apply-entry.js';
import { behind, isLoose, notKnown, notSeen, placeOf } from './behind.js';
import {
  type Caller,
  type CallHead,
  type CallPrefix,
  type CallRef,
  type ReplySink,
  readPrefix,
} from './call.js';
import { catalogService } from './catalog/service.js';
import type { ExecutorOptions } from './executor-options.js';
import { housekeep } from './housekeep.js';
import { EMPTY_BYTES, MAX_WRITE_BYTES, READ_WAIT_MS } from './limits.js';
import { Merger } from './merge-journal/merger.js';
import { mergeJournalService } from './merge-journal/service.js';
import { isAwaited, MERGE_UNDER_WAY } from './merge-journal/state.js';
import { Context } from './operation-context.js';
import { type Bound, bindOperations } from './operations.js';
import { type Arrival, ParkedCalls } from './parked.js';
import { newCallRefusal } from './refusals.js';
import type { PartitionReplica } from './replica.js';
import type { Refusal, Replicator, Waiter } from './replicator.js';
import { isForgotten, outcomeOf } from './resolution.js';
import { isConsistent, type Service, type StructureOptions } from './service.js';
import type { Session, WindowEntry } from './sessions.js';
import { UserFunctions } from './user-functions.js';

export type { Refusal, Replicator, Waiter } from './replicator.js';

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #replicator: Replicator;
  readonly #operations: ReadonlyMap<number, Bound>;
  readonly #services = new Map<number, Service>();
  readonly #context: Context;
  readonly #replyWriter = new Writer(1024);
  readonly functions: UserFunctions;
  /** What another lineage has changed comes in through here. */
  readonly merger: Merger;
  /** Calls that wait for a structure to change. */
  readonly parked: ParkedCalls;
  /** When the earliest end comes of what operations have begun since the keeper of locks has looked, on its clock. */
  endsMs = Number.POSITIVE_INFINITY;
  /** Retries that were answered from a window instead of being applied again. */
  replayed = 0;

  constructor(services: readonly Service[], replicator: Replicator, options: ExecutorOptions) {
    this.#options = options;
    this.#replicator = replicator;
    this.functions = options.functions ?? new UserFunctions({ ...options, codec: new ValueCodec() });
    this.#context = new Context(options, this.functions);
    this.parked = new ParkedCalls(options.clock, this.execute.bind(this));
    const wake = this.parked.wakeEach.bind(this.parked);
    this.merger = new Merger(this.#services, replicator, this.#context, { ...options, wake });
    for (const service of [...services, mergeJournalService, catalogService])
      this.#services.set(service.id, service);
    this.#operations = bindOperations(this.#services.values());
  }

  service(id: number): Service | undefined {
    return this.#services.get(id);
  }

  knows(message: number): boolean {
    return this.#operations.has(message);
  }

  /** Runs the operation of a header; its answer goes to the sink now or later. `waitedMs`: it was parked for so long. */
  execute(header: Header, reader: Reader, sink: ReplySink, waitedMs = 0): void {
    const bound = this.#operations.get(header.message) as Bound;
    const { partition } = header;
    const body = reader.bytes.subarray(reader.offset, reader.end);
    const prefix = readPrefix(reader, waitedMs);
    const requestBytes = reader.remaining;
    const request = bound.operation.request.read(reader);
    reader.finish();
    const isWrite = bound.operation.kind === 'write';
    const call = { partition, client: header.client, sequence: header.sequence };
    if (this.#context.isBusy) {
      sink.fail(call, 'NotServing', false, 'calls that a function of a user makes wait until it has ended');
      return;
    }
    const options = this.#options.optionsFor(bound.service, prefix.structure, header);
    const refusal =
      this.#replicator.refusal(partition, isWrite) ??
      this.#options.gate.admit(partition, options, isWrite, header.lineage);
    if (refusal !== null) {
      const mayBeBehind = !isWrite && isLoose(prefix, options, false);
      const { lineage } = header;
      if (mayBeBehind) this.#readBehind(bound, options, prefix, request, call, { lineage, refusal }, sink);
      else sink.fail(call, refusal.error, false, refusal.message);
      if (isWrite) this.parked.remove(call);
      return;
    }
    const lost =
      prefix.atLeast === null ? null : notSeen(this.#replicator.replica(partition), prefix.atLeast);
    if (lost !== null) {
      sink.fail(call, lost.error, false, lost.message);
      return;
    }
    if (isWrite && requestBytes > MAX_WRITE_BYTES) {
      const message = `the request has ${requestBytes} bytes; the limit is ${MAX_WRITE_BYTES}`;
      sink.fail(call, 'ValueTooLarge', false, message);
      return;
    }
    if (isWrite) this.#write(bound, options, prefix, request, call, { header, body, sink });
    else this.#read(bound, options, prefix, request, call, sink);
  }

  /** A read that may be behind, at a member that is not the primary or may not speak as one now. */
  #readBehind(
    bound: Bound,
    options: StructureOptions,
    prefix: CallPrefix,
    request: unknown,
    call: CallRef,
    refused: { readonly lineage: number; readonly refusal: Refusal },
    sink: ReplySink,
  ): void {
    const found = behind(this.#replicator, this.#options.gate, options, prefix, call.partition, refused);
    if ('error' in found) {
      sink.fail(call, found.error, false, found.message);
      return;
    }
    const { replica, place } = found;
    const context = this.#context.begin(replica, options);
    context.isBehind = true;
    const reply = this.#run(bound, replica, prefix.structure, request, call, sink);
    if (reply === FAILED) return;
    const unknown = notKnown(replica, options, context);
    if (unknown !== null) {
      sink.fail(call, 'TooStale', false, unknown);
      return;
    }
    const { goodForMs } = context;
    const writer = this.#encoded(bound, reply);
    sink.reply(
      call,
      writer.buffer.subarray(0, writer.length),
      prefix.withPlace ? { ...place, goodForMs } : undefined,
    );
  }

  /** In the writer of all replies: until the next one. */
  #encoded(bound: Bound, reply: unknown): Writer {
    this.#replyWriter.reset();
    bound.operation.reply.write(this.#replyWriter, reply);
    return this.#replyWriter;
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

  #read(
    bound: Bound,
    options: StructureOptions,
    prefix: CallPrefix,
    request: unknown,
    call: CallRef,
    sink: ReplySink,
  ): void {
    const replica = this.#replicator.replica(call.partition);
    const context = this.#context.begin(replica, options);
    const reply = this.#run(bound, replica, prefix.structure, request, call, sink);
    if (reply === FAILED) return;
    const isEarly = isLoose(prefix, options, false) && !isConsistent(options);
    const mayBeTakenBack = this.#options.readsDoNotWait === true || isEarly;
    const writer = this.#encoded(bound, reply);
    const { goodForMs } = context;
    const dependency = this.#keptUp(bound, replica, prefix.structure);
    const { withPlace, atLeast } = prefix;
    const place = () => (withPlace ? placeOf(replica, dependency, atLeast, goodForMs) : undefined);
    const syncBackups = options.backups.sync;
    if (mayBeTakenBack || this.#isCommitted(replica, syncBackups, dependency)) {
      sink.reply(call, writer.buffer.subarray(0, writer.length), place());
      return;
    }
    const body = writer.toBytes();
    const tell = () => sink.reply(call, body, place());
    const what = { syncBackups, seq: dependency, isWrite: false };
    this.#whenSafe(replica, options, what, this.#briefly(), call, sink, tell);
  }

  /** Does what the read left to do; gives the position that its answer depends on. */
  #keptUp({ service }: Bound, replica: PartitionReplica, structure: string): number {
    const { dependency, upkeepKeys } = this.#context;
    if (upkeepKeys.length === 0 || this.#options.usesUntold === true) return dependency;
    if (this.#replicator.refusal(replica.id, true) !== null) return dependency;
    const removed = housekeep(this, replica, service.id, structure, (_service, state, context) =>
      service.upkeep?.(state, upkeepKeys, context),
    );
    this.#options.expired?.(removed ?? 0);
    return replica.seq;
  }

  #write(
    bound: Bound,
    options: StructureOptions,
    prefix: CallPrefix,
    request: unknown,
    call: CallRef,
    arrival: Arrival,
  ): void {
    const { sink } = arrival;
    if (this.parked.isAskedAgain(arrival)) return;
    const replica = this.#replicator.replica(call.partition);
    const syncBackups = isLoose(prefix, options, true) ? 0 : options.backups.sync;
    if (replica.sessions.isFullFor(call.client)) {
      sink.fail(call, 'Overload', false, 'the partition remembers too many client sessions');
      return;
    }
    const session = replica.sessions.open(call.client, this.#options.clock.now());
    if (this.#isRepeated(replica, session, options, prefix, call, sink)) return;
    const refusal = newCallRefusal(this.#replicator, replica, session, options, bound.hasReply);
    if (refusal !== null) {
      sink.fail(call, refusal.error, false, refusal.message);
      return;
    }
    const context = this.#context.begin(replica, options, call);
    context.calledBy(prefix, this.#options.sessionTtlMs / 2);
    const reply = this.#run(bound, replica, prefix.structure, request, call, sink);
    if (reply === FAILED) return;
    if (context.parkMs > 0) {
      if (!this.parked.park(arrival, bound.service.id, prefix.structure, context.parkMs, context.line))
        sink.fail(call, 'Overload', false, 'so many calls wait at the member that it takes no further one');
      return;
    }
    // An answer that changed nothing is kept too, as a position without a delta: a second copy of the request that
    // comes when things have changed must not change anything after all.
    const serviceId = context.changed ? bound.service.id : NO_SERVICE;
    const writer = this.#encoded(bound, reply);
    const body = writer.length === 0 ? EMPTY_BYTES : writer.toBytes();
    const addition = context.changed
      ? additionOf(bound.service, prefix.structure, context.takeDelta())
      : null;
    const entry: WindowEntry = {
      reply: body,
      seq: replica.seq + 1,
      syncBackups,
      isVoid: false,
      isConsistent: isConsistent(options),
      addition,
    };
    this.#record(replica, serviceId, prefix.structure, call, session.below, entry);
    session.add(call.sequence, entry);
    const { isCrowded } = context;
    this.endsMs = Math.min(this.endsMs, context.nowMs + context.endsInMs);
    // Calls that are run again have the context next.
    const woken = context.woken.length === 0 ? NOTHING : [...context.woken];
    if (isCrowded) this.#options.crowded?.(bound.service, prefix.structure, replica.slab);
    this.#finish(replica, options, entry, prefix.withPlace, call, sink);
    if (serviceId === NO_SERVICE) return;
    this.parked.wake(replica.id, serviceId, prefix.structure);
    for (const thing of woken) this.parked.wake(replica.id, serviceId, prefix.structure, thing);
  }

  /** Answers a call that was seen before, or that is too old to be applied; false when it is new. */
  #isRepeated(
    replica: PartitionReplica,
    session: Session,
    options: StructureOptions,
    prefix: CallPrefix,
    call: CallRef,
    sink: ReplySink,
  ): boolean {
    session.release(prefix.below);
    const entry = session.find(call.sequence);
    if (entry !== undefined) {
      this.replayed++;
      if (entry.isVoid)
        sink.fail(call, 'OperationFailed', false, 'the call was resolved as not done and is void');
      else if (isAwaited(replica, entry)) sink.fail(call, 'NotServing', true, MERGE_UNDER_WAY);
      else this.#finish(replica, options, entry, prefix.withPlace, call, sink);
      return true;
    }
    if (call.sequence < session.below || prefix.ageMs > this.#options.sessionTtlMs) {
      sink.fail(
        call,
        'Indeterminate',
        true,
        'the session of the call has ended; whether it took effect is unknown',
      );
      return true;
    }
    return false;
  }

  #run(
    bound: Bound,
    replica: PartitionReplica,
    structure: string,
    request: unknown,
    call: CallRef,
    sink: ReplySink,
  ): unknown {
    this.#context.isBusy = true;
    try {
      const found = replica.find(bound.service.id, structure);
      if (found !== undefined) return bound.handler(found, request as never, this.#context);
      // What changes nothing of a structure that is not there leaves nothing behind, here as on the backups.
      const state = replica.emptyState(bound.service, structure);
      const reply = bound.handler(state, request as never, this.#context);
      if (this.#context.changed) replica.attach(bound.service, structure, state);
      return reply;
    } catch (error) {
      // A handler decides before it changes anything, so a throw has changed nothing.
      const known = error instanceof GridError;
      if (!known)
        this.#options.logger.log('error', 'an operation threw', { operation: bound.operation.name, error });
      sink.fail(
        call,
        known ? errorNameOf(error) : 'OperationFailed',
        false,
        error instanceof Error ? error.message : String(error),
      );
      return FAILED;
    } finally {
      this.#context.isBusy = false;
    }
  }

  /** The change in the context becomes the next position of the partition. */
  #record(
    replica: PartitionReplica,
    serviceId: number,
    structure: string,
    { client, sequence }: CallRef,
    below: number,
    { reply, syncBackups, isVoid, isConsistent }: Outcome,
  ): void {
    appendEntry(this.#replicator, replica, this.#options.hlc, () => ({
      serviceId,
      structure,
      syncBackups,
      isVoid,
      isConsistent,
      client,
      sequence,
      below,
      delta: this.#context.takeDelta(),
      reply,
    }));
    const { touchedHashes } = this.#context;
    if (touchedHashes.length > 0)
      this.#options.changed?.(replica.id, serviceId, structure, replica.seq, touchedHashes);
  }

  /** Whether a position can not be lost any more; without sync backups that is so as soon as it is applied. */
  #isCommitted(replica: PartitionReplica, syncBackups: number, seq: number): boolean {
    return syncBackups === 0 || seq <= this.#replicator.committed(replica.id, syncBackups);
  }

  /** Answers a call that was applied, once that is safe. */
  #finish(
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
    const limits = {
      deadlineMs: this.#options.clock.now() + options.backupTimeoutMs,
      silenceMs: options.backupTimeoutMs,
      succeedOnTimeout: options.onBackupTimeout === 'success',
    };
    this.#whenSafe(replica, options, { syncBackups, seq, isWrite: true }, limits, call, sink, tell);
  }

  /** Tells what is at a position, or depends on it, once that can not be lost any more. */
  #whenSafe(
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
    if (this.#isCommitted(replica, syncBackups, seq)) done();
    else this.#replicator.wait(replica.id, syncBackups, { seq, isWrite, ...limits, call, sink, done });
  }

  /** Of what only has to become safe. */
  #briefly() {
    const deadlineMs = this.#options.clock.now() + READ_WAIT_MS;
    return { deadlineMs, silenceMs: 0, succeedOnTimeout: false };
  }

  /** Finds out what became of a call, and makes sure that a call which was not applied never will be. */
  resolve(call: CallRef, serviceId: number, prefix: CallHead, caller: Caller, sink: ReplySink): void {
    const service = this.#services.get(serviceId);
    if (service === undefined) {
      sink.fail(call, 'Protocol', false, `unknown structure number ${serviceId}`);
      return;
    }
    const options = this.#options.optionsFor(service, prefix.structure, caller);
    const refusal =
      this.#replicator.refusal(call.partition, true) ??
      this.#options.gate.admit(call.partition, options, true, caller.lineage);
    if (refusal !== null) {
      sink.fail(call, refusal.error, false, refusal.message);
      return;
    }
    const replica = this.#replicator.replica(call.partition);
    const syncBackups = options.backups.sync;
    if (replica.sessions.isFullFor(call.client)) {
      sink.fail(call, 'Overload', false, 'the partition remembers too many client sessions');
      return;
    }
    this.parked.remove(call);
    const nowMs = this.#options.clock.now();
    const session = replica.sessions.open(call.client, nowMs);
    let found = session.find(call.sequence);
    if (found === undefined) {
      const isTooOld = prefix.ageMs > this.#options.sessionTtlMs || isForgotten(replica, prefix.ageMs, nowMs);
      if (isTooOld || call.sequence < session.below) {
        sink.resolved(call, 'unknown', EMPTY_BYTES);
        return;
      }
      this.#context.begin(replica, options);
      found = {
        reply: EMPTY_BYTES,
        seq: replica.seq + 1,
        syncBackups,
        isVoid: true,
        isConsistent: isConsistent(options),
      };
      this.#record(replica, NO_SERVICE, prefix.structure, call, session.below, found);
      session.add(call.sequence, found);
    } else if (isAwaited(replica, found)) {
      sink.fail(call, 'NotServing', true, MERGE_UNDER_WAY);
      return;
    }
    const isInFork = this.#options.isInFork?.() === true;
    const outcome = outcomeOf(found, replica, options, prefix.ageMs, nowMs, isInFork, this.#replicator);
    if (outcome === 'later') {
      sink.fail(call, 'NotServing', false, 'no backup knows yet that the call is void');
      return;
    }
    const tell = () => sink.resolved(call, outcome, found.reply);
    const what = { syncBackups: found.syncBackups, seq: found.seq, isWrite: true };
    this.#whenSafe(replica, options, what, this.#briefly(), call, sink, tell);
  }

  /** A change that the primary makes by itself; false when `act` changed nothing. */
  own(replica: PartitionReplica, service: Service, structure: string, act: Act): boolean {
    const options = this.#options.optionsFor(service, structure);
    if (this.#options.gate.mayAnswer(replica.id, options) !== null) return false;
    const context = this.#context.begin(replica, options);
    act(context);
    if (!context.changed) return false;
    const woken = [...context.woken];
    const call = { partition: replica.id, client: 0, sequence: 0 };
    this.#record(replica, service.id, structure, call, 0, NO_CALL);
    if (!replica.detachEmpty(service.id, structure)) this.parked.wake(replica.id, service.id, structure);
    for (const thing of woken) this.parked.wake(replica.id, service.id, structure, thing);
    return true;
  }
}

const FAILED = Symbol('failed');
type Outcome = Pick<WindowEntry, 'reply' | 'syncBackups' | 'isVoid' | 'isConsistent'>;

type Act = (context: Context) => void;
const NO_CALL: Outcome = { reply: EMPTY_BYTES, syncBackups: 0, isVoid: false, isConsistent: false };
const NOTHING: readonly string[] = [];
/** In an entry that only tells of a call. */
const NO_SERVICE = 0;
