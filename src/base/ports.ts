/**
 * The four ports. Everything in elsegrid that depends on time, chance, the network or a log gets one of
 * these through its constructor; `src/platform` implements them for real, `chaos/sim` under virtual time.
 * Invariant: no other file of the core reads a clock, draws a random number or touches a socket.
 */

/** A timer that was set and may be called off; cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
  /** A process that has nothing else to do ends without waiting for it; left out where there is no process. */
  unref?(): void;
}

export interface Clock {
  /** Monotonic milliseconds (fractional) since an arbitrary start. For timeouts, ages and leases. */
  now(): number;
  /** Wall clock, milliseconds since 1970. May step at any time; only for display and version times. */
  wallNow(): number;
  /** Calls `fn` once, at least `delayMs` later. */
  setTimer(delayMs: number, fn: () => void): Timer;
  /** Calls `fn` after the turn that is running and its promise jobs, before any timer that is due later. */
  defer(fn: () => void): void;
}

export interface Random {
  /** Uniform in [0, 2^32). */
  uint32(): number;
  /** Uniform in [0, 1). */
  float(): number;
  /** A version 4 UUID in its usual text form. */
  uuid(): string;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Logger {
  /** `event` is a fixed sentence; what varies goes into `fields`. */
  log(level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Why a connection ended: `code` as in RFC 6455 (1000 normal, 1006 lost), or 0 when it never opened. */
export interface CloseReason {
  readonly code: number;
  readonly reason: string;
}

/** What the owner of a connection is told. All calls come in their own turn, never from inside `send`. */
export interface ConnectionHandler {
  /** Frames may be sent from now on. For an accepted connection this is called at once. */
  opened(): void;
  /** One whole frame. The bytes belong to the handler; the transport does not reuse them. */
  frame(bytes: Uint8Array): void;
  /** The transport's buffer fell back below the mark after `bufferedBytes` had exceeded it. */
  drained(): void;
  /** Called exactly once, also for a dial that failed. */
  closed(reason: CloseReason): void;
}

/** One two-way connection that carries whole binary frames. */
export interface Connection {
  /** `host:port` of the other end, for messages to people. */
  readonly remoteAddress: string;
  readonly isOpen: boolean;
  /** Hands over a frame; the caller does not touch the bytes afterwards. Ignored when not open. */
  send(frame: Uint8Array): void;
  /** Bytes that were handed over and are not yet in the kernel (or on the simulated wire). */
  bufferedBytes(): number;
  close(code: number, reason: string): void;
}

/** What an HTTP request to the port of a member is answered with. */
export interface HttpReply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Called for each new connection; returns its handler, or null to refuse it. */
  readonly accept: (connection: Connection) => ConnectionHandler | null;
  /** Answers plain HTTP GET requests by path; undefined is a 404. */
  readonly http?: (path: string) => HttpReply | undefined;
}

export interface Listener {
  readonly port: number;
  /** Stops listening and closes the connections that were accepted. */
  close(): Promise<void>;
}

export interface Transport {
  /** Rejects with a `PortInUseError` when the port is taken. */
  listen(options: ListenOptions): Promise<Listener>;
  /** Starts to connect to `host:port`; the outcome comes through `opened` or `closed`. */
  dial(address: string, handler: ConnectionHandler): Connection;
}

/** The ports that a member or a client is built with. */
export interface Ports {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly logger: Logger;
}
