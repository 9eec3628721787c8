/** Values that another process wrote with a serializer, met by one that has none. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../client/api.js';
import { connect } from '../../client/index.js';
import { IndeterminateError, ProtocolError } from '../../src/index.js';
import { startCluster, type TestCluster } from '../../src/testing.js';

let cluster: TestCluster;
let writer: Client;
beforeAll(async () => {
  cluster = await startCluster({ members: 1, member: { partitionCount: 7 } });
  writer = await connect({
    members: cluster.addresses,
    serializer: {
      encode: (value) => Buffer.from(JSON.stringify(value)),
      decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()) as unknown,
    },
  });
});
afterAll(async () => {
  await writer?.shutdown();
  await cluster?.shutdown();
});

const failureOf = (call: Promise<unknown>) => call.then(() => null).catch((error: unknown) => error);

describe('a value that cannot be read here', () => {
  it('is no definite refusal of a write that was done, and its bytes are not lost', async () => {
    await writer.getMap<string, object>('m').set('a', { x: 1 });
    const map = cluster.client.getMap<string, string>('m');
    expect(await failureOf(map.get('a'))).toBeInstanceOf(ProtocolError);
    const failure = await failureOf(map.put('a', 'new'));
    expect(failure).toBeInstanceOf(IndeterminateError);
    expect((failure as Error).message).toContain('was done, but its answer cannot be read here');
    const resolution = await (failure as IndeterminateError).resolve();
    expect(resolution.outcome).toBe('done');
    expect(
      Buffer.from((resolution as unknown as { reply: { value: Uint8Array } }).reply.value).toString(),
    ).toContain('{"x":1}');
    expect(await map.get('a')).toBe('new');
  });

  it('costs no other item of a queue that is drained', async () => {
    const queue = cluster.client.getQueue<string>('q');
    await queue.addAll(['a', 'b']);
    await writer.getQueue<object>('q').add({ x: 2 });
    await queue.add('c');
    const found: string[] = [];
    const failure = await failureOf(queue.drainTo(found));
    expect(found).toEqual(['a', 'b', 'c']);
    expect(failure).toBeInstanceOf(IndeterminateError);
    const { reply } = (await (failure as IndeterminateError).resolve()) as unknown as {
      reply: { items: Uint8Array[] };
    };
    expect(reply.items.map((bytes) => Buffer.from(bytes).toString().slice(1))).toEqual(['{"x":2}']);
  });

  it('comes back to a queue whose items have to be acknowledged, and the others are delivered', async () => {
    const queue = cluster.client.getQueue<string>('acked');
    await writer.getQueue<object>('acked').add({ x: 3 });
    await queue.add('a');
    const found: { readonly item: string; ack(): Promise<boolean> }[] = [];
    expect(await queue.drainTo(found as never, 10, { ackTimeoutMs: 300 })).toBe(1);
    expect(found[0]?.item).toBe('a');
    expect(await found[0]?.ack()).toBe(true);
    expect(await writer.getQueue<object>('acked').poll(5_000)).toEqual({ x: 3 });
  });

  it('is a gap for a listener, which goes on', async () => {
    const told: string[] = [];
    const map = cluster.client.getMap<string, string>('events');
    await map.addEntryListener(
      {
        added: ({ key, value }) => told.push(`${key} ${value}`),
        gap: ({ reason }) => told.push(reason),
      },
      'k',
      true,
    );
    await writer.getMap<string, object>('events').set('k', { x: 4 });
    await map.delete('k');
    await map.set('k', 'v');
    await expect.poll(() => told).toEqual(['unreadable', 'k v']);
  });
});
