/**
 * Helpers of directed schedules: a small cluster without drawn load or faults, on which a story is told in a few
 * words. Invariant: a story that does not come to its moment throws, because then it shows nothing.
 */
import type { Case } from '../case.js';
import { Run, type RunOptions, type RunResult } from '../run.js';
import type { SimMember } from '../sim/cluster.js';
import type { Caller } from '../workload/caller.js';
import type { Entry } from '../workload/recorder.js';
import { CALL_MS, DirectedStage } from './directed-stage.js';

const STEP_LIMIT_MS = 10_000;

function planOf(changes: Partial<Case>): Case {
  return {
    seed: 1,
    profile: 'promised',
    members: 2,
    partitionCount: 1,
    timings: 'local',
    suspicionMs: 1000,
    syncBackups: 1,
    asyncBackups: { maps: 0, atomicLongs: 0 },
    minSynced: 0,
    backupTimeoutMs: 5000,
    link: {},
    drift: 0,
    clients: [],
    keys: 1,
    counters: 1,
    thinkMs: 10,
    resolveShare: 0,
    durationMs: 0,
    faults: [],
    ...changes,
  };
}

export class Stage extends DirectedStage<RunResult, Run> {
  constructor(plan: Partial<Case>, options: RunOptions) {
    super(new Run(planOf(plan), options), STEP_LIMIT_MS);
  }

  put(caller: Caller, key: string, value: string, timeoutMs = CALL_MS): Promise<Entry> {
    const map = caller.grid.getMap<string, string>('register').with({ timeoutMs });
    const step = { k: `register/${key}`, f: 'write', v: value };
    return this.run.recorder.call(caller, step, true, timeoutMs, () => map.set(key, value));
  }

  get(caller: Caller, key: string, timeoutMs = CALL_MS): Promise<Entry> {
    const map = caller.grid.getMap<string, string>('register').with({ timeoutMs });
    const step = { k: `register/${key}`, f: 'read' };
    return this.run.recorder.call(
      caller,
      step,
      false,
      timeoutMs,
      () => map.get(key),
      (value) => value,
    );
  }
}

export function setTheStage(plan: Partial<Case>, options: RunOptions): Promise<Stage> {
  return new Stage(plan, options).start();
}

/** Host of the primary or a backup of a partition, as the first running member sees it. */
export function hostAt(stage: Stage, partition: number, index: number): string {
  const { cluster } = stage.run;
  const id = cluster.running()[0]?.member.node.view?.table[partition]?.replicas[index]?.member;
  return cluster.running().find(({ member }) => member.id === id)?.host ?? '';
}

/** Names such that the map's key lies in the partition: keys are tried in turn. */
export async function keyIn(stage: Stage, caller: Caller, partition: number): Promise<string> {
  const before = new Map(stage.run.cluster.running().map((entry) => [entry, positions(entry)]));
  for (let i = 0; i < 200; i++) {
    const key = `x${i}`;
    await stage.settled(stage.put(caller, key, 'first'));
    for (const [entry, old] of before) {
      const now = positions(entry);
      if ((now.get(partition) ?? 0) > (old.get(partition) ?? 0)) return key;
    }
  }
  throw new Error(`no key lies in partition ${partition}`);
}

function positions({ member }: SimMember): Map<number, number> {
  return new Map(member.node.replication.status().map(({ partition, seq }) => [partition, seq]));
}
