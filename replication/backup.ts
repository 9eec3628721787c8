/**
 * The backups' side: applies the streams of the partitions that this member is a backup of, each in order, holds a
 * bounded number of positions that came too early, asks for what is missing, and takes in copies. Invariant: what
 * is acknowledged is applied. Called by `replication.ts`.
 */

import { applyEntry, unknownService } from '../partitions/apply-entry.js';
import { decodeEntry } from '../partitions/entry-body.js';
import { isPrefix } from '../partitions/history.js';
import { COPY_END, type PartitionReplica, TAIL } from '../partitions/replica.js';
import { Reader } from '../src/base/bytes.js';
import type { MemberId } from '../src/cluster/view.js';
import type { BodyOf } from '../src/wire/message.js';
import { PIECE_BYTES } from '../src/wire/messages.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';
import * as messages from './messages.js';

const MAX_HELD = 2048;
const MAX_HELD_BYTES = 32 * 1024 * 1024;
/** A gap may close by itself when a large position is overtaken by small ones. */
const REPAIR_AFTER_MS = 100;

type StreamBody = BodyOf<typeof messages.stream>;
type ChunkBody = BodyOf<typeof messages.migrateChunk>;

/** What a backup keeps beside the replica itself. */
interface Incoming {
  readonly held: Map<number, StreamBody>;
  heldBytes: number;
  gapSinceMs: number;
  /** The copy that is arriving or has arrived last; 0 when there was none. */
  migration: number;
  /** Chunks as of positions that the stream has not reached. */
  early: ChunkBody[];
  /** Number of a structure that is not known here and came nevertheless; 0 when none did. */
  unknownService: number;
}

export class BackupSide {
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #incoming = new Map<number, Incoming>();
  readonly #dirty = new Map<MemberId, Set<PartitionReplica>>();
  #ackQueued = false;

  constructor(host: ReplicationHost, counters: ReplicationCounters) {
    this.#host = host;
    this.#counters = counters;
  }

  #of(replica: PartitionReplica): Incoming {
    let incoming = this.#incoming.get(replica.id);
    if (incoming === undefined) {
      incoming = { held: new Map(), heldBytes: 0, gapSinceMs: 0, migration: 0, early: [], unknownService: 0 };
      this.#incoming.set(replica.id, incoming);
    }
    return incoming;
  }

  /** This member is not a backup of the partition any more. */
  forget(partition: number): void {
    this.#incoming.delete(partition);
  }

  onStream(replica: PartitionReplica, from: MemberId, body: StreamBody): void {
    if (body.epoch !== replica.epoch) {
      // Positions can only be placed once it is known where their epoch began.
      if (replica.complete) this.#sendState(replica, from, false);
      return;
    }
    const incoming = this.#of(replica);
    if (!replica.complete && incoming.migration === 0) return;
    if (body.seq <= replica.seq) {
      this.#ackSoon(replica, from);
      return;
    }
    if (body.seq > replica.seq + 1) {
      this.#hold(incoming, body);
      if (this.#host.faults.ackBeforeApply === true) this.#ackNow(replica, from, body.seq);
      return;
    }
    if (!this.#apply(replica, body)) return;
    this.#applyHeld(replica, incoming);
    replica.log.trim(body.trim);
    this.#pasteEarly(replica, incoming, from);
    this.#ackSoon(replica, from);
  }

  #hold(incoming: Incoming, body: StreamBody): void {
    if (incoming.held.size >= MAX_HELD || incoming.heldBytes >= MAX_HELD_BYTES || incoming.held.has(body.seq))
      return;
    if (incoming.held.size === 0) incoming.gapSinceMs = this.#host.clock.now();
    this.#counters.heldEntries++;
    incoming.held.set(body.seq, body);
    incoming.heldBytes += body.entry.length;
  }

  /** False for a change of a structure that this member does not know: the stream stops in front of it. */
  #apply(replica: PartitionReplica, body: StreamBody): boolean {
    const entry = decodeEntry(body.entry);
    const services = (id: number) => this.#host.executor().service(id);
    const unknown = unknownService(entry, services);
    if (unknown !== 0) {
      this.#unknown(replica, unknown);
      return false;
    }
    applyEntry(replica, body.seq, entry, services, this.#host.hlc, this.#host.clock.now());
    // A large entry came in a buffer of its own, which may be kept; others share a frame.
    const kept = body.entry.length > PIECE_BYTES ? body.entry : Buffer.from(body.entry);
    replica.log.append({ epoch: body.epoch, seq: body.seq, body: kept });
    return true;
  }

  /** Not applied, so not acknowledged: the primary keeps it, and sends it again. Told once. */
  #unknown(replica: PartitionReplica, service: number): void {
    const incoming = this.#of(replica);
    if (incoming.unknownService === service) return;
    incoming.unknownService = service;
    this.#host.logger.log('error', 'the primary sends a structure that this member does not know', {
      partition: replica.id,
      service,
      seq: replica.seq,
    });
  }

  #applyHeld(replica: PartitionReplica, incoming: Incoming): void {
    while (incoming.held.size > 0) {
      const next = incoming.held.get(replica.seq + 1);
      if (next === undefined) break;
      incoming.held.delete(next.seq);
      incoming.heldBytes -= next.entry.length;
      if (!this.#apply(replica, next)) break;
      incoming.gapSinceMs = this.#host.clock.now();
    }
    for (const seq of incoming.held.keys()) {
      if (seq > replica.seq) continue;
      incoming.heldBytes -= incoming.held.get(seq)?.entry.length ?? 0;
      incoming.held.delete(seq);
    }
  }

  #ackSoon(replica: PartitionReplica, to: MemberId): void {
    let dirty = this.#dirty.get(to);
    if (dirty === undefined) {
      dirty = new Set();
      this.#dirty.set(to, dirty);
    }
    dirty.add(replica);
    if (this.#ackQueued) return;
    this.#ackQueued = true;
    this.#host.clock.defer(() => this.#flushAcks());
  }

  #flushAcks(): void {
    this.#ackQueued = false;
    for (const [to, dirty] of this.#dirty) {
      const acks = [...dirty].map(({ id, epoch, seq }) => ({ partition: id, epoch, seq }));
      this.#host.send(to, messages.streamAck, 0xffff, { acks });
    }
    this.#dirty.clear();
  }

  #ackNow(replica: PartitionReplica, to: MemberId, seq: number): void {
    this.#host.send(to, messages.streamAck, 0xffff, {
      acks: [{ partition: replica.id, epoch: replica.epoch, seq }],
    });
  }

  #sendState(replica: PartitionReplica, to: MemberId, divergent: boolean): void {
    const { epoch, seq } = replica;
    this.#host.send(to, messages.streamState, replica.id, { epoch, seq, divergent });
  }

  /** The primary of an epoch introduces itself. */
  onStart(replica: PartitionReplica, from: MemberId, body: BodyOf<typeof messages.streamStart>): void {
    if (!replica.complete) return;
    if (body.epoch !== replica.epoch) {
      // Named as a holder, and with nothing: the history of others would make it look like one.
      const isHollow = replica.history.length === 0 && body.seq > 0;
      if (isHollow || !isPrefix(replica, body)) {
        this.#sendState(replica, from, true);
        return;
      }
      if (replica.history.at(-1)?.lineage !== body.history.at(-1)?.lineage) replica.keepTail();
      replica.epoch = body.epoch;
      replica.history = [...body.history];
      this.forget(replica.id);
    }
    this.#sendState(replica, from, false);
  }

  onMigrateStart(
    replica: PartitionReplica,
    from: MemberId,
    body: BodyOf<typeof messages.migrateStart>,
  ): void {
    const incoming = this.#of(replica);
    // Primaries number their copies by themselves; only together with the epoch is a number one copy's alone.
    if (incoming.migration !== body.migration || replica.epoch !== body.epoch || replica.complete) {
      replica.reset();
      this.forget(replica.id);
      replica.complete = false;
      replica.isWhole = false;
      replica.epoch = body.epoch;
      replica.history = [...body.history];
      replica.seq = body.seq;
      replica.generation = body.generation;
      this.#of(replica).migration = body.migration;
    }
    this.#host.send(from, messages.migrateAck, replica.id, { migration: body.migration, index: 0 });
  }

  onMigrateChunk(replica: PartitionReplica, from: MemberId, body: ChunkBody): void {
    const incoming = this.#of(replica);
    if (incoming.migration !== body.migration || replica.complete) return;
    if (body.seq > replica.seq) {
      if (!incoming.early.some((chunk) => chunk.index === body.index)) incoming.early.push(body);
      return;
    }
    this.#paste(replica, from, body);
  }

  #paste(replica: PartitionReplica, from: MemberId, body: ChunkBody): void {
    this.#host.hlc.observe(body.hlcMs, body.hlcCounter);
    const reader = new Reader(body.records);
    if (body.service === 0) replica.sessions.paste(reader, this.#host.clock.now());
    else if (body.service === TAIL) replica.pasteTail(reader);
    else if (body.service === COPY_END) replica.isWhole = true;
    else {
      const service = this.#host.executor().service(body.service);
      if (service === undefined) {
        this.#unknown(replica, body.service);
        return;
      }
      replica.state(service, body.structure).paste(reader);
    }
    this.#host.send(from, messages.migrateAck, replica.id, { migration: body.migration, index: body.index });
  }

  #pasteEarly(replica: PartitionReplica, incoming: Incoming, from: MemberId): void {
    if (incoming.early.length === 0) return;
    const due = incoming.early.filter((chunk) => chunk.seq <= replica.seq);
    if (due.length === 0) return;
    incoming.early = incoming.early.filter((chunk) => chunk.seq > replica.seq);
    for (const chunk of due) this.#paste(replica, from, chunk);
  }

  /** Asks for positions that stay away. */
  tick(
    nowMs: number,
    primaryOf: (partition: number) => MemberId | undefined,
    replicaOf: (partition: number) => PartitionReplica,
  ): void {
    for (const [partition, incoming] of this.#incoming) {
      if (incoming.held.size === 0 || nowMs - incoming.gapSinceMs < REPAIR_AFTER_MS) continue;
      const primary = primaryOf(partition);
      const replica = replicaOf(partition);
      if (primary === undefined || primary === this.#host.self) continue;
      incoming.gapSinceMs = nowMs;
      this.#host.send(primary, messages.repairRequest, partition, {
        epoch: replica.epoch,
        seq: replica.seq + 1,
      });
    }
  }
}
