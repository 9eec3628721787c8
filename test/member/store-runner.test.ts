/** Calls of one map's store: turns are free again whatever the store throws, and whatever follows a call. */
import { expect, it } from 'vitest';
import type { WriteProblem } from '../../partitions/store-port.js';
import type { Logger } from '../../src/base/ports.js';
import type { MapStore } from '../../src/mapstore/map-store.js';
import { StoreRunner } from '../../src/member/store-runner.js';
import { encodeKey } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';
import { HandClock } from '../wire/link-bench.js';

const codec = new ValueCodec();

function runnerOf(store: MapStore, logger: Logger = { log: () => {} }) {
  const limits = { concurrency: 1, timeoutMs: 1_000, batchSize: 10 };
  return new StoreRunner({ map: 'm', name: 'db', store, clock: new HandClock(), logger, codec, ...limits });
}

function write(runner: StoreRunner, key: string): Promise<WriteProblem | null> {
  return new Promise((resolve) => {
    runner.write([{ key: encodeKey(key), value: codec.encode(1) }], resolve);
  });
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const THROWN: readonly (readonly [string, unknown])[] = [
  ['undefined', undefined],
  ['an error without a message', Object.assign(new Error(), { message: undefined })],
  ['an object without a prototype', Object.create(null)],
  ['a symbol', Symbol('s')],
  ['a proxy that is revoked', revoked()],
];

it.each(THROWN)('says something of a store that throws %s, and calls it again', async (_name, thrown) => {
  let isBroken = true;
  const act = () => {
    if (isBroken) throw thrown;
  };
  const runner = runnerOf({ load: act, store: act, delete: act });
  const problem = await write(runner, 'a');
  expect(problem).toEqual({ refused: false, message: expect.any(String) });
  const found = await new Promise((resolve) => runner.load([encodeKey('a')], resolve));
  expect(found).toEqual([{ error: expect.any(String) }]);
  isBroken = false;
  expect(await write(runner, 'a')).toBeNull();
});

it('goes on when what follows a call throws, and logs it', async () => {
  const logged: string[] = [];
  const runner = runnerOf({ load: () => null, store() {} }, { log: (_level, event) => logged.push(event) });
  runner.write([{ key: encodeKey('a'), value: codec.encode(1) }], () => {
    throw new Error('a fault');
  });
  expect(await write(runner, 'b')).toBeNull();
  expect(logged).toEqual(['what follows a call of a store threw']);
});
