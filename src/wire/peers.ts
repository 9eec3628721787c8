/**
 * Connections that this process dials, one per address: a member's to the other members, a client's to members.
 * Keeps trying the addresses that are wanted, with back-off, greets, and tells when an address answers as another
 * process than before. A member sends everything on these and receives on those that others dialled to it.
 */
import type { Reader } from '../base/bytes.js';
import { errorFromWire, type GridError } from '../base/errors.js';
import type { Clock, CloseReason, Logger, Random, Transport } from '../base/ports.js';
import { type Address, type Header, NO_PARTITION } from './frame.js';
import { CLOSE_NORMAL, CLOSE_SESSION_END, Link, MAX_MESSAGE_BYTES } from './link.js';
import type { BodyOf, MessageDef } from './message.js';
import { hello, refusal, welcome } from './messages.js';
import { PROTOCOL_VERSION, PROTOCOL_VERSION_MIN } from './version.js';

const HANDSHAKE_MS = 5000;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;
/** Where nobody has answered yet somebody may be starting, and should hear of us before it founds a cluster. */
const MAX_FIRST_RETRY_MS = 400;

export interface PeersHost {
  /** The other end of an address said who it is. */
  identified(address: string, id: string): void;
  /** The other end refused this member for good. */
  refused(address: string, error: GridError): void;
  /** View and lineage for headers. */
  where(): { readonly view: number; readonly lineage: number };
  /** A message that came back on a connection; members get none there. */
  message?(link: Link, header: Header, reader: Reader): void;
  lost?(address: string, link: Link, reason: CloseReason): void;
}

/** What this process says about itself; the versions are added. */
export type Greeting = Omit<BodyOf<typeof hello>, 'versionMin' | 'versionMax'>;

interface Peer {
  readonly address: string;
  id: string | null;
  link: Link | null;
  ready: boolean;
  dialledMs: number;
  retryAtMs: number;
  failures: number;
  /** Why the last attempt failed, for people; null before the first one ended. */
  problem: string | null;
}

export class Peers {
  readonly #greeting: Greeting;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #transport: Transport;
  readonly #logger: Logger;
  readonly #host: PeersHost;
  readonly #maxQueuedBytes: number;
  readonly #byAddress = new Map<string, Peer>();
  readonly #byId = new Map<string, Peer>();
  #closed = false;

  constructor(
    greeting: Greeting,
    ports: { clock: Clock; random: Random; transport: Transport; logger: Logger },
    maxQueuedBytes: number,
    host: PeersHost,
  ) {
    this.#greeting = greeting;
    this.#clock = ports.clock;
    this.#random = ports.random;
    this.#transport = ports.transport;
    this.#logger = ports.logger;
    this.#maxQueuedBytes = maxQueuedBytes;
    this.#host = host;
  }

  /** The open connection to a member, or null. */
  link(id: string): Link | null {
    const peer = this.#byId.get(id);
    if (peer === undefined) return null;
    return isOpen(peer) && peer.id === id ? peer.link : this.#otherLink(id);
  }

  /** A process may be reached at several addresses (its own, a service name): any open connection to it will do. */
  #otherLink(id: string): Link | null {
    for (const peer of this.#byAddress.values()) {
      if (peer.id !== id || !isOpen(peer)) continue;
      this.#byId.set(id, peer);
      return peer.link;
    }
    return null;
  }

  /** Who is at the other end of a connection, or null. */
  idOf(link: Link): string | null {
    for (const peer of this.#byAddress.values()) if (peer.link === link) return peer.id;
    return null;
  }

  idAt(address: string): string | null {
    const peer = this.#byAddress.get(address);
    return peer?.ready === true ? peer.id : null;
  }

  /**
   * A process has called and says that this is its address: a connection there to another process, whose end was never
   * heard of, is given up.
   */
  calledFrom(address: string, id: string): void {
    const peer = this.#byAddress.get(address);
    if (peer?.ready === true && peer.id !== id)
      peer.link?.close(CLOSE_NORMAL, 'another process has this address now');
  }

  /** Whether a connection to the address is open, be it before or after the handshake. */
  isConnected(address: string): boolean {
    return this.#byAddress.get(address)?.link?.isOpen === true;
  }

  /** Who is at the other ends of open connections. */
  ids(): string[] {
    return [...this.#byAddress.values()].flatMap((peer) =>
      isOpen(peer) && peer.id !== null ? [peer.id] : [],
    );
  }

  /** All open connections. */
  links(): Link[] {
    const links: Link[] = [];
    for (const { ready, link } of this.#byAddress.values())
      if (ready && link?.isOpen === true) links.push(link);
    return links;
  }

  /** Why an address is not connected, or null while the first attempt runs. */
  problem(address: string): string | null {
    return this.#byAddress.get(address)?.problem ?? null;
  }

  /** Sends if the member is connected; otherwise the message is lost, as any message may be. */
  send<T>(to: string, def: MessageDef<T>, body: T, partition = NO_PARTITION): void {
    this.link(to)?.send(def, this.address(partition), body);
  }

  address(partition: number): Address {
    const { view, lineage } = this.#host.where();
    return { partition, view, lineage, client: 0, sequence: 0 };
  }

  /** Keeps connections to exactly these addresses; to be called at each tick. */
  want(addresses: ReadonlySet<string>, nowMs: number): void {
    if (this.#closed) return;
    for (const address of addresses) {
      let peer = this.#byAddress.get(address);
      if (peer === undefined) {
        peer = {
          address,
          id: null,
          link: null,
          ready: false,
          dialledMs: 0,
          retryAtMs: nowMs,
          failures: 0,
          problem: null,
        };
        this.#byAddress.set(address, peer);
      }
      if (peer.link === null && nowMs >= peer.retryAtMs) this.#dial(peer, nowMs);
      else if (peer.link !== null && !peer.ready && nowMs - peer.dialledMs > HANDSHAKE_MS) {
        peer.link.close(CLOSE_NORMAL, 'no answer to the handshake');
      }
    }
    for (const peer of this.#byAddress.values()) if (!addresses.has(peer.address)) this.#drop(peer);
  }

  #dial(peer: Peer, nowMs: number): void {
    const link = new Link({
      clock: this.#clock,
      logger: this.#logger,
      maxQueuedBytes: this.#maxQueuedBytes,
      owner: {
        opened: (opened) => this.#greet(opened),
        message: (from, header, reader) => this.#answer(peer, from, header, reader),
        closed: (_link, reason) => this.#lost(peer, link, reason),
      },
    });
    peer.link = link;
    peer.ready = false;
    peer.dialledMs = nowMs;
    link.attach(this.#transport.dial(peer.address, link));
  }

  #greet(link: Link): void {
    link.send(hello, this.address(NO_PARTITION), {
      ...this.#greeting,
      versionMin: PROTOCOL_VERSION_MIN,
      versionMax: PROTOCOL_VERSION,
    });
  }

  #answer(peer: Peer, link: Link, header: Header, reader: Reader): void {
    if (header.message === welcome.id) {
      const { id } = welcome.read(reader);
      link.maxMessageBytes = MAX_MESSAGE_BYTES;
      this.#identified(peer, id);
    } else if (header.message === refusal.id) {
      const { error, message } = refusal.read(reader);
      peer.problem = message;
      link.close(CLOSE_NORMAL, 'refused');
      this.#host.refused(peer.address, errorFromWire(error, message));
    } else if (peer.ready) {
      this.#host.message?.(link, header, reader);
    }
  }

  #identified(peer: Peer, id: string): void {
    peer.id = id;
    peer.ready = true;
    peer.failures = 0;
    peer.problem = null;
    if (this.link(id) === null) this.#byId.set(id, peer);
    this.#host.identified(peer.address, id);
  }

  #lost(peer: Peer, link: Link, reason: CloseReason): void {
    this.#host.lost?.(peer.address, link, reason);
    if (peer.link !== link) return;
    peer.link = null;
    peer.ready = false;
    peer.failures++;
    if (peer.problem === null || reason.code === 0)
      peer.problem = reason.reason || `connection lost (${reason.code})`;
    const maxMs = peer.id === null ? MAX_FIRST_RETRY_MS : MAX_RETRY_MS;
    const backoff = Math.min(maxMs, FIRST_RETRY_MS * 2 ** Math.min(peer.failures - 1, 6));
    peer.retryAtMs = this.#clock.now() + backoff * (0.75 + this.#random.float() / 2);
  }

  #drop(peer: Peer, code = CLOSE_NORMAL, reason = 'not needed any more'): void {
    this.#byAddress.delete(peer.address);
    if (peer.id !== null && this.#byId.get(peer.id) === peer && this.#otherLink(peer.id) === null) {
      this.#byId.delete(peer.id);
    }
    const { link } = peer;
    peer.link = null;
    link?.close(code, reason);
  }

  /** This process ends. */
  close(): void {
    this.#closed = true;
    for (const peer of [...this.#byAddress.values()]) this.#drop(peer, CLOSE_SESSION_END, 'shut down');
  }
}

function isOpen(peer: Peer): boolean {
  return peer.ready && peer.link?.isOpen === true;
}
