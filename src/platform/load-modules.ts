/**
 * Loads the modules that a member's option `modules` (flag `--load`) names and hands each the registry. Paths are
 * relative to the working directory. Called by the door before the member is built.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError } from '../base/errors.js';

/** Throws a `ConfigError` that names the module when it is missing, throws, or has no function as default export. */
export async function loadModules(paths: readonly string[], registry: unknown): Promise<void> {
  for (const [index, path] of paths.entries()) {
    const at = `modules.${index}`;
    const loaded = await import(pathToFileURL(resolve(path)).href).catch((error: unknown) => {
      throw new ConfigError(
        at,
        `cannot load ${path}: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
    const main = (loaded as { default?: unknown }).default;
    if (typeof main !== 'function') {
      throw new ConfigError(
        at,
        `${path} has no function as default export; write export default (registry) => { ... }`,
      );
    }
    try {
      await main(registry);
    } catch (error) {
      throw new ConfigError(
        at,
        `the default export of ${path} threw: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}
