/**
 * Connections that others dialled to this member: the handshake, with a deadline, and then their messages, told
 * apart by who sent them. Keeps the list of clients.
 */
import type { Reader } from '../base/bytes.js';
import { ProtocolError } from '../base/errors.js';
import type { Clock, CloseReason, Connection, ConnectionHandler, Logger, Timer } from '../base/ports.js';
import type { MemberId } from '../cluster/view.js';
import { type Address, type Header, NO_PARTITION } from '../wire/frame.js';
import { type Identity, judge } from '../wire/handshake.js';
import {
  CLOSE_GOING_AWAY,
  CLOSE_NORMAL,
  CLOSE_POLICY,
  CLOSE_SESSION_END,
  Link,
  MAX_MESSAGE_BYTES,
} from '../wire/link.js';
import { hello, refusal, welcome } from '../wire/messages.js';

const HANDSHAKE_MS = 5000;

/** A client connection. */
export interface ClientLink {
  readonly link: Link;
  readonly id: string;
  /** It talks to this member only, which forwards to the primaries. */
  readonly singleMember: boolean;
}

export interface InboundHost {
  where(): { readonly view: number; readonly lineage: number };
  memberSaidHello(id: MemberId, address: string): void;
  fromMember(id: MemberId, header: Header, reader: Reader): void;
  clientOpened(client: ClientLink): void;
  fromClient(client: ClientLink, header: Header, reader: Reader): void;
  /** `isEnd`: it has shut down. */
  clientClosed(client: ClientLink, isEnd: boolean): void;
}

export class Inbound {
  readonly #identity: Identity;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxQueuedBytes: number;
  readonly #host: InboundHost;
  readonly #links = new Set<Link>();
  readonly clients = new Set<ClientLink>();
  readonly #members = new Map<Link, MemberId>();

  constructor(identity: Identity, clock: Clock, logger: Logger, maxQueuedBytes: number, host: InboundHost) {
    this.#identity = identity;
    this.#clock = clock;
    this.#logger = logger;
    this.#maxQueuedBytes = maxQueuedBytes;
    this.#host = host;
  }

  accept(connection: Connection): ConnectionHandler {
    const guest = new Guest();
    const link = new Link({
      clock: this.#clock,
      logger: this.#logger,
      maxQueuedBytes: this.#maxQueuedBytes,
      owner: {
        opened: () => {},
        message: (from, header, reader) => this.#message(guest, from, header, reader),
        closed: (closed, reason) => this.#closed(guest, closed, reason),
      },
    }).attach(connection);
    this.#links.add(link);
    guest.deadline = this.#clock.setTimer(HANDSHAKE_MS, () =>
      link.close(CLOSE_POLICY, 'no handshake in time'),
    );
    return link;
  }

  #address(): Address {
    return { partition: NO_PARTITION, ...this.#host.where(), client: 0, sequence: 0 };
  }

  #message(guest: Guest, link: Link, header: Header, reader: Reader): void {
    if (guest.member !== null) this.#host.fromMember(guest.member, header, reader);
    else if (guest.client !== null) this.#host.fromClient(guest.client, header, reader);
    else this.#greeted(guest, link, header, reader);
  }

  #greeted(guest: Guest, link: Link, header: Header, reader: Reader): void {
    if (header.message !== hello.id) throw new ProtocolError('the first message was no hello');
    const body = hello.read(reader);
    const verdict = judge(this.#identity, body);
    if ('refusal' in verdict) {
      this.#logger.log('warn', 'handshake refused', {
        remote: link.remoteAddress,
        reason: verdict.refusal.message,
      });
      link.send(refusal, this.#address(), verdict.refusal);
      link.close(CLOSE_NORMAL, 'handshake refused');
      return;
    }
    guest.deadline?.cancel();
    link.maxMessageBytes = MAX_MESSAGE_BYTES;
    link.send(welcome, this.#address(), verdict.welcome);
    if (body.role === 'member') {
      guest.member = body.id;
      this.#members.set(link, body.id);
      this.#host.memberSaidHello(body.id, body.address);
      return;
    }
    guest.client = { link, id: body.id, singleMember: body.singleMember };
    this.clients.add(guest.client);
    this.#host.clientOpened(guest.client);
  }

  #closed(guest: Guest, link: Link, reason: CloseReason): void {
    this.#links.delete(link);
    this.#members.delete(link);
    guest.deadline?.cancel();
    if (guest.client === null) return;
    this.clients.delete(guest.client);
    this.#host.clientClosed(guest.client, reason.code === CLOSE_SESSION_END);
  }

  /** Whether a member has a connection to this one open. */
  isConnectedFrom(id: MemberId): boolean {
    for (const member of this.#members.values()) if (member === id) return true;
    return false;
  }

  close(): void {
    for (const link of [...this.#links]) link.close(CLOSE_GOING_AWAY, 'the member shuts down');
  }
}

class Guest {
  member: MemberId | null = null;
  client: ClientLink | null = null;
  deadline: Timer | null = null;
}
