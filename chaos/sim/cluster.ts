/**
 * A whole cluster with clients in one process under virtual time, from one seed. Members and clients are built by
 * the production composition roots; only the four ports differ. Used by tests and chaos runs.
 */
import { Client } from '../../client/api.js';
import type { ClientFaults } from '../../client/client.js';
import type { Logger, LogLevel, Ports } from '../../src/base/ports.js';
import { SeededRandom } from '../../src/base/random.js';
import { type ClientOptions, clientConfig } from '../../src/config/client.js';
import { type MemberOptions, memberConfig } from '../../src/config.js';
import { Member } from '../../src/member/member.js';
import type { NodeFaults } from '../../src/member/parts.js';
import { ModuleRegistry } from '../../src/member/registry.js';
import { Journal } from './journal.js';
import type { LinkOptions } from './link.js';
import { SimNetwork } from './network.js';
import { Scheduler, SimClock } from './virtual-clock.js';

export interface SimClusterOptions {
  readonly seed: number;
  /** Default: one of its own. */
  readonly scheduler?: Scheduler;
  readonly member?: Partial<MemberOptions>;
  readonly client?: Partial<ClientOptions>;
  readonly link?: Partial<LinkOptions>;
  readonly keepLines?: boolean;
  /** Registers functions at each member, before it starts. */
  readonly register?: (
    registry: ModuleRegistry,
    host: string,
    isAlive: () => boolean,
    clock: SimClock,
  ) => void;
  readonly memberFaults?: NodeFaults;
  readonly clientFaults?: ClientFaults;
  /** Clocks run up to this much faster or slower: 0.02 is 2 %. */
  readonly drift?: number;
  /** Wall clocks are up to this much off at the start. */
  readonly wallOffsetMs?: number;
}

export interface SimMember {
  readonly host: string;
  readonly member: Member;
  readonly clock: SimClock;
  /** The start, for whoever wants to wait; never rejects. */
  readonly started: Promise<Error | null>;
  state: 'running' | 'crashed' | 'left';
  /** It was asked to leave, and may still be there. */
  isLeaving: boolean;
}

const PORT = 5701;
/** How often a condition is asked for that nobody waits for more closely. */
const POLL_MS = 20;

export class SimCluster {
  readonly scheduler: Scheduler;
  readonly journal: Journal;
  readonly network: SimNetwork;
  readonly random: SeededRandom;
  /** The latest process of each host. */
  readonly members = new Map<string, SimMember>();
  /** Every process of a member that was ever started. */
  readonly processes: SimMember[] = [];
  readonly clients: Client[] = [];
  readonly clientHosts: string[] = [];
  readonly #options: SimClusterOptions;
  readonly logs: string[] = [];
  #restarts = 0;

  constructor(options: SimClusterOptions) {
    this.#options = options;
    this.scheduler = options.scheduler ?? new Scheduler();
    this.random = new SeededRandom(options.seed, 'cluster');
    this.journal = new Journal({ keepLines: options.keepLines ?? false });
    const { scheduler, journal } = this;
    const { seed, link = {} } = options;
    this.network = new SimNetwork({ scheduler, seed, journal, link, firstFramesArrive: true });
  }

  #ports(host: string): Ports & { clock: SimClock } {
    const random = this.random.fork(`${host}/${this.#restarts}`);
    const drift = this.#options.drift ?? 0;
    const wall = new SeededRandom(this.#options.seed, `wall ${host}/${this.#restarts}`);
    const clock = new SimClock(this.scheduler, host, {
      offsetMs: random.below(1_000_000),
      rate: 1 + (random.float() - 0.5) * 2 * drift,
      // A stream of its own, so that nothing else changes with it.
      wallOffsetMs: Math.round((wall.float() - 0.5) * 2 * (this.#options.wallOffsetMs ?? 0)),
      journal: this.journal,
    });
    return { clock, random, transport: this.network.transport(host, clock), logger: this.#logger(host) };
  }

  #logger(host: string): Logger {
    return {
      log: (level: LogLevel, event: string, fields = {}) => {
        if (level === 'debug') return;
        this.logs.push(
          `${this.scheduler.now.toFixed(1)} ${host} ${level}: ${event} ${JSON.stringify(fields)}`,
        );
        if (this.logs.length > 20_000) this.logs.splice(0, 10_000);
      },
    };
  }

  /** Starts a process at a host: a new one, or again after a crash or leave. */
  start(host: string, options: Partial<MemberOptions> = {}): SimMember {
    this.#restarts++;
    const ports = this.#ports(host);
    const hosts = new Set([...this.members.keys(), host]);
    const config = memberConfig({
      host,
      port: PORT,
      join: [...hosts].map((name) => `${name}:${PORT}`),
      partitionCount: 11,
      ...this.#options.member,
      ...options,
    });
    const member = new Member(config, ports, this.#options.memberFaults ?? {});
    const { merger, functions } = member.node.executor;
    const registry = new ModuleRegistry(merger.functions, functions, member.node.stores);
    this.#options.register?.(registry, host, () => entry.state === 'running', ports.clock);
    const started = member.start().then(
      () => null,
      (error: Error) => error,
    );
    const entry: SimMember = {
      host,
      member,
      clock: ports.clock,
      started,
      state: 'running',
      isLeaving: false,
    };
    this.members.set(host, entry);
    this.processes.push(entry);
    return entry;
  }

  crash(host: string): void {
    const entry = this.members.get(host);
    if (entry === undefined || entry.state !== 'running') return;
    entry.state = 'crashed';
    this.network.crash(host);
  }

  /** Leaves gracefully; resolves when the process has ended, with the reason when it could not hand over. */
  async leave(host: string): Promise<Error | null> {
    const entry = this.members.get(host);
    if (entry === undefined || entry.state !== 'running') return null;
    entry.isLeaving = true;
    const problem = await entry.member.shutdown().then(
      () => null,
      (error: Error) => error,
    );
    if (entry.state === 'running') entry.state = 'left';
    return problem;
  }

  running(): SimMember[] {
    return [...this.members.values()].filter((entry) => entry.state === 'running');
  }

  client(options: Partial<ClientOptions> = {}): Client {
    const host = `c${this.clients.length + 1}`;
    this.clientHosts.push(host);
    const members = [...this.members.keys()].map((name) => `${name}:${PORT}`);
    const client = new Client(
      clientConfig({ members, ...this.#options.client, ...options }),
      this.#ports(host),
      this.#options.clientFaults ?? {},
    );
    this.clients.push(client);
    return client;
  }

  /** Whether all running members are in one view that is safe. */
  isSafe(): boolean {
    const views = this.running().map(({ member }) => member.node.view);
    const first = views[0];
    if (first === undefined || first === null) return false;
    if (!views.every((view) => view?.number === first.number && view.lineage === first.lineage)) return false;
    if (first.members.length !== views.length) return false;
    return first.table.every(({ replicas, settled, moving }, partition) => {
      const target = first.target[partition] ?? [];
      return (
        settled && !moving && replicas.length === target.length && replicas.every((replica) => replica.synced)
      );
    });
  }

  /** Runs until the condition holds, asked every few milliseconds; false when it did not within `limitMs`. */
  async until(condition: () => boolean, limitMs: number, pollMs = POLL_MS): Promise<boolean> {
    const { scheduler } = this;
    const endMs = scheduler.now + limitMs;
    while (!condition()) {
      if (scheduler.now >= endMs) return false;
      await scheduler.run(Math.min(scheduler.now + pollMs, endMs));
    }
    return true;
  }

  /** Runs until the cluster is safe; false when it is not after `limitMs`. */
  runUntilSafe(limitMs: number): Promise<boolean> {
    return this.scheduler.runUntil(() => this.isSafe(), this.scheduler.now + limitMs);
  }

  async shutdown(): Promise<void> {
    for (const client of this.clients) await client.shutdown();
    for (const { host } of this.running()) this.crash(host);
  }
}
