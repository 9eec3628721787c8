/**
 * The public face of a member that runs in this process: the getters of all structures, status, safety, events,
 * health, and a graceful end. What it does is in `node.ts`; the door `src/index.ts` builds it on the real ports.
 */

import { type DistributedObject, distributedObjects } from '../../client/core/distributed-objects.js';
import { type Grid, installStructures } from '../../client/core/grid.js';
import { type MergeReport, MergeReports, representativesOf } from '../../client/core/merge-reports.js';
import { nearNow } from '../../client/core/near-now.js';
import { type Files, Preload } from '../../client/core/preload.js';
import { Session } from '../../client/core/session.js';
import { waitUntilSafe } from '../../client/core/wait-until-safe.js';
import { type GridError, LeaveTimeoutError } from '../base/errors.js';
import { checkListening } from '../base/events.js';
import type { Clock, Ports } from '../base/ports.js';
import type { View } from '../cluster/view.js';
import { checkExplainWishes, type ExplainWishes, explainStructure } from '../config/explain.js';
import { nearCacheFor, preloadedMaps } from '../config/near-caches.js';
import { consistentSyncBackups } from '../config/rows.js';
import { presetsOf, type RowPreset } from '../config/toggle.js';
import {
  type ConsistencyChange,
  type ConsistencyTarget,
  type SetConsistencyOptions,
  toggleRequest,
  toggleResult,
} from '../config/toggle-request.js';
import type { MemberConfig } from '../config.js';
import type { AdminReply } from '../policy/admin.js';
import type { Explanation, NearCacheNow } from '../policy/explanation.js';
import type { PresetName } from '../policy/presets.js';
import { type GridStatus, statusFromView } from '../policy/status.js';
import type { NodeEvents } from './events.js';
import { healthPages, unmerged } from './health.js';
import { MemberNode } from './node.js';
import type { NodeFaults } from './parts.js';
import type { StoreFailure } from './store-failure.js';

const LEAVE_POLL_MS = 20;
/** Members that all leave together hand over to nobody; those that are slow to say so get this long. */
const LAST_WORDS_MS = 300;

export interface MemberEvents {
  /** A newer view was adopted. */
  view: { readonly number: number; readonly members: readonly string[] };
  /** This member was removed from the view while it ran; it asks to come back. */
  removed: { readonly view: number };
  /** Nobody could bring the contents of a partition back: it starts empty. */
  partitionLost: { readonly partition: number };
  /**
   * This member goes on in another lineage: in a fork, because its side of a split has no majority, or back in the
   * cluster. Structures that are consistent (PC) are not served in a fork.
   */
  lineage: { readonly lineage: string; readonly from: string; readonly isFork: boolean };
  /**
   * The store of a map refuses a write again and again, so it was set aside: the map has it, the store does not. Comes at
   * the member that leads the key; `map.retryFailed()` tries again.
   */
  storeFailed: StoreFailure;
}

const MEMBER_EVENTS = [
  'view',
  'removed',
  'partitionLost',
  'lineage',
  'storeFailed',
] as const satisfies readonly (keyof MemberEvents)[];

/** A member of a grid in this process. Made by `startMember`; end it with `shutdown` or `await using`. */
export interface Member extends Grid {}
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the getters come from the list of structures
export class Member implements AsyncDisposable {
  readonly node: MemberNode;
  readonly #clock: Clock;
  readonly #merges: MergeReports;
  #leaving: Promise<void> | null = null;
  #preload: Preload | null = null;
  #ended = false;

  constructor(config: MemberConfig, ports: Ports, faults: NodeFaults = {}) {
    this.node = new MemberNode(config, ports, faults);
    this.#clock = ports.clock;
    installStructures(this, this.node.calls);
    this.#merges = new MergeReports({
      invoker: this.node.calls,
      clock: ports.clock,
      logger: ports.logger,
      representatives: () => representativesOf(this.node.view),
    });
  }

  /**
   * Resolves when this member is in a view; rejects when it is refused, or its port is taken. `beforeJoining` runs
   * once the port is this member's.
   */
  async start(beforeJoining: () => Promise<void> = async () => {}): Promise<void> {
    const joined = new Promise<void>((resolve, reject) => {
      const stop = [
        this.node.events.on('joined', () => settle(resolve)),
        this.node.events.on('refused', (error: GridError) => settle(() => reject(error))),
      ];
      const settle = (then: () => void) => {
        for (const remove of stop) remove();
        then();
      };
    });
    try {
      await this.node.start(healthPages(this.node), beforeJoining);
      await joined;
    } catch (error) {
      await this.terminate();
      throw error;
    }
  }

  /** Near caches begin with the keys that files have of them. Called by the door. */
  preload(files: Files): void {
    const { near, config, ports } = this.node;
    const maps = preloadedMaps(config.nearCaches);
    if (maps === null) return;
    const { clock, logger } = ports;
    this.#preload = new Preload({ grid: this, near: near.caches, files, clock, logger }, maps);
  }

  /** UUID of this process in the cluster. */
  get id(): string {
    return this.node.id;
  }

  /** Advertised `host:port`. */
  get address(): string {
    return this.node.address;
  }

  get port(): number {
    return this.node.port;
  }

  /**
   * Calls `listener` for each event; returns a function that removes it. `merged` comes for each merge report that
   * nobody has acknowledged, also those of earlier merges; see `MergeReport.ack`.
   */
  on(event: 'merged', listener: (report: MergeReport) => void): () => void;
  on<K extends keyof MemberEvents>(event: K, listener: (event: MemberEvents[K]) => void): () => void;
  on(event: 'merged' | keyof MemberEvents, listener: (event: never) => void): () => void {
    checkListening(event, [...MEMBER_EVENTS, 'merged'], listener);
    if (event === 'merged') return this.#merges.on(listener as (report: MergeReport) => void);
    return this.#listen(event, listener as (event: unknown) => void);
  }

  /** The reports of merges that nobody has acknowledged. Rejects with a `GridError`. */
  merges(): Promise<MergeReport[]> {
    return this.#merges.list();
  }

  #listen<K extends keyof MemberEvents>(event: K, listener: (event: MemberEvents[K]) => void): () => void {
    const map: { readonly [E in keyof MemberEvents]: (event: NodeEvents[E]) => MemberEvents[E] } = {
      view: (view) => ({ number: view.number, members: view.members.map((member) => member.address) }),
      removed: (view) => ({ view: view.number }),
      partitionLost: (lost) => lost,
      storeFailed: (failure) => failure,
      lineage: ({ view, before }) => ({
        lineage: view.lineage,
        from: before.lineage,
        isFork: view.parent !== null,
      }),
    };
    return this.node.events.on(event, (raw) => listener(map[event](raw as never)));
  }

  /** What the view tells of members, partitions and safety. */
  status(): Promise<GridStatus> {
    const view = this.node.view ?? this.node.membership.known;
    return Promise.resolve().then(() => this.#status(view as View));
  }

  #status(view: View): GridStatus {
    const hasConsistent = consistentSyncBackups(view.structures) !== null;
    const status = statusFromView(this.node.config.clusterName, view, undefined, hasConsistent);
    const unsafeReasons = [...status.unsafeReasons, ...unmerged(this.node.replication.leftovers.size)];
    return { ...status, unsafeReasons, safe: unsafeReasons.length === 0 };
  }

  /** As `Client.getDistributedObjects`. */
  getDistributedObjects(): Promise<DistributedObject[]> {
    return distributedObjects(this.node.calls);
  }

  async isSafe(): Promise<boolean> {
    return (await this.status()).safe;
  }

  waitUntilSafe(options: { readonly timeoutMs: number }): Promise<void> {
    return waitUntilSafe(this.node.calls, () => this.status(), options.timeoutMs);
  }

  /** As `Client.session`. */
  session(token?: string): Session {
    const { clusterName, partitionCount } = this.node.config;
    return Session.of(() => ({ clusterName, partitionCount }), token);
  }

  /** As `Client.setConsistency`. */
  async setConsistency(
    target: ConsistencyTarget,
    preset: PresetName,
    options: SetConsistencyOptions = {},
  ): Promise<ConsistencyChange> {
    const { command } = toggleRequest(target, preset, options);
    const reply = new Promise<AdminReply>((resolve) => this.node.toggles.run(command, resolve));
    return toggleResult(await reply);
  }

  /** As `Client.consistency`. */
  consistency(): Promise<RowPreset[]> {
    return Promise.resolve(presetsOf(this.node.membership.known?.structures ?? []));
  }

  /** As `Client.explain`; this member asks the others about themselves. */
  async explain(service: string, name: string, wishes: ExplainWishes = {}): Promise<Explanation> {
    checkExplainWishes(wishes);
    const view = this.node.view ?? (this.node.membership.known as View);
    const reports = await this.node.inquiries.reports(view);
    const nearCache = service === 'map' ? this.#nearNow(name) : null;
    return explainStructure(service, name, view.structures, { view, reports, nearCache }, wishes);
  }

  #nearNow(map: string): NearCacheNow | null {
    const options = nearCacheFor(map, this.node.config.nearCaches);
    return nearNow(options === null ? null : this.getMap(map).getNearCacheStats(), options);
  }

  /**
   * Leaves gracefully: hands over all data first. Members that all leave together do not hand over to each other; they,
   * and the last one, first tell the stores of maps what these lack, unless a store takes nothing any more. Rejects with
   * a `LeaveTimeoutError` after `leaveTimeoutMs`; the member has ended then as well.
   */
  shutdown(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  async #leave(): Promise<void> {
    const { membership, replication, stores } = this.node;
    const startMs = this.#clock.now();
    let lonelySinceMs: number | null = null;
    let cutOffSinceMs: number | null = null;
    while (membership.view !== null && !this.#ended) {
      const nowMs = this.#clock.now();
      const { view } = membership;
      const isInFork = view.parent !== null;
      // Others take over what it holds when it has told them all that only it has; a fork can not hand over to the chain.
      if (!isInFork && replication.leftovers.size === 0) membership.leave();
      // Nobody takes over what stores are owed: they get it now.
      stores.last.turn(membership.everyoneLeaves);
      const hasTold = !stores.last.isOn || stores.last.left === 0;
      if (view.members.length === 1 && !isInFork && hasTold) break;
      lonelySinceMs = membership.everyoneLeaves ? (lonelySinceMs ?? nowMs) : null;
      const lonelyMs = lonelySinceMs === null ? 0 : nowMs - lonelySinceMs;
      // The others have to hear of our leaving as well, before our silence looks like a crash.
      const isSaid = lonelyMs > LAST_WORDS_MS && !isInFork && membership.isLeavingItself;
      if (isSaid && hasTold && (await this.#othersHaveTold(view))) break;
      cutOffSinceMs = membership.hasQuorum(nowMs) ? null : (cutOffSinceMs ?? nowMs);
      const cutOffMs = cutOffSinceMs === null ? 0 : nowMs - cutOffSinceMs;
      const problem = this.#whyNotLeaving(nowMs - startMs, cutOffMs, isInFork ? lonelyMs : 0);
      if (problem !== null) {
        const left = heldText(view, this.id);
        stores.last.report();
        await this.terminate();
        throw new LeaveTimeoutError(`${problem}: ${left}`);
      }
      await this.#pause();
    }
    if (!this.#ended && stores.last.isOn) stores.last.report();
    await this.terminate();
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.setTimer(LEAVE_POLL_MS, resolve);
    });
  }

  /** Whoever goes earlier takes the majority away without which the others must not write to stores. */
  async #othersHaveTold(view: View): Promise<boolean> {
    if (!this.node.stores.areUsed) return true;
    const reports = await this.node.inquiries.connected(view);
    return [...reports.values()].every(({ owed }) => owed === 0);
  }

  /**
   * Tells the stores of maps what they lack, in vain for no longer than `leaveTimeoutMs`, and takes no write any more that
   * they would get later. For whoever ends all members at once; `shutdown` does it where it has to be done.
   */
  async tellStores(): Promise<void> {
    const { stores, config } = this.node;
    const untilMs = this.#clock.now() + config.leaveTimeoutMs;
    stores.last.turn(true);
    while (stores.last.left > 0 && this.#clock.now() < untilMs && !this.#ended) await this.#pause();
    if (!this.#ended) stores.last.report();
  }

  /** `abandonedMs`: for how long it has been in a fork in which nobody stays. */
  #whyNotLeaving(sinceMs: number, cutOffMs: number, abandonedMs: number): string | null {
    const { leaveTimeoutMs, timings } = this.node.config;
    const waiting = this.node.replication.leftovers.size;
    if (sinceMs > leaveTimeoutMs && this.node.membership.isInFork)
      return `after leaveTimeoutMs (${leaveTimeoutMs} ms) this side of a split still has no majority, which alone could take over`;
    if (sinceMs > leaveTimeoutMs && waiting > 0)
      return `after leaveTimeoutMs (${leaveTimeoutMs} ms) ${waiting} replicas still wait to be merged`;
    if (sinceMs > leaveTimeoutMs && this.node.stores.last.isOn)
      return `after leaveTimeoutMs (${leaveTimeoutMs} ms) stores of maps still lack writes`;
    if (sinceMs > leaveTimeoutMs)
      return `handing over took longer than leaveTimeoutMs (${leaveTimeoutMs} ms)`;
    if (abandonedMs > 2 * timings.suspicionMs)
      return 'this side of a split has no majority and nobody stays on it: what was written here is nowhere else';
    // Without a majority nothing can be handed over, and the others would have come back by now.
    if (cutOffMs > timings.suspicionMs) return 'nothing could be handed over without a majority of the view';
    return null;
  }

  /** Ends at once, without handing over: backups take over. */
  async terminate(): Promise<void> {
    this.#ended = true;
    this.#merges.close();
    await this.#preload?.stop();
    await this.node.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }
}

/** What a member that leaves has not handed over, as far as its view tells. */
function heldText(view: View, member: string): string {
  const held = view.table.filter(({ replicas }) => replicas.some((replica) => replica.member === member));
  if (held.length === 0) return 'it holds no partition any more, but the others have not let it go';
  const primaries = held.filter(({ replicas }) => replicas[0]?.member === member).length;
  const partitions = held.length === 1 ? '1 partition' : `${held.length} partitions`;
  return `it still holds ${partitions} of ${view.table.length}, ${primaries} of them as primary`;
}
