/**
 * The suite of maps that are kept in a store: the cases of the crash suite, or of that of splits, with the workload of
 * `workload/stores.ts`, a store that has troubles of its own, and its own verdict. Called by the runners.
 */
import { murmur3 } from '../partitions/hash.js';
import { partitionOfKey } from '../partitions/placement.js';
import type { MapState } from '../partitions/services/map/state.js';
import { REMOVAL } from '../partitions/store/record-layout.js';
import { SeededRandom } from '../src/base/random.js';
import type { ModuleRegistry } from '../src/member/registry.js';
import { encodeKey } from '../src/wire/keys.js';
import type { Case } from './case.js';
import { checkLinearizable } from './checker/linearizable.js';
import { registerModel } from './checker/models.js';
import { checkStores, type Told, withoutUntold } from './checker/stores.js';
import { MAX_STATES_PER_KEY } from './judge.js';
import type { Reached } from './reached.js';
import { RETURN_LIMIT_MS, type RunContext } from './run-context.js';
import type { SimMember } from './sim/cluster.js';
import type { Scheduler, SimClock } from './sim/virtual-clock.js';
import type { Caller } from './workload/caller.js';
import type { Finding, Recorder } from './workload/recorder.js';
import { SimStore } from './workload/sim-store.js';
import {
  BEHIND_STORED,
  registerSwap,
  SIM_STORE,
  STORED_KEYS,
  STORED_MAPS,
  type StoredMapName,
  StoreWorker,
  THROUGH,
} from './workload/stores.js';
import type { Step, StepsFor } from './workload/workload.js';

/** What the seeds of both suites have to reach together. */
export const OF_STORES: readonly string[] = [
  ...STORED_MAPS.flatMap((name) => ['read', 'put', 'cas', 'remove'].map((f) => `ok ${name}/${f}`)),
  ...STORED_MAPS.flatMap((name) => ['evict', 'loadAll', 'flush'].map((f) => `ok aside-${name}/${f}`)),
  'value loaded from a store',
  'value told to a store',
  'value told to a store again',
  'value that a store took of a process that was gone',
  'store was down',
  'store failed',
  'store refused a key',
  'write set aside',
  'error ERR_STORE_FAILED',
  'error ERR_STORE_OVERLOAD',
];

/** What the seeds of the crash suite have to reach together. */
export const STORE_STATES: readonly string[] = [
  ...OF_STORES,
  'ok through a member',
  'ok through one-member routing',
  'overlapped a fault',
  'crash',
  'promotion',
  'planned handover',
  'migration completed',
  'retry answered from the window',
];

/** Faults that are put in on purpose. */
export const STORE_FAULTS = ['storeOvertakes', 'storeForgets', 'storeLoadsOverNewer'] as const;

/** Errors that only calls of maps with a store end with. */
export const STORE_CODES: readonly string[] = [
  'ERR_STORE_FAILED',
  'ERR_STORE_OVERLOAD',
  'ERR_NO_LEASE',
  'ERR_FUNCTION_FAILED',
];

/** Tries of a write that the store refuses come from then on, and what was set aside is tried again. */
const SETTLE_ROUNDS = 8;

type TroubleKind = 'down' | 'failing' | 'refusing' | 'slow';
const KINDS: readonly TroubleKind[] = ['down', 'failing', 'refusing', 'slow'];

interface Trouble {
  readonly kind: TroubleKind;
  readonly fromMs: number;
  readonly toMs: number;
  readonly key: string;
}

export interface StorePlan {
  readonly timeoutMs: number;
  readonly coalescing: boolean;
  /** Options of the store of both maps. */
  readonly options: Readonly<Record<string, number>>;
  readonly meanMs: number;
  /** Calls that take long, perhaps too long. */
  readonly longShares: { readonly load: number; readonly write: number };
  readonly troubles: readonly Trouble[];
}

export function drawStorePlan(seed: number, durationMs: number): StorePlan {
  const random = new SeededRandom(seed, 'store plan');
  const pick = <T>(...values: readonly T[]) => values[random.below(values.length)] as T;
  const timeoutMs = pick(300, 1000, 2500);
  const troubles = Array.from({ length: 1 + random.below(4) }, (): Trouble => {
    const fromMs = random.float() * durationMs;
    return {
      kind: pick(...KINDS),
      fromMs,
      toMs: fromMs + 100 + random.float() ** 2 * 2500,
      key: pick(...STORED_KEYS),
    };
  });
  return {
    timeoutMs,
    coalescing: random.float() < 0.5,
    options: {
      timeoutMs,
      delayMs: pick(0, 50, 300, 1000),
      batchSize: pick(1, 3, 50),
      concurrency: pick(1, 3, 16),
      maxPending: pick(3, 1000, 1000),
      maxAttempts: pick(2, 4),
      backoffMs: 20,
      maxBackoffMs: pick(100, 500),
    },
    meanMs: pick(1, 4, 15),
    longShares: { load: pick(0.01, 0.05, 0.3), write: pick(0.01, 0.05, 0.7) },
    troubles,
  };
}

/**
 * Connections do not double what they carry: a store that refuses a call and then takes the second copy of it would have
 * taken what was refused for certain.
 */
export function withoutDoubles(plan: Case): Case {
  const faults = plan.faults.filter(({ kind }) => kind !== 'duplicate');
  return { ...plan, link: { ...plan.link, duplicate: 0 }, faults };
}

/** The store of a run with the maps that are kept in it. */
export class StoreRig {
  readonly plan: StorePlan;
  readonly store: SimStore;
  readonly setAside: { readonly k: string; readonly atMs: number }[] = [];
  readonly #scheduler: Scheduler;
  readonly #slow = new Set<Trouble>();
  readonly #members = new Map<string, SimMember['member']>();
  readonly #used = { [THROUGH]: new Map<string, number>(), [BEHIND_STORED]: new Map<string, number>() };
  #isOver = false;

  constructor(seed: number, durationMs: number, scheduler: Scheduler) {
    this.plan = drawStorePlan(seed, durationMs);
    this.#scheduler = scheduler;
    const random = new SeededRandom(seed, 'store');
    this.store = new SimStore({ scheduler, random, takesMs: (what) => this.#takesMs(random, what) });
    this.store.leadOf = (host, key) => this.#leadOf(host, key);
  }

  /** Half of it passes before it takes effect: no call does so later than it may. */
  #takesMs(random: SeededRandom, what: 'load' | 'keys' | 'write'): number {
    const { timeoutMs, meanMs, longShares } = this.plan;
    const share = this.#slow.size > 0 ? 0.5 : longShares[what === 'write' ? 'write' : 'load'];
    const isLong = random.float() < (this.#isOver ? 0 : share);
    return isLong ? random.float() * 1.8 * timeoutMs : 0.2 - Math.log(1 - random.float()) * meanMs;
  }

  /** Options of the maps; `options`: what every map of the run has. */
  maps(options: object): Record<StoredMapName, object> {
    const { coalescing } = this.plan;
    const store = { name: SIM_STORE, ...this.plan.options };
    return {
      [THROUGH]: { ...options, store: { ...store, mode: 'write-through' } },
      [BEHIND_STORED]: { ...options, store: { ...store, mode: 'write-behind', coalescing } },
    };
  }

  register(registry: ModuleRegistry, host: string, isAlive: () => boolean, clock: SimClock): void {
    registerSwap(registry);
    registry.mapStore(SIM_STORE, this.store.at(host, isAlive, clock));
  }

  /** A member was started. */
  watch({ host, member }: SimMember): void {
    this.#members.set(host, member);
    member.node.events.on('storeFailed', ({ map, key }) => {
      this.setAside.push({ k: `${map}/${String(key)}`, atMs: this.#scheduler.now });
    });
  }

  #leadOf(host: string, key: string): string {
    const node = this.#members.get(host)?.node;
    const table = node?.view?.table ?? [];
    const partition = partitionOfKey(encodeKey(key), table.length);
    const { lineage, epoch } = node?.replication.holdings.find(partition)?.history.at(-1) ?? {};
    return `${lineage}/${epoch}`;
  }

  step(context: Parameters<StepsFor>[0], recorder: Recorder, random: SeededRandom): Step {
    const worker = new StoreWorker(context, recorder, random.fork('stores'), this.#used);
    return () => worker.step();
  }

  /** The workload begins. */
  begin(): void {
    const startMs = this.#scheduler.now;
    for (const trouble of this.plan.troubles) {
      this.#scheduler.schedule(startMs + trouble.fromMs, () => this.#set(trouble, true));
      this.#scheduler.schedule(startMs + trouble.toMs, () => this.#set(trouble, false));
    }
  }

  #set(trouble: Trouble, isOn: boolean): void {
    if (this.#isOver) return;
    if (trouble.kind === 'down') this.store.isDown = isOn;
    else if (trouble.kind === 'failing') this.store.failures = isOn ? 0.3 : 0;
    else if (trouble.kind === 'refusing') this.store.refuses = (key) => isOn && key === trouble.key;
    else if (isOn) this.#slow.add(trouble);
    else this.#slow.delete(trouble);
  }

  /** The store has no troubles any more. */
  calm(): void {
    this.#isOver = true;
    this.store.isDown = false;
    this.store.failures = 0;
    this.store.refuses = () => false;
    this.#slow.clear();
  }

  told(name: StoredMapName): Told[] {
    return this.store.writes
      .filter(({ map }) => map === name)
      .map(({ map, key, value, atMs, process, lead }) => {
        return { k: `${map}/${key}`, value, atMs, teller: `${process} ${lead}` };
      });
  }
}

type FinalRun = Pick<RunContext, 'cluster' | 'workload' | 'recorder' | 'find'>;

const EQUAL = 'stores: the store has what the map has';
const RETURNS = 'service returns';

/** After the heal: the store gets everything, and has what the map has, in memory or not. */
export async function finalStores(run: FinalRun, rig: StoreRig): Promise<void> {
  const caller = run.workload.clientCaller({ routing: 'all' });
  let isDone = false;
  const all = async () => {
    await caller.ready;
    for (const name of STORED_MAPS) await finalMap(run, rig, caller, name);
  };
  void all()
    .catch((error) => run.find(RETURNS, `the final calls of maps with a store ended with ${String(error)}`))
    .finally(() => {
      isDone = true;
    });
  if (!(await run.cluster.until(() => isDone, 12 * RETURN_LIMIT_MS)))
    run.find(RETURNS, 'the final calls of maps with a store did not end');
}

async function finalMap(run: FinalRun, rig: StoreRig, caller: Caller, name: StoredMapName): Promise<void> {
  const map = caller.grid.getMap<string, string>(name).with({ timeoutMs: RETURN_LIMIT_MS });
  const call = async (f: string, key: string, invoke: () => Promise<unknown>, v?: string) => {
    const step = { k: `${name}/${key}`, f, ...(v === undefined ? {} : { v }) };
    const entry = await run.recorder.call(
      caller,
      step,
      v !== undefined,
      RETURN_LIMIT_MS,
      invoke,
      (out) => out,
    );
    if (entry.type !== 'ok') run.find(RETURNS, `${f} of ${name}/${key} after the heal: ${entry.code}`);
    return entry;
  };
  const compare = async (when: string) => {
    for (const key of STORED_KEYS) {
      const entry = await call('read', key, () => map.get(key));
      const stored = rig.store.data.get(`${name}/${key}`) ?? null;
      if (entry.type === 'ok' && entry.out !== stored)
        run.find(EQUAL, `${name}/${key} is ${String(entry.out)}, and the store has ${stored} ${when}`);
    }
  };
  // What was asked for before may still fail.
  await pause(run, rig.plan.timeoutMs * 1.1 + 50);
  await flushed(run, caller, name);
  for (const problem of removedAndKept(run, rig, name)) run.find(EQUAL, problem);
  await compare('after the heal');
  await map.evictAll();
  await compare('after entries went out of memory');
  for (const key of STORED_KEYS) await call('put', key, () => map.put(key, `final ${key}`), `final ${key}`);
  await flushed(run, caller, name);
  await compare('after the last writes');
}

function pause({ cluster }: FinalRun, ms: number): Promise<void> {
  const { scheduler } = cluster;
  return new Promise((resolve) => {
    scheduler.schedule(scheduler.now + ms, resolve);
  });
}

/** What was set aside is tried again. */
async function flushed(run: FinalRun, { grid }: Caller, name: StoredMapName): Promise<void> {
  const map = grid.getMap<string, string>(name).with({ timeoutMs: RETURN_LIMIT_MS });
  let problem: unknown = null;
  for (let i = 0; i < SETTLE_ROUNDS; i++) {
    try {
      await map.retryFailed();
      await map.flush();
      return;
    } catch (error) {
      problem = error;
    }
  }
  run.find(RETURNS, `${name} could not be flushed after the heal: ${String(problem)}`);
}

/** Keys that a user removed, of which the store still has a value. */
function removedAndKept({ cluster }: FinalRun, { store }: StoreRig, name: StoredMapName): string[] {
  return cluster.running().flatMap(({ member }) => {
    const { replication } = member.node;
    return [...replication.holdings.all()].flatMap((replica) => {
      const state = replica.find(1, name) as MapState | undefined;
      if (state === undefined || !replication.isServing(replica.id)) return [];
      return STORED_KEYS.flatMap((key) => {
        const bytes = encodeKey(key);
        const ref = state.store.find(murmur3(bytes), bytes);
        const isRemoved =
          ref >= 0 && state.store.isTombstone(ref) && state.store.metaOf(ref).cause === REMOVAL.removed;
        const stored = store.data.get(`${name}/${key}`);
        return isRemoved && stored !== undefined
          ? [`${name}/${key} was removed, and the store has ${stored}`]
          : [];
      });
    });
  });
}

/** `isOneHistory`: nothing was lost beyond the promise, and there is one order of everything. */
export function judgeStores(
  { recorder }: Pick<RunContext, 'recorder'>,
  rig: StoreRig,
  isOneHistory: boolean,
): Finding[] {
  return STORED_MAPS.flatMap((name) => {
    const prefix = `${name}/`;
    const calls = recorder.entries.filter(({ k }) => k.startsWith(prefix));
    const told = rig.told(name);
    const mode = name === THROUGH ? 'write-through' : 'write-behind';
    const { setAside, plan } = rig;
    const problems = checkStores({
      mode,
      coalesces: plan.coalescing,
      calls,
      told,
      setAside,
      isOneHistory,
    });
    const found = problems.map((text) => ({ guarantee: `stores: ${mode}`, text }));
    if (!isOneHistory) return found;
    const whole = recorder.history(prefix);
    const history = mode === 'write-through' ? withoutUntold(whole, told) : whole;
    const result = checkLinearizable(history, registerModel, { maxStatesPerKey: MAX_STATES_PER_KEY });
    return result.verdict === 'ok'
      ? found
      : [...found, { guarantee: 'stores: linearizable per key', text: result.text }];
  });
}

export function reachedByStores(reached: Reached, rig: StoreRig): void {
  const { store, plan, setAside } = rig;
  reached.add('value loaded from a store', store.loads);
  reached.add('value told to a store', store.writes.length);
  const values = store.writes.flatMap(({ map, value }) => (value === null ? [] : [`${map}/${value}`]));
  reached.add('value told to a store again', values.length - new Set(values).size);
  reached.add(
    'value that a store took of a process that was gone',
    store.writes.filter(({ isLate }) => isLate).length,
  );
  reached.add('write set aside', setAside.length);
  const names = {
    down: 'store was down',
    failing: 'store failed',
    refusing: 'store refused a key',
    slow: 'store was slow',
  };
  for (const { kind } of plan.troubles) reached.add(names[kind]);
}
