/** The WebSocket transport and the system clock keep the contracts of their ports. */
import { SystemClock } from '../../src/platform/system-clock.js';
import { WsTransport } from '../../src/platform/ws-transport.js';
import { clockContract } from './clock.contract.js';
import { transportContract } from './transport.contract.js';

const LIMIT_MS = 20_000;

async function settle(condition: () => boolean, what: string): Promise<void> {
  const startMs = performance.now();
  while (!condition()) {
    if (performance.now() - startMs > LIMIT_MS)
      throw new Error(`waited ${LIMIT_MS} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const nothing = async () => {};

clockContract('system', async () => ({ clock: new SystemClock(), settle, dispose: nothing }));

transportContract('WebSocket', async () => ({
  transport: new WsTransport(),
  clock: new SystemClock(),
  settle,
  dispose: nothing,
}));

transportContract('WebSocket, between two transports', async () => ({
  transport: new WsTransport(),
  otherTransport: new WsTransport(),
  clock: new SystemClock(),
  settle,
  dispose: nothing,
}));
