/** Checks of maps with stores: that they find each kind of wrong story, and that the swarms with stores find none. */
import { describe, expect, it } from 'vitest';
import { checkLinearizable } from '../../chaos/checker/linearizable.js';
import { registerModel } from '../../chaos/checker/models.js';
import {
  checkStores,
  type StoreStep,
  type StoresInput,
  type Told,
  withoutUntold,
} from '../../chaos/checker/stores.js';
import { explainResult } from '../../chaos/run.js';
import { Scheduler } from '../../chaos/sim/virtual-clock.js';
import { explainSplit, runSplitSwarm, splitReplay } from '../../chaos/split/swarm.js';
import type { STORE_FAULTS } from '../../chaos/stores.js';
import { replayCommand, runSeed, runSwarm } from '../../chaos/swarm.js';
import { SimStore } from '../../chaos/workload/sim-store.js';
import { SeededRandom } from '../../src/base/random.js';
import { clusterOf, connected, done, keyAt } from '../cluster/scenario.js';

const call = (f: string, callMs: number, retMs: number, more: Partial<StoreStep> = {}): StoreStep => ({
  k: 'm/a',
  f,
  isWrite: f !== 'read',
  callMs,
  retMs,
  type: 'ok',
  ...more,
});
const put = (v: string, callMs: number, retMs: number, more: Partial<StoreStep> = {}) =>
  call('write', callMs, retMs, { v, ...more });
const told = (value: string | null, atMs: number, teller = 'm1 1'): Told => ({
  k: 'm/a',
  value,
  atMs,
  teller,
});
const check = (calls: readonly StoreStep[], told: readonly Told[], more: Partial<StoresInput> = {}) =>
  checkStores({
    mode: 'write-through',
    coalesces: true,
    calls,
    told,
    setAside: [],
    isOneHistory: true,
    ...more,
  }).join('\n');
const behind = { mode: 'write-behind' } as const;
const all = { ...behind, coalesces: false };

describe('the check of maps with stores', () => {
  it('passes what the promises allow', () => {
    expect(check([put('1', 0, 3), call('read', 4, 5, { out: '1' })], [told('1', 2)])).toBe('');
    expect(check([put('1', 0, 3), call('remove', 4, 7, { out: '1' })], [told('1', 2), told(null, 6)])).toBe(
      '',
    );
    // A write of unknown outcome was told, and the old value again.
    const unknown = put('2', 4, 9, { type: 'info', retMs: null });
    expect(check([put('1', 0, 3), unknown], [told('1', 2), told('2', 5), told('1', 20)])).toBe('');
    // A retry is told again before its answer.
    expect(
      check([put('1', 0, 3), put('2', 4, 30)], [told('1', 2), told('2', 5), told('1', 9), told('2', 25)]),
    ).toBe('');
    expect(check([put('1', 0, 1), put('2', 2, 3)], [told('2', 9)], behind)).toBe('');
    // A new primary goes back to what it does not know to be told.
    for (const next of ['m2 1', 'm1 2']) {
      const again = [told('1', 4), told('2', 5), told('1', 9, next), told('2', 10, next)];
      expect(check([put('1', 0, 1), put('2', 2, 3)], again, all)).toBe('');
    }
    const setAside = [{ k: 'm/a', atMs: 5 }];
    expect(check([put('1', 0, 1), put('2', 2, 3)], [told('2', 9)], { ...all, setAside })).toBe('');
  });

  it.each<[string, readonly StoreStep[], readonly Told[], Partial<StoresInput>, RegExp]>([
    ['a value from nowhere', [put('1', 0, 3)], [told('1', 2), told('9', 4)], {}, /nobody had written/],
    ['a value before its call', [put('1', 5, 8)], [told('1', 2), told('1', 6)], {}, /nobody had written/],
    ['a deletion that nobody asked for', [put('1', 0, 3)], [told(null, 4)], behind, /nobody had written/],
    ['what was refused', [put('1', 0, 3, { type: 'fail' })], [told('1', 2)], {}, /refused for certain/],
    [
      'what was found not to be done, written behind',
      [put('1', 0, 3, { type: 'fail', resolution: 'not done' })],
      [told('1', 2)],
      behind,
      /refused for certain/,
    ],
    [
      'a refused value that is shown',
      [put('1', 0, 3, { type: 'fail' }), call('read', 4, 5, { out: '1' })],
      [],
      behind,
      /a call showed what nobody had written/,
    ],
    ['an answer before the store has it', [put('1', 0, 3)], [told('1', 4)], {}, /answered before the store/],
    [
      'a removal that the store was never told of',
      [put('1', 0, 3), call('remove', 4, 5, { out: '1' })],
      [told('1', 2)],
      {},
      /answered before the store had it: remove/,
    ],
    [
      'a value that is shown before the store has it',
      [put('1', 0, 9, { type: 'info' }), call('read', 1, 2, { out: '1' })],
      [told('1', 4)],
      {},
      /shown before the store had it/,
    ],
    [
      'an old value after a new one',
      [put('1', 0, 3), put('2', 4, 7)],
      [told('1', 2), told('2', 5), told('1', 8)],
      {},
      /an older value after a newer one was answered/,
    ],
    [
      'a value that comes back after its removal',
      [put('1', 0, 3), call('remove', 4, 7, { out: '1' })],
      [told('1', 2), told(null, 5), told('1', 8)],
      {},
      /an older value after a newer one/,
    ],
    [
      'a later value before an earlier one',
      [put('1', 0, 1), put('2', 2, 3)],
      [told('2', 4), told('1', 5, 'm2 1')],
      behind,
      /later value before an earlier one/,
    ],
    [
      'a process that goes back by itself',
      [put('1', 0, 1), put('2', 2, 3)],
      [told('1', 4), told('2', 5), told('1', 6)],
      all,
      /later value before an earlier one/,
    ],
    [
      'a value that is never told',
      [put('1', 0, 1), put('2', 2, 3)],
      [told('2', 4)],
      all,
      /never told an acknowledged value/,
    ],
  ])('finds %s', (_, calls, told, more, problem) => {
    expect(check(calls, told, more)).toMatch(problem);
  });

  it('lets a write be found in the store only when its outcome is unknown, and when it was told', () => {
    const verdict = (type: 'info' | 'fail', its: readonly Told[]) => {
      const history = [
        { c: 1, k: 'm/a', f: 'write', v: '1', call: 0, ret: type === 'info' ? null : 5e6, type },
        { c: 2, k: 'm/a', f: 'read', call: 6e6, ret: 7e6, type: 'ok' as const, out: '1' },
      ];
      return checkLinearizable(withoutUntold(history, its), registerModel).verdict;
    };
    expect(verdict('info', [told('1', 3)])).toBe('ok');
    expect(verdict('info', [])).toBe('illegal');
    expect(verdict('fail', [told('1', 3)])).toBe('illegal');
  });
});

/** A map `m` of three members, with a store whose first call of a kind takes long. */
async function slowFirst(
  mode: 'write-through' | 'write-behind',
  slow: { readonly what: 'load' | 'write'; readonly ms: number },
  memberFaults: object,
) {
  const scheduler = new Scheduler();
  let isFirst = true;
  const takesMs = (what: string) => {
    const takes = what === slow.what && isFirst ? slow.ms : 2;
    if (what === slow.what) isFirst = false;
    return takes;
  };
  const store = new SimStore({ scheduler, random: new SeededRandom(1, 'store'), takesMs });
  const options = { name: 'sim', mode, timeoutMs: 10_000, delayMs: 0 };
  const cluster = await clusterOf(3, {
    scheduler,
    memberFaults,
    member: { founds: true, maps: { m: { store: options, backups: { sync: 1, async: 0 } } } } as never,
    register: (registry, host, isAlive, clock) => registry.mapStore('sim', store.at(host, isAlive, clock)),
  });
  const map = (await connected(cluster)).getMap<string, string>('m').with({ timeoutMs: 30_000 });
  return { cluster, store, map, scheduler };
}

/** The primary crashes while it tells the store; the next one has a newer value to tell. */
async function takeover(memberFaults: object): Promise<string> {
  const { cluster, store, map, scheduler } = await slowFirst(
    'write-behind',
    { what: 'write', ms: 14_000 },
    memberFaults,
  );
  const key = keyAt(cluster, 'm2');
  const calls: StoreStep[] = [];
  const set = async (v: string) => {
    const callMs = scheduler.now;
    await done(cluster, map.set(key, v));
    calls.push(put(v, callMs, scheduler.now, { k: `m/${key}` }));
  };
  await set('1');
  await scheduler.runFor(100);
  cluster.crash('m2');
  await cluster.runUntilSafe(30_000);
  await set('2');
  await scheduler.runFor(20_000);
  const its = store.writes.map(({ value, atMs, process }) => ({
    k: `m/${key}`,
    value,
    atMs,
    teller: `${process}`,
  }));
  expect(its.map(({ value }) => value)).toContain('1');
  expect(its.map(({ value }) => value)).toContain('2');
  return check(calls, its, behind);
}

/** The primary crashes while the store is down: what the store has of the key a while after it is back. */
async function inherited(memberFaults: object): Promise<string | undefined> {
  const slow = { what: 'write', ms: 2 } as const;
  const { cluster, store, map, scheduler } = await slowFirst('write-behind', slow, memberFaults);
  const key = keyAt(cluster, 'm2');
  store.isDown = true;
  await done(cluster, map.set(key, '1'));
  cluster.crash('m2');
  await cluster.runUntilSafe(30_000);
  store.isDown = false;
  await scheduler.runFor(30_000);
  return store.data.get(`m/${key}`);
}

/** A key is written and put out of memory while it is being loaded. */
async function lateLoad(memberFaults: object): Promise<string | null> {
  const { cluster, store, map, scheduler } = await slowFirst(
    'write-through',
    { what: 'load', ms: 1_000 },
    memberFaults,
  );
  store.data.set('m/a', 'old');
  const first = map.get('a');
  await scheduler.runFor(600);
  await done(cluster, map.set('a', 'new'));
  await done(cluster, map.evict('a'));
  await done(cluster, first);
  return done(cluster, map.get('a'));
}

describe('faults of stores that were put in on purpose', () => {
  const named = (fault: (typeof STORE_FAULTS)[number]) => ({ [fault]: true });

  it('storeOvertakes is found when a primary crashes while it tells the store', async () => {
    expect(await takeover({})).toBe('');
    expect(await takeover(named('storeOvertakes'))).toMatch(/a later value before an earlier one/);
  });

  it('storeLoadsOverNewer is found when a key is written while it is loaded', async () => {
    expect(await lateLoad({})).toBe('new');
    expect(await lateLoad(named('storeLoadsOverNewer'))).toBe('old');
  });

  it('storeForgets is found when a primary crashes with what it owes', async () => {
    expect(await inherited({})).toBe('1');
    expect(await inherited(named('storeForgets'))).toBeUndefined();
  });

  it.each([
    ['storeWritesInFork', 2, 'stores: the majority writes'],
    ['storeLoadsOverNewer', 11, 'stores: linearizable per key'],
  ] as const)(
    '%s is found by the swarm of splits, by seed %i',
    async (planted, firstSeed, guarantee) => {
      const wishes = { preset: 'PC/EC', workloads: ['map-store'] } as const;
      const { failed } = await runSplitSwarm({ wishes, seeds: 1, firstSeed, planted });
      expect(failed.flatMap(({ findings }) => findings.map((each) => each.guarantee))).toContain(guarantee);
    },
    60_000,
  );
});

describe('the swarm with stores', () => {
  it('finds nothing under crashes, and stores were in trouble', async () => {
    const result = await runSwarm({ seeds: 5, firstSeed: 1, workload: 'map-store', scale: 0.6 });
    const stories = result.failed.map((each) =>
      explainResult(each, replayCommand(each.seed, undefined, 'map-store')),
    );
    expect(stories.join('\n\n')).toBe('');
    const wanted = [
      'value loaded from a store',
      'value told to a store again',
      'error ERR_STORE_FAILED',
      'promotion',
    ];
    expect(result.reached.missing(wanted)).toEqual([]);
  }, 60_000);

  it.each([
    ['PC/EC', 1, 2],
    // A merge coalesced what is told in every value.
    ['PC/EC', 74, 1],
    // A process led again, after somebody else had, and told once more what it does not know to be told.
    ['PC/EC', 48, 1],
    ['PA/EC', 1, 2],
    // A cluster that was founded apart had told the store of keys that were out of its memory when it was merged in.
    ['PA/EC', 89_076, 1],
  ] as const)(
    'finds nothing in splits under %s, from seed %i on, in %i',
    async (preset, firstSeed, seeds) => {
      const wishes = { preset, workloads: ['map-store'] } as const;
      const { failed } = await runSplitSwarm({ wishes, seeds, firstSeed });
      const stories = failed.map((each) => explainSplit(each, splitReplay(each.seed, wishes)));
      expect(stories.join('\n\n')).toBe('');
    },
    60_000,
  );

  // A key that was put out of memory while the store was told of it lost the mark of that (26), or its value, so that a
  // retry answered with what it had done itself (83); a flush did not wait for what a lost primary had left (8).
  it.each([8, 26, 83])(
    'finds nothing under crashes with seed %i',
    async (seed) => {
      const result = await runSeed(seed, {}, 1, 'map-store');
      expect(result.findings, explainResult(result, '')).toEqual([]);
    },
    60_000,
  );
});
