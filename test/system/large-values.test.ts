import { afterAll, describe, expect, it } from 'vitest';
import { moveLargeValues } from '../real/support/large-run.js';
import { transpileSources } from '../real/support/transpiled.js';

const sources = transpileSources();
afterAll(() => sources.remove());

const VALUES = 64;
const TIMEOUT_MS = 200_000;

describe('64 values of 16 MiB in flight', () => {
  it(
    'cause no suspicion, and all of them arrive',
    async () => {
      const outcome = await moveLargeValues(
        new URL('demo/member-process.js', sources.url),
        VALUES,
        TIMEOUT_MS,
        'lan',
      );
      console.log(JSON.stringify(outcome));
      // Two copies of 1 GiB on three members are 683 MiB each; the rest is what is on its way.
      for (const mib of outcome.peakMiB) expect(mib ?? 0).toBeLessThan(4096);
    },
    2 * TIMEOUT_MS,
  );
});
