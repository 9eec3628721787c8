/**
 * Near caches in runs with splits: their options, drawn from the seed, and what becomes of the news that members send them,
 * which are lost, doubled, late and out of order on purpose. Called by the runner.
 */
import type { Grid } from '../../client/core/grid.js';
import { partitionOfKey } from '../../partitions/placement.js';
import { SeededRandom } from '../../src/base/random.js';
import type { ClientOptions } from '../../src/config/client.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { SimCluster } from '../sim/cluster.js';
import type { Scheduler } from '../sim/virtual-clock.js';
import { BEHIND } from '../workload/behind.js';
import type { SplitCase } from './case.js';

export interface NearPlan {
  readonly maxStalenessMs: number;
  readonly options: NonNullable<ClientOptions['nearCaches']>;
  /** Shares of the news; what is late comes up to so much later. */
  readonly lost: number;
  readonly doubled: number;
  readonly late: number;
  readonly latestMs: number;
}

/** What has to happen for a last change to be everywhere, beside the time that a near cache is allowed. */
const AT_REST_MS = 500;
/** Within the age that a value may have. */
const READS_AT_REST = 4;
const REST_LIMIT_MS = 60_000;

export interface NearRest {
  readonly cluster: SimCluster;
  readonly plan: Pick<SplitCase, 'keys' | 'partitionCount'>;
  /** Partitions that nobody can bring back. */
  readonly dead: ReadonlySet<number>;
  readonly find: (guarantee: string, text: string) => void;
}

/** Null for a case without near caches. */
export function drawNear({ seed, workloads }: Pick<SplitCase, 'seed' | 'workloads'>): NearPlan | null {
  if (!workloads.includes('map-near')) return null;
  const random = new SeededRandom(seed, 'near');
  const pick = <T>(...values: readonly T[]) => values[random.below(values.length)] as T;
  const maxStalenessMs = pick(60, 200, 600, 1_500);
  const isQuiet = random.float() < 0.4;
  const near = {
    maxStalenessMs,
    maxEntries: pick(3, 100),
    eviction: pick('LRU', 'LFU'),
    format: pick('objects', 'bytes'),
    cacheAbsent: random.float() < 0.7,
  } as const;
  return {
    maxStalenessMs,
    options: { [BEHIND]: near },
    lost: isQuiet ? 0 : pick(0, 0.02, 0.1),
    doubled: isQuiet ? 0 : pick(0, 0.05),
    late: isQuiet ? 0 : pick(0, 0.1, 0.4),
    latestMs: pick(20, 200, 1_000),
  };
}

/** What becomes of one message to a near cache. */
export function carrier(plan: NearPlan, seed: number, scheduler: Scheduler): (deliver: () => void) => void {
  const random = new SeededRandom(seed, 'news');
  const carry = (deliver: () => void) => {
    const draw = random.float();
    if (draw < plan.lost) return;
    if (draw < plan.lost + plan.late)
      scheduler.schedule(scheduler.now + random.float() * plan.latestMs, deliver);
    else deliver();
  };
  return (deliver) => {
    carry(deliver);
    if (random.float() < plan.doubled) carry(deliver);
  };
}

/**
 * When nothing changes any more, what near caches give is what the primaries have. They are read all the while: what nobody
 * reads is too old after the rest, and would not be given. Resolves with how many values were there then.
 */
export async function nearAtRest({ cluster, find, plan, dead }: NearRest, near: NearPlan): Promise<number> {
  const grids = [...cluster.clients, ...cluster.running().map(({ member }) => member)];
  const keys = Array.from({ length: plan.keys }, (_, i) => `b${i}`).filter(
    (key) => !dead.has(partitionOfKey(encodeKey(key), plan.partitionCount)),
  );
  const everyMs = near.maxStalenessMs / READS_AT_REST;
  for (let ms = 0; ms < near.maxStalenessMs + AT_REST_MS; ms += everyMs) {
    for (const grid of grids) for (const key of keys) void latest(grid).get(key).catch(ignored);
    await cluster.scheduler.runFor(everyMs);
  }
  let hits = 0;
  let left = grids.length;
  for (const grid of grids) {
    void differences(grid, keys)
      .then((found) => {
        hits += found.hits;
        for (const text of found.texts) find('G10 no value stays out of date', text);
      })
      .catch((error) => find('G10 no value stays out of date', String(error)))
      .finally(() => {
        left--;
      });
  }
  await cluster.until(() => left === 0, REST_LIMIT_MS);
  return hits;
}

function ignored(): void {}

function latest(grid: Grid) {
  return grid.getMap<string, string>(BEHIND).with({ consistency: 'EL', session: null });
}

async function differences(grid: Grid, keys: readonly string[]): Promise<{ hits: number; texts: string[] }> {
  const map = latest(grid);
  const strict = map.with({ consistency: 'EC' });
  const texts: string[] = [];
  let hits = 0;
  for (const key of keys) {
    // The first read gives what was kept all the while, or fills the near cache, maybe from a backup; the second reads that.
    if ((await map.getWithMeta(key)).source === 'nearCache') hits++;
    const { value, source, ageMs } = await map.getWithMeta(key);
    const now = await strict.get(key);
    if (value !== now) texts.push(`${key} is ${now}; ${source} gave ${value}, ${ageMs} ms old at the most`);
  }
  return { hits, texts };
}
