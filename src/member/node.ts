/**
 * Composition root of a member: builds the parts, connects them and passes messages to the part they belong to. It
 * holds no rule of the protocol. The same for real processes and for the simulator; only the four ports differ.
 */
import type { Calls } from '../../client/core/calls.js';
import type { Executor } from '../../partitions/executor.js';
import { Slab } from '../../partitions/store/slab.js';
import { Replication } from '../../replication/replication.js';
import type { Reader } from '../base/bytes.js';
import { type GridError, HandshakeRefusedError } from '../base/errors.js';
import { Events } from '../base/events.js';
import { HybridClock } from '../base/hlc.js';
import type { Listener, ListenOptions, Ports, Timer } from '../base/ports.js';
import { Membership } from '../cluster/membership.js';
import * as cluster from '../cluster/messages.js';
import { hasMember, lineageTag, type MemberId, type StructureRow, type View } from '../cluster/view.js';
import { mostSyncBackups, structureRows } from '../config/rows.js';
import type { MemberConfig } from '../config.js';
import type { MemberReport } from '../policy/status.js';
import type { Header } from '../wire/frame.js';
import type { Identity } from '../wire/handshake.js';
import type { BodyOf } from '../wire/message.js';
import { failure, ping, reply, resolvedCall } from '../wire/messages.js';
import { Peers } from '../wire/peers.js';
import { ClientService } from './client-service.js';
import { Discovery } from './discovery.js';
import { Inbound } from './inbound.js';
import { dispatchMemberCall, LocalRoute, MemberRoutes } from './local-route.js';
import { memberReport } from './member-report.js';
import { foundingView, nextView, Reports } from './next-view.js';
import { Orphans } from './orphans.js';
import { buildCalls, buildExecutor, type NodeFaults } from './parts.js';
import { MemberSinks } from './sinks.js';
import { logFounded, logJoined, logRemoved } from './view-log.js';

/** Replication repeats and waits in this rhythm. */
const REPLICATION_TICK_MS = 50;
/** Rhythm of looking for a cluster. */
const SEEK_TICK_MS = 100;
/** Processes that are started together need this long to find each other, however fast hearts beat. */
const LEAST_PATIENCE_MS = 700;

export interface NodeEvents {
  view: View;
  joined: View;
  removed: View;
  /** A partition started empty because nobody could bring its contents back. */
  partitionLost: { readonly partition: number };
  refused: GridError;
}

export class MemberNode {
  readonly id: MemberId;
  readonly config: MemberConfig;
  readonly events: Events<NodeEvents>;
  readonly membership: Membership;
  readonly replication: Replication;
  readonly executor: Executor;
  readonly calls: Calls;
  readonly ports: Ports;
  readonly #hlc = new HybridClock();
  readonly #reports = new Reports();
  readonly #rows: StructureRow[];
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
  #timers: Timer[] = [];
  #addressOfJoiners = new Map<MemberId, string>();
  #reportQueued = false;
  #stopped = false;

  constructor(config: MemberConfig, ports: Ports, faults: NodeFaults = {}) {
    this.config = config;
    this.ports = ports;
    this.id = ports.random.uuid();
    this.#orphans = new Orphans(config.partitionLossTimeoutMs);
    this.events = new Events(ports.logger);
    this.#rows = structureRows(config);
    const { heartbeatMs, suspicionMs } = config.timings;
    const self = { id: this.id, address: '' };
    this.membership = new Membership(
      self,
      { heartbeatMs, suspicionMs },
      {
        send: (to, def, body) => this.#peers?.send(to, def, body),
        connect: (id, address) => this.#reach(id, address),
        nextView: (view, change) =>
          nextView({
            view,
            change,
            reports: this.#reports,
            lossTimeoutPassed: (p) => this.#orphans.timeoutPassed(p, ports.clock.now()),
          }),
        adopted: (view, before) => this.#adopted(view, before),
        removed: (view) => this.#removed(view),
        lineageChanged: (view) => this.#lineageChanged(view),
      },
      ports.logger,
      () => ports.random.float(),
    );
    const executor = (): Executor => this.executor;
    const view = (): View | null => this.view;
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
        reportSoon: () => this.#reportSoon(),
        executor,
      },
      new Slab(),
      {
        logBytes: config.limits.logBytes,
        maxSyncBackups: () => mostSyncBackups(this.view?.structures ?? this.#rows),
      },
    );
    this.executor = buildExecutor({
      id: this.id,
      config,
      ports,
      hlc: this.#hlc,
      replication: this.replication,
      rows: () => this.view?.structures ?? this.#rows,
      faults,
    });
    this.calls = buildCalls(ports, (calls) => {
      const local = new LocalRoute(this.executor, calls);
      const linkTo = (id: MemberId) => this.#peers?.link(id) ?? null;
      return new MemberRoutes(config.partitionCount, this.id, view, () => this.where(), linkTo, local);
    });
    this.#clients = new ClientService(this.executor, {
      self: this.id,
      get view() {
        return view();
      },
      where: () => this.where(),
      linkTo: (id) => this.#peers?.link(id) ?? null,
      ping: (body, singleMember) => this.#release(body, singleMember),
      report: () => this.report(),
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
    this.membership.setAddress(address);
    const greeting = { ...identity, role: 'member', singleMember: false } as const;
    this.#peers = new Peers(greeting, this.ports, config.limits.outboxBytes, {
      identified: (at, id) => this.#identified(at, id),
      lost: (_at, link) => this.calls.routeClosed(link),
      refused: (at, error) => this.#refused(at, error),
      where: () => this.where(),
    });
    this.#inbound = new Inbound(identity, clock, this.ports.logger, config.limits.outboxBytes, {
      where: () => this.where(),
      memberSaidHello: (id, from) => this.#reach(id, from),
      fromMember: (id, header, reader) => this.#fromMember(id, header, reader),
      clientOpened: (client) => this.#clients.opened(client),
      fromClient: (client, header, reader) => this.#stopped || this.#clients.message(client, header, reader),
      clientClosed: (client) => this.#clients.closed(client),
    });
    this.#discover(address);
    this.#every(config.timings.heartbeatMs, () => this.#heartbeat());
    this.#every(REPLICATION_TICK_MS, () => this.#replicationTick());
    this.#every(Math.min(SEEK_TICK_MS, config.timings.heartbeatMs), () => this.#seek());
    this.#every(1000, () => this.#housekeep());
    this.#heartbeat();
    this.#seek();
  }

  #discover(address: string): void {
    const peers = this.#peers as Peers;
    const { heartbeatMs } = this.config.timings;
    this.#discovery = new Discovery(
      { id: this.id, address },
      this.config.join,
      Math.max(2 * heartbeatMs, LEAST_PATIENCE_MS),
      {
        problem: (at) => peers.problem(at),
        idAt: (at) => peers.idAt(at),
        isConnected: (at) => peers.isConnected(at),
        seek: (id) =>
          peers.send(id, cluster.seekCluster, { address, mayFound: this.membership.known === null }),
        askToJoin: (id) => peers.send(id, cluster.join, this.#joinRequest(address)),
        greet: (ids) => this.membership.greet(ids),
        found: () => this.#found(),
      },
    );
  }

  #joinRequest(address: string) {
    const { partitionCount } = this.config;
    return { address, partitionCount, structures: this.#rows, lastView: this.membership.known?.number ?? 0 };
  }

  #every(periodMs: number, fn: () => void): void {
    const index = this.#timers.length;
    const again = () => {
      this.#timers[index] = this.ports.clock.setTimer(periodMs, () => {
        if (this.#stopped) return;
        fn();
        again();
      });
    };
    again();
  }

  /** Only a process that was never in a cluster founds one: what another may still hold must not start empty here. */
  #found(): void {
    if (this.membership.known !== null) return;
    this.membership.learn(
      foundingView(this.ports.random.uuid(), this, this.config.partitionCount, this.#rows),
    );
    logFounded(this.ports.logger, this.address, this.discoveryProblems);
  }

  // --- time

  #heartbeat(): void {
    const nowMs = this.ports.clock.now();
    this.#wantPeers(nowMs);
    this.membership.tick(nowMs);
    this.replication.hasQuorum = this.membership.hasQuorum(nowMs);
    this.#report();
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
    if (this.#addressOfJoiners.get(id) === address) return;
    this.#addressOfJoiners.set(id, address);
    this.#discovery?.caller(address, this.ports.clock.now());
    this.#wantPeers(this.ports.clock.now());
  }

  #wantPeers(nowMs: number): void {
    const wanted = new Set<string>();
    for (const member of this.membership.known?.members ?? [])
      if (member.id !== this.id) wanted.add(member.address);
    for (const address of this.#addressOfJoiners.values()) wanted.add(address);
    for (const address of this.config.join) wanted.add(address);
    if (this.view === null) for (const address of this.#discovery?.addresses() ?? []) wanted.add(address);
    wanted.delete(this.address);
    if (this.#addressOfJoiners.size > 1000) this.#addressOfJoiners.clear();
    this.#peers?.want(wanted, nowMs);
  }

  #replicationTick(): void {
    const nowMs = this.ports.clock.now();
    this.replication.hasQuorum = this.membership.hasQuorum(nowMs);
    this.replication.tick(nowMs);
  }

  /** What a session needs no reply of; members hear it of embedded calls and of clients that talk to one member. */
  #release(body: BodyOf<typeof ping>, tellOthers: boolean): void {
    this.replication.releaseCalls(body.client, body.below, this.ports.clock.now());
    if (!tellOthers) return;
    for (const { id } of this.view?.members ?? []) if (id !== this.id) this.#peers?.send(id, ping, body);
  }

  #housekeep(): void {
    const nowMs = this.ports.clock.now();
    this.#release({ client: this.calls.client, below: this.calls.watermark, view: this.where().view }, true);
    this.replication.expireSessions(nowMs, this.config.sessionTtlMs);
    this.replication.purge(this.ports.clock.wallNow() - this.config.forkRetentionMs);
    for (const [id, address] of this.#addressOfJoiners) {
      if (!this.membership.detector.hears(id, nowMs) && this.#peers?.idAt(address) !== id)
        this.#addressOfJoiners.delete(id);
    }
  }

  // --- views

  #adopted(view: View, before: View | null): void {
    this.#reports.clear();
    const nowMs = this.ports.clock.now();
    for (const partition of this.#orphans.adopt(view, before, nowMs)) this.#partitionLost(partition);
    this.#wantPeers(nowMs);
    this.replication.hasQuorum = this.membership.hasQuorum(nowMs);
    this.replication.adopt(view);
    this.#clients.viewAdopted(view);
    this.calls.routesChanged();
    this.events.emit('view', view);
    if (before === null || !hasMember(before, this.id)) this.#joined(view);
  }

  #joined(view: View): void {
    logJoined(this.ports.logger, view, this.#rows);
    this.events.emit('joined', view);
  }

  #partitionLost(partition: number): void {
    this.ports.logger.log('error', 'a partition was lost and starts empty', { partition });
    this.events.emit('partitionLost', { partition });
  }

  #removed(view: View): void {
    logRemoved(this.ports.logger, view, this.membership.isLeavingItself);
    this.replication.leaveView();
    this.#discovery?.cluster(view, this.ports.clock.now());
    this.events.emit('removed', view);
  }

  /** The former cluster of this member is gone, and another one has taken it in. */
  #lineageChanged(view: View): void {
    const entries = this.replication.status().reduce((sum, status) => sum + status.entries, 0);
    this.ports.logger.log('error', 'joined another lineage; what was held of the former one is dropped', {
      lineage: view.lineage,
      entries,
    });
    this.replication.dropAll();
  }

  #reportSoon(): void {
    if (this.#reportQueued) return;
    this.#reportQueued = true;
    this.ports.clock.defer(() => {
      this.#reportQueued = false;
      this.#report();
    });
  }

  #report(): void {
    const { view } = this;
    if (view === null) return;
    const report = this.replication.report();
    if (report.settled.length + report.ready.length + report.behind.length === 0) return;
    this.#reports.add(report);
    for (const member of view.members)
      if (member.id !== this.id) this.#peers?.send(member.id, cluster.partitionReport, report);
  }

  // --- messages of members

  #identified(address: string, id: MemberId): void {
    if (id === this.id) return;
    for (const member of this.view?.members ?? []) {
      if (member.address === address && member.id !== id) this.membership.replaced(member.id);
    }
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
    if (header.message === cluster.viewMessage.id && this.view === null)
      this.#viewWhileOutside(reader, nowMs);
    else if (this.membership.receive(from, header, reader, nowMs)) return;
    else if (this.replication.receive(from, header, reader)) return;
    else if (dispatchMemberCall(this.executor, header, reader, this.#memberSinks.of(from))) return;
    else this.#discoveryMessage(from, header, reader, nowMs);
  }

  #discoveryMessage(from: MemberId, header: Header, reader: Reader, nowMs: number): void {
    switch (header.message) {
      case ping.id:
        this.#release(ping.read(reader), false);
        return;
      case cluster.partitionReport.id:
        if (header.view === this.view?.number) this.#reports.add(cluster.partitionReport.read(reader));
        return;
      case cluster.seekCluster.id: {
        const { address, mayFound: seekerMayFound } = cluster.seekCluster.read(reader);
        this.#reach(from, address);
        const { view } = this;
        if (view !== null) this.#peers?.send(from, cluster.viewMessage, { view });
        else {
          this.#discovery?.seeker(from, address, nowMs, seekerMayFound);
          const mayFound = this.membership.known === null;
          this.#peers?.send(from, cluster.seeking, { address: this.address, mayFound });
        }
        return;
      }
      case cluster.seeking.id: {
        const { address, mayFound } = cluster.seeking.read(reader);
        this.#discovery?.seeker(from, address, nowMs, mayFound);
        return;
      }
      default:
        this.ports.logger.log('warn', 'a message of an unknown kind was ignored', {
          from,
          message: header.message,
        });
    }
  }

  #viewWhileOutside(reader: Reader, nowMs: number): void {
    const { view } = cluster.viewMessage.read(reader);
    if (hasMember(view, this.id)) this.membership.learn(view);
    else this.#discovery?.cluster(view, nowMs);
  }

  /** Answers to calls of the embedded API, or of clients for which this member forwards. */
  #answerToCall(header: Header, reader: Reader): boolean {
    const { message, client } = header;
    if (message !== reply.id && message !== failure.id && message !== resolvedCall.id) return false;
    if (client === this.calls.client) this.calls.receive(header, reader);
    else this.#clients.forwardAnswer(header, reader);
    return true;
  }

  // --- inspection and end

  /** What this member says about itself. */
  report(): MemberReport {
    const nowMs = this.ports.clock.now();
    const hears = (id: MemberId) => this.membership.detector.hears(id, nowMs);
    return memberReport(this.view, this.replication.status(), hears);
  }

  get discoveryProblems(): string[] {
    return this.config.join
      .filter((at) => at !== this.address)
      .map((at) => `${at}: ${this.#peers?.problem(at) ?? 'no answer yet'}`);
  }

  /** Says goodbye and ends everything at once; a graceful leave happens before. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    for (const member of this.view?.members ?? []) this.#peers?.send(member.id, cluster.goodbye, {});
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
    this.calls.close('the member was shut down');
    this.replication.leaveView();
    this.#peers?.close();
    this.#inbound?.close();
    await this.#listener?.close();
  }
}
