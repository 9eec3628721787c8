/**
 * Members as real processes on this machine: started, killed with SIGKILL, and all gone in the end. The
 * demonstration and the tests with real processes use it.
 * Invariant: it signals only processes that it started itself, each through its own handle.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { MemberOptions } from '../src/index.js';
import type { News, Order, Roles } from './member-process.js';

export interface ProcessMember {
  /** `host:port` */
  readonly address: string;
  /** UUID of the member in the cluster. */
  readonly id: string;
  readonly pid: number;
  readonly ended: Promise<void>;
}

interface Running extends ProcessMember {
  readonly process: ChildProcess;
}

export class MemberProcesses implements AsyncDisposable {
  /** In the order of their start, so the oldest is the first; those that were killed stay. */
  readonly members: ProcessMember[] = [];
  readonly #running = new Map<ProcessMember, Running>();
  readonly #script: URL;
  readonly #options: MemberOptions;

  /** `script` is `member-process.js`, compiled. `options` are those of every member. */
  constructor(script: URL, options: MemberOptions) {
    this.#script = script;
    this.#options = options;
  }

  /** Of the members that run. */
  get addresses(): string[] {
    return [...this.#running.values()].map((member) => member.address);
  }

  /** Starts `count` members, the first one first, and resolves when all are in the cluster. */
  async start(count: number): Promise<void> {
    await this.add();
    await Promise.all(Array.from({ length: count - 1 }, () => this.add()));
  }

  /** Starts one more member that joins those that run. `own`: what it has differently from the others. */
  add(own: MemberOptions = {}): Promise<ProcessMember> {
    const options = { ...this.#options, port: 0, join: this.addresses, ...own };
    const child = fork(this.#script, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      void ended.then(() => reject(new Error('a member process ended before it was ready')));
      child.once('message', (news: News) => {
        if (news.type !== 'started') {
          child.kill('SIGKILL');
          reject(new Error(news.type === 'failed' ? news.message : 'a member process said nothing useful'));
          return;
        }
        const { address, id } = news;
        const member: Running = { address, id, pid: child.pid as number, ended, process: child };
        this.members.push(member);
        this.#running.set(member, member);
        void ended.then(() => this.#running.delete(member));
        resolve(member);
      });
      send(child, { type: 'start', options });
    });
  }

  /** The partitions whose primary and whose backup a member is now, as it knows. */
  async roles(member: ProcessMember): Promise<Roles> {
    const { process } = this.#running.get(member) as Running;
    const answer = new Promise<Roles>((resolve) => {
      process.once('message', (news: News) => {
        if (news.type === 'roles') resolve(news.roles);
      });
    });
    send(process, { type: 'roles' });
    return answer;
  }

  /** Kills a member with SIGKILL: no goodbye, no handing over. Resolves when the process is gone. */
  async kill(member: ProcessMember): Promise<void> {
    this.#running.get(member)?.process.kill('SIGKILL');
    await member.ended;
  }

  /** A graceful leave: the member hands over its data first. */
  async leave(member: ProcessMember): Promise<void> {
    const running = this.#running.get(member);
    if (running !== undefined) send(running.process, { type: 'leave' });
    await member.ended;
  }

  /** Ends all that still run. */
  async stop(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((member) => this.kill(member)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function send(child: ChildProcess, order: Order): void {
  child.send(order);
}
