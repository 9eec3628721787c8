/**
 * Schedules for forks and merges of available structures: some find a fault that was put in on purpose, the others are
 * stories that the correct code has to get right - crashes in the middle of a merge, forks of forks, processes that
 * start again inside a cut. Run by tests.
 */
import type { SplitResult } from '../split/result.js';
import type { SplitRunOptions } from '../split/run.js';
import type { Caller } from '../workload/caller.js';
import type { DirectedSplit } from './directed-leases.js';
import { type SplitStage, setTheSplitStage } from './split-stage.js';

const AVAILABLE = { preset: 'PA/EC' } as const;
const FOR_LONG_MS = 60_000;
const KEYS = 60;
/** Longer than a client takes to see that the members which it followed are silent. */
const CALL_MS = 9000;

async function writeMany(stage: SplitStage, caller: Caller, keys: number, tag: string): Promise<void> {
  const calls = Array.from({ length: keys }, (_, i) => stage.put(caller, `k${i}`, `${tag}.${i}`, CALL_MS));
  await stage.settled(...calls);
}

/** Three and two members with a client each, until the smaller side has become a fork. */
async function halves(
  stage: SplitStage,
): Promise<{ near: Caller; far: Caller; small: string[]; large: string[] }> {
  const [a = '', b = '', ...large] = stage.byAge().reverse();
  const [near, far] = [await stage.client(), await stage.client()];
  await writeMany(stage, far, 5, 'before');
  stage.fault('cut', `sides:${a}+${b}+${near.host}|${large.join('+')}+${far.host}`, FOR_LONG_MS);
  await stage.reach('a fork', () => stage.isInFork(a) && stage.isInFork(b));
  await stage.reach('the rest goes on', () => stage.view(large[0] as string)?.members.length === 3);
  await stage.wait(1500);
  return { near, far, small: [a, b], large };
}

/** Both sides write the same keys; each of them loses some. */
async function bothSidesWrite(options: SplitRunOptions): Promise<SplitResult> {
  const stage = await setTheSplitStage({ ...AVAILABLE, members: 5 }, options);
  const { near, far } = await halves(stage);
  await writeMany(stage, near, KEYS, 'near');
  await writeMany(stage, far, KEYS, 'far');
  return stage.finish();
}

/** What a story goes on with that has added something at a primary which could not answer. */
interface AddedTwice {
  readonly stage: SplitStage;
  readonly client: Caller;
  readonly name: string;
}

/**
 * An addition is applied by a primary that nobody but its client still hears, and which cannot answer; the chain leaves
 * that primary out and applies the retry. When it comes back, it brings an addition that was already counted.
 */
async function addTwice(options: SplitRunOptions): Promise<AddedTwice> {
  const stage = await setTheSplitStage({ ...AVAILABLE, members: 3 }, options);
  const [, , youngest = ''] = stage.byAge();
  const partition = stage.partitionWhere('led by the youngest', ([first]) => first === youngest);
  const client = await stage.client();
  const name = stage.keyIn(partition);
  await stage.succeed(stage.add(client, name, 1));
  stage.fault('cut', `sides:${youngest}|rest`, FOR_LONG_MS);
  stage.fault('cut', `oneway:${youngest}>${client.host}`, FOR_LONG_MS);
  await stage.wait(1);
  await stage.settled(stage.add(client, name, 1000, CALL_MS));
  return { stage, client, name };
}

async function appliedOnBoth(options: SplitRunOptions): Promise<SplitResult> {
  const { stage } = await addTwice(options);
  await stage.wait(1500);
  return stage.finish();
}

/** As before, and the client has long forgotten the call when the primary comes back. */
async function appliedOnBothAndForgotten(options: SplitRunOptions): Promise<SplitResult> {
  const { stage, client, name } = await addTwice(options);
  for (let i = 0; i < 8; i++) {
    await stage.settled(stage.add(client, name, 1, CALL_MS));
    await stage.wait(1000);
  }
  return stage.finish();
}

/** The clock of one side's members goes back by minutes; what it writes is newer all the same. */
async function clockGoesBack(options: SplitRunOptions): Promise<SplitResult> {
  const stage = await setTheSplitStage({ ...AVAILABLE, members: 5 }, options);
  const hosts = stage.byAge().reverse();
  const [near, far] = [await stage.client(), await stage.client()];
  await writeMany(stage, far, KEYS, 'before');
  const [a = '', b = '', ...large] = hosts;
  for (const host of [a, b]) stage.fault('wall', `host:${host}`, 0, -300_000);
  stage.fault('cut', `sides:${a}+${b}+${near.host}|${large.join('+')}+${far.host}`, FOR_LONG_MS);
  await stage.reach('a fork', () => stage.isInFork(a) && stage.isInFork(b));
  await stage.wait(1500);
  await writeMany(stage, near, KEYS, 'near');
  stage.run.nemesis.undo();
  await stage.one();
  return stage.finish();
}

/** All holders of a partition are cut off, and known to live as far as anybody can know. */
async function holdersCutOff(options: SplitRunOptions): Promise<SplitResult> {
  const stage = await setTheSplitStage({ ...AVAILABLE, members: 5, partitionCount: 11 }, options);
  const oldest = stage.byAge()[0] as string;
  const partition = stage.partitionWhere('without the oldest', (hosts) => !hosts.includes(oldest));
  const [a = '', b = ''] = stage.replicas(partition);
  const client = await stage.client();
  const key = stage.keyIn(partition);
  await stage.succeed(stage.put(client, key, key, 2000, 'set'));
  stage.fault('cut', `sides:${a}+${b}|rest+${client.host}`, FOR_LONG_MS);
  await stage.reach('they are left out', () => stage.view(oldest)?.members.length === 3);
  await stage.wait(2000);
  await stage.settled(stage.get(client, key, 1000, 'set'));
  return stage.finish();
}

/** The primary of a source dies while it merges; another holder brings the merge to its end. */
async function crashInMerge(options: SplitRunOptions, whose: 'source' | 'owner'): Promise<SplitResult> {
  const stage = await setTheSplitStage({ ...AVAILABLE, members: 5, link: { meanLatencyMs: 8 } }, options);
  const { near, far, small, large } = await halves(stage);
  await writeMany(stage, near, KEYS, 'near');
  for (let i = 0; i < 6; i++)
    await stage.settled(stage.add(near, `n${i}`, 10, CALL_MS), stage.add(far, `n${i}`, 1, CALL_MS));
  await writeMany(stage, far, KEYS, 'far');
  stage.run.nemesis.undo();
  await stage.reach('leftovers', () => stage.leftovers() > 0);
  stage.crash((whose === 'source' ? small : large)[0] as string);
  return stage.finish();
}

/** The elder of two dies: the younger goes on alone, and takes a new member. */
async function elderDies(options: SplitRunOptions): Promise<SplitResult> {
  const stage = await setTheSplitStage({ ...AVAILABLE, members: 2 }, options);
  const [elder = '', younger = ''] = stage.byAge();
  const client = await stage.client();
  await writeMany(stage, client, KEYS, 'before');
  stage.crash(elder);
  await stage.reach('a fork', () => stage.isInFork(younger));
  await stage.succeed(stage.put(client, 'k0', 'alone', 5000));
  stage.run.nemesis.addMember();
  await stage.one();
  await stage.succeed(stage.put(client, 'k1', 'two again', 5000));
  return stage.finish();
}

/** A fork is cut once more. */
async function forkOfFork(options: SplitRunOptions): Promise<SplitResult> {
  const stage = await setTheSplitStage({ ...AVAILABLE, members: 5 }, options);
  const { near, far, small } = await halves(stage);
  const [a = '', b = ''] = small;
  await writeMany(stage, near, KEYS, 'near');
  const alone = await stage.client(b);
  stage.fault('cut', `sides:${a}+${near.host}|${b}+${alone.host}`, FOR_LONG_MS);
  await stage.reach(
    'both alone',
    () => stage.view(b)?.members.length === 1 && stage.view(a)?.members.length === 1,
  );
  await writeMany(stage, near, 10, 'near again');
  await writeMany(stage, alone, 10, 'alone');
  await writeMany(stage, far, 10, 'far');
  return stage.finish();
}

/** A process starts again inside the cut, at the address of a member that the other side still waits for. */
async function startsInsideCut(options: SplitRunOptions, companions: 0 | 1): Promise<SplitResult> {
  const stage = await setTheSplitStage({ ...AVAILABLE, members: 5 }, options);
  const [a = '', b = '', ...large] = stage.byAge().reverse();
  const side = companions === 0 ? [a] : [a, b];
  const rest = companions === 0 ? [b, ...large] : large;
  const [near, far] = [await stage.client(), await stage.client()];
  await writeMany(stage, far, 20, 'before');
  stage.fault('cut', `sides:${side.join('+')}+${near.host}|${rest.join('+')}+${far.host}`, FOR_LONG_MS);
  await stage.wait(3500);
  await writeMany(stage, near, 20, 'near');
  // Where it is alone, what only it held goes with it: that is not for the ledger.
  if (companions === 0) stage.run.recorder.entries.length = 0;
  stage.crash(a);
  await stage.wait(300);
  stage.run.startMember(a);
  await stage.wait(4000);
  await writeMany(stage, near, 20, 'after the start');
  await writeMany(stage, far, 20, 'far');
  return stage.finish();
}

export const DIRECTED_MERGES: readonly DirectedSplit[] = [
  { name: 'both sides write the same keys', finds: 'mergeDropsLosers', run: bothSidesWrite },
  { name: 'an addition that both sides applied', finds: 'mergeRepeatsCalls', run: appliedOnBoth },
  { name: 'a wall clock that goes back', finds: 'wallClockVersions', run: clockGoesBack },
  { name: 'holders that are cut off', finds: 'goneWhileCut', run: holdersCutOff },
];

export interface SplitStory {
  readonly name: string;
  readonly run: (options: SplitRunOptions) => Promise<SplitResult>;
}

/** What has to go well without any fault put in. */
export const SPLIT_STORIES: readonly SplitStory[] = [
  { name: 'the source of a merge crashes in the middle', run: (options) => crashInMerge(options, 'source') },
  { name: 'the owner crashes in the middle of a merge', run: (options) => crashInMerge(options, 'owner') },
  { name: 'an addition that both sides applied and the client forgot', run: appliedOnBothAndForgotten },
  { name: 'the elder of two dies, and a new member comes', run: elderDies },
  { name: 'a fork of a fork', run: forkOfFork },
  { name: 'a cut-off member starts again beside another one', run: (options) => startsInsideCut(options, 1) },
  { name: 'a cut-off member starts again alone', run: (options) => startsInsideCut(options, 0) },
];
