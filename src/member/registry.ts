/**
 * What a module loaded with `--load` (option `modules`) gets as the argument of its default export, and the function
 * given to `startMember`: the place where user code is registered before a member joins a cluster.
 */
import {
  MERGE_POLICY_NAMES,
  type MergeFunction,
  type MergeFunctions,
} from '../../partitions/merge-policies.js';
import type { EntryProcessor, LongFunction, UserFunctions } from '../../partitions/user-functions.js';
import type { Serializer } from '../wire/values.js';
import type { MapStores } from './map-stores.js';
import type { Member } from './member.js';
import type { StoreOrFactory } from './open-stores.js';

export type StartListener = (member: Member) => void | Promise<void>;

/** Registers user code at a member that is about to start. */
export type Register = (registry: ModuleRegistry) => void | Promise<void>;

export class ModuleRegistry {
  readonly #listeners: StartListener[] = [];
  readonly #mergeFunctions: MergeFunctions;
  readonly #functions: UserFunctions;

  readonly #stores: MapStores;

  constructor(mergeFunctions: MergeFunctions, functions: UserFunctions, stores: MapStores) {
    this.#mergeFunctions = mergeFunctions;
    this.#functions = functions;
    this.#stores = stores;
  }

  /**
   * `decide` is a merge policy of this name from now on: it gives the value of an entry that both sides of a split
   * changed. Register it at every member. Throws a `TypeError` for a name that is taken, and for what is no synchronous
   * function.
   */
  mergeFunction(name: string, decide: MergeFunction): void {
    this.#mergeFunctions.register(name, decide);
  }

  /**
   * `process` can be run by this name on entries of maps: `executeOnKey`, `executeOnKeys`, `executeOnEntries`. Register the
   * same one at every member. Throws a `TypeError` for a name that is taken, and for what is no synchronous function.
   */
  entryProcessor<K, V, A, R>(name: string, process: EntryProcessor<K, V, A, R>): void {
    this.#functions.processors.add(name, process as EntryProcessor);
  }

  /**
   * `apply` can be run by this name on atomic longs: `alter`, `alterAndGet`, `getAndAlter`, `apply`. Register the same one at
   * every member. Throws a `TypeError` for a name that is taken, and for what is no synchronous function.
   */
  function<A>(name: string, apply: LongFunction<A>): void {
    this.#functions.longs.add(name, apply as LongFunction);
  }

  /**
   * In place of the built-in encoding of values, wherever this member decodes or encodes them: its own calls, and the
   * functions registered here. Clients have an option for it. Throws a `TypeError` for what is none, or a second one.
   */
  serializer(serializer: Serializer): void {
    this.#functions.codec.use(serializer);
  }

  /**
   * Maps can be kept in this store, by its name in their option `store`. A function is called once for each map that asks
   * for it, with the name of the map. Register it at every member. Throws a `TypeError` for a name that is taken, and for
   * what is no store.
   */
  mapStore(name: string, store: StoreOrFactory): void {
    this.#stores.register(name, store);
  }

  /** All stores by name, for the option `store` of maps. */
  get mapStores(): ReadonlyMap<string, StoreOrFactory> {
    return this.#stores.registered;
  }

  /** All that the option `mergePolicy` can be. */
  get mergePolicyNames(): readonly string[] {
    return [...MERGE_POLICY_NAMES, ...this.#mergeFunctions.names];
  }

  /** `listener` runs once the member is in the cluster; the start waits for it, and fails when it throws. */
  onStart(listener: StartListener): void {
    if (typeof listener !== 'function') throw new TypeError('onStart: expected a function');
    this.#listeners.push(listener);
  }

  async started(member: Member): Promise<void> {
    for (const listener of this.#listeners) await listener(member);
  }
}
