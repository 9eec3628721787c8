/**
 * The suite of locks: the cases of the crash suite, or of that of splits, with the workload of `workload/locks.ts`, and its
 * own verdict. Called by the runners.
 */
import type { SeededRandom } from '../src/base/random.js';
import { checkLocks, type Held, type Intruded } from './checker/locks.js';
import type { Reached } from './reached.js';
import { RETURN_LIMIT_MS, type RunContext } from './run-context.js';
import type { SimCluster } from './sim/cluster.js';
import {
  HOLDER_MS,
  type Hold,
  LOCK_KEYS,
  LOCKS,
  type LockHost,
  type LockLog,
  LockWorker,
  lineageOf,
} from './workload/locks.js';
import type { Finding, Recorder } from './workload/recorder.js';
import type { Step, StepsFor, Workload } from './workload/workload.js';

/** What the seeds of the crash suite have to reach together. */
export const LOCK_STATES: readonly string[] = [
  'ok lock/lock',
  'ok lock/unlock',
  'ok lock/isLocked',
  'ok locks/write',
  'lock that had to wait',
  'lock that was not had in time',
  'lock that was taken from its holder',
  'lock of a client that died',
  'lock of an owner',
  'error ERR_KEY_LOCKED',
  'ok through a member',
  'ok through one-member routing',
  'crash',
  'promotion',
  'planned handover',
  'migration completed',
  'retry answered from the window',
];

/** Errors that only calls on locked keys end with. */
export const LOCK_CODES: readonly string[] = ['ERR_KEY_LOCKED', 'ERR_LOCK_LOST', 'ERR_NOT_LOCK_OWNER'];

/** Faults that are put in on purpose. */
export const LOCK_FAULTS = ['lockGrantedTwice', 'lockForgotten', 'fenceRestarts'] as const;

const WAITED_MS = 100;

export function lockHost(cluster: SimCluster, workload: () => Workload): LockHost {
  return {
    scheduler: cluster.scheduler,
    newClient: () => workload().clientCaller({ routing: 'all' }),
    kill: (host) => cluster.network.crash(host),
  };
}

export function lockStep(
  context: Parameters<StepsFor>[0],
  recorder: Recorder,
  log: LockLog,
  host: LockHost,
  random: SeededRandom,
): Step {
  const worker = new LockWorker(context, recorder, log, host, random.fork('locks'));
  return () => worker.step();
}

/** Steps of workers that call nothing but locks. */
export function lockSteps(recorder: Recorder, log: LockLog, host: LockHost): StepsFor {
  return (context, random) => lockStep(context, recorder, log, host, random);
}

/** After the heal every key must be had again, with a fence above all that there were. */
export async function finalLocks(
  run: Pick<RunContext, 'cluster' | 'workload' | 'find'>,
  { holds }: LockLog,
): Promise<void> {
  const caller = run.workload.clientCaller({ routing: 'all' });
  let isDone = false;
  const unlocked = caller.ready
    .then(() => lineageOf(caller, LOCK_KEYS[0] as string))
    .then((now) =>
      Promise.allSettled(holds.filter((hold) => mayBeHeld(hold, now)).map(({ again }) => again())),
    );
  const one = async (key: string) => {
    await caller.ready;
    const map = caller.grid.getMap<string, string>(LOCKS).with({ timeoutMs: RETURN_LIMIT_MS });
    try {
      const fence = await map.lock(key);
      const above = holds.filter(({ k, fence: other }) => k === `lock/${key}` && other >= fence);
      if (above.length > 0)
        run.find('locks: fences grow', `${key} got ${fence} after the heal, and ${above[0]?.fence} before`);
      await map.unlock(key);
    } catch (error) {
      run.find('locks: who waits gets it', `${key} was not had after the heal: ${String(error)}`);
    }
  };
  void unlocked
    .then(() => Promise.all(LOCK_KEYS.map(one)))
    .then(() => {
      isDone = true;
    });
  if (!(await run.cluster.until(() => isDone, 2 * RETURN_LIMIT_MS)))
    run.find('locks: who waits gets it', 'the final locks did not end');
}

/**
 * Its holder was refused, and may hold it all the same on the side that has stayed: one that had not heard of it when it
 * parted could not unlock it, and one that had taken it from its holder speaks for itself alone.
 */
function mayBeHeld({ caller, refusedBy, wasLost, lineage }: Hold, now: string | null): boolean {
  if (!caller.isAlive() || refusedBy === null) return false;
  return refusedBy !== lineage || (wasLost && refusedBy !== now);
}

/** `bySide`: each side of a split is held against itself. */
export function judgeLocks(
  { plan }: Pick<RunContext, 'plan'>,
  { holds, intrusions }: LockLog,
  bySide: boolean,
  isWhole: boolean,
): Finding[] {
  const isKnown = ({ lineage }: { readonly lineage: string | null }) => !bySide || lineage !== null;
  const sideOf = (lineage: string | null) => (bySide ? (lineage as string) : '');
  const held = holds.filter(isKnown).map(
    (hold): Held => ({
      ...hold,
      side: sideOf(hold.lineage),
      ...(bySide ? { refusedBySide: hold.refusedBy } : {}),
      // The session of a member ends when it is removed, which it may not know.
      isCertain: hold.caller.kind !== 'a member' || (isWhole && hold.caller.isAlive()),
    }),
  );
  const written = intrusions.filter(isKnown).flatMap(({ k, caller, entry, lineage }): Intruded[] => {
    const { type, resolution, callMs, retMs } = entry;
    if (type !== 'ok' || resolution !== undefined) return [];
    return [{ k, caller, side: sideOf(lineage), callMs, retMs: retMs as number }];
  });
  const input = { holds: held, intrusions: written, holderMs: HOLDER_MS, drift: plan.drift };
  return checkLocks(input).map((text) => ({ guarantee: 'locks: one holder at a time', text }));
}

export function reachedByLocks(reached: Reached, recorder: Recorder, { holds, deaths }: LockLog): void {
  reached.add(
    'lock that had to wait',
    holds.filter(({ callMs, ackMs }) => ackMs - callMs > WAITED_MS).length,
  );
  reached.add('lock of a client that died', deaths);
  reached.add('lock of an owner', holds.filter(({ isNamed }) => isNamed).length);
  for (const { k, f, type, out, code } of recorder.entries) {
    if (!k.startsWith('lock/')) continue;
    if (f === 'lock' && (code === 'ERR_KEY_LOCKED' || (type === 'ok' && out === null)))
      reached.add('lock that was not had in time');
    if (f === 'unlock' && code === 'ERR_LOCK_LOST') reached.add('lock that was taken from its holder');
  }
}
