/** What a near cache counts. Counted on the way of every read, hence plain numbers. Called by `near-map.ts`. */
import type { NearCacheStatistics } from '../partitions/near.js';

/** Ages are counted up to 1, 2, 4, ... ms; the last count is for all above. */
const AGES = 18;

export class Statistics {
  hits = 0;
  misses = 0;
  tooOld = 0;
  behindSession = 0;
  invalidations = 0;
  expirations = 0;
  lateFills = 0;
  unwatched = 0;
  readonly #ages = new Uint32Array(AGES);

  hit(ageMs: number): void {
    this.hits++;
    const at = 32 - Math.clz32(ageMs);
    const index = at < AGES ? at : AGES - 1;
    this.#ages[index] = (this.#ages[index] as number) + 1;
  }

  read(entries: number, sizeBytes: number, evictions: number): NearCacheStatistics {
    const { hits, misses, tooOld, behindSession, invalidations, expirations, lateFills, unwatched } = this;
    const ages = [...this.#ages].map((count, i) => ({
      belowMs: i === AGES - 1 ? Number.POSITIVE_INFINITY : 2 ** i,
      count,
    }));
    const counted = {
      hits,
      misses,
      tooOld,
      behindSession,
      invalidations,
      evictions,
      expirations,
      lateFills,
      unwatched,
    };
    return { entries, sizeBytes, ...counted, ages };
  }
}
