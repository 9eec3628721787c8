/** The multimap of a real cluster that loses members; what its calls do is in `test/model`. */
import { describe, expect, it } from 'vitest';
import { startCluster } from '../../src/testing.js';

describe('a multimap of three members', () => {
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
