/**
 * When entries of a map are over. An entry ends by its time to live, counted from its last write, or because it was not
 * used for its max idle time, whatever comes first. From then on nobody is shown it; one that is kept for those who take
 * what is stale is removed `staleMs` later. The removal is a change of the primary that travels to the backups.
 *
 * Times are those of wall clocks, and each replica judges by its own: entries live longer or shorter by as much as the
 * clocks of members differ, or as one was set. That an entry is over and was told so to somebody is never taken back all
 * the same: the answer waits for the removal (`upkeep.ts`).
 *
 * Reads at the primary count as uses, and reach the backups once in `toldEveryMs` for an entry, before the first answer
 * beyond that. So a new primary knows the last use of each entry to within twice that time, and counts the later end of
 * it: no entry goes early because the primary has changed, and none stays longer than `bonusMs`. A backup that cannot
 * know whether an entry is idle for too long says so, and the primary is asked. Called by the state of the map.
 */
import type { OperationContext } from '../../service.js';
import type { Expiry } from '../../store/record-layout.js';
import type { RecordStore } from '../../store/record-store.js';
import type { Life } from './life.js';

const NEVER = Number.POSITIVE_INFINITY;
/** Parts of the max idle time in which backups are told of uses, each at most once. */
const TOLD_PARTS = 8;

const FOR_EVER: Expiry = { expiresMs: 0, ttlMs: 0, maxIdleMs: 0, staleMs: 0 };

/** As the record keeps it. */
export function expiryOf({ ttlMs, maxIdleMs, staleMs = 0 }: Life, nowMs: number): Expiry {
  if (ttlMs > 0) return { expiresMs: nowMs + ttlMs, ttlMs, maxIdleMs, staleMs };
  return maxIdleMs > 0 ? { expiresMs: 0, ttlMs: 0, maxIdleMs, staleMs: 0 } : FOR_EVER;
}

/** Within a use of an entry and this time the backups hear of it. */
export function toldEveryMs(maxIdleMs: number): number {
  return maxIdleMs / TOLD_PARTS;
}

/** How much longer a use may be ago, as far as a new primary knows. */
function bonusMs(maxIdleMs: number): number {
  return 2 * toldEveryMs(maxIdleMs);
}

/** The last use of an entry that a primary has to count with. */
function usedMs(store: RecordStore, ref: number, maxIdleMs: number, leadsSinceMs: number): number {
  const used = store.usedMs(ref);
  // What it was not told of was before it became the primary.
  return used >= leadsSinceMs ? used : Math.min(used + bonusMs(maxIdleMs), leadsSinceMs);
}

/** When an entry is over at a member that leads since then, milliseconds since 1970; Infinity for never. */
export function endsMs(store: RecordStore, ref: number, leadsSinceMs: number): number {
  const expiresMs = store.expiresMs(ref);
  const maxIdleMs = store.maxIdleMs(ref);
  const byTtl = expiresMs > 0 ? expiresMs : NEVER;
  if (maxIdleMs === 0) return byTtl;
  return Math.min(byTtl, usedMs(store, ref, maxIdleMs, leadsSinceMs) + maxIdleMs);
}

/** When an entry that is over is to be removed. */
export function removalMs(store: RecordStore, ref: number, leadsSinceMs: number): number {
  return endsMs(store, ref, leadsSinceMs) + store.staleMs(ref);
}

/** Whether an entry is shown; a backup that cannot tell says so to the context. */
export function isShown(store: RecordStore, ref: number, wallMs: number, context: OperationContext): boolean {
  const expiresMs = store.expiresMs(ref);
  if (expiresMs > 0 && wallMs >= expiresMs) return false;
  const maxIdleMs = store.maxIdleMs(ref);
  if (maxIdleMs === 0) return true;
  if (!context.isBehind) return wallMs < usedMs(store, ref, maxIdleMs, context.leadsSinceMs) + maxIdleMs;
  if (wallMs >= store.usedMs(ref) + maxIdleMs) context.undecided();
  return true;
}

/** Whether an entry with an expiry is kept still, and was shown at most so long ago. */
export function isStillKept(store: RecordStore, ref: number, staleMs: number, wallMs: number): boolean {
  const shownUntilMs = endsMs(store, ref, Number.NEGATIVE_INFINITY);
  return wallMs < shownUntilMs + Math.min(staleMs, store.staleMs(ref));
}
