/**
 * The simulated network: hosts, listeners, and a link for each ordered pair of hosts. `transport(host, clock)` is
 * the Transport port of one process; the rest is what nemeses call. Faults are per direction. Invariants: all
 * chance comes from the seed, one stream per link; no process shares memory with another; nothing is delivered
 * to a process that is paused or dead.
 *
 * A cut swallows what is sent or arrives while it lasts, and nobody is told: the connections stay open until
 * someone closes them. A crash resets the connections of a host; where the path is cut, the peer learns of
 * it only when its next frame gets through.
 */
import { PortInUseError } from '../../src/base/errors.js';
import type {
  Connection,
  ConnectionHandler,
  Listener,
  ListenOptions,
  Transport,
} from '../../src/base/ports.js';
import { SimConnection, type Wire } from './connection.js';
import type { Journal } from './journal.js';
import { DEFAULT_LINK, Link, type LinkOptions } from './link.js';
import type { Scheduler, SimClock } from './virtual-clock.js';

export interface SimNetworkOptions {
  readonly scheduler: Scheduler;
  readonly seed: number;
  readonly journal?: Journal;
  /** What every link starts with, on top of `DEFAULT_LINK`. */
  readonly link?: Partial<LinkOptions>;
  /** A dial that nobody answers fails after this. */
  readonly dialTimeoutMs?: number;
  /** A connection calls `drained` when it falls below this many unsent bytes after it was above. */
  readonly highWaterMarkBytes?: number;
  /** Loss spares the first frame of each end of a connection. Default: it does not. */
  readonly firstFramesArrive?: boolean;
}

const FIRST_EPHEMERAL_PORT = 49_152;

interface Bound {
  readonly host: string;
  readonly clock: SimClock;
  readonly options: ListenOptions;
  readonly accepted: Set<SimConnection>;
}

interface Dial {
  readonly address: string;
  readonly clock: SimClock;
  readonly connection: SimConnection;
  readonly forth: Link;
  readonly back: Link;
}

export class SimNetwork {
  readonly #wire: Wire;
  readonly #seed: number;
  readonly #dialTimeoutMs: number;
  readonly #initialLink: LinkOptions;
  #defaultLink: LinkOptions;
  readonly #links = new Map<string, Link>();
  readonly #bound = new Map<string, Bound>();
  readonly #connections = new Map<string, Set<SimConnection>>();
  readonly #processes = new Map<string, Set<SimClock>>();
  readonly #nextPort = new Map<string, number>();

  constructor(options: SimNetworkOptions) {
    this.#wire = {
      scheduler: options.scheduler,
      journal: options.journal,
      highWaterMarkBytes: options.highWaterMarkBytes ?? 1024 * 1024,
      firstFramesArrive: options.firstFramesArrive ?? false,
    };
    this.#seed = options.seed;
    this.#dialTimeoutMs = options.dialTimeoutMs ?? 3_000;
    this.#initialLink = { ...DEFAULT_LINK, ...options.link };
    this.#defaultLink = this.#initialLink;
  }

  /** The Transport port of the process on `host` whose time is `clock`. A restarted process asks again. */
  transport(host: string, clock: SimClock): Transport {
    entry(this.#processes, host).add(clock);
    return {
      listen: async (options) => this.#listen(host, clock, options),
      dial: (address, handler) => this.#dial(host, clock, address, handler),
    };
  }

  /** Swallows everything from `from` to `to`; the other direction is not touched. */
  cut(from: string, to: string): void {
    this.#record('link cut', `${from}>${to}`);
    this.#link(from, to).cut();
  }

  heal(from: string, to: string): void {
    this.#record('link healed', `${from}>${to}`);
    this.#link(from, to).heal();
  }

  /** Cuts both directions between hosts of different groups; hosts in no group keep all their links. */
  partition(...groups: readonly (readonly string[])[]): void {
    for (const group of groups) {
      for (const other of groups) {
        if (other === group) continue;
        for (const from of group) for (const to of other) this.cut(from, to);
      }
    }
  }

  /** What arrives on `from`>`to` waits until `release`, and is then delivered in order. */
  hold(from: string, to: string): void {
    this.#record('link held', `${from}>${to}`);
    this.#link(from, to).hold();
  }

  release(from: string, to: string): void {
    this.#record('link released', `${from}>${to}`);
    const link = this.#link(from, to);
    const { scheduler } = this.#wire;
    // A cut that began meanwhile swallows what was held, as it does with everything that arrives.
    for (const deliver of link.release()) scheduler.schedule(scheduler.now, () => link.pass(deliver));
  }

  /** Ends all cuts and holds. */
  healAll(): void {
    for (const link of this.#links.values()) {
      if (link.isCut) this.heal(link.from, link.to);
    }
    for (const link of this.#links.values()) {
      if (link.isHeld) this.release(link.from, link.to);
    }
  }

  /** Changes some options of one direction. */
  setLink(from: string, to: string, options: Partial<LinkOptions>): void {
    this.#record('link set', `${from}>${to} ${JSON.stringify(options)}`);
    const link = this.#link(from, to);
    link.options = { ...link.options, ...options };
  }

  /** Changes some options of all links, those to come included. */
  setAllLinks(options: Partial<LinkOptions>): void {
    this.#record('all links set', JSON.stringify(options));
    this.#defaultLink = { ...this.#defaultLink, ...options };
    for (const link of this.#links.values()) link.options = { ...link.options, ...options };
  }

  /** Ends all cuts and holds, and gives every link the options that the network started with. */
  calm(): void {
    this.healAll();
    this.#defaultLink = this.#initialLink;
    for (const link of this.#links.values()) link.options = this.#initialLink;
    this.#record('all links calm', '');
  }

  /** Kills the processes on `host`: their clocks stop, their listeners and connections are gone. */
  crash(host: string): void {
    this.#record('crash', host);
    for (const clock of entry(this.#processes, host)) clock.stop();
    this.#processes.delete(host);
    for (const [address, bound] of this.#bound) if (bound.host === host) this.#bound.delete(address);
    for (const link of this.#links.values()) if (link.from === host) link.vacate(this.#wire.scheduler.now);
    for (const connection of [...entry(this.#connections, host)]) connection.die();
  }

  #listen(host: string, clock: SimClock, options: ListenOptions): Listener {
    const port = options.port === 0 ? this.#freePort(host) : options.port;
    const address = `${host}:${port}`;
    if (this.#bound.has(address)) throw new PortInUseError(`port ${port} of ${host} is taken`);
    const bound: Bound = { host, clock, options, accepted: new Set() };
    this.#bound.set(address, bound);
    this.#record('listen', address);
    const close = async (): Promise<void> => {
      if (this.#bound.get(address) === bound) this.#bound.delete(address);
      for (const connection of [...bound.accepted]) connection.close(1001, 'the listener was closed');
    };
    return { port, close };
  }

  #dial(host: string, clock: SimClock, address: string, handler: ConnectionHandler): Connection {
    const remoteHost = address.slice(0, address.lastIndexOf(':'));
    const localAddress = `${host}:${this.#freePort(host)}`;
    const forth = this.#link(host, remoteHost);
    const end = { host, clock, out: forth, localAddress, remoteAddress: address };
    const connection = this.#connect(end, handler);
    clock.setTimer(this.#dialTimeoutMs, () => {
      if (!connection.isOpen) connection.close(0, `no answer from ${address} in ${this.#dialTimeoutMs} ms`);
    });
    this.#record('dial', connection.label);
    const dial = { address, clock, connection, forth, back: this.#link(remoteHost, host) };
    this.#carry(forth, () => this.#knock(dial, localAddress));
    return connection;
  }

  /** A dial reached the host that it names. */
  #knock(dial: Dial, dialler: string): void {
    const bound = this.#bound.get(dial.address);
    if (bound === undefined) {
      this.#refuse(dial, `connection refused by ${dial.address}`);
      return;
    }
    bound.clock.deliver('dialled', dial.connection.label, () => {
      // While the process was paused, the dialler may have given up or the listener may have been closed.
      if (dial.connection.isClosed) return;
      if (this.#bound.get(dial.address) === bound) this.#accept(dial, bound, dialler);
      else this.#refuse(dial, `connection refused by ${dial.address}`);
    });
  }

  #accept(dial: Dial, bound: Bound, dialler: string): void {
    const { host, clock, accepted } = bound;
    const end = { host, clock, out: dial.back, localAddress: dial.address, remoteAddress: dialler };
    const connection = this.#connect(end, null, accepted);
    connection.meet(dial.connection);
    dial.connection.meet(connection);
    const handler = bound.options.accept(connection);
    if (handler === null) connection.die();
    else connection.attach(handler);
  }

  #refuse(dial: Dial, reason: string): void {
    this.#carry(dial.back, () => {
      if (!dial.connection.isClosed) dial.connection.fail({ code: 0, reason });
    });
  }

  #connect(
    end: ConstructorParameters<typeof SimConnection>[1],
    handler: ConnectionHandler | null,
    accepted?: Set<SimConnection>,
  ): SimConnection {
    const ofHost = entry(this.#connections, end.host);
    const connection = new SimConnection(this.#wire, end, handler, () => {
      ofHost.delete(connection);
      accepted?.delete(connection);
    });
    ofHost.add(connection);
    accepted?.add(connection);
    return connection;
  }

  /** A message outside of any connection: it takes the latency of the link and is swallowed by a cut. */
  #carry(link: Link, deliver: () => void): void {
    const { scheduler } = this.#wire;
    const latencyMs = link.drawLatencyMs();
    if (!link.isCut) scheduler.schedule(scheduler.now + latencyMs, () => link.pass(deliver));
  }

  #freePort(host: string): number {
    let port = this.#nextPort.get(host) ?? FIRST_EPHEMERAL_PORT;
    while (this.#bound.has(`${host}:${port}`)) port++;
    this.#nextPort.set(host, port + 1);
    return port;
  }

  #link(from: string, to: string): Link {
    const name = `${from}>${to}`;
    let link = this.#links.get(name);
    if (link === undefined) {
      link = new Link(this.#seed, from, to, this.#defaultLink);
      this.#links.set(name, link);
    }
    return link;
  }

  #record(event: string, subject: string): void {
    this.#wire.journal?.record(this.#wire.scheduler.now, 'network', event, subject);
  }
}

function entry<V>(map: Map<string, Set<V>>, key: string): Set<V> {
  let set = map.get(key);
  if (set === undefined) {
    set = new Set();
    map.set(key, set);
  }
  return set;
}
