/**
 * The primary that takes in what another history has changed: one merge at a time in each partition, its steps in
 * order, each acknowledged when the backups have it. Invariant: nothing is kept here that a new primary would need;
 * it answers a step of a merge that it does not know with `known: false`, and the journal tells how far that got.
 * Called by `leftovers.ts`.
 */

import { lineageOf } from '../partitions/history.js';
import type { MergeSource } from '../partitions/merge-journal/merger.js';
import type { PartitionReplica } from '../partitions/replica.js';
import { ProtocolError } from '../src/base/errors.js';
import { hasMember, lineageTag, type MemberId } from '../src/cluster/view.js';
import type { BodyOf, MessageDef } from '../src/wire/message.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';
import * as messages from './merge-messages.js';

/** A merge whose source is silent for this long holds up no other one. */
const SILENCE_MS = 3_000;
/** Steps whose answers are kept for a source that repeats them; it has fewer on the way. */
const KEPT_STEPS = 16;
const MAX_LOGGED = 256;

interface Step {
  readonly seq: number;
  readonly skipped: readonly number[];
}

interface Active {
  readonly from: MemberId;
  readonly merge: number;
  readonly source: MergeSource;
  /** Of the owner: a new one may lack what was not safe. */
  readonly epoch: number;
  readonly steps: Map<number, Step>;
  nextIndex: number;
  heardMs: number;
}

export type SendStep = <T>(to: MemberId, def: MessageDef<T>, partition: number, body: T) => void;

export class MergeTarget {
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #send: SendStep;
  readonly #active = new Map<number, Active>();
  /** Of steps that could not be taken: they come again, and are not told of again. */
  readonly #logged = new Set<string>();

  constructor(host: ReplicationHost, counters: ReplicationCounters, send: SendStep) {
    this.#host = host;
    this.#counters = counters;
    this.#send = send;
  }

  onBegin(from: MemberId, partition: number, body: BodyOf<typeof messages.mergeBegin>): void {
    const { view } = this.#host;
    const replica = this.#host.executor().merger.primary(partition);
    if (replica === null || view === null) return;
    const source: MergeSource = {
      reportId: body.reportId,
      seq: body.seq,
      history: body.history,
      from: lineageOf(body.history),
      to: lineageTag(view.lineage),
      standing: [],
      repeated: [],
    };
    const { state, fromSeq, at } = this.#host.executor().merger.start(replica, source);
    const answer = (what: typeof state) => {
      const { service, name, cursor } = at;
      const { merge } = body;
      this.#send(from, messages.mergeBegun, partition, {
        merge,
        state: what,
        fromSeq,
        service,
        name,
        cursor,
      });
    };
    if (state !== 'go' || this.#isBusy(partition, replica, from)) {
      answer(state === 'go' ? 'wait' : state);
      return;
    }
    const active = this.#active.get(partition);
    const nowMs = this.#host.clock.now();
    // The same beginning may come again, late, when steps were taken already: they stay taken.
    if (active?.from !== from || active.merge !== body.merge || active.epoch !== replica.epoch) {
      const { merge } = body;
      const { epoch } = replica;
      const steps = new Map<number, Step>();
      this.#active.set(partition, { from, merge, source, epoch, steps, nextIndex: 1, heardMs: nowMs });
    } else active.heardMs = nowMs;
    answer('go');
  }

  #isBusy(partition: number, { epoch }: PartitionReplica, from: MemberId): boolean {
    const active = this.#active.get(partition);
    const { view, clock } = this.#host;
    if (active === undefined || active.from === from || active.epoch !== epoch) return false;
    return view !== null && hasMember(view, active.from) && clock.now() - active.heardMs < SILENCE_MS;
  }

  onCalls(from: MemberId, partition: number, body: BodyOf<typeof messages.mergeCalls>): void {
    this.#step(from, partition, body, (replica, { source }) => {
      return this.#host.executor().merger.announce(replica, source, body.calls);
    });
  }

  onBatch(from: MemberId, partition: number, body: BodyOf<typeof messages.mergeBatch>): void {
    const { service, structure, records, nextService, nextName, nextCursor } = body;
    this.#step(from, partition, body, (replica, { source }) => {
      const { merger } = this.#host.executor();
      const next = { service: nextService, name: nextName, cursor: nextCursor };
      merger.take(replica, source, { service, structure, records, next });
      this.#counters.mergeBatches++;
      this.#counters.mergedEntries = merger.totals.merged;
      this.#counters.mergeDiscarded = merger.totals.discarded;
      this.#counters.mergeFailed = merger.totals.failed;
      return [];
    });
  }

  onEnd(from: MemberId, partition: number, body: BodyOf<typeof messages.mergeEnd>): void {
    this.#step(from, partition, body, (replica, { source }) => {
      this.#host.executor().merger.end(replica, source);
      return [];
    });
  }

  /** Takes a step if it is the next one; answers when it is safe. */
  #step(
    from: MemberId,
    partition: number,
    { merge, index }: { readonly merge: number; readonly index: number },
    take: (replica: PartitionReplica, active: Active) => readonly number[],
  ): void {
    const replica = this.#host.executor().merger.primary(partition);
    if (replica === null) return;
    const active = this.#active.get(partition);
    if (active?.from !== from || active.merge !== merge || active.epoch !== replica.epoch) {
      this.#send(from, messages.mergeAck, partition, { merge, index, known: false, skipped: [] });
      return;
    }
    active.heardMs = this.#host.clock.now();
    // Steps behind a lost one come again.
    if (index > active.nextIndex) return;
    if (index === active.nextIndex) {
      const skipped = this.#take(replica, active, take);
      if (skipped === null) {
        this.#active.delete(partition);
        this.#send(from, messages.mergeAck, partition, { merge, index, known: false, skipped: [] });
        return;
      }
      active.steps.set(index, { seq: replica.seq, skipped });
      active.steps.delete(index - KEPT_STEPS);
      active.nextIndex++;
    }
    const step = active.steps.get(index);
    if (step === undefined) return;
    this.#host.executor().merger.whenSafe(replica, step.seq, () => {
      const { skipped } = step;
      this.#send(from, messages.mergeAck, partition, { merge, index, known: true, skipped });
    });
  }

  /** Null for what this member cannot take: the source keeps it, and asks again. */
  #take(
    replica: PartitionReplica,
    active: Active,
    take: (replica: PartitionReplica, active: Active) => readonly number[],
  ): readonly number[] | null {
    try {
      return take(replica, active);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      const what = { partition: replica.id, from: active.from, error: error.message };
      const text = JSON.stringify(what);
      if (this.#logged.has(text)) return null;
      if (this.#logged.size === MAX_LOGGED) this.#logged.clear();
      this.#logged.add(text);
      this.#host.logger.log('error', 'a step of a merge cannot be taken', what);
      return null;
    }
  }

  /** Forgets merges whose sources are silent. */
  tick(nowMs: number): void {
    for (const [partition, { heardMs }] of this.#active)
      if (nowMs - heardMs > 4 * SILENCE_MS) this.#active.delete(partition);
  }
}
