/** The multimap through a client of a real cluster, against the same model as on an invoker without a grid. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { startCluster } from '../../src/testing.js';
import { commands, Expected } from '../services/multimap-model.js';

describe('a multimap of three members', () => {
  it('does what a plain model does, call by call, as a SET and as a LIST', { timeout: 240_000 }, async () => {
    await using cluster = await startCluster({
      member: { partitionCount: 3, multimaps: { 'list-*': { valueCollectionType: 'LIST' } } },
    });
    let runs = 0;
    for (const type of ['SET', 'LIST'] as const) {
      const property = fc.asyncProperty(commands(20), async (calls) => {
        const real = cluster.client.getMultiMap(`${type.toLowerCase()}-${runs++}`);
        await fc.asyncModelRun(() => ({ model: new Expected(type === 'SET'), real }), calls);
        await real.destroy();
      });
      await fc.assert(property, { numRuns: 1_000 });
    }
    expect(runs).toBeGreaterThanOrEqual(2_000);
  });

  it('keeps its pairs when a member is lost, also those of a key with many values', async () => {
    await using cluster = await startCluster({ member: { partitionCount: 7 } });
    const tags = cluster.client.getMultiMap<string, number>('tags');
    const numbers = Array.from({ length: 15_000 }, (_, i) => i);
    await tags.putAll([['many', numbers], ['few', [1, 2]]]); // biome-ignore format: one line
    await tags.remove('many', 7);
    await cluster.kill(0);
    expect(await tags.get('many')).toEqual(numbers.filter((number) => number !== 7));
    await cluster.client.waitUntilSafe({ timeoutMs: 20_000 });
    await cluster.add();
    await cluster.kill(1);
    expect(await tags.valueCount('many')).toBe(14_999);
    expect(await tags.removeAll('many')).toHaveLength(14_999);
    expect((await tags.entrySet()).sort()).toEqual([['few', 1], ['few', 2]]); // biome-ignore format: one line
  });
});
