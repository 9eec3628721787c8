/**
 * `elsegrid start --members N`: N members as processes of their own, one per core. This process starts them, waits
 * until all are in one view, passes signals on, and ends when they have ended.
 * Invariant: no member outlives it, except one that was told to leave and is still handing over.
 */
import type { MemberOptions } from '../config.js';
import { type ChildProcess, type CliContext, CommandError, type ExitCode } from './context.js';
import type { ChildMessage, ChildOrder } from './member-process.js';
import type { StopRequests } from './signals.js';

/** How long the members may take to be in one view. */
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 100;

export interface RunningMember {
  readonly address: string;
  readonly pid: number | undefined;
}

interface Child extends RunningMember {
  readonly process: ChildProcess;
  readonly ended: Promise<string>;
  isEnded: boolean;
}

export interface MembersPlan {
  readonly count: number;
  readonly options: MemberOptions;
  /** The port of the first member was not asked for: take the next free one. */
  readonly searchPort: boolean;
  readonly ready: (members: readonly RunningMember[]) => void;
}

export async function runMembers(
  context: CliContext,
  plan: MembersPlan,
  stop: StopRequests,
): Promise<ExitCode> {
  const processes: ChildProcess[] = [];
  const children: Child[] = [];
  const fork = (order: ChildOrder) => startChild(context, order, processes);
  try {
    const starting = startAll(context, plan, fork, children);
    const stopped = stop.leave.then((): 'stopped' => 'stopped');
    starting.catch(() => {});
    if ((await Promise.race([starting, stopped])) === 'stopped') {
      throw new CommandError('stopped before all members were in the cluster');
    }
  } catch (error) {
    for (const process of processes) process.kill('SIGKILL');
    throw error;
  }
  plan.ready(children.map(({ address, pid }) => ({ address, pid })));
  return supervise(context, children, stop);
}

async function startAll(
  context: CliContext,
  { count, options, searchPort }: MembersPlan,
  fork: (order: ChildOrder) => Promise<Child>,
  children: Child[],
): Promise<void> {
  // Members that join nobody else are the whole cluster. The others never found one: two founded by order would refuse
  // each other.
  const founds = options.founds === true || (options.join ?? []).length === 0;
  const first = await fork({ options: { ...options, founds }, searchPort });
  children.push(first);
  const firstPort = Number(first.address.slice(first.address.lastIndexOf(':') + 1));
  const join = [...new Set([...(options.join ?? []), first.address])];
  const others = Array.from({ length: count - 1 }, (_, index) => {
    const port = options.port === 0 ? 0 : Math.min(65_535, firstPort + 1 + index);
    return fork({ options: { ...options, founds: false, port, join }, searchPort: true });
  });
  children.push(...(await Promise.all(others)));
  const failed = Promise.race(
    children.map(({ address, ended }) => ended.then((how) => `member ${address} ${how}`)),
  );
  await Promise.race([
    inOneView(context, options, children),
    failed.then((reason) => {
      throw new CommandError(`${reason} while the cluster was starting`);
    }),
  ]);
}

function startChild(context: CliContext, order: ChildOrder, processes: ChildProcess[]): Promise<Child> {
  return new Promise((resolve, reject) => {
    const process = context.fork(['member-process']);
    processes.push(process);
    let child: Child | undefined;
    let tellEnd: (how: string) => void = () => {};
    const ended = new Promise<string>((tell) => {
      tellEnd = tell;
    });
    process.onExit((code, signal) => {
      const how = signal === null ? `ended with exit code ${code ?? 'unknown'}` : `was ended by ${signal}`;
      if (child !== undefined) child.isEnded = true;
      tellEnd(how);
      reject(new CommandError(`a member process ${how} before it was ready`));
    });
    process.onMessage((received) => {
      const message = received as ChildMessage;
      if (message.type === 'ask') process.send(order);
      if (message.type === 'failed') reject(new CommandError(message.message, message.exitCode));
      if (message.type !== 'started') return;
      child = { address: message.address, pid: process.pid, process, ended, isEnded: false };
      resolve(child);
    });
  });
}

/** Asks one member until its view has all of them. */
async function inOneView(
  context: CliContext,
  options: MemberOptions,
  children: readonly Child[],
): Promise<void> {
  const addresses = children.map(({ address }) => address);
  const { connect } = await context.grid();
  const client = await connect({
    members: addresses,
    clusterName: options.clusterName,
    connectTimeoutMs: START_TIMEOUT_MS,
  });
  try {
    const deadline = context.now() + START_TIMEOUT_MS;
    for (;;) {
      const { members } = await client.status();
      const missing = addresses.filter((address) => !members.some((member) => member.address === address));
      if (missing.length === 0) return;
      if (context.now() > deadline) {
        throw new CommandError(
          `not in the cluster after ${START_TIMEOUT_MS / 1_000} s: ${missing.join(', ')}`,
        );
      }
      await context.sleep(POLL_MS);
    }
  } finally {
    await client.shutdown();
  }
}

/** Until all have ended: says when one goes, passes the first signal on, and ends all at the second. */
async function supervise(
  context: CliContext,
  children: readonly Child[],
  stop: StopRequests,
): Promise<ExitCode> {
  let leaving = false;
  let failedToLeave = false;
  const all = Promise.all(
    children.map(async (child) => {
      const how = await child.ended;
      if (leaving && how === 'ended with exit code 0') return;
      if (leaving) failedToLeave = true;
      const rest = children.filter(({ isEnded }) => !isEnded).length;
      const others = rest === 0 ? 'none is left' : `${rest} still ${rest === 1 ? 'runs' : 'run'}`;
      context.err(`member ${child.address} (pid ${child.pid}) ${how}; ${others}`);
    }),
  );
  void stop.leave.then(() => {
    leaving = true;
    const left = children.filter(({ isEnded }) => !isEnded).length;
    const who = left === 1 ? '1 member leaves' : `${left} members leave`;
    context.err(`${who}; another Ctrl-C or SIGTERM, after a second, ends what is left at once`);
    for (const { process, isEnded } of children) if (!isEnded) process.kill('SIGTERM');
  });
  void stop.end.then(() => {
    for (const { process, isEnded } of children) if (!isEnded) process.kill('SIGKILL');
  });
  await all;
  return leaving && !failedToLeave ? 0 : 1;
}
