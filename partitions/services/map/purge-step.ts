/**
 * Housekeeping of a map in one partition: marks of removals that every replica has and nobody needs, marks of merges, and
 * leases of loads and locks that are over. One change does it all, so that the next step goes on behind the range. Called by the state
 * of the map.
 */
import type { Reader } from '../../../src/base/bytes.js';
import { MAX_KEY_BYTES } from '../../../src/wire/keys.js';
import type { OperationContext, PurgeHorizon } from '../../service.js';
import { applyPurge, HASH_END, purgeable, writePurge } from '../../store/purge.js';
import type { RecordStore } from '../../store/record-store.js';
import type { KeyLocks } from '../key-locks.js';
import { DELTA } from './delta.js';
import type { LoadLeases } from './load-leases.js';
import type { MergedMarks } from './merged-marks.js';
import type { OwedWrites } from './owed.js';

interface Purged {
  readonly store: RecordStore;
  readonly merged: MergedMarks;
  readonly loads: LoadLeases;
  readonly locks: KeyLocks;
  readonly owed: OwedWrites;
}

type Drop = (keys: readonly Uint8Array[]) => void;

/** See `Service.purge`. */
export function purgeMap(
  { store, merged, loads, locks, owed }: Purged,
  cursor: number,
  horizon: PurgeHorizon,
  context: OperationContext,
  drop: Drop,
): number {
  const { keys, next } = purgeable(store, cursor, HASH_END, horizon);
  // A merge finds what is owed of a key to its store by the record.
  const tombstones = owed.without(keys);
  const withMarks = cursor === 0 && merged.isPurgeable(horizon.ms);
  const leases = loads.droppable(horizon.seq, context.nowMs);
  const unlocked = locks.droppable(horizon);
  const withFence = locks.isFenceOver(horizon);
  const found = tombstones.length + leases.length + unlocked.length;
  const ofStore = cursor === 0 && owed.isPurgeable(horizon.seq, context.nowMs);
  if (found === 0 && !withMarks && !withFence && !ofStore) return next;
  const out = context.delta();
  out.u8(DELTA.purge);
  writePurge(out, cursor, next, horizon);
  out.u32(leases.length);
  for (const key of leases) {
    out.bytes(key);
    loads.drop(key, horizon.seq);
  }
  locks.purge(unlocked, withFence, horizon.seq, out);
  drop(tombstones);
  if (withMarks) merged.purge(horizon.ms);
  if (ofStore) owed.purge(horizon.seq);
  return next;
}

export function applyPurgeTo({ store, merged, loads, locks, owed }: Purged, input: Reader, drop: Drop): void {
  const { from, horizon } = applyPurge(store, input, (keys) => drop(owed.without(keys)));
  for (let left = input.u32(); left > 0; left--) loads.drop(input.blob(MAX_KEY_BYTES), horizon.seq);
  locks.applyPurge(input, horizon.seq);
  if (from !== 0) return;
  merged.purge(horizon.ms);
  owed.purge(horizon.seq);
}
