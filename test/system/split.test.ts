/** A cluster of processes that comes apart behind proxies, as by a firewall that resets, and as by one that drops. */
import { afterAll, describe } from 'vitest';
import { transpileSources } from '../real/support/transpiled.js';
import { describeSplit } from './split-checks.js';
import { ProxyWorld } from './split-world.js';

const sources = transpileSources();
afterAll(() => sources.remove());

describe.each([
  ['cut', 1],
  ['hold', 2],
] as const)('five members, two of them behind links on %s, with %i sync backups', (how, syncBackups) => {
  const world = new ProxyWorld(how);
  describeSplit(
    () => Promise.resolve({ world, observing: () => world.nameObserver(), syncBackups }),
    sources,
  );
});
