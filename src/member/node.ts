/**
 * Composition root of a member: builds the parts, connects them and passes messages to the part they belong to. It
 * holds no rule of the protocol. The same for real processes and for the simulator; only the four ports differ.
 */
import type { Calls } from '../../client/core/calls.js';
import type { Executor } from '../../partitions/executor.js';
import { fanOutReply, fanOutRest } from '../../partitions/fan-out-messages.js';
import { Slab } from '../../partitions/store/slab.js';
import { Replication } from '../../replication/replication.js';
import type { Reader } from '../base/bytes.js';
import { type GridError, HandshakeRefusedError } from '../base/errors.js';
import { Events } from '../base/events.js';
import { HybridClock } from '../base/hlc.js';
import type { Listener, ListenOptions, Ports } from '../base/ports.js';
import type { Fences } from '../cluster/lease.js';
import { Lineages } from '../cluster/lineages.js';
import * as cluster from '../cluster/messages.js';
import { lineageTag, type MemberId, type StructureRow, type View } from '../cluster/view.js';
import { mostSyncBackups, structureRows } from '../config/rows.js';
import type { MemberConfig } from '../config.js';
import type { MemberReport } from '../policy/status.js';
import type { Header } from '../wire/frame.js';
import type { Identity } from '../wire/handshake.js';
import { callerGone, failure, ping, placedReply, reply, resolvedCall } from '../wire/messages.js';
import { Peers } from '../wire/peers.js';
import { Addresses } from './addresses.js';
import { Administration } from './admin.js';
import { Admission } from './admission.js';
import { ClientService } from './client-service.js';
import type { Discovery } from './discovery.js';
import type { NodeEvents } from './events.js';
import { Housekeeping } from './housekeeping.js';
import { Inbound } from './inbound.js';
import { Keeping } from './keeping.js';
import { dispatchMemberCall, LocalRoute, MemberRoutes } from './local-route.js';
import type { MapStores } from './map-stores.js';
import { MemberInquiries } from './member-inquiries.js';
import { ownReport } from './member-report.js';
import type { NearSide } from './near-side.js';
import { forkView, foundingView, nextView, Reports } from './next-view.js';
import { Orphans } from './orphans.js';
import * as parts from './parts.js';
import { Reporting, type ReportingHost } from './reporting.js';
import { Seeking } from './seeking.js';
import { MemberSinks } from './sinks.js';
import { Tidings } from './tidings.js';
import { REPLICATION_TICK_MS, SEEK_TICK_MS, Timers } from './timers.js';
import { Toggles, type TogglesHost } from './toggles.js';
import { logFounded } from './view-log.js';

const ANSWERS = new Set(
  [reply, placedReply, failure, resolvedCall, fanOutReply, fanOutRest].map(({ id }) => id),
);

/** What parts need that tell the other members something. */
type Told = ReportingHost & TogglesHost & { readonly lineages: Lineages };

export class MemberNode {
  readonly id: MemberId;
  readonly config: MemberConfig;
  readonly events: Events<NodeEvents>;
  readonly membership: Lineages;
  readonly admission: Admission;
  readonly admin: Administration;
  readonly replication: Replication;
  readonly executor: Executor;
  readonly calls: Calls;
  readonly near: NearSide;
  readonly stores: MapStores;
  readonly ports: Ports;
  readonly #hlc: HybridClock;
  readonly #reports = new Reports();
  readonly #reporting: Reporting;
  readonly toggles: Toggles;
  readonly #keeping: Keeping;
  readonly #rows: StructureRow[];
  readonly inquiries: MemberInquiries;
  readonly #orphans: Orphans;
  readonly #clients: ClientService;
  readonly #memberSinks = new MemberSinks(
    (id) => this.#peers?.link(id) ?? null,
    () => this.where(),
  );
  #identity: Identity | null = null;
  #listener: Listener | null = null;
  #peers: Peers | null = null;
  #inbound: Inbound | null = null;
  #discovery: Discovery | null = null;
  readonly #timers: Timers;
  readonly #tidings: Tidings;
  readonly #addresses: Addresses;
  readonly #seeking: Seeking;
  readonly #housekeeping: Housekeeping;
  #stopped = false;

  constructor(config: MemberConfig, ports: Ports, faults: parts.NodeFaults = {}) {
    this.config = config;
    this.#hlc = new HybridClock(faults.wallClockVersions === true);
    this.ports = ports;
    this.id = ports.random.uuid();
    this.#orphans = new Orphans(config.partitionLossTimeoutMs);
    this.#addresses = new Addresses(config.join, config.forkRetentionMs);
    this.#housekeeping = new Housekeeping(this, this.#addresses, {
      send: (to, body) => this.#peers?.send(to, ping, body),
      neverSwept: faults.neverSwept === true,
      isConnected: (id, at) => this.#peers?.idAt(at) === id || this.#inbound?.isConnectedFrom(id) === true,
    });
    this.events = new Events(ports.logger);
    this.#timers = new Timers(ports.clock);
    this.#tidings = new Tidings(ports.logger, this.events, config.clusterName);
    this.#rows = structureRows(config);
    this.#seeking = new Seeking({
      address: () => this.address,
      view: () => this.view,
      mayFound: () => this.membership.known === null,
      discovery: () => this.#discovery,
      reach: (id, address) => this.#reach(id, address),
      send: (to, def, body) => this.#peers?.send(to, def, body),
    });
    this.membership = new Lineages(
      this.id,
      config.timings,
      {
        send: (to, def, body) => this.#peers?.send(to, def, body),
        connect: (id, address) => this.#reach(id, address),
        connected: () => this.#peers?.ids() ?? [],
        uuid: () => ports.random.uuid(),
        joinRequest: () => ({
          address: this.address,
          structures: this.#rows,
          partitionCount: config.partitionCount,
        }),
        nextView: (next, change) =>
          nextView({
            view: next,
            change,
            reports: next === this.view ? this.#reports : new Reports(),
            lossTimeoutPassed: (p) => this.#orphans.timeoutPassed(p, ports.clock.now()),
            orders: this.admin,
            chain: this.membership.chainView,
            toggle: this.toggles.next(next),
            goneWhileCut: faults.goneWhileCut === true,
          }),
        forkView,
        adopted: (adopted, before, fences) => this.#adopted(adopted, before, fences),
        fenced: (adopted, fences) => this.replication.fenced(adopted, fences),
        removed: (left) => this.#removed(left),
        candidate: (candidate) => this.#candidate(candidate),
        refused: (other) => this.#tidings.refused(other),
        isKept: () => this.#keeping.isKept,
      },
      ports.logger,
      () => ports.random.float(),
      faults,
    );
    const view = (): View | null => this.view;
    const told: Told = {
      self: this.id,
      get view() {
        return view();
      },
      lineages: this.membership,
      now: () => ports.clock.now(),
      logger: ports.logger,
      faults,
      isFoundOrdered: () => this.admin.found,
      defer: (task) => ports.clock.defer(task),
      report: () => this.replication.report(),
      send: (to, def, body) => this.#peers?.send(to, def, body),
    };
    this.toggles = new Toggles(told);
    this.admin = new Administration(told);
    this.#reporting = new Reporting(told, this.#reports);
    this.#keeping = new Keeping({
      noteApplied: () => this.replication.noteApplied(),
      isCommitted: () => faults.toggleUncommitted === true || this.replication.isCommitted(),
      confirmed: (viewNumber, nowMs) => this.#clients.confirmed(viewNumber, nowMs),
    });
    // Whoever was removed from a view still knows what presets it had.
    const rows = () => this.membership.known?.structures ?? this.#rows;
    this.replication = new Replication(
      {
        self: this.id,
        clock: ports.clock,
        logger: ports.logger,
        hlc: this.#hlc,
        faults,
        get view() {
          return view();
        },
        send: (to, def, partition, body) => this.#peers?.send(to, def, body, partition),
        queuedBytes: (to) => this.#peers?.link(to)?.queuedBytes ?? 0,
        confirmedMs: (to) => this.#peers?.link(to)?.lastHeardMs ?? Number.NEGATIVE_INFINITY,
        holdsLease: () => this.membership.lease.holds(ports.clock.now()),
        reportSoon: () => this.#reporting.soon(),
        executor: (): Executor => this.executor,
        isGone: (client, sinceMs, listensMs) =>
          this.#housekeeping.pulse.isGone(client, sinceMs, listensMs, ports.clock.now()),
      },
      new Slab(),
      {
        logBytes: config.limits.logBytes,
        maxSyncBackups: () => mostSyncBackups(rows()),
        antiEntropy: config.antiEntropy,
        leaseMs: config.timings.leaseMs,
      },
    );
    this.admission = new Admission({
      lineages: () => this.membership,
      replication: () => this.replication,
      clock: ports.clock,
      rows,
      lineage: () => this.where().lineage,
      isFoundOrdered: () => this.admin.found,
      faults,
    });
    this.stores = parts.buildStores(this, rows, faults);
    this.executor = parts.buildExecutor({
      id: this.id,
      config,
      ports,
      hlc: this.#hlc,
      replication: this.replication,
      rows,
      gate: this.admission,
      isInFork: () => this.membership.isInFork,
      changed: (...change) => this.near.changed(...change),
      stores: this.stores,
      crowded: (...what) => this.#housekeeping.crowded(...what),
      faults,
    });
    const linkTo = (id: MemberId) => this.#peers?.link(id) ?? null;
    const nearCache = (map: string) => this.near.caches.of(map);
    this.calls = parts.buildCalls(ports, this.executor.functions.codec, nearCache, (calls) => {
      const local = new LocalRoute(this.executor, calls);
      return new MemberRoutes(config.partitionCount, this.id, view, () => this.where(), linkTo, local);
    });
    const where = () => this.where();
    this.near = parts.buildNear({ self: this.id, of: this, view, where, linkTo, rows, faults });
    const report = () => this.report();
    this.inquiries = new MemberInquiries(ports.clock, this.id, () => this.#peers, report);
    this.#clients = new ClientService(this.executor, {
      self: this.id,
      get view() {
        return view();
      },
      where: () => this.where(),
      linkTo,
      near: this.near,
      ping: (body, singleMember) => this.#housekeeping.release(body, singleMember),
      sessionEnded: (client) => this.#housekeeping.pulse.ended(client, ports.clock.now()),
      report,
      admin: (command, answer) =>
        command.kind === 'setConsistency'
          ? this.toggles.run(command, answer)
          : answer(this.admin.run(command)),
      now: () => ports.clock.now(),
    });
  }

  /** The view that this member is in, or null. */
  get view(): View | null {
    return this.membership.view;
  }

  get address(): string {
    return this.#identity?.address ?? '';
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  where(): { readonly view: number; readonly lineage: number } {
    const view = this.membership.known;
    return view === null ? { view: 0, lineage: 0 } : { view: view.number, lineage: lineageTag(view.lineage) };
  }

  /** Listens and begins to look for a cluster; `joined` is emitted when this member is in a view. */
  async start(http?: ListenOptions['http'], beforeJoining?: () => Promise<void>): Promise<void> {
    const { config } = this;
    const { clock, transport } = this.ports;
    this.#listener = await transport.listen({
      host: config.host,
      port: config.port,
      accept: (connection) => this.#inbound?.accept(connection) ?? null,
      ...(http === undefined ? {} : { http }),
    });
    await beforeJoining?.();
    const address = config.advertisedAddress ?? `${config.host}:${this.#listener.port}`;
    const identity = {
      clusterName: config.clusterName,
      id: this.id,
      address,
      partitionCount: config.partitionCount,
    };
    this.#identity = identity;
    const greeting = { ...identity, role: 'member', singleMember: false } as const;
    this.#peers = new Peers(greeting, this.ports, config.limits.outboxBytes, {
      identified: (at, id) => this.#identified(at, id),
      lost: (_at, link) => this.calls.routeClosed(link),
      refused: (at, error) => this.#refused(at, error),
      where: () => this.where(),
    });
    this.#inbound = new Inbound(identity, clock, this.ports.logger, config.limits.outboxBytes, {
      where: () => this.where(),
      memberSaidHello: (id, from) => {
        this.#peers?.calledFrom(from, id);
        this.#reach(id, from);
      },
      fromMember: (id, header, reader) => this.#fromMember(id, header, reader),
      clientOpened: (client) => this.#clients.opened(client),
      fromClient: (client, header, reader) => this.#stopped || this.#clients.message(client, header, reader),
      clientClosed: (client, isEnd) => this.#clients.closed(client, isEnd),
    });
    this.#discovery = parts.buildDiscovery({
      id: this.id,
      address,
      config,
      peers: this.#peers,
      seeking: this.#seeking,
      membership: this.membership,
      found: () => this.#found(),
    });
    this.#timers.every(config.timings.heartbeatMs, () => this.#heartbeat());
    this.#timers.every(REPLICATION_TICK_MS, () => this.#replicationTick());
    this.#timers.every(Math.min(SEEK_TICK_MS, config.timings.heartbeatMs), () => this.#seek());
    this.#housekeeping.start(this.#timers);
    this.#heartbeat();
    this.#seek();
  }

  /** Only a process that was never in a cluster founds one: what another may still hold must not start empty here. */
  #found(): void {
    if (this.membership.known !== null) return;
    const { ports, config } = this;
    const view = foundingView(ports.random.uuid(), this, config.partitionCount, this.#rows, config.founds);
    this.membership.learn(view);
    logFounded(ports.logger, this.address, this.#discovery?.problems() ?? []);
  }

  // --- time

  #heartbeat(): void {
    const nowMs = this.ports.clock.now();
    this.#wantPeers(nowMs);
    // Before a view is proposed, which makes what was reported for the present one void.
    this.#reporting.now();
    this.membership.tick(nowMs);
    this.admin.tick();
    this.toggles.beat();
    this.replication.hasQuorum = this.membership.hasQuorum(nowMs);
    this.#reporting.now();
  }

  /** While this member is in no view it looks around more often than hearts beat. */
  #seek(): void {
    if (this.view !== null || this.membership.isLeavingItself) return;
    const nowMs = this.ports.clock.now();
    this.#wantPeers(nowMs);
    this.#discovery?.tick(nowMs);
  }

  /** A process wants to talk to this member: it is reached at this address. */
  #reach(id: MemberId, address: string): void {
    if (address === this.address || !this.#addresses.called(id, address)) return;
    this.#discovery?.caller(address, this.ports.clock.now());
    this.#wantPeers(this.ports.clock.now());
  }

  #wantPeers(nowMs: number): void {
    const { known, chainView, others } = this.membership;
    const seeking = this.view === null ? (this.#discovery?.addresses() ?? []) : [];
    const wanted = this.#addresses.wanted(
      this.address,
      [known, chainView, ...others.views()],
      seeking,
      nowMs,
    );
    this.#peers?.want(wanted, nowMs);
  }

  #replicationTick(): void {
    this.stores.tick();
    const nowMs = this.ports.clock.now();
    this.admission.waking.tick();
    this.membership.watch(nowMs);
    this.replication.hasQuorum = this.membership.hasQuorum(nowMs);
    this.replication.tick(nowMs);
    if (this.#keeping.tick(nowMs)) this.membership.announce(nowMs);
    this.toggles.tick(nowMs);
  }

  // --- views

  #adopted(view: View, before: View | null, fences: Fences | null): void {
    this.#reports.clear();
    this.admin.adopted(view);
    const nowMs = this.ports.clock.now();
    const isSame = before?.lineage === view.lineage;
    for (const partition of this.#orphans.adopt(view, isSame ? before : null, nowMs)) {
      this.#tidings.partitionLost(partition);
    }
    this.#wantPeers(nowMs);
    this.replication.hasQuorum = this.membership.hasQuorum(nowMs);
    this.replication.adopt(view, fences);
    this.#clients.viewAdopted(view);
    this.near.adopted(view);
    this.#keeping.adopted(view, nowMs);
    this.#housekeeping.pulse.adopted(view.members, nowMs);
    this.toggles.adopted(view);
    this.calls.routesChanged();
    this.#tidings.adopted(view, before, this.#rows);
  }

  #candidate(view: View): void {
    const why = this.stores.lacking(view.structures);
    if (why) this.events.emit('refused', why);
    else this.#discovery?.cluster(view, this.ports.clock.now());
  }

  #removed(view: View): void {
    this.replication.leaveView();
    this.#keeping.removed();
    this.#discovery?.cluster(view, this.ports.clock.now());
    this.#tidings.removed(view, this.membership.isLeavingItself);
  }

  // --- messages of members

  #identified(address: string, id: MemberId): void {
    if (id === this.id) return;
    for (const member of this.#addresses.replacedAt(address, id)) this.membership.replaced(member);
    this.near.connected(id);
    this.calls.routesChanged();
  }

  #refused(address: string, error: GridError): void {
    this.ports.logger.log('error', 'a member refused this one', { address, reason: error.message });
    if (error instanceof HandshakeRefusedError && this.view === null) this.events.emit('refused', error);
  }

  #fromMember(from: MemberId, header: Header, reader: Reader): void {
    const nowMs = this.ports.clock.now();
    if (this.#stopped) return;
    if (this.#answerToCall(header, reader)) return;
    if (this.membership.receive(from, header, reader, nowMs)) return;
    else if (this.replication.receive(from, header, reader)) return;
    else if (this.near.fromMember(from, header, reader)) return;
    else if (this.inquiries.receive(from, header, reader)) return;
    else if (dispatchMemberCall(this.executor, header, reader, this.#memberSinks.of(from))) return;
    else if (this.#seeking.receive(from, header, reader, nowMs)) return;
    else this.#otherMessage(from, header, reader);
  }

  #otherMessage(from: MemberId, header: Header, reader: Reader): void {
    const { message } = header;
    if (message === ping.id) this.#housekeeping.release(ping.read(reader), false, from);
    else if (message === callerGone.id) this.#housekeeping.callerGone(header.client, callerGone.read(reader));
    else if (message === cluster.order.id) this.admin.receive(cluster.order.read(reader));
    else if (message === cluster.toggleOrder.id) this.toggles.receive(cluster.toggleOrder.read(reader));
    else if (message === cluster.partitionReport.id) {
      if (header.view === this.view?.number && header.lineage === this.where().lineage)
        this.#reports.add(cluster.partitionReport.read(reader));
    } else this.ports.logger.log('warn', 'a message of an unknown kind was ignored', { from, message });
  }

  /** To calls of the embedded API, or of clients for which this member forwards. */
  #answerToCall(header: Header, reader: Reader): boolean {
    const { message, client } = header;
    const isAnswer = ANSWERS.has(message);
    if (isAnswer && client !== this.calls.client) this.#clients.forwardAnswer(header, reader);
    else if (isAnswer) this.calls.receive(header, reader);
    return isAnswer;
  }

  // --- inspection and end

  /** What this member says about itself. */
  report(): MemberReport {
    return ownReport(this.membership, this.replication, this.stores.last.left, this.ports.clock.now());
  }

  /** Says goodbye and ends everything at once; a graceful leave happens before. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    for (const member of this.view?.members ?? []) this.#peers?.send(member.id, cluster.goodbye, {});
    this.#stopped = true;
    this.#timers.stop();
    this.toggles.close();
    this.calls.close('the member was shut down');
    this.near.stop();
    this.inquiries.close();
    this.replication.leaveView();
    this.#peers?.close();
    this.#inbound?.close();
    await this.stores.stop();
    await this.#listener?.close();
  }
}
