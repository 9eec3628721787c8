/**
 * What the stages of all suites have in common: a small cluster without drawn load or faults, on which a story is told
 * in a few words. Invariant: a story that does not come to its moment throws, because then it shows nothing.
 */
import type { SimCluster, SimMember } from '../sim/cluster.js';
import type { Caller } from '../workload/caller.js';
import type { Entry } from '../workload/recorder.js';
import type { Workload } from '../workload/workload.js';
import type { FaultKind } from './fault.js';
import type { Nemesis } from './nemesis.js';

/** How long a call of a story may take, where nothing else is said. */
export const CALL_MS = 400;

/** A run as a stage needs it. */
interface StagedRun<T> {
  readonly cluster: SimCluster;
  readonly nemesis: Nemesis;
  readonly workload: Workload;
  start(): Promise<boolean>;
  finish(): Promise<T>;
}

export abstract class DirectedStage<T, R extends StagedRun<T>> {
  readonly run: R;
  readonly #stepLimitMs: number;

  constructor(run: R, stepLimitMs: number) {
    this.run = run;
    this.#stepLimitMs = stepLimitMs;
  }

  async start(): Promise<this> {
    if (!(await this.run.start())) throw new Error('the cluster did not start');
    return this;
  }

  /** With hosts: a client that knows these only, and talks to one of them. */
  async client(...hosts: string[]): Promise<Caller> {
    const members = hosts.length === 0 ? {} : { members: hosts.map((host) => `${host}:5701`) };
    const caller = this.run.workload.clientCaller({
      routing: hosts.length === 0 ? 'all' : 'single',
      ...members,
    });
    let isReady = false;
    void caller.ready.then(() => {
      isReady = true;
    });
    await this.reach('a client connects', () => isReady);
    return caller;
  }

  /** Runs until the condition holds, or throws. */
  async reach(what: string, condition: () => boolean, limitMs = this.#stepLimitMs): Promise<void> {
    if (!(await this.run.cluster.until(condition, limitMs, 0.5))) throw new Error(`never reached: ${what}`);
  }

  fault(kind: FaultKind, scope: string, durationMs = 0, amount?: number): void {
    const size = amount === undefined ? {} : { amount };
    this.run.nemesis.schedule([{ atMs: 0, kind, scope, durationMs, ...size }]);
  }

  wait(ms: number): Promise<void> {
    return this.run.cluster.scheduler.runFor(ms);
  }

  member(host: string): SimMember {
    return this.run.cluster.members.get(host) as SimMember;
  }

  /** Runs until the calls are settled. */
  async settled(...calls: readonly Promise<Entry>[]): Promise<Entry[]> {
    const done: Entry[] = [];
    for (const call of calls) void call.then((entry) => done.push(entry));
    await this.reach('the calls end', () => done.length === calls.length);
    return done;
  }

  async finish(): Promise<T> {
    const result = await this.run.finish();
    await this.run.cluster.shutdown();
    return result;
  }
}
