/** What `getOrLoad` sends and how often, and wrong arguments, over an invoker without a grid. */
import { describe, expect, it } from 'vitest';
import { installStructures } from '../../client/core/grid.js';
import type { AnswerPlace } from '../../partitions/call.js';
import type { CallOptions } from '../../partitions/invoker.js';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { MAX_WAITING } from '../../partitions/services/map/proxy-flight.js';
import { LoadFailedError, OverloadError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { OperationDef } from '../../src/wire/message.js';
import { InMemoryInvoker } from './in-memory-invoker.js';

function start() {
  const invoker = new InMemoryInvoker(1);
  return { invoker, map: installStructures({}, invoker).getMap<string, string>('users') };
}

/** The answer to the first request for a lease comes late, in virtual time. */
class LateGrant extends InMemoryInvoker {
  lateMs = 0;

  override async invoke<Q, P, R>(
    operation: OperationDef<Q, P>,
    partition: number,
    structure: string,
    request: Q,
    options: CallOptions,
    decode: (reply: P, place: AnswerPlace | null) => R,
  ): Promise<R> {
    const answer = super.invoke(operation, partition, structure, request, options, decode);
    if (operation.id === ops.beginLoad.id && this.lateMs > 0) {
      const { lateMs } = this;
      this.lateMs = 0;
      await new Promise<void>((resolve) => {
        this.clock.setTimer(lateMs, resolve);
      });
    }
    return answer;
  }
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

  it('bounds the calls that wait for one load: one more is refused, the others get the value', async () => {
    const { map } = start();
    let bring = (_value: string) => {};
    const loading = new Promise<string>((resolve) => {
      bring = resolve;
    });
    const first = map.getOrLoad('a', () => loading);
    await new Promise((resolve) => setImmediate(resolve));
    const others = Array.from({ length: MAX_WAITING - 1 }, () => map.getOrLoad('a', () => 'mine'));
    const refused = map.getOrLoad('a', () => 'mine');
    await expect(refused).rejects.toBeInstanceOf(OverloadError);
    await expect(refused).rejects.toThrow("getOrLoad on 'users': 65536 calls of this process wait");
    bring('x');
    expect(new Set(await Promise.all([first, ...others]))).toEqual(new Set(['x']));
  });

  it('gives back a lease that was granted too late to load under it', async () => {
    const invoker = new LateGrant(1);
    const map = installStructures({}, invoker).getMap<string, string>('users').with({ timeoutMs: 60_000 });
    invoker.lateMs = 1_500;
    const call = map.getOrLoad('a', () => 'x', { loadTimeoutMs: 1_000 });
    await invoker.scheduler.runFor(1_600);
    expect(sent(invoker)).toEqual([
      'map.get',
      'map.beginLoad',
      'map.abandonLoad',
      'map.beginLoad',
      'map.finishLoad',
    ]);
    expect(await call).toBe('x');
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
