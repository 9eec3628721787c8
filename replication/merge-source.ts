/**
 * One attempt to bring the contents of a replica that is out of use to the primary of its partition: asks what is
 * shared, announces calls, sends changed records in batches and ends when the primary has confirmed all. An attempt
 * that meets another primary, or none that knows it, is thrown away and a new one begun. Called by `leftovers.ts`.
 */
import { decodeEntry } from '../partitions/entry-body.js';
import type { Place } from '../partitions/history.js';
import { EMPTY_BYTES } from '../partitions/limits.js';
import { type MergedCall, originOf, writeMergedCall } from '../partitions/merge-journal/merged-calls.js';
import { isAwaited } from '../partitions/merge-journal/state.js';
import type { Addition, ReleasedAddition } from '../partitions/released-calls.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { ServiceState } from '../partitions/service.js';
import type { WindowEntry } from '../partitions/sessions.js';
import { Writer } from '../src/base/bytes.js';
import type { MemberId } from '../src/cluster/view.js';
import type { BodyOf, MessageDef } from '../src/wire/message.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';
import * as messages from './merge-messages.js';
import type { SendStep } from './merge-target.js';

/** Bytes of merges that one member may have on the way at a time. */
export const MAX_MERGE_BYTES = 4 * 1024 * 1024;
const BATCH_BYTES = 128 * 1024;
const MAX_STEPS = 4;
const RESEND_AFTER_MS = 400;
const MAX_RESEND_AFTER_MS = 3_200;
/** A step with a large value gets longer: this many bytes a millisecond at the least. */
const SLOWEST_BYTES_PER_MS = 16 * 1024;
const CALL_BYTES = 64;
/** Then another replica gets its turn. */
const MAX_ASKED = 4;
/** Calls of one page: their positions fit into one answer. */
const PAGE_CALLS = 2_000;

/** Entries of the log that are looked at for calls which their clients have released. */
const MAX_LOGGED = 16_384;

/** Shared by all merges of a member. */
export interface MergeBudget {
  inFlightBytes: number;
}

interface Step {
  readonly index: number;
  readonly sizeBytes: number;
  readonly send: () => void;
  sentMs: number;
  resendAfterMs: number;
}

interface Part {
  readonly serviceId: number;
  readonly name: string;
  readonly state: ServiceState;
}

interface CallItem {
  readonly client: number;
  readonly sequence: number;
  readonly entry: WindowEntry;
  readonly released: boolean;
}

const scratch = new Writer(64 * 1024);

export class MergeAttempt {
  readonly replica: PartitionReplica;
  readonly merge: number;
  readonly to: MemberId;
  readonly #reportId: string;
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #budget: MergeBudget;
  readonly #sendStep: SendStep;
  readonly #steps = new Map<number, Step>();
  readonly #skipped = new Set<number>();
  #phase: 'asking' | 'calls' | 'records' | 'ending' = 'asking';
  #askedMs = Number.NEGATIVE_INFINITY;
  #asked = 0;
  #fromSeq = 0;
  #calls: CallItem[] = [];
  #parts: Part[] = [];
  #cursor = 0;
  #nextIndex = 1;
  /** Of announced calls that were applied here, by position. */
  readonly #additions = new Map<number, Addition>();
  #deltas: Map<string, Map<number, Uint8Array>> | null = null;
  /** Calls to be left out that the log does not have any more: what they changed is not known. */
  readonly #unlogged = new Map<number, Uint8Array>();
  sentBytes = 0;
  /** The owner did not take a step. */
  wasRefused = false;
  state: 'under way' | 'done' | 'over' = 'under way';

  constructor(
    replica: PartitionReplica,
    to: MemberId,
    merge: number,
    reportId: string,
    host: ReplicationHost,
    counters: ReplicationCounters,
    budget: MergeBudget,
    sendStep: SendStep,
  ) {
    this.replica = replica;
    this.to = to;
    this.merge = merge;
    this.#reportId = reportId;
    this.#host = host;
    this.#counters = counters;
    this.#budget = budget;
    this.#sendStep = sendStep;
  }

  #send<T>(def: MessageDef<T>, body: T): void {
    this.#sendStep(this.to, def, this.replica.id, body);
  }

  /** Asks, sends what the budget allows, and again what was not confirmed. */
  pump(nowMs: number): void {
    if (this.state !== 'under way') return;
    if (this.#phase === 'asking') {
      if (nowMs - this.#askedMs < RESEND_AFTER_MS) return;
      if (this.#asked++ === MAX_ASKED) {
        this.cancel();
        return;
      }
      this.#askedMs = nowMs;
      const { seq, history } = this.replica;
      this.#send(messages.mergeBegin, { merge: this.merge, reportId: this.#reportId, seq, history });
      return;
    }
    for (const step of this.#steps.values()) {
      if (nowMs - step.sentMs < step.resendAfterMs + step.sizeBytes / SLOWEST_BYTES_PER_MS) continue;
      if (this.#host.queuedBytes(this.to) > MAX_MERGE_BYTES) continue;
      step.sentMs = nowMs;
      step.resendAfterMs = Math.min(MAX_RESEND_AFTER_MS, 2 * step.resendAfterMs);
      step.send();
    }
    while (this.#hasRoom() && this.#next(nowMs)) {}
  }

  #hasRoom(): boolean {
    return this.#steps.size < MAX_STEPS && this.#budget.inFlightBytes + BATCH_BYTES <= MAX_MERGE_BYTES;
  }

  onBegun(body: BodyOf<typeof messages.mergeBegun>, nowMs: number): void {
    if (this.#phase !== 'asking' || this.state !== 'under way') return;
    if (body.state !== 'go') {
      this.state = body.state === 'done' ? 'done' : 'over';
      return;
    }
    const { replica } = this;
    this.#fromSeq = body.fromSeq;
    this.#phase = 'calls';
    // The owner must not learn of a call as done that was never answered and is not merged.
    this.#calls = callsBeyond(replica, body.fromSeq).filter(({ entry }) => !entry.isConsistent);
    for (const { entry } of this.#calls)
      if (entry.addition && entry.origin === undefined) this.#additions.set(entry.seq, entry.addition);
    this.#parts = replica
      .structures()
      .filter(({ serviceId, name }) => !isBefore(serviceId, name, body.service, body.name));
    const first = this.#parts[0];
    if (first !== undefined && first.serviceId === body.service && first.name === body.name)
      this.#cursor = body.cursor;
    this.pump(nowMs);
  }

  onAck({ index, known, skipped }: BodyOf<typeof messages.mergeAck>, nowMs: number): void {
    if (this.state !== 'under way') return;
    if (!known) {
      this.wasRefused = true;
      this.cancel();
      return;
    }
    const step = this.#steps.get(index);
    if (step === undefined) return;
    this.#steps.delete(index);
    this.#budget.inFlightBytes -= step.sizeBytes;
    this.sentBytes += step.sizeBytes;
    for (const seq of skipped) this.#skipped.add(seq);
    if (this.#phase === 'ending' && this.#steps.size === 0) this.state = 'done';
    else this.pump(nowMs);
  }

  /** Sends the next step; false when there is none to be sent now. */
  #next(nowMs: number): boolean {
    if (this.#phase === 'calls') {
      if (this.#calls.length > 0) {
        this.#sendCalls(nowMs);
        return true;
      }
      // What is sent of records depends on the answers to all calls.
      if (this.#steps.size > 0) return false;
      this.#phase = 'records';
    }
    if (this.#phase === 'records') return this.#sendRecords(nowMs);
    return false;
  }

  #sendCalls(nowMs: number): void {
    scratch.reset();
    let pageCalls = 0;
    while (this.#calls.length > 0 && pageCalls < PAGE_CALLS && scratch.length < BATCH_BYTES) {
      const { client, sequence, entry, released } = this.#calls.pop() as CallItem;
      const { syncBackups, isVoid } = entry;
      const origin = originOf(entry, this.replica.history);
      const answered = mayHaveAnswered(this.replica, origin, syncBackups);
      const { addition, reply } = this.#toldOf(entry);
      const what = { isVoid, answered, released, addition, reply };
      writeMergedCall(scratch, { client, sequence, origin, syncBackups, ...what });
      pageCalls++;
    }
    const { merge } = this;
    const calls = scratch.toBytes();
    this.#emit(calls.length + pageCalls * CALL_BYTES, nowMs, (index) =>
      this.#send(messages.mergeCalls, { merge, index, calls }),
    );
  }

  /** By what a third side can tell what the call did, should this merge bring it there; and its reply there. */
  #toldOf({ seq, origin, addition = null, reply }: WindowEntry): Pick<MergedCall, 'addition' | 'reply'> {
    const body = addition === null && origin === undefined ? this.replica.bodyAt(seq) : undefined;
    if (body === undefined) return { addition, reply };
    const { serviceId, structure, delta } = decodeEntry(body);
    const service = delta.length === 0 ? undefined : this.#host.executor().service(serviceId);
    const trace = service?.traceOf?.(delta) ?? null;
    return {
      addition: trace === null ? null : { serviceId, structure, delta: trace },
      reply: service?.replyElsewhere?.(delta, reply) ?? reply,
    };
  }

  #sendRecords(nowMs: number): boolean {
    for (let part = this.#parts[0]; part !== undefined; part = this.#parts[0]) {
      scratch.reset();
      const { serviceId: service, name: structure, state } = part;
      const since = { sharedSeq: this.#fromSeq, skipped: this.#skippedOf(service, structure) };
      const next = state.changes(this.#cursor, since, BATCH_BYTES, scratch);
      if (next < 0) this.#parts.shift();
      this.#cursor = Math.max(0, next);
      if (scratch.length === 0) continue;
      const records = scratch.toBytes();
      const { merge } = this;
      const { serviceId: nextService = 255, name: nextName = '' } = this.#parts[0] ?? {};
      const nextCursor = this.#cursor;
      const body = { merge, service, structure, records, nextService, nextName, nextCursor };
      this.#emit(records.length, nowMs, (index) => this.#send(messages.mergeBatch, { ...body, index }));
      return true;
    }
    this.#phase = 'ending';
    const { merge } = this;
    this.#emit(0, nowMs, (index) => this.#send(messages.mergeEnd, { merge, index }));
    return false;
  }

  #emit(sizeBytes: number, nowMs: number, send: (index: number) => void): void {
    const index = this.#nextIndex++;
    const step = {
      index,
      sizeBytes,
      send: () => send(index),
      sentMs: nowMs,
      resendAfterMs: RESEND_AFTER_MS,
    };
    this.#steps.set(index, step);
    this.#budget.inFlightBytes += sizeBytes;
    this.#counters.mergeBytesSent += sizeBytes;
    step.send();
  }

  /** Deltas of the calls that the owner has applied itself; empty ones for what the log does not have any more. */
  #skippedOf(service: number, structure: string): ReadonlyMap<number, Uint8Array> {
    this.#deltas ??= this.#readDeltas();
    return this.#deltas.get(`${service}/${structure}`) ?? this.#unlogged;
  }

  #readDeltas(): Map<string, Map<number, Uint8Array>> {
    const found = new Map<string, Map<number, Uint8Array>>();
    for (const seq of this.#skipped) {
      const body = this.replica.bodyAt(seq);
      const call = body === undefined ? this.#additions.get(seq) : decodeEntry(body);
      if (call === undefined) {
        this.#unlogged.set(seq, EMPTY_BYTES);
        continue;
      }
      const { serviceId, structure, delta } = call;
      const key = `${serviceId}/${structure}`;
      const deltas = found.get(key) ?? new Map<number, Uint8Array>();
      found.set(key, deltas.set(seq, delta));
    }
    for (const deltas of found.values())
      for (const [seq, nothing] of this.#unlogged) deltas.set(seq, nothing);
    return found;
  }

  /** Throws the attempt away, and gives back what it holds of the budget. */
  cancel(): void {
    for (const { sizeBytes } of this.#steps.values()) this.#budget.inFlightBytes -= sizeBytes;
    this.#steps.clear();
    if (this.state === 'under way') this.state = 'over';
  }
}

/** Order in which structures are merged: the journal is the last one. */
function isBefore(service: number, name: string, otherService: number, otherName: string): boolean {
  return service < otherService || (service === otherService && name < otherName);
}

/** Calls beyond a position, to be taken from the end. */
function callsBeyond(replica: PartitionReplica, seq: number): CallItem[] {
  const calls: CallItem[] = [];
  for (const client of replica.sessions.clients()) {
    for (const [sequence, entry] of replica.sessions.find(client)?.calls ?? []) {
      // What waits for a merge that has not ended comes from its own source.
      if (entry.seq > seq && !isAwaited(replica, entry))
        calls.push({ client, sequence, entry, released: false });
    }
  }
  calls.push(...releasedBeyond(replica, seq));
  return calls.sort((a, b) => b.entry.seq - a.entry.seq);
}

/** Of what other primaries have applied this member cannot say that it was not answered. */
function mayHaveAnswered(replica: PartitionReplica, origin: Place, syncBackups: number): boolean {
  const last = replica.answered.get(origin.lineage);
  return last?.epoch !== origin.epoch || origin.seq <= (last.upTo[syncBackups] ?? origin.seq);
}

/**
 * Calls that their clients have released since, because the owner answered them: known from log and tail, and those
 * that added to something also by themselves.
 */
function releasedBeyond(replica: PartitionReplica, seq: number): CallItem[] {
  const bodies = new Map(replica.tail);
  for (
    let at = Math.max(seq + 1, replica.log.firstSeq), left = MAX_LOGGED;
    at <= replica.seq && left > 0;
    at++, left--
  ) {
    const logged = replica.log.at(at);
    if (logged !== undefined) bodies.set(at, logged.body);
  }
  const calls: CallItem[] = [];
  for (const [at, body] of bodies) {
    if (at <= seq || at > replica.seq) continue;
    const { client, sequence, syncBackups, isVoid, isConsistent } = decodeEntry(body);
    if (client === 0 || replica.sessions.find(client)?.find(sequence) !== undefined) continue;
    const entry = { reply: EMPTY_BYTES, seq: at, syncBackups, isVoid, isConsistent };
    calls.push({ client, sequence, entry, released: true });
  }
  const isBeyond = (call: ReleasedAddition) => call.seq > seq && call.seq <= replica.seq;
  const { released, elsewhere } = replica.sessions;
  for (const call of released.additions())
    if (isBeyond(call) && !bodies.has(call.seq)) calls.push(releasedItem(call));
  for (const { origin, ...call } of elsewhere.all()) {
    const item = releasedItem(call, { origin });
    if (isBeyond(call) && !isAwaited(replica, item.entry)) calls.push(item);
  }
  return calls;
}

/** `more`: where it was applied, when that was not here. */
function releasedItem(
  { client, sequence, seq, syncBackups, addition }: ReleasedAddition,
  more: Pick<WindowEntry, 'origin'> = {},
): CallItem {
  const what = { syncBackups, isVoid: false, isConsistent: false, addition };
  return { client, sequence, entry: { reply: EMPTY_BYTES, seq, ...what, ...more }, released: true };
}
