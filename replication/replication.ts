/**
 * All partitions of one member: who it is primary and backup of by the view, and the traffic between them. It gives
 * the executor what it needs (`Replicator`), starts and ends takeovers and copies when a view is adopted, and tells
 * the proposer of the next view what it depends on. Synchronous; owned by the member's composition.
 */
import type { Refusal, Replicator, Waiter } from '../partitions/executor.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { Slab } from '../partitions/store/slab.js';
import type { Reader } from '../src/base/bytes.js';
import type { Fences } from '../src/cluster/lease.js';
import { hasMember, lineageTag, type MemberId, type TableEntry, type View } from '../src/cluster/view.js';
import type { Header } from '../src/wire/frame.js';
import { AntiEntropy } from './anti-entropy.js';
import type { AntiEntropyOptions } from './anti-entropy-parts.js';
import { BackupSide } from './backup.js';
import { Copies } from './copies.js';
import { Freshness } from './freshness.js';
import { Holdings } from './holdings.js';
import { newCounters, type ReplicationCounters, type ReplicationHost } from './host.js';
import { Leftovers } from './leftovers.js';
import { LevelAnswers } from './level-answers.js';
import * as messages from './messages.js';
import { type PartitionStatus, partitionStatus } from './partition-status.js';
import { type MemberProgress, PrimaryStream } from './primary.js';
import { Purger } from './purger.js';
import { refusalOf } from './refusal.js';
import { type Report, reportOf } from './report.js';
import { Succession } from './succession.js';
import { Takeover } from './takeover.js';

export interface ReplicationOptions {
  /** Bound on the logs of all partitions of this member together. */
  readonly logBytes: number;
  /** Most sync backups that any structure has: backups beyond are never waited for. */
  readonly maxSyncBackups: () => number;
  readonly leaseMs: number;
  readonly antiEntropy: AntiEntropyOptions;
}

export class Replication implements Replicator {
  readonly counters: ReplicationCounters = newCounters();
  readonly #host: ReplicationHost;
  readonly #options: ReplicationOptions;
  readonly holdings: Holdings;
  readonly #succession: Succession;
  readonly copies: Copies;
  readonly #progress: MemberProgress = new Map();
  readonly #primaries = new Map<number, PrimaryStream>();
  readonly #takeovers = new Map<number, Takeover>();
  readonly #backups: BackupSide;
  readonly #freshness: Freshness;
  #view: View | null = null;
  /** The last view that this member was in, also while it is in none. */
  #lastView: View | null = null;
  /** The view exactly before the present one, when this member was in it. */
  #before: View | null = null;
  /** Partitions that the view has this member lead in an epoch from before it went to another lineage. */
  readonly #stale = new Set<number>();
  /** Partitions that the view has this member lead for a former holder, and of which it has nothing. */
  readonly #hollow = new Set<number>();
  readonly #levelAnswers: LevelAnswers;
  readonly #purger: Purger;
  readonly antiEntropy: AntiEntropy;
  readonly leftovers: Leftovers;
  /** Without a quorum this member serves nothing. */
  hasQuorum = false;

  constructor(host: ReplicationHost, slab: Slab, options: ReplicationOptions) {
    this.#host = host;
    this.#succession = new Succession(host.self, options.leaseMs, host.faults.confirmWithoutWait === true);
    this.#options = options;
    this.#backups = new BackupSide(host, this.counters);
    this.#freshness = new Freshness(host, (partition) => this.vouch(partition));
    this.copies = new Copies(host, this.counters);
    this.#levelAnswers = new LevelAnswers(host, this.#succession);
    this.#purger = new Purger(host);
    this.leftovers = new Leftovers(host, this.counters);
    this.holdings = new Holdings(slab, this.leftovers);
    this.antiEntropy = new AntiEntropy(host, this.counters, options.antiEntropy, {
      primary: (partition) => this.#primaries.get(partition),
      primaries: () => this.#primaries.values(),
      find: (partition) => this.holdings.find(partition),
      all: () => this.holdings.all(),
    });
  }

  refusal(partition: number, isWrite: boolean): Refusal | null {
    if (this.#primaries.has(partition)) {
      if (!this.hasQuorum)
        return { error: 'NoMajority', message: 'this member does not hear a majority of its view' };
      const { sizeBytes } = this.holdings.logBudget;
      if (!isWrite || sizeBytes <= this.#options.logBytes) return null;
      return { error: 'Overload', message: `backups lag: ${sizeBytes} bytes wait for them` };
    }
    const isTaken = this.#takeovers.has(partition) || this.#stale.has(partition);
    return refusalOf(partition, this.#view?.table[partition], isTaken, this.#hollow.has(partition));
  }

  replica(partition: number): PartitionReplica {
    return this.holdings.get(partition);
  }

  readable(partition: number, isConsistent: boolean): PartitionReplica | null {
    // In a fork the chain's contents of consistent structures are those that were kept for it.
    return this.holdings.readable(partition, isConsistent && this.#view?.parent !== null);
  }

  ageMs(replica: PartitionReplica, isConsistent: boolean, maxStalenessMs: number | null): number {
    return this.#freshness.ageMs(replica, isConsistent, maxStalenessMs);
  }

  /** When the last lease of a former primary of the partition has ended, on this member's monotonic clock. */
  leasesEndMs(partition: number): number {
    return this.#succession.fromMs(partition);
  }

  /** From when on `consistent` structures of the partition may be served here, on this member's monotonic clock. */
  consistentFromMs(partition: number): number {
    const entry = this.#view?.table[partition];
    // A primary that is lost before it is known to serve has answered nothing that only it has.
    if (entry === undefined || (entry.proven.length > 0 && !entry.settled)) return Number.POSITIVE_INFINITY;
    return this.leasesEndMs(partition);
  }

  syncedBackups(partition: number, syncBackups: number): number {
    return this.#primaries.get(partition)?.syncedBackups(syncBackups) ?? 0;
  }

  awaitsBackup(partition: number): boolean {
    return (this.#view?.target[partition]?.length ?? 0) > 1;
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

  /** Presets have changed: what the primaries here have applied until now counts for `isCommitted`. */
  noteApplied(): void {
    for (const primary of this.#primaries.values()) primary.noteApplied();
  }

  /** Whether the sync backups have what counts of every partition that the view has this member lead. */
  isCommitted(): boolean {
    const syncBackups = this.#options.maxSyncBackups();
    return (this.#view?.table ?? []).every(({ replicas }, partition) => {
      if (replicas[0]?.member !== this.#host.self) return true;
      return this.#primaries.get(partition)?.isCommitted(syncBackups) === true;
    });
  }

  wait(partition: number, syncBackups: number, waiter: Waiter): void {
    this.#primaries.get(partition)?.wait(syncBackups, waiter);
  }

  adopt(view: View, fences: Fences | null = null): void {
    const last = this.#lastView;
    const isSwitched = last !== null && last.lineage !== view.lineage;
    if (isSwitched) this.#switchLineage(view, last);
    else if (last !== null && last.parent !== null && view.parent === null) this.holdings.thaw(() => false);
    const before = isSwitched ? null : this.#view;
    this.#before = before !== null && before.number + 1 === view.number ? before : null;
    this.#view = view;
    this.#lastView = view;
    this.#hollow.clear();
    this.#freshness.adopted(view, isSwitched);
    for (const member of this.#progress.keys()) if (!hasMember(view, member)) this.#progress.delete(member);
    view.table.forEach((entry, partition) => {
      const old = before?.table[partition]?.replicas[0]?.member;
      // A former primary that is still there has to confirm: the change was planned.
      const isPlanned = old !== undefined && entry.replicas.some(({ member }) => member === old);
      if (entry.epoch === view.number) this.#stale.delete(partition);
      else if (isSwitched && entry.replicas[0]?.member === this.#host.self) this.#stale.add(partition);
      this.#adoptEntry(partition, entry, isPlanned, fences);
    });
    this.#levelAnswers.adopted(view, (partition) => this.replica(partition));
    this.tick(this.#host.clock.now());
  }

  /** A fork begins or ends, or two clusters become one: every stream ends, and what is held finds its new place. */
  #switchLineage(view: View, last: View): void {
    this.#freshness.settle((partition) => this.holdings.find(partition));
    for (const [partition, primary] of this.#primaries)
      this.#stop(partition, primary, 'this member goes on in another lineage');
    this.#takeovers.clear();
    this.#levelAnswers.clear();
    this.#stale.clear();
    this.#succession.clear();
    this.holdings.unfollow();
    for (const { id } of this.holdings.all()) this.#backups.forget(id);
    const isHeldIn = ({ replicas }: TableEntry) =>
      replicas.some(({ member, synced }) => synced && member === this.#host.self);
    if (view.parent !== null) {
      if (last.parent === null)
        this.holdings.keepForChain(new Set(last.table.flatMap((entry, p) => (isHeldIn(entry) ? [p] : []))));
      return;
    }
    this.holdings.thaw((partition) => {
      const entry = view.table[partition];
      return entry !== undefined && isHeldIn(entry);
    });
  }

  /** The proposer's word on leases came after the view itself. */
  fenced(view: View, fences: Fences): void {
    const before = this.#before;
    if (before === null || this.#view?.number !== view.number || this.#view.lineage !== view.lineage) return;
    const nowMs = this.#host.clock.now();
    for (const [partition, entry] of view.table.entries())
      if (entry.epoch === view.number) this.#succession.fenced(partition, before, fences, nowMs);
  }

  #adoptEntry(partition: number, entry: TableEntry, isPlanned: boolean, fences: Fences | null): void {
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
    if (index === 0) this.#lead(partition, entry, isPlanned, fences);
    else {
      this.#takeovers.delete(partition);
      this.#stale.delete(partition);
      if (this.#before?.table[partition]?.replicas[0]?.member === self)
        this.#succession.end(partition, (this.#view as View).number);
      else if (this.#before === null) this.#succession.forget(partition);
    }
    if (index > 0) this.#back(partition, entry.replicas[index]?.synced === true);
    if (index >= 0) return;
    this.#backups.forget(partition);
    // Until its primary has reported that it serves, nobody knows whether this replica is not the last one.
    if (entry.replicas.length > 0 && entry.settled) this.#giveUp(partition);
  }

  /** This member is a backup of the partition. */
  #back(partition: number, synced: boolean): void {
    if (synced) {
      if (!this.replica(partition).isWhole) this.holdings.release(partition, false);
      this.replica(partition).complete = true;
      return;
    }
    if (this.holdings.find(partition)?.complete !== true) return;
    // Counted as behind, or divergent: it is copied anew, and what only this one has is merged.
    this.holdings.putAside(partition, true);
    this.replica(partition).complete = false;
    this.#backups.forget(partition);
  }

  /** The partition is held by others. */
  #giveUp(partition: number): void {
    const { self } = this.#host;
    const wasLevel = this.#before?.table[partition]?.replicas.some(
      ({ member, synced }) => synced && member === self,
    );
    this.holdings.putAside(partition, wasLevel !== true);
  }

  #lead(partition: number, entry: TableEntry, isPlanned: boolean, fences: Fences | null): void {
    if (this.#stale.has(partition)) {
      this.#host.reportSoon();
      return;
    }
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
    this.#backups.forget(partition);
    const nowMs = this.#host.clock.now();
    const isFounding = this.#view?.number === 1;
    const replica = this.holdings.toLead(partition, entry, isFounding, nowMs);
    if (replica === null) {
      this.#takeovers.delete(partition);
      this.#hollow.add(partition);
      this.#host.reportSoon();
      return;
    }
    this.#succession.begin(partition, this.#before, fences, nowMs, isFounding);
    this.#takeovers.set(partition, new Takeover(replica, entry, isPlanned, this.#host, this.counters));
  }

  #stop(partition: number, primary: PrimaryStream, message: string): void {
    this.#primaries.delete(partition);
    if (this.consistentFromMs(partition) <= this.#freshness.leaseMs) this.#freshness.led(partition);
    for (const slot of primary.slots.values()) slot.migration?.cancel();
    primary.stop(message);
  }

  /** This member is in no view any more: it stops serving and keeps what it has. */
  leaveView(): void {
    this.#view = null;
    this.#before = null;
    this.#succession.clear();
    for (const [partition, primary] of this.#primaries)
      this.#stop(partition, primary, 'this member was removed from the view');
    this.#takeovers.clear();
    this.#hollow.clear();
  }

  // --- time

  tick(nowMs: number): void {
    if (this.#host.holdsLease()) this.#freshness.leaseMs = nowMs;
    for (const takeover of this.#takeovers.values()) {
      takeover.tick(nowMs);
      if (takeover.isLevel) this.#serve(takeover);
    }
    const primaryOf = (partition: number) => this.#view?.table[partition]?.replicas[0]?.member;
    this.#backups.tick(nowMs, primaryOf, (partition) => this.replica(partition));
    for (const primary of this.#primaries.values()) primary.tick(nowMs);
    this.#purger.keeper.tick(this.#primaries.values(), nowMs);
    this.copies.tick(this.#primaries.values(), nowMs);
    this.antiEntropy.tick(nowMs);
    this.leftovers.tick(nowMs, this.#view);
    if (this.hasQuorum) this.#purger.tend(this.#primaries.values(), nowMs);
    if (this.holdings.logBudget.sizeBytes > this.#options.logBytes) this.#shed();
  }

  /** The takeover is level: the epoch begins here. */
  #serve(takeover: Takeover): void {
    const { replica, epoch } = takeover;
    const entry = this.#view?.table[replica.id];
    this.#takeovers.delete(replica.id);
    if (entry === undefined) return;
    const isFirst = replica.history.length === 0;
    replica.ledSinceMs = this.#host.clock.now();
    replica.enter(lineageTag((this.#view as View).lineage), epoch, replica.seq);
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

  /** What the next view depends on; the same until it changes. */
  report(): Report {
    return reportOf(this.#primaries, { hollow: this.#hollow, stale: this.#stale, self: this.#host.self });
  }

  // --- messages

  /** Handles the messages of this layer; false when it is not one of them. */
  receive(from: MemberId, header: Header, reader: Reader): boolean {
    const { partition } = header;
    if (this.antiEntropy.receive(from, header, reader)) return true;
    if (this.leftovers.receive(from, header, reader)) return true;
    if (this.#freshness.receive(from, header, reader)) return true;
    if (header.message < messages.stream.id || header.message > messages.streamTrim.id) return false;
    // Epochs count within a lineage: what is on its way from another one means something else here.
    if (this.#view === null || header.lineage !== lineageTag(this.#view.lineage)) return true;
    if (header.message === messages.streamAck.id) {
      for (const ack of messages.streamAck.read(reader).acks)
        this.#primaries.get(ack.partition)?.onAck(from, ack.epoch, ack.seq);
      return true;
    }
    if (partition >= this.#view.table.length) return true;
    if (this.#fromReplica(from, header, reader)) return true;
    this.#fromPrimary(from, header, reader);
    return true;
  }

  /** What this member says of its position in a partition; null for one that it does not lead now. */
  vouch(partition: number) {
    const replica = this.hasQuorum ? this.#primaries.get(partition)?.replica : undefined;
    if (replica === undefined) return null;
    const leased = this.#host.holdsLease() && this.#host.clock.now() >= this.consistentFromMs(partition);
    return { epoch: replica.epoch, seq: replica.seq, leased, history: replica.history };
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
        const body = messages.levelReply.read(reader);
        if (body.confirmMs !== null && body.takeover === takeover?.epoch)
          this.#succession.confirmed(partition, body.confirmMs, this.#host.clock.now());
        takeover?.onReply(from, body);
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
      this.#levelAnswers.tooEarly(partition, from, messages.levelRequest.read(reader));
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
        if (replica.complete) this.#levelAnswers.answer(from, replica, messages.levelRequest.read(reader));
        return;
      case messages.migrateStart.id:
        if (!own.synced) this.#backups.onMigrateStart(replica, from, messages.migrateStart.read(reader));
        return;
      case messages.migrateChunk.id:
        if (!own.synced) this.#backups.onMigrateChunk(replica, from, messages.migrateChunk.read(reader));
        return;
    }
  }

  isServing(partition: number): boolean {
    return this.isPrimary(partition) && this.hasQuorum;
  }

  /** Also while it hears no majority, and nothing may be served. */
  isPrimary(partition: number): boolean {
    return this.#primaries.has(partition);
  }

  /** One bounded step of housekeeping: removes tombstones that are older than `beforeMs` (HLC time). */
  purge(beforeMs: number): void {
    if (this.hasQuorum) this.#purger.step([...this.#primaries.values()], beforeMs);
  }

  status(): PartitionStatus[] {
    const nowMs = this.#host.clock.now();
    return [...this.holdings.all()].map((replica) => {
      const own = this.#view?.table[replica.id]?.replicas.find(({ member }) => member === this.#host.self);
      const primary = this.#primaries.get(replica.id);
      return partitionStatus(replica, primary, this.#takeovers.has(replica.id), own?.synced, nowMs);
    });
  }
}
