/**
 * The stores that maps use at a member now. A store is made when its map is asked for the first time, and what made it may
 * throw or give anything: then its map has a problem, and nothing else has. Invariants: a function of a user is called
 * here and nowhere else, and nothing that it throws gets out; there are never more than so many; one that its map has not
 * used for long, and owes nothing, ends. Owned by the member's stores.
 */
import type { StoreOptions } from '../../partitions/services/map/store-options.js';
import type { WriteBehind } from '../../partitions/services/map/write-behind.js';
import type { WhyNot } from '../../partitions/store-port.js';
import type { Clock, Logger } from '../base/ports.js';
import { reasonOf } from '../base/reason.js';
import { isThenable } from '../base/thenable.js';
import { lackOf } from '../config/map-stores.js';
import type { MapStore } from '../mapstore/map-store.js';
import type { StoreRunner } from './store-runner.js';

/** Maps of a member whose stores are in use at a time. */
export const MAX_OPEN = 10_000;
/** A store that was not used for so long ends. */
const IDLE_MS = 300_000;
/** The same while there is no room for others. */
const CROWDED_IDLE_MS = 10_000;
/** So long a store that could not be made is not tried again. */
const RETRY_MS = 5_000;
/** Of one store: between two lines in the log which tell that it could not be made. */
const LOG_EVERY_MS = 60_000;
/** Between two looks at what is idle. */
const LOOK_MS = 1_000;
const MAX_MESSAGE = 500;

/** A store, or what makes one for a map of this name. */
export type StoreOrFactory = MapStore | ((map: string) => MapStore);

export interface MapOfStore {
  readonly name: string;
  readonly options: StoreOptions;
  readonly store: MapStore;
  readonly runner: StoreRunner;
  readonly behind: WriteBehind;
}

interface Open {
  readonly map: MapOfStore;
  /** By a function, which may be asked for it again. */
  readonly isMade: boolean;
  usedMs: number;
}

interface Failed {
  readonly problem: WhyNot;
  readonly untilMs: number;
}

export interface OpenStoresHost {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether something keeps the map's store in use. */
  isNeeded(map: MapOfStore): boolean;
  build(name: string, options: StoreOptions, store: MapStore): MapOfStore;
}

export class OpenStores {
  readonly #host: OpenStoresHost;
  readonly #registered = new Map<string, StoreOrFactory>();
  /** By name of the map. */
  readonly #open = new Map<string, Open>();
  readonly #failed = new Map<string, Failed>();
  /** By name of the store. */
  readonly #loggedMs = new Map<string, number>();
  /** Those that `close` has to be called of. */
  readonly #toClose = new Set<MapStore>();
  /** Given for several maps: these end with the member. */
  readonly #shared = new WeakSet<MapStore>();
  readonly #closing = new Set<Promise<void>>();
  #lookMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(host: OpenStoresHost) {
    this.#host = host;
  }

  /** Throws a `TypeError` for a name that is taken, and for what is no store. */
  register(name: string, store: StoreOrFactory): void {
    if (typeof name !== 'string' || name === '' || name.length > 256)
      throw new TypeError('mapStore: expected a name of 1 to 256 characters');
    const isStore = typeof (store as MapStore | null)?.load === 'function';
    if (!isStore && typeof store !== 'function')
      throw new TypeError(
        `mapStore ${name}: expected a store with the method load, or a function that gives one`,
      );
    if (this.#registered.has(name))
      throw new TypeError(`mapStore ${name}: there is a store of this name already`);
    this.#registered.set(name, store);
  }

  get registered(): ReadonlyMap<string, StoreOrFactory> {
    return this.#registered;
  }

  /** In use now. */
  get all(): readonly MapOfStore[] {
    return [...this.#open.values()].map(({ map }) => map);
  }

  /** Of a map that was asked for lately; does not count as a use of it. */
  peek(name: string): MapOfStore | undefined {
    return this.#open.get(name)?.map;
  }

  /** The store of a map, or why there is none. */
  get(name: string, options: StoreOptions): MapOfStore | WhyNot {
    const nowMs = this.#host.clock.now();
    const known = this.#open.get(name);
    if (known !== undefined) {
      known.usedMs = nowMs;
      return known.map;
    }
    const failed = this.#failed.get(name);
    if (failed !== undefined && nowMs < failed.untilMs) return failed.problem;
    if (this.#isStopped) return { error: 'StoreFailed', message: 'the member shuts down' };
    if (failed === undefined && this.#open.size + this.#failed.size >= MAX_OPEN) return FULL;
    return this.#make(name, options, nowMs);
  }

  #make(name: string, options: StoreOptions, nowMs: number): MapOfStore | WhyNot {
    this.#failed.delete(name);
    const registered = this.#registered.get(options.name);
    if (registered === undefined) return NOT_REGISTERED;
    const isMade = typeof registered === 'function';
    let store: MapStore;
    try {
      store = isMade ? registered(name) : registered;
      check(store, options);
    } catch (error) {
      return this.#fail(name, options.name, error, nowMs);
    }
    if (this.#toClose.has(store)) this.#shared.add(store);
    this.#toClose.add(store);
    const map = this.#host.build(name, options, store);
    this.#open.set(name, { map, isMade, usedMs: nowMs });
    return map;
  }

  #fail(name: string, store: string, error: unknown, nowMs: number): WhyNot {
    const message = `there is no store ${JSON.stringify(store)} for it: ${reasonOf(error)}`.slice(
      0,
      MAX_MESSAGE,
    );
    const problem: WhyNot = { error: 'StoreFailed', message };
    this.#failed.set(name, { problem, untilMs: nowMs + RETRY_MS });
    if (nowMs < (this.#loggedMs.get(store) ?? Number.NEGATIVE_INFINITY) + LOG_EVERY_MS) return problem;
    this.#loggedMs.set(store, nowMs);
    this.#host.logger.log('error', 'the store of a map could not be made', { map: name, store, error });
    return problem;
  }

  /** Ends what nobody uses. */
  tick(): void {
    const nowMs = this.#host.clock.now();
    if (nowMs < this.#lookMs + LOOK_MS) return;
    this.#lookMs = nowMs;
    const isCrowded = this.#open.size + this.#failed.size >= MAX_OPEN;
    const untilMs = nowMs - (isCrowded ? CROWDED_IDLE_MS : IDLE_MS);
    for (const [name, { map, isMade, usedMs }] of this.#open) {
      if (usedMs > untilMs || this.#host.isNeeded(map)) continue;
      this.#open.delete(name);
      if (!isMade || this.#shared.has(map.store)) continue;
      this.#toClose.delete(map.store);
      this.#close(map.store);
    }
    for (const [name, failed] of this.#failed) if (failed.untilMs <= nowMs) this.#failed.delete(name);
  }

  #close(store: MapStore): void {
    const end = async () => {
      try {
        await store.close?.();
      } catch (error) {
        this.#host.logger.log('warn', 'a store could not be closed', { error });
      }
    };
    const closing: Promise<void> = end().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** Ends the stores that were used here. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    for (const { map } of this.#open.values()) map.runner.stop();
    for (const store of this.#toClose) this.#close(store);
    await Promise.all(this.#closing);
  }
}

export function isProblem(found: MapOfStore | WhyNot): found is WhyNot {
  return 'error' in found;
}

const NOT_REGISTERED: WhyNot = {
  error: 'StoreFailed',
  message: 'no store of the name that the map asks for is registered at this member',
};
const FULL: WhyNot = {
  error: 'StoreOverload',
  message: `the member has ${MAX_OPEN} maps with a store in use, and takes no further one`,
};

/** Throws a `TypeError` that says what is wrong with a store. */
function check(store: MapStore, { mode }: StoreOptions): void {
  if (isThenable(store)) throw new TypeError('a promise was given; what makes a store can not be async');
  // That it cannot be loaded at the start keeps nobody from using it.
  const lack = lackOf(store, { mode, initialLoad: 'lazy' });
  if (lack !== null) throw new TypeError(`it has ${lack}`);
}
