/**
 * Copies a partition to a new replica while writes go on: the stream runs from where the log begins, and beside it
 * the contents in bounded chunks, each as of a position. The new replica applies a chunk once its stream has
 * reached that position, so for every key the later one wins. Owned by the primary; called by `replication.ts`.
 */

import { COPY_END, TAIL } from '../partitions/replica.js';
import type { ServiceState } from '../partitions/service.js';
import { WindowsCopy } from '../partitions/sessions.js';
import { Writer } from '../src/base/bytes.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';
import * as messages from './messages.js';
import type { Copy, CopyHost, Slot } from './slot.js';

/** Bytes of copies that one member may have on the way at a time. */
export const MAX_IN_FLIGHT_BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 128 * 1024;
const RESEND_AFTER_MS = 400;
/** A chunk with a large value gets longer: this many bytes a millisecond at the least. */
const SLOWEST_BYTES_PER_MS = 16 * 1024;

/** Shared by all copies of a member. */
export interface CopyBudget {
  inFlightBytes: number;
}

interface Chunk {
  readonly body: Parameters<typeof messages.migrateChunk.write>[1];
  readonly sizeBytes: number;
  sentMs: number;
}

interface Part {
  readonly serviceId: number;
  readonly name: string;
  readonly state: ServiceState;
}

const scratch = new Writer(64 * 1024);

export class MigrationSource implements Copy {
  readonly #newId: () => number;
  #id = 0;
  readonly #primary: CopyHost;
  readonly #slot: Slot;
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #budget: CopyBudget;
  readonly #inFlight = new Map<number, Chunk>();
  #parts: Part[] = [];
  #windows: WindowsCopy | null = null;
  #cursor = 0;
  #started = false;
  #startSeq = 0;
  #startSentMs = Number.NEGATIVE_INFINITY;
  #nextIndex = 1;
  #tailIsSent = false;
  #allSent = false;
  #endIsSent = false;
  copiedBytes = 0;
  isDone = false;

  constructor(
    newId: () => number,
    primary: CopyHost,
    slot: Slot,
    host: ReplicationHost,
    counters: ReplicationCounters,
    budget: CopyBudget,
  ) {
    this.#newId = newId;
    this.#primary = primary;
    this.#slot = slot;
    this.#host = host;
    this.#counters = counters;
    this.#budget = budget;
    counters.migrationsStarted++;
  }

  /** Sends the start, chunks within the budget, and again what was not confirmed. */
  pump(nowMs: number): void {
    if (this.isDone) return;
    if (!this.#started) {
      if (nowMs - this.#startSentMs >= RESEND_AFTER_MS) this.#sendStart(nowMs);
      return;
    }
    for (const chunk of this.#inFlight.values()) {
      if (
        nowMs - chunk.sentMs < RESEND_AFTER_MS + chunk.sizeBytes / SLOWEST_BYTES_PER_MS ||
        this.#host.queuedBytes(this.#slot.member) > MAX_IN_FLIGHT_BYTES
      )
        continue;
      chunk.sentMs = nowMs;
      this.#send(chunk);
    }
    while (!this.#allSent && this.#budget.inFlightBytes + CHUNK_BYTES <= MAX_IN_FLIGHT_BYTES)
      this.#next(nowMs);
    // The last step may find nothing more to send: then no confirmation follows that would end the copy.
    this.#checkDone(nowMs);
  }

  #sendStart(nowMs: number): void {
    const { replica } = this.#primary;
    this.#startSentMs = nowMs;
    if (this.#id === 0) {
      this.#id = this.#newId();
      // With what some replica may still lack: a replica that has only the sum of it could not give it in a takeover.
      this.#startSeq = replica.log.length > 0 ? replica.log.firstSeq - 1 : replica.seq;
      this.#primary.reserve(this.#slot, this.#startSeq);
    }
    // The same start each time: if only its confirmation was lost, the replica has begun and must not begin anew.
    const { epoch, history, generation } = replica;
    this.#host.send(this.#slot.member, messages.migrateStart, replica.id, {
      migration: this.#id,
      epoch,
      history,
      seq: this.#startSeq,
      generation,
    });
  }

  onAck(migration: number, index: number, nowMs: number): void {
    if (migration !== this.#id || this.isDone) return;
    if (index === 0) {
      if (!this.#started) this.#begin(nowMs);
      return;
    }
    const chunk = this.#inFlight.get(index);
    if (chunk === undefined) return;
    this.#inFlight.delete(index);
    this.#budget.inFlightBytes -= chunk.sizeBytes;
    this.copiedBytes += chunk.sizeBytes;
    this.#counters.copiedBytes += chunk.sizeBytes;
    this.pump(nowMs);
  }

  #begin(nowMs: number): void {
    const { replica } = this.#primary;
    this.#started = true;
    this.#primary.beginStream(this.#slot);
    this.#parts = replica.structures();
    this.#windows = new WindowsCopy(replica.sessions);
    this.pump(nowMs);
  }

  #next(nowMs: number): void {
    scratch.reset();
    const part = this.#parts[0];
    if (part !== undefined) {
      this.#cursor = part.state.copy(this.#cursor, CHUNK_BYTES, scratch);
      if (this.#cursor < 0) {
        this.#parts.shift();
        this.#cursor = 0;
      }
      if (scratch.length > 0) this.#emit(part.serviceId, part.name, nowMs);
      return;
    }
    if (this.#windows?.next(CHUNK_BYTES, scratch) === true) this.#emit(0, '', nowMs);
    else if (!this.#tailIsSent) {
      this.#tailIsSent = true;
      this.#primary.replica.writeTail(scratch);
      if (scratch.length > 0) this.#emit(TAIL, '', nowMs);
    } else this.#allSent = true;
  }

  #emit(service: number, structure: string, nowMs: number): void {
    const index = this.#nextIndex++;
    const { ms: hlcMs, counter: hlcCounter } = this.#host.hlc.latest;
    const records = scratch.toBytes();
    const seq = this.#primary.replica.seq;
    const body = { migration: this.#id, index, seq, service, structure, hlcMs, hlcCounter, records };
    const chunk: Chunk = { body, sizeBytes: records.length, sentMs: nowMs };
    this.#inFlight.set(index, chunk);
    this.#budget.inFlightBytes += records.length;
    this.#send(chunk);
  }

  #send(chunk: Chunk): void {
    this.#host.send(this.#slot.member, messages.migrateChunk, this.#primary.replica.id, chunk.body);
  }

  #checkDone(nowMs: number): void {
    if (!this.#allSent || this.#inFlight.size > 0 || this.isDone) return;
    if (!this.#endIsSent) {
      this.#endIsSent = true;
      scratch.reset();
      this.#emit(COPY_END, '', nowMs);
      return;
    }
    this.isDone = true;
    this.#primary.copied(this.#slot);
  }

  /** Gives back what it holds of the budget. */
  cancel(): void {
    for (const chunk of this.#inFlight.values()) this.#budget.inFlightBytes -= chunk.sizeBytes;
    this.#inFlight.clear();
    this.isDone = true;
  }
}
