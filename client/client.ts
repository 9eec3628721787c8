/**
 * Composition root of a client: connections to members, the view as they push it, and the calls of its session. It
 * reads the view like a member and sends each call to the primary of its partition - or, with one-member routing,
 * everything to one member, which forwards. Built from the same four ports as a member.
 */
import { Subscriber } from '../listeners/subscriber.js';
import { type NearCacheFaults, NearCaches } from '../nearcache/near-caches.js';
import { isLatency } from '../partitions/service.js';
import type { Reader } from '../src/base/bytes.js';
import { ConnectError, type GridError, IndeterminateError } from '../src/base/errors.js';
import { Events } from '../src/base/events.js';
import type { Ports, Timer } from '../src/base/ports.js';
import { viewMessage, viewRequest } from '../src/cluster/messages.js';
import { lineageTag, type MemberId, type View } from '../src/cluster/view.js';
import type { ClientConfig } from '../src/config/client.js';
import { nearCacheFor } from '../src/config/near-caches.js';
import { consistentSyncBackups, optionsFor } from '../src/config/rows.js';
import {
  type AdminCommand,
  type AdminReply,
  checkAdminCommand,
  readAdminReply,
} from '../src/policy/admin.js';
import { adminReply, adminRequest, statusReport, statusRequest } from '../src/policy/messages.js';
import { type GridStatus, type MemberReport, statusFromView } from '../src/policy/status.js';
import { type Header, NO_PARTITION } from '../src/wire/frame.js';
import type { Link } from '../src/wire/link.js';
import type { MessageDef } from '../src/wire/message.js';
import { ping, pong } from '../src/wire/messages.js';
import { Peers } from '../src/wire/peers.js';
import { ValueCodec } from '../src/wire/values.js';
import { Calls } from './core/calls.js';
import { Inquiries } from './core/inquiries.js';
import { LineageChoice } from './core/lineage-choice.js';
import type { Route, Routes } from './core/routes.js';
import type { SessionHome } from './core/session.js';
import { whyNoRoute } from './core/why-no-route.js';

const TICK_MS = 100;
const PING_MS = 1000;
/** A connection on which nothing arrived for this long is given up. */
const SILENCE_MS = 6000;
/** A member on whose connection something arrived that lately is heard; each answers a ping a second. */
const HEARD_MS = 2500;
/** A tick that comes this late means that this process stood still: what arrived meanwhile was not read yet. */
const STALL_MS = 1000;
/** Replicas whose answers take so little longer than those of the nearest count as near. */
const NEAR_MS = 0.5;

export type ClientState = 'connecting' | 'connected' | 'disconnected' | 'closed';

export interface ClientEvents {
  /** Whether any member is connected. */
  state: { readonly state: ClientState };
  memberConnected: { readonly address: string };
  memberDisconnected: { readonly address: string; readonly reason: string };
  /** A newer view of the cluster was learned. */
  view: { readonly number: number; readonly members: readonly string[] };
  /**
   * The client follows another lineage: a fork, because only members without a majority can be reached, or back again.
   */
  lineage: { readonly lineage: string; readonly from: string; readonly isFork: boolean };
}

export const CLIENT_EVENTS = [
  'state',
  'memberConnected',
  'memberDisconnected',
  'view',
  'lineage',
] as const satisfies readonly (keyof ClientEvents)[];

/** Only for tests that show the checkers' power. */
export interface ClientFaults extends NearCacheFaults {
  readonly freshRetryIds?: boolean;
}

export class ClientNode implements Routes {
  readonly events: Events<ClientEvents>;
  readonly calls: Calls;
  readonly near: NearCaches;
  readonly listeners: Subscriber;
  readonly #config: ClientConfig;
  readonly #ports: Ports;
  readonly #peers: Peers;
  readonly #inquiries: Inquiries;
  readonly #adminWaiters = new Map<number, (reply: AdminReply | null) => void>();
  readonly #refusals = new Map<string, string>();
  readonly #lineages = new LineageChoice<Link>();
  #view: View | null = null;
  /** By partition: its primary in the view, or undefined. In one array, because every call looks here. */
  #primaries: readonly (MemberId | undefined)[] = [];
  /** By partition: all synced replicas. */
  #replicas: readonly (readonly MemberId[])[] = [];
  /** How long a ping takes there and back, ms, smoothed. */
  readonly #rtts = new WeakMap<Link, number>();
  readonly #pingedMs = new WeakMap<Link, number>();
  /** Clients read from different replicas of a partition. */
  readonly #spread: number;
  #state: ClientState = 'connecting';
  #single: string | null = null;
  #pingMs = Number.NEGATIVE_INFINITY;
  #tickMs = Number.POSITIVE_INFINITY;
  #resumedMs = Number.NEGATIVE_INFINITY;
  #nextOrder = 1;
  #timer: Timer | null = null;
  #onReady: (() => void) | null = null;
  #giveUp: ((error: GridError) => void) | null = null;

  constructor(config: ClientConfig, ports: Ports, faults: ClientFaults = {}) {
    this.#config = config;
    this.#ports = ports;
    this.events = new Events(ports.logger);
    this.#spread = ports.random.uint32() % 1000;
    const greeting = {
      clusterName: config.clusterName,
      role: 'client',
      id: ports.random.uuid(),
      address: '',
      partitionCount: 0,
      singleMember: config.routing === 'single',
    } as const;
    this.#peers = new Peers(greeting, ports, Number.MAX_SAFE_INTEGER, {
      identified: (address) => this.#connected(address),
      refused: (address, error) => this.#refused(address, error),
      where: () => ({ view: this.view, lineage: this.lineage }),
      message: (link, header, reader) => this.#message(link, header, reader),
      lost: (address, link, reason) => this.#lost(address, link, reason.reason),
    });
    const codec = new ValueCodec(config.serializer);
    this.#inquiries = new Inquiries(ports.clock, (id, sequence) => this.#askStatus(id, sequence));
    this.calls = new Calls({
      clock: ports.clock,
      random: ports.random,
      routes: this,
      codec,
      timeoutMs: config.timeoutMs,
      maxInFlightCalls: config.maxInFlightCalls,
      nearCache: (map) => this.near.of(map),
      ...faults,
    });
    this.near = new NearCaches({
      clock: ports.clock,
      logger: ports.logger,
      nearOptions: (map) => nearCacheFor(map, config.nearCaches),
      mapOptions: (map) => optionsFor('map', map, this.#view?.structures ?? []),
      decode: (bytes) => codec.decode(bytes),
      send: (to, def, body) => this.#peers.send(to, def, body),
      seen: this.calls.seen,
      faults,
    });
    const { clock, logger, random } = ports;
    const { timeoutMs } = config;
    const uuid = () => random.uuid();
    const send = <T>(to: MemberId, def: MessageDef<T>, body: T) => this.#sendTo(to, def, body);
    this.listeners = new Subscriber({ clock, logger, timeoutMs, uuid, send });
    this.calls.listening = this.listeners;
  }

  /** Through the one member that this client talks to, when it is only one. */
  #sendTo<T>(to: MemberId, def: MessageDef<T>, body: T): void {
    const link = this.#config.routing === 'single' ? this.#peers.links()[0] : this.#peers.link(to);
    link?.send(def, { ...this.#peers.address(NO_PARTITION), client: this.calls.client }, body);
  }

  // --- routes

  get partitionCount(): number {
    return this.#view?.table.length ?? 0;
  }

  get view(): number {
    return this.#view?.number ?? 0;
  }

  get lineage(): number {
    return this.#view === null ? 0 : lineageTag(this.#view.lineage);
  }

  get sessionHome(): SessionHome {
    return { clusterName: this.#config.clusterName, partitionCount: this.partitionCount };
  }

  get currentView(): View | null {
    return this.#view;
  }

  get fansOut(): boolean {
    return this.#config.routing !== 'single';
  }

  toPrimary(partition: number): Route | null {
    if (this.#config.routing === 'single') return this.#peers.links()[0] ?? null;
    const primary = this.#primaries[partition];
    return primary === undefined ? null : this.#peers.link(primary);
  }

  /** Of the replicas that answer pings about as fast as the fastest one, always the same. */
  toReplica(partition: number): Route | null {
    if (this.#config.routing === 'single') return this.#peers.links()[0] ?? null;
    const links = (this.#replicas[partition] ?? []).flatMap((id) => this.#peers.link(id) ?? []);
    const fastestMs = Math.min(...links.map((link) => this.#rtts.get(link) ?? 0));
    const near = links.filter((link) => (this.#rtts.get(link) ?? 0) <= 1.5 * fastestMs + NEAR_MS);
    return near[(partition + this.#spread) % Math.max(1, near.length)] ?? null;
  }

  isLatency(service: string, structure: string): boolean {
    return isLatency(optionsFor(service, structure, this.#view?.structures ?? []));
  }

  whyNoRoute(partition: number): GridError {
    return whyNoRoute(this.#view, partition);
  }

  refresh(): void {
    const link = this.#peers.links()[0];
    link?.send(viewRequest, this.#peers.address(NO_PARTITION), { lineage: 0, have: 0 });
  }

  // --- connecting

  /** Resolves when a member answered with its view; rejects with a `ConnectError` that lists each address. */
  connect(): Promise<void> {
    const { clock } = this.#ports;
    this.#tick();
    return new Promise((resolve, reject) => {
      const deadline = clock.setTimer(this.#config.connectTimeoutMs, () => {
        this.#onReady = null;
        this.#giveUp = null;
        reject(this.#connectError());
        this.close();
      });
      this.#onReady = () => {
        deadline.cancel();
        this.#onReady = null;
        this.#giveUp = null;
        resolve();
      };
      this.#giveUp = (error) => {
        deadline.cancel();
        this.#onReady = null;
        this.#giveUp = null;
        reject(error);
        this.close();
      };
    });
  }

  #connectError(): ConnectError {
    const reasons = this.#config.members.map((address) => {
      return `  ${address}: ${this.#refusals.get(address) ?? this.#peers.problem(address) ?? 'connected, but it is in no cluster yet'}`;
    });
    return new ConnectError(
      `no member could be reached within ${this.#config.connectTimeoutMs} ms:\n${reasons.join('\n')}`,
    );
  }

  #tick(): void {
    if (this.#state === 'closed') return;
    const { clock } = this.#ports;
    const nowMs = clock.now();
    if (nowMs - this.#tickMs > STALL_MS) this.#resumedMs = nowMs;
    this.#tickMs = nowMs;
    this.#peers.want(this.#wanted(), nowMs);
    this.#follow();
    if (nowMs - this.#pingMs >= PING_MS) {
      this.#pingMs = nowMs;
      for (const link of this.#peers.links()) this.#ping(link, nowMs);
    }
    this.#timer = clock.setTimer(TICK_MS, () => this.#tick());
  }

  #ping(link: Link, nowMs: number): void {
    if (nowMs - Math.max(link.lastHeardMs, this.#resumedMs) > SILENCE_MS) {
      link.close(1001, 'nothing was heard for too long');
      return;
    }
    const body = {
      client: this.calls.client,
      below: this.calls.watermark,
      view: this.view,
      embedded: false,
    };
    this.#pingedMs.set(link, nowMs);
    link.send(ping, this.#peers.address(NO_PARTITION), body);
  }

  #wanted(): Set<string> {
    const known = this.#lineages.addresses(this.#view);
    if (this.#config.routing === 'single') return this.#wantedSingle(known);
    // While nobody is connected, every address that was ever given is tried.
    const seeds = this.#peers.links().length === 0 ? this.#config.members : [];
    return new Set(known.length === 0 ? this.#config.members : [...known, ...seeds]);
  }

  #wantedSingle(known: readonly string[]): Set<string> {
    const all = [...new Set([...this.#config.members, ...known])];
    if (this.#single !== null && this.#peers.problem(this.#single) === null) return new Set([this.#single]);
    const open = all.find((address) => this.#peers.idAt(address) !== null);
    this.#single = open ?? null;
    return new Set(open === undefined ? all : [open]);
  }

  #connected(address: string): void {
    this.#refusals.delete(address);
    this.events.emit('memberConnected', { address });
    if (this.#view !== null) this.#setState('connected');
    const id = this.#peers.idAt(address) ?? '';
    this.near.connected(id);
    if (this.#config.routing === 'single') this.listeners.connectedAnew();
    else this.listeners.connected(id);
    this.calls.routesChanged();
  }

  #refused(address: string, error: GridError): void {
    this.#refusals.set(address, error.message);
    this.#ports.logger.log('warn', 'a member refused the connection', { address, reason: error.message });
    // Trying again changes nothing when every address has refused or is not there.
    const isHopeless = this.#config.members.every(
      (at) => this.#refusals.has(at) || this.#peers.problem(at) !== null,
    );
    if (isHopeless) this.#giveUp?.(error);
  }

  #lost(address: string, link: Link, reason: string): void {
    this.calls.routeClosed(link);
    this.#lineages.lost(link);
    if (this.#state === 'closed') return;
    this.#follow();
    this.events.emit('memberDisconnected', { address, reason });
    if (this.#peers.links().length === 0 && this.#view !== null) this.#setState('disconnected');
  }

  #setState(state: ClientState): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    this.events.emit('state', { state });
  }

  get state(): ClientState {
    return this.#state;
  }

  // --- messages

  #message(link: Link, header: Header, reader: Reader): void {
    if (this.calls.receive(header, reader)) return;
    if (Subscriber.knows(header.message)) {
      this.listeners.receive(header.message, reader);
      return;
    }
    if (this.near.receive(this.#peers.idOf(link) ?? '', header, reader)) return;
    if (header.message === pong.id) this.#ponged(link);
    else if (header.message === viewMessage.id) {
      this.#lineages.told(link, viewMessage.read(reader).view);
      this.#follow();
    } else if (header.message === statusReport.id) {
      this.#inquiries.answered(header.sequence, statusReport.read(reader).json);
    } else if (header.message === adminReply.id) {
      this.#adminWaiters.get(header.sequence)?.(readAdminReply(adminReply.read(reader).json));
    }
  }

  #ponged(link: Link): void {
    const tookMs = this.#ports.clock.now() - (this.#pingedMs.get(link) ?? Number.POSITIVE_INFINITY);
    if (tookMs < 0) return;
    const before = this.#rtts.get(link) ?? tookMs;
    this.#rtts.set(link, before + (tookMs - before) / 4);
  }

  /** Routes by the view that counts most among those that connected members are in. */
  #follow(): void {
    const known = this.#view;
    const nowMs = this.#ports.clock.now();
    const isHeard = (link: Link) => nowMs - Math.max(link.lastHeardMs, this.#resumedMs) < HEARD_MS;
    const view = this.#lineages.choose(known, isHeard);
    if (view === null || view === known) return;
    if (known !== null && known.lineage !== view.lineage) {
      const event = { lineage: view.lineage, from: known.lineage, isFork: view.parent !== null };
      this.#ports.logger.log('warn', 'the client follows another lineage of the cluster', event);
      this.events.emit('lineage', event);
    }
    this.#view = view;
    this.#primaries = view.table.map((entry) => entry.replicas[0]?.member);
    this.#replicas = view.table.map(({ replicas }) =>
      replicas.filter(({ synced }) => synced).map(({ member }) => member),
    );
    this.#peers.want(this.#wanted(), nowMs);
    // A change of a preset waits until the clients have said that they know of it.
    if (view.toggles.count !== (known?.toggles.count ?? 0))
      for (const link of this.#peers.links()) this.#ping(link, nowMs);
    this.#setState('connected');
    this.near.adopted(view);
    this.listeners.adopted(view);
    this.calls.routesChanged();
    this.events.emit('view', { number: view.number, members: view.members.map((member) => member.address) });
    this.#onReady?.();
  }

  // --- status

  /**
   * What the members report, and what the view tells; members that do not answer within 2 s are left out. With
   * one-member routing only the view counts: the other members are not connected.
   */
  async status(): Promise<GridStatus> {
    const { view, reports } = await this.observed();
    const hasConsistent = consistentSyncBackups(view.structures) !== null;
    return statusFromView(this.#config.clusterName, view, reports, hasConsistent);
  }

  /** The view, and what its members say about themselves. */
  async observed(): Promise<{ readonly view: View; readonly reports?: ReadonlyMap<MemberId, MemberReport> }> {
    const view = this.#view as View;
    if (this.#config.routing === 'single') return { view };
    const reports = await this.#inquiries.all(view.members.map(({ id }) => id));
    return { view: this.#view ?? view, reports };
  }

  #askStatus(id: MemberId, sequence: number): boolean {
    const link = this.#peers.link(id);
    link?.send(statusRequest, { ...this.#peers.address(NO_PARTITION), sequence }, {});
    return link !== null;
  }

  // --- orders

  /**
   * Gives an order to the oldest member that is connected, once: an order is not repeated by itself. Rejects with a
   * `ConnectError` when no member is connected, with a `TypeError` for what is no order, and as indeterminate when none
   * answers within `timeoutMs`.
   */
  async admin(command: AdminCommand, timeoutMs: number): Promise<AdminReply> {
    checkAdminCommand(command);
    const member = this.#view?.members.find(({ id }) => this.#peers.link(id) !== null);
    const link = (member === undefined ? null : this.#peers.link(member.id)) ?? this.#peers.links()[0];
    if (link === undefined) throw new ConnectError('no member is connected');
    const sequence = this.#nextOrder++;
    return new Promise((resolve, reject) => {
      const done = (reply: AdminReply | null) => {
        timer.cancel();
        this.#adminWaiters.delete(sequence);
        if (reply !== null) resolve(reply);
        else reject(unansweredOrder(timeoutMs));
      };
      const timer = this.#ports.clock.setTimer(timeoutMs, () => done(null));
      this.#adminWaiters.set(sequence, done);
      link.send(
        adminRequest,
        { ...this.#peers.address(NO_PARTITION), sequence },
        { json: JSON.stringify(command) },
      );
    });
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#setState('closed');
    this.#timer?.cancel();
    this.near.stop();
    this.listeners.stop();
    this.calls.close('the client was shut down');
    this.#inquiries.close();
    for (const done of [...this.#adminWaiters.values()]) done(null);
    this.#peers.close();
  }
}

function unansweredOrder(timeoutMs: number): IndeterminateError {
  const message = `no member has answered the order within ${timeoutMs} ms; whether it was carried out shows in the status`;
  return new IndeterminateError(message, () => Promise.resolve({ outcome: 'unknown' }));
}
