/**
 * How a map with a store reads and writes, at its primary: what is not in memory is asked of the store before the operation
 * is run, and what it changes is owed to the store, or told to it before it is made. Invariant: nothing here changes a map
 * that has no store. Called by the state of the map and by its handlers.
 */
import { textOf } from '../../../src/base/bytes.js';
import { OperationFailedError } from '../../../src/base/errors.js';
import { murmur3 } from '../../hash.js';
import { NeedsStore } from '../../needs-store.js';
import { nameOf } from '../../parked.js';
import type { CallId, LoadTarget, OperationContext, ServiceState, StorePlan } from '../../service.js';
import { REMOVAL, type RemovalCause } from '../../store/record-layout.js';
import type { RecordStore } from '../../store/record-store.js';
import type { HandlersOf } from '../structure.js';
import type { Life } from './life.js';
import { isOnlyForgotten, type OwedWrites } from './owed.js';
import type { Owed } from './pending.js';
import type { STORE_OPERATIONS } from './store-ops.js';

type StoreOperations = typeof STORE_OPERATIONS;

/** Of `maxPending`, for one step of an operation on many entries. */
const SHARE_OF_ROOM = 1 / 8;
/** Keys that one step of recovery takes. */
const RECOVERED = 500;

export interface EntryChange {
  readonly key: Uint8Array;
  /** Null to remove it. */
  readonly value: Uint8Array | null;
  /** Left out or null: as the map is configured. */
  readonly life?: Life | null;
}

/** What a change is, beside its entries. */
export interface Making {
  /** The store is owed it. */
  readonly isOwed?: boolean;
  /** The store has it. */
  readonly isSettled?: boolean;
  /** It came from the store. */
  readonly isLoaded?: boolean;
}

/** The state of a map, as far as its store goes. */
export interface StoredMap {
  readonly store: RecordStore;
  readonly owed: OwedWrites;
  /** Position at which this primary last began to remove all entries. */
  readonly clearedSeq: number;
  /** Position of the last write of a key, 0 for none. */
  writtenAt(key: Uint8Array): number;
  /** The ref of the entry of a key in memory, or -1. */
  lookHere(key: Uint8Array, context: OperationContext): number;
  /** Makes a change of several keys, as the one change of the operation, whatever the store has of it. */
  make(
    changes: readonly EntryChange[],
    cause: RemovalCause,
    context: OperationContext,
    making?: Making,
  ): void;
}

/** Puts what the store gave. */
export const INTO_MAP: LoadTarget = {
  isCurrent(state, key, sinceSeq) {
    if (state === undefined) return true;
    const map = mapOf(state);
    const { pending, intents } = map.owed;
    // What the store gave may be what somebody was writing there.
    const isTold = intents.count > 0 && intents.wasAskedAfter(key, sinceSeq);
    return map.writtenAt(key) <= sinceSeq && map.clearedSeq <= sinceSeq && !pending.has(key) && !isTold;
  },
  put(state, entries, context) {
    const map = mapOf(state);
    const absent = entries.filter(({ key }) => map.lookHere(key, context) < 0);
    if (absent.length > 0) map.make(absent, REMOVAL.removed, context, { isLoaded: true });
  },
};

/** Before an operation that writes looks at a key: throws when somebody else has it written in the store. */
export function checkFree(state: StoredMap, key: Uint8Array, context: OperationContext): void {
  const { store } = context;
  if (store === null || !store.isWrite || context.options.store?.mode !== 'write-through') return;
  const { owed } = state;
  const isMarked = owed.isBusy(key) && !owed.isInherited(key, context);
  if (isMarked || owed.pending.has(key) || store.isInFlight(key))
    throw new NeedsStore('busy', [key], INTO_MAP);
}

/** A key is not in memory: returns when the store has no value of it either, else throws what the call waits for. */
export function askStore(state: StoredMap, keys: readonly Uint8Array[], context: OperationContext): void {
  const { store } = context;
  if (store === null) return;
  const asked = keys.filter((key) => !isKnownAbsent(state, key, context));
  if (asked.length === 0) {
    // Others write to the store as well.
    context.goodFor(0);
    return;
  }
  // What somebody has written in the store just now is not told before its call is answered.
  const busy = asked.find((key) => state.owed.isBusy(key));
  if (busy !== undefined) throw new NeedsStore('busy', [busy], INTO_MAP);
  const known = asked.map((key) => state.owed.pending.latest(key)?.value);
  throw new NeedsStore('load', asked, INTO_MAP, known);
}

function isKnownAbsent(state: StoredMap, key: Uint8Array, context: OperationContext): boolean {
  return context.store?.isAbsent(key) === true || state.owed.pending.latest(key)?.value === null;
}

/** Asks for all keys of a call that are not in memory at once. */
export function needValues(state: StoredMap, keys: readonly Uint8Array[], context: OperationContext): void {
  if (context.store === null) return;
  for (const key of keys) checkFree(state, key, context);
  askStore(
    state,
    keys.filter((key) => state.lookHere(key, context) < 0),
    context,
  );
}

const NO_STORE = 'the map has no store';
/** Of one page of status. */
const MAX_SHOWN = 100;

/** Handlers of what users ask about the store. */
export const storeHandlers: HandlersOf<StoredMap, StoreOperations> = {
  loadKeys(state, { keys, evicts }, context) {
    if (context.store === null && keys.length > 0) throw new OperationFailedError(NO_STORE);
    if (evicts) {
      // What the store does not have yet is newer than what it has.
      const here = keys.filter(
        (key) => state.lookHere(key, context) >= 0 && !state.owed.pending.has(key) && !state.owed.isBusy(key),
      );
      if (here.length > 0) state.make(here.map(removalOf), REMOVAL.evicted, context);
      return { loaded: 0 };
    }
    needValues(state, keys, context);
    return { loaded: keys.filter((key) => state.lookHere(key, context) >= 0).length };
  },

  fillMap(_state, { client, token, replaces }, context) {
    const job = `${client}.${token}`;
    return context.store?.fill(job, replaces) ?? { state: 'failed', loaded: 0, message: NO_STORE };
  },

  flushStore(state, { upTo }, context) {
    const seq = upTo === 0 ? context.seq - 1 : upTo;
    // What becomes of writes that the store is being told of is not known yet.
    let pending = state.owed.intents.held(seq).length;
    let failed = 0;
    for (const { failure, sinceSeq } of state.owed.pending.all()) {
      if (sinceSeq > seq) break;
      if (failure === null) pending++;
      else failed++;
    }
    if (pending > 0) context.store?.flush(seq, upTo === 0);
    return { upTo: seq, pending, failed };
  },

  storeStatus(state, _request, context) {
    const troubles = (context.store?.troubles() ?? []).map(({ key, attempts, message }) => ({
      key,
      attempts,
      message,
      isAside: false,
    }));
    const aside = [];
    for (const { key, failure } of state.owed.pending.all()) {
      if (failure === null) continue;
      const { attempts, message } = failure;
      aside.push({ key, attempts, message, isAside: true });
      if (aside.length === MAX_SHOWN) break;
    }
    const { count, failedCount, oldestMs } = state.owed.pending;
    const failed = [...aside, ...troubles].slice(0, MAX_SHOWN);
    return { pending: count - failedCount, setAside: failedCount, oldestMs: oldestMs ?? 0, failed };
  },

  retryFailed(state, _request, context) {
    context.store?.hurry();
    const again: Owed[] = [];
    for (const owed of state.owed.pending.all()) {
      if (owed.failure !== null) again.push({ ...owed, failure: null });
      if (again.length === RECOVERED) break;
    }
    if (again.length > 0) state.owed.put(again, [], context);
    return { retried: again.length };
  },
};

function removalOf(key: Uint8Array): EntryChange {
  return { key: Buffer.from(key), value: null };
}

/** A removal goes to the store whether the key is in memory or not. */
export function removesOutside(context: OperationContext): boolean {
  const { store } = context.options;
  return store !== undefined && store.mode !== 'read-through';
}

/** Changes of a map with a store. */
export function writeStored(
  state: StoredMap,
  changes: readonly EntryChange[],
  cause: RemovalCause,
  context: OperationContext,
): void {
  if (!removesOutside(context) || isOnlyForgotten(cause)) {
    state.make(changes, cause, context);
    return;
  }
  for (const { key } of changes) checkFree(state, key, context);
  const mode = context.options.store?.mode;
  if (mode === 'write-through' && context.store !== null) {
    context.store.plan(new WriteThrough(state, changes.map(copyOf), cause, context));
    return;
  }
  context.store?.checkRoom(addedBy(changes, state, context));
  state.make(changes, cause, context, { isOwed: true });
}

/** Writes that the store lacks more than before when it is owed these. */
function addedBy(
  changes: readonly EntryChange[],
  { owed: { pending } }: StoredMap,
  { options }: OperationContext,
): number {
  const coalesces = options.store?.coalescing !== false;
  const seen = new Set<string>();
  let added = 0;
  for (const { key } of changes) {
    const name = textOf(key);
    const isFirst = !seen.has(name);
    seen.add(name);
    const before = isFirst ? pending.find(key) : undefined;
    // A write that was set aside is void by a later one.
    const takesPlace = coalesces ? before !== undefined || !isFirst : before?.failure != null;
    if (!takesPlace) added++;
  }
  return added;
}

/** Of a map that is written behind: changes of one operation that goes on later, so that they find room. */
export function changesAtOnce({ options: { store } }: OperationContext, most: number): number {
  if (store?.mode !== 'write-behind') return most;
  return Math.min(most, Math.ceil(store.maxPending * SHARE_OF_ROOM));
}

/** The request lies in a frame that is used again. */
function copyOf(change: EntryChange): EntryChange {
  const { key, value } = change;
  return { ...change, key: Buffer.from(key), value: value === null ? null : Buffer.from(value) };
}

const NO_CALL: CallId = { client: 0, sequence: 0 };

/** A change that the store has before it is made. */
class WriteThrough implements StorePlan {
  readonly entries: readonly EntryChange[];
  readonly isRepeated: boolean;
  readonly #cause: RemovalCause;
  readonly #timeoutMs: number;
  readonly #absent: ReadonlySet<string>;
  readonly #call: CallId;

  constructor(
    { owed }: StoredMap,
    changes: readonly EntryChange[],
    cause: RemovalCause,
    context: OperationContext,
  ) {
    // Of two values for a key the later one counts.
    this.entries = [...new Map(changes.map((change) => [textOf(change.key), change])).values()];
    this.#cause = cause;
    this.#timeoutMs = context.options.store?.timeoutMs ?? 0;
    const absent = this.#keys.filter((key) => context.store?.isAbsent(key) === true);
    this.#absent = new Set(absent.map(textOf));
    this.isRepeated = this.#keys.some((key) => owed.isInherited(key, context));
    this.#call = context.call ?? NO_CALL;
  }

  get #keys(): Uint8Array[] {
    return this.entries.map(({ key }) => key);
  }

  begin(state: ServiceState, context: OperationContext): void {
    const map = mapOf(state);
    const known = (key: Uint8Array) => {
      if (map.lookHere(key, context) >= 0) return 'value';
      return this.#absent.has(textOf(key)) || wasRemoved(map, key) ? 'absent' : 'nothing';
    };
    map.owed.beginWrites(this.#keys, this.#call, known, this.#timeoutMs, context);
  }

  apply(state: ServiceState, context: OperationContext): void {
    mapOf(state).make(this.entries, this.#cause, context, { isSettled: true });
  }

  isUnknown(state: ServiceState, context: OperationContext): boolean {
    return this.#keys.some((key) => staysUnknown(mapOf(state), key, context));
  }

  cancel(state: ServiceState, context: OperationContext): void {
    mapOf(state).owed.endWrites(this.#keys, context);
  }

  undo(state: ServiceState, context: OperationContext): void {
    restore(mapOf(state), this.#keys, context);
  }
}

/**
 * Ends the marks of keys that the store may have been told of in vain: it is owed what the grid has of them. A key without
 * an entry is left as it is, unless it is known that the store had none.
 */
function restore(state: StoredMap, keys: readonly Uint8Array[], context: OperationContext): void {
  const { seq } = context;
  const ms = Math.floor(context.wallMs);
  const owed: Owed[] = [];
  for (const key of keys) {
    if (state.owed.pending.has(key)) continue;
    const ref = state.lookHere(key, context);
    const isRemoved = ref < 0 && (wasRemoved(state, key) || state.owed.wasAbsent(key));
    if (ref < 0 && !isRemoved) continue;
    const value = ref < 0 ? null : Buffer.from(state.store.valueOf(ref));
    // It is owed for as long as nobody knows what the store has.
    const since = { sinceSeq: Math.min(state.owed.intents.find(key)?.seq ?? seq, seq), sinceMs: ms };
    owed.push({
      key: Buffer.from(key),
      coalesces: true,
      ...since,
      writes: [{ seq, ms, value }],
      failure: null,
    });
  }
  state.owed.put(owed, keys, context);
}

/**
 * Of a key with a mark: the store may have what it was told, and cannot be put right, so that others may see it. The call
 * that wrote it must not be made any more.
 */
function staysUnknown(state: StoredMap, key: Uint8Array, context: OperationContext): boolean {
  const { owed } = state;
  if (!owed.isBusy(key) || owed.pending.has(key)) return false;
  if (owed.wasUnknown(key)) return true;
  // It went out of memory by itself meanwhile.
  return state.lookHere(key, context) < 0 && !wasRemoved(state, key) && !owed.wasAbsent(key);
}

/** A user removed the key, and nobody wrote it since. */
function wasRemoved({ store }: StoredMap, key: Uint8Array): boolean {
  const ref = store.find(murmur3(key), key);
  return ref >= 0 && store.isTombstone(ref) && !isOnlyForgotten(store.metaOf(ref).cause);
}

/** Writes of former primaries that are over, whatever the store has of them. */
export interface EndedWrites {
  /** Their marks are to end. */
  readonly keys: readonly Uint8Array[];
  /** Calls that nobody can tell the outcome of. */
  readonly unknown: readonly CallId[];
  /** Calls that wait here, and go on with their marks. */
  readonly inherited: readonly CallId[];
}

/** Some of the writes whose marks have ended by time. */
export function endedWrites(
  state: StoredMap,
  isInProgress: (key: Uint8Array) => boolean,
  isWaiting: (call: CallId) => boolean,
  context: OperationContext,
): EndedWrites {
  const { owed } = state;
  const keys: Uint8Array[] = [];
  const unknown = new Map<string, CallId>();
  const inherited = new Map<string, CallId>();
  for (const { key } of owed.intents.ended(context.nowMs)) {
    if (isInProgress(key)) continue;
    const call = owed.writerOf(key) ?? NO_CALL;
    const name = nameOf(call);
    // What a merge wrote over it goes first.
    if (owed.wasUnknown(key) && isWaiting(call) && !owed.pending.has(key)) {
      inherited.set(name, call);
      continue;
    }
    keys.push(key);
    if (staysUnknown(state, key, context)) unknown.set(name, call);
    if (keys.length === RECOVERED) break;
  }
  return { keys, unknown: [...unknown.values()], inherited: [...inherited.values()] };
}

/** Ends the marks of such writes. */
export function recover(state: StoredMap, keys: readonly Uint8Array[], context: OperationContext): void {
  if (keys.length > 0) restore(state, keys, context);
}

function mapOf(state: ServiceState): StoredMap {
  return state as ServiceState & StoredMap;
}
