/**
 * `elsegrid/testing`: a whole cluster with a client inside one process, for the tests of applications. Real members
 * on real sockets, on free ports of this machine, with the timings of the preset `local`.
 * Invariant: what `startCluster` resolves with is safe, and after `shutdown` nothing of it is left.
 */
import type { Client } from '../client/api.js';
import { connect } from '../client/index.js';
import { checkNames } from './base/option-names.js';
import type { ClientOptions } from './config/client.js';
import type { MemberOptions } from './config.js';
import { startMember } from './index.js';
import type { Member } from './member/member.js';
import type { Register } from './member/registry.js';

/** How long the cluster may take to be safe after a start or an addition. */
const SAFE_TIMEOUT_MS = 30_000;
/** Members log only what is broken: a test that ends members on purpose is no news. */
const LOG_LEVEL = 'error';

const CLUSTER_OPTIONS = ['members', 'member', 'register', 'client'];

export interface ClusterOptions {
  /** How many members; 3 unless given. */
  readonly members?: number;
  /**
   * Options of every member. `timings` is `local` and `logLevel` is `error` unless given; ports are chosen. The cluster
   * is founded by order, so that consistent (PC) structures are served, unless `founds` is false.
   */
  readonly member?: Omit<MemberOptions, 'port' | 'join'>;
  /** Registers functions at every member, as the second argument of `startMember`. */
  readonly register?: Register;
  /** Options of the client; the addresses are known. */
  readonly client?: Omit<ClientOptions, 'members' | 'clusterName'>;
}

/** A cluster in this process. Made by `startCluster`; end it with `shutdown` or `await using`. */
export class TestCluster implements AsyncDisposable {
  /** In the order of their start; those that were ended stay, so that indexes keep their meaning. */
  readonly members: Member[] = [];
  readonly #options: ClusterOptions;
  readonly #ended = new Set<Member>();
  #client: Client | null = null;

  /** Use `startCluster`. */
  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** A client that is connected to the cluster. */
  get client(): Client {
    if (this.#client === null) throw new Error('the cluster has not started');
    return this.#client;
  }

  /** `host:port` of the members that run, for further clients and members. */
  get addresses(): string[] {
    return this.#running().map((member) => member.address);
  }

  #running(): Member[] {
    return this.members.filter((member) => !this.#ended.has(member));
  }

  async start(): Promise<void> {
    const { members = 3, member, client } = this.#options;
    if (!Number.isInteger(members) || members < 1) {
      throw new RangeError(`members: expected a whole number from 1 on, got ${String(members)}`);
    }
    try {
      await this.#startMember();
      await Promise.all(Array.from({ length: members - 1 }, () => this.#startMember()));
      this.#client = await connect({
        logLevel: LOG_LEVEL,
        ...client,
        clusterName: member?.clusterName,
        members: this.addresses,
      });
      await this.client.waitUntilSafe({ timeoutMs: SAFE_TIMEOUT_MS });
    } catch (error) {
      await this.shutdown();
      throw error;
    }
  }

  async #startMember(options: Omit<MemberOptions, 'port' | 'join'> = {}): Promise<Member> {
    const join = this.addresses;
    const member = await startMember(
      {
        timings: 'local',
        logLevel: LOG_LEVEL,
        ...this.#options.member,
        ...options,
        // Only the first one founds: should another find nobody, it must not become a second ordered cluster.
        founds: join.length === 0 && this.#options.member?.founds !== false,
        port: 0,
        join,
      },
      this.#options.register,
    );
    this.members.push(member);
    return member;
  }

  /** Starts one more member, with `options` on top of those of the others, and waits until the cluster is safe. */
  async add(options: Omit<MemberOptions, 'port' | 'join'> = {}): Promise<Member> {
    const member = await this.#startMember(options);
    await this.client.waitUntilSafe({ timeoutMs: SAFE_TIMEOUT_MS });
    return member;
  }

  /**
   * Ends the member of that index at once: nothing is handed over, its backups take over. Its connections close and
   * the others notice at once. `client.waitUntilSafe` tells when the cluster has recovered.
   */
  async kill(index: number): Promise<void> {
    const member = this.members[index];
    if (member === undefined) {
      throw new RangeError(`there is no member ${index}: ${this.members.length} were started`);
    }
    this.#ended.add(member);
    await member.terminate();
  }

  /** Ends the client and every member at once; stores of maps get what they lack before, if they take it. */
  async shutdown(): Promise<void> {
    await this.#client?.shutdown();
    const running = this.#running();
    for (const member of running) this.#ended.add(member);
    await Promise.all(running.map((member) => member.tellStores()));
    await Promise.all(running.map((member) => member.terminate()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }
}

/**
 * Starts members and a client in this process and resolves once every write is on its backups. Rejects with what
 * `startMember` and `connect` reject with, or with a `SafetyError`.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  checkNames(options, CLUSTER_OPTIONS);
  if (options.register !== undefined && typeof options.register !== 'function')
    throw new TypeError(
      `register: expected a function that gets the registry, got ${typeof options.register}`,
    );
  const cluster = new TestCluster(options);
  await cluster.start();
  return cluster;
}
