import { afterAll, describe, expect, it } from 'vitest';
import { ValueTooLargeError } from '../../src/index.js';
import { startCluster } from '../../src/testing.js';
import { moveLargeValues, VALUE_BYTES } from './support/large-run.js';
import { transpileSources } from './support/transpiled.js';

const sources = transpileSources();
afterAll(() => sources.remove());

describe('values of 16 MiB', () => {
  it('go in and out, eight at a time, without anybody being suspected', async () => {
    // Other tests run at the same time and take the processor away; the system test has the timings of a network.
    const timings = { preset: 'local', suspicionMs: 5_000 } as const;
    await moveLargeValues(new URL('demo/member-process.js', sources.url), 8, 60_000, timings);
  }, 60_000);

  it('are the largest: one byte more is refused before anything is sent', async () => {
    await using cluster = await startCluster({ members: 1 });
    const map = cluster.client.getMap<string, Buffer>('large');
    const tooLarge = Buffer.alloc(VALUE_BYTES + 1);
    const started = performance.now();
    await expect(map.set('a', tooLarge)).rejects.toThrow(ValueTooLargeError);
    await expect(map.putAll([['a', tooLarge]])).rejects.toThrow(/16.?777.?217 bytes|16777217/);
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(await map.size()).toBe(0);
  });
});
