/**
 * Schedules for the lease: each says which fault put in on purpose it finds, and drives a small consistent cluster into
 * the moment at which a member that has lost its right to serve would go on. The correct code passes all of them. Run
 * by tests.
 */
import type { SplitFault } from '../split/planted.js';
import type { SplitResult } from '../split/result.js';
import type { SplitRunOptions } from '../split/run.js';
import { type SplitStage, setTheSplitStage } from './split-stage.js';

export interface DirectedSplit {
  readonly name: string;
  readonly finds: SplitFault;
  readonly run: (options: SplitRunOptions) => Promise<SplitResult>;
}

/** Nobody is suspected before the lease is over for long. */
const SLOW_TO_SUSPECT = { heartbeatMs: 100, suspicionMs: 5000, leaseMs: 2000 } as const;
/** A lease lasts through several views. */
const LONG_LEASE = { heartbeatMs: 100, suspicionMs: 5000, leaseMs: 5000 } as const;
/** Slow enough that a story can act between a message and its answer. */
const SLOW_LINKS = { minLatencyMs: 3, meanLatencyMs: 3.2 } as const;
const CUT_MS = 60_000;
/** Of the first call, which may have to wait for what the founding left. */
const FIRST_MS = 9000;

/** Of two that are about to lose each other, the second misses the first one earlier, and leaves it out. */
async function missedFirst(stage: SplitStage, missed: string, by: string): Promise<void> {
  stage.fault('cut', `oneway:${missed}>${by}`, CUT_MS);
  await stage.wait(300);
}

/** A primary is cut off with a client of its own, which reads after the lease and before anybody is suspected. */
async function readAfterLease(options: SplitRunOptions): Promise<SplitResult> {
  const stage = await setTheSplitStage({ ...SLOW_TO_SUSPECT }, options);
  const [primary = ''] = stage.replicas(0);
  const key = stage.keyIn(0);
  const near = await stage.client(primary);
  await stage.succeed(stage.put(near, key, 'before', FIRST_MS));
  stage.fault('cut', `sides:${primary}+${near.host}|rest`, CUT_MS);
  await stage.wait(1000);
  await stage.succeed(stage.get(near, key, 200));
  await stage.wait(1500);
  await stage.settled(stage.get(near, key, 200));
  return stage.finish();
}

/** The side without a majority has become a fork; it is asked for what it holds of a consistent map. */
async function askedInFork(options: SplitRunOptions): Promise<SplitResult> {
  const stage = await setTheSplitStage({}, options);
  const [primary = ''] = stage.replicas(0);
  const key = stage.keyIn(0);
  const near = await stage.client(primary);
  await stage.succeed(stage.put(near, key, 'before', FIRST_MS));
  stage.fault('cut', `sides:${primary}+${near.host}|rest`, CUT_MS);
  await stage.reach('a fork', () => stage.isInFork(primary));
  await stage.wait(500);
  await stage.settled(stage.get(near, key, 1000), stage.put(near, key, 'in a fork', 1000));
  return stage.finish();
}

/**
 * The oldest and the youngest do not hear each other; the third one hears both, accepts a view without the youngest, and
 * does not hear that it was chosen. The youngest was a primary, and its partition has gone to the oldest.
 */
async function acceptedAndUnaware(options: SplitRunOptions): Promise<SplitResult> {
  const plan = { ...SLOW_TO_SUSPECT, link: SLOW_LINKS, partitionCount: 23 };
  const stage = await setTheSplitStage(plan, options);
  const [oldest = '', middle = '', youngest = ''] = stage.byAge();
  const isFit = (hosts: readonly string[]) => hosts[0] === youngest && hosts[1] === oldest;
  const partition = stage.partitionWhere('from the youngest to the oldest', isFit);
  const key = stage.keyIn(partition);
  const [old, fresh] = [await stage.client(youngest), await stage.client(oldest)];
  await stage.succeed(stage.put(old, key, 'before', FIRST_MS));
  await missedFirst(stage, youngest, oldest);
  stage.fault('cut', `sides:${youngest}+${old.host}|${oldest}+${fresh.host}`, CUT_MS);
  // The middle one would pass calls on between the two clients' members, so each client talks to one only.
  await stage.reach('the oldest leaves the youngest out', () => stage.view(oldest)?.members.length === 2);
  stage.fault('hold', `pair:${oldest}:${middle}`, 2900);
  await stage.reach('the oldest serves', () => stage.view(oldest) !== null);
  await stage.wait(2150);
  await stage.succeed(stage.put(fresh, key, 'after', 300));
  await stage.settled(stage.get(old, key, 200));
  return stage.finish();
}

/** Five members; a view without a primary is followed by one without its successor, while its lease still runs. */
async function beginsTwice(options: SplitRunOptions, second: Second): Promise<SplitResult> {
  const plan = { ...LONG_LEASE, members: 5, partitionCount: 23, syncBackups: 2, link: SLOW_LINKS };
  const stage = await setTheSplitStage(plan, options);
  const oldest = stage.byAge()[0] as string;
  const partition = stage.partitionWhere('without the oldest', (hosts) => !hosts.includes(oldest));
  const [primary = '', next = ''] = stage.replicas(partition);
  const key = stage.keyIn(partition);
  const [old, fresh] = [await stage.client(primary), await stage.client(oldest)];
  await stage.succeed(stage.put(old, key, 'before', FIRST_MS));
  await missedFirst(stage, primary, oldest);
  stage.fault('cut', `sides:${primary}|${oldest}`, CUT_MS);
  await stage.reach('the primary is left out', () => stage.view(oldest)?.members.length === 4);
  stage.fault('cut', `sides:${primary}+${old.host}|rest+${fresh.host}`, CUT_MS);
  await second(stage, next, () => stage.view(oldest)?.table[partition]?.replicas[0]?.member);
  const write = stage.put(fresh, key, 'after', 9000);
  // Whoever serves now must not do so before the lease of the first primary is over.
  await stage.wait(300);
  await stage.settled(stage.get(old, key, 200));
  await stage.settled(write);
  return stage.finish();
}

/** Takes the partition from the member that has just become its primary. */
type Second = (stage: SplitStage, host: string, primary: () => string | undefined) => Promise<void>;

/** The successor starts again at once: its place goes to the next one by a further view. */
const startsAgain: Second = async (stage, host, primary) => {
  const { id } = stage.member(host).member;
  await stage.reach('it is the primary', () => primary() === id);
  stage.crash(host);
  stage.run.startMember(host);
  await stage.reach('another primary', () => primary() !== id && primary() !== undefined);
};

/** The successor leaves, and hands over as planned. */
const leaves: Second = async (stage, host, primary) => {
  const { id } = stage.member(host).member;
  await stage.reach('it is the primary', () => primary() === id);
  void stage.run.cluster.leave(host);
  await stage.reach('another primary', () => primary() !== id && primary() !== undefined);
};

export const DIRECTED_LEASES: readonly DirectedSplit[] = [
  { name: 'a read after the lease', finds: 'leaseUnchecked', run: readAfterLease },
  { name: 'a consistent map is asked for in a fork', finds: 'forkServesConsistent', run: askedInFork },
  {
    name: 'an acceptor that does not know what was chosen',
    finds: 'ackAfterAccept',
    run: acceptedAndUnaware,
  },
  {
    name: 'a successor that starts again under the lease before it',
    finds: 'ageWithoutEntry',
    run: (options) => beginsTwice(options, startsAgain),
  },
  {
    name: 'a successor that hands over under the lease before it',
    finds: 'confirmWithoutWait',
    run: (options) => beginsTwice(options, leaves),
  },
];
