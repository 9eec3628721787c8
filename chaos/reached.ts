/**
 * Which states a run reached, with counts: operations that succeeded, what happened inside the members, outcomes
 * that clients saw. A pass proves nothing about a state that was never reached, so a suite fails when no seed
 * reached one of `REQUIRED_STATES`. Filled by the runner, added up by the swarm.
 */
import type { Nemesis } from './nemesis/nemesis.js';
import type { SimCluster } from './sim/cluster.js';
import { ACKS, MAX_DELIVERIES } from './workload/deliveries.js';
import type { Entry } from './workload/recorder.js';

export class Reached {
  readonly counts = new Map<string, number>();

  add(state: string, count = 1): void {
    if (count > 0) this.counts.set(state, (this.counts.get(state) ?? 0) + count);
  }

  addAll(other: Reached): void {
    for (const [state, count] of other.counts) this.add(state, count);
  }

  /** Required states that nobody reached. */
  missing(required: readonly string[]): string[] {
    return required.filter((state) => !this.counts.has(state));
  }

  /** One line a state, by name. */
  format(): string {
    const rows = [...this.counts].sort(([a], [b]) => (a < b ? -1 : 1));
    return rows.map(([state, count]) => `  ${String(count).padStart(8)}  ${state}`).join('\n');
  }
}

const OPERATIONS = {
  'register/': [
    'read',
    'contains',
    'write',
    'put',
    'putIfAbsent',
    'replace',
    'cas',
    'remove',
    'removeIfSame',
  ],
  'counter/': ['get', 'addAndGet', 'getAndAdd', 'incrementAndGet', 'compareAndSet'],
  'bulk/': ['read', 'write', 'remove'],
  'set/': ['write'],
} as const;

/** What the seeds of the crash suite with queues have to reach together, besides. */
export const OF_QUEUES: readonly string[] = ['offer', 'addAll', 'poll', 'drain', 'peek'].map(
  (f) => `ok queue/${f}`,
);

/** The same with items that have to be acknowledged. */
export const OF_ACKS: readonly string[] = [
  ...['offer', 'poll', 'hand', 'ack', 'nack', 'extend'].map((f) => `ok ${ACKS}/${f}`),
  'item that was handed out again',
  'item that was handed out for the last time',
  'acknowledgement that came too late',
];

/** The same with functions of users. */
export const OF_PROCESSORS: readonly string[] = [
  'ok processed/append',
  'ok processed/read',
  'ok counter/addAndGet',
  'error ERR_FUNCTION_FAILED',
];

/** What the seeds of a suite have to reach together. */
export const REQUIRED_STATES: readonly string[] = [
  ...Object.entries(OPERATIONS).flatMap(([prefix, names]) => names.map((f) => `ok ${prefix}${f}`)),
  'ok cas that changed something',
  'ok through a member',
  'ok through one-member routing',
  'overlapped a fault',
  'call refused for certain',
  'call of unknown outcome',
  'resolved as done',
  'resolved as not done',
  'crash',
  'crash of the oldest',
  'two crashes at once',
  'restart',
  'join',
  'leave',
  'pause',
  'hold',
  'cut',
  'delay',
  'loss',
  'reorder',
  'duplicate',
  'promotion',
  'planned handover',
  'new proposer after a crash',
  'stale primary refused',
  'position sent again',
  'repair asked for',
  'position held for its turn',
  'entry levelled at a takeover',
  'migration completed',
  'read that waited',
  'backup that stayed silent',
  'retry sent',
  'retry answered from the window',
];

/** Counts what members and clients say about themselves. */
export function reachedInside(reached: Reached, cluster: SimCluster, retries: number): void {
  for (const { member } of cluster.processes) {
    const { counters } = member.node.replication;
    reached.add('promotion', counters.promotions);
    reached.add('planned handover', counters.handovers);
    reached.add('stale primary refused', counters.staleNacks);
    reached.add('position sent again', counters.resent);
    reached.add('repair asked for', counters.repairs);
    reached.add('position held for its turn', counters.heldEntries);
    reached.add('entry levelled at a takeover', counters.levelledEntries);
    reached.add('migration started', counters.migrationsStarted);
    reached.add('migration completed', counters.migrationsCompleted);
    reached.add('read that waited', counters.waitedReads);
    reached.add('backup that stayed silent', counters.backupTimeouts);
    reached.add('replica copied anew after it diverged', counters.divergent);
    reached.add('retry answered from the window', member.node.executor.replayed);
    retries += member.node.calls.retries;
  }
  reached.add('retry sent', retries);
}

/** Counts the outcomes that clients saw, and which of the operations met a fault. */
export function reachedByCalls(reached: Reached, entries: readonly Entry[], nemesis: Nemesis): void {
  const faults = nemesis.log.filter(({ fromMs }) => fromMs !== null);
  for (const entry of entries) {
    const { k, f, type, out, caller, resolution } = entry;
    const end = entry.retMs ?? entry.deadlineMs;
    if (type === 'ok') {
      reached.add(`ok ${k.slice(0, k.indexOf('/') + 1)}${f}`);
      if ((f === 'cas' || f === 'compareAndSet') && out === true)
        reached.add('ok cas that changed something');
      if (caller.kind !== '') reached.add(`ok through ${caller.kind}`);
      if (f === 'hand') reachedByHandOut(reached, (out as [string?, number?])[1] ?? 0);
      if (f === 'ack' && out === false) reached.add('acknowledgement that came too late');
      const met = faults.some(
        ({ fromMs, toMs }) => (fromMs as number) <= end && (toMs ?? end) >= entry.callMs,
      );
      if (met) reached.add('overlapped a fault');
    }
    if (type === 'fail' && resolution === undefined) reached.add('call refused for certain');
    if (entry.code !== undefined) reached.add(`error ${entry.code}`);
    if (type === 'info' || resolution !== undefined) reached.add('call of unknown outcome');
    if (resolution !== undefined) reached.add(`resolved as ${resolution}`);
  }
}

function reachedByHandOut(reached: Reached, count: number): void {
  if (count > 1) reached.add('item that was handed out again');
  if (count === MAX_DELIVERIES) reached.add('item that was handed out for the last time');
}

export function reachedByFaults(reached: Reached, nemesis: Nemesis): void {
  for (const { fault, met, fromMs } of nemesis.log) {
    if (fromMs === null) {
      reached.add(`${fault.kind} that was not allowed`);
      continue;
    }
    reached.add(fault.kind);
    if (fault.kind !== 'crash') continue;
    if (fault.scope.startsWith('oldest')) reached.add('crash of the oldest');
    if (met.length > 1) reached.add('two crashes at once');
  }
}

/** What the seeds of a run with changing presets have to reach together. */
export const TOGGLE_STATES = [
  'preset changed to PA/EC',
  'preset changed to PA/EL',
  'preset changed to PC/EC',
  'preset changed to PC/EL',
  'window of a strict preset',
  'call judged in a window',
  'key that had to be kept',
  'crash',
  'pause',
  'promotion',
  'ok toggled-register/read',
  'ok toggled-register/cas',
  'ok toggled-set/write',
] as const;
