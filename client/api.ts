/**
 * The public face of a client: the getters of all structures, status, safety, events and the end. What it does is
 * in `client.ts`; the door `index.ts` builds it on the real ports, the simulator on its own.
 */
import { checkListening } from '../src/base/events.js';
import type { Ports } from '../src/base/ports.js';
import type { ClientConfig } from '../src/config/client.js';
import { checkExplainWishes, type ExplainWishes, explainStructure } from '../src/config/explain.js';
import { nearCacheFor, preloadedMaps } from '../src/config/near-caches.js';
import { presetsOf, type RowPreset } from '../src/config/toggle.js';
import {
  type ConsistencyChange,
  type ConsistencyTarget,
  type SetConsistencyOptions,
  toggleRequest,
  toggleResult,
} from '../src/config/toggle-request.js';
import type { AdminCommand, AdminReply } from '../src/policy/admin.js';
import type { Explanation, NearCacheNow } from '../src/policy/explanation.js';
import type { PresetName } from '../src/policy/presets.js';
import type { GridStatus } from '../src/policy/status.js';
import {
  CLIENT_EVENTS,
  type ClientEvents,
  type ClientFaults,
  ClientNode,
  type ClientState,
} from './client.js';
import { type DistributedObject, distributedObjects } from './core/distributed-objects.js';
import { type Grid, installStructures } from './core/grid.js';
import { type MergeReport, MergeReports, representativesOf } from './core/merge-reports.js';
import { nearNow } from './core/near-now.js';
import { type Files, Preload } from './core/preload.js';
import { Session } from './core/session.js';
import { waitUntilSafe } from './core/wait-until-safe.js';

/** An order is carried out by a change of the view, which a member waits for. */
const ADMIN_TIMEOUT_MS = 10_000;

/** A connection to a grid. Made by `connect`; end it with `shutdown` or `await using`. */
export interface Client extends Grid {}
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the getters come from the list of structures
export class Client implements AsyncDisposable {
  readonly #node: ClientNode;
  readonly #ports: Ports;
  readonly #config: ClientConfig;
  readonly #merges: MergeReports;
  #preload: Preload | null = null;

  constructor(config: ClientConfig, ports: Ports, faults: ClientFaults = {}) {
    this.#node = new ClientNode(config, ports, faults);
    this.#config = config;
    this.#ports = ports;
    installStructures(this, this.#node.calls);
    this.#merges = new MergeReports({
      invoker: this.#node.calls,
      clock: ports.clock,
      logger: ports.logger,
      representatives: () => representativesOf(this.#node.currentView),
    });
  }

  /** Resolves when a member answered; rejects with a `ConnectError` that lists each address with its reason. */
  connect(): Promise<void> {
    return this.#node.connect();
  }

  /** Near caches begin with the keys that files have of them. Called by the door. */
  preload(files: Files): void {
    const maps = preloadedMaps(this.#config.nearCaches);
    if (maps === null) return;
    const { clock, logger } = this.#ports;
    this.#preload = new Preload({ grid: this, near: this.#node.near, files, clock, logger }, maps);
  }

  get state(): ClientState {
    return this.#node.state;
  }

  /** Attempts beyond the first of all calls so far. */
  get retries(): number {
    return this.#node.calls.retries;
  }

  /**
   * Calls `listener` for each event; returns a function that removes it. `merged` comes for each merge report that
   * nobody has acknowledged, also those of earlier merges; see `MergeReport.ack`.
   */
  on(event: 'merged', listener: (report: MergeReport) => void): () => void;
  on<K extends keyof ClientEvents>(event: K, listener: (event: ClientEvents[K]) => void): () => void;
  on(event: 'merged' | keyof ClientEvents, listener: (event: never) => void): () => void {
    checkListening(event, [...CLIENT_EVENTS, 'merged'], listener);
    if (event === 'merged') return this.#merges.on(listener as (report: MergeReport) => void);
    return this.#node.events.on(event, listener as (event: unknown) => void);
  }

  /** The reports of merges that nobody has acknowledged. Rejects with a `GridError`. */
  merges(): Promise<MergeReport[]> {
    return this.#merges.list();
  }

  /**
   * A session for `with({ session })`: what is read through it shows what was written and read through it before, on
   * whatever replica. `token`: one that `session.token()` gave, here or elsewhere; throws a `SessionTokenError` for any
   * other text.
   */
  session(token?: string): Session {
    return Session.of(() => this.#node.sessionHome, token);
  }

  /** Members, partitions, migrations and whether everything is safe; asks each member. */
  status(): Promise<GridStatus> {
    return this.#node.status();
  }

  /**
   * Gives the cluster an order: to count as founded by order, to go on without dead members, or to let lost partitions
   * start empty. Resolves with what a member says about it; rejects as indeterminate when none answers in time,
   * and with a `TypeError`, before anything is sent, for what is no order.
   */
  admin(command: AdminCommand, options: { readonly timeoutMs?: number } = {}): Promise<AdminReply> {
    return this.#node.admin(command, options.timeoutMs ?? ADMIN_TIMEOUT_MS);
  }

  /**
   * Gives a structure, the structures of a configured pattern, or everything (`'all'`) another preset while the grid runs.
   * Resolves when the new promise holds everywhere: at every member of the cluster, for every client that is connected, and
   * for what was written before. Rejects with an `OrderRefusedError` that gives the reason (a preset that the backups cannot
   * carry, PC in a cluster that was not founded by order, PA or PC on a side of a split without the majority), with an
   * `IndeterminateError` when it is not known to hold everywhere after `timeoutMs` (30,000), with a `ConnectError` when no
   * member is connected, and with a `TypeError`, before anything is sent, for wrong arguments.
   */
  async setConsistency(
    target: ConsistencyTarget,
    preset: PresetName,
    options: SetConsistencyOptions = {},
  ): Promise<ConsistencyChange> {
    const { command, timeoutMs } = toggleRequest(target, preset, options);
    return toggleResult(await this.#node.admin(command, timeoutMs));
  }

  /** The preset of the grid (`service` null), and that of each name and pattern that has options; as of the present view. */
  consistency(): Promise<RowPreset[]> {
    return Promise.resolve(presetsOf(this.#node.currentView?.structures ?? []));
  }

  /**
   * The structures that have data, each once. Rejects with a `GridError` while a partition cannot be asked, so that nothing
   * is missing without a word.
   */
  getDistributedObjects(): Promise<DistributedObject[]> {
    return distributedObjects(this.#node.calls);
  }

  /** Whether all replicas that the cluster can hold are synced. */
  async isSafe(): Promise<boolean> {
    return (await this.#node.status()).safe;
  }

  /** Resolves when `isSafe`; rejects with a `SafetyError` that says what is missing after `timeoutMs`. */
  waitUntilSafe(options: { readonly timeoutMs: number }): Promise<void> {
    return waitUntilSafe(this.#node.calls, () => this.#node.status(), options.timeoutMs);
  }

  /**
   * What the options of a structure promise, which failures can lose what, and how things are now: `now` is measured, by
   * asking the members, of which those that do not answer within 2 s are named. `service`: `map`, `multiMap`,
   * `atomicLong`. With `{ consistency: 'EL' }` what calls get that ask for it. Rejects with a `TypeError` for another one,
   * and with a `ConfigError` for a kind of structure that there is not.
   */
  async explain(service: string, name: string, wishes: ExplainWishes = {}): Promise<Explanation> {
    checkExplainWishes(wishes);
    const state = await this.#node.observed();
    const nearCache = service === 'map' ? this.#nearNow(name) : null;
    return explainStructure(service, name, state.view.structures, { ...state, nearCache }, wishes);
  }

  #nearNow(map: string): NearCacheNow | null {
    const options = nearCacheFor(map, this.#config.nearCaches);
    return nearNow(options === null ? null : this.getMap(map).getNearCacheStats(), options);
  }

  /** Ends the session: calls that were sent and not answered reject as indeterminate. */
  async shutdown(): Promise<void> {
    this.#merges.close();
    const written = this.#preload?.stop();
    this.#node.close();
    await written;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }
}
