/**
 * Checks of a map that is kept in a store: what callers were told, against all that the store was told, in order. Written
 * from docs/mapstore.md; it knows nothing of positions, and of primaries only when it is another one. Every value is written
 * once, so that it names its write. A line for each kind of problem.
 */
import type { HistoryOperation } from './history.js';

const SHOWN = 3;

/** One call that concerns a key. */
export interface StoreStep {
  readonly k: string;
  readonly f: string;
  readonly v?: unknown;
  readonly to?: unknown;
  readonly out?: unknown;
  readonly isWrite: boolean;
  readonly callMs: number;
  readonly retMs: number | null;
  readonly type: 'open' | 'ok' | 'fail' | 'info';
  /** What asking about a call of unknown outcome brought. */
  readonly resolution?: 'done' | 'not done' | 'unknown';
}

/** One write that took effect in the store. */
export interface Told {
  readonly k: string;
  readonly value: string | null;
  readonly atMs: number;
  /** Names the primary that told it: a process that leads again is another one. */
  readonly teller: string;
}

export interface StoresInput {
  readonly mode: 'write-through' | 'write-behind';
  readonly coalesces: boolean;
  readonly calls: readonly StoreStep[];
  readonly told: readonly Told[];
  /** Writes of a key that were given up because the store refused them. */
  readonly setAside: readonly { readonly k: string; readonly atMs: number }[];
  /** Writes of different sides of a split have no order, and what a merge drops need not reach the store. */
  readonly isOneHistory: boolean;
}

/** What a write left, for certain: null for nothing, undefined when it had no effect, or may have had none. */
export function leftBy({ f, v, to, out, type, isWrite }: StoreStep): string | null | undefined {
  if (!isWrite || type !== 'ok') return undefined;
  switch (f) {
    case 'putIfAbsent':
      return out === null ? (v as string) : undefined;
    case 'replace':
      return typeof out === 'string' ? (v as string) : undefined;
    case 'cas':
      return out === true ? (to as string) : undefined;
    case 'remove':
      // One that answers nothing removes whatever there is.
      return out === null ? undefined : null;
    case 'removeIfSame':
      return out === true ? null : undefined;
    default:
      return v as string;
  }
}

export function checkStores(input: StoresInput): string[] {
  const problems: string[] = [];
  const tell = (what: string, found: readonly string[]) => {
    if (found.length > 0) problems.push(`${found.length} times ${what}: ${found.slice(0, SHOWN).join('; ')}`);
  };
  const ofKeys = byKey(input);
  tell(
    'the store was told what nobody had written',
    ofKeys.flatMap((of) => invented(of, input)),
  );
  tell(
    'the store was told what was refused for certain',
    ofKeys.flatMap((of) => refusedAndTold(of, input)),
  );
  tell('a call showed what nobody had written, or what was refused', ofKeys.flatMap(shownFromNowhere));
  if (input.mode === 'write-through') {
    tell('a write was answered before the store had it', ofKeys.flatMap(answeredBefore));
    tell('a value was shown before the store had it', ofKeys.flatMap(shownBefore));
    if (input.isOneHistory)
      tell('the store was told an older value after a newer one was answered', ofKeys.flatMap(takenBack));
  } else if (input.isOneHistory) {
    const outOfOrder = ofKeys.flatMap((of) => overtaken(of, input.coalesces));
    tell('the store was told a later value before an earlier one', outOfOrder);
    if (!input.coalesces)
      tell(
        'the store was never told an acknowledged value',
        ofKeys.flatMap((of) => untold(of, input)),
      );
  }
  return problems;
}

interface OfKey {
  readonly k: string;
  readonly calls: readonly StoreStep[];
  /** In order. */
  readonly told: readonly Told[];
  readonly writes: ReadonlyMap<string, StoreStep>;
}

function byKey({ calls, told }: StoresInput): OfKey[] {
  const keys = [...new Set([...calls, ...told].map(({ k }) => k))];
  return keys.map((k) => {
    const its = calls.filter((call) => call.k === k);
    const writes = its.flatMap((call) => (call.isWrite ? [[String(call.to ?? call.v), call] as const] : []));
    return { k, calls: its, told: told.filter((one) => one.k === k), writes: new Map(writes) };
  });
}

function isRefused({ type, resolution }: StoreStep): boolean {
  return type === 'fail' && resolution === undefined;
}

function invented({ k, calls, told, writes }: OfKey, { mode }: StoresInput): string[] {
  // Written through, what came of nothing may be undone.
  const mayDelete = (call: StoreStep) => removes(call) || (mode === 'write-through' && call.isWrite);
  return told
    .filter(({ value, atMs }) => {
      if (value !== null) return (writes.get(value)?.callMs ?? Number.POSITIVE_INFINITY) > atMs;
      return !calls.some((call) => mayDelete(call) && call.callMs <= atMs);
    })
    .map(({ value, atMs }) => `${k} to ${value} at ${ms(atMs)}`);
}

function removes({ f }: StoreStep): boolean {
  return f === 'remove' || f === 'removeIfSame';
}

/** A map that is written behind does not tell either what it found out not to have done. */
function refusedAndTold({ k, told, writes }: OfKey, { mode }: StoresInput): string[] {
  return told.flatMap(({ value, atMs }) => {
    const call = value === null ? undefined : writes.get(value);
    if (call === undefined || call.type !== 'fail') return [];
    return isRefused(call) || mode === 'write-behind' ? [`${k} to ${value} at ${ms(atMs)}`] : [];
  });
}

/** Values that a call has answered with. */
function shownBy({ type, out }: StoreStep): string | null {
  return type === 'ok' && typeof out === 'string' ? out : null;
}

function shownFromNowhere({ k, calls, writes }: OfKey): string[] {
  return calls.flatMap((call) => {
    const value = shownBy(call);
    if (value === null) return [];
    const write = writes.get(value);
    const isKnown = write !== undefined && !isRefused(write) && write.callMs <= (call.retMs as number);
    return isKnown ? [] : [`${call.f} of ${k} showed ${value} at ${ms(call.retMs)}`];
  });
}

function answeredBefore({ k, calls, told }: OfKey): string[] {
  return calls.flatMap((call) => {
    const left = leftBy(call);
    if (left === undefined) return [];
    const isThere = told.some(
      ({ value, atMs }) => value === left && call.callMs <= atMs && atMs <= (call.retMs as number),
    );
    return isThere ? [] : [`${call.f} of ${k} to ${left}, answered at ${ms(call.retMs)}`];
  });
}

function shownBefore({ k, calls, told }: OfKey): string[] {
  return calls.flatMap((call) => {
    const shown = shownBy(call);
    if (shown === null) return [];
    const isThere = told.some(({ value, atMs }) => value === shown && atMs <= (call.retMs as number));
    return isThere ? [] : [`${call.f} of ${k} showed ${shown} at ${ms(call.retMs)}`];
  });
}

/** Until a write is answered the store may be told the old value again; from then on it may not. */
function takenBack({ k, calls, told, writes }: OfKey): string[] {
  const answered = calls.filter((call) => leftBy(call) !== undefined);
  return told.flatMap(({ value, atMs }) => {
    const call = value === null ? undefined : writes.get(value);
    if (call === undefined || leftBy(call) === undefined) return [];
    const newer = answered.find((other) => isBefore(call, other) && (other.retMs as number) < atMs);
    return newer === undefined ? [] : [`${k} to ${value} at ${ms(atMs)}, after ${String(leftBy(newer))}`];
  });
}

function isBefore(earlier: StoreStep, later: StoreStep): boolean {
  return earlier !== later && (earlier.retMs as number) < later.callMs;
}

/**
 * A later value before an earlier one. Where every value is told, a new primary may tell again what it does not know to be
 * told; then it goes on from there.
 */
function overtaken({ k, told, writes }: OfKey, coalesces: boolean): string[] {
  const found: string[] = [];
  told.forEach((late, i) => {
    const earlier = late.value === null ? undefined : writes.get(late.value);
    if (earlier === undefined || leftBy(earlier) === undefined) return;
    const first = told.findIndex(({ value }) => value === late.value);
    for (let j = 0; j < i; j++) {
      const soon = told[j] as Told;
      const later = soon.value === null ? undefined : writes.get(soon.value);
      if (later === undefined || later.type === 'fail' || !isBefore(earlier, later)) continue;
      const isRetold = !coalesces && first < j && soon.teller !== late.teller;
      if (isRetold) continue;
      found.push(`${k} to ${late.value} at ${ms(late.atMs)}, after ${soon.value} at ${ms(soon.atMs)}`);
      return;
    }
  });
  return found;
}

/** What was set aside, and overwritten since, is given up. */
function untold({ k, calls, told }: OfKey, { setAside }: StoresInput): string[] {
  const values = new Set(told.map(({ value }) => value));
  return calls.flatMap((call) => {
    const left = leftBy(call);
    if (typeof left !== 'string' || values.has(left)) return [];
    const isGivenUp = setAside.some((one) => one.k === k && one.atMs >= call.callMs);
    return isGivenUp ? [] : [`${k} to ${left}, answered at ${ms(call.retMs)}`];
  });
}

/**
 * The history of a map that is written through, for the linearizability checker: a write whose outcome is unknown had none
 * when the store was never told of it.
 */
export function withoutUntold(
  history: readonly HistoryOperation[],
  told: readonly Told[],
): HistoryOperation[] {
  const NS = 1e6;
  return history.filter(({ k, f, v, to, call, type }) => {
    if (type !== 'info') return true;
    const isRemoval = f === 'remove' || f === 'removeIfSame';
    const value = isRemoval ? null : String(to ?? v);
    return told.some((one) => one.k === k && one.value === value && one.atMs * NS >= call - 1);
  });
}

function ms(atMs: number | null): string {
  return (atMs ?? 0).toFixed(1);
}
