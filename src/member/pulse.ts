/**
 * Which client sessions live, as this member hears of them: clients say so once a second, to all members or through one
 * of them, and each member says so of its embedded calls. Invariants: a session is dead when nothing was heard of it for
 * `timeoutMs`, or at once when its client has shut down or its member is in the view no more; time in which this member
 * heard nobody, because it stood still, does not count. Asked by whatever ends with sessions: the locks of keys.
 */
import type { MemberId } from '../cluster/view.js';

/** Beyond it no further session is noted: what it holds ends after `timeoutMs`. */
const MAX_SESSIONS = 200_000;
/** Without being looked at for so long the process stood still. */
const STILL_MS = 3_000;

interface Beat {
  heardMs: number;
  /** Set when it is known to have ended; what it held then is over. */
  endedMs: number | null;
  /** It has shut down: what is heard of it after that was late. */
  isOver: boolean;
}

export class Pulse {
  readonly #timeoutMs: number;
  readonly #beats = new Map<number, Beat>();
  /** Sessions of embedded calls. */
  readonly #ofMember = new Map<MemberId, number>();
  #lookedMs = Number.POSITIVE_INFINITY;
  /** From here on this member has listened all the time. */
  #awakeMs = Number.NEGATIVE_INFINITY;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** `member`: the session is that of its embedded calls. */
  heard(client: number, nowMs: number, member: MemberId | null): void {
    const beat = this.#beats.get(client);
    if (beat === undefined) this.#note(client, { heardMs: nowMs, endedMs: null, isOver: false });
    else if (!beat.isOver) Object.assign(beat, { heardMs: nowMs, endedMs: null });
    if (member !== null) this.#ofMember.set(member, client);
  }

  #note(client: number, beat: Beat): void {
    if (this.#beats.size < MAX_SESSIONS) this.#beats.set(client, beat);
  }

  /** It has shut down, perhaps before anything was heard of it. */
  ended(client: number, nowMs: number): void {
    const over = { heardMs: nowMs, endedMs: nowMs, isOver: true };
    const beat = this.#beats.get(client);
    if (beat === undefined) this.#note(client, over);
    else Object.assign(beat, over);
  }

  /** What members that are not in the view had embedded is dead here. */
  adopted(members: readonly { readonly id: MemberId }[], nowMs: number): void {
    for (const [member, client] of this.#ofMember) {
      if (members.some(({ id }) => id === member)) continue;
      this.#ofMember.delete(member);
      const beat = this.#beats.get(client);
      // A view may have been wrong about it.
      if (beat !== undefined) beat.endedMs = nowMs;
    }
  }

  /** To be called about once a second: forgets who is dead for long, and notes whether the process stood still. */
  look(nowMs: number): void {
    if (nowMs - this.#lookedMs > STILL_MS) this.#awakeMs = nowMs;
    this.#lookedMs = nowMs;
    for (const [client, { heardMs }] of this.#beats)
      if (nowMs - heardMs > 2 * this.#timeoutMs) this.#beats.delete(client);
  }

  /**
   * Whether a session is dead that held something at `sinceMs`. `listensMs`: since when this member is the one to judge.
   */
  isGone(client: number, sinceMs: number, listensMs: number, nowMs: number): boolean {
    const beat = this.#beats.get(client);
    if (beat !== undefined && beat.endedMs !== null && beat.endedMs >= sinceMs) return true;
    const fromMs = Math.max(beat?.heardMs ?? 0, sinceMs, listensMs, this.#awakeMs);
    return nowMs - fromMs > this.#timeoutMs;
  }
}
