/**
 * Links that can be cut, held and delayed, between members and clients that are real processes: a TCP proxy in front
 * of each member, which the member gives as its advertised address. Whoever dials a proxy tells who it is with its
 * first message (`hello`): a member by its own advertised address; a client by the name that `nameClients` gave to
 * newcomers when it came. So there is one link for each ordered pair: the dialler and the member that it dialled.
 * Members send on what they dialled, so a link that is cut one way is a one-way cut.
 * Invariant: until the dialler is known, bytes pass; from then on they obey the state of the link. The tests of splits on
 * real processes use it.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Reader } from '../src/base/bytes.js';
import { Header } from '../src/wire/frame.js';
import { hello } from '../src/wire/messages.js';

/**
 * `pass`; `cut`: connections are reset, as by a firewall that rejects; `hold`: bytes are kept and nobody is told, as
 * by one that drops, and go on when the link passes again; a number: every byte is this many ms late.
 */
export type LinkState = 'pass' | 'cut' | 'hold' | number;

/** Whoever speaks no WebSocket: health pages. Never cut. */
const NOBODY = 'nobody';
/** More than a dialler sends before its `hello` is whole. */
const MAX_HEAD_BYTES = 65_536;

interface Door {
  readonly name: string;
  readonly server: Server;
}

/** Where a member has to listen, and what it gives as its address. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly advertisedAddress: string;
}

export class LinkProxies implements AsyncDisposable {
  readonly #doors: Door[] = [];
  /** Names of members by advertised address. */
  readonly #members = new Map<string, string>();
  /** Names of clients by the id of their session. */
  readonly #clients = new Map<string, string>();
  readonly #states = new Map<string, LinkState>();
  readonly #relays = new Set<Relay>();
  #newcomers = 'client';

  /** A proxy for a member that is to be started at the place that this tells. */
  async add(name: string): Promise<Place> {
    // The port that is free at the proxy's address is taken at an address of the member's own: no two meet.
    const host = `127.1.0.${this.#doors.length + 1}`;
    const server = createServer((socket) => this.#accept(socket, name, host));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address() as { port: number };
    const advertisedAddress = `127.0.0.1:${port}`;
    this.#doors.push({ name, server });
    this.#members.set(advertisedAddress, name);
    return { host, port, advertisedAddress };
  }

  /** Clients that come from now on, for the first time, have this name. */
  nameClients(name: string): void {
    this.#newcomers = name;
  }

  /** Sets the links from one to another, in this direction only. */
  set(from: string, to: string, state: LinkState): void {
    this.#states.set(linkOf(from, to), state);
    for (const relay of this.#relays) if (relay.from === from && relay.to === to) relay.obey(state);
  }

  /** Sets all links between two groups, both ways. */
  between(left: readonly string[], right: readonly string[], state: LinkState): void {
    for (const a of left) {
      for (const b of right) {
        this.set(a, b, state);
        this.set(b, a, state);
      }
    }
  }

  /** Connections that are open now from one to another. */
  count(from: string, to: string): number {
    return [...this.#relays].filter((relay) => relay.from === from && relay.to === to).length;
  }

  #accept(socket: Socket, to: string, host: string): void {
    const { localPort: port } = socket;
    const relay: Relay = new Relay(socket, connect({ host, port: port as number }), to, {
      identify: (head) => this.#identify(head),
      stateOf: (from) => this.#states.get(linkOf(from, to)) ?? 'pass',
      ended: () => this.#relays.delete(relay),
    });
    this.#relays.add(relay);
  }

  /** Who sent this, or null while that cannot be told. */
  #identify(head: Buffer): string | null {
    const payload = firstFrame(head);
    if (payload === null) return head.length > MAX_HEAD_BYTES ? NOBODY : null;
    const reader = new Reader(payload);
    const header = new Header();
    header.read(reader);
    if (header.message !== hello.id) return NOBODY;
    const { role, id, address } = hello.read(reader);
    if (role === 'member') return this.#members.get(address) ?? NOBODY;
    const known = this.#clients.get(id) ?? this.#newcomers;
    this.#clients.set(id, known);
    return known;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const relay of this.#relays) relay.destroy();
    await Promise.all(
      this.#doors.map(({ server }) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
  }
}

function linkOf(from: string, to: string): string {
  return `${from}>${to}`;
}

/** Payload of the first WebSocket frame after the HTTP request, or null while it is not all there. */
function firstFrame(head: Buffer): Buffer | null {
  const end = head.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const frame = head.subarray(end + 4);
  if (frame.length < 2) return null;
  const short = (frame[1] as number) & 0x7f;
  // A hello is small; elsegrid masks with zeros, so the payload is as it was.
  const [size, at] = short < 126 ? [short, 6] : [frame.length < 4 ? Infinity : frame.readUInt16BE(2), 8];
  return frame.length < at + size ? null : frame.subarray(at, at + size);
}

interface RelayHost {
  identify(head: Buffer): string | null;
  stateOf(from: string): LinkState;
  ended(): void;
}

/** One connection through a proxy: two sockets, and what is kept of each direction. */
class Relay {
  readonly to: string;
  from: string | null = null;
  readonly #host: RelayHost;
  readonly #pipes: readonly [Pipe, Pipe];
  readonly #sockets: readonly [Socket, Socket];
  #head: Buffer | null = Buffer.alloc(0);

  constructor(dialler: Socket, member: Socket, to: string, host: RelayHost) {
    this.to = to;
    this.#host = host;
    this.#sockets = [dialler, member];
    this.#pipes = [new Pipe(dialler, member), new Pipe(member, dialler)];
    for (const socket of this.#sockets) {
      socket.setNoDelay(true);
      // An end that was reset tells so again with its 'close'.
      socket.on('error', () => {});
      socket.on('close', () => this.#closed());
    }
    dialler.on('data', (bytes) => this.#dialled(bytes));
    member.on('data', (bytes) => this.#pipes[1].push(bytes));
  }

  #dialled(bytes: Buffer): void {
    if (this.#head !== null) {
      this.#head = Buffer.concat([this.#head, bytes]);
      this.from = this.#host.identify(this.#head);
      if (this.from !== null) {
        this.#head = null;
        this.obey(this.#host.stateOf(this.from));
      }
    }
    this.#pipes[0].push(bytes);
  }

  obey(state: LinkState): void {
    if (state === 'cut') this.destroy();
    else for (const pipe of this.#pipes) pipe.set(state);
  }

  #closed(): void {
    // What one side sent before it closed is still delivered, unless the link holds it.
    for (const pipe of this.#pipes) pipe.end();
    if (this.#sockets.every((socket) => socket.destroyed)) this.#host.ended();
  }

  /** Both sides see a reset. */
  destroy(): void {
    for (const pipe of this.#pipes) pipe.destroy();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#host.ended();
  }
}

/** One direction of a connection. */
class Pipe {
  readonly #source: Socket;
  readonly #target: Socket;
  readonly #waiting: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
  #state: Exclude<LinkState, 'cut'> = 'pass';
  #timer: NodeJS.Timeout | null = null;
  #isEnding = false;

  constructor(source: Socket, target: Socket) {
    this.#source = source;
    this.#target = target;
    target.on('drain', () => this.#flow());
  }

  set(state: Exclude<LinkState, 'cut'>): void {
    this.#state = state;
    this.#flow();
  }

  push(bytes: Buffer): void {
    const delayMs = typeof this.#state === 'number' ? this.#state : 0;
    this.#waiting.push({ bytes, dueMs: performance.now() + delayMs });
    this.#flow();
  }

  /** The source is closed: nothing more comes. */
  end(): void {
    this.#isEnding ||= this.#source.destroyed;
    this.#flow();
  }

  destroy(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#waiting.length = 0;
    this.#state = 'hold';
  }

  /** Sends what is due, and stops reading while the target or the link takes nothing. */
  #flow(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#state === 'hold') {
      this.#source.pause();
      return;
    }
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const waitMs = next.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#flow(), waitMs);
        return;
      }
      this.#waiting.shift();
      if (!this.#target.destroyed && !this.#target.write(next.bytes)) {
        this.#source.pause();
        return;
      }
    }
    if (this.#isEnding) this.#target.destroySoon();
    else this.#source.resume();
  }
}
