/** The door for clients: `connect(options)` builds a client on the real ports. */
import { type ClientOptions, clientConfig } from '../src/config/client.js';
import { KeyFiles } from '../src/platform/key-files.js';
import { createPinoLogger } from '../src/platform/pino-logger.js';
import { SystemClock } from '../src/platform/system-clock.js';
import { SystemRandom } from '../src/platform/system-random.js';
import { WsTransport } from '../src/platform/ws-transport.js';
import { Client } from './api.js';

/**
 * Connects to a grid. Rejects with a `ConfigError` for wrong options, and with a `ConnectError` that lists each
 * address with its reason when no member could be reached within `connectTimeoutMs` (10,000).
 */
export async function connect(options: ClientOptions): Promise<Client> {
  const config = clientConfig(options);
  const logger = createPinoLogger({ level: config.logLevel });
  const transport = new WsTransport({ logger });
  const client = new Client(config, {
    clock: new SystemClock(),
    random: new SystemRandom(),
    transport,
    logger,
  });
  await client.connect();
  client.preload(new KeyFiles());
  return client;
}
