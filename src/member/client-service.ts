/**
 * What a member does for clients: runs their calls, forwards those of clients that talk to this member only, pushes
 * views, answers pings and questions about status. Called by the member's composition.
 */
import type { Executor } from '../../partitions/executor.js';
import type { Reader } from '../base/bytes.js';
import { viewMessage, viewRequest } from '../cluster/messages.js';
import type { MemberId, View } from '../cluster/view.js';
import { type AdminCommand, type AdminReply, readAdminCommand } from '../policy/admin.js';
import { adminReply, adminRequest, statusReport, statusRequest } from '../policy/messages.js';
import type { MemberReport } from '../policy/status.js';
import { type Address, HEADER_BYTES, type Header, NO_PARTITION } from '../wire/frame.js';
import { CLOSE_PROTOCOL, type Link } from '../wire/link.js';
import type { BodyOf } from '../wire/message.js';
import { callerGone, ping, pong, resolveCall } from '../wire/messages.js';
import type { ClientLink } from './inbound.js';
import { dispatchCall } from './local-route.js';
import type { NearSide } from './near-side.js';
import { LinkSink } from './sinks.js';

export interface ClientServiceHost {
  readonly self: MemberId;
  readonly view: View | null;
  where(): { readonly view: number; readonly lineage: number };
  linkTo(member: MemberId): Link | null;
  readonly near: NearSide;
  ping(body: BodyOf<typeof ping>, singleMember: boolean): void;
  report(): MemberReport;
  admin(command: AdminCommand, answer: (reply: AdminReply) => void): void;
  now(): number;
  /** The client of the session has shut down. */
  sessionEnded(client: number): void;
}

interface Guest {
  readonly client: ClientLink;
  readonly sink: LinkSink;
  /** Number of the client's session, 0 before its first call and ping. */
  session: number;
  /** Number of the newest view of this member's lineage that it has confirmed. */
  confirmed: number;
  /** Changes of presets that the newest view counts which it was sent. */
  toggles: number;
  /** Number of the newest view that it was sent. */
  sent: number;
  /** Since when one that it was sent is not confirmed; null when it has confirmed the newest. */
  waitedSinceMs: number | null;
}

/** Clients that do not confirm a view within this time are not waited for. */
const CONFIRM_MS = 2_000;

export class ClientService {
  readonly #executor: Executor;
  readonly #host: ClientServiceHost;
  readonly #guests = new Map<ClientLink, Guest>();
  /** By session number: clients whose calls this member forwards. */
  readonly #forwarding = new Map<number, ClientLink>();

  /** Numbers of views mean nothing in another one. */
  #lineage = '';

  constructor(executor: Executor, host: ClientServiceHost) {
    this.#executor = executor;
    this.#host = host;
    host.near.listening.forwardAnswer = (header, reader) => this.forwardAnswer(header, reader);
  }

  opened(client: ClientLink): void {
    const sink = new LinkSink(
      () => client.link,
      () => this.#host.where(),
    );
    this.#guests.set(client, {
      client,
      sink,
      session: 0,
      confirmed: 0,
      toggles: 0,
      sent: 0,
      waitedSinceMs: null,
    });
    const { view } = this.#host;
    if (view !== null) this.#sendView(client, view);
  }

  closed(client: ClientLink, isEnd: boolean): void {
    this.#host.near.watchers.closed(client);
    const guest = this.#guests.get(client);
    if (guest !== undefined) this.#executor.parked.gone(guest.sink);
    this.#guests.delete(client);
    for (const [session, link] of this.#forwarding) if (link === client) this.#endForwarding(session, isEnd);
    if (isEnd && guest !== undefined) this.#host.sessionEnded(guest.session);
  }

  /** Its calls may wait at any member. */
  #endForwarding(session: number, ended: boolean): void {
    this.#forwarding.delete(session);
    const address = { ...this.#address(), client: session };
    for (const { id } of this.#host.view?.members ?? [])
      if (id !== this.#host.self) this.#host.linkTo(id)?.send(callerGone, address, { ended });
  }

  viewAdopted(view: View): void {
    if (view.lineage !== this.#lineage)
      for (const guest of this.#guests.values())
        Object.assign(guest, { confirmed: 0, sent: 0, waitedSinceMs: null });
    this.#lineage = view.lineage;
    for (const { client } of this.#guests.values()) this.#sendView(client, view);
  }

  #address(sequence = 0): Address {
    return { partition: NO_PARTITION, ...this.#host.where(), client: 0, sequence };
  }

  /**
   * Whether all clients know this view or a later one, or have been waited for long enough: those with near caches until
   * what they were told before has grown too old to be used, also when their connection has ended since.
   */
  confirmed(viewNumber: number, nowMs: number): boolean {
    const { watchers } = this.#host.near;
    if (nowMs < watchers.goneUntilMs) return false;
    for (const { client, confirmed, waitedSinceMs } of this.#guests.values()) {
      if (confirmed >= viewNumber || waitedSinceMs === null) continue;
      if (nowMs - waitedSinceMs < Math.max(CONFIRM_MS, watchers.stalenessMs(client))) return false;
    }
    return true;
  }

  #sendView(client: ClientLink, view: View): void {
    const guest = this.#guests.get(client);
    if (guest !== undefined && view.number > guest.confirmed) {
      guest.sent = view.number;
      // What it knew of an earlier view it may have been told anew until now.
      if (guest.toggles !== view.toggles.count) guest.waitedSinceMs = this.#host.now();
      guest.toggles = view.toggles.count;
      guest.waitedSinceMs ??= this.#host.now();
    }
    client.link.send(viewMessage, this.#address(), { view, fences: null });
  }

  message(client: ClientLink, header: Header, reader: Reader): void {
    if (!this.#isOwnSession(client, header.client)) {
      client.link.close(CLOSE_PROTOCOL, 'one connection carries the calls of one session');
      return;
    }
    if (client.singleMember && this.#forwardCall(client, header, reader)) return;
    const sink = this.#guests.get(client)?.sink;
    if (sink === undefined || dispatchCall(this.#executor, header, reader, sink)) return;
    if (this.#host.near.fromClient(client, header, reader)) return;
    const forwards = () => void this.#forwarding.set(header.client, client);
    if (this.#host.near.listening.fromClient(client.link, header, reader, forwards)) return;
    switch (header.message) {
      case ping.id:
        this.#onPing(client, header, ping.read(reader));
        return;
      case viewRequest.id:
        if (this.#host.view !== null) this.#sendView(client, this.#host.view);
        return;
      case statusRequest.id:
        client.link.send(statusReport, this.#address(header.sequence), {
          json: JSON.stringify(this.#host.report()),
        });
        return;
      case adminRequest.id: {
        // Of the header, which is another message's when the answer comes.
        const { sequence } = header;
        this.#host.admin(readAdminCommand(adminRequest.read(reader).json), (answer) => {
          if (!this.#guests.has(client)) return;
          client.link.send(adminReply, this.#address(sequence), { json: JSON.stringify(answer) });
        });
        return;
      }
      default:
        client.link.close(CLOSE_PROTOCOL, `unknown message ${header.message}`);
    }
  }

  /** A connection has one session: else a client could fill the windows of all partitions with sessions. */
  #isOwnSession(client: ClientLink, session: number): boolean {
    const guest = this.#guests.get(client);
    if (guest === undefined || session === 0) return true;
    if (guest.session === 0) guest.session = session;
    return guest.session === session;
  }

  /** A call of a client that only talks to this member goes on to its primary, under the client's call id. */
  #forwardCall(client: ClientLink, header: Header, reader: Reader): boolean {
    if (header.sequence === 0 || header.client === 0) return false;
    // Nothing but calls: whatever else a client sends must not reach another member as if this one had said it.
    if (!this.#executor.knows(header.message) && header.message !== resolveCall.id) return false;
    const primary = this.#host.view?.table[header.partition]?.replicas[0]?.member;
    if (primary === undefined || primary === this.#host.self) return false;
    this.#forwarding.set(header.client, client);
    const link = this.#host.linkTo(primary);
    if (link?.isCongested === true) {
      const { partition, client: number, sequence } = header;
      const call = { partition, client: number, sequence };
      const why = 'the connection to the primary of the partition is full';
      this.#guests.get(client)?.sink.fail(call, 'Overload', false, why);
    } else link?.forward(wholeMessage(reader));
    return true;
  }

  /** The answer to a call that was forwarded. */
  forwardAnswer(header: Header, reader: Reader): void {
    this.#forwarding.get(header.client)?.link.forward(wholeMessage(reader));
  }

  #onPing(client: ClientLink, { lineage }: Header, body: BodyOf<typeof ping>): void {
    client.link.send(pong, this.#address(), {});
    const guest = this.#guests.get(client);
    if (guest?.session === 0) guest.session = body.client;
    if (guest !== undefined && lineage === this.#host.where().lineage)
      confirm(guest, body.view, this.#host.now());
    this.#host.ping(body, client.singleMember);
    const { view } = this.#host;
    if (view !== null && body.view < view.number) this.#sendView(client, view);
  }
}

function confirm(guest: Guest, viewNumber: number, nowMs: number): void {
  if (viewNumber <= guest.confirmed) return;
  guest.confirmed = viewNumber;
  guest.waitedSinceMs = viewNumber < guest.sent ? nowMs : null;
}

/** The reader stands at the body: the header is right before it. */
function wholeMessage(reader: Reader): Uint8Array {
  return reader.bytes.subarray(reader.offset - HEADER_BYTES, reader.end);
}
