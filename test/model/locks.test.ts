/** Locks of keys of a map of three members, for two owners and flows without one, against a plain table, call by call. */
import fc from 'fast-check';
import { it } from 'vitest';
import { type GridMap, LockLostError, NotLockOwnerError } from '../../src/index.js';
import { commandsOf, type Methods, MODEL_TIMEOUT_MS, runModel } from './harness.js';

type Owner = 'a' | 'b' | '';

class Model {
  readonly locks = new Map<string, { owner: Owner; count: number; fence: number }>();
  readonly values = new Map<string, number>();
  fences = 0;

  /** Whether calls of the owner pass. */
  isFree({ key, owner }: Step): boolean {
    const lock = this.locks.get(key);
    return lock === undefined || lock.owner === owner;
  }
}

interface Step {
  readonly key: string;
  readonly owner: Owner;
  readonly value: number;
}

/** The map, with the order of the fences that it gave. */
class Real {
  readonly map: GridMap<string, number>;
  readonly #fences: bigint[] = [];

  constructor(map: GridMap<string, number>) {
    this.map = map;
  }

  as({ owner }: Step): GridMap<string, number> {
    return owner === '' ? this.map : this.map.with({ lockOwner: owner });
  }

  /** Counts those that were given until this one; -1 for one that is not larger than those of before. */
  async rank(fence: bigint | null, key: string): Promise<number | null> {
    if (fence === null) return null;
    const known = this.#fences.indexOf(fence);
    if (known >= 0) return known + 1;
    this.#fences.push(fence);
    const before = this.#last.get(key) ?? -1n;
    this.#last.set(key, fence);
    return fence > before ? this.#fences.length : -1;
  }

  readonly #last = new Map<string, bigint>();

  destroy(): Promise<void> {
    return this.map.destroy();
  }
}

/** Of a call that is refused because of a lock. */
async function refusal(call: Promise<unknown>): Promise<unknown> {
  try {
    return (await call) ?? null;
  } catch (error) {
    if (error instanceof NotLockOwnerError || error instanceof LockLostError) return 'not yours';
    throw error;
  }
}

function write(change: (model: Model, step: Step) => unknown) {
  return (model: Model, step: Step) => model.isFree(step) && change(model, step);
}

const METHODS: Methods<Model, Real, Step> = {
  tryLock: [
    (model, step) => {
      const { key, owner } = step;
      const lock = model.locks.get(key);
      if (lock === undefined) {
        model.locks.set(key, { owner, count: 1, fence: ++model.fences });
        return model.fences;
      }
      if (owner === '' || lock.owner !== owner) return null;
      lock.count++;
      return lock.fence;
    },
    async (real, step) => real.rank(await real.as(step).tryLock(step.key), step.key),
  ],
  unlock: [
    (model, step) => {
      const lock = model.locks.get(step.key);
      if (lock === undefined || !model.isFree(step)) return 'not yours';
      if (--lock.count === 0) model.locks.delete(step.key);
      return null;
    },
    (real, step) => refusal(real.as(step).unlock(step.key)),
  ],
  forceUnlock: [
    ({ locks }, { key }) => void locks.delete(key),
    (real, step) => real.as(step).forceUnlock(step.key),
  ],
  isLocked: [({ locks }, { key }) => locks.has(key), (real, { key }) => real.map.isLocked(key)],
  get: [({ values }, { key }) => values.get(key) ?? null, (real, step) => real.as(step).get(step.key)],
  tryPut: [
    write(({ values }, { key, value }) => {
      values.set(key, value);
      return true;
    }),
    (real, step) => real.as(step).tryPut(step.key, step.value, 0),
  ],
  tryRemove: [
    write(({ values }, { key }) => values.delete(key)),
    (real, step) => real.as(step).tryRemove(step.key, 0),
  ],
  clear: [
    (model, { owner }) => {
      for (const key of [...model.values.keys()])
        if (model.isFree({ key, owner, value: 0 })) model.values.delete(key);
    },
    (real, step) => real.as(step).clear(),
  ],
};

const step = fc.record({
  key: fc.constantFrom('x', 'y'),
  owner: fc.constantFrom<Owner>('a', 'b', ''),
  value: fc.nat(9),
});

it(
  'locks of keys exclude whom they have to, through a client of a cluster',
  async () => {
    const commands = commandsOf<Model, Real, Step>(
      METHODS,
      step,
      { tryLock: 12, unlock: 12, tryPut: 3, tryRemove: 3, get: 3, isLocked: 3, forceUnlock: 3 },
      25,
    );
    await runModel(commands, { members: 3 }, (client, name) => ({
      model: new Model(),
      real: new Real(client.getMap<string, number>(name)),
    }));
  },
  MODEL_TIMEOUT_MS,
);
