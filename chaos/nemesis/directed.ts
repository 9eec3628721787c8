/**
 * Schedules for interleavings that random ones meet too rarely: each says which fault put in on purpose it finds, and
 * drives a small cluster into exactly the moment at which that fault loses something. The correct code passes every
 * one of them. Run by tests.
 */
import type { Case } from '../case.js';
import { type PlantedFault, Run, type RunOptions, type RunResult } from '../run.js';
import type { SimMember } from '../sim/cluster.js';
import type { Caller } from '../workload/caller.js';
import type { Entry } from '../workload/recorder.js';
import type { FaultKind } from './fault.js';

export interface DirectedSchedule {
  readonly name: string;
  readonly finds: PlantedFault;
  readonly run: (options: RunOptions) => Promise<RunResult>;
}

const CALL_MS = 400;
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

/** Writes the story of one schedule in a few words. */
class Stage {
  readonly run: Run;

  constructor(plan: Partial<Case>, options: RunOptions) {
    this.run = new Run(planOf(plan), options);
  }

  async client(...hosts: string[]): Promise<Caller> {
    const members = hosts.length === 0 ? {} : { members: hosts.map((host) => `${host}:5701`) };
    const caller = this.run.workload.clientCaller({ routing: hosts.length === 0 ? 'all' : 'single', ...members });
    let isReady = false;
    void caller.ready.then(() => {
      isReady = true;
    });
    await this.reach('a client connects', () => isReady);
    return caller;
  }

  /** A schedule that does not come to its moment shows nothing, so that is an error and not a pass. */
  async reach(what: string, condition: () => boolean): Promise<void> {
    if (!(await this.run.until(condition, STEP_LIMIT_MS, 0.5))) throw new Error(`never reached: ${what}`);
  }

  fault(kind: FaultKind, scope: string, durationMs = 0): void {
    this.run.nemesis.schedule([{ atMs: 0, kind, scope, durationMs }]);
  }

  wait(ms: number): Promise<void> {
    return this.run.cluster.scheduler.runFor(ms);
  }

  member(host: string): SimMember {
    return this.run.cluster.members.get(host) as SimMember;
  }

  put(caller: Caller, key: string, value: string, timeoutMs = CALL_MS): Promise<Entry> {
    const map = caller.grid.getMap<string, string>('register').with({ timeoutMs });
    const step = { k: `register/${key}`, f: 'write', v: value };
    return this.run.recorder.call(caller, step, true, timeoutMs, () => map.set(key, value));
  }

  get(caller: Caller, key: string, timeoutMs = CALL_MS): Promise<Entry> {
    const map = caller.grid.getMap<string, string>('register').with({ timeoutMs });
    const step = { k: `register/${key}`, f: 'read' };
    return this.run.recorder.call(caller, step, false, timeoutMs, () => map.get(key), (value) => value);
  }

  /** Runs until the calls are settled. */
  async settled(...calls: readonly Promise<Entry>[]): Promise<void> {
    let open = calls.length;
    for (const call of calls) void call.then(() => open--);
    await this.reach('the calls end', () => open === 0);
  }

  async finish(): Promise<RunResult> {
    const result = await this.run.finish();
    await this.run.cluster.shutdown();
    return result;
  }
}

async function setTheStage(plan: Partial<Case>, options: RunOptions): Promise<Stage> {
  const stage = new Stage(plan, options);
  if (!(await stage.run.start())) throw new Error('the cluster did not start');
  return stage;
}

/** Host of the primary or a backup of a partition, as the first running member sees it. */
function hostAt(stage: Stage, partition: number, index: number): string {
  const { cluster } = stage.run;
  const id = cluster.running()[0]?.member.node.view?.table[partition]?.replicas[index]?.member;
  return cluster.running().find(({ member }) => member.id === id)?.host ?? '';
}

/** Names such that the map's key lies in the partition: keys are tried in turn. */
async function keyIn(stage: Stage, caller: Caller, partition: number): Promise<string> {
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

/** A position is lost on its way, the next one arrives; then the primary dies before it is asked for the gap. */
async function gapBeforeCrash(options: RunOptions): Promise<RunResult> {
  const stage = await setTheStage({ members: 3 }, options);
  const client = await stage.client();
  const [primary, backup] = [hostAt(stage, 0, 0), hostAt(stage, 0, 1)];
  await stage.settled(stage.put(client, 'a', '1'), stage.put(client, 'b', '1'));
  stage.fault('cut', `pair:${primary}:${backup}`, 10);
  await stage.wait(1);
  const first = stage.put(client, 'a', '2');
  await stage.wait(12);
  const second = stage.put(client, 'b', '2');
  await stage.wait(8);
  stage.fault('crash', `host:${primary}`);
  await stage.settled(first, second);
  return stage.finish();
}

/** A value is read while its write still waits for the backup; then the primary dies and the value with it. */
async function readBesideWaitingWrite(options: RunOptions): Promise<RunResult> {
  const stage = await setTheStage({ members: 3 }, options);
  const [writer, reader] = [await stage.client(), await stage.client()];
  const [primary, backup] = [hostAt(stage, 0, 0), hostAt(stage, 0, 1)];
  await stage.settled(stage.put(writer, 'a', '1'));
  stage.fault('cut', `pair:${primary}:${backup}`, 300);
  await stage.wait(1);
  const write = stage.put(writer, 'a', '2', 150);
  await stage.wait(5);
  const read = stage.get(reader, 'a', 150);
  await stage.settled(write, read);
  stage.fault('crash', `host:${primary}`);
  const after = stage.get(reader, 'a', 8000);
  await stage.settled(after);
  return stage.finish();
}

/** The old primary does not hear of the handover for a while, and goes on with the clients that only know it. */
async function handoverUnheard(options: RunOptions): Promise<RunResult> {
  const stage = await setTheStage({ members: 2, partitionCount: 9, syncBackups: 0 }, options);
  const old = await stage.client('m2');
  stage.run.startMember('m3');
  // A partition that goes from m2 to m3; m1, the oldest, proposes the views.
  let partition = -1;
  const target = () => {
    const view = stage.member('m1').member.node.view;
    const [m2, m3] = [stage.member('m2').member.id, stage.member('m3').member.id];
    partition = view?.table.findIndex(
      ({ replicas }, p) => replicas[0]?.member === m2 && view.target[p]?.[0] === m3,
    ) ?? -1;
    return partition >= 0;
  };
  await stage.reach('a partition is to go from m2 to m3', target);
  const { replication } = stage.member('m2').member.node;
  const isReady = () => replication.report().ready.some((ready) => ready.partition === partition);
  const key = await keyIn(stage, old, partition);
  await stage.reach('the copy to m3 is complete', isReady);
  stage.fault('hold', 'into:host:m2', 450);
  const isHandedOver = () =>
    stage.member('m3').member.node.view?.table[partition]?.replicas[0]?.member === stage.member('m3').member.id;
  await stage.reach('m3 is to take over', isHandedOver);
  const fresh = await stage.client('m3');
  await stage.settled(stage.put(old, key, 'late', 200));
  await stage.settled(stage.get(fresh, key, 200));
  return stage.finish();
}

/** A copy is complete, its stream is cut, and the view that calls it synced is followed by a crash of the primary. */
async function syncedButBehind(options: RunOptions): Promise<RunResult> {
  const stage = await setTheStage({ members: 2, partitionCount: 11, syncBackups: 1 }, options);
  const client = await stage.client('m2');
  stage.run.startMember('m3');
  let partition = -1;
  const target = () => {
    const view = stage.member('m1').member.node.view;
    const [m2, m3] = [stage.member('m2').member.id, stage.member('m3').member.id];
    partition = view?.table.findIndex(
      ({ replicas }, p) =>
        replicas[0]?.member === m2 && view.target[p]?.[0] === m2 && view.target[p]?.[1] === m3,
    ) ?? -1;
    return partition >= 0;
  };
  await stage.reach('a backup is to go from m1 to m3', target);
  const key = await keyIn(stage, client, partition);
  const { replication } = stage.member('m2').member.node;
  const isReady = () => replication.report().ready.some((ready) => ready.partition === partition);
  await stage.reach('the copy to m3 is complete', isReady);
  // The report travels in the same moment; only then is the way to m3 cut.
  await stage.wait(2);
  stage.fault('cut', 'pair:m2:m3', 500);
  await stage.wait(0.1);
  await stage.settled(stage.put(client, key, 'second', 200));
  const isAdopted = () =>
    stage.member('m1').member.node.view?.table[partition]?.replicas.every(
      ({ member }) => member !== stage.member('m1').member.id,
    ) === true;
  await stage.reach('the view without the old backup', isAdopted);
  stage.fault('crash', 'host:m2');
  await stage.wait(1);
  return stage.finish();
}

/** The answers do not come back for some seconds, so the call is sent several times. */
async function answersLost(options: RunOptions): Promise<RunResult> {
  const stage = await setTheStage({ members: 2 }, options);
  const client = await stage.client();
  const primary = hostAt(stage, 0, 0);
  stage.fault('cut', `pair:${primary}:c1`, 2500);
  await stage.wait(1);
  const timeoutMs = 9000;
  const long = client.grid.getAtomicLong('n').with({ timeoutMs });
  const step = { k: 'counter/n', f: 'addAndGet', v: 1 };
  const text = (value: bigint) => value.toString();
  await stage.settled(stage.run.recorder.call(client, step, true, timeoutMs, () => long.addAndGet(1), text));
  return stage.finish();
}

export const DIRECTED: readonly DirectedSchedule[] = [
  { name: 'a gap before a crash', finds: 'ackBeforeApply', run: gapBeforeCrash },
  { name: 'a read beside a write that waits', finds: 'readsDoNotWait', run: readBesideWaitingWrite },
  { name: 'a handover that the old primary does not hear of', finds: 'handoverUnconfirmed', run: handoverUnheard },
  { name: 'a replica that is called synced and is behind', finds: 'readyUnwaited', run: syncedButBehind },
  { name: 'answers that are lost', finds: 'freshRetryIds', run: answersLost },
];
