import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/base/random.js';
import { MESSAGES } from '../../src/protocol.js';
import { startCluster } from '../../src/testing.js';
import { hello } from '../../src/wire/messages.js';
import { frameOf, HELLO, sendFrames } from './support/raw-peer.js';

const SEED = 20_260_801;
const BODIES_PER_MESSAGE = 4;
const AT_A_TIME = 16;
/** Ends a connection whose frame was taken. */
const GOODBYE = 'a text frame';

const ROLES = {
  client: HELLO,
  member: { ...HELLO, role: 'member', address: '127.0.0.1:1', partitionCount: 11 },
} as const;

/** Every kind of message with bodies that nobody would send. */
function frames(random: SeededRandom): Buffer[] {
  return MESSAGES.flatMap(({ id }) =>
    Array.from({ length: BODIES_PER_MESSAGE }, (_, turn) => {
      const body = Buffer.from(
        Array.from({ length: turn * random.below(60) }, () => random.below(turn === 1 ? 4 : 256)),
      );
      const header = Buffer.alloc(32);
      header.writeUInt32LE(32 + body.length, 0);
      header.writeUInt16LE(id, 4);
      header.writeUInt16LE([0, 5, 11, 0xffff][turn] as number, 6);
      header.writeUInt32LE(random.below(20), 8);
      header.writeDoubleLE(random.below(1000), 16);
      header.writeDoubleLE(random.below(1000), 24);
      return Buffer.concat([header, body]);
    }),
  );
}

describe.each(['client', 'member'] as const)('messages with random bodies from a %s', (role) => {
  it('end their connection or nothing; everyone else is served', async () => {
    await using cluster = await startCluster({ members: 2, member: { partitionCount: 11 } });
    const map = cluster.client.getMap<string, number>('kept');
    const keys = Array.from({ length: 100 }, (_, i) => `key-${i}`);
    for (const [i, key] of keys.entries()) await map.set(key, i);
    const random = new SeededRandom(SEED, role);
    const all = frames(random);
    expect(all.length).toBeGreaterThan(200);
    const uuid = () => `00000000-0000-4000-8000-${String(random.below(1e9)).padStart(12, '0')}`;
    for (let from = 0; from < all.length; from += AT_A_TIME) {
      const some = all.slice(from, from + AT_A_TIME);
      await Promise.all(
        some.map((frame, i) =>
          sendFrames(cluster.addresses[i % 2] as string, [
            frameOf(hello, { ...ROLES[role], id: uuid() }),
            frame,
            GOODBYE,
          ]),
        ),
      );
    }
    for (const [i, key] of keys.entries()) expect(await map.get(key)).toBe(i);
    const status = await cluster.client.status();
    expect(status.members).toHaveLength(2);
    await cluster.client.waitUntilSafe({ timeoutMs: 5_000 });
  });
});
