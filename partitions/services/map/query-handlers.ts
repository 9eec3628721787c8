/**
 * Steps of queries on the member that leads a partition, or on one that may answer a read that may be behind: what matches is
 * found by `partitions/query`, what is made of it is here. Invariant: a reply waits for all that the partition had when it was
 * asked, because what does not match is a part of the answer too. Part of the handlers in `service.ts`.
 */

import { OperationFailedError } from '../../../src/base/errors.js';
import { accumulatorOf } from '../../query/aggregators.js';
import { type EntryBytes, encodedResult } from '../../query/entry-bytes.js';
import type { IndexDefinition } from '../../query/index-definition.js';
import { identityOfIndex, MAX_INDEXES } from '../../query/index-definition.js';
import { type Matcher, matcherOf } from '../../query/matcher.js';
import { comparePlaces, First, sortOf } from '../../query/order.js';
import type { Anchor } from '../../query/paging.js';
import { type Path, pathOf, readOne, someAt } from '../../query/paths.js';
import type { Predicate } from '../../query/predicate.js';
import { runSlice, type SliceEnd, type SliceLimits, type Take } from '../../query/slice.js';
import type { OperationContext } from '../../service.js';
import { REMOVAL } from '../../store/record-layout.js';
import type { HandlersOf } from '../structure.js';
import { DELTA } from './delta.js';
import type { MapOptions } from './options.js';
import type { QUERY_OPERATIONS } from './query-ops.js';
import type { MapState } from './state.js';
import { changesAtOnce } from './stored.js';

/** Of one page, whatever is asked for. */
const MAX_PAGE_BYTES = 1024 * 1024;
const RECORDS = 2_000;
const LIMITS: SliceLimits = { records: RECORDS, bytes: MAX_PAGE_BYTES, matches: RECORDS };
/** A removal is a change, which travels to the backups as one. */
const REMOVAL_LIMITS: SliceLimits = { records: 4_000, bytes: 128 * 1024, matches: 500 };

/** Entries of a length in bytes on the wire. */
const LENGTH_BYTES = 4;

function limited(maxBytes: number): SliceLimits {
  return { ...LIMITS, bytes: Math.min(maxBytes, MAX_PAGE_BYTES) };
}

interface Where {
  readonly predicate: Predicate;
  readonly cursor: number;
}

function step(
  state: MapState,
  { predicate, cursor }: Where,
  limits: SliceLimits,
  context: OperationContext,
  take: Take,
): SliceEnd {
  context.dependsOn(state.lastSeq);
  const found = state.indexes.find(predicate, configuredIndexes(context), context);
  // The caller asks again for the same place; what was read counts as looked at.
  if ('read' in found) return { next: cursor, visited: found.read, matched: 0, index: '' };
  return runSlice(state, matcherFor(predicate), found.candidates, cursor, limits, context, take);
}

/** One query asks for the same in many partitions. */
const matchers = new WeakMap<Predicate, Matcher>();

function matcherFor(predicate: Predicate): Matcher {
  let matcher = matchers.get(predicate);
  if (matcher === undefined) {
    matcher = matcherOf(predicate);
    matchers.set(predicate, matcher);
  }
  return matcher;
}

function configuredIndexes({ options }: OperationContext): MapOptions['indexes'] {
  return (options as MapOptions).indexes;
}

export const queryHandlers: HandlersOf<MapState, typeof QUERY_OPERATIONS> = {
  query(state, request, context) {
    const keys: Uint8Array[] = [];
    const values: Uint8Array[] = [];
    const withKeys = request.what !== 'values';
    const withValues = request.what !== 'keys';
    const end = step(state, request, limited(request.maxBytes), context, (_ref, entry) => {
      const { keyBytes, valueBytes } = entry;
      if (withKeys) keys.push(keyBytes);
      if (withValues) values.push(valueBytes);
      const bytes = withKeys ? keyBytes.length + LENGTH_BYTES : 0;
      return bytes + (withValues ? valueBytes.length + LENGTH_BYTES : 0);
    });
    const { next, visited, matched, index } = end;
    return { next, visited, matched, index, keys, values };
  },

  removeWhere(state, request, context) {
    const { store, locks } = state;
    const upTo = request.upTo === 0 ? state.lastSeq : request.upTo;
    const keys: Buffer[] = [];
    const limits = { ...REMOVAL_LIMITS, matches: changesAtOnce(context, REMOVAL_LIMITS.matches) };
    const end = step(state, request, limits, context, (ref) => {
      // What was written since stays, so that a busy map does not keep the removal going for ever.
      if (store.seqOf(ref) > upTo) return 0;
      // As with clear: what somebody else has locked stays.
      if (locks.heldCount > 0 && locks.isBlocked(store.keyOf(ref), context)) return 0;
      keys.push(Buffer.from(store.keyOf(ref)));
      return store.keyBytes(ref);
    });
    state.removeMany(keys, REMOVAL.removed, context);
    return { ...end, upTo, removed: keys.length };
  },

  aggregate(state, request, context) {
    const { kind, attribute } = request.aggregator;
    const path = attribute === null ? null : pathOf(attribute);
    const all = accumulatorOf(kind);
    const end = step(state, request, LIMITS, context, (_ref, entry) => {
      const before = all.sizeBytes;
      if (path === null) all.add(kind === 'count' ? null : entry.value);
      else if (path.hasAny) eachAt(path, entry, (value) => all.add(value));
      else all.add(readOne(path, entry));
      return all.sizeBytes - before;
    });
    return { ...end, partials: [encodedResult(all.partial)] };
  },

  project(state, request, context) {
    const paths = request.attributes.map(pathOf);
    const rows: Uint8Array[] = [];
    const end = step(state, request, limited(request.maxBytes), context, (_ref, entry) => {
      const row = encodedResult(paths.map((path) => readOne(path, entry) ?? null));
      rows.push(row);
      return row.length + LENGTH_BYTES;
    });
    return { ...end, rows };
  },

  setIndex(state, { index }, context) {
    const { definitions } = state.indexes;
    if (index === null) {
      if (definitions.length > 0) setIndexes(state, [], context);
      return {};
    }
    const identity = identityOfIndex(index);
    const all = [...definitions, ...configuredIndexes(context)];
    if (all.some((one) => identityOfIndex(one) === identity)) return {};
    if (all.some(({ name }) => name === index.name))
      throw new OperationFailedError(`there is another index with the name ${JSON.stringify(index.name)}`);
    if (definitions.length >= MAX_INDEXES)
      throw new OperationFailedError(`the map has ${definitions.length} indexes, which is the limit`);
    setIndexes(state, [...definitions, index], context);
    return {};
  },

  warmIndex(state, { index }, context) {
    const identity = identityOfIndex(index);
    const all = [...state.indexes.definitions, ...configuredIndexes(context)];
    const known = all.find((one) => identityOfIndex(one) === identity);
    return { isBuilt: known === undefined || state.indexes.warm(known, context) };
  },

  queryPage(state, request, context) {
    const { store } = state;
    const { after, before, order } = request;
    const path = pathOf(request.attribute);
    const compare = comparePlaces(order);
    const withValues = request.withValues === 'yes';
    const first = new First<Anchor & { readonly ref: number }>(
      Math.min(Math.max(request.limit, 1), RECORDS),
      order,
    );
    const end = step(state, request, LIMITS, context, (ref, entry) => {
      const place = { sort: sortOf(path, entry), key: store.keyOf(ref), ref };
      if (after !== null && compare(place, after) <= 0) return 0;
      if (before !== null && compare(place, before) >= 0) return 0;
      first.put(place);
      return store.keyBytes(ref) + (withValues ? store.valueBytes(ref) : 0);
    });
    const places = first.take();
    return {
      ...end,
      places: places.map(({ sort, key }) => ({ sort, key })),
      values: withValues ? places.map(({ ref }) => store.valueOf(ref)) : [],
    };
  },
};

function eachAt(path: Path, entry: EntryBytes, visit: (value: unknown) => void): void {
  someAt(path, entry, (value) => {
    visit(value);
    return false;
  });
}

/** Sets the list of indexes, as the one change of this operation. */
function setIndexes(
  state: MapState,
  definitions: readonly IndexDefinition[],
  context: OperationContext,
): void {
  const out = context.delta();
  out.u8(DELTA.indexes);
  state.indexes.change(definitions, context.seq, out);
  state.lastSeq = context.seq;
}
