/**
 * The transport of a real process: binary WebSocket frames and plain HTTP GET on one port. Doors build one
 * per process and hand it to members and clients. This is the only file that makes sockets.
 * Invariants: nothing that a peer sends, and no failure of the network, throws out of here; what a peer may
 * make us hold is bounded (header size and time, frame size, number of connections).
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import type {
  Connection,
  ConnectionHandler,
  HttpReply,
  Listener,
  ListenOptions,
  Logger,
  Transport,
} from '../base/ports.js';
import { formatAddress, parseAddress } from './address.js';
import { describeFailure, listenError } from './network-errors.js';
import { WsConnection } from './ws-connection.js';

/** Largest frame that the protocol makes, unless an option says otherwise. */
export const DEFAULT_MAX_FRAME_BYTES = 1_048_576;
/** Room above the largest frame, so that a peer that counts a little differently is not cut off. */
const FRAME_MARGIN_BYTES = 4_096;
const HEADER_BYTES = 8_192;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** How often Node looks for connections that are beyond the two timeouts above. */
const TIMEOUT_CHECK_MS = 1_000;
/** How long the other side may take to answer a close frame before its socket is destroyed. */
const CLOSE_TIMEOUT_MS = 1_000;
const GOING_AWAY = 1_001;
const TRY_AGAIN_LATER = 1_013;

export interface WsTransportOptions {
  /** Frames above this size end their connection with code 1009. Default 1 MiB. */
  readonly maxFrameBytes?: number;
  /** Browser origins that may connect, for example `https://console.example.com`. Default none. */
  readonly allowedOrigins?: readonly string[];
  /** Connections above this number, of members, clients and HTTP together, are dropped. Default 10,000. */
  readonly maxConnections?: number;
  /** From the start of a dial to its `opened`. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Told about trouble that has no connection to be reported through. */
  readonly logger?: Logger;
}

export class WsTransport implements Transport {
  readonly #allowedOrigins: ReadonlySet<string>;
  readonly #maxConnections: number;
  readonly #connectTimeoutMs: number;
  readonly #logger: Logger | undefined;
  readonly #socketOptions: {
    perMessageDeflate: false;
    maxPayload: number;
    closeTimeout: number;
  };

  constructor(options: WsTransportOptions = {}) {
    this.#allowedOrigins = new Set(options.allowedOrigins ?? []);
    this.#maxConnections = options.maxConnections ?? 10_000;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 5_000;
    this.#logger = options.logger;
    this.#socketOptions = {
      perMessageDeflate: false,
      maxPayload: (options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES) + FRAME_MARGIN_BYTES,
      closeTimeout: CLOSE_TIMEOUT_MS,
    };
  }

  listen(options: ListenOptions): Promise<Listener> {
    const server = this.#makeServer();
    const open: OpenConnections = new Map();
    const upgrader = new WebSocketServer({ ...this.#socketOptions, noServer: true, clientTracking: false });
    server.on('upgrade', (request, socket, head) => {
      const origin = request.headers.origin;
      if (origin !== undefined && !this.#allowedOrigins.has(origin)) {
        refuseUpgrade(socket, 403, `the origin ${origin} is not among the allowed origins`);
        return;
      }
      upgrader.handleUpgrade(request, socket, head, (webSocket) => accept(webSocket, request, options, open));
    });
    server.on('request', (request, response) => this.#answer(request, response, options));
    server.on('drop', () =>
      this.#logger?.log('warn', 'connection dropped: too many', { limit: this.#maxConnections }),
    );
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(listenError(error, options.host, options.port));
      server.once('error', fail);
      server.listen(options.port, options.host, () => {
        server.off('error', fail);
        server.on('error', (error) => this.#logger?.log('error', 'the listener failed', { error }));
        resolve(new WsListener(server, open));
      });
    });
  }

  dial(address: string, handler: ConnectionHandler): Connection {
    const target = parseAddress(address);
    if (target === undefined) {
      return failedDial(
        address,
        handler,
        'not an address: write host:port, and an IPv6 host in square brackets',
      );
    }
    let webSocket: WebSocket;
    try {
      webSocket = new WebSocket(`ws://${target}/`, {
        ...this.#socketOptions,
        // A mask of zeros makes ws skip masking on both sides; it protects only proxies from browsers.
        generateMask: (mask) => mask.fill(0),
      });
    } catch (error) {
      return failedDial(address, handler, describeFailure(error as Error));
    }
    const connection = new WsConnection(webSocket, undefined, address, () => handler);
    limitDial(webSocket, connection, this.#connectTimeoutMs);
    return connection;
  }

  #makeServer(): Server {
    const server = createServer({
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      maxHeaderSize: HEADER_BYTES,
      noDelay: true,
    });
    server.maxConnections = this.#maxConnections;
    // Bytes that are no HTTP need no 'clientError' handler: without one, Node answers 400, 408 or 431 itself.
    return server;
  }

  #answer(request: IncomingMessage, response: ServerResponse, options: ListenOptions): void {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      reply(response, {
        status: 405,
        contentType: 'text/plain',
        body: 'only GET is answered here\n',
      });
      return;
    }
    const path = (request.url ?? '/').split('?', 1)[0]!;
    let answer: HttpReply | undefined;
    try {
      answer = options.http?.(path);
    } catch (error) {
      this.#logger?.log('error', 'an HTTP page failed', { path, error });
      answer = {
        status: 500,
        contentType: 'text/plain',
        body: 'internal error; the log has the details\n',
      };
    }
    reply(
      response,
      answer ?? {
        status: 404,
        contentType: 'text/plain',
        body: 'no such page\n',
      },
    );
  }
}

type OpenConnections = Map<WsConnection, WebSocket>;

class WsListener implements Listener {
  readonly port: number;
  readonly #server: Server;
  readonly #open: OpenConnections;
  #closing: Promise<void> | undefined;

  constructor(server: Server, open: OpenConnections) {
    const address = server.address();
    this.port = address !== null && typeof address === 'object' ? address.port : 0;
    this.#server = server;
    this.#open = open;
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  /** Every handler has heard `closed` when this resolves. */
  async #closeAll(): Promise<void> {
    const ends = [new Promise<unknown>((resolve) => this.#server.close(resolve))];
    this.#server.closeAllConnections();
    for (const [connection, webSocket] of this.#open) {
      ends.push(new Promise((resolve) => webSocket.once('close', resolve)));
      connection.close(GOING_AWAY, 'the other side shuts down');
    }
    await Promise.all(ends);
  }
}

function accept(
  webSocket: WebSocket,
  request: IncomingMessage,
  options: ListenOptions,
  open: OpenConnections,
): void {
  const remote = formatAddress(request.socket.remoteAddress, request.socket.remotePort);
  let refused = false;
  const connection = new WsConnection(webSocket, request.socket, remote, (self) => {
    open.set(self, webSocket);
    webSocket.once('close', () => open.delete(self));
    const handler = options.accept(self);
    refused = handler === null;
    return handler ?? NOBODY;
  });
  connection.opened();
  if (refused) connection.close(TRY_AGAIN_LATER, 'the other side takes no connections now');
}

/** Bounds a whole dial: name lookup, TCP and the HTTP upgrade. */
function limitDial(webSocket: WebSocket, connection: WsConnection, timeoutMs: number): void {
  const timer = setTimeout(() => connection.abandon(`no answer within ${timeoutMs} ms`), timeoutMs);
  webSocket.once('open', () => clearTimeout(timer));
  webSocket.once('close', () => clearTimeout(timer));
  webSocket.once('unexpected-response', (_request, response) => {
    const status = response.statusCode ?? 0;
    connection.abandon(`answered with HTTP ${status} ${STATUS_CODES[status] ?? ''} instead of a WebSocket`);
  });
}

/** A dial that cannot even begin; its handler is told in a turn of its own, as for every other outcome. */
function failedDial(address: string, handler: ConnectionHandler, reason: string): Connection {
  setImmediate(() => handler.closed({ code: 0, reason }));
  return {
    remoteAddress: address,
    isOpen: false,
    send() {},
    bufferedBytes: () => 0,
    close() {},
  };
}

function refuseUpgrade(socket: Duplex, status: number, body: string): void {
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  const length = Buffer.byteLength(body);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${length}\r\n\r\n${body}`,
  );
}

function reply(response: ServerResponse, answer: HttpReply): void {
  const body = Buffer.from(answer.body, 'utf8');
  response.on('error', () => response.destroy());
  response.writeHead(answer.status, {
    'Content-Type': answer.contentType,
    'Content-Length': body.byteLength,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(body);
}

const NOBODY: ConnectionHandler = {
  opened() {},
  frame() {},
  drained() {},
  closed() {},
};
