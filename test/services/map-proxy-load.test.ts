/** What `getOrLoad` sends and how often, and wrong arguments, over an invoker without a grid. */
import { describe, expect, it } from 'vitest';
import { installStructures } from '../../client/core/grid.js';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { LoadFailedError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import { InMemoryInvoker } from './in-memory-invoker.js';

function start() {
  const invoker = new InMemoryInvoker(1);
  return { invoker, map: installStructures({}, invoker).getMap<string, string>('users') };
}

const sent = ({ sent: all }: InMemoryInvoker) => all.map(({ operation }) => operation);

describe('getOrLoad', () => {
  it('asks once for what is there, as get does', async () => {
    const { invoker, map } = start();
    await map.set('a', 'x');
    expect(await map.getOrLoad('a', () => 'y')).toBe('x');
    expect(sent(invoker)).toEqual(['map.set', 'map.get']);
  });

  it('loads what is not there with two more requests, those with EL at the primary', async () => {
    const { invoker, map } = start();
    const keys: unknown[] = [];
    const loader = (key: string) => {
      keys.push(key);
      return 'x';
    };
    expect(await map.with({ consistency: 'EL' }).getOrLoad('a', loader)).toBe('x');
    expect(keys).toEqual(['a']);
    expect(sent(invoker)).toEqual(['map.get', 'map.beginLoad', 'map.finishLoad']);
    expect(invoker.sent.map(({ options }) => 'isStrict' in options)).toEqual([false, true, true]);
  });

  it('shares one load among the calls of a process, also through views', async () => {
    const { invoker, map } = start();
    let runs = 0;
    const loader = async () => `${++runs}`;
    const views = [map, map.with({ timeoutMs: 100 }), map.with({ timeoutMs: 5_000 })];
    const values = await Promise.all(views.flatMap((view) => [1, 2].map(() => view.getOrLoad('a', loader))));
    expect(values).toEqual(Array.from({ length: 6 }, () => '1'));
    expect(invoker.count('map.beginLoad')).toBe(1);
    expect(invoker.count('map.finishLoad')).toBe(1);
  });

  it('costs a few questions a second while another one loads for ten seconds', async () => {
    const { invoker, map } = start();
    const primary = invoker.primary(ops.beginLoad, 0, 'users');
    const [key, value] = [encodeKey('a'), invoker.codec.encode('slow')];
    const request = { key, client: 77, token: 1, leaseMs: 30_000, staleMs: 0 };
    const { fence } = primary.run(ops.beginLoad, request).reply as { fence: object };
    const waiting = map.with({ timeoutMs: 60_000 });
    const calls = [1, 2, 3].map(() => waiting.getOrLoad('a', () => 'mine'));
    await invoker.scheduler.runFor(10_000);
    expect(invoker.count('map.awaitLoad')).toBeLessThan(30);
    expect(invoker.count('map.beginLoad')).toBe(1);
    primary.run(ops.finishLoad, { key, fence, value, ttlMs: 0, staleMs: 0 });
    await invoker.scheduler.runFor(600);
    expect(await Promise.all(calls)).toEqual(['slow', 'slow', 'slow']);
  });

  it('says how a loader failed that throws at once, or throws no error', async () => {
    const { map } = start();
    const call = map.getOrLoad('a', () => {
      throw 'a text';
    });
    await expect(call).rejects.toBeInstanceOf(LoadFailedError);
    await expect(call).rejects.toThrow("getOrLoad on 'users': the loader failed: a text");
    expect(await map.getOrLoad('a', () => 'x')).toBe('x');
  });

  it.each([
    [undefined, {}, 'loader: '],
    ['x', {}, 'loader: '],
    [() => 'x', null, 'options: '],
    [() => 'x', 5, 'options: '],
    [() => 'x', { ttl: 5 }, 'options: ttl is none of ttlMs'],
    [() => 'x', { ttlMs: -1 }, 'ttlMs: '],
    [() => 'x', { ttlMs: Number.NaN }, 'ttlMs: '],
    [() => 'x', { ttlMs: '5' }, 'ttlMs: '],
    [() => 'x', { ttlMs: 5, staleMs: Number.POSITIVE_INFINITY }, 'staleMs: '],
    [() => 'x', { staleMs: 5 }, 'staleMs: '],
    [() => 'x', { loadTimeoutMs: 0 }, 'loadTimeoutMs: '],
    [() => 'x', { loadTimeoutMs: 3_600_001 }, 'loadTimeoutMs: '],
  ])('rejects %s with %j before anything is sent', async (loader, options, message) => {
    const { invoker, map } = start();
    const call = map.getOrLoad('a', loader as never, options as never);
    await expect(call).rejects.toThrow(TypeError);
    await expect(call).rejects.toThrow(message);
    await expect(map.getOrLoad(null as never, () => 'x')).rejects.toThrow(/^key: /);
    expect(invoker.sent).toEqual([]);
  });
});
