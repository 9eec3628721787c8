/**
 * Directed schedules for what the swarm once found in the product: each leads to the moment at which it went wrong.
 * Run by tests; all of them pass.
 */
import type { RunOptions, RunResult } from '../run.js';
import { hostAt, setTheStage } from './stage.js';

export interface RegressionSchedule {
  /** What went wrong. */
  readonly name: string;
  readonly run: (options: RunOptions) => Promise<RunResult>;
}

/** The second copy of a conditional write arrives after its answer, and after things have changed. */
async function conditionalWriteTwice(options: RunOptions): Promise<RunResult> {
  const stage = await setTheStage({ members: 2 }, options);
  const [client, other] = [await stage.client(), await stage.client()];
  const primary = hostAt(stage, 0, 0);
  stage.fault('hold', `pair:${primary}:c1`, 2150);
  await stage.wait(1);
  const map = client.grid.getMap<string, string>('register').with({ timeoutMs: 6000 });
  const step = { k: 'register/a', f: 'replace', v: 'replaced' };
  const replace = () => map.replace('a', 'replaced');
  const conditional = stage.run.recorder.call(client, step, true, 6000, replace, (old) => old);
  await stage.wait(1900);
  stage.fault('hold', `pair:c1:${primary}`, 600);
  await stage.settled(conditional);
  await stage.settled(stage.put(other, 'a', 'put'));
  await stage.wait(700);
  await stage.settled(stage.get(other, 'a'));
  return stage.finish();
}

/** A process starts again while its first words to everyone are lost; then members of the cluster call it. */
async function startUnheard(options: RunOptions): Promise<RunResult> {
  const stage = await setTheStage({ members: 4 }, options);
  stage.fault('crash', 'host:m4');
  await stage.wait(50);
  for (const host of ['m1', 'm2', 'm3']) stage.fault('cut', `pair:m4:${host}`, 50);
  await stage.wait(1);
  stage.run.startMember('m4');
  await stage.wait(4000);
  return stage.finish();
}

/** One member misses the heartbeats of another one a little before the rest does, because that one dies. */
async function missedUnevenly(options: RunOptions): Promise<RunResult> {
  const stage = await setTheStage({ members: 5 }, options);
  stage.fault('cut', 'pair:m2:m4', 400);
  await stage.wait(390);
  stage.fault('crash', 'host:m2');
  await stage.wait(3000);
  return stage.finish();
}

/** The answers to many calls on one connection are lost at the same time. */
async function manyAnswersLost(options: RunOptions): Promise<RunResult> {
  const stage = await setTheStage({ members: 2 }, options);
  const client = await stage.client();
  stage.fault('cut', `pair:${hostAt(stage, 0, 0)}:c1`, 50);
  await stage.wait(1);
  const calls = Array.from({ length: 10 }, (_, i) => stage.put(client, `k${i}`, 'value', 5000));
  await stage.settled(...calls);
  const late = stage.run.recorder.entries.filter(({ type }) => type !== 'ok');
  if (late.length > 0) stage.run.find('calls are sent again', `${late.length} of 10 calls did not succeed`);
  return stage.finish();
}

export const REGRESSIONS: readonly RegressionSchedule[] = [
  {
    name: 'a conditional write that changed nothing was applied again by its second copy',
    run: conditionalWriteTwice,
  },
  { name: 'a process founded a cluster of its own although members of one had called it', run: startUnheard },
  { name: 'the member that missed a crashed one first was removed with it', run: missedUnevenly },
  { name: 'of several calls that were due again, one at a time was sent', run: manyAnswersLost },
];
