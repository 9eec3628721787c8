import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import {
  ClientClosedError,
  ConfigError,
  ConnectError,
  connect,
  HandshakeRefusedError,
  IndeterminateError,
  type Member,
  PortInUseError,
  type Resolution,
  startMember,
} from '../../src/index.js';
import { startCluster, type TestCluster } from '../../src/testing.js';
import { refusal } from '../../src/wire/messages.js';
import { frameOf } from './support/raw-peer.js';

const QUIET = { host: '127.0.0.1', port: 0, timings: 'local', logLevel: 'silent' } as const;

async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    return error;
  }
}

function addressOf(server: { address(): unknown }): string {
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

describe('a member that may not join', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startCluster({ members: 1, member: { partitionCount: 11 } });
  });
  afterAll(() => cluster.shutdown());

  it.each([
    ['cluster name', { clusterName: 'other', partitionCount: 11 }, "cluster 'dev', not to 'other'"],
    ['number of partitions', { partitionCount: 12 }, 'this cluster has 11 partitions, you have 12'],
  ])('is told that its %s differs', async (_what, difference, why) => {
    const error = await outcomeOf(startMember({ ...QUIET, ...difference, join: cluster.addresses }));
    expect(error).toBeInstanceOf(HandshakeRefusedError);
    expect(String(error)).toContain(why);
    expect((await cluster.client.status()).members).toHaveLength(1);
  });

  it('is told that the other side speaks other versions of the protocol', async () => {
    const why = 'protocol versions differ: this member speaks 7 to 9, you speak 1 to 1';
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    server.on('connection', (socket) => socket.send(frameOf(refusal, { error: 3, message: why })));
    await new Promise((resolve) => server.once('listening', resolve));
    const error = await outcomeOf(startMember({ ...QUIET, join: [addressOf(server)] }));
    server.close();
    expect(error).toBeInstanceOf(HandshakeRefusedError);
    expect(String(error)).toContain(why);
  });

  it('names the port that is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    const error = await outcomeOf(startMember({ ...QUIET, port }));
    taken.close();
    expect(error).toBeInstanceOf(PortInUseError);
    expect(String(error)).toContain(`port ${port} on 127.0.0.1 is in use`);
  });

  it('founds a cluster of its own when nobody is at the addresses to join, and takes who comes', async () => {
    const started = performance.now();
    await using member = await startMember({ ...QUIET, join: ['127.0.0.1:1', 'localhost:2'] });
    expect(performance.now() - started).toBeLessThan(5_000);
    await using other = await startMember({ ...QUIET, join: [member.address] });
    expect((await other.status()).members.map(({ address }) => address)).toEqual([
      member.address,
      other.address,
    ]);
  });
});

describe('wrong options', () => {
  it.each([
    [{ partitonCount: 11 }, 'partitonCount', /partitionCount/],
    [{ timings: { heartbeatms: 5 } }, 'timings.heartbeatms', /heartbeatMs/],
    [{ maps: { users: { backups: { sinc: 1 } } } }, 'maps.users.backups.sinc', /sync/],
    [{ consistency: 'PA/EX' }, 'consistency', /PA\/EC/],
    [{ limits: { logBytes: 5 } }, 'limits.logBytes', /1048576/],
    [{ join: ['nowhere'] }, 'join.0', /host:port/],
  ])('of a member are refused with path and advice: %j', async (options, path, advice) => {
    const error = await outcomeOf(startMember({ ...QUIET, ...(options as object) }));
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).path.replace('[0]', '.0')).toBe(path);
    expect(String(error)).toMatch(advice);
  });

  it('of a client are refused with path and advice', async () => {
    const error = await outcomeOf(connect({ members: ['127.0.0.1:1'], timeoutMS: 5 } as never));
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toMatch(/timeoutMS: .*timeoutMs/);
    await expect(connect({ members: [] })).rejects.toThrow(ConfigError);
  });
});

describe('a client that reaches nobody', () => {
  it('is told of each address why, when connectTimeoutMs has passed', async () => {
    await using cluster = await startCluster({ members: 1, member: { clusterName: 'mine' } });
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const silentAddress = addressOf(silent);
    const members = ['127.0.0.1:1', 'no-such-host.invalid:5701', silentAddress, ...cluster.addresses];
    const started = performance.now();
    const error = await outcomeOf(connect({ members, connectTimeoutMs: 1_000, logLevel: 'silent' }));
    const took = performance.now() - started;
    silent.close();
    expect(error).toBeInstanceOf(ConnectError);
    const { message } = error as Error;
    expect(message).toContain('within 1000 ms');
    expect(message).toContain('127.0.0.1:1: connection refused');
    expect(message).toMatch(/no-such-host\.invalid:5701: \w+/);
    expect(message).toMatch(new RegExp(`${silentAddress}: \\w+`));
    expect(message).toContain(`${cluster.addresses[0]}: this member belongs to cluster 'mine', not to 'dev'`);
    expect(took).toBeLessThan(3_000);
  });
});

describe('calls that are cut short', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startCluster({ members: 3, member: { partitionCount: 1 } });
  });
  afterAll(() => cluster.shutdown());

  const primary = (): Member => {
    const holds = (member: Member) => member.node.view?.table[0]?.replicas[0]?.member === member.id;
    const running = cluster.members.filter(({ address }) => cluster.addresses.includes(address));
    return running.find(holds) as Member;
  };

  it('are never sent when their signal was aborted before', async () => {
    const map = cluster.client.getMap<string, number>('aborted');
    const reason = new Error('changed my mind');
    const call = map.with({ signal: AbortSignal.abort(reason) }).set('before', 1);
    expect(await outcomeOf(call)).toBe(reason);
    expect(await map.containsKey('before')).toBe(false);
  });

  it('are indeterminate when a write was aborted after it was sent, with the reason as cause', async () => {
    const map = cluster.client.getMap<string, number>('aborted');
    const stop = new AbortController();
    const call = map.with({ signal: stop.signal }).set('after', 1);
    stop.abort(new Error('too slow for me'));
    const error = (await outcomeOf(call)) as IndeterminateError;
    expect(error).toBeInstanceOf(IndeterminateError);
    expect(error.cause).toBe(stop.signal.reason);
    expect(await error.resolve()).toMatchObject({ outcome: 'done' });
    expect(await map.get('after')).toBe(1);
    const read = map.with({ signal: AbortSignal.timeout(5) });
    const ended = await outcomeOf(Promise.all(Array.from({ length: 2_000 }, () => read.get('after'))));
    expect(Array.isArray(ended) || (ended as Error).name === 'TimeoutError').toBe(true);
  });

  it('end as what they are when the client is shut down', async () => {
    await using client = await connect({ members: cluster.addresses });
    const map = client.getMap<string, number>('cut');
    const write = outcomeOf(map.set('k', 1));
    const read = outcomeOf(map.get('k'));
    await client.shutdown();
    expect(await write).toBeInstanceOf(IndeterminateError);
    expect(await read).toBeInstanceOf(ClientClosedError);
    expect(await ((await write) as IndeterminateError).resolve()).toEqual({ outcome: 'unknown' });
    expect(await outcomeOf(map.set('k', 2))).toBeInstanceOf(ClientClosedError);
  });

  it('can be asked about after the primary was killed: what resolve says is true and stays true', async () => {
    const longs = Array.from({ length: 40 }, (_, i) => cluster.client.getAtomicLong(`resolve-${i}`));
    const stop = new AbortController();
    const calls = longs.map((long) => outcomeOf(long.with({ signal: stop.signal }).addAndGet(1)));
    stop.abort();
    const errors = (await Promise.all(calls)) as IndeterminateError[];
    const victim = primary();
    await cluster.kill(cluster.members.indexOf(victim));
    const outcomes: Resolution<unknown>[] = await Promise.all(errors.map((error) => error.resolve()));
    for (const [i, resolution] of outcomes.entries()) {
      expect(['done', 'not done']).toContain(resolution.outcome);
      if (resolution.outcome === 'done') expect(resolution.reply).toBe(1n);
      const expected = resolution.outcome === 'done' ? 1n : 0n;
      expect(await longs[i]?.get()).toBe(expected);
      expect((await errors[i]?.resolve())?.outcome).not.toBe(
        resolution.outcome === 'done' ? 'not done' : 'done',
      );
    }
    expect(primary()).not.toBe(victim);
  });
});
