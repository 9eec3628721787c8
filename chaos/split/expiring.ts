/**
 * Entries that end, under splits: clocks that are near each other, what replicas may still have in the end, and the verdict.
 * Called by the drawing of cases, the runner and the judge.
 */
import { MapState } from '../../partitions/services/map/state.js';
import { ValueCodec } from '../../src/wire/values.js';
import { checkExpiry, checkRemoved, type KeptValue } from '../checker/expiring.js';
import { EXPIRING_MAP } from '../workload/expiring.js';
import type { Entry, Finding } from '../workload/recorder.js';
import { calmTimes, mattering } from './calm.js';
import type { SplitCase } from './case.js';
import type { Connectivity } from './connectivity.js';
import type { SplitContext } from './context.js';

/** What the seeds of the suite have to reach together. */
export const OF_EXPIRY: readonly string[] = [
  'value shown',
  'value that had ended',
  'value used longer than its max idle time',
  'glance at a value',
  'entry removed in the background',
];

const MAP_SERVICE = 1;
/** With clocks that are minutes off nothing could be said about times. */
const MAX_OFFSET_MS = 50;
const STEP_SHARE = 1 / 3_000;
/** Beside clocks: what calls and clocks are rounded by. */
const ROUNDING_MS = 5;
const REMOVED_WITHIN_MS = 1_000;
/** The longest that an entry may live, with what a change of its primary adds. */
const LONGEST_MS = 8_000;
const LOOK_EVERY_MS = 250;
const EVERYTHING = { records: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };

/** Small steps in the place of those of minutes. */
export function withNearClocks(plan: SplitCase): SplitCase {
  const faults = plan.faults.map((fault) =>
    fault.kind === 'wall' ? { ...fault, amount: Math.round((fault.amount ?? 0) * STEP_SHARE) } : fault,
  );
  return { ...plan, faults, wallOffsetMs: Math.min(plan.wallOffsetMs, MAX_OFFSET_MS) };
}

/** What the clocks of two members may differ by. */
function clocksMs({ plan, cluster }: SplitContext): number {
  const steps = plan.faults.map(({ kind, amount }) => (kind === 'wall' ? Math.abs(amount ?? 0) : 0));
  const steppedMs = steps.reduce((sum, ms) => sum + ms, 0);
  return ROUNDING_MS + 2 * plan.wallOffsetMs + steppedMs + 2 * plan.drift * cluster.scheduler.now;
}

/** All that replicas have of the map, primaries and backups, without a look at what they say of its end. */
function keptNow({ cluster }: SplitContext): KeptValue[] {
  const codec = new ValueCodec();
  const kept: KeptValue[] = [];
  for (const { host, member } of cluster.running())
    for (const replica of member.node.replication.holdings.all()) {
      const state = replica.find(MAP_SERVICE, EXPIRING_MAP);
      if (!(state instanceof MapState)) continue;
      const { store } = state;
      const where = `${host} in partition ${replica.id}`;
      store.scan(0, EVERYTHING, (ref) => {
        if (store.isTombstone(ref)) return;
        kept.push({ where, value: codec.decode(store.valueOf(ref)) as string, atMs: cluster.scheduler.now });
      });
    }
  return kept;
}

/** Once everything is one again and nobody calls: what is over has to leave every replica in time, and all of it does. */
export async function watchReplicas(run: SplitContext): Promise<void> {
  const { cluster, expiry } = run;
  const problems = new Set<string>();
  const fromMs = cluster.scheduler.now;
  const look = () => {
    const calls = callsOf(run);
    const input = { calls, asked: expiry.asked, clocksMs: clocksMs(run) };
    for (const text of checkRemoved(keptNow(run), input, REMOVED_WITHIN_MS))
      problems.add(text.replace(/, at [\d.]+$/, ''));
  };
  // What ended while sides were apart has a second from now on.
  await cluster.scheduler.runFor(REMOVED_WITHIN_MS + LOOK_EVERY_MS);
  while (cluster.scheduler.now < fromMs + LONGEST_MS + 2 * REMOVED_WITHIN_MS) {
    look();
    await cluster.scheduler.runFor(LOOK_EVERY_MS);
  }
  const last = new Set(keptNow(run).map(({ value }) => value));
  for (const value of last) {
    const times = expiry.asked.get(value);
    if (times !== undefined && times.ttlMs + times.idleMs > 0)
      problems.add(`${value}, which was to end (${times.ttlMs}, ${times.idleMs}), is still there at rest`);
  }
  for (const text of problems) run.find('entries that ended are removed within a second', text);
}

function callsOf({ recorder }: SplitContext) {
  return recorder.entries.filter(({ k }) => k.startsWith(`${EXPIRING_MAP}/`));
}

function isChange({ f }: Entry): boolean {
  return f === 'write' || f === 'remove';
}

/**
 * Nothing is shown after its time anywhere. What has to be there, and what was told to be gone, is known where nobody else
 * can come in: of a consistent map always, else before the first fault and on sides that are cut off cleanly.
 */
export function judgeExpiring(run: SplitContext, connectivity: Connectivity): Finding[] {
  const calls = callsOf(run);
  if (calls.length === 0) return [];
  const input = { calls, asked: run.expiry.asked, clocksMs: clocksMs(run) };
  const problems =
    run.plan.preset === 'PC/EC'
      ? checkExpiry(input)
      : [
          ...checkExpiry({ ...input, only: 'times' }),
          ...calmTimes(run, connectivity).flatMap((time) =>
            checkExpiry({ ...input, calls: mattering(time, calls, isChange), only: 'presence' }),
          ),
        ];
  return problems.map((text) => ({ guarantee: 'entries end at their time', text }));
}
