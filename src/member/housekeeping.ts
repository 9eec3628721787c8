/**
 * What a member does by itself in the background: once a second it forgets what nobody needs any more, and more often it
 * looks after entries that are over or too many. Called by the member's composition root.
 */
import type { Calls } from '../../client/core/calls.js';
import type { Executor } from '../../partitions/executor.js';
import type { Service } from '../../partitions/service.js';
import type { Slab } from '../../partitions/store/slab.js';
import type { Replication } from '../../replication/replication.js';
import { UPKEEP_MS, Upkeeper } from '../../replication/upkeeper.js';
import type { Ports } from '../base/ports.js';
import type { Lineages } from '../cluster/lineages.js';
import type { MemberId, StructureRow, View } from '../cluster/view.js';
import { servedOptions } from '../config/rows.js';
import type { MemberConfig } from '../config.js';
import type { BodyOf } from '../wire/message.js';
import type { callerGone, ping } from '../wire/messages.js';
import type { Addresses } from './addresses.js';
import type { Admission } from './admission.js';
import { Errands } from './errands.js';
import type { NearSide } from './near-side.js';
import { Pulse } from './pulse.js';
import type { Timers } from './timers.js';

const HOUSEKEEPING_MS = 1_000;
const NO_ROWS: readonly StructureRow[] = [];

/** The parts of the member that it looks at. */
export interface HousekeepingParts {
  readonly id: MemberId;
  readonly config: MemberConfig;
  readonly ports: Ports;
  readonly view: View | null;
  readonly calls: Calls;
  readonly executor: Executor;
  readonly replication: Replication;
  readonly admission: Admission;
  readonly membership: Lineages;
  readonly near: NearSide;
  where(): { readonly view: number; readonly lineage: number };
}

export interface HousekeepingHost {
  send(to: MemberId, body: BodyOf<typeof ping>): void;
  isConnected(id: MemberId, address: string): boolean;
}

export class Housekeeping {
  readonly #member: HousekeepingParts;
  readonly #addresses: Addresses;
  readonly #host: HousekeepingHost;
  readonly pulse: Pulse;
  readonly #errands: Errands;
  readonly #upkeeper: Upkeeper;

  constructor(member: HousekeepingParts, addresses: Addresses, host: HousekeepingHost) {
    this.#member = member;
    this.#addresses = addresses;
    this.#host = host;
    this.pulse = new Pulse(member.config.lockHolderTimeoutMs);
    this.#errands = new Errands(member);
    const rows = () => member.membership.known?.structures ?? NO_ROWS;
    const { clock, random } = member.ports;
    this.#upkeeper = new Upkeeper({
      clock,
      random,
      executor: () => member.executor,
      get counters() {
        return member.replication.counters;
      },
      replica: (partition) => member.replication.replica(partition),
      replicas: () => member.replication.holdings.all(),
      optionsOf: (service, structure) => servedOptions(service.name, structure, rows()),
      leads: (partition) => member.replication.isServing(partition),
      mayChange: (partition, options) =>
        member.replication.refusal(partition, true) === null &&
        member.admission.admit(partition, options, true, member.where().lineage) === null,
    });
  }

  start(timers: Timers): void {
    timers.every(HOUSEKEEPING_MS, () => this.run());
    timers.every(UPKEEP_MS, () => this.#upkeeper.look());
  }

  /** A call has written to a structure of which this member has more now than it may. */
  crowded(service: Service, structure: string, slab: Slab): void {
    this.#upkeeper.relieve(service, structure, slab);
  }

  /**
   * A session lives, and needs no reply of some calls; members hear it of embedded calls and of clients that talk to one
   * member. `from`: the member that says so, null for the client itself.
   */
  release(body: BodyOf<typeof ping>, tellOthers: boolean, from: MemberId | null = null): void {
    const { replication, ports, view, id: self } = this.#member;
    const nowMs = ports.clock.now();
    this.pulse.heard(body.client, nowMs, body.embedded ? from : null);
    replication.holdings.releaseCalls(body.client, body.below, nowMs);
    if (!tellOthers) return;
    for (const { id } of view?.members ?? []) if (id !== self) this.#host.send(id, body);
  }

  /** A member forwards no more calls of a client; `ended`: because that has shut down. */
  callerGone(client: number, { ended }: BodyOf<typeof callerGone>): void {
    const { executor, ports } = this.#member;
    executor.parked.sessionGone(client);
    if (ended) this.pulse.ended(client, ports.clock.now());
  }

  run(): void {
    const { calls, config, membership, ports, replication } = this.#member;
    const nowMs = ports.clock.now();
    const { view } = this.#member.where();
    this.release({ client: calls.client, below: calls.watermark, view, embedded: true }, true);
    this.pulse.look(nowMs);
    replication.holdings.expireSessions(nowMs, config.sessionTtlMs);
    replication.purge(ports.clock.wallNow() - config.forkRetentionMs);
    const { detector } = membership.roster;
    const isGone = (id: MemberId, address: string) =>
      !detector.hears(id, nowMs) && !this.#host.isConnected(id, address);
    this.#addresses.prune(isGone, nowMs);
    this.#member.near.tellHolders();
    this.#errands.run();
  }
}
