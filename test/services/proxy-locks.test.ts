/** What callers of locks do behind the scenes: they give back what they were not told to have. */
import { describe, expect, it } from 'vitest';
import { installStructures } from '../../client/core/grid.js';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { encodeKey } from '../../src/wire/keys.js';
import { InMemoryInvoker } from './in-memory-invoker.js';

const OTHER = 9;
const key = encodeKey('a');

/** A map of which somebody else has locked the key. */
function start() {
  const invoker = new InMemoryInvoker(1);
  const map = installStructures({}, invoker).getMap<string, string>('users');
  const primary = invoker.primary(ops.lock, 0, 'users');
  const lockAs = (client: number, token: number) => {
    primary.client = client;
    primary.run(ops.lock, { key, token, waitMs: 0, leaseMs: 0 });
    primary.client = 0;
  };
  lockAs(OTHER, 100);
  return { invoker, map, primary, lockAs };
}

describe('a lock that was not had', () => {
  it('is not asked for again when the answer is certain', async () => {
    const { invoker, map } = start();
    expect(await map.tryLock('a')).toBeNull();
    await invoker.scheduler.runFor(20_000);
    expect(invoker.count('map.lock')).toBe(1);
    expect(invoker.count('map.unlock')).toBe(0);
  });

  it('is given back when another side had given it and is the one that stays', async () => {
    const { invoker, map, primary, lockAs } = start();
    primary.mayBeElsewhere = true;
    expect(await map.tryLock('a')).toBeNull();
    await invoker.scheduler.runFor(20_000);
    // As that side has it: the lock of this very call.
    primary.run(ops.forceUnlock, { key });
    lockAs(0, 1);
    expect(await map.isLocked('a')).toBe(true);
    await invoker.scheduler.runFor(8_000);
    expect(await map.isLocked('a')).toBe(false);
    const unlocks = invoker.count('map.unlock');
    await invoker.scheduler.runFor(20_000);
    expect(invoker.count('map.unlock')).toBe(unlocks);
  });

  it('leaves alone what a later call has got', async () => {
    const { invoker, map, primary } = start();
    primary.mayBeElsewhere = true;
    expect(await map.tryLock('a')).toBeNull();
    primary.run(ops.forceUnlock, { key });
    expect(await map.tryLock('a')).not.toBeNull();
    await invoker.scheduler.runFor(60_000);
    expect(await map.isLocked('a')).toBe(true);
  });
});
