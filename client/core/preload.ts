/**
 * Near caches that begin with the keys that they had: reads the keys of a file when a map is used first, fetches their
 * values in the background, and writes the keys at intervals and at the end. What goes wrong with a file is logged and
 * stops nothing. Made by the doors of client and member, which have files.
 */
import type { NearCaches } from '../../nearcache/near-caches.js';
import type { NearMap } from '../../nearcache/near-map.js';
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
/** Until a member has answered, nothing can be kept. */
const WATCH_LIMIT_MS = 5_000;
const WATCH_POLL_MS = 10;

export interface PreloadParts {
  readonly grid: Grid;
  readonly near: NearCaches;
  readonly files: Files;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Preload {
  readonly #parts: PreloadParts;
  readonly #timers = new Map<NearMap, Timer>();
  readonly #loading = new Set<Promise<void>>();
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
    const loading = this.#load(name, map, path)
      .catch((error: Error) => this.#warn('the keys of a near cache could not be read', name, path, error))
      .finally(() => {
        this.#loading.delete(loading);
        this.#writeLater(name, map, path, preload.intervalMs);
      });
    this.#loading.add(loading);
  }

  async #load(name: string, map: NearMap, path: string): Promise<void> {
    const keys = (await this.#parts.files.read(path)).slice(0, map.options.maxEntries).map(decodeKey);
    if (keys.length === 0 || !(await this.#isWatched(map))) return;
    // The one used last comes last, so that it is the last to go.
    keys.reverse();
    const grid = this.#parts.grid.getMap(name);
    for (let at = 0; at < keys.length && !this.#isStopped; at += BATCH)
      await grid.getAll(keys.slice(at, at + BATCH));
  }

  /** Members are asked to watch by the first read. */
  async #isWatched(map: NearMap): Promise<boolean> {
    const { clock } = this.#parts;
    const untilMs = clock.now() + WATCH_LIMIT_MS;
    while (!map.watch()) {
      if (clock.now() > untilMs || this.#isStopped) return false;
      await new Promise<void>((resolve) => {
        clock.setTimer(WATCH_POLL_MS, resolve);
      });
    }
    return true;
  }

  #writeLater(name: string, map: NearMap, path: string, intervalMs: number): void {
    if (this.#isStopped) return;
    const timer = this.#parts.clock.setTimer(intervalMs, () => {
      void this.#write(name, map, path).then(() => this.#writeLater(name, map, path, intervalMs));
    });
    this.#timers.set(map, timer);
  }

  #write(name: string, map: NearMap, path: string): Promise<void> {
    return this.#parts.files
      .write(path, map.keys())
      .catch((error: Error) =>
        this.#warn('the keys of a near cache could not be written', name, path, error),
      );
  }

  #warn(event: string, map: string, path: string, error: Error): void {
    this.#parts.logger.log('warn', event, { map, path, reason: error.message });
  }

  /** Writes all keys once more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
    await Promise.all(this.#loading);
    for (const [name, map] of this.#parts.near.all) {
      const { preload } = map.options;
      if (preload !== undefined) await this.#write(name, map, `${preload.file}.${encodeURIComponent(name)}`);
    }
  }
}
