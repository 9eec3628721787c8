/**
 * Exactly once: for each client session, which calls this partition has applied and what it answered. The window
 * travels with the stream and with migration, so a new primary answers a retry instead of applying it again. A
 * window is never evicted: when it is full, new calls are refused until the client says what it no longer needs.
 */
import type { Reader, Writer } from '../src/base/bytes.js';
import { ProtocolError } from '../src/base/errors.js';
import { type Place, readPlace, writePlace } from './history.js';
import {
  type Addition,
  ReleasedCalls,
  ReleasedElsewhere,
  readAddition,
  writeAddition,
} from './released-calls.js';

/** A call that was applied here, or that was declared void so that it never will be. */
export interface WindowEntry {
  /** Of a void call: `UNKNOWN_OUTCOME`, or nothing. */
  readonly reply: Uint8Array;
  /** Position of the call in the partition's stream. */
  readonly seq: number;
  /** Sync backups that its answer has to wait for. */
  readonly syncBackups: number;
  readonly isVoid: boolean;
  /**
   * The structure was `consistent` when it was applied: beyond what two sides share it was never answered, and a merge
   * must not tell of it as done.
   */
  readonly isConsistent: boolean;
  /** Only of a call that came by a merge; `seq` is then the position at which it was announced. */
  readonly origin?: Place;
  /** Of a call that came by a merge: what it added where it was applied. */
  readonly addition?: Addition | null;
}

/**
 * In the place of a reply, so that it goes wherever windows go: the call is never applied again, but what is outside of the
 * grid may have it.
 */
export const UNKNOWN_OUTCOME = Uint8Array.of(1);

/** Nobody can tell whether the call took effect. */
export function isUnknown({ isVoid, reply }: Pick<WindowEntry, 'isVoid' | 'reply'>): boolean {
  return isVoid && reply.length > 0;
}

const MAX_SESSIONS = 50_000;
const MAX_CALLS = 16_384;
const MAX_REPLY_BYTES = 64 * 1024 * 1024;
const MAX_ENTRY_REPLY_BYTES = 17 * 1024 * 1024;
/** Of a call in a copy, besides its reply. */
const COPIED_CALL_BYTES = 8 + 8 + 1 + 1 + 4;
const FLAG = { void: 1, merged: 2, adds: 4, consistent: 8 } as const;
/** In a copy, instead of the number of a client: released calls follow, of one of these kinds. */
const RELEASED = 0;
const KIND = { here: 0, elsewhere: 1 } as const;

/** Bytes of the replies in all windows of a member, which are bounded together. */
export interface ReplyBudget {
  sizeBytes: number;
}

/** From here on a member takes no call whose reply it would have to remember. */
export const MAX_BUDGET_BYTES = 256 * 1024 * 1024;

export class Session {
  readonly #budget: ReplyBudget;
  readonly #client: number;
  readonly #released: ReleasedCalls;
  readonly #elsewhere: ReleasedElsewhere;
  readonly calls = new Map<number, WindowEntry>();
  /** The client needs nothing below this call sequence any more. */
  below = 0;
  highest = 0;
  replyBytes = 0;
  lastUsedMs: number;

  constructor(
    client: number,
    nowMs: number,
    budget: ReplyBudget,
    released: ReleasedCalls,
    elsewhere: ReleasedElsewhere,
  ) {
    this.#client = client;
    this.lastUsedMs = nowMs;
    this.#budget = budget;
    this.#released = released;
    this.#elsewhere = elsewhere;
  }

  #count(deltaBytes: number): void {
    this.replyBytes += deltaBytes;
    this.#budget.sizeBytes += deltaBytes;
  }

  get isFull(): boolean {
    return this.calls.size >= MAX_CALLS || this.replyBytes >= MAX_REPLY_BYTES;
  }

  find(call: number): WindowEntry | undefined {
    return call > this.highest ? undefined : this.calls.get(call);
  }

  add(call: number, entry: WindowEntry): void {
    if (this.calls.has(call)) return;
    if (call < this.below) {
      // Of a copy or a merge: the stream has brought meanwhile that the client needs it no more.
      if (entry.origin !== undefined || this.#released.find(this.#client, call) === undefined)
        this.#remember(call, entry);
      return;
    }
    this.calls.set(call, entry);
    this.#count(entry.reply.length);
    if (call > this.highest) this.highest = call;
  }

  /** Forgets what the client no longer needs, in whatever order it was applied. */
  release(below: number): void {
    const from = this.below;
    if (below <= from) return;
    this.below = below;
    // By number or by what is there, whichever is less: neither a wide gap nor a large window costs much.
    if (below - from < this.calls.size) for (let call = from; call < below; call++) this.#drop(call);
    else for (const call of this.calls.keys()) if (call < below) this.#drop(call);
  }

  #drop(call: number): void {
    const entry = this.calls.get(call);
    if (entry === undefined) return;
    this.calls.delete(call);
    this.#count(-entry.reply.length);
    this.#remember(call, entry);
  }

  /** For merges: the client needs it no more. */
  #remember(sequence: number, { seq, syncBackups, origin, addition = null }: WindowEntry): void {
    const client = this.#client;
    const added = addition === null ? null : { client, sequence, seq, syncBackups, addition };
    if (origin === undefined) this.#released.add(client, sequence, added);
    else if (added !== null) this.#elsewhere.add({ ...added, origin });
  }

  /** Gives back what it holds of the budget. */
  clear(): void {
    this.calls.clear();
    this.#count(-this.replyBytes);
  }
}

export class SessionWindows {
  readonly #sessions = new Map<number, Session>();
  readonly released = new ReleasedCalls();
  readonly elsewhere = new ReleasedElsewhere();
  readonly #budget: ReplyBudget;

  constructor(budget: ReplyBudget = { sizeBytes: 0 }) {
    this.#budget = budget;
  }

  /** The windows of this member hold as many bytes of replies as they may. */
  get isOverBudget(): boolean {
    return this.#budget.sizeBytes >= MAX_BUDGET_BYTES;
  }

  get size(): number {
    return this.#sessions.size;
  }

  find(client: number): Session | undefined {
    return this.#sessions.get(client);
  }

  /** No further session fits; those that are known go on. */
  isFullFor(client: number): boolean {
    return this.#sessions.size >= MAX_SESSIONS && !this.#sessions.has(client);
  }

  open(client: number, nowMs: number): Session {
    let session = this.#sessions.get(client);
    if (session === undefined) {
      session = new Session(client, nowMs, this.#budget, this.released, this.elsewhere);
      this.#sessions.set(client, session);
    }
    session.lastUsedMs = nowMs;
    return session;
  }

  /** Drops sessions that were not used for `ttlMs`; their late retries are answered as indeterminate by age. */
  expire(nowMs: number, ttlMs: number): number {
    let ended = 0;
    for (const [client, session] of this.#sessions) {
      if (nowMs - session.lastUsedMs <= ttlMs) continue;
      session.clear();
      this.#sessions.delete(client);
      ended++;
    }
    return ended;
  }

  clear(): void {
    for (const session of this.#sessions.values()) session.clear();
    this.#sessions.clear();
    this.released.clear();
    this.elsewhere.clear();
  }

  clients(): number[] {
    return [...this.#sessions.keys()];
  }

  /** The union of what is here and what was copied: entries never change, so the order does not matter. */
  paste(reader: Reader, nowMs: number): void {
    while (reader.remaining > 0) {
      const client = reader.f64();
      const below = reader.f64();
      const calls = reader.u32();
      if (calls > MAX_CALLS * 2) throw new ProtocolError(`a session window of ${calls} calls`);
      if (client === RELEASED) {
        if (below === KIND.elsewhere) this.elsewhere.paste(reader, calls);
        else this.released.paste(reader, calls);
        continue;
      }
      const session = this.open(client, nowMs);
      for (let i = 0; i < calls; i++) {
        const call = reader.f64();
        const seq = reader.f64();
        const syncBackups = reader.u8();
        const flags = reader.u8();
        const isVoid = (flags & FLAG.void) !== 0;
        const isConsistent = (flags & FLAG.consistent) !== 0;
        const origin = (flags & FLAG.merged) === 0 ? undefined : readPlace(reader);
        const addition = (flags & FLAG.adds) === 0 ? null : readAddition(reader);
        const reply = Buffer.from(reader.blob(MAX_ENTRY_REPLY_BYTES));
        const entry = { reply, seq, syncBackups, isVoid, isConsistent, addition };
        session.add(call, origin === undefined ? entry : { ...entry, origin });
      }
      session.release(below);
    }
  }
}

function flagsOf({ isVoid, isConsistent, origin, addition }: WindowEntry): number {
  const own = (isVoid ? FLAG.void : 0) | (isConsistent ? FLAG.consistent : 0);
  return own | (origin === undefined ? 0 : FLAG.merged) | (addition ? FLAG.adds : 0);
}

/**
 * A copy of all windows, for migration, in parts. Complete as of its start: calls that are added later come by the
 * stream, and those that are released meanwhile are left out.
 */
export class WindowsCopy {
  readonly #windows: SessionWindows;
  readonly #clients: number[];
  /** Of the last client of `#clients`, those that are not copied yet; null before its first part. */
  #calls: number[] | null = null;
  #hasReleased = false;

  constructor(windows: SessionWindows) {
    this.#windows = windows;
    // Both lists are taken from their ends.
    this.#clients = windows.clients().sort((a, b) => b - a);
  }

  /** Writes about `maxBytes`, but at least one call; false when nothing was left. */
  next(maxBytes: number, out: Writer): boolean {
    const end = out.length + maxBytes;
    const start = out.length;
    while (this.#clients.length > 0 && (out.length === start || out.length < end)) {
      const client = this.#clients[this.#clients.length - 1] as number;
      const session = this.#windows.find(client);
      const isDone = session === undefined || this.#part(client, session, start, end, out);
      if (!isDone) break;
      this.#clients.pop();
      this.#calls = null;
    }
    if (this.#clients.length === 0 && !this.#hasReleased) this.#releasedCalls(out);
    return out.length > start;
  }

  /** Last, so that none is missed which was released while the copy was made. */
  #releasedCalls(out: Writer): void {
    const { released, elsewhere } = this.#windows;
    this.#hasReleased = true;
    for (const [kind, calls] of [
      [KIND.here, released],
      [KIND.elsewhere, elsewhere],
    ] as const) {
      if (calls.size === 0) continue;
      out.f64(RELEASED);
      out.f64(kind);
      out.u32(calls.size);
      calls.write(out);
    }
  }

  /** What fits of one window; false when some of it is left. */
  #part(client: number, session: Session, start: number, end: number, out: Writer): boolean {
    this.#calls ??= [...session.calls.keys()].reverse();
    const calls = this.#calls;
    let isFirst = out.length === start;
    out.f64(client);
    out.f64(session.below);
    const countAt = out.length;
    out.u32(0);
    let count = 0;
    for (let call = calls.at(-1); call !== undefined; call = calls.at(-1)) {
      const entry = session.calls.get(call);
      if (entry !== undefined) {
        if (!isFirst && out.length + COPIED_CALL_BYTES + entry.reply.length > end) break;
        out.f64(call);
        out.f64(entry.seq);
        out.u8(entry.syncBackups);
        out.u8(flagsOf(entry));
        if (entry.origin !== undefined) writePlace(out, entry.origin);
        if (entry.addition) writeAddition(out, entry.addition);
        out.bytes(entry.reply);
        isFirst = false;
        count++;
      }
      calls.pop();
    }
    out.patchU32(countAt, count);
    return calls.length === 0;
  }
}
