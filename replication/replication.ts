/**
 * All partitions of one member: who it is primary and backup of by the view, and the traffic between them. It gives
 * the executor what it needs (`Replicator`), starts and ends takeovers and copies when a view is adopted, and tells
 * the proposer of the next view what it depends on. Synchronous; owned by the member's composition.
 */
import type { Refusal, Replicator, Waiter } from '../partitions/executor.js';
import { DeltaLog, type LogBudget } from '../partitions/log.js';
import { PartitionReplica } from '../partitions/replica.js';
import { type ReplyBudget, SessionWindows } from '../partitions/sessions.js';
import type { Slab } from '../partitions/store/slab.js';
import type { Reader } from '../src/base/bytes.js';
import { hasMember, type MemberId, type TableEntry, type View } from '../src/cluster/view.js';
import type { Header } from '../src/wire/frame.js';
import type { BodyOf } from '../src/wire/message.js';
import { BackupSide } from './backup.js';
import { newCounters, type ReplicationCounters, type ReplicationHost } from './host.js';
import * as messages from './messages.js';
import { type CopyBudget, MigrationSource } from './migration-source.js';
import { type MemberProgress, PrimaryStream } from './primary.js';
import { Purger } from './purger.js';
import type { Slot } from './slot.js';
import { levelReply, Takeover } from './takeover.js';

/** Copies that one member serves at a time; they share the budget of bytes on the way. */
const MAX_COPIES = 8;

export interface ReplicationOptions {
  /** Bound on the logs of all partitions of this member together. */
  readonly logBytes: number;
  /** Most sync backups that any structure has: backups beyond are never waited for. */
  readonly maxSyncBackups: () => number;
}

/** What one primary reports for the next view. */
export interface Report {
  readonly settled: number[];
  readonly ready: { readonly partition: number; readonly member: MemberId }[];
  readonly behind: { readonly partition: number; readonly member: MemberId }[];
}

/** State of one partition here, for status and tests. */
export interface PartitionStatus {
  readonly partition: number;
  readonly role: 'primary' | 'taking over' | 'backup' | 'syncing' | 'kept';
  readonly epoch: number;
  readonly seq: number;
  readonly entries: number;
  readonly sizeBytes: number;
  readonly copies: readonly {
    readonly to: MemberId;
    readonly copiedBytes: number;
    readonly sizeBytes: number;
  }[];
}

export class Replication implements Replicator {
  readonly counters: ReplicationCounters = newCounters();
  readonly #host: ReplicationHost;
  readonly #options: ReplicationOptions;
  readonly #slab: Slab;
  readonly #logBudget: LogBudget = { sizeBytes: 0 };
  readonly #replyBudget: ReplyBudget = { sizeBytes: 0 };
  readonly #copyBudget: CopyBudget = { inFlightBytes: 0 };
  readonly #progress: MemberProgress = new Map();
  readonly #replicas = new Map<number, PartitionReplica>();
  readonly #primaries = new Map<number, PrimaryStream>();
  readonly #takeovers = new Map<number, Takeover>();
  readonly #backups: BackupSide;
  #view: View | null = null;
  readonly #earlyAsks = new Map<number, { from: MemberId; ask: BodyOf<typeof messages.levelRequest> }>();
  #nextMigration = 1;
  readonly #purger: Purger;
  /** Without a quorum this member serves nothing. */
  hasQuorum = false;

  constructor(host: ReplicationHost, slab: Slab, options: ReplicationOptions) {
    this.#host = host;
    this.#slab = slab;
    this.#options = options;
    this.#backups = new BackupSide(host, this.counters);
    this.#purger = new Purger(host);
  }

  /** Bytes of copies that this member has sent and that were not confirmed; bounded for all of them together. */
  get copyInFlightBytes(): number {
    return this.#copyBudget.inFlightBytes;
  }

  // --- what the executor needs

  refusal(partition: number, isWrite: boolean): Refusal | null {
    if (this.#primaries.has(partition)) {
      if (!this.hasQuorum)
        return { error: 'NoMajority', message: 'this member does not hear a majority of its view' };
      if (isWrite && this.#logBudget.sizeBytes > this.#options.logBytes) return this.#overload();
      return null;
    }
    const entry = this.#view?.table[partition];
    if (this.#takeovers.has(partition)) {
      return { error: 'NotServing', message: `partition ${partition} is being taken over` };
    }
    if (entry !== undefined && entry.replicas.length === 0) {
      const holders = entry.lastSynced.join(', ');
      return {
        error: 'PartitionUnavailable',
        message: `nobody in the view holds partition ${partition}; last held by ${holders}`,
      };
    }
    return { error: 'WrongTarget', message: `this member is not the primary of partition ${partition}` };
  }

  #overload(): Refusal {
    return { error: 'Overload', message: `backups lag: ${this.#logBudget.sizeBytes} bytes wait for them` };
  }

  replica(partition: number): PartitionReplica {
    let replica = this.#replicas.get(partition);
    if (replica === undefined) {
      replica = new PartitionReplica(
        partition,
        this.#slab,
        new SessionWindows(this.#replyBudget),
        new DeltaLog(this.#logBudget),
      );
      this.#replicas.set(partition, replica);
    }
    return replica;
  }

  syncedBackups(partition: number, syncBackups: number): number {
    return this.#primaries.get(partition)?.syncedBackups(syncBackups) ?? 0;
  }

  isReplicated(partition: number): boolean {
    return this.#primaries.get(partition)?.isReplicated === true;
  }

  append(replica: PartitionReplica, body: Uint8Array): void {
    this.#primaries.get(replica.id)?.append(body);
  }

  committed(partition: number, syncBackups: number): number {
    return this.#primaries.get(partition)?.committed(syncBackups) ?? 0;
  }

  wait(partition: number, syncBackups: number, waiter: Waiter): void {
    this.#primaries.get(partition)?.wait(syncBackups, waiter);
  }

  // --- views

  adopt(view: View): void {
    const before = this.#view;
    this.#view = view;
    for (const member of this.#progress.keys()) if (!hasMember(view, member)) this.#progress.delete(member);
    view.table.forEach((entry, partition) => {
      const old = before?.table[partition]?.replicas[0]?.member;
      // A former primary that is still there has to confirm: the change was planned.
      const isPlanned = old !== undefined && entry.replicas.some(({ member }) => member === old);
      this.#adoptEntry(partition, entry, isPlanned);
    });
    this.#answerEarlyAsks(view);
    this.tick(this.#host.clock.now());
  }

  #adoptEntry(partition: number, entry: TableEntry, isPlanned: boolean): void {
    const self = this.#host.self;
    const index = entry.replicas.findIndex(({ member }) => member === self);
    const primary = this.#primaries.get(partition);
    if (primary !== undefined && (index !== 0 || entry.epoch !== primary.replica.epoch)) {
      this.#stop(
        partition,
        primary,
        `partition ${partition} has another primary since view ${this.#view?.number}`,
      );
    }
    if (index === 0) this.#lead(partition, entry, isPlanned);
    else this.#takeovers.delete(partition);
    if (index > 0 && entry.replicas[index]?.synced === true) this.replica(partition).complete = true;
    if (
      index > 0 &&
      entry.replicas[index]?.synced === false &&
      this.#replicas.get(partition)?.complete === true
    ) {
      // Counted as behind, or new: what is here is copied anew, and until then it is worth nothing.
      this.replica(partition).complete = false;
      this.#backups.forget(partition);
    }
    if (index < 0) {
      this.#backups.forget(partition);
      if (entry.replicas.length > 0) this.#drop(partition);
    }
  }

  #lead(partition: number, entry: TableEntry, isPlanned: boolean): void {
    const primary = this.#primaries.get(partition);
    if (primary !== undefined) {
      primary.adopt(entry);
      return;
    }
    const taking = this.#takeovers.get(partition);
    if (taking !== undefined && taking.epoch === entry.epoch) {
      taking.adopt(entry);
      return;
    }
    const replica = this.replica(partition);
    this.#backups.forget(partition);
    if (entry.generation > replica.generation) {
      replica.reset();
      replica.emptySinceMs = this.#host.clock.now();
    }
    replica.generation = entry.generation;
    replica.complete = true;
    this.#takeovers.set(partition, new Takeover(replica, entry, isPlanned, this.#host, this.counters));
  }

  #drop(partition: number): void {
    const replica = this.#replicas.get(partition);
    if (replica === undefined) return;
    replica.reset();
    this.#replicas.delete(partition);
  }

  #stop(partition: number, primary: PrimaryStream, message: string): void {
    this.#primaries.delete(partition);
    for (const slot of primary.slots.values()) slot.migration?.cancel();
    primary.stop(message);
  }

  /** Another lineage begins for this member: nothing of the former one counts. */
  dropAll(): void {
    this.leaveView();
    for (const partition of [...this.#replicas.keys()]) {
      this.#backups.forget(partition);
      this.#drop(partition);
    }
  }

  /** This member is in no view any more: it stops serving and keeps what it has. */
  leaveView(): void {
    this.#view = null;
    for (const [partition, primary] of this.#primaries)
      this.#stop(partition, primary, 'this member was removed from the view');
    this.#takeovers.clear();
  }

  // --- time

  tick(nowMs: number): void {
    for (const takeover of this.#takeovers.values()) {
      takeover.tick(nowMs);
      if (takeover.isLevel) this.#serve(takeover);
    }
    this.#backups.tick(
      nowMs,
      (partition) => this.#view?.table[partition]?.replicas[0]?.member,
      (partition) => this.replica(partition),
    );
    for (const primary of this.#primaries.values()) primary.tick(nowMs);
    this.#copy(nowMs);
    if (this.#logBudget.sizeBytes > this.#options.logBytes) this.#shed();
  }

  /** The takeover is level: the epoch begins here. */
  #serve(takeover: Takeover): void {
    const { replica, epoch } = takeover;
    const entry = this.#view?.table[replica.id];
    this.#takeovers.delete(replica.id);
    if (entry === undefined) return;
    const isFirst = replica.epoch === 0;
    replica.enter(epoch, replica.seq);
    if (!isFirst && takeover.isPlanned) this.counters.handovers++;
    else if (!isFirst) this.counters.promotions++;
    this.#primaries.set(
      replica.id,
      new PrimaryStream(replica, entry, this.#host, this.counters, this.#progress),
    );
    this.#host.reportSoon();
  }

  #shed(): void {
    const byLog = [...this.#primaries.values()].sort(
      (a, b) => b.replica.log.sizeBytes - a.replica.log.sizeBytes,
    );
    for (const primary of byLog.slice(0, 8)) if (primary.shed(this.#options.maxSyncBackups())) return;
  }

  /** Starts copies to new replicas, a few at a time, and moves those that run. */
  #copy(nowMs: number): void {
    let running = 0;
    const waiting: { primary: PrimaryStream; slot: Slot }[] = [];
    for (const primary of this.#primaries.values()) {
      for (const slot of primary.slots.values()) {
        if (slot.synced || slot.waited || slot.complete) continue;
        if (slot.migration === null || slot.migration.isDone) waiting.push({ primary, slot });
        else {
          running++;
          slot.migration.pump(nowMs);
        }
      }
    }
    for (const { primary, slot } of waiting.slice(0, Math.max(0, MAX_COPIES - running))) {
      const newId = () => this.#nextMigration++ >>> 0;
      slot.migration = new MigrationSource(newId, primary, slot, this.#host, this.counters, this.#copyBudget);
      slot.migration.pump(nowMs);
    }
  }

  /** What the next view depends on; the same until it changes. */
  report(): Report {
    const report: Report = { settled: [], ready: [], behind: [] };
    for (const [partition, primary] of this.#primaries) {
      if (!primary.entry.settled && primary.isSettled) report.settled.push(partition);
      for (const slot of primary.slots.values()) {
        if (slot.complete && !slot.synced) report.ready.push({ partition, member: slot.member });
        if (slot.behind && slot.synced) report.behind.push({ partition, member: slot.member });
      }
    }
    return report;
  }

  // --- messages

  /** Handles the messages of this layer; false when it is not one of them. */
  receive(from: MemberId, header: Header, reader: Reader): boolean {
    const { partition } = header;
    if (header.message === messages.streamAck.id) {
      for (const ack of messages.streamAck.read(reader).acks)
        this.#primaries.get(ack.partition)?.onAck(from, ack.epoch, ack.seq);
      return true;
    }
    if (header.message < messages.stream.id || header.message > messages.streamTrim.id) return false;
    if (partition >= (this.#view?.table.length ?? 0)) return true;
    if (this.#fromReplica(from, header, reader)) return true;
    this.#fromPrimary(from, header, reader);
    return true;
  }

  /** What backups send to the primary. */
  #fromReplica(from: MemberId, header: Header, reader: Reader): boolean {
    const { partition } = header;
    const primary = this.#primaries.get(partition);
    switch (header.message) {
      case messages.streamState.id: {
        const { epoch, seq, divergent } = messages.streamState.read(reader);
        primary?.onState(from, epoch, seq, divergent);
        return true;
      }
      case messages.repairRequest.id: {
        const { epoch, seq } = messages.repairRequest.read(reader);
        primary?.onRepairRequest(from, epoch, seq);
        return true;
      }
      case messages.staleStream.id:
        // The heartbeat with the newer view follows; nothing can be answered until then.
        this.counters.staleNacks++;
        return true;
      case messages.levelReply.id: {
        const takeover = this.#takeovers.get(partition);
        takeover?.onReply(from, messages.levelReply.read(reader));
        if (takeover?.isLevel === true) this.#serve(takeover);
        return true;
      }
      case messages.migrateAck.id: {
        const { migration, index } = messages.migrateAck.read(reader);
        primary?.slots.get(from)?.migration?.onAck(migration, index, this.#host.clock.now());
        return true;
      }
      default:
        return false;
    }
  }

  /** What a primary sends to the other replicas; checked against the view of this member. */
  #fromPrimary(from: MemberId, header: Header, reader: Reader): void {
    const { partition } = header;
    const view = this.#view as View;
    const entry = view.table[partition] as TableEntry;
    if (header.message === messages.levelRequest.id && header.view > view.number) {
      // Only a member that has adopted the view of the takeover has stopped serving under an earlier one.
      this.#earlyAsks.set(partition, { from, ask: messages.levelRequest.read(reader) });
      return;
    }
    const own = entry.replicas.find(({ member }) => member === this.#host.self);
    if (entry.replicas[0]?.member !== from) {
      if (header.view < view.number && header.message === messages.stream.id) {
        const { epoch } = messages.stream.read(reader);
        this.#host.send(from, messages.staleStream, partition, { epoch });
      }
      return;
    }
    if (own === undefined || from === this.#host.self) return;
    const replica = this.replica(partition);
    switch (header.message) {
      case messages.stream.id:
        this.#backups.onStream(replica, from, messages.stream.read(reader));
        return;
      case messages.streamTrim.id: {
        const { epoch, seq } = messages.streamTrim.read(reader);
        if (epoch === replica.epoch) replica.log.trim(seq);
        return;
      }
      case messages.streamStart.id:
        this.#backups.onStart(replica, from, messages.streamStart.read(reader));
        return;
      case messages.levelRequest.id:
        if (replica.complete) this.#answerLevel(from, replica, messages.levelRequest.read(reader));
        return;
      case messages.migrateStart.id:
        if (!own.synced) this.#backups.onMigrateStart(replica, from, messages.migrateStart.read(reader));
        return;
      case messages.migrateChunk.id:
        if (!own.synced) this.#backups.onMigrateChunk(replica, from, messages.migrateChunk.read(reader));
        return;
    }
  }

  #answerLevel(to: MemberId, replica: PartitionReplica, ask: BodyOf<typeof messages.levelRequest>): void {
    this.#host.send(to, messages.levelReply, replica.id, levelReply(replica, ask));
  }

  /** Questions of new primaries that came before the view did. */
  #answerEarlyAsks(view: View): void {
    for (const [partition, { from, ask }] of this.#earlyAsks) {
      const replicas = view.table[partition]?.replicas ?? [];
      const isBackup = replicas.some(
        ({ member, synced }, index) => index > 0 && synced && member === this.#host.self,
      );
      if (replicas[0]?.member === from && isBackup) this.#answerLevel(from, this.replica(partition), ask);
    }
    this.#earlyAsks.clear();
  }

  // --- housekeeping and inspection

  /** The client needs nothing below this call any more, in any partition. */
  releaseCalls(client: number, below: number, nowMs: number): void {
    for (const replica of this.#replicas.values()) {
      const session = replica.sessions.find(client);
      if (session === undefined) continue;
      session.lastUsedMs = nowMs;
      session.release(below);
    }
  }

  expireSessions(nowMs: number, ttlMs: number): void {
    for (const replica of this.#replicas.values()) replica.sessions.expire(nowMs, ttlMs);
  }

  isServing(partition: number): boolean {
    return this.#primaries.has(partition) && this.hasQuorum;
  }

  /** One bounded step of housekeeping: removes tombstones that are older than `beforeMs` (HLC time). */
  purge(beforeMs: number): void {
    if (this.hasQuorum) this.#purger.step([...this.#primaries.values()], beforeMs);
  }

  status(): PartitionStatus[] {
    return [...this.#replicas.values()].map((replica) => {
      const primary = this.#primaries.get(replica.id);
      const synced = this.#view?.table[replica.id]?.replicas.find(
        ({ member }) => member === this.#host.self,
      )?.synced;
      const role =
        primary !== undefined
          ? 'primary'
          : this.#takeovers.has(replica.id)
            ? 'taking over'
            : synced === true
              ? 'backup'
              : synced === false
                ? 'syncing'
                : 'kept';
      const sizeBytes = replica.sizeBytes;
      const copies = [...(primary?.slots.values() ?? [])]
        .filter((slot) => slot.migration !== null && !slot.synced)
        .map((slot) => ({ to: slot.member, copiedBytes: slot.migration?.copiedBytes ?? 0, sizeBytes }));
      return {
        partition: replica.id,
        role,
        epoch: replica.epoch,
        seq: replica.seq,
        entries: replica.entryCount,
        sizeBytes,
        copies,
      };
    });
  }
}
