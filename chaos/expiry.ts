/**
 * The suite of expiry: the cases of the crash suite with the workload of `workload/expiring.ts` in place of the usual one,
 * and its own verdict. Called by the runner.
 */
import type { MapState } from '../partitions/services/map/state.js';
import { checkExpiry } from './checker/expiring.js';
import type { Reached } from './reached.js';
import type { RunContext } from './run-context.js';
import { EXPIRING_MAP, type ExpiryLog } from './workload/expiring.js';
import type { Finding } from './workload/recorder.js';

/** What the seeds of the suite have to reach together. */
export const EXPIRY_STATES: readonly string[] = [
  'value shown',
  'value that had ended',
  'value used longer than its max idle time',
  'glance at a value',
  'entry removed in the background',
  'ok through a member',
  'crash',
  'promotion',
  'planned handover',
  'migration completed',
];

/** Faults put in on purpose: entries that are over stay, uses are not told, the clocks of members are not what is known. */
export const EXPIRY_FAULTS = ['neverSwept', 'usesUntold', 'clocksApart'] as const;

/** Errors that reads of any replica may end with. */
export const EXPIRY_CODES: readonly string[] = ['ERR_SESSION_LOST', 'ERR_TOO_STALE'];

/** What is over is removed so much later at the most, when nothing disturbs. */
const REMOVED_WITHIN_MS = 1_000;
/** Beside drift: what calls and clocks are rounded by. */
const ROUNDING_MS = 5;
const LEVEL_LIMIT_MS = 3_000;

function clocksMs(run: RunContext): number {
  return ROUNDING_MS + 2 * run.plan.drift * run.cluster.scheduler.now;
}

/** Entries that primaries should have removed by now, each as a line. */
export function overdue(run: RunContext): string[] {
  return run.cluster.running().flatMap(({ host, member, clock }) => {
    const { replication } = member.node;
    return [...replication.holdings.all()].flatMap((replica) => {
      const state = replica.find(1, EXPIRING_MAP) as MapState | undefined;
      if (state === undefined || !replication.isServing(replica.id)) return [];
      const lateMs = clock.wallNow() - state.dueMs;
      return Number.isFinite(lateMs) && lateMs > REMOVED_WITHIN_MS + clocksMs(run)
        ? [`${host} keeps an entry of partition ${replica.id} that ended ${lateMs.toFixed(0)} ms ago`]
        : [];
    });
  });
}

/** Once everything is quiet: looks for entries that stay, for longer than any of them may live. */
export async function watchRemovals(run: RunContext, isLevel: () => boolean): Promise<string[]> {
  const { cluster } = run;
  const problems = new Set<string>();
  const untilMs = cluster.scheduler.now + LEVEL_LIMIT_MS;
  // Those that ended under faults have a second from now on.
  await cluster.scheduler.runFor(REMOVED_WITHIN_MS + 100);
  while (cluster.scheduler.now < untilMs) {
    for (const problem of overdue(run))
      problems.add(problem.replace(/ended .*$/, 'ended more than a second ago'));
    await cluster.scheduler.runFor(100);
  }
  await cluster.until(isLevel, LEVEL_LIMIT_MS, 50);
  return [...problems];
}

export function judgeExpiry(run: RunContext, log: ExpiryLog): Finding[] {
  const prefix = `${EXPIRING_MAP}/`;
  const calls = run.recorder.entries.filter(({ k }) => k.startsWith(prefix));
  return checkExpiry({ calls, asked: log.asked, clocksMs: clocksMs(run) }).map((text) => ({
    guarantee: 'entries end at their time',
    text,
  }));
}

export function reachedByExpiry(reached: Reached, run: RunContext, { asked }: ExpiryLog): void {
  const writes = new Map(
    run.recorder.entries.flatMap((entry) => (entry.f === 'write' ? [[entry.v, entry]] : [])),
  );
  for (const { k, f, type, out, callMs } of run.recorder.entries) {
    if (!k.startsWith(`${EXPIRING_MAP}/`) || type !== 'ok') continue;
    if (f === 'read') reached.add(typeof out === 'string' ? 'value shown' : 'value that had ended');
    if (f === 'glance' && typeof out === 'string') reached.add('glance at a value');
    const idleMs = asked.get(String(out))?.idleMs ?? 0;
    if (f === 'read' && idleMs > 0 && callMs - (writes.get(out)?.callMs ?? callMs) > idleMs)
      reached.add('value used longer than its max idle time');
  }
  const removed = run.cluster.processes.map(({ member }) => member.node.replication.counters.expirations);
  reached.add(
    'entry removed in the background',
    removed.reduce((sum, count) => sum + count, 0),
  );
}
