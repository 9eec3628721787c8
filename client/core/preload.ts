/**
 * Near caches that begin with the keys that they had: reads the keys of a file when a map is used first, fetches their
 * values in the background, and writes the keys at intervals and at the end. Invariants: nothing is written to a file that
 * was not read, and a key of the file stays in it until its value was fetched, as long as there is room. What goes wrong
 * with a file is logged and stops nothing. Made by the doors of client and member, which have files.
 */

import type { NearCaches } from '../../nearcache/near-caches.js';
import type { NearMap } from '../../nearcache/near-map.js';
import { textOf } from '../../src/base/bytes.js';
import type { Clock, Logger, Timer } from '../../src/base/ports.js';
import { decodeKey } from '../../src/wire/keys.js';
import type { Grid } from './grid.js';

/** Implemented by `src/platform/key-files.ts`. */
export interface Files {
  read(path: string): Promise<Uint8Array[]>;
  write(path: string, keys: Iterable<Uint8Array>): Promise<void>;
}

/** Keys of one request. */
const BATCH = 500;
/** Until members tell of changes, nothing can be kept; after so long the next interval tries again. */
const WATCH_LIMIT_MS = 5_000;
const FIRST_POLL_MS = 10;
const LONGEST_POLL_MS = 200;

export interface PreloadParts {
  readonly grid: Grid;
  readonly near: NearCaches;
  readonly files: Files;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A near cache with a file. */
interface Kept {
  readonly name: string;
  readonly map: NearMap;
  readonly path: string;
  readonly intervalMs: number;
  /** Keys of the file whose values were not fetched yet, the one used last first; null while the file was not read. */
  waiting: Uint8Array[] | null;
  timer: Timer | null;
  /** What is being read or written. */
  turn: Promise<void>;
}

export class Preload {
  readonly #parts: PreloadParts;
  readonly #all: Kept[] = [];
  #isStopped = false;

  /** `maps`: those whose values are fetched at once; others when they are used first. */
  constructor(parts: PreloadParts, maps: readonly string[]) {
    this.#parts = parts;
    parts.near.onMade = (name, map) => this.#made(name, map);
    for (const name of maps) parts.grid.getMap(name);
  }

  #made(name: string, map: NearMap): void {
    const { preload } = map.options;
    if (preload === undefined || this.#isStopped) return;
    const path = `${preload.file}.${encodeURIComponent(name)}`;
    const { intervalMs } = preload;
    const kept: Kept = { name, map, path, intervalMs, waiting: null, timer: null, turn: Promise.resolve() };
    this.#all.push(kept);
    kept.turn = this.#load(kept).then(() => this.#later(kept));
  }

  #later(kept: Kept): void {
    if (this.#isStopped) return;
    kept.timer = this.#parts.clock.setTimer(kept.intervalMs, () => {
      kept.turn = this.#write(kept)
        .then(() => this.#load(kept))
        .then(() => this.#later(kept));
    });
  }

  // --- loading

  /** Never rejects. */
  async #load(kept: Kept): Promise<void> {
    try {
      kept.waiting ??= await this.#read(kept);
    } catch (error) {
      this.#warn('the keys of a near cache could not be read: nothing is written to the file', kept, error);
      return;
    }
    try {
      await this.#fetch(kept, kept.waiting);
    } catch (error) {
      if (!this.#isStopped) this.#warn('the values of a near cache could not be fetched', kept, error);
    }
  }

  async #read({ map, path }: Kept): Promise<Uint8Array[]> {
    const keys = (await this.#parts.files.read(path)).slice(0, map.options.maxEntries);
    // What is no key is found here, and not in the middle.
    keys.forEach(decodeKey);
    return keys;
  }

  async #fetch(kept: Kept, waiting: Uint8Array[]): Promise<void> {
    const { clock } = this.#parts;
    let untilMs = clock.now() + WATCH_LIMIT_MS;
    let pollMs = FIRST_POLL_MS;
    while (waiting.length > 0 && clock.now() <= untilMs && !this.#isStopped) {
      kept.map.watch();
      if (await this.#fetchWatched(kept, waiting)) untilMs = clock.now() + WATCH_LIMIT_MS;
      if (waiting.length === 0) return;
      await new Promise<void>((resolve) => {
        clock.setTimer(pollMs, resolve);
      });
      pollMs = Math.min(2 * pollMs, LONGEST_POLL_MS);
    }
  }

  /** Fetches what can be kept by now, and takes it out of what waits; whether there was something. */
  async #fetchWatched({ name, map }: Kept, waiting: Uint8Array[]): Promise<boolean> {
    const grid = this.#parts.grid.getMap(name);
    const before = waiting.length;
    // The one used last comes last, so that it is the last to go.
    for (let end = before; end > 0 && !this.#isStopped; end -= BATCH) {
      const at = Math.max(0, end - BATCH);
      const batch = waiting.slice(at, end);
      const now = new Set(batch.filter((key) => map.mayKeep(key)));
      if (now.size === 0) continue;
      await grid.getAll([...now].reverse().map(decodeKey));
      waiting.splice(at, batch.length, ...batch.filter((key) => !now.has(key)));
    }
    return waiting.length < before;
  }

  // --- writing

  /** Never rejects. */
  async #write(kept: Kept): Promise<void> {
    if (kept.waiting === null) return;
    // What was dropped all at once, as by a split, is worth fetching again.
    if (kept.map.statistics.entries === 0) return;
    try {
      await this.#parts.files.write(kept.path, keysOf(kept, kept.waiting));
    } catch (error) {
      this.#warn('the keys of a near cache could not be written', kept, error);
    }
  }

  #warn(event: string, { name, path }: Kept, error: unknown): void {
    this.#parts.logger.log('warn', event, { map: name, path, reason: (error as Error).message });
  }

  /** Writes all keys once more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const kept of this.#all) {
      kept.timer?.cancel();
      await kept.turn;
      await this.#write(kept);
    }
  }
}

/** What is kept, and then what waits, as far as there is room. */
function keysOf({ map }: Kept, waiting: readonly Uint8Array[]): Iterable<Uint8Array> {
  const keys = new Map<string, Uint8Array>();
  for (const from of [map.keys(), waiting])
    for (const key of from) {
      if (keys.size === map.options.maxEntries) return keys.values();
      keys.set(textOf(key), key);
    }
  return keys.values();
}
