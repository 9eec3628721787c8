/**
 * The commands against a grid of this file: maps and counters in memory, members that only know each other, and
 * processes that run in this one. Everything that a command prints, sends or kills is recorded.
 */

import type { DistributedObject } from '../../client/core/distributed-objects.js';
import { installStructures } from '../../client/core/grid.js';
import { PortInUseError, SafetyError } from '../../src/base/errors.js';
import type { ChaosOptions, ChaosSummary } from '../../src/cli/chaos-api.js';
import type { ChildProcess, CliContext, ExitCode, ParentChannel } from '../../src/cli/context.js';
import type { GridApi, GridClient, GridMember, ListedMerge } from '../../src/cli/grid-api.js';
import { run } from '../../src/cli/program.js';
import type { ClientOptions } from '../../src/config/client.js';
import { type ExplainWishes, explainStructure } from '../../src/config/explain.js';
import type { MemberOptions } from '../../src/config.js';
import { memberConfig } from '../../src/config.js';
import type { AdminCommand, AdminReply } from '../../src/policy/admin.js';
import type { ExplainedState } from '../../src/policy/explanation.js';
import { type GridStatus, statusFromView } from '../../src/policy/status.js';
import { reportOf, viewOf } from '../policy/views.js';
import { InMemoryInvoker } from '../services/in-memory-invoker.js';

const STATE: ExplainedState = { view: viewOf(3, 1, ['0 1', '1 2', '2 0']) };

type Signal = 'SIGINT' | 'SIGTERM';

interface FakeMember {
  readonly options: MemberOptions;
  readonly address: string;
  /** What became of it. */
  end: 'up' | 'left' | 'terminated' | 'killed';
}

export interface FakeOptions {
  readonly env?: Record<string, string>;
  readonly takenPorts?: readonly number[];
  /** Leaving never ends. */
  readonly leaveHangs?: boolean;
  readonly startFails?: (options: MemberOptions) => Error | undefined;
  readonly connectFails?: Error;
  readonly safe?: boolean;
  readonly cwd?: string;
  /** What a person types when asked; without it nobody is there. */
  readonly answer?: string;
  /** In the place of the status of this file, by the address that a command connects to. */
  readonly statusAt?: (address: string) => GridStatus | Error | undefined;
  readonly adminReply?: AdminReply;
  readonly toggleFails?: Error;
  readonly merges?: readonly ListedMerge[];
  readonly objects?: readonly DistributedObject[];
  /** What explain finds; left out, three members in order that were not asked. */
  readonly state?: ExplainedState;
  readonly chaos?: ChaosSummary;
  readonly chaosFails?: Error;
}

export class FakeCli {
  readonly members: FakeMember[] = [];
  readonly connects: ClientOptions[] = [];
  readonly waits: number[] = [];
  readonly orders: AdminCommand[] = [];
  /** Arguments of changes of presets. */
  readonly toggles: unknown[][] = [];
  readonly questions: string[] = [];
  readonly campaigns: ChaosOptions[] = [];
  /** What the line of progress said, without its last, empty state. */
  readonly progress: string[] = [];
  readonly kills: string[] = [];
  readonly children: FakeChild[] = [];
  openClients = 0;
  out = '';
  err = '';
  nowMs = 0;
  readonly #signals = new Set<(signal: Signal) => void>();
  /** What the commands work on. */
  readonly grid = installStructures({}, new InMemoryInvoker());
  readonly #longs = new Map<string, bigint>();
  readonly #queues = new Map<string, unknown[]>();
  /** How long calls of queues would have waited. */
  readonly queueWaits: number[] = [];
  readonly #options: FakeOptions;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
  }

  /** Runs a command line; the output of earlier ones is forgotten. */
  async run(...args: string[]): Promise<{ exitCode: ExitCode; out: string; err: string }> {
    this.out = '';
    this.err = '';
    const exitCode = await run(args, this.context());
    return { exitCode, out: this.out, err: this.err };
  }

  signal(signal: Signal): void {
    for (const listener of [...this.#signals]) listener(signal);
  }

  /** Waits until something has happened; the tests' own time limit ends a wait for what never does. */
  async until(happened: () => boolean): Promise<void> {
    while (!happened()) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  context(parent?: ParentChannel, signals = this.#signals): CliContext {
    return {
      out: (text) => {
        this.out += `${text}\n`;
      },
      err: (text) => {
        this.err += `${text}\n`;
      },
      env: this.#options.env ?? {},
      cwd: this.#options.cwd ?? '/project',
      version: '1.2.3',
      grid: () => Promise.resolve(this.#api()),
      chaos: () => Promise.resolve({ chaosRun: (options) => this.#chaosRun(options) }),
      ask: async (question) => {
        this.questions.push(question);
        return this.#options.answer ?? null;
      },
      progress: (text) => {
        if (text !== '') this.progress.push(text);
      },
      fork: (args) => this.#fork(args),
      onSignal: (listener) => {
        signals.add(listener);
        return () => signals.delete(listener);
      },
      parent,
      now: () => this.nowMs,
      sleep: () => new Promise((resolve) => setTimeout(resolve, 1)),
    };
  }

  #api(): GridApi {
    return {
      startMember: async (options) => this.#startMember(options),
      connect: async (options) => {
        if (this.#options.connectFails !== undefined) throw this.#options.connectFails;
        this.connects.push(options);
        const status = this.#options.statusAt?.(options.members[0] ?? '');
        if (status instanceof Error) throw status;
        this.openClients++;
        return this.#client(status);
      },
    };
  }

  #startMember(options: MemberOptions): GridMember {
    const failure = this.#options.startFails?.(options);
    if (failure !== undefined) throw failure;
    const { host, port } = memberConfig(options);
    const taken = (this.#options.takenPorts ?? []).includes(port);
    if (taken || this.members.some(({ address }) => address.endsWith(`:${port}`))) {
      throw new PortInUseError(`port ${port} of ${host} is taken`);
    }
    const address = `${host}:${port === 0 ? 40_000 + this.members.length : port}`;
    const member: FakeMember = { options, address, end: 'up' };
    this.members.push(member);
    return {
      address,
      shutdown: async () => {
        if (this.#options.leaveHangs) await new Promise(() => {});
        member.end = 'left';
      },
      terminate: () => {
        member.end = 'terminated';
      },
    };
  }

  async #chaosRun(options: ChaosOptions): Promise<ChaosSummary> {
    this.campaigns.push(options);
    options.onProgress?.({ done: 1, seeds: options.seeds, failed: 0 });
    options.onProgress?.({ done: options.seeds, seeds: options.seeds, failed: 1 });
    if (this.#options.chaosFails !== undefined) throw this.#options.chaosFails;
    if (this.#options.chaos === undefined) throw new Error('this test runs no campaign');
    return this.#options.chaos;
  }

  #client(status?: GridStatus): GridClient {
    const client = {
      getMap: (name: string) => this.grid.getMap(name),
      getMultiMap: (name: string) => this.grid.getMultiMap(name),
      getAtomicLong: (name: string) => this.#long(name),
      getQueue: (name: string) => this.#queue(name),
      status: async () => status ?? this.status(),
      admin: async (command: AdminCommand) => {
        this.orders.push(command);
        return this.#options.adminReply ?? { ok: true, text: 'done', details: {} };
      },
      consistency: async () => [
        { service: null, pattern: '*', preset: 'PA/EC' },
        { service: 'map', pattern: 'cache-*', preset: 'PA/EL' },
        { service: 'atomicLong', pattern: 'visits', preset: 'PC/EC' },
      ],
      setConsistency: async (...args: unknown[]) => {
        this.toggles.push(args);
        if (this.#options.toggleFails !== undefined) throw this.#options.toggleFails;
        return { text: `${String(args[1])} holds everywhere`, lineage: 'l', view: 7 };
      },
      merges: async () => this.#options.merges ?? [],
      getDistributedObjects: async () => this.#options.objects ?? [],
      waitUntilSafe: async ({ timeoutMs }: { timeoutMs: number }) => {
        this.waits.push(timeoutMs);
        if (this.#options.safe === false) throw new SafetyError('not safe after 5 s: 1 replica is syncing');
      },
      explain: async (service: string, name: string, wishes?: ExplainWishes) =>
        explainStructure(service, name, [], this.#options.state ?? STATE, wishes),
      shutdown: async () => {
        this.openClients--;
      },
    };
    return client as unknown as GridClient;
  }

  status(): GridStatus {
    if (this.members.length === 0) {
      return statusFromView(
        'dev',
        viewOf(3, 1, ['0 1', '1 2?', '2 0']),
        new Map([
          ['m0', reportOf(['m0', 'm1'], { entries: 3, sizeBytes: 2_048, leaseMs: 1_800.4 })],
          [
            'm1',
            reportOf(['m0', 'm1'], {
              entries: 1,
              sizeBytes: 512,
              migrations: [{ partition: 1, to: 'm2', copiedBytes: 1_024, totalBytes: 4_096 }],
            }),
          ],
        ]),
      );
    }
    const view = viewOf(this.members.length, 0, ['0']);
    const members = view.members.map((member, i) => ({ ...member, address: this.members[i]!.address }));
    return statusFromView('dev', { ...view, members });
  }

  #long(name: string) {
    const get = () => this.#longs.get(name) ?? 0n;
    const set = (value: bigint) => {
      this.#longs.set(name, value);
      return value;
    };
    return {
      get: async () => get(),
      set: async (value: bigint) => void set(value),
      addAndGet: async (delta: bigint) => set(get() + delta),
      incrementAndGet: async () => set(get() + 1n),
      decrementAndGet: async () => set(get() - 1n),
      compareAndSet: async (expected: bigint, value: bigint) => get() === expected && set(value) === value,
    };
  }

  #queue(name: string) {
    const items = this.#queues.get(name) ?? [];
    this.#queues.set(name, items);
    const at = (item: unknown) => items.findIndex((each) => JSON.stringify(each) === JSON.stringify(item));
    return {
      offer: async (item: unknown, waitMs: number) => {
        this.queueWaits.push(waitMs);
        return items.push(item) > 0;
      },
      poll: async (waitMs: number) => {
        this.queueWaits.push(waitMs);
        return items.shift() ?? null;
      },
      peek: async () => items[0] ?? null,
      drainTo: async (into: unknown[]) => into.push(...items.splice(0)),
      toArray: async () => [...items],
      size: async () => items.length,
      inFlight: async () => 0,
      contains: async (item: unknown) => at(item) >= 0,
      remove: async (item: unknown) => at(item) >= 0 && items.splice(at(item), 1).length > 0,
      clear: async () => void items.splice(0),
    };
  }

  #fork(args: readonly string[]): ChildProcess {
    const child = new FakeChild(this, args, 1_000 + this.children.length);
    this.children.push(child);
    return child;
  }
}

/** A process that runs in this one; messages are copied as JSON, as between processes. */
export class FakeChild implements ChildProcess {
  readonly pid: number;
  readonly #cli: FakeCli;
  readonly #fromChild: ((message: unknown) => void)[] = [];
  readonly #toChild: ((message: unknown) => void)[] = [];
  readonly #exits: ((code: number | null, signal: string | null) => void)[] = [];
  readonly #signals = new Set<(signal: Signal) => void>();
  #gone: () => void = () => {};
  #ended = false;
  member: FakeMember | undefined;

  constructor(cli: FakeCli, args: readonly string[], pid: number) {
    this.#cli = cli;
    this.pid = pid;
    const before = cli.members.length;
    const copy = (message: unknown) => JSON.parse(JSON.stringify(message)) as unknown;
    const parent: ParentChannel = {
      send: (message) => {
        const { address } = copy(message) as { address?: string };
        this.member ??= cli.members.slice(before).find((member) => member.address === address);
        for (const listener of this.#fromChild) listener(copy(message));
      },
      onMessage: (listener) => this.#toChild.push(listener),
      onGone: (listener) => {
        this.#gone = listener;
      },
      close: () => {},
    };
    setTimeout(() => {
      void run(args, cli.context(parent, this.#signals)).then((code) => this.#exit(code, null));
    }, 0);
  }

  send(message: unknown): void {
    const text = JSON.stringify(message);
    setTimeout(() => {
      for (const listener of this.#toChild) listener(JSON.parse(text));
    }, 0);
  }

  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#cli.kills.push(`${this.pid} ${signal}`);
    if (signal === 'SIGTERM') for (const listener of [...this.#signals]) listener('SIGTERM');
    else this.crash();
  }

  crash(): void {
    if (this.member !== undefined) this.member.end = 'killed';
    this.#exit(null, 'SIGKILL');
  }

  interrupt(): void {
    for (const listener of [...this.#signals]) listener('SIGINT');
  }

  parentEnds(): void {
    this.#gone();
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#fromChild.push(listener);
  }

  onExit(listener: (code: number | null, signal: string | null) => void): void {
    this.#exits.push(listener);
  }

  #exit(code: number | null, signal: string | null): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const listener of this.#exits) listener(code, signal);
  }
}
