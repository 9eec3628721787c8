/**
 * Housekeeping of a record store: takes the marks of removals that lie behind a horizon out of memory, in bounded
 * steps. A delta names the range of hashes and the horizon, from which each replica finds the same marks. Called by the
 * states that keep their data in a record store.
 */
import type { Reader, Writer } from '../../src/base/bytes.js';
import type { PurgeHorizon } from '../service.js';
import { REMOVAL } from './record-layout.js';
import type { RecordStore, ScanBudget } from './record-store.js';

export const HASH_END = 2 ** 32;
export const PURGE_STEP: ScanBudget = { records: 1_000, bytes: 1024 * 1024 };

/**
 * Copies of the keys of marks behind the horizon with a hash in [from, to), as far as one step goes. A mark of what expired
 * or was evicted has to reach the replicas and nothing else: whoever comes with such an entry later may have it.
 */
export function purgeable(
  store: RecordStore,
  from: number,
  to: number,
  horizon: PurgeHorizon,
): { readonly keys: Uint8Array[]; readonly next: number } {
  const keys: Uint8Array[] = [];
  const next = store.scan(from, PURGE_STEP, (ref) => {
    if (!store.isTombstone(ref) || store.seqOf(ref) > horizon.seq || store.hashOf(ref) >= to) return;
    const cause = store.causeOf(ref);
    const isBrief = cause === REMOVAL.expired || cause === REMOVAL.evicted;
    if (isBrief || store.versionMs(ref) < horizon.ms) keys.push(Buffer.from(store.keyOf(ref)));
  });
  return { keys, next };
}

/** A step from one hash to the next one, -1 for the end. */
export function writePurge(out: Writer, from: number, next: number, horizon: PurgeHorizon): void {
  out.u32(from);
  out.f64(next < 0 ? HASH_END : next);
  out.f64(horizon.seq);
  out.f64(horizon.ms);
}

/** Drops what the primary dropped in that step; returns where it began, and its horizon. */
export function applyPurge(
  store: RecordStore,
  input: Reader,
  drop: (keys: readonly Uint8Array[]) => void,
): { readonly from: number; readonly horizon: PurgeHorizon } {
  const from = input.u32();
  const to = input.f64();
  const horizon = { seq: input.f64(), ms: input.f64() };
  for (let cursor = from; cursor >= 0 && cursor < to; ) {
    const { keys, next } = purgeable(store, cursor, to, horizon);
    drop(keys);
    cursor = next;
  }
  return { from, horizon };
}
