/**
 * What the primary of a key decides about `getOrLoad`: who runs the loader, and whether what a loader brings is stored.
 * Invariants: while a lease has not ended nobody else gets one for its key; a value is stored only under the lease of
 * its fence, and what anybody else wrote or removed meanwhile ends that lease. Part of the handlers in `service.ts`.
 */
import { OverloadError } from '../../../src/base/errors.js';
import { murmur3 } from '../../hash.js';
import type { OperationContext } from '../../service.js';
import type { HandlersOf } from '../structure.js';
import { DELTA } from './delta.js';
import { isStillKept } from './expiry.js';
import {
  type Fence,
  type Holder,
  isSameFence,
  type LoadLeases,
  MAX_LEASE_MS,
  MAX_LEASES,
  MAX_MARKS,
} from './load-leases.js';
import type { MAP_OPERATIONS } from './ops.js';
import type { MapOptions } from './options.js';
import type { MapState } from './state.js';

type LoadOperations = Pick<typeof MAP_OPERATIONS, 'beginLoad' | 'finishLoad' | 'abandonLoad' | 'awaitLoad'>;

const NO_FENCE: Fence = { lineage: 0, epoch: 0, seq: 0 };
const NOTHING = { value: null, fence: NO_FENCE, leftMs: 0 };

export const loadHandlers: HandlersOf<MapState, LoadOperations> = {
  beginLoad(state, { key, client, token, leaseMs, staleMs }, context) {
    const ref = state.look(key, context);
    if (ref >= 0) {
      state.touch(ref, key, context);
      return { ...NOTHING, outcome: 'value', value: state.store.valueOf(ref) };
    }
    const { loads } = state;
    const lease = loads.find(key);
    if (lease !== undefined && !loads.hasEnded(lease, context.nowMs)) {
      const isOurs = lease.held.client === client && lease.held.token === token;
      if (isOurs) return { ...NOTHING, outcome: 'load', fence: lease.held };
      const stale = staleMs > 0 ? lookStale(state, key, staleMs, context) : -1;
      if (stale >= 0) return { ...NOTHING, outcome: 'stale', value: state.store.valueOf(stale) };
      return { ...NOTHING, outcome: 'wait', leftMs: loads.leftMs(lease, context.nowMs) };
    }
    refuseTooMany(loads);
    const fence = grantLoad(state, key, { client, token }, Math.min(leaseMs, MAX_LEASE_MS), context);
    return { ...NOTHING, outcome: 'load', fence };
  },

  finishLoad(state, { key, fence, value, ttlMs, staleMs }, context) {
    if (!isCurrent(state, key, fence)) return { isCurrent: false };
    if (value === null) releaseLoad(state, key, context);
    else {
      const { maxIdleMs } = context.options as MapOptions;
      state.change(key, value, context, { ttlMs, maxIdleMs, staleMs });
    }
    return { isCurrent: true };
  },

  abandonLoad(state, { key, fence }, context) {
    if (isCurrent(state, key, fence)) releaseLoad(state, key, context);
    return {};
  },

  awaitLoad(state, { key }, context) {
    const ref = state.lookHere(key, context);
    if (ref >= 0) {
      state.touch(ref, key, context);
      return { outcome: 'value', value: state.store.valueOf(ref), leftMs: 0 };
    }
    const { loads } = state;
    const lease = loads.find(key);
    if (lease === undefined || loads.hasEnded(lease, context.nowMs))
      return { outcome: 'free', value: null, leftMs: 0 };
    return { outcome: 'wait', value: null, leftMs: loads.leftMs(lease, context.nowMs) };
  },
};

function refuseTooMany({ activeCount, markCount }: LoadLeases): void {
  if (activeCount >= MAX_LEASES)
    throw new OverloadError(`${activeCount} keys of the partition are being loaded, which is the limit`);
  if (markCount >= MAX_MARKS)
    throw new OverloadError(
      `${markCount} loads of the partition stored nothing since housekeeping, which is the limit; try again in some seconds`,
    );
}

/** A lease that has ended by time stays current until somebody else gets one: a late loader harms nobody then. */
function isCurrent(state: MapState, key: Uint8Array, fence: Fence): boolean {
  const lease = state.loads.find(key);
  return lease !== undefined && isSameFence(lease.held, fence);
}

/** The ref of an entry that has expired, but not for longer than this, or -1. */
function lookStale({ store }: MapState, key: Uint8Array, staleMs: number, context: OperationContext): number {
  const ref = store.find(murmur3(key), key);
  if (ref < 0 || store.isTombstone(ref)) return -1;
  return isStillKept(store, ref, staleMs, context.wallMs) ? ref : -1;
}

/** Lets the holder load a key, as the one change of this operation; gives the fence. */
function grantLoad(
  state: MapState,
  key: Uint8Array,
  holder: Holder,
  leaseMs: number,
  context: OperationContext,
): Fence {
  const { lineage, epoch } = context.actor;
  const lease = { lineage, epoch, seq: context.seq, ...holder, leaseMs };
  const out = context.delta();
  out.u8(DELTA.grantLoad);
  state.loads.write(out, key, lease);
  state.loads.grant(key, lease, context.nowMs);
  state.lastSeq = context.seq;
  return lease;
}

/** Ends the lease of a key without a value, as the one change of this operation. */
function releaseLoad(state: MapState, key: Uint8Array, context: OperationContext): void {
  const out = context.delta();
  out.u8(DELTA.releaseLoad);
  out.bytes(key);
  state.loads.release(key, context.seq);
  state.lastSeq = context.seq;
}
