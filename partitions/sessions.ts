/**
 * Exactly once: for each client session, which calls this partition has applied and what it answered. The window
 * travels with the stream and with migration, so a new primary answers a retry instead of applying it again. A
 * window is never evicted: when it is full, new calls are refused until the client says what it no longer needs.
 */
import type { Reader, Writer } from '../src/base/bytes.js';
import { ProtocolError } from '../src/base/errors.js';

/** A call that was applied here, or that was declared void so that it never will be. */
export interface WindowEntry {
  readonly reply: Uint8Array;
  /** Position of the call in the partition's stream. */
  readonly seq: number;
  /** Sync backups that its answer has to wait for. */
  readonly syncBackups: number;
  readonly isVoid: boolean;
}

const MAX_SESSIONS = 50_000;
const MAX_CALLS = 16_384;
const MAX_REPLY_BYTES = 64 * 1024 * 1024;
const MAX_ENTRY_REPLY_BYTES = 17 * 1024 * 1024;

export class Session {
  readonly calls = new Map<number, WindowEntry>();
  /** The client needs nothing below this call sequence any more. */
  below = 0;
  highest = 0;
  replyBytes = 0;
  lastUsedMs: number;

  constructor(nowMs: number) {
    this.lastUsedMs = nowMs;
  }

  get isFull(): boolean {
    return this.calls.size >= MAX_CALLS || this.replyBytes >= MAX_REPLY_BYTES;
  }

  find(call: number): WindowEntry | undefined {
    return call > this.highest ? undefined : this.calls.get(call);
  }

  add(call: number, entry: WindowEntry): void {
    if (call < this.below || this.calls.has(call)) return;
    this.calls.set(call, entry);
    this.replyBytes += entry.reply.length;
    if (call > this.highest) this.highest = call;
  }

  /** Forgets what the client no longer needs. Calls arrive nearly in order, so the oldest come first. */
  release(below: number): void {
    if (below <= this.below) return;
    this.below = below;
    for (const [call, entry] of this.calls) {
      if (call >= below) {
        // A later call that was applied earlier may stand in front; the next release finds the rest.
        break;
      }
      this.calls.delete(call);
      this.replyBytes -= entry.reply.length;
    }
  }
}

export class SessionWindows {
  readonly #sessions = new Map<number, Session>();

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
      session = new Session(nowMs);
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
      this.#sessions.delete(client);
      ended++;
    }
    return ended;
  }

  clear(): void {
    this.#sessions.clear();
  }

  clients(): number[] {
    return [...this.#sessions.keys()];
  }

  /** One client's window, for migration. */
  copy(client: number, out: Writer): void {
    const session = this.#sessions.get(client);
    out.f64(client);
    out.f64(session?.below ?? 0);
    out.u32(session?.calls.size ?? 0);
    for (const [call, entry] of session?.calls ?? []) {
      out.f64(call);
      out.f64(entry.seq);
      out.u8(entry.syncBackups);
      out.u8(entry.isVoid ? 1 : 0);
      out.bytes(entry.reply);
    }
  }

  /** The union of what is here and what was copied: entries never change, so the order does not matter. */
  paste(reader: Reader, nowMs: number): void {
    while (reader.remaining > 0) {
      const session = this.open(reader.f64(), nowMs);
      const below = reader.f64();
      const calls = reader.u32();
      if (calls > MAX_CALLS * 2) throw new ProtocolError(`a session window of ${calls} calls`);
      for (let i = 0; i < calls; i++) {
        const call = reader.f64();
        const seq = reader.f64();
        const syncBackups = reader.u8();
        const isVoid = reader.u8() === 1;
        const reply = Buffer.from(reader.blob(MAX_ENTRY_REPLY_BYTES));
        session.add(call, { reply, seq, syncBackups, isVoid });
      }
      session.release(below);
    }
  }
}
