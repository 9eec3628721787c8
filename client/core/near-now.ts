/** The near cache of a structure in this process, as `explain` tells of it. Called by clients and embedded members. */
import type { NearCacheStatistics } from '../../partitions/near.js';
import type { NearCacheNow } from '../../src/policy/explanation.js';

export function nearNow(
  statistics: NearCacheStatistics | null,
  options: { readonly maxStalenessMs: number } | null,
): NearCacheNow | null {
  if (statistics === null || options === null) return null;
  const { entries, hits, ages } = statistics;
  const oldest = ages.findLast(({ count }) => count > 0)?.belowMs ?? 0;
  const { maxStalenessMs } = options;
  // The last count is of all that are older than the others.
  return { entries, hits, hitsBelowMs: Math.min(oldest, maxStalenessMs + 1), maxStalenessMs };
}
