/**
 * Replicas that this member holds and that are out of use: they left a fork, were left out of a view, or diverged.
 * What they have that the present primary of their partition lacks is merged there; then they are given up. All
 * holders of a history keep theirs until then, so that any of them can finish. Also this member's side as such a
 * primary. Synchronous; owned by `replication.ts`.
 *
 * Invariant: a replica is given up only when the primary has confirmed that everything of it is safe there.
 */
import { lineageOf } from '../partitions/history.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { Reader } from '../src/base/bytes.js';
import { lineageTag, type MemberId, tagText, type View } from '../src/cluster/view.js';
import type { Header } from '../src/wire/frame.js';
import type { MessageDef } from '../src/wire/message.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';
import * as messages from './merge-messages.js';
import { MergeAttempt, type MergeBudget } from './merge-source.js';
import { MergeTarget } from './merge-target.js';

/** Attempts that one member has under way at a time. */
const MAX_ATTEMPTS = 16;
/** An attempt that was refused, or lost its owner, is followed by the next one after this long. */
const AGAIN_AFTER_MS = 200;
/** The longest pause behind attempts of which the owner could not take a step. */
const MAX_AGAIN_AFTER_MS = 6_400;

interface Leftover {
  readonly replica: PartitionReplica;
  /** Somebody else may need it yet: it is not given up when it is merged. */
  readonly isKept: boolean;
  /** The view in which this member came to where the contents go: part of the name of the report. */
  joined: { readonly lineage: string; readonly number: number } | null;
  attempt: MergeAttempt | null;
  /** Epoch and lineage that the attempt is made in. */
  place: string;
  notBeforeMs: number;
  againAfterMs: number;
}

/** For status and tests. */
export interface LeftoverStatus {
  readonly partition: number;
  readonly lineage: number;
  readonly epoch: number;
  readonly seq: number;
  readonly entries: number;
  readonly sizeBytes: number;
  /** Whether a merge is under way, and what it has sent. */
  readonly sentBytes: number | null;
}

export class Leftovers {
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #target: MergeTarget;
  /** By partition, in the order in which they are merged. */
  readonly #waiting = new Map<number, Leftover[]>();
  readonly #budget: MergeBudget = { inFlightBytes: 0 };
  #nextMerge = 1;
  #size = 0;

  constructor(host: ReplicationHost, counters: ReplicationCounters) {
    this.#host = host;
    this.#counters = counters;
    this.#target = new MergeTarget(host, counters, (to, def, partition, body) =>
      this.#send(to, def, partition, body),
    );
  }

  /** Replicas that wait for their merge or are being merged. */
  get size(): number {
    return this.#size;
  }

  /** Of the contents that wait. */
  get sizeBytes(): number {
    let bytes = 0;
    for (const list of this.#waiting.values()) for (const { replica } of list) bytes += replica.sizeBytes;
    return bytes;
  }

  /** Bytes of merges on their way; bounded for all of them together. */
  get inFlightBytes(): number {
    return this.#budget.inFlightBytes;
  }

  /** Takes a replica out of use; `isKept`: for now, until `withdraw`, and it is not given up when it is merged. */
  add(replica: PartitionReplica, isKept = false): void {
    // The copy of a replica that was still arriving is not all there is of its history; the others have that.
    if (!replica.complete || replica.seq === 0 || replica.history.length === 0) {
      if (!isKept) replica.reset();
      return;
    }
    const list = this.#waiting.get(replica.id) ?? [];
    list.push({
      replica,
      isKept,
      joined: null,
      attempt: null,
      place: '',
      notBeforeMs: Number.NEGATIVE_INFINITY,
      againAfterMs: AGAIN_AFTER_MS,
    });
    this.#waiting.set(replica.id, list);
    this.#size++;
  }

  tick(nowMs: number, view: View | null): void {
    this.#target.tick(nowMs);
    if (view === null) {
      for (const list of this.#waiting.values()) for (const leftover of list) this.#stop(leftover);
      return;
    }
    let under = 0;
    for (const [partition, list] of this.#waiting) {
      for (const leftover of list)
        if (leftover.joined?.lineage !== view.lineage)
          leftover.joined = { lineage: view.lineage, number: view.number };
      const leftover = attempted(list) ?? list.find((one) => nowMs >= one.notBeforeMs);
      if (leftover === undefined) continue;
      const primary = view.table[partition]?.replicas[0]?.member;
      const place = `${view.lineage} ${view.table[partition]?.epoch} ${primary}`;
      if (leftover.place !== place) this.#stop(leftover);
      if (primary === undefined) continue;
      if (leftover.attempt !== null) under++;
      else if (under < MAX_ATTEMPTS) {
        under++;
        this.#start(leftover, primary, place);
      }
      leftover.attempt?.pump(nowMs);
      this.#settle(leftover, nowMs);
    }
  }

  #start(leftover: Leftover, primary: MemberId, place: string): void {
    const { replica, joined } = leftover;
    const from = lineageOf(replica.history);
    const to = lineageTag(joined?.lineage ?? '0');
    const reportId = `${tagText(from)}-${tagText(to)}-${joined?.number ?? 0}`;
    leftover.place = place;
    leftover.attempt = new MergeAttempt(
      replica,
      primary,
      this.#nextMerge++ >>> 0,
      reportId,
      this.#host,
      this.#counters,
      this.#budget,
      (to_, def, partition, body) => this.#send(to_, def, partition, body),
    );
  }

  #stop(leftover: Leftover): void {
    leftover.attempt?.cancel();
    leftover.attempt = null;
    leftover.place = '';
  }

  /** Gives up what is merged; an attempt that is over is followed by one of the next leftover of the partition. */
  #settle(leftover: Leftover, nowMs: number): void {
    const { attempt, replica } = leftover;
    if (attempt === null || attempt.state === 'under way') return;
    this.#stop(leftover);
    if (attempt.state === 'over') {
      leftover.againAfterMs = attempt.wasRefused
        ? Math.min(MAX_AGAIN_AFTER_MS, 2 * leftover.againAfterMs)
        : AGAIN_AFTER_MS;
      leftover.notBeforeMs = nowMs + leftover.againAfterMs;
      this.#putLast(leftover);
      return;
    }
    this.#remove(leftover);
    this.#counters.mergesCompleted++;
    if (!leftover.isKept) replica.reset();
  }

  /** One that cannot be merged now, or ever, holds up no other one. */
  #putLast(leftover: Leftover): void {
    const list = this.#waiting.get(leftover.replica.id) as Leftover[];
    list.splice(list.indexOf(leftover), 1);
    list.push(leftover);
  }

  #remove(leftover: Leftover): void {
    const { id } = leftover.replica;
    const list = (this.#waiting.get(id) ?? []).filter((other) => other !== leftover);
    if (list.length === 0) this.#waiting.delete(id);
    else this.#waiting.set(id, list);
    this.#size--;
  }

  /** The replica is in use again. */
  withdraw(replica: PartitionReplica): void {
    const leftover = this.#waiting.get(replica.id)?.find((other) => other.replica === replica);
    if (leftover === undefined) return;
    this.#stop(leftover);
    this.#remove(leftover);
  }

  /** One that nobody else may need becomes the caller's. */
  take(partition: number): PartitionReplica | null {
    const leftover = this.#waiting.get(partition)?.find(({ isKept }) => !isKept);
    if (leftover === undefined) return null;
    this.#stop(leftover);
    this.#remove(leftover);
    return leftover.replica;
  }

  // --- messages

  /** To this very member: the same path without a network, in a turn of its own. */
  #send<T>(to: MemberId, def: MessageDef<T>, partition: number, body: T): void {
    if (to !== this.#host.self) this.#host.send(to, def, partition, body);
    else this.#host.clock.defer(() => this.#take(to, def.id, partition, () => body as never));
  }

  /** Handles the messages of merges; false when it is none. Those of another lineage are left unanswered. */
  receive(from: MemberId, header: Header, reader: Reader): boolean {
    const { message, partition, lineage } = header;
    if (message < messages.mergeBegin.id || message > messages.mergeAck.id) return false;
    const { view } = this.#host;
    if (view !== null && lineage === lineageTag(view.lineage) && partition < view.table.length)
      this.#take(from, message, partition, (def) => def.read(reader));
    return true;
  }

  #take(from: MemberId, message: number, partition: number, read: <T>(def: MessageDef<T>) => T): void {
    switch (message) {
      case messages.mergeBegin.id:
        this.#target.onBegin(from, partition, read(messages.mergeBegin));
        return;
      case messages.mergeCalls.id:
        this.#target.onCalls(from, partition, read(messages.mergeCalls));
        return;
      case messages.mergeBatch.id:
        this.#target.onBatch(from, partition, read(messages.mergeBatch));
        return;
      case messages.mergeEnd.id:
        this.#target.onEnd(from, partition, read(messages.mergeEnd));
        return;
      default:
        this.#answered(from, message, partition, read);
    }
  }

  #answered(from: MemberId, message: number, partition: number, read: <T>(def: MessageDef<T>) => T): void {
    const leftover = attempted(this.#waiting.get(partition) ?? []);
    const attempt = leftover?.attempt;
    if (leftover === undefined || attempt === null || attempt === undefined || attempt.to !== from) return;
    const nowMs = this.#host.clock.now();
    if (message === messages.mergeBegun.id) {
      const body = read(messages.mergeBegun);
      if (body.merge === attempt.merge) attempt.onBegun(body, nowMs);
    } else {
      const body = read(messages.mergeAck);
      if (body.merge === attempt.merge) attempt.onAck(body, nowMs);
    }
    this.#settle(leftover, nowMs);
  }

  // --- inspection and end

  status(): LeftoverStatus[] {
    return [...this.#waiting.values()].flat().map(({ replica, attempt }) => ({
      partition: replica.id,
      lineage: lineageOf(replica.history),
      epoch: replica.history.at(-1)?.epoch ?? 0,
      seq: replica.seq,
      entries: replica.entryCount,
      sizeBytes: replica.sizeBytes,
      sentBytes: attempt?.sentBytes ?? null,
    }));
  }

  /** A process that ends gives everything back. */
  dispose(): void {
    for (const list of this.#waiting.values()) {
      for (const leftover of list) {
        this.#stop(leftover);
        leftover.replica.reset();
      }
    }
    this.#waiting.clear();
    this.#size = 0;
  }
}

/** The one that is being merged: at most one of a partition. */
function attempted(list: readonly Leftover[]): Leftover | undefined {
  return list.find(({ attempt }) => attempt !== null);
}
