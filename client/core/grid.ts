/**
 * The getters of data structures, as clients and embedded members both have them. They come from the list of
 * structures, so a new structure appears here by itself, with its types. One proxy per name.
 */
import '../../partitions/services/index.js';
import type { CallOptions, Invoker } from '../../partitions/invoker.js';
import { SERVICES } from '../../partitions/services/index.js';
import type { StructureGetters, StructureModule } from '../../partitions/services/structure.js';
import { isWellFormed } from '../../src/wire/tagged-writer.js';

/** Of a structure's name, in UTF-8. */
export const MAX_NAME_BYTES = 240;

/** What gives access to the data structures: a client, or an embedded member. */
export interface Grid extends StructureGetters {}

/** The proxies of one client or member. */
export class StructureRegistry {
  readonly #invoker: Invoker;
  readonly #options: CallOptions;
  readonly #proxies = new Map<string, Map<string, object>>();

  /** `options` hold for calls that set none of their own. */
  constructor(invoker: Invoker, options: CallOptions = {}) {
    this.#invoker = invoker;
    this.#options = options;
  }

  /** The proxy of a structure, the same one each time; throws a TypeError for what cannot be a name. */
  get(module: StructureModule, name: string): object {
    checkName(name);
    let byName = this.#proxies.get(module.getter);
    if (byName === undefined) {
      byName = new Map();
      this.#proxies.set(module.getter, byName);
    }
    const present = byName.get(name);
    if (present !== undefined) return present;
    const forget = () => {
      if (byName.get(name) === proxy) byName.delete(name);
    };
    const proxy = module.createProxy(name, this.#invoker, this.#options, forget);
    byName.set(name, proxy);
    return proxy;
  }
}

/** Gives the target `getMap` and all other getters; returns it with their types. */
export function installStructures<T extends object>(
  target: T,
  invoker: Invoker,
  options: CallOptions = {},
): T & Grid {
  const registry = new StructureRegistry(invoker, options);
  for (const module of SERVICES) {
    Object.defineProperty(target, module.getter, { value: (name: string) => registry.get(module, name) });
  }
  return target as T & Grid;
}

function checkName(name: unknown): void {
  if (typeof name !== 'string' || name === '')
    throw new TypeError('name: expected a string that is not empty');
  if (!isWellFormed(name)) throw new TypeError('name: a lone surrogate cannot be part of a name');
  const sizeBytes = Buffer.byteLength(name, 'utf8');
  if (sizeBytes > MAX_NAME_BYTES) {
    throw new TypeError(`name: ${sizeBytes} bytes in UTF-8; the limit is ${MAX_NAME_BYTES}`);
  }
}
