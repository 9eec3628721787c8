/**
 * `getOrLoad` of a map: what is there is answered as by `get`; else one loader runs for the key in the whole grid, and one
 * flight waits for it in this process, for all proxies of the map. Invariant: a wrong argument is a TypeError before
 * anything is sent. Called by the proxy of the map.
 */

import { Aborts } from '../../../src/base/aborts.js';
import { textOf } from '../../../src/base/bytes.js';
import { checkKnown } from '../../../src/base/option-names.js';
import { encodeKey } from '../../../src/wire/keys.js';
import type { SeenPlaces } from '../../invoker.js';
import { MAX_LIFE_MS } from './life.js';
import { MAX_LEASE_MS } from './load-leases.js';
import { Flight, type Loader, type LoadTimes } from './proxy-flight.js';
import type { MapReads } from './proxy-reads.js';

const DEFAULT_LOAD_TIMEOUT_MS = 30_000;

export interface LoadOptions {
  /** How long a loaded value is good; default 0: until it is removed. */
  readonly ttlMs?: number;
  /**
   * A value whose `ttlMs` is over is kept for so long beyond it, and given to those who would wait for another loader;
   * default 0. Only with `ttlMs`.
   */
  readonly staleMs?: number;
  /** A loader that takes longer counts as dead: its call fails, and another one may load. 1 to 3,600,000; default 30,000. */
  readonly loadTimeoutMs?: number;
}

type Flights = Map<string, Flight<unknown, unknown>>;

/** What this process loads of one map, for proxies of any type. */
export class MapLoads {
  readonly #aborts = new Aborts();
  readonly #flights: Flights = new Map();
  /** Calls with a session of their own do not share what others have seen. */
  readonly #bySession = new WeakMap<SeenPlaces, Flights>();

  async getOrLoad<K, V>(
    reads: MapReads<K, V>,
    key: K,
    loader: Loader<K, V>,
    times: LoadTimes,
  ): Promise<V | null> {
    const { requests } = reads;
    const keyBytes = encodeKey(key);
    const flights = this.#flightsOf(requests.options.session);
    // What is stale for one caller may be none for another.
    const name = `${times.staleMs} ${textOf(keyBytes)}`;
    if (!flights.has(name)) {
      const present = await reads.findOrGet(key, keyBytes);
      if (present !== null) return present;
    }
    const { signal } = requests.options;
    if (signal?.aborted === true) throw signal.reason;
    const present = flights.get(name);
    if (present !== undefined) return present.join(requests.options) as Promise<V | null>;
    const flight = new Flight(requests, key, keyBytes, loader, times, this.#aborts);
    flights.set(name, flight as unknown as Flight<unknown, unknown>);
    const value = flight.join(requests.options);
    void flight.run(() => {
      if ((flights.get(name) as unknown) === flight) flights.delete(name);
    });
    return value;
  }

  #flightsOf(session: SeenPlaces | null | undefined): Flights {
    if (session === null || session === undefined) return this.#flights;
    const present = this.#bySession.get(session);
    if (present !== undefined) return present;
    const flights: Flights = new Map();
    this.#bySession.set(session, flights);
    return flights;
  }
}

/** Throws a TypeError that names the argument which is wrong. */
export function checkedLoad(loader: unknown, options: LoadOptions): LoadTimes {
  if (typeof loader !== 'function') throw new TypeError(`loader: expected a function, got ${typeof loader}`);
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`options: expected an object, got ${String(options)}`);
  checkKnown(options, ['ttlMs', 'staleMs', 'loadTimeoutMs']);
  const { ttlMs = 0, staleMs = 0, loadTimeoutMs = DEFAULT_LOAD_TIMEOUT_MS } = options;
  const times = {
    ttlMs: checkedMs('ttlMs', ttlMs, 0, MAX_LIFE_MS),
    staleMs: checkedMs('staleMs', staleMs, 0, MAX_LIFE_MS),
    loadTimeoutMs: checkedMs('loadTimeoutMs', loadTimeoutMs, 1, MAX_LEASE_MS),
  };
  if (staleMs > 0 && ttlMs === 0)
    throw new TypeError(
      'staleMs: means nothing without ttlMs, because a value that never expires is never stale',
    );
  return times;
}

/** In whole milliseconds. */
function checkedMs(name: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return Math.ceil(value);
  throw new TypeError(`${name}: expected milliseconds, ${least} to ${most}, got ${String(value)}`);
}
