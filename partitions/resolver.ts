/** What became of a call, for those who have no answer to it. Owned by the executor. */
import type { Answers } from './answers.js';
import type { Caller, CallHead, CallRef, ReplySink } from './call.js';
import type { ExecutorOptions } from './executor-options.js';
import { EMPTY_BYTES } from './limits.js';
import { isAwaited, MERGE_UNDER_WAY } from './merge-journal/state.js';
import type { Context } from './operation-context.js';
import { NO_SERVICE, type Positions } from './positions.js';
import type { PartitionReplica } from './replica.js';
import type { Replicator } from './replicator.js';
import { isForgotten, outcomeOf } from './resolution.js';
import { type CallId, isConsistent, type Service } from './service.js';
import { UNKNOWN_OUTCOME, type WindowEntry } from './sessions.js';

/** What it needs of the executor. */
export interface ResolverParts {
  readonly services: ReadonlyMap<number, Service>;
  readonly replicator: Replicator;
  readonly context: Context;
  readonly answers: Answers;
  readonly positions: Positions;
  readonly parked: { remove(call: CallRef): void };
  readonly outside: { isStoring(call: CallRef): boolean };
}

export class Resolver {
  readonly #parts: ResolverParts;
  readonly #options: ExecutorOptions;

  constructor(parts: ResolverParts, options: ExecutorOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Finds out what became of a call, and makes sure that a call which was not applied never will be. */
  resolve(call: CallRef, serviceId: number, prefix: CallHead, caller: Caller, sink: ReplySink): void {
    const { services, replicator, context, answers, positions, parked, outside } = this.#parts;
    const service = services.get(serviceId);
    if (service === undefined) {
      sink.fail(call, 'Protocol', false, `unknown structure number ${serviceId}`);
      return;
    }
    const options = this.#options.optionsFor(service, prefix.structure, caller);
    const refusal =
      replicator.refusal(call.partition, true) ??
      this.#options.gate.admit(call.partition, options, true, caller.lineage);
    if (refusal !== null) {
      sink.fail(call, refusal.error, false, refusal.message);
      return;
    }
    const replica = replicator.replica(call.partition);
    const syncBackups = options.backups.sync;
    if (replica.sessions.isFullFor(call.client)) {
      sink.fail(call, 'Overload', false, 'the partition remembers too many client sessions');
      return;
    }
    parked.remove(call);
    const state = replica.find(serviceId, prefix.structure);
    if (outside.isStoring(call) || (state !== undefined && service.isUnsettled?.(state as never, call))) {
      sink.fail(call, 'NotServing', false, 'the store of the structure was told of the call just now');
      return;
    }
    const nowMs = this.#options.clock.now();
    const session = replica.sessions.open(call.client, nowMs);
    let found = session.find(call.sequence);
    if (found === undefined) {
      const isTooOld = prefix.ageMs > this.#options.sessionTtlMs || isForgotten(replica, prefix.ageMs, nowMs);
      if (isTooOld || call.sequence < session.below) {
        sink.resolved(call, 'unknown', EMPTY_BYTES);
        return;
      }
      context.begin(replica, options);
      found = {
        reply: EMPTY_BYTES,
        seq: replica.seq + 1,
        syncBackups,
        isVoid: true,
        isConsistent: isConsistent(options),
      };
      positions.record(replica, NO_SERVICE, prefix.structure, call, session.below, found);
      session.add(call.sequence, found);
    } else if (isAwaited(replica, found)) {
      sink.fail(call, 'NotServing', true, MERGE_UNDER_WAY);
      return;
    }
    const isInFork = this.#options.isInFork?.() === true;
    const outcome = outcomeOf(found, replica, options, prefix.ageMs, nowMs, isInFork, replicator);
    if (outcome === 'later') {
      sink.fail(call, 'NotServing', false, 'no backup knows yet that the call is void');
      return;
    }
    const tell = () => sink.resolved(call, outcome, found.isVoid ? EMPTY_BYTES : found.reply);
    const what = { syncBackups: found.syncBackups, seq: found.seq, isWrite: true };
    answers.whenSafe(replica, options, what, answers.briefly(), call, sink, tell);
  }

  /** Whoever asks is told that nobody knows what became of the call, and it is never applied again. */
  giveUp(replica: PartitionReplica, serviceId: number, structure: string, call: CallId): void {
    const { services, context, positions } = this.#parts;
    const options = this.#options.optionsFor(services.get(serviceId) as Service, structure);
    if (this.#options.gate.mayAnswer(replica.id, options) !== null) return;
    // Also beyond the bounds of windows: there are no more of these than stores may be told of at a time.
    const session = replica.sessions.open(call.client, this.#options.clock.now());
    if (call.sequence < session.below || session.find(call.sequence) !== undefined) return;
    context.begin(replica, options);
    const entry: WindowEntry = {
      reply: UNKNOWN_OUTCOME,
      seq: replica.seq + 1,
      syncBackups: options.backups.sync,
      isVoid: true,
      isConsistent: isConsistent(options),
    };
    positions.record(replica, NO_SERVICE, structure, call, session.below, entry);
    session.add(call.sequence, entry);
  }
}
