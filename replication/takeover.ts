/**
 * A member that becomes the primary of a partition takes, before it serves, what surviving replicas have beyond it.
 * A survivor answers only after it has adopted the view of the takeover, so a former primary among them has
 * stopped: its answer is the confirmation of a planned handover. Synchronous; driven by `replication.ts`.
 */

import { applyEntry } from '../partitions/apply-entry.js';
import { decodeEntry } from '../partitions/entry-body.js';
import { epochOf, isPrefix } from '../partitions/history.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { MemberId, TableEntry } from '../src/cluster/view.js';
import type { BodyOf } from '../src/wire/message.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';
import * as messages from './messages.js';

const ASK_AGAIN_MS = 200;
const REPLY_BYTES = 512 * 1024;

export class Takeover {
  readonly replica: PartitionReplica;
  readonly epoch: number;
  /** The former primary is alive and hands over. */
  readonly isPlanned: boolean;
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #answered = new Set<MemberId>();
  /** Survivors with more than is here, which cannot give it; another one may. */
  readonly #ahead = new Set<MemberId>();
  #asked: MemberId[] = [];
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(
    replica: PartitionReplica,
    entry: TableEntry,
    isPlanned: boolean,
    host: ReplicationHost,
    counters: ReplicationCounters,
  ) {
    this.replica = replica;
    this.epoch = entry.epoch;
    this.isPlanned = isPlanned;
    this.#host = host;
    this.#counters = counters;
    this.adopt(entry);
  }

  adopt(entry: TableEntry): void {
    this.#asked = entry.replicas
      .filter(({ member, synced }) => synced && member !== this.#host.self)
      .map(({ member }) => member);
    this.#askedMs = Number.NEGATIVE_INFINITY;
  }

  get isLevel(): boolean {
    return this.#host.faults.handoverUnconfirmed === true || this.missing.length === 0;
  }

  /** For people: whose answer is missing. */
  get missing(): MemberId[] {
    return this.#asked.filter((member) => !this.#answered.has(member) && !this.#ahead.has(member));
  }

  tick(nowMs: number): void {
    if (nowMs - this.#askedMs < ASK_AGAIN_MS) return;
    this.#askedMs = nowMs;
    for (const member of this.missing) this.#ask(member);
  }

  #ask(member: MemberId): void {
    const { epoch, seq, history } = this.replica;
    this.#host.send(member, messages.levelRequest, this.replica.id, {
      takeover: this.epoch,
      epoch,
      seq,
      history,
    });
  }

  onReply(from: MemberId, body: BodyOf<typeof messages.levelReply>): void {
    const { replica } = this;
    if (!this.#asked.includes(from) || this.#answered.has(from) || body.takeover !== this.epoch) return;
    if (body.askedEpoch !== replica.epoch || body.askedSeq !== replica.seq) {
      // Another survivor's entries came first; ask again from the new position.
      this.#ask(from);
      return;
    }
    if (isPrefix(body, replica)) {
      this.#answered.add(from);
      return;
    }
    if (!isPrefix(replica, body)) {
      this.#tell('a replica diverged from the one that takes over and will be copied anew', from);
      this.#counters.divergent++;
      this.#answered.add(from);
    } else if (this.#take(body) > 0) {
      this.#ahead.clear();
      if (replica.seq >= body.seq) this.#answered.add(from);
      else this.#ask(from);
    } else {
      // It got its contents by a copy, so its log does not reach back to what is missing here, and never will. What was
      // acknowledged is here too, or this member would not lead; the rest is merged or reported by the survivor.
      this.#tell('a replica is ahead of the one that takes over and cannot give it what is missing', from);
      this.#ahead.add(from);
    }
  }

  #tell(event: string, member: MemberId): void {
    this.#host.logger.log('warn', event, { partition: this.replica.id, member });
  }

  /** Applies what is next; returns how many positions that were. */
  #take(body: BodyOf<typeof messages.levelReply>): number {
    const { replica } = this;
    const before = replica.seq;
    const services = (id: number) => this.#host.executor().service(id);
    for (const { epoch, seq, entry } of body.entries) {
      if (seq !== replica.seq + 1) continue;
      const decoded = decodeEntry(entry);
      applyEntry(replica, seq, decoded, services, this.#host.hlc, this.#host.clock.now());
      replica.log.append({ epoch, seq, body: Buffer.from(entry) });
      this.#counters.levelledEntries++;
    }
    if (replica.seq > before) {
      replica.epoch = body.epoch;
      replica.history = [...body.history];
    }
    return replica.seq - before;
  }
}

/** The answer of a survivor: its position, and entries of its log beyond what the new primary has. */
export function levelReply(
  replica: PartitionReplica,
  ask: BodyOf<typeof messages.levelRequest>,
  confirmMs: number | null,
): BodyOf<typeof messages.levelReply> {
  const { epoch, seq, history } = replica;
  const entries = [];
  let size = 0;
  if (isPrefix(ask, replica)) {
    for (let next = ask.seq + 1; next <= seq && size < REPLY_BYTES; next++) {
      // In a fork without other replicas the log is given up; what some may lack was put into the tail before.
      const entry = replica.bodyAt(next);
      if (entry === undefined) break;
      entries.push({ epoch: epochOf(history, next)?.epoch ?? 0, seq: next, entry });
      size += entry.length;
    }
  }
  const { takeover, epoch: askedEpoch, seq: askedSeq } = ask;
  return { takeover, askedEpoch, askedSeq, confirmMs, epoch, seq, history, entries };
}
