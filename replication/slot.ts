/**
 * Another replica of a partition as its primary sees it, and what the copy of contents to it needs of the primary.
 */
import type { PartitionReplica } from '../partitions/replica.js';
import type { MemberId } from '../src/cluster/view.js';

/** A copy of the contents that is under way. */
export interface Copy {
  readonly isDone: boolean;
  readonly copiedBytes: number;
  pump(nowMs: number): void;
  onAck(migration: number, index: number, nowMs: number): void;
  cancel(): void;
}

/** The primary, as a copy sees it. */
export interface CopyHost {
  readonly replica: PartitionReplica;
  /** A copy is announced: positions after `seq` are kept for the replica. */
  reserve(slot: Slot, seq: number): void;
  /** The replica has confirmed the announcement: what is kept for it is sent from now on. */
  beginStream(slot: Slot): void;
  /** The whole copy has arrived. */
  copied(slot: Slot): void;
}

/** Another replica as the primary sees it. */
export class Slot {
  readonly member: MemberId;
  /** By the view: it counts for acknowledgement. */
  synced: boolean;
  /** 1 for the first backup. */
  index: number;
  /** It has told where it stands in this epoch, or its copy began: positions are sent to it. */
  streaming = false;
  /**
   * Its copy is announced and not confirmed: the log is kept from `acked` on. Nothing is sent yet, because what it
   * acknowledged before it starts anew would be counted for the new copy.
   */
  reserved = false;
  acked = 0;
  sent = 0;
  /** Up to where it was told that every replica has everything. */
  trimSent = 0;
  /** Its acknowledgement is waited for although the view does not call it synced yet. */
  waited = false;
  /** Position that it has to reach after `waited` began. */
  levelAt = 0;
  /** It lacks nothing any more that was answered: reported to the proposer of the next view. */
  complete = false;
  /** It can not be brought level from the log: reported, to be copied anew. */
  behind = false;
  /** When it last acknowledged something new, or was sent something after a rest, or again. */
  progressMs: number;
  /** Silence after which positions are sent again. */
  resendAfterMs = 200;
  migration: Copy | null = null;
  /** All that was made up to this time it has; what it lacks now is younger. Nobody knows before it was level once. */
  #levelMs = Number.NEGATIVE_INFINITY;
  /** Once it has this position it has all that was made up to `#markMs`. */
  #mark = Number.POSITIVE_INFINITY;
  #markMs = 0;

  constructor(member: MemberId, synced: boolean, index: number, nowMs: number) {
    this.member = member;
    this.synced = synced;
    this.index = index;
    this.progressMs = nowMs;
  }

  /** Positions are sent to it from now on, and it may lack older ones; `seq` is the primary's position. */
  begins(nowMs: number, seq: number): void {
    this.#levelMs = Number.NEGATIVE_INFINITY;
    this.#mark = seq;
    this.#markMs = nowMs;
  }

  /** It has everything but the position that was made just now. */
  restEnds(nowMs: number): void {
    this.#levelMs = nowMs;
    this.#mark = this.acked + 1;
    this.#markMs = nowMs;
  }

  /** It has acknowledged something new; `seq` is the primary's position. */
  advanced(nowMs: number, seq: number): void {
    if (this.acked < this.#mark) return;
    this.#levelMs = this.#markMs;
    this.#mark = seq;
    this.#markMs = nowMs;
  }

  /** How far it is behind; null while it has not said where it is. */
  lag({ seq, log }: PartitionReplica, nowMs: number): SlotLag | null {
    if (!this.streaming) return null;
    const positions = seq - this.acked;
    if (positions <= 0) return NO_LAG;
    const ageMs = nowMs - this.#levelMs;
    return { positions, bytes: log.bytesAfter(this.acked), ageMs: Number.isFinite(ageMs) ? ageMs : null };
  }
}

export interface SlotLag {
  readonly positions: number;
  /** Their size in the stream. */
  readonly bytes: number;
  /** The oldest of them was made at most so long ago; null: nobody here knows. */
  readonly ageMs: number | null;
}

const NO_LAG: SlotLag = { positions: 0, bytes: 0, ageMs: 0 };
