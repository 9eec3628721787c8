/**
 * Runs operations on primaries: admit, look the call up in its session's window, apply once and synchronously, hand
 * the change to replication, and answer as soon as what the answer shows can not be lost any more. Called by the
 * member's router; knows no structure by name.
 */
import { type Reader, Writer } from '../src/base/bytes.js';
import { errorNameOf, GridError, ProtocolError } from '../src/base/errors.js';
import { reasonOf } from '../src/base/reason.js';
import type { Header } from '../src/wire/frame.js';
import { ValueCodec } from '../src/wire/values.js';
import { Answers } from './answers.js';
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
import { EMPTY_BYTES, MAX_WRITE_BYTES } from './limits.js';
import { Merger } from './merge-journal/merger.js';
import { mergeJournalService } from './merge-journal/service.js';
import { isAwaited, MERGE_UNDER_WAY } from './merge-journal/state.js';
import { NeedsStore } from './needs-store.js';
import { Context } from './operation-context.js';
import { type Bound, bindOperations } from './operations.js';
import { Outside, type Planned } from './outside.js';
import { Arrival, ParkedCalls } from './parked.js';
import { Placement } from './placement.js';
import { NO_SERVICE, Positions } from './positions.js';
import { newCallRefusal } from './refusals.js';
import type { PartitionReplica } from './replica.js';
import type { Refusal, Replicator } from './replicator.js';
import { Resolver } from './resolver.js';
import { isConsistent, type Service, type StructureOptions } from './service.js';
import { isUnknown, type Session, type WindowEntry } from './sessions.js';
import { type Access, BEHIND, type StructurePlace } from './store-access.js';
import { NO_STORES } from './store-port.js';
import { UserFunctions } from './user-functions.js';

export type { Refusal, Replicator, Waiter } from './replicator.js';

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #replicator: Replicator;
  readonly #operations: ReadonlyMap<number, Bound>;
  readonly #services = new Map<number, Service>();
  readonly #context: Context;
  readonly #answers: Answers;
  /** Changes of the member itself. */
  readonly positions: Positions;
  readonly #resolver: Resolver;
  readonly #placement: Placement | null;
  readonly #replyWriter = new Writer(1024);
  readonly functions: UserFunctions;
  /** What another lineage has changed comes in through here. */
  readonly merger: Merger;
  /** Calls that wait for a structure to change. */
  readonly parked: ParkedCalls;
  /** Calls that wait for stores outside of the grid. */
  readonly outside: Outside<Doing>;
  /** When the earliest end comes of what operations have begun since the keeper of locks has looked, on its clock. */
  endsMs = Number.POSITIVE_INFINITY;
  /** Retries that were answered from a window instead of being applied again. */
  replayed = 0;

  constructor(services: readonly Service[], replicator: Replicator, options: ExecutorOptions) {
    this.#options = options;
    this.#replicator = replicator;
    this.functions = options.functions ?? new UserFunctions({ ...options, codec: new ValueCodec() });
    this.#context = new Context(options, this.functions);
    const { partitionCount } = options;
    this.#placement = partitionCount === undefined ? null : new Placement(partitionCount);
    this.#answers = new Answers(replicator, options);
    this.parked = new ParkedCalls(options.clock, this.execute.bind(this));
    this.positions = new Positions(this.#services, replicator, this.#context, this.parked, options);
    this.outside = new Outside({
      clock: options.clock,
      port: options.stores ?? NO_STORES,
      run: this.execute.bind(this),
      leads: (partition) => this.#replicator.refusal(partition, true) === null,
      amend: ({ replica, serviceId, structure }, change) =>
        this.positions.amend(replica, serviceId, structure, change),
      whenSafe: ({ replica, options: of }, call, done) => this.#answers.whenAllSafe(replica, of, call, done),
      apply: (planned) => this.#applyPlanned(planned),
      giveUp: ({ replica, serviceId, structure }, call) => this.giveUp(replica, serviceId, structure, call),
    });
    this.#resolver = new Resolver(
      {
        services: this.#services,
        replicator,
        context: this.#context,
        answers: this.#answers,
        positions: this.positions,
        parked: this.parked,
        outside: this.outside,
      },
      options,
    );
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

  /**
   * Runs the operation of a header; its answer goes to the sink now or later. `waitedMs`: it was parked for so long. Throws
   * a `ProtocolError` for a request that cannot be read, and nothing else.
   */
  execute(header: Header, reader: Reader, sink: ReplySink, waitedMs = 0): void {
    try {
      this.#execute(header, reader, sink, waitedMs);
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      this.broke(header, sink, error);
    }
  }

  /** A fault while a call was run ends the call alone; what it has done nobody knows. */
  broke(header: Header, sink: ReplySink, error: unknown): void {
    const { message, partition, client, sequence } = header;
    const operation = this.#operations.get(message)?.operation;
    this.#options.logger.log('error', 'a call ended with a fault', { operation: operation?.name, error });
    const mayBeApplied = operation?.kind !== 'read';
    sink.fail({ partition, client, sequence }, 'OperationFailed', mayBeApplied, reasonOf(error));
  }

  #execute(header: Header, reader: Reader, sink: ReplySink, waitedMs: number): void {
    const bound = this.#operations.get(header.message) as Bound;
    const { partition } = header;
    const arrival = new Arrival(header, reader, sink);
    const prefix = readPrefix(reader, waitedMs);
    const requestBytes = reader.remaining;
    const request = bound.operation.request.read(reader);
    reader.finish();
    const isWrite = bound.operation.kind === 'write';
    const call = { partition, client: header.client, sequence: header.sequence };
    if (this.#placement?.isRight(bound.service, prefix.structure, request, partition) === false) {
      sink.fail(call, 'Protocol', false, `what ${bound.operation.name} asks for is not in this partition`);
      return;
    }
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
    if (options.store !== undefined && this.outside.isAskedAgain(arrival)) return;
    if (isWrite) this.#write(bound, options, prefix, request, call, arrival);
    else this.#read(bound, options, prefix, request, call, arrival);
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
    if (options.store !== undefined) context.store = BEHIND;
    const reply = this.#run(bound, replica, prefix.structure, request, call, sink);
    if (context.needs !== null)
      sink.fail(call, 'TooStale', false, 'what is not in memory is asked of the primary');
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

  #read(
    bound: Bound,
    options: StructureOptions,
    prefix: CallPrefix,
    request: unknown,
    call: CallRef,
    arrival: Arrival,
  ): void {
    const { sink } = arrival;
    const replica = this.#replicator.replica(call.partition);
    const context = this.#context.begin(replica, options);
    const place = this.#withStore(arrival, bound, prefix.structure, replica, options);
    const reply = this.#run(bound, replica, prefix.structure, request, call, sink);
    if (context.needs !== null && place !== null) this.outside.wait(arrival, place, context.needs);
    if (reply === FAILED) return;
    const isEarly = isLoose(prefix, options, false) && !isConsistent(options);
    const mayBeTakenBack = this.#options.readsDoNotWait === true || isEarly;
    const writer = this.#encoded(bound, reply);
    const { goodForMs } = context;
    const dependency = this.#keptUp(bound, replica, prefix.structure);
    const { withPlace, atLeast } = prefix;
    const shown = () => (withPlace ? placeOf(replica, dependency, atLeast, goodForMs) : undefined);
    const syncBackups = options.backups.sync;
    if (mayBeTakenBack || this.#answers.isCommitted(replica, syncBackups, dependency)) {
      sink.reply(call, writer.buffer.subarray(0, writer.length), shown());
      return;
    }
    const body = writer.toBytes();
    const tell = () => sink.reply(call, body, shown());
    const what = { syncBackups, seq: dependency, isWrite: false };
    this.#answers.whenSafe(replica, options, what, this.#answers.briefly(), call, sink, tell);
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
    const place = this.#withStore(arrival, bound, prefix.structure, replica, options);
    const reply = this.#run(bound, replica, prefix.structure, request, call, sink);
    if (context.needs !== null && place !== null) this.outside.wait(arrival, place, context.needs);
    if (reply === FAILED) return;
    if (context.parkMs > 0) {
      if (!this.parked.park(arrival, bound.service.id, prefix.structure, context.parkMs, context.line))
        sink.fail(call, 'Overload', false, 'so many calls wait at the member that it takes no further one');
      return;
    }
    const writer = this.#encoded(bound, reply);
    const body = writer.length === 0 ? EMPTY_BYTES : writer.toBytes();
    const doing = { service: bound.service, options, prefix, call, syncBackups, body };
    const plan = place === null ? null : (context.store as Access).planned;
    if (plan === null || place === null) this.#keep(replica, session, doing, sink);
    else this.outside.carryOut({ arrival, doing, plan }, place);
  }

  /** The operation in the context was run for a call: it becomes a position, and is answered. */
  #keep(
    replica: PartitionReplica,
    session: Session,
    { service, options, prefix, call, syncBackups, body }: Doing,
    sink: ReplySink,
  ): void {
    const context = this.#context;
    // An answer that changed nothing is kept too, as a position without a delta: a second copy of the request that
    // comes when things have changed must not change anything after all.
    const serviceId = context.changed ? service.id : NO_SERVICE;
    const addition = context.changed ? additionOf(service, prefix.structure, context.takeDelta()) : null;
    const entry: WindowEntry = {
      reply: body,
      seq: replica.seq + 1,
      syncBackups,
      isVoid: false,
      isConsistent: isConsistent(options),
      addition,
    };
    this.positions.record(replica, serviceId, prefix.structure, call, session.below, entry);
    session.add(call.sequence, entry);
    const { isCrowded } = context;
    this.endsMs = Math.min(this.endsMs, context.nowMs + context.endsInMs);
    // Calls that are run again have the context next.
    const woken = context.woken.length === 0 ? NOTHING : [...context.woken];
    if (isCrowded) this.#options.crowded?.(service, prefix.structure, replica.slab);
    this.#answers.finish(replica, options, entry, prefix.withPlace, call, sink);
    if (serviceId === NO_SERVICE) return;
    this.parked.wake(replica.id, serviceId, prefix.structure);
    for (const thing of woken) this.parked.wake(replica.id, serviceId, prefix.structure, thing);
  }

  /** The operation sees its store, if its structure has one. */
  #withStore(
    arrival: Arrival,
    { service, operation }: Bound,
    structure: string,
    replica: PartitionReplica,
    options: StructureOptions,
  ): StructurePlace | null {
    if (options.store === undefined) return null;
    const place = { replica, serviceId: service.id, structure, options };
    this.#context.store = this.outside.access(arrival, place, operation.kind === 'write');
    return place;
  }

  /** The store has what a call changes: now it is made. */
  #applyPlanned({ arrival, doing, plan }: Planned<Doing>): void {
    const { header, sink } = arrival;
    const { service, prefix, call } = doing;
    const options = this.#options.optionsFor(service, prefix.structure, header);
    const refusal =
      this.#replicator.refusal(call.partition, true) ??
      this.#options.gate.admit(call.partition, options, true, header.lineage);
    if (refusal !== null) {
      sink.fail(call, refusal.error, true, refusal.message);
      return;
    }
    const replica = this.#replicator.replica(call.partition);
    const session = replica.sessions.open(call.client, this.#options.clock.now());
    if (this.#isRepeated(replica, session, options, prefix, call, sink)) return;
    const context = this.#context.begin(replica, options);
    plan.apply(replica.state(service, prefix.structure), context);
    this.#keep(replica, session, doing, sink);
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
      if (isUnknown(entry)) sink.fail(call, 'Indeterminate', true, UNSETTLED);
      else if (entry.isVoid)
        sink.fail(call, 'OperationFailed', false, 'the call was resolved as not done and is void');
      else if (isAwaited(replica, entry)) sink.fail(call, 'NotServing', true, MERGE_UNDER_WAY);
      else this.#answers.finish(replica, options, entry, prefix.withPlace, call, sink);
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
      if (error instanceof NeedsStore) {
        this.#context.needs = error;
        return FAILED;
      }
      // A handler decides before it changes anything, so a throw has changed nothing.
      const known = error instanceof GridError;
      if (!known)
        this.#options.logger.log('error', 'an operation threw', { operation: bound.operation.name, error });
      sink.fail(call, known ? errorNameOf(error) : 'OperationFailed', false, reasonOf(error));
      return FAILED;
    } finally {
      this.#context.isBusy = false;
    }
  }

  /** See `Resolver.resolve`. */
  resolve(call: CallRef, serviceId: number, prefix: CallHead, caller: Caller, sink: ReplySink): void {
    this.#resolver.resolve(call, serviceId, prefix, caller, sink);
  }

  /** See `Resolver.giveUp`. */
  giveUp(...call: Parameters<Resolver['giveUp']>): void {
    this.#resolver.giveUp(...call);
  }

  /** See `Positions.own`. */
  own(...change: Parameters<Positions['own']>): boolean {
    return this.positions.own(...change);
  }

  /** This member is no primary of the partition any more. */
  released(partition: number, message: string): void {
    this.parked.release(partition, message);
    this.outside.release(partition, message);
  }
}

/** A call whose operation was run. */
interface Doing {
  readonly service: Service;
  readonly options: StructureOptions;
  readonly prefix: CallPrefix;
  readonly call: CallRef;
  readonly syncBackups: number;
  readonly body: Uint8Array;
}

const UNSETTLED = 'the store of the structure may have the write, and the structure does not';
const FAILED = Symbol('failed');
const NOTHING: readonly string[] = [];
