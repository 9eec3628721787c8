/**
 * When entries of a map expire. An entry is shown until its time is over, and kept for `staleMs` more, for those who take
 * what is stale; then the primary removes it, as a change of its own that travels to the backups. Times are those of wall
 * clocks: a replica judges by its own, so that entries live longer or shorter by as much as the clocks of members differ.
 * Called by the state of the map.
 */
import type { PurgeHorizon } from '../../service.js';
import type { RecordMeta } from '../../store/record-layout.js';
import type { RecordStore, ScanBudget } from '../../store/record-store.js';

/** How long a value is good; 0 is for ever. */
export interface Life {
  readonly ttlMs: number;
  /** How long it is kept beyond that. */
  readonly staleMs: number;
}

/** Longer than that is for ever, in records. */
export const MAX_TTL_MS = 2 ** 47;

export const FOR_EVER: Life = { ttlMs: 0, staleMs: 0 };

/** As the record keeps it: `expiresMs` is when it may be removed, 0 for never. */
export function expiryOf({ ttlMs, staleMs }: Life, nowMs: number): Pick<RecordMeta, 'expiresMs' | 'ttlMs'> {
  return ttlMs > 0 ? { expiresMs: nowMs + ttlMs + staleMs, ttlMs } : { expiresMs: 0, ttlMs: 0 };
}

/** Until when an entry is shown, milliseconds since 1970; 0 is for ever. */
export function freshUntilMs({
  expiresMs,
  updatedMs,
  ttlMs,
}: Pick<RecordMeta, 'expiresMs' | 'updatedMs' | 'ttlMs'>): number {
  return ttlMs > 0 ? Math.min(expiresMs, updatedMs + ttlMs) : expiresMs;
}

/** Whether an entry is shown no more. */
export function hasExpired(store: RecordStore, ref: number, wallMs: number): boolean {
  return store.expiresMs(ref) > 0 && wallMs >= freshUntilMs(store.metaOf(ref));
}

/** Whether an entry with an expiry is kept still, and was shown at most so long ago. */
export function isStillKept(store: RecordStore, ref: number, staleMs: number, wallMs: number): boolean {
  return wallMs < Math.min(store.expiresMs(ref), freshUntilMs(store.metaOf(ref)) + staleMs);
}

/** What housekeeping finds over in a part of the records. */
export interface Over {
  /** Marks of removals that every replica has and nobody needs. */
  readonly tombstones: Uint8Array[];
  /** Of entries that are over for good. */
  readonly expired: Uint8Array[];
  /** Hash at which to go on, or -1. */
  readonly next: number;
}

/** Looks at the records with a hash in [from, to), within the budget. */
export function findOver(
  store: RecordStore,
  [from, to]: readonly [number, number],
  budget: ScanBudget,
  horizon: PurgeHorizon,
  wallMs: number,
): Over {
  const tombstones: Uint8Array[] = [];
  const expired: Uint8Array[] = [];
  const next = store.scan(from, budget, (ref) => {
    if (store.hashOf(ref) >= to) return;
    const keyOf = () => Buffer.from(store.keyOf(ref));
    if (store.isTombstone(ref)) {
      if (store.seqOf(ref) <= horizon.seq && store.versionMs(ref) < horizon.ms) tombstones.push(keyOf());
      return;
    }
    const expiresMs = store.expiresMs(ref);
    if (expiresMs > 0 && wallMs >= expiresMs) expired.push(keyOf());
  });
  return { tombstones, expired, next };
}
