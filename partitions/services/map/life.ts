/** How long a value is good, as calls and options say it. Called wherever one of them is read. */

/** In a request: as the options of the map say. */
export const AS_CONFIGURED = -1;

/** A time to live or a max idle time is at most this: more than 30 years. */
export const MAX_LIFE_MS = 1_000_000_000_000;

/** How long a value is good; 0 is for ever. */
export interface Life {
  readonly ttlMs: number;
  /** How long it may go unused. */
  readonly maxIdleMs: number;
  /** How long it is kept beyond `ttlMs`; left out: not at all. */
  readonly staleMs?: number;
}

/** What a call asks for, null for nothing. */
export function lifeOf(asked: Life | null, options: Life): Life {
  if (asked === null) return options;
  const given = (ms: number, configured: number) => (ms === AS_CONFIGURED ? configured : ms);
  const { staleMs = 0 } = asked;
  return {
    ttlMs: given(asked.ttlMs, options.ttlMs),
    maxIdleMs: given(asked.maxIdleMs, options.maxIdleMs),
    staleMs,
  };
}
