/**
 * What each operation of a map does with the entries of one partition. A reply may hold views into the store, valid
 * until its next change, so it is encoded at once. A call that changes nothing waits for what it saw; one that
 * changes something waits for its own position, which lies behind all that it saw.
 */
import { ValueTooLargeError } from '../../../src/base/errors.js';
import type { ReplyOf, RequestOf } from '../../../src/wire/message.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import { murmur3 } from '../../hash.js';
import type { CallId, OperationContext, PurgeHorizon, Service, StateEnvironment } from '../../service.js';
import type { PageLimits } from '../../store/page.js';
import { expirationOf, REMOVAL, type RemovalCause } from '../../store/record-layout.js';
import { guardedAll, lockHandlers, lockReplyElsewhere, WAITS, withGuards } from '../lock-handlers.js';
import type { HandlersOf } from '../structure.js';
import { crowdWith } from './crowd.js';
import { DELTA, traceOf } from './delta.js';
import { loadHandlers } from './load-handlers.js';
import { mergeRecords } from './merge.js';
import { MAP_OPERATIONS } from './ops.js';
import { processHandlers } from './process-handlers.js';
import { queryHandlers } from './query-handlers.js';
import { MapState } from './state.js';
import { changesAtOnce, checkFree, needValues, removesOutside, storeHandlers } from './stored.js';

/** Of values in one reply to `getAll`; one alone may be larger. */
const MAX_REPLY_BYTES = 1024 * 1024;
/** Of one page of a scan, whatever is asked for. */
const MAX_PAGE_BYTES = 1024 * 1024;
/** Keys and values of one request to `setAll`; the largest entry fits. */
const MAX_SET_ALL_BYTES = MAX_VALUE_BYTES + 1024 * 1024;
const NO_LIMIT = Number.POSITIVE_INFINITY;
const SCAN_RECORDS = 2_000;
const SEARCH_BUDGET = { records: 10_000, bytes: NO_LIMIT };
/** Keys that one page of a removal takes. */
const REMOVAL_LIMITS: PageLimits = {
  walk: { records: 4_000, bytes: NO_LIMIT },
  records: 500,
  bytes: 128 * 1024,
};

const NOTHING = { value: null };
const DONE = {};

type Handlers = HandlersOf<MapState, typeof MAP_OPERATIONS>;

const plainHandlers: Handlers = {
  get(state, { key }, context) {
    const ref = state.look(key, context);
    if (ref < 0) return NOTHING;
    state.touch(ref, key, context);
    return { value: state.store.valueOf(ref) };
  },

  put(state, { key, value, life }, context) {
    const old = valueBefore(state, key, context);
    state.change(key, value, context, life);
    return { value: old };
  },

  set,
  putTransient(state, { key, value, life }, context) {
    checkFree(state, key, context);
    state.make([{ key, value, life }], REMOVAL.removed, context);
    return DONE;
  },

  tryPut(state, { key, value, waitMs }, context) {
    if (state.locks.isBlocked(key, context))
      return state.locks.waits(key, context, waitMs) ? WAITS : { done: false };
    state.change(key, value, context);
    return { done: true };
  },

  putIfAbsent(state, { key, value, life }, context) {
    const ref = state.look(key, context);
    if (ref >= 0) {
      state.touch(ref, key, context);
      return { value: state.store.valueOf(ref) };
    }
    state.change(key, value, context, life);
    return NOTHING;
  },

  replace(state, { key, value }, context) {
    const old = valueBefore(state, key, context);
    if (old !== null) state.change(key, value, context);
    else state.removeOver(key, context);
    return { value: old };
  },

  replaceIfSame(state, { key, expected, value }, context) {
    const replaced = hasValue(state, state.look(key, context), expected);
    if (replaced) state.change(key, value, context);
    else state.removeOver(key, context);
    return { replaced };
  },

  remove(state, { key }, context) {
    const old = valueBefore(state, key, context);
    if (old !== null) state.remove(key, REMOVAL.removed, context);
    else state.removeRemains(key, context);
    return { value: old };
  },

  removeIfSame(state, { key, expected }, context) {
    const removed = hasValue(state, state.look(key, context), expected);
    if (removed) state.remove(key, REMOVAL.removed, context);
    else state.removeOver(key, context);
    return { removed };
  },

  delete(state, { key }, context) {
    if (removesOutside(context)) state.remove(key, REMOVAL.removed, context);
    else removeHere(state, key, REMOVAL.removed, context);
    return DONE;
  },

  tryRemove(state, { key, waitMs }, context) {
    if (state.locks.isBlocked(key, context))
      return state.locks.waits(key, context, waitMs) ? WAITS : { removed: false, isLocked: true };
    const removed = state.look(key, context) >= 0;
    if (removed) state.remove(key, REMOVAL.removed, context);
    else state.removeRemains(key, context);
    return { removed, isLocked: false };
  },

  evict(state, { key }, context) {
    // If the store does not take what it is told now, it gets what the map has.
    if (state.owed.isBusy(key)) return { evicted: false };
    return { evicted: removeHere(state, key, REMOVAL.evicted, context) };
  },

  setTtl(state, { key, ttlMs }, context) {
    const ref = state.look(key, context);
    if (ref >= 0) state.renew(ref, ttlMs, context);
    else state.removeOver(key, context);
    return { found: ref >= 0 };
  },

  containsKey(state, { key }, context) {
    const ref = state.look(key, context);
    if (ref >= 0) state.touch(ref, key, context);
    return { found: ref >= 0 };
  },

  getEntryView(state, { key }, context) {
    const ref = state.lookHere(key, context);
    if (ref < 0) return { entry: null };
    const { ms, counter, memberHi, memberLo, ...meta } = state.store.metaOf(ref);
    return {
      entry: {
        ...meta,
        expiresMs: expirationOf(meta),
        value: state.store.valueOf(ref),
        costBytes: state.store.recordBytes(ref),
        versionMs: ms,
        versionCounter: counter,
        versionMemberHi: memberHi,
        versionMemberLo: memberLo,
      },
    };
  },

  getAll(state, { keys }, context) {
    needValues(state, keys, context);
    const values: (Uint8Array | null)[] = [];
    let bytes = 0;
    for (const key of keys) {
      const ref = state.look(key, context);
      const size = ref < 0 ? 0 : state.store.valueBytes(ref);
      if (values.length > 0 && bytes + size > MAX_REPLY_BYTES) break;
      bytes += size;
      if (ref >= 0) state.touch(ref, key, context);
      values.push(ref < 0 ? null : state.store.valueOf(ref));
    }
    return { values };
  },

  setAll(state, { entries }, context) {
    const bytes = entries.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
    if (bytes > MAX_SET_ALL_BYTES) {
      const limit = `the limit is ${MAX_SET_ALL_BYTES} bytes`;
      throw new ValueTooLargeError(`entries: keys and values together have ${bytes} bytes; ${limit}`);
    }
    state.changeMany(entries, context);
    return DONE;
  },

  size(state, _request, context) {
    context.dependsOn(state.lastSeq);
    return { entries: state.upkeep.shownCount(context) };
  },

  containsValue(state, { value, cursor }, context) {
    context.dependsOn(state.lastSeq);
    let found = false;
    const next = state.store.scan(cursor, SEARCH_BUDGET, (ref) => {
      if (!found && state.isVisible(ref, context)) found = hasValue(state, ref, value);
    });
    return { found, next };
  },

  scan(state, { cursor, what, maxBytes }, context) {
    context.dependsOn(state.lastSeq);
    const { store } = state;
    const withKeys = what !== 'values';
    const withValues = what !== 'keys';
    const limits = {
      walk: { records: SCAN_RECORDS, bytes: NO_LIMIT },
      records: SCAN_RECORDS,
      bytes: Math.min(maxBytes, MAX_PAGE_BYTES),
    };
    const { refs, next } = state.page(cursor, limits, (ref) => {
      if (!state.isVisible(ref, context)) return -1;
      return (withKeys ? store.keyBytes(ref) + 4 : 0) + (withValues ? store.valueBytes(ref) + 4 : 0);
    });
    return {
      next,
      keys: withKeys ? refs.map((ref) => store.keyOf(ref)) : [],
      values: withValues ? refs.map((ref) => store.valueOf(ref)) : [],
    };
  },

  clear: (state, request, context) => removePage(state, request, REMOVAL.cleared, context),
  evictAll: (state, request, context) => removePage(state, request, REMOVAL.evicted, context),
  ...loadHandlers,
  ...queryHandlers,
  ...storeHandlers,
  ...processHandlers,
  ...lockHandlers,
};

const handlers: Handlers = {
  ...withGuards<MapState, Handlers>(plainHandlers, [
    'put',
    'set',
    'setTtl',
    'putTransient',
    'putIfAbsent',
    'replace',
    'replaceIfSame',
    'remove',
    'removeIfSame',
    'delete',
    'evict',
    'finishLoad',
    'executeOnKey',
  ]),
  setAll: guardedAll(({ entries }) => entries, plainHandlers.setAll),
};

function set(
  state: MapState,
  { key, value, life }: RequestOf<typeof MAP_OPERATIONS.set>,
  context: OperationContext,
): ReplyOf<typeof MAP_OPERATIONS.set> {
  state.change(key, value, context, life);
  return DONE;
}

/** Of what is in memory; whether there was an entry. */
function removeHere(
  state: MapState,
  key: Uint8Array,
  cause: RemovalCause,
  context: OperationContext,
): boolean {
  const found = state.lookHere(key, context) >= 0;
  if (found) state.remove(key, cause, context);
  else state.removeRemains(key, context);
  return found;
}

/** A copy of the value of a key, or null; a copy because it outlives the change that follows. */
function valueBefore(state: MapState, key: Uint8Array, context: OperationContext): Uint8Array | null {
  const ref = state.look(key, context);
  return ref < 0 ? null : Buffer.from(state.store.valueOf(ref));
}

function hasValue(state: MapState, ref: number, value: Uint8Array): boolean {
  if (ref < 0 || state.store.valueBytes(ref) !== value.length) return false;
  return Buffer.compare(state.store.valueOf(ref), value) === 0;
}

/**
 * Removes by explicit keys: a delta that said "everything" would leave behind what a copy in progress brings later.
 * Entries that were written after the first page stay, so that a busy map does not keep a clear going for ever; those
 * that somebody else has locked stay too.
 */
function removePage(
  state: MapState,
  request: RequestOf<typeof MAP_OPERATIONS.clear>,
  cause: RemovalCause,
  context: OperationContext,
): ReplyOf<typeof MAP_OPERATIONS.clear> {
  const { store } = state;
  const upTo = request.upTo === 0 ? state.lastSeq : request.upTo;
  // What is being loaded was read before the removal, so it must not come in behind it.
  const { locks, owed } = state;
  const isKept = (key: Uint8Array) => cause === REMOVAL.evicted && owed.isBusy(key);
  const isFree = (key: Uint8Array) =>
    (locks.heldCount === 0 || !locks.isBlocked(key, context)) && !isKept(key);
  const loading =
    request.cursor === 0 ? [...state.loads.held(upTo), ...unseen(state, cause)].filter(isFree) : [];
  if (request.cursor === 0) state.clearedSeq = context.seq;
  const most =
    cause === REMOVAL.cleared ? changesAtOnce(context, REMOVAL_LIMITS.records) : REMOVAL_LIMITS.records;
  if (loading.length > 0) {
    state.removeMany(loading.slice(0, most), cause, context);
    return { next: 0, upTo, removed: 0 };
  }
  const { refs, next } = state.page(request.cursor, { ...REMOVAL_LIMITS, records: most }, (ref) =>
    store.isTombstone(ref) || store.seqOf(ref) > upTo || !isFree(store.keyOf(ref)) ? -1 : store.keyBytes(ref),
  );
  if (refs.length === 0) context.dependsOn(state.lastSeq);
  const keys = refs.map((ref) => Buffer.from(store.keyOf(ref)));
  state.removeMany(keys, cause, context);
  return { next, upTo, removed: refs.length };
}

/** What is out of memory, but on its way to the store: it must not come back from there. */
function unseen({ store, owed }: MapState, cause: RemovalCause): Uint8Array[] {
  const keys: Uint8Array[] = [];
  if (cause !== REMOVAL.cleared) return keys;
  for (const { key, writes } of owed.pending.all()) {
    const ref = store.find(murmur3(key), key);
    const isSeen = ref >= 0 && !store.isTombstone(ref);
    if (!isSeen && writes.at(-1)?.value !== null) keys.push(key);
    if (keys.length >= REMOVAL_LIMITS.records) break;
  }
  return keys;
}

export const mapService: Service = {
  id: 1,
  name: 'map',
  placedBy: 'keys',
  operations: Object.values(MAP_OPERATIONS),
  createState: (environment: StateEnvironment) => new MapState(environment),
  handlers,
  traceOf,
  replyElsewhere: lockReplyElsewhere(MAP_OPERATIONS, DELTA.lock),
  merge: mergeRecords,
  purge: (state: MapState, cursor: number, horizon: PurgeHorizon, context: OperationContext) =>
    state.purge(cursor, horizon, context),
  expire: (state: MapState, context: OperationContext) => state.upkeep.expire(context),
  upkeep: (state: MapState, keys: readonly Uint8Array[], context: OperationContext) =>
    state.upkeep.keepUp(keys, context),
  isUnsettled: (state: MapState, call: CallId) => state.owed.isTold(call),
  crowd: crowdWith as NonNullable<Service['crowd']>,
  evict: (state: MapState, keys: readonly Uint8Array[], context: OperationContext) =>
    state.upkeep.evict(keys, context),
};
