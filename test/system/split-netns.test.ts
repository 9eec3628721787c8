/**
 * The split of `split.test.ts` in network namespaces: packets between the sides vanish, and no socket is told. Where
 * the machine forbids them, tools/system-tests.mjs reports this file as not run; split.test.ts needs no such right.
 */
import { afterAll, describe } from 'vitest';
import { transpileSources } from '../real/support/transpiled.js';
import { NetnsWorld } from './netns.js';
import { describeSplit } from './split-checks.js';

const sources = transpileSources();
afterAll(() => sources.remove());

describe('five members in network namespaces, two of them on another switch', () => {
  describeSplit(
    async () => ({ world: await NetnsWorld.create(), observing: () => {}, syncBackups: 1 }),
    sources,
  );
});
