/**
 * Loads the modules of the option `modules` (flag `--load`): code that runs in the process of a member before it
 * joins a cluster. Called by the door once the port is the member's.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError } from '../base/errors.js';
import { reasonOf } from '../base/reason.js';

/**
 * Imports each module, in order, and calls its default export with the registry. Rejects with a `ConfigError` that
 * names the module when it cannot be loaded, has no function as its default export, or throws.
 */
export async function loadModules(paths: readonly string[], registry: unknown): Promise<void> {
  for (const [index, path] of paths.entries()) {
    try {
      const loaded = (await import(pathToFileURL(resolve(path)).href)) as { readonly default?: unknown };
      if (typeof loaded.default !== 'function') {
        throw new TypeError(
          'its default export is not a function; write export default (registry) => { ... }',
        );
      }
      await loaded.default(registry);
    } catch (error) {
      const reason = reasonOf(error);
      throw new ConfigError(`modules[${index}]`, `cannot load ${path}: ${reason}`);
    }
  }
}
