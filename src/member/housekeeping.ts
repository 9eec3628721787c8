/** What a member does once a second: forgets what nobody needs any more. Called by the member's composition root. */
import type { Calls } from '../../client/core/calls.js';
import type { Executor } from '../../partitions/executor.js';
import type { Replication } from '../../replication/replication.js';
import type { Ports } from '../base/ports.js';
import type { Lineages } from '../cluster/lineages.js';
import type { MemberId, View } from '../cluster/view.js';
import type { MemberConfig } from '../config.js';
import type { BodyOf } from '../wire/message.js';
import type { callerGone, ping } from '../wire/messages.js';
import type { Addresses } from './addresses.js';
import { Errands } from './errands.js';
import type { NearSide } from './near-side.js';
import { Pulse } from './pulse.js';

/** The parts of the member that it looks at. */
export interface HousekeepingParts {
  readonly id: MemberId;
  readonly config: MemberConfig;
  readonly ports: Ports;
  readonly view: View | null;
  readonly calls: Calls;
  readonly executor: Executor;
  readonly replication: Replication;
  readonly membership: Lineages;
  readonly near: NearSide;
  where(): { readonly view: number };
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

  constructor(member: HousekeepingParts, addresses: Addresses, host: HousekeepingHost) {
    this.#member = member;
    this.#addresses = addresses;
    this.#host = host;
    this.pulse = new Pulse(member.config.lockHolderTimeoutMs);
    this.#errands = new Errands(member);
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
