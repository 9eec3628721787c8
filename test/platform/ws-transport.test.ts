/** What only the real transport promises: limits, HTTP on the same port, words for failures, hostile peers. */
import { request } from 'node:http';
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { ConfigError, PortInUseError } from '../../src/base/errors.js';
import type {
  CloseReason,
  Connection,
  ConnectionHandler,
  HttpReply,
  Listener,
} from '../../src/base/ports.js';
import { DRAIN_MARK_BYTES } from '../../src/platform/ws-connection.js';
import { WsTransport, type WsTransportOptions } from '../../src/platform/ws-transport.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A handler that remembers, and promises for what is still to come. */
class Recorder implements ConnectionHandler {
  readonly frames: Uint8Array[] = [];
  readonly closes: CloseReason[] = [];
  drains = 0;
  #waiters: (() => void)[] = [];
  wasOpened = false;

  opened(): void {
    this.wasOpened = true;
    this.#wake();
  }
  frame(bytes: Uint8Array): void {
    this.frames.push(bytes);
    this.#wake();
  }
  drained(): void {
    this.drains++;
    this.#wake();
  }
  closed(reason: CloseReason): void {
    this.closes.push(reason);
    this.#wake();
  }
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }
  async closeReason(): Promise<CloseReason> {
    await this.until(() => this.closes.length > 0);
    return this.closes[0]!;
  }
  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }
}

interface Served {
  readonly listener: Listener;
  readonly accepted: { connection: Connection; handler: Recorder }[];
  readonly address: string;
  arrival(): Promise<{ connection: Connection; handler: Recorder }>;
}

async function serve(
  options: WsTransportOptions = {},
  http?: (path: string) => HttpReply | undefined,
): Promise<Served> {
  const accepted: Served['accepted'] = [];
  const waiters: (() => void)[] = [];
  const listener = await new WsTransport(options).listen({
    host: '127.0.0.1',
    port: 0,
    accept(connection) {
      const handler = new Recorder();
      accepted.push({ connection, handler });
      for (const waiter of waiters.splice(0)) waiter();
      return handler;
    },
    ...(http === undefined ? {} : { http }),
  });
  cleanups.push(() => listener.close());
  return {
    listener,
    accepted,
    address: `127.0.0.1:${listener.port}`,
    async arrival() {
      while (accepted.length === 0) await new Promise<void>((resolve) => waiters.push(resolve));
      return accepted[0]!;
    },
  };
}

function dial(address: string, options: WsTransportOptions = {}) {
  const handler = new Recorder();
  const connection = new WsTransport(options).dial(address, handler);
  cleanups.push(() => connection.close(1000, 'the test is over'));
  return { handler, connection };
}

/** A TCP server that treats each socket as the test says. */
async function rawServer(onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

function fetchPage(port: number, path: string, method = 'GET'): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, method, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (part) => {
        body += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

describe('frames of the WebSocket transport', () => {
  it('carries the largest frame whole and unmasked, and leaves the sent bytes as they were', async () => {
    const served = await serve();
    const { handler, connection } = dial(served.address);
    await handler.until(() => handler.wasOpened);
    const frame = new Uint8Array(1_048_576).map((_, index) => index * 31);
    const before = Buffer.from(frame);
    connection.send(frame);
    const { handler: server } = await served.arrival();
    await server.until(() => server.frames.length === 1);
    expect(before.equals(server.frames[0]!)).toBe(true);
    expect(before.equals(frame)).toBe(true);
  });

  it('writes the payload of a client as it is on the wire', async () => {
    let received = Buffer.alloc(0);
    const address = await rawServer((socket) => {
      socket.on('data', (part) => {
        received = Buffer.concat([received, part]);
        const key = /sec-websocket-key: (\S+)/i.exec(received.toString('latin1'))?.[1];
        if (key === undefined || !received.includes('\r\n\r\n') || socket.bytesWritten > 0) return;
        void acceptKey(key).then((accept) =>
          socket.write(
            `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
          ),
        );
      });
    });
    const { handler, connection } = dial(address);
    await handler.until(() => handler.wasOpened);
    connection.send(Buffer.from('in the clear'));
    await expect.poll(() => received.includes('in the clear')).toBe(true);
    expect(received.toString('latin1')).not.toMatch(/sec-websocket-extensions/i);
  });

  it('joins fragments into one frame', async () => {
    const served = await serve();
    const peer = new WebSocket(`ws://${served.address}/`);
    cleanups.push(() => peer.terminate());
    await new Promise((resolve) => peer.once('open', resolve));
    peer.send(Buffer.from('one '), { binary: true, fin: false });
    peer.send(Buffer.from('frame'), { binary: true, fin: true });
    const { handler } = await served.arrival();
    await handler.until(() => handler.frames.length > 0);
    expect(handler.frames.map((frame) => Buffer.from(frame).toString())).toEqual(['one frame']);
  });

  it('ends the connection of a peer that sends text', async () => {
    const served = await serve();
    const peer = new WebSocket(`ws://${served.address}/`);
    const closed = new Promise<number>((resolve) => peer.once('close', resolve));
    peer.once('open', () => peer.send('hello'));
    expect(await closed).toBe(1003);
    const { handler } = await served.arrival();
    expect(await handler.closeReason()).toMatchObject({ code: 1003 });
    expect(handler.frames).toEqual([]);
  });

  it('ends the connection of a peer whose frame is above the limit, and says why', async () => {
    const served = await serve({ maxFrameBytes: 10_000 });
    const { handler, connection } = dial(served.address);
    await handler.until(() => handler.wasOpened);
    connection.send(new Uint8Array(20_000));
    expect(await handler.closeReason()).toMatchObject({ code: 1009 });
    const { handler: server } = await served.arrival();
    const reason = await server.closeReason();
    expect(reason.code).toBe(1009);
    expect(reason.reason).toContain('size limit');
  });

  it('tells once that the buffer has drained, after it was above the mark', async () => {
    const paused: Socket[] = [];
    const served = await serve();
    // A relay that stops reading stands for a slow peer.
    const relay = await rawServer((socket) => {
      const onward = netConnect(served.listener.port, '127.0.0.1');
      cleanups.push(() => onward.destroy());
      onward.on('error', () => socket.destroy());
      socket.pipe(onward).pipe(socket);
      paused.push(socket);
    });
    const { handler, connection } = dial(relay);
    await handler.until(() => handler.wasOpened);
    expect(connection.bufferedBytes()).toBe(0);
    paused[0]!.unpipe();
    paused[0]!.pause();
    for (let sent = 0; sent < 400 && connection.bufferedBytes() <= 2 * DRAIN_MARK_BYTES; sent++) {
      connection.send(new Uint8Array(100_000));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(connection.bufferedBytes()).toBeGreaterThan(DRAIN_MARK_BYTES);
    expect(handler.drains).toBe(0);
    paused[0]!.resume();
    await handler.until(() => handler.drains > 0);
    expect(connection.bufferedBytes()).toBeLessThan(DRAIN_MARK_BYTES);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(handler.drains).toBe(1);
  });
});

describe('dialling', () => {
  it.each([
    ['nohost.invalid:5701', /host not found/],
    ['127.0.0.1', /host:port/],
    ['127.0.0.1:0', /host:port/],
    ['127.0.0.1:5701/path', /host:port/],
    ['user@127.0.0.1:5701', /host:port/],
    ['[::1:5701', /host:port/],
  ])('to %s fails with a useful reason', async (address, reason) => {
    const { handler, connection } = dial(address);
    expect(handler.closes).toEqual([]);
    const closed = await handler.closeReason();
    expect(closed.code).toBe(0);
    expect(closed.reason).toMatch(reason);
    expect(handler.wasOpened).toBe(false);
    expect(connection.isOpen).toBe(false);
    expect(handler.closes).toHaveLength(1);
  });

  it('to a port that nobody listens on says that the connection was refused', async () => {
    const served = await serve();
    await served.listener.close();
    for (const host of ['127.0.0.1', 'localhost']) {
      const { handler } = dial(`${host}:${served.listener.port}`);
      expect(await handler.closeReason()).toEqual({ code: 0, reason: 'connection refused' });
    }
  });

  it('to a server that never answers gives up after connectTimeoutMs', async () => {
    const address = await rawServer(() => {});
    const { handler } = dial(address, { connectTimeoutMs: 80 });
    expect(await handler.closeReason()).toEqual({ code: 0, reason: 'no answer within 80 ms' });
  });

  it('to a server that is no member says what it answered', async () => {
    const address = await rawServer((socket) =>
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'),
    );
    const { handler } = dial(address);
    const closed = await handler.closeReason();
    expect(closed.code).toBe(0);
    expect(closed.reason).toContain('HTTP 404 Not Found');
  });

  it('can be called off', async () => {
    const address = await rawServer(() => {});
    const { handler, connection } = dial(address);
    connection.close(1000, 'no longer wanted');
    expect(handler.closes).toEqual([]);
    expect(await handler.closeReason()).toEqual({ code: 0, reason: 'no longer wanted' });
  });

  it('survives a peer that resets the connection, and says that it was lost', async () => {
    const served = await serve();
    const sockets: Socket[] = [];
    const relay = await rawServer((socket) => {
      const onward = netConnect(served.listener.port, '127.0.0.1');
      onward.on('error', () => socket.destroy());
      socket.pipe(onward).pipe(socket);
      sockets.push(socket, onward);
    });
    const { handler } = dial(relay);
    await handler.until(() => handler.wasOpened);
    for (const socket of sockets) socket.resetAndDestroy();
    expect((await handler.closeReason()).code).toBe(1006);
    const { handler: server } = await served.arrival();
    expect((await server.closeReason()).code).toBe(1006);
  });

  it('reports its own close at once though the peer never answers it', async () => {
    const served = await serve();
    let relayed: Socket | undefined;
    const relay = await rawServer((socket) => {
      const onward = netConnect(served.listener.port, '127.0.0.1');
      cleanups.push(() => onward.destroy());
      onward.on('error', () => socket.destroy());
      socket.pipe(onward).pipe(socket);
      relayed = socket;
    });
    const { handler, connection } = dial(relay);
    await handler.until(() => handler.wasOpened);
    relayed!.unpipe();
    relayed!.pause();
    const reason = 'a reason that is longer than what fits: '.repeat(5);
    connection.close(4001, reason);
    expect(connection.isOpen).toBe(false);
    connection.send(new Uint8Array(8));
    const closed = await handler.closeReason();
    expect(closed.code).toBe(4001);
    expect(reason.startsWith(closed.reason)).toBe(true);
    expect(closed.reason.length).toBeGreaterThan(100);
  });
});

describe('listening', () => {
  it('on a port in use rejects and names host, port and a way out', async () => {
    const served = await serve();
    const port = served.listener.port;
    const again = new WsTransport().listen({ host: '127.0.0.1', port, accept: () => null });
    await expect(again).rejects.toBeInstanceOf(PortInUseError);
    await expect(again).rejects.toThrow(new RegExp(`port ${port} on 127\\.0\\.0\\.1 .*choose another port`));
  });

  it('on an address of another machine is a configuration error', async () => {
    const listening = new WsTransport().listen({ host: '192.0.2.1', port: 0, accept: () => null });
    await expect(listening).rejects.toBeInstanceOf(ConfigError);
  });

  it('on IPv6 is reached with the host in square brackets', async () => {
    const listener = await new WsTransport().listen({ host: '::1', port: 0, accept: () => new Recorder() });
    cleanups.push(() => listener.close());
    const { handler } = dial(`[::1]:${listener.port}`);
    await handler.until(() => handler.wasOpened || handler.closes.length > 0);
    expect(handler.wasOpened).toBe(true);
  });

  it('ends refused connections, and tells accepted ones why when it closes', async () => {
    const refusing = await new WsTransport().listen({ host: '127.0.0.1', port: 0, accept: () => null });
    cleanups.push(() => refusing.close());
    const refused = dial(`127.0.0.1:${refusing.port}`);
    expect(await refused.handler.closeReason()).toMatchObject({ code: 1013 });

    const served = await serve();
    const { handler } = dial(served.address);
    await handler.until(() => handler.wasOpened);
    await served.listener.close();
    await served.listener.close();
    expect(await handler.closeReason()).toMatchObject({ code: 1001 });
    expect(served.accepted[0]!.handler.closes).toHaveLength(1);
  });

  it('shows the address of the other end', async () => {
    const served = await serve();
    dial(served.address);
    const { connection } = await served.arrival();
    expect(connection.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/);
  });
});

describe('browsers, HTTP and hostile peers', () => {
  it('refuses a browser origin with 403 unless it is allowed', async () => {
    const served = await serve({ allowedOrigins: ['https://console.example.com'] });
    const status = await new Promise<number | undefined>((resolve) => {
      const evil = new WebSocket(`ws://${served.address}/`, { origin: 'https://evil.example.com' });
      evil.on('error', () => {});
      evil.on('unexpected-response', (_request, response) => {
        resolve(response.statusCode);
        evil.terminate();
      });
      evil.on('open', () => resolve(undefined));
    });
    expect(status).toBe(403);
    expect(served.accepted).toHaveLength(0);
    const friend = new WebSocket(`ws://${served.address}/`, { origin: 'https://console.example.com' });
    cleanups.push(() => friend.terminate());
    await new Promise((resolve, reject) => {
      friend.once('open', resolve);
      friend.once('error', reject);
    });
    expect(served.accepted).toHaveLength(1);
  });

  it('answers GET by path on the same port, without the query', async () => {
    const served = await serve({}, (path) => {
      if (path === '/boom') throw new Error('a page that fails');
      return path === '/health'
        ? { status: 503, contentType: 'application/json', body: '{"ok":"né"}' }
        : undefined;
    });
    const port = served.listener.port;
    expect(await fetchPage(port, '/health?verbose=1')).toEqual({ status: 503, body: '{"ok":"né"}' });
    expect((await fetchPage(port, '/other')).status).toBe(404);
    expect((await fetchPage(port, '/boom')).status).toBe(500);
    expect((await fetchPage(port, '/health', 'POST')).status).toBe(405);
    expect(await fetchPage(port, '/health', 'HEAD')).toEqual({ status: 503, body: '' });
  });

  it('answers bytes that are no HTTP with 400 and lives on', async () => {
    const served = await serve();
    const answer = await new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = netConnect(served.listener.port, '127.0.0.1', () =>
        socket.write('\x00\x01garbage\r\n\r\n'),
      );
      socket.on('data', (part) => {
        text += part.toString('latin1');
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400/);
    const { handler } = dial(served.address);
    await handler.until(() => handler.wasOpened);
    expect(handler.closes).toEqual([]);
  });

  it('drops connections that send no whole request in time', async () => {
    const served = await serve();
    const start = performance.now();
    await new Promise<void>((resolve) => {
      const silent = netConnect(served.listener.port, '127.0.0.1');
      silent.on('error', () => {});
      silent.resume();
      silent.on('close', () => resolve());
    });
    expect(performance.now() - start).toBeLessThan(9_000);
  });

  it('accepts no more connections than the limit', async () => {
    const served = await serve({ maxConnections: 2 });
    const first = dial(served.address);
    const second = dial(served.address);
    await first.handler.until(() => first.handler.wasOpened);
    await second.handler.until(() => second.handler.wasOpened);
    const third = dial(served.address);
    expect((await third.handler.closeReason()).code).toBe(0);
    expect(first.connection.isOpen && second.connection.isOpen).toBe(true);
  });
});

async function acceptKey(key: string): Promise<string> {
  const text = new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  return Buffer.from(await crypto.subtle.digest('SHA-1', text)).toString('base64');
}
