/** One way to call each system, so that the measuring loop knows none of them. Runs in the client process. */
import { Redis } from 'ioredis';
import { type Client, connect } from '../src/index.js';
import type { Addresses } from './cells.js';
import type { Driver } from './driver.js';
import { EchoClient } from './echo-client.js';

/** Connects to a system, whose cluster is safe when this resolves. `largestValueBytes` is of all values. */
export async function connectTo(
  system: string,
  addresses: Addresses,
  largestValueBytes: number,
): Promise<Driver> {
  switch (system) {
    case 'member':
      return gridDriver('bench-1', [addresses.member as string]);
    case 'members':
      return gridDriver('bench-3', addresses.members as readonly string[]);
    case 'redis':
      return redisDriver(addresses.redisPort as number, false);
    case 'redis-auto':
      return redisDriver(addresses.redisPort as number, true);
    default:
      return EchoClient.connect(addresses.echo as string, largestValueBytes);
  }
}

async function gridDriver(clusterName: string, members: readonly string[]): Promise<Driver> {
  const client: Client = await connect({ clusterName, members: [...members] });
  await client.waitUntilSafe({ timeoutMs: 60_000 });
  const map = await client.getMap<string, Buffer>('bench');
  return {
    get: (key) => map.get(key),
    set: (key, value) => map.set(key, value),
    close: () => client.shutdown(),
  };
}

/** As people use it: default settings, or the one setting that makes it batch. */
async function redisDriver(port: number, enableAutoPipelining: boolean): Promise<Driver> {
  const redis = new Redis({ port, host: '127.0.0.1', enableAutoPipelining });
  await redis.ping();
  return {
    get: (key) => redis.getBuffer(key),
    set: (key, value) => redis.set(key, value),
    close: async () => redis.disconnect(),
  };
}
