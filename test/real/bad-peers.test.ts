import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IndeterminateError } from '../../src/index.js';
import { startCluster, type TestCluster } from '../../src/testing.js';
import { hello, piece } from '../../src/wire/messages.js';
import { frameOf, HELLO, HELLO_FRAME, sendBytes, sendFrames, WELCOME } from './support/raw-peer.js';

/** A message with this header and no body; `length` may be a lie. */
function header(message: number, length = 32): Buffer {
  const frame = Buffer.alloc(32);
  frame.writeUInt32LE(length, 0);
  frame.writeUInt16LE(message, 4);
  return frame;
}

const random = Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 7919 + (i >>> 3)) & 0xff));
const afterHello = (...frames: (Buffer | string)[]) => [HELLO_FRAME, ...frames];

/** What is sent, and what the member says when it closes the connection. */
const BAD_FRAMES: readonly [
  what: string,
  frames: readonly (Buffer | string)[],
  code: number,
  reason: RegExp,
][] = [
  ['random bytes', [random], 1002, /./],
  ['a frame that ends inside a header', [HELLO_FRAME.subarray(0, 20)], 1002, /ends inside a header/],
  [
    'a greeting that is cut short',
    [HELLO_FRAME.subarray(0, HELLO_FRAME.length - 9)],
    1002,
    /message of \d+ bytes in a frame with/,
  ],
  ['a first message that is no greeting', [header(7)], 1002, /no hello/],
  ['a large message before the greeting', [header(7, 1_000_000)], 1002, /1000000 bytes/],
  ['random bytes after the greeting', afterHello(random), 1002, /./],
  ['a message of an unknown kind', afterHello(header(59_999)), 1002, /unknown message 59999/],
  [
    'a message that claims more bytes than came',
    afterHello(header(7, 500)),
    1002,
    /500 bytes in a frame with 32 left/,
  ],
  ['a message shorter than its header', afterHello(header(7, 3)), 1002, /3 bytes is shorter/],
  ['a message whose body is cut short', afterHello(header(7)), 1002, /truncated/],
  [
    'a message above the limit',
    afterHello(Buffer.concat([header(7, 700_000), Buffer.alloc(699_968)])),
    1002,
    /700000 bytes is above the limit/,
  ],
  [
    'a part of a message of 4 GiB',
    afterHello(frameOf(piece, { transfer: 1, totalBytes: 0xffff_ffff, offset: 0, part: random })),
    1002,
    /above the limit/,
  ],
  [
    'a part that does not fit',
    afterHello(frameOf(piece, { transfer: 1, totalBytes: 600_000, offset: 5, part: random })),
    1002,
    /does not fit/,
  ],
  ['a frame of 2 MiB', afterHello(Buffer.alloc(2 * 1024 * 1024)), 1009, /./],
  ['a text frame', ['hello'], 1003, /text frames/],
];

describe('a member on real sockets', () => {
  let cluster: TestCluster;
  let served = 0;
  let serving: Promise<void>;
  let goesOn = true;
  const failures: unknown[] = [];

  beforeAll(async () => {
    cluster = await startCluster({ members: 2, member: { partitionCount: 11 } });
    const map = cluster.client.getMap<number, number>('served');
    serving = (async () => {
      while (goesOn) {
        await map.set(served % 50, served).catch((error: unknown) => failures.push(error));
        served++;
      }
    })();
  });

  /** After everything: the client that wrote all the time met no failure, and everyone is still there. */
  afterAll(async () => {
    goesOn = false;
    await serving;
    const status = await cluster.client.status();
    await cluster.shutdown();
    expect(failures).toEqual([]);
    expect(served).toBeGreaterThan(100);
    expect([status.safe, status.members.length]).toEqual([true, 2]);
  });

  const address = () => cluster.addresses[0] as string;

  async function expectServes(): Promise<void> {
    const before = served;
    await expect.poll(() => served).toBeGreaterThan(before + 1);
    expect(failures).toEqual([]);
  }

  it.each(BAD_FRAMES)('drops who sends %s, and goes on serving', async (_what, frames, code, reason) => {
    const answer = await sendFrames(address(), frames);
    expect(answer.code).toBe(code);
    await expectServes();
    // ws ends the connection itself when a frame is too large, without our reason and perhaps before our greeting.
    if (code === 1009) return;
    expect(answer.reason).toMatch(reason);
    expect(answer.messages.includes(WELCOME)).toBe(frames[0] === HELLO_FRAME);
  });

  it.each([
    ['HTTP garbage', 'NONSENSE\r\n\r\n', /^HTTP\/1\.1 400/],
    ['bytes that are no HTTP', random, /^HTTP\/1\.1 400/],
    ['a header without end', `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}`, /^HTTP\/1\.1 431/],
    [
      'a POST',
      'POST /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
      /^HTTP\/1\.1 405/,
    ],
    [
      'a page that is not there',
      'GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      /^HTTP\/1\.1 404/,
    ],
  ])('answers %s with an HTTP error', async (_what, bytes, expected) => {
    expect(await sendBytes(address(), bytes)).toMatch(expected);
    await expectServes();
  });

  it('drops who says nothing', async () => {
    const answer = await sendFrames(address(), []);
    expect([answer.code, answer.reason]).toEqual([1008, 'no handshake in time']);
    await expectServes();
  });

  it.each([
    ['another cluster name', { clusterName: 'other' }, /belongs to cluster 'dev', not to 'other'/],
    [
      'protocol versions of the future',
      { versionMin: 900, versionMax: 901 },
      /protocol versions differ: .* you speak 900 to 901/,
    ],
    [
      'another number of partitions',
      { role: 'member', address: '127.0.0.1:1', partitionCount: 12 } as const,
      /11 partitions, you have 12/,
    ],
  ])('refuses a greeting with %s, and says why', async (_what, difference, why) => {
    const answer = await sendFrames(address(), [frameOf(hello, { ...HELLO, ...difference })]);
    expect(answer.refusal).toMatch(why);
    expect([answer.code, answer.reason]).toEqual([1000, 'handshake refused']);
    expect(answer.messages).not.toContain(WELCOME);
    await expectServes();
  });

  it('is not shaken by many bad peers at once', async () => {
    const frames = BAD_FRAMES.map(([, given]) => given);
    const answers = Array.from({ length: 60 }, (_, i) =>
      sendFrames(address(), frames[i % frames.length] as Buffer[]),
    );
    for (const { code } of await Promise.all(answers)) expect([1002, 1003, 1006, 1009]).toContain(code);
    await expectServes();
    expect(failures.some((failure) => failure instanceof IndeterminateError)).toBe(false);
  });
});
