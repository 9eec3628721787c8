/**
 * Schedules for interleavings that random ones meet too rarely: each says which fault put in on purpose it finds, and
 * drives a small cluster into exactly the moment at which that fault loses something. The correct code passes every
 * one of them. Run by tests.
 */
import type { PlantedFault, RunOptions, RunResult } from '../run.js';
import { hostAt, keyIn, type Stage, setTheStage } from './stage.js';

export interface DirectedSchedule {
  readonly name: string;
  readonly finds: PlantedFault;
  readonly run: (options: RunOptions) => Promise<RunResult>;
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

/** Waits until a partition that m2 leads has a target that fits, in the eyes of m1, which proposes the views. */
async function partitionOfM2(
  stage: Stage,
  what: string,
  fits: (target: readonly string[], m2: string, m3: string) => boolean,
): Promise<number> {
  let partition = -1;
  await stage.reach(what, () => {
    const view = stage.member('m1').member.node.view;
    const [m2, m3] = [stage.member('m2').member.id, stage.member('m3').member.id];
    const found = view?.table.findIndex(({ replicas }, p) => {
      return replicas[0]?.member === m2 && fits(view.target[p] ?? [], m2, m3);
    });
    partition = found ?? -1;
    return partition >= 0;
  });
  return partition;
}

/** The old primary does not hear of the handover for a while, and goes on with the clients that only know it. */
async function handoverUnheard(options: RunOptions): Promise<RunResult> {
  const stage = await setTheStage({ members: 2, partitionCount: 9, syncBackups: 0 }, options);
  const old = await stage.client('m2');
  stage.run.startMember('m3');
  const partition = await partitionOfM2(
    stage,
    'a partition is to go from m2 to m3',
    ([first], _m2, m3) => first === m3,
  );
  const { replication } = stage.member('m2').member.node;
  const isReady = () => replication.report().ready.some((ready) => ready.partition === partition);
  const key = await keyIn(stage, old, partition);
  await stage.reach('the copy to m3 is complete', isReady);
  stage.fault('hold', 'into:host:m2', 450);
  const isHandedOver = () =>
    stage.member('m3').member.node.view?.table[partition]?.replicas[0]?.member ===
    stage.member('m3').member.id;
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
  const partition = await partitionOfM2(
    stage,
    'a backup is to go from m1 to m3',
    ([first, second], m2, m3) => first === m2 && second === m3,
  );
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
    stage
      .member('m1')
      .member.node.view?.table[partition]?.replicas.every(
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
  {
    name: 'a handover that the old primary does not hear of',
    finds: 'handoverUnconfirmed',
    run: handoverUnheard,
  },
  { name: 'a replica that is called synced and is behind', finds: 'readyUnwaited', run: syncedButBehind },
  { name: 'answers that are lost', finds: 'freshRetryIds', run: answersLost },
];
