/** The API of the multimap over an invoker without a grid, against a plain model, and what it refuses. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { installStructures } from '../../client/core/grid.js';
import { type GridMultiMap, MULTI_MAP } from '../../partitions/services/multimap/proxy.js';
import { BulkError, OverloadError, ValueTooLargeError } from '../../src/base/errors.js';
import { MAX_VALUE_BYTES } from '../../src/wire/values.js';
import { InMemoryInvoker } from './in-memory-invoker.js';
import { commands, Expected } from './multimap-model.js';
import { Replica } from './partition-harness.js';

const optionsOf = (valueCollectionType: 'SET' | 'LIST') => MULTI_MAP.options.parse({ valueCollectionType });

function start<K = unknown, V = unknown>(type: 'SET' | 'LIST' = 'SET', partitionCount = 7) {
  const invoker = new InMemoryInvoker(partitionCount);
  invoker.structureOptions = optionsOf(type);
  return { invoker, tags: installStructures({}, invoker).getMultiMap<K, V>('tags') };
}

describe('a multimap', () => {
  it.each(['SET', 'LIST'] as const)('does what a plain model does, call by call, as a %s', async (type) => {
    const property = fc.asyncProperty(commands(50), async (calls) => {
      const { tags, invoker } = start(type, 3);
      await fc.asyncModelRun(() => ({ model: new Expected(type === 'SET'), real: tags }), calls);
      for (const { service, log, state } of invoker.primaries.values()) {
        const backup = new Replica(service);
        for (const entry of log) backup.apply(entry);
        expect(backup.state.dump()).toEqual(state.dump());
        expect(backup.state.entryCount).toBe(state.entryCount);
      }
    });
    await fc.assert(property, { numRuns: 1_000 });
  });

  it('rejects what is no key or no value, with its path, and sends nothing', async () => {
    const { tags, invoker } = start<never, never>();
    const k = 'k' as never;
    for (const absent of [null, undefined, () => {}] as never[]) {
      for (const call of [
        () => tags.put(absent, k),
        () => tags.putAll([[absent, [k]]]),
        () => tags.get(absent),
        () => tags.remove(absent, k),
        () => tags.removeAll(absent),
        () => tags.delete(absent),
        () => tags.containsKey(absent),
        () => tags.containsEntry(absent, k),
        () => tags.valueCount(absent),
      ])
        await expect(call()).rejects.toThrow(/^(pairs\[0\]: )?key: /);
      for (const call of [
        () => tags.put(k, absent),
        () => tags.putAll([[k, [k, absent]]]),
        () => tags.remove(k, absent),
        () => tags.containsEntry(k, absent),
        () => tags.containsValue(absent),
      ])
        await expect(call()).rejects.toThrow(/^(pairs\[0\]: values\[1\]: )?value: /);
    }
    // A value that was forgotten must not remove all of them.
    await expect((tags.remove as (key: unknown) => Promise<boolean>)(k)).rejects.toThrow(TypeError);
    expect(invoker.sent).toEqual([]);
  });

  it.each([
    [undefined],
    [5],
    ['ab'],
    [['ab']],
    [[['a', 'b', 'c']]],
    [[['a', 'b']]],
    [[['a', Buffer.from('b')]]],
    [[['a', null]]],
    [[{ key: 'a', values: [] }]],
  ])('rejects %j as the pairs of putAll', async (pairs) => {
    const { tags, invoker } = start();
    await expect(tags.putAll(pairs as never)).rejects.toThrow(/^pairs(\[0\])?: expected/);
    expect(invoker.sent).toEqual([]);
  });

  it('takes a Map of Sets for putAll', async () => {
    const { tags } = start<string, number>();
    await tags.putAll(new Map([['a', new Set([1, 2])], ['b', new Set([3])]])); // biome-ignore format: one line
    expect([await tags.get('a'), await tags.get('b'), await tags.get('c')]).toEqual([[1, 2], [3], []]);
  });

  it('rejects what is too large, and sends nothing', async () => {
    const { tags, invoker } = start<unknown, unknown>();
    const large = Buffer.alloc(MAX_VALUE_BYTES + 1);
    await expect(tags.put('k', large)).rejects.toThrow(ValueTooLargeError);
    await expect(tags.put('k'.repeat(70_000), 1)).rejects.toThrow(ValueTooLargeError);
    expect(invoker.sent).toEqual([]);
  });

  it('tells of putAll which pairs were put and which were refused', async () => {
    const { tags, invoker } = start<string, number>('SET', 5);
    const pairs = Array.from({ length: 40 }, (_, i): [string, number[]] => [`key-${i}`, [i, -i - 1]]);
    invoker.refuse = (_operation, partition) => (partition === 0 ? new OverloadError('full') : undefined);
    const error: BulkError = await tags.putAll(pairs).then(
      () => expect.fail('it did not reject'),
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(BulkError);
    expect(error.done.length + error.refused.length).toBe(80);
    expect(error.message).toMatch(/^putAll failed for [0-9]+ of 80 pairs /);
    invoker.refuse = () => undefined;
    for (const [key, value] of error.done as [string, number][])
      expect(await tags.containsEntry(key, value)).toBe(true);
    for (const { key: pair } of error.refused) {
      const [key, value] = pair as [string, number];
      expect(await tags.containsEntry(key, value)).toBe(false);
    }
  });

  it('reads and removes very many values of a key in pages', async () => {
    const { tags, invoker } = start<string, number>('LIST', 2);
    const numbers = Array.from({ length: 12_000 }, (_, i) => i % 100);
    await tags.putAll([['k', numbers]]);
    expect(await tags.get('k')).toEqual(numbers);
    expect(await tags.valueCount('k')).toBe(12_000);
    expect(invoker.count('multiMap.get')).toBe(2);
    expect(await tags.removeAll('k')).toEqual(numbers);
    expect(invoker.count('multiMap.removeAll')).toBe(2);
    expect(await tags.isEmpty()).toBe(true);
  });

  it('meets every pair that stays, once, while others come and go', async () => {
    const { tags } = start<string, Buffer>('LIST', 3);
    const stay = Array.from({ length: 40 }, (_, i): [string, Buffer[]] => [
      `stay-${i % 4}`,
      [Buffer.alloc(30_000, i)],
    ]);
    await tags.putAll(stay);
    const seen: number[] = [];
    for await (const [key, value] of tags) {
      if (key.startsWith('stay')) seen.push(value[0] as number);
      await tags.put(`go-${seen.length % 5}`, value);
      await tags.delete(`go-${(seen.length + 2) % 5}`);
    }
    expect(seen.sort((a, b) => a - b)).toEqual(stay.map((_, i) => i));
  });

  it('passes options on, also through a view', async () => {
    const { tags, invoker } = start<string, number>();
    const view: GridMultiMap<string, number> = tags.with({ timeoutMs: 70 });
    await view.put('k', 1);
    expect(invoker.sent.map(({ options }) => options)).toEqual([{ timeoutMs: 70 }]);
    expect(view.name).toBe('tags');
    expect(() => tags.with({ consistency: 'XX' as never })).toThrow(TypeError);
  });
});
