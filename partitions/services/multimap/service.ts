/**
 * What each operation of a multimap does with the pairs of one partition. A reply may hold views into the store, valid
 * until its next change, so it is encoded at once. A call that changes nothing waits for what it saw; one that changes
 * something waits for its own position, which lies behind all that it saw.
 */
import { ValueTooLargeError } from '../../../src/base/errors.js';
import type { ReplyOf, RequestOf } from '../../../src/wire/message.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import { murmur3 } from '../../hash.js';
import type { OperationContext, PurgeHorizon, Service, StateEnvironment } from '../../service.js';
import { type Page, type PageLimits, pageOf } from '../../store/page.js';
import { guardedAll, lockHandlers, lockReplyElsewhere, withGuards } from '../lock-handlers.js';
import type { HandlersOf } from '../structure.js';
import { mergePairs } from './merge.js';
import { MAX_PAGE_VALUES, MULTI_MAP_OPERATIONS } from './ops.js';
import type { MultiMapOptions } from './options.js';
import { idOf, KIND, TAIL_BYTES, userKeyOf, valueHashOf } from './pair.js';
import { DELTA, MultiMapState, traceOf } from './state.js';

/** Of the pairs of one key that are read or removed at once; one alone may be larger. */
const MAX_WALK_BYTES = 4 * 1024 * 1024;
/** Of one page of a scan, whatever is asked for. */
const MAX_PAGE_BYTES = 1024 * 1024;
/** Keys and values of one request to `putAll`; the largest pair fits. */
const MAX_PUT_ALL_BYTES = MAX_VALUE_BYTES + 1024 * 1024;
/** What the mark of a removal takes of a delta, beside the key. */
const PAIR_BYTES = 64;
const NO_LIMIT = Number.POSITIVE_INFINITY;
const SCAN_RECORDS = 2_000;
const SEARCH_BUDGET = { records: 10_000, bytes: NO_LIMIT };
/** Pairs that one page of a removal of everything takes. */
const REMOVAL_LIMITS: PageLimits = {
  walk: { records: 4_000, bytes: NO_LIMIT },
  records: 500,
  bytes: 128 * 1024,
};

const DONE = {};

type Handlers = HandlersOf<MultiMapState, typeof MULTI_MAP_OPERATIONS>;

const plainHandlers: Handlers = {
  put(state, { key, value }, context) {
    const { isSet, kind } = typeOf(context);
    state.look(key, context);
    if (isSet && state.has(key, value)) return { added: false };
    state.edit(context).add(key, value, kind);
    return { added: true };
  },

  putAll(state, { pairs }, context) {
    const bytes = pairs.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
    if (bytes > MAX_PUT_ALL_BYTES) {
      const limit = `the limit is ${MAX_PUT_ALL_BYTES} bytes`;
      throw new ValueTooLargeError(`pairs: keys and values together have ${bytes} bytes; ${limit}`);
    }
    const { isSet, kind } = typeOf(context);
    for (const { key } of pairs) state.look(key, context);
    const edit = state.edit(context);
    for (const { key, value } of pairs) if (!isSet || !state.has(key, value)) edit.add(key, value, kind);
    return DONE;
  },

  get(state, { key, after }, context) {
    const { seen, next } = walk(state, state.look(key, context), key, after, NO_LIMIT);
    return { values: seen.flatMap((ref) => (state.isVisible(ref) ? state.pairs.valueOf(ref) : [])), next };
  },

  remove(state, { key, value }, context) {
    state.look(key, context);
    const most = Math.ceil(MAX_WALK_BYTES / (key.length + PAIR_BYTES));
    const found = state.matches(key, value, typeOf(context).isSet, most);
    const edit = state.edit(context);
    for (const pair of found) edit.remove(pair);
    return { removed: found.length > 0 };
  },

  removeAll(state, { key, after, upTo: given, withValues }, context) {
    const upTo = given === 0 ? state.lastSeq : given;
    const { seen, next } = walk(state, state.look(key, context), key, after, upTo);
    // Copies, because they outlive the change that follows.
    const values = seen.filter((ref) => withValues && state.isVisible(ref));
    const copies = values.map((ref) => Buffer.from(state.pairs.valueOf(ref)));
    const edit = state.edit(context);
    for (const pair of seen.map((ref) => Buffer.from(state.pairs.keyOf(ref)))) edit.remove(pair);
    return { values: copies, next, upTo };
  },

  containsKey(state, { key }, context) {
    return { found: state.look(key, context) >= 0 };
  },

  containsEntry(state, { key, value }, context) {
    state.look(key, context);
    return { found: state.has(key, value) };
  },

  valueCount(state, { key }, context) {
    const ref = state.look(key, context);
    return { values: ref < 0 ? 0 : state.keys.count(ref) - state.keys.hidden(ref) };
  },

  size(state, _request, context) {
    context.dependsOn(state.lastSeq);
    return { entries: state.entryCount };
  },

  containsValue(state, { value, cursor }, context) {
    context.dependsOn(state.lastSeq);
    const { pairs } = state;
    const valueHash = murmur3(value);
    let found = false;
    const next = pairs.scan(cursor, SEARCH_BUDGET, (ref) => {
      if (found || pairs.isTombstone(ref) || valueHashOf(pairs.keyOf(ref)) !== valueHash) return;
      found = Buffer.compare(pairs.valueOf(ref), value) === 0;
    });
    return { found, next };
  },

  scan(state, { cursor, what, maxBytes }, context) {
    context.dependsOn(state.lastSeq);
    const limits = {
      walk: { records: SCAN_RECORDS, bytes: NO_LIMIT },
      records: SCAN_RECORDS,
      bytes: Math.min(maxBytes, MAX_PAGE_BYTES),
    };
    return what === 'keys' ? keyPage(state, cursor, limits) : pairPage(state, cursor, limits, what);
  },

  /**
   * Removes by explicit pairs: a delta that said "everything" would leave behind what a copy in progress brings later.
   * Pairs that were put after the first page stay, so that a busy multimap does not keep a clear going for ever; those of
   * keys that somebody else has locked stay too.
   */
  clear(state, request, context) {
    const { pairs, locks } = state;
    const isFree = (ref: number) =>
      locks.heldCount === 0 || !locks.isBlocked(userKeyOf(pairs.keyOf(ref)), context);
    const upTo = request.upTo === 0 ? state.lastSeq : request.upTo;
    const { refs, next } = pageOf(pairs, request.cursor, REMOVAL_LIMITS, (ref) =>
      pairs.isTombstone(ref) || pairs.seqOf(ref) > upTo || !isFree(ref) ? -1 : pairs.keyBytes(ref),
    );
    if (refs.length === 0) context.dependsOn(state.lastSeq);
    const edit = state.edit(context, true);
    for (const pair of refs.map((ref) => Buffer.from(pairs.keyOf(ref)))) edit.remove(pair);
    edit.cleared();
    return { next, upTo, removed: refs.length };
  },
  ...lockHandlers,
};

const handlers: Handlers = {
  ...withGuards<MultiMapState, Handlers>(plainHandlers, ['put', 'remove', 'removeAll']),
  putAll: guardedAll(({ pairs }) => pairs, plainHandlers.putAll),
};

function typeOf(context: OperationContext) {
  const isSet = (context.options as MultiMapOptions).valueCollectionType === 'SET';
  return { isSet, kind: isSet ? KIND.unique : KIND.repeatable };
}

/**
 * Pairs of a key in the order of their ids, from behind one on, hidden ones too, that were put up to a position; and
 * the one to go on behind when they are too many for one reply.
 */
function walk(
  state: MultiMapState,
  ref: number,
  key: Uint8Array,
  after: Uint8Array | null,
  upTo: number,
): { readonly seen: number[]; readonly next: Uint8Array | null } {
  const { keys, pairs } = state;
  const seen: number[] = [];
  if (ref < 0) return { seen, next: null };
  const count = keys.count(ref);
  let bytes = 0;
  let at = after === null ? 0 : keys.rank(ref, after);
  if (after !== null && at < count && Buffer.compare(idOf(keys.tail(ref, at)), after) === 0) at++;
  for (let looked = 0; at < count; at++, looked++) {
    const pair = state.pairOf(key, keys.tail(ref, at));
    bytes += pairs.recordBytes(pair);
    if (looked > 0 && (looked === MAX_PAGE_VALUES || bytes > MAX_WALK_BYTES)) {
      return { seen, next: Buffer.from(idOf(keys.tail(ref, at - 1))) };
    }
    if (pairs.seqOf(pair) <= upTo) seen.push(pair);
  }
  return { seen, next: null };
}

type ScanReply = ReplyOf<typeof MULTI_MAP_OPERATIONS.scan>;
type ScanWhat = RequestOf<typeof MULTI_MAP_OPERATIONS.scan>['what'];

function keyPage(state: MultiMapState, cursor: number, limits: PageLimits): ScanReply {
  const { store } = state.keys;
  const { refs, next } = pageOf(store, cursor, limits, (ref) => store.keyBytes(ref) + 4);
  return { next, keys: refs.map((ref) => store.keyOf(ref)), values: [] };
}

function pairPage(state: MultiMapState, cursor: number, limits: PageLimits, what: ScanWhat): ScanReply {
  const { pairs } = state;
  const withKeys = what !== 'values';
  const { refs, next }: Page = pageOf(pairs, cursor, limits, (ref) => {
    if (!state.isVisible(ref)) return -1;
    return (withKeys ? pairs.keyBytes(ref) - TAIL_BYTES + 4 : 0) + pairs.valueBytes(ref) + 4;
  });
  return {
    next,
    keys: withKeys ? refs.map((ref) => userKeyOf(pairs.keyOf(ref))) : [],
    values: refs.map((ref) => pairs.valueOf(ref)),
  };
}

export const multiMapService: Service = {
  id: 4,
  name: 'multiMap',
  placedBy: 'keys',
  operations: Object.values(MULTI_MAP_OPERATIONS),
  createState: (environment: StateEnvironment) => new MultiMapState(environment),
  handlers,
  traceOf,
  replyElsewhere: lockReplyElsewhere(MULTI_MAP_OPERATIONS, DELTA.lock),
  merge: mergePairs,
  purge: (state: MultiMapState, cursor: number, horizon: PurgeHorizon, context: OperationContext) =>
    state.purge(cursor, horizon, context),
};
