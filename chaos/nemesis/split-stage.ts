/**
 * Helpers of directed schedules with splits: a small cluster without drawn load or faults, on which a story is told in
 * a few words. Invariant: a story that does not come to its moment throws, because then it shows nothing.
 */
import { partitionOfKey } from '../../partitions/placement.js';
import type { View } from '../../src/cluster/view.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { SplitCase } from '../split/case.js';
import type { SplitResult } from '../split/result.js';
import { SplitRun, type SplitRunOptions } from '../split/run.js';
import { leftoversOf, notOneLineage } from '../split/settled.js';
import type { Caller } from '../workload/caller.js';
import { CONTESTED } from '../workload/contested.js';
import type { Entry } from '../workload/recorder.js';
import { CALL_MS, DirectedStage } from './directed-stage.js';

const STEP_LIMIT_MS = 30_000;

function planOf(changes: Partial<SplitCase>): SplitCase {
  return {
    seed: 1,
    profile: 'promised',
    preset: 'PC/EC',
    mergePolicy: 'LatestUpdate',
    members: 3,
    partitionCount: 7,
    timings: 'local',
    suspicionMs: 1000,
    leaseMs: 800,
    heartbeatMs: 100,
    syncBackups: 1,
    asyncBackups: { maps: 0, atomicLongs: 0 },
    minSynced: 0,
    backupTimeoutMs: 5000,
    link: {},
    drift: 0,
    wallOffsetMs: 0,
    clients: [],
    keys: 1,
    counters: 1,
    thinkMs: 10,
    resolveShare: 0,
    durationMs: 0,
    workloads: [],
    rounds: [],
    faults: [],
    ...changes,
  };
}

export class SplitStage extends DirectedStage<SplitResult, SplitRun> {
  constructor(plan: Partial<SplitCase>, options: SplitRunOptions) {
    super(new SplitRun(planOf(plan), options), STEP_LIMIT_MS);
  }

  /** A crash that the story knows to be covered, whatever the rule for drawn ones says. */
  crash(host: string): void {
    this.run.cluster.crash(host);
  }

  view(host: string): View | null {
    return this.member(host).member.node.view;
  }

  isInFork(host: string): boolean {
    const view = this.view(host);
    return view !== null && view.parent !== null;
  }

  leftovers(): number {
    return this.run.cluster.running().reduce((sum, entry) => sum + leftoversOf(entry), 0);
  }

  /** Until all members are one lineage and nothing is left to merge. */
  one(): Promise<void> {
    const { cluster } = this.run;
    return this.reach('one lineage again', () => notOneLineage(cluster, new Set()) === null);
  }

  /** Hosts by age in the view of a running member. */
  byAge(): string[] {
    const view = this.run.cluster.running()[0]?.member.node.view;
    return (view?.members ?? []).map(({ id }) => this.hostOf(id));
  }

  hostOf(id: string | undefined): string {
    return this.run.cluster.running().find(({ member }) => member.id === id)?.host ?? '';
  }

  /** Hosts of the replicas of a partition, the primary first. */
  replicas(partition: number): string[] {
    const view = this.run.cluster.running()[0]?.member.node.view;
    return (view?.table[partition]?.replicas ?? []).map(({ member }) => this.hostOf(member));
  }

  /** A partition whose replicas are on hosts that fit; throws when there is none. */
  partitionWhere(what: string, fits: (hosts: readonly string[]) => boolean): number {
    for (let partition = 0; partition < this.run.plan.partitionCount; partition++)
      if (fits(this.replicas(partition))) return partition;
    throw new Error(`no partition: ${what}`);
  }

  /** A key, or the name of an atomic long, that lies in a partition; another for each number. */
  keyIn(partition: number, number = 0): string {
    let left = number;
    for (let i = 0; ; i++) {
      const key = `x${i}`;
      if (partitionOfKey(encodeKey(key), this.run.plan.partitionCount) !== partition) continue;
      if (left-- === 0) return key;
    }
  }

  put(caller: Caller, key: string, value: string, timeoutMs = CALL_MS, map = this.#map()): Promise<Entry> {
    const proxy = caller.grid.getMap<string, string>(map).with({ timeoutMs });
    const step = { k: `${map}/${key}`, f: 'write', v: value };
    return this.run.recorder.call(caller, step, true, timeoutMs, () => proxy.set(key, value));
  }

  get(caller: Caller, key: string, timeoutMs = CALL_MS, map = this.#map()): Promise<Entry> {
    const proxy = caller.grid.getMap<string, string>(map).with({ timeoutMs });
    const step = { k: `${map === 'set' ? 'readback' : map}/${key}`, f: 'read' };
    const same = (value: unknown) => value ?? null;
    return this.run.recorder.call(caller, step, false, timeoutMs, () => proxy.get(key), same);
  }

  add(caller: Caller, name: string, v: number, timeoutMs = CALL_MS): Promise<Entry> {
    const long = caller.grid.getAtomicLong(name).with({ timeoutMs });
    const step = { k: `counter/${name}`, f: 'addAndGet', v };
    const text = (value: bigint) => value.toString();
    return this.run.recorder.call(caller, step, true, timeoutMs, () => long.addAndGet(v), text);
  }

  #map(): string {
    return this.run.plan.preset === 'PC/EC' ? 'register' : CONTESTED;
  }

  /** Runs until the calls are settled, and throws unless all of them succeeded. */
  async succeed(...calls: readonly Promise<Entry>[]): Promise<void> {
    for (const { type, code, k } of await this.settled(...calls))
      if (type !== 'ok') throw new Error(`a call on ${k} was to succeed: ${code ?? type}`);
  }
}

export function setTheSplitStage(plan: Partial<SplitCase>, options: SplitRunOptions): Promise<SplitStage> {
  return new SplitStage(plan, options).start();
}
