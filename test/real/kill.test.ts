import { afterAll, describe, it } from 'vitest';
import { writeThroughKill } from './support/kill-run.js';
import { transpileSources } from './support/transpiled.js';

const sources = transpileSources();
afterAll(() => sources.remove());

describe('three members as processes with one sync backup', () => {
  it('keep every acknowledged one of 20,000 writes when one of them is killed', async () => {
    await writeThroughKill({
      script: new URL('demo/member-process.js', sources.url),
      members: 3,
      syncBackups: 1,
      writes: 20_000,
      inFlight: 128,
      victims: ([, second]) => (second === undefined ? [] : [second]),
    });
  }, 90_000);
});
