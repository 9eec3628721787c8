/**
 * The primary's side of one partition: it sends each position to every other replica, knows how far each is, and
 * says up to where an answer is safe. Invariants: what is committed for k sync backups is on every replica that
 * counts for k; a replica is reported complete only after its acknowledgement has begun to be waited for. Called
 * by `replication.ts`.
 */
import type { Waiter } from '../partitions/executor.js';
import { lineageOf } from '../partitions/history.js';
import type { LogEntry } from '../partitions/log.js';
import type { PartitionReplica } from '../partitions/replica.js';
import { MAX_BACKUPS, type MemberId, type TableEntry } from '../src/cluster/view.js';
import { PIECE_BYTES } from '../src/wire/messages.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';
import * as messages from './messages.js';
import { type CopyHost, Slot } from './slot.js';
import { Waiters } from './waiters.js';

/** Above this many bytes waiting for a member, the stream pauses; the log has the rest. */
const SEND_AHEAD_BYTES = 16 * 1024 * 1024;
/** Without progress for this long, positions are sent again; doubled each time. */
const RESEND_AFTER_MS = 200;
const MAX_RESEND_AFTER_MS = 1600;
/** A large position gets longer: this many bytes a millisecond at the least. */
const SLOWEST_BYTES_PER_MS = 16 * 1024;
const RESEND_BATCH = 256;

/** When each member last acknowledged something new, of any partition; shared by the partitions of a member. */
export type MemberProgress = Map<MemberId, number>;

export class PrimaryStream implements CopyHost {
  readonly replica: PartitionReplica;
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #progress: MemberProgress;
  readonly slots = new Map<MemberId, Slot>();
  readonly #waiters = new Waiters();
  /** By number of sync backups: the replicas whose acknowledgement counts. */
  #required: Slot[][] = [];
  /** By number of sync backups: up to where calls may have been answered, as of the last change of the entry. */
  #answered: number[] = [];
  #entry: TableEntry;
  /** Every synced replica has to reach this position before the entry counts as settled. */
  #settleAt: number;
  /** What had been applied when the latest change of a preset was learned, or when this primary took over. */
  #noted: number;

  constructor(
    replica: PartitionReplica,
    entry: TableEntry,
    host: ReplicationHost,
    counters: ReplicationCounters,
    progress: MemberProgress,
  ) {
    this.replica = replica;
    this.#host = host;
    this.#counters = counters;
    this.#progress = progress;
    this.#entry = entry;
    this.#settleAt = replica.seq;
    this.#noted = replica.seq;
    this.adopt(entry);
  }

  /** What was applied until now counts for `isCommitted`. */
  noteApplied(): void {
    this.#noted = this.replica.seq;
  }

  /** Whether so many sync backups have what had been applied when that was noted. */
  isCommitted(syncBackups: number): boolean {
    return this.committed(syncBackups) >= this.#noted;
  }

  /** A view with this entry was adopted; this member is its primary, in the same epoch as before. */
  adopt(entry: TableEntry): void {
    this.#noteAnswered();
    if (
      !entry.settled &&
      (this.#entry.settled || entry.moving !== this.#entry.moving || this.#movesUp(entry))
    ) {
      this.#settleAt = this.replica.seq;
    }
    this.#entry = entry;
    const nowMs = this.#host.clock.now();
    const present = new Set<MemberId>();
    entry.replicas.forEach(({ member, synced }, index) => {
      if (member === this.#host.self) return;
      present.add(member);
      const known = this.slots.get(member);
      const slot = known ?? new Slot(member, synced, index, nowMs);
      slot.index = index;
      if (slot.synced && !synced) this.#restart(slot);
      slot.synced = synced;
      if (synced) {
        slot.migration = null;
        slot.complete = false;
      }
      this.slots.set(member, slot);
      if (synced && !slot.streaming) this.#askState(slot);
    });
    for (const [member, slot] of this.slots) {
      if (present.has(member)) continue;
      slot.migration?.cancel();
      this.slots.delete(member);
    }
    this.#recount();
    this.#trim();
    this.release();
  }

  /** A backup comes to a lower index: writes wait for it from now on that did not before. */
  #movesUp(entry: TableEntry): boolean {
    return entry.replicas.some(({ member }, index) => index < (this.slots.get(member)?.index ?? 0));
  }

  #restart(slot: Slot): void {
    slot.streaming = false;
    slot.reserved = false;
    slot.waited = false;
    slot.complete = false;
    slot.behind = false;
    slot.migration?.cancel();
    slot.migration = null;
  }

  #askState(slot: Slot): void {
    const { epoch, history, seq } = this.replica;
    this.#host.send(slot.member, messages.streamStart, this.replica.id, { epoch, history, seq });
  }

  #recount(): void {
    const slots = [...this.slots.values()];
    this.#required = Array.from({ length: MAX_BACKUPS + 1 }, (_, k) =>
      k === 0
        ? []
        : slots.filter((slot) => slot.waited || (slot.synced && (this.#entry.moving || slot.index <= k))),
    );
  }

  /** Replicas that are waited for from now on have not what was answered before they were. */
  #noteAnswered(): void {
    this.#answered = this.#required.map((_, k) => Math.max(this.#answered[k] ?? 0, this.committed(k)));
  }

  syncedBackups(syncBackups: number): number {
    let synced = 0;
    for (const slot of this.slots.values()) if (slot.synced && slot.index <= syncBackups) synced++;
    return synced;
  }

  /** Highest position that all replicas have which count for this many sync backups. */
  committed(syncBackups: number): number {
    let lowest = this.replica.seq;
    const required = this.#required[syncBackups] as Slot[];
    for (let i = 0; i < required.length; i++) {
      const slot = required[i] as Slot;
      const acked = slot.streaming ? slot.acked : 0;
      if (acked < lowest) lowest = acked;
    }
    return lowest;
  }

  wait(syncBackups: number, waiter: Waiter): void {
    if (!waiter.isWrite) this.#counters.waitedReads++;
    this.#waiters.add(syncBackups, waiter);
  }

  release(): void {
    if (this.#waiters.size === 0) return;
    for (let k = 0; k <= MAX_BACKUPS; k++)
      if (!this.#waiters.isEmpty(k)) this.#waiters.release(k, this.committed(k));
  }

  /** Whether there are replicas besides this one; without, a position goes nowhere and is not kept. */
  get isReplicated(): boolean {
    return this.slots.size > 0;
  }

  /** The position replica.seq was just applied here. */
  append(body: Uint8Array): void {
    const { replica } = this;
    if (this.slots.size === 0) return;
    replica.log.append({ epoch: replica.epoch, seq: replica.seq, body });
    for (const slot of this.slots.values()) {
      if (slot.acked === replica.seq - 1) slot.restEnds(this.#host.clock.now());
      this.#pump(slot);
    }
    if (this.#noneStreams()) replica.log.clear();
  }

  #noneStreams(): boolean {
    for (const slot of this.slots.values()) if (slot.streaming || slot.reserved || slot.synced) return false;
    return true;
  }

  #pump(slot: Slot): void {
    const { replica } = this;
    while (slot.streaming && slot.sent < replica.seq) {
      if (this.#host.queuedBytes(slot.member) > SEND_AHEAD_BYTES) return;
      const entry = replica.log.at(slot.sent + 1);
      if (entry === undefined) {
        this.#lost(slot);
        return;
      }
      // Silence counts from what was sent first, not from the last answer before a rest.
      if (slot.sent === slot.acked) slot.progressMs = this.#host.clock.now();
      this.#sendEntry(slot, entry);
      slot.sent = entry.seq;
    }
  }

  #sendEntry(slot: Slot, entry: LogEntry): void {
    const trim = this.#lowestAcked();
    const body = { epoch: this.replica.epoch, seq: entry.seq, trim, entry: entry.body };
    this.#host.send(slot.member, messages.stream, this.replica.id, body);
  }

  /** The log does not reach back to what the replica lacks. */
  #lost(slot: Slot): void {
    this.#host.logger.log('warn', 'a replica fell behind the log and has to be copied anew', {
      partition: this.replica.id,
      member: slot.member,
      acked: slot.acked,
    });
    if (slot.synced) {
      slot.behind = true;
      this.#host.reportSoon();
    } else {
      this.#restart(slot);
      this.#recount();
    }
  }

  #lowestAcked(): number {
    let lowest = this.replica.seq;
    for (const slot of this.slots.values()) {
      if (!slot.streaming && !slot.reserved && !slot.synced) continue;
      const acked = slot.streaming || slot.reserved ? slot.acked : 0;
      if (acked < lowest) lowest = acked;
    }
    return lowest;
  }

  /** The stream rests: the next position, which would carry it, may be long in coming. */
  #sendTrim(slot: Slot): void {
    const { epoch, seq, log, id } = this.replica;
    if (!slot.streaming || log.length > 0 || slot.trimSent >= seq) return;
    slot.trimSent = seq;
    this.#host.send(slot.member, messages.streamTrim, id, { epoch, seq });
  }

  #trim(): void {
    if (this.slots.size === 0) this.replica.keepTail();
    this.replica.log.trim(this.#lowestAcked());
  }

  onAck(member: MemberId, epoch: number, seq: number): void {
    const slot = this.slots.get(member);
    if (slot === undefined || !slot.streaming || epoch !== this.replica.epoch || seq > this.replica.seq)
      return;
    if (seq <= slot.acked) return;
    slot.acked = seq;
    if (seq > slot.sent) slot.sent = seq;
    this.#progressed(slot);
    this.#trim();
    this.#checkLevel(slot);
    this.release();
    this.#pump(slot);
  }

  #progressed(slot: Slot): void {
    const nowMs = this.#host.clock.now();
    slot.progressMs = nowMs;
    slot.advanced(nowMs, this.replica.seq);
    slot.resendAfterMs = RESEND_AFTER_MS;
    this.#progress.set(slot.member, nowMs);
  }

  /** A replica told where it stands in this epoch. */
  onState(member: MemberId, epoch: number, seq: number, divergent: boolean): void {
    const slot = this.slots.get(member);
    if (slot === undefined) return;
    // Positions beyond the primary's own are not its history, whatever the replica believes.
    const isBeyond = epoch === this.replica.epoch && seq > this.replica.seq;
    if (divergent || isBeyond) {
      this.#counters.divergent++;
      if (slot.synced) {
        slot.behind = true;
        this.#host.reportSoon();
      }
      return;
    }
    if (epoch !== this.replica.epoch) {
      if (slot.synced || slot.streaming) this.#askState(slot);
      return;
    }
    if (!slot.synced) return;
    if (!slot.streaming) {
      slot.streaming = true;
      slot.acked = Math.min(seq, this.replica.seq);
      slot.sent = slot.acked;
      slot.begins(this.#host.clock.now(), this.replica.seq);
    }
    this.#progressed(slot);
    this.onAck(member, epoch, seq);
    // Level already, without a word of anything new.
    this.#checkLevel(slot);
    this.release();
    this.#pump(slot);
  }

  onRepairRequest(member: MemberId, epoch: number, seq: number): void {
    const slot = this.slots.get(member);
    if (slot === undefined || !slot.streaming || epoch !== this.replica.epoch) return;
    this.#counters.repairs++;
    this.#resend(slot, seq);
  }

  /** Whether anything was sent. */
  #resend(slot: Slot, from: number): boolean {
    const { replica } = this;
    if (this.#host.queuedBytes(slot.member) > SEND_AHEAD_BYTES) return false;
    const last = Math.min(slot.sent, from + RESEND_BATCH - 1);
    let sent = false;
    for (let seq = from; seq <= last; seq++) {
      const entry = replica.log.at(seq);
      if (entry === undefined) {
        if (seq > slot.acked) this.#lost(slot);
        break;
      }
      if (this.#isOnItsWay(slot, entry)) break;
      this.#counters.resent++;
      this.#sendEntry(slot, entry);
      sent = true;
    }
    if (sent) slot.progressMs = this.#host.clock.now();
    return sent;
  }

  /** A large position travels in pieces behind everything else: sent again too early, it only delays itself. */
  #isOnItsWay(slot: Slot, entry: LogEntry): boolean {
    const sizeBytes = entry.body.length;
    if (sizeBytes <= PIECE_BYTES) return false;
    if (this.#host.queuedBytes(slot.member) > PIECE_BYTES) return true;
    return this.#host.clock.now() - slot.progressMs < slot.resendAfterMs + sizeBytes / SLOWEST_BYTES_PER_MS;
  }

  reserve(slot: Slot, seq: number): void {
    slot.streaming = false;
    slot.reserved = true;
    slot.acked = seq;
    slot.sent = seq;
  }

  beginStream(slot: Slot): void {
    slot.streaming = true;
    slot.reserved = false;
    slot.progressMs = this.#host.clock.now();
    slot.begins(slot.progressMs, this.replica.seq);
    this.#pump(slot);
  }

  /** The whole copy has arrived: from now on the replica's acknowledgement is waited for. */
  copied(slot: Slot): void {
    if (this.#host.faults.readyUnwaited === true) {
      slot.complete = true;
      this.#host.reportSoon();
      return;
    }
    slot.waited = true;
    slot.levelAt = this.replica.seq;
    this.#recount();
    this.#checkLevel(slot);
  }

  #checkLevel(slot: Slot): void {
    if (slot.waited && !slot.complete && !slot.synced && slot.acked >= slot.levelAt) {
      slot.complete = true;
      this.#counters.migrationsCompleted++;
      this.#host.reportSoon();
    }
    if (!this.#entry.settled && this.isSettled) this.#host.reportSoon();
  }

  /** All synced replicas have what was there when the entry last changed. */
  get isSettled(): boolean {
    for (const slot of this.slots.values()) {
      if (slot.synced && (!slot.streaming || slot.acked < this.#settleAt)) return false;
    }
    return true;
  }

  get entry(): TableEntry {
    return this.#entry;
  }

  /** Repeats what was not acknowledged, and ends what waited too long. */
  tick(nowMs: number): void {
    for (const slot of this.slots.values()) {
      if (slot.synced && slot.waited && !this.#entry.moving && this.#entry.settled) {
        slot.waited = false;
        this.#recount();
        this.release();
      }
      if (nowMs - slot.progressMs < slot.resendAfterMs) continue;
      this.#sendTrim(slot);
      if (slot.synced && !slot.streaming) {
        slot.progressMs = nowMs;
        this.#askState(slot);
      } else if (slot.streaming && slot.acked < this.replica.seq) {
        this.#pump(slot);
        if (this.#resend(slot, slot.acked + 1))
          slot.resendAfterMs = Math.min(MAX_RESEND_AFTER_MS, 2 * slot.resendAfterMs);
      }
    }
    const expired = this.#waiters.expire(nowMs, (k, waiter) => this.#isMoving(k, waiter, nowMs));
    for (const waiter of expired) this.#expired(waiter);
  }

  /** A backup that works off a long queue, or a large position, is not silent. */
  #isMoving(syncBackups: number, waiter: Waiter, nowMs: number): boolean {
    const heardMs = (member: MemberId) =>
      Math.max(this.#progress.get(member) ?? Number.NEGATIVE_INFINITY, this.#host.confirmedMs(member));
    return (this.#required[syncBackups] as Slot[]).every(
      (slot) =>
        (slot.streaming && slot.acked >= waiter.seq) || nowMs - heardMs(slot.member) < waiter.silenceMs,
    );
  }

  #expired(waiter: Waiter): void {
    if (!waiter.isWrite) {
      waiter.sink.fail(
        waiter.call,
        'NotServing',
        false,
        'the write that this read would show is not on its backups yet',
      );
      return;
    }
    this.#counters.backupTimeouts++;
    if (waiter.succeedOnTimeout) waiter.done();
    else waiter.sink.fail(waiter.call, 'Indeterminate', true, 'a backup did not acknowledge in time');
  }

  /** Gives up the log's oldest part: replicas that no answer waits for are copied anew. True when that helped. */
  shed(maxSyncBackups: number): boolean {
    let shed = false;
    for (const slot of this.slots.values()) {
      const counts = slot.waited || (slot.synced && (this.#entry.moving || slot.index <= maxSyncBackups));
      if (counts || slot.acked === this.replica.seq || slot.behind) continue;
      this.#lost(slot);
      shed = true;
    }
    return shed;
  }

  /** This member is not the primary any more: what waits may have happened, and may yet. */
  stop(message: string): void {
    this.#noteAnswered();
    const { answered, history } = this.replica;
    const { epoch = 0, start = 0 } = history.at(-1) ?? {};
    // Of what came before this epoch its own primaries may have answered everything.
    const upTo = this.#answered.map((seq) => Math.max(seq, start));
    answered.set(lineageOf(history), { epoch, upTo });
    for (const waiter of this.#waiters.drain())
      waiter.sink.fail(waiter.call, 'WrongTarget', waiter.isWrite, message);
    this.#host.executor().released(this.replica.id, message);
  }
}
