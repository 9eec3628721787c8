/**
 * Holds reads of entries that end against what their writes asked for: nothing is shown that is over, nothing is missing
 * before its time, and what was told to be over does not come back. Each value is written once. Invariant: times are those
 * of the run; what clocks of members differ is allowed for, and a call of unknown outcome excuses what it may have done.
 * Called by the judge of expiry.
 */

/** A call on one key; `retMs` null when its outcome is unknown. */
export interface ExpiryCall {
  readonly k: string;
  readonly f: string;
  readonly v?: unknown;
  readonly out?: unknown;
  readonly callMs: number;
  readonly retMs: number | null;
  readonly type: 'open' | 'ok' | 'fail' | 'info';
}

export interface ExpiryInput {
  readonly calls: readonly ExpiryCall[];
  readonly asked: ReadonlyMap<string, { readonly ttlMs: number; readonly idleMs: number }>;
  /** What clocks of members may differ by. */
  readonly clocksMs: number;
  /**
   * `times`: only that nothing is shown after its time, wherever. `presence`: only that nothing is missing before it, or comes
   * back; for calls among which nobody else could come in. Default: both.
   */
  readonly only?: 'times' | 'presence';
}

/** How much longer than its max idle time an entry may live after a change of its primary, as a share of it. */
const BONUS = 0.25;

/** A line for each broken promise. */
export function checkExpiry(input: ExpiryInput): string[] {
  const keys = new Map<string, ExpiryCall[]>();
  for (const call of input.calls) {
    const present = keys.get(call.k);
    if (present === undefined) keys.set(call.k, [call]);
    else present.push(call);
  }
  return [...keys].flatMap(([k, calls]) => new KeyCheck(k, calls, input).run());
}

/** A value that a replica still has. */
export interface KeptValue {
  readonly where: string;
  readonly value: string;
  readonly atMs: number;
}

/** A line for each value that a replica has later than `graceMs` after it was over, whoever had used it. */
export function checkRemoved(kept: readonly KeptValue[], input: ExpiryInput, graceMs: number): string[] {
  const { asked, calls, clocksMs } = input;
  const writes = new Map(calls.flatMap((call) => (call.f === 'write' ? [[call.v, call]] : [])));
  return kept.flatMap(({ where, value, atMs }) => {
    const write = writes.get(value);
    const times = asked.get(value);
    if (write === undefined || times === undefined) return [`${where} has ${value}, which nobody wrote`];
    const lateMs = graceMs + clocksMs;
    const used = calls.filter(({ k }) => k === write.k).map(({ callMs, retMs }) => retMs ?? callMs);
    const writtenMs = write.retMs ?? Math.max(...used);
    const ttlMs = times.ttlMs > 0 ? writtenMs + times.ttlMs : Number.POSITIVE_INFINITY;
    const idleMs =
      times.idleMs > 0 ? Math.max(...used) + times.idleMs * (1 + BONUS) : Number.POSITIVE_INFINITY;
    const endMs = Math.min(ttlMs, idleMs);
    return atMs > endMs + lateMs
      ? [`${where} has ${value}, which was over at ${ms(endMs)}, at ${ms(atMs)}`]
      : [];
  });
}

class KeyCheck {
  readonly #k: string;
  readonly #calls: readonly ExpiryCall[];
  readonly #input: ExpiryInput;
  readonly #writes = new Map<unknown, ExpiryCall>();

  constructor(k: string, calls: readonly ExpiryCall[], input: ExpiryInput) {
    this.#k = k;
    this.#calls = calls;
    this.#input = input;
    for (const call of calls) if (call.f === 'write') this.#writes.set(call.v, call);
  }

  run(): string[] {
    const problems: string[] = [];
    for (const call of this.#calls) {
      if (call.type !== 'ok' || call.retMs === null) continue;
      if (call.f !== 'read' && call.f !== 'glance') continue;
      const problem = call.out === null || call.out === undefined ? this.#absent(call) : this.#shown(call);
      if (problem !== null) problems.push(`${this.#k}: ${problem}`);
    }
    return problems;
  }

  /** Why a value should not have been shown. */
  #shown(read: ExpiryCall): string | null {
    const { only } = this.#input;
    const write = this.#writes.get(read.out);
    const asked = this.#input.asked.get(String(read.out));
    if (only === 'presence') return write === undefined ? null : this.#cameBack(read, write);
    if (write === undefined || asked === undefined) return `${text(read)}, which nobody wrote`;
    if (write.retMs === null) return null;
    const { clocksMs } = this.#input;
    const { ttlMs, idleMs } = asked;
    if (ttlMs > 0 && read.callMs > write.retMs + ttlMs + clocksMs)
      return `${text(read)}, written until ${ms(write.retMs)} for ${ttlMs} ms`;
    const usedMs = this.#lastUseMs(read, write);
    if (idleMs > 0 && read.callMs > usedMs + idleMs * (1 + BONUS) + clocksMs)
      return `${text(read)}, not used since ${ms(usedMs)}, with a max idle time of ${idleMs} ms`;
    return only === 'times' ? null : this.#cameBack(read, write);
  }

  /** When a call that came before the read may have used the entry at the latest, answered or not. */
  #lastUseMs(read: ExpiryCall, write: ExpiryCall): number {
    let usedMs = write.retMs as number;
    for (const call of this.#calls)
      if (call !== read && call.callMs < read.callMs)
        usedMs = Math.max(usedMs, Math.min(call.retMs ?? read.callMs, read.callMs));
    return usedMs;
  }

  /** The value had been there, and was told to be gone. */
  #cameBack(read: ExpiryCall, write: ExpiryCall): string | null {
    if (read.f !== 'read' || write.retMs === null) return null;
    const gone = this.#calls.find(
      (call) =>
        call.f === 'read' &&
        call.type === 'ok' &&
        (call.out === null || call.out === undefined) &&
        call.callMs >= (write.retMs as number) &&
        (call.retMs as number) <= read.callMs,
    );
    return gone === undefined ? null : `${text(read)}, which was gone at ${ms(gone.retMs as number)}`;
  }

  /** Why the key should have had a value. */
  #absent(read: ExpiryCall): string | null {
    // What a backup has not heard of yet is not there for it.
    if (read.f !== 'read' || this.#input.only === 'times') return null;
    const retMs = read.retMs as number;
    const write = this.#lastBefore(read);
    const asked = write === null ? undefined : this.#input.asked.get(String(write.v));
    if (write === null || asked === undefined) return null;
    const { clocksMs } = this.#input;
    const { ttlMs, idleMs } = asked;
    if (ttlMs > 0 && retMs >= write.callMs + ttlMs - clocksMs) return null;
    if (idleMs > 0 && retMs >= this.#certainUseMs(read, write) + idleMs - clocksMs) return null;
    return `${text(read)}, with ${String(write.v)} of ${ms(write.callMs)} for ${ttlMs} ms, idle ${idleMs} ms`;
  }

  /** The write that the key certainly has its value from, or null. */
  #lastBefore(read: ExpiryCall): ExpiryCall | null {
    const changes = this.#calls.filter(
      ({ f, type, callMs }) =>
        (f === 'write' || f === 'remove') && type !== 'fail' && callMs <= (read.retMs as number),
    );
    const last = changes.reduce<ExpiryCall | null>(
      (latest, call) => (latest === null || call.callMs > latest.callMs ? call : latest),
      null,
    );
    if (last === null || last.f !== 'write' || last.type !== 'ok' || last.retMs === null) return null;
    const isAlone = changes.every(
      (call) => call === last || (call.retMs !== null && call.retMs < last.callMs),
    );
    return isAlone && last.retMs < read.callMs ? last : null;
  }

  /** When a read that was answered used the entry at the earliest. */
  #certainUseMs(read: ExpiryCall, write: ExpiryCall): number {
    let usedMs = write.callMs;
    for (const { f, type, out, callMs, retMs } of this.#calls)
      if (f === 'read' && type === 'ok' && out === write.v && (retMs as number) < read.callMs)
        usedMs = Math.max(usedMs, callMs);
    return usedMs;
  }
}

function ms(at: number): string {
  return at.toFixed(1);
}

function text({ f, out, callMs, retMs }: ExpiryCall): string {
  return `a ${f} from ${ms(callMs)} to ${ms(retMs as number)} gave ${out === null || out === undefined ? 'nothing' : String(out)}`;
}
