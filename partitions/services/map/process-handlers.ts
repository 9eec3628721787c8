/**
 * What entry processors do at the primary of a key: each is run once on an entry, and what it leaves becomes the change of
 * the operation, as any other write. Invariants: nothing is changed before all processors of the operation have run, so one
 * that fails has changed nothing; an operation stops at a bounded time, and at a bounded size of what it changes and
 * answers. Part of the handlers in `service.ts`.
 */
import { textOf } from '../../../src/base/bytes.js';
import { ERROR_ROWS, errorNameOf, FunctionFailedError, GridError } from '../../../src/base/errors.js';
import { decodeKey } from '../../../src/wire/keys.js';
import { NeedsStore } from '../../needs-store.js';
import { matcherOf } from '../../query/matcher.js';
import type { OperationContext } from '../../service.js';
import type { EntryProcessor, ProcessorEntry, UserFunctions } from '../../user-functions.js';
import { WAITS } from '../lock-handlers.js';
import type { HandlersOf } from '../structure.js';
import { AS_CONFIGURED, type Life, MAX_LIFE_MS } from './life.js';
import { type MAP_OPERATIONS, MAX_FAILURE_BYTES } from './ops.js';
import type { MapState } from './state.js';
import { changesAtOnce, needValues } from './stored.js';

type ProcessOperations = Pick<typeof MAP_OPERATIONS, 'executeOnKey' | 'executeOnKeys' | 'executeOnEntries'>;

const KIND = 'entry processor';
/** For so long one operation goes on to the next entry. */
const PAGE_MS = 10;
/** Keys, values and results of one operation; those of one entry alone may be larger. */
const PAGE_BYTES = 1024 * 1024;
const PAGE_RECORDS = 1_000;
/** Of the predicate for entries that others have locked. */
const LOCKED_STEPS = 400_000;

/** What is left of an entry; `value` null for a removal. */
interface Change {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  /** Null: as the map is configured. */
  readonly life: Life | null;
}

interface Done {
  readonly change: Change | null;
  readonly result: Uint8Array | null;
}

/** As the processor sees it. */
class Entry implements ProcessorEntry {
  readonly #functions: UserFunctions;
  readonly #keyBytes: Uint8Array;
  readonly #stored: Uint8Array | null;
  #value: unknown;
  #isDecoded = false;
  #key: unknown;
  #left: { readonly value: unknown; readonly life: Life | null } | null = null;
  #isOver = false;

  constructor(functions: UserFunctions, keyBytes: Uint8Array, stored: Uint8Array | null) {
    this.#functions = functions;
    this.#keyBytes = keyBytes;
    this.#stored = stored;
  }

  get key(): unknown {
    this.#check();
    this.#key ??= decodeKey(this.#keyBytes);
    return this.#key;
  }

  get exists(): boolean {
    this.#check();
    return this.#left === null ? this.#stored !== null : this.#left.value !== null;
  }

  get value(): unknown {
    this.#check();
    if (this.#left !== null) return this.#left.value;
    if (!this.#isDecoded && this.#stored !== null) this.#value = this.#functions.decode(this.#stored);
    this.#isDecoded = true;
    return this.#stored === null ? null : this.#value;
  }

  set value(value: unknown) {
    this.set(value);
  }

  set(value: unknown, ttlMs?: number): void {
    this.#check();
    if (value === null || value === undefined)
      throw new TypeError('value: expected a value; entry.remove() removes the entry');
    if (ttlMs !== undefined && !(Number.isSafeInteger(ttlMs) && ttlMs >= 0 && ttlMs <= MAX_LIFE_MS))
      throw new TypeError(`ttlMs: expected whole milliseconds, 0 or more, got ${String(ttlMs)}`);
    this.#left = { value, life: ttlMs === undefined ? null : { ttlMs, maxIdleMs: AS_CONFIGURED } };
  }

  remove(): void {
    this.#check();
    this.#left = { value: null, life: null };
  }

  /** What the processor left; the entry is good for nothing from now on. */
  end(): { readonly value: unknown; readonly life: Life | null } | null {
    this.#isOver = true;
    return this.#left;
  }

  #check(): void {
    if (this.#isOver) throw new TypeError('an entry is good only while its processor runs');
  }
}

/** One processor with its argument, for the entries of one operation. */
class Processing {
  readonly #state: MapState;
  readonly #context: OperationContext;
  readonly #name: string;
  readonly #process: EntryProcessor;
  readonly #argument: Uint8Array | null;

  constructor(
    state: MapState,
    context: OperationContext,
    request: { readonly processor: string; readonly argument: Uint8Array | null },
  ) {
    this.#state = state;
    this.#context = context;
    this.#name = request.processor;
    this.#process = context.functions.processors.get(request.processor);
    this.#argument = request.argument;
  }

  /** Runs it on a key; changes nothing. */
  on(key: Uint8Array): Done {
    const context = this.#context;
    const { functions } = context;
    const { store } = this.#state;
    const ref = this.#state.look(key, context);
    if (ref >= 0) this.#state.touch(ref, key, context);
    const entry = new Entry(functions, key, ref < 0 ? null : store.valueOf(ref));
    let result: unknown;
    try {
      const argument = functions.argument(this.#argument);
      result = functions.run(KIND, this.#name, () => this.#process(entry, argument));
    } finally {
      entry.end();
    }
    const encode = (what: string, value: unknown) => functions.encode(KIND, this.#name, what, value);
    return {
      change: this.#changeOf(key, entry.end(), encode),
      result: result === null || result === undefined ? null : encode('returned', result),
    };
  }

  #changeOf(
    key: Uint8Array,
    left: ReturnType<Entry['end']>,
    encode: (what: string, value: unknown) => Uint8Array,
  ): Change | null {
    if (left === null) return null;
    const { life } = left;
    if (left.value !== null) return { key, value: encode('stored', left.value), life };
    const isThere = this.#state.look(key, this.#context) >= 0 || this.#state.hasRemains(key);
    return isThere ? { key, value: null, life } : null;
  }
}

/** What the entries of one operation come to. */
class Batch {
  readonly #context: OperationContext;
  readonly #endMs: number;
  readonly #mostChanges: number;
  readonly changes: Change[] = [];
  readonly results: (Uint8Array | null)[] = [];
  readonly failed: { index: number; error: number; message: string }[] = [];
  #bytes = 0;
  #looked = 0;

  constructor(context: OperationContext) {
    this.#context = context;
    this.#endMs = context.nowMs + PAGE_MS;
    this.#mostChanges = changesAtOnce(context, PAGE_RECORDS);
  }

  get isFull(): boolean {
    if (this.#looked === 0) return false;
    if (this.#bytes > PAGE_BYTES || this.changes.length >= this.#mostChanges) return true;
    return this.#context.nowMs > this.#endMs;
  }

  /** Runs the processor, if the entry is meant; false when it is not. */
  add(processing: Processing, key: Uint8Array, isMeant = () => true): boolean {
    this.#looked++;
    try {
      if (!isMeant()) return false;
      this.#bytes += key.length;
      const { change, result } = processing.on(key);
      if (change !== null) {
        this.changes.push(change);
        this.#bytes += key.length + (change.value?.length ?? 0);
      }
      this.results.push(result);
      this.#bytes += result?.length ?? 0;
    } catch (error) {
      if (error instanceof NeedsStore) throw error;
      const known = error instanceof GridError ? error : new FunctionFailedError(String(error));
      const message = cut(known.message);
      const index = this.results.push(null) - 1;
      this.failed.push({ index, error: ERROR_ROWS[errorNameOf(known)].wire, message });
      this.#bytes += message.length;
    }
    return true;
  }
}

export const processHandlers: HandlersOf<MapState, ProcessOperations> = {
  executeOnKey(state, { key, ...request }, context) {
    const { change, result } = new Processing(state, context, request).on(key);
    if (change !== null) state.changeMany([change], context);
    return { result };
  },

  executeOnKeys(state, { keys, ...request }, context) {
    const processing = new Processing(state, context, request);
    needValues(state, keys, context);
    const batch = new Batch(context);
    const seen = new Set<string>();
    const { locks } = state;
    const isBlocked = (key: Uint8Array) => locks.heldCount > 0 && locks.isBlocked(key, context);
    const [first] = keys;
    if (first !== undefined && isBlocked(first) && locks.blocks(first, context)) return WAITS;
    for (const key of keys) {
      const name = textOf(key);
      // What an earlier entry of the operation left is not stored yet.
      if (batch.isFull || seen.has(name) || isBlocked(key)) break;
      seen.add(name);
      batch.add(processing, key);
    }
    state.changeMany(batch.changes, context);
    return { results: batch.results, failed: batch.failed };
  },

  executeOnEntries(state, { cursor, predicate, ...request }, context) {
    const matcher = predicate === null ? null : matcherOf(predicate);
    const processing = new Processing(state, context, request);
    const { store } = state;
    const limits = {
      walk: { records: PAGE_RECORDS, bytes: PAGE_BYTES },
      records: PAGE_RECORDS,
      bytes: PAGE_BYTES,
    };
    const { refs, next } = state.page(cursor, limits, (ref) =>
      state.isVisible(ref, context) ? store.recordBytes(ref) : -1,
    );
    // The page ends in front of an entry that somebody else has locked; the next one waits for it.
    // After so many steps the predicate is not asked of more of these; the page then begins there the next time.
    const isMeantAt = (ref: number) =>
      matcher === null ||
      matcher.spent > LOCKED_STEPS ||
      matcher.matches(store.keyOf(ref), store.valueOf(ref));
    const blocked = firstBlocked(state, refs, isMeantAt, context);
    const blockedHash = blocked < 0 ? -1 : store.hashOf(blocked);
    if (blocked >= 0 && store.hashOf(refs[0] as number) === blockedHash) {
      if (state.locks.blocks(store.keyOf(blocked), context)) return WAITS;
    }
    context.dependsOn(state.lastSeq);
    const batch = new Batch(context);
    const keys: Uint8Array[] = [];
    let end = next;
    let hash = -1;
    for (const ref of refs) {
      // A page can only go on at a hash.
      if (store.hashOf(ref) !== hash && (batch.isFull || store.hashOf(ref) === blockedHash)) {
        end = store.hashOf(ref);
        break;
      }
      hash = store.hashOf(ref);
      // Those before it took their time.
      if (!state.isVisible(ref, context)) continue;
      const key = Buffer.from(store.keyOf(ref));
      const isMeant = () => matcher === null || matcher.matches(key, store.valueOf(ref));
      if (batch.add(processing, key, isMeant)) keys.push(key);
    }
    state.changeMany(batch.changes, context);
    return { next: end, keys, results: batch.results, failed: batch.failed };
  },
};

/** The ref of the first entry that is meant and that somebody else has locked, or -1. */
function firstBlocked(
  { locks, store }: MapState,
  refs: readonly number[],
  isMeant: (ref: number) => boolean,
  context: OperationContext,
): number {
  if (locks.heldCount === 0) return -1;
  const isBlocked = (ref: number) => locks.isBlocked(store.keyOf(ref), context);
  return refs.find((ref) => isBlocked(ref) && !fails(() => !isMeant(ref))) ?? -1;
}

/** True also when it throws: that is told where the entry's turn comes. */
function fails(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return true;
  }
}

/** So that it fits whatever its characters are. */
function cut(message: string): string {
  return message.slice(0, Math.floor(MAX_FAILURE_BYTES / 3));
}
