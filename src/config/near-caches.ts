/** The near caches of a client or an embedded member, by the name or pattern of a map. */
import { z } from 'zod';
import { type NearCacheOptions, nearCacheOptions } from '../../nearcache/options.js';
import { mostSpecific } from './patterns.js';

export const NEAR_CACHES_KEY = 'nearCaches';

export const nearCachesSchema = z
  .record(z.string().min(1).max(256), nearCacheOptions)
  .default({})
  .describe(
    'Near caches by the name or pattern of a map (* stands for any text; the most specific one counts, alone): values that this process keeps for reads that may be behind (EL). The map need not exist yet.',
  );

const ROWS = new WeakMap<object, { readonly pattern: string; readonly options: NearCacheOptions }[]>();

/** The options of a map's near cache, or null when it has none. */
export function nearCacheFor(
  map: string,
  nearCaches: Readonly<Record<string, NearCacheOptions>>,
): NearCacheOptions | null {
  let rows = ROWS.get(nearCaches);
  if (rows === undefined) {
    rows = Object.entries(nearCaches).map(([key, options]) => ({
      pattern: key === 'default' ? '*' : key,
      options,
    }));
    ROWS.set(nearCaches, rows);
  }
  return mostSpecific(rows, map)?.options ?? null;
}

/** The maps named in full whose near caches begin with the keys of a file; null when no near cache does. */
export function preloadedMaps(nearCaches: Readonly<Record<string, NearCacheOptions>>): string[] | null {
  const rows = Object.entries(nearCaches).filter(([, { preload }]) => preload !== undefined);
  if (rows.length === 0) return null;
  return rows.flatMap(([name]) => (name === 'default' || name.includes('*') ? [] : [name]));
}
