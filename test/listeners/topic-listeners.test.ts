/** Messages of topics in whole clusters: in order, once, on through crashes and splits, and a gap where some may be missing. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Grid } from '../../client/core/grid.js';
import type { GapEvent } from '../../partitions/services/proxy-listeners.js';
import type { Message, MessageListener } from '../../partitions/services/topic/proxy-messages.js';
import { EventTokenError } from '../../src/base/errors.js';
import {
  clusterOf,
  connected,
  done,
  isolate,
  keyAt,
  memberOf,
  runUntilView,
  settle,
} from '../cluster/scenario.js';

const member = { partitionCount: 5, timings: 'local' } as const;

/** What a listener was told, a gap as `gap <reason>`. */
class Heard {
  readonly texts: unknown[] = [];
  readonly messages: Message<unknown>[] = [];
  id = '';

  get listener(): MessageListener<unknown> {
    return {
      message: (message) => {
        this.texts.push(message.messageObject);
        this.messages.push(message);
      },
      gap: ({ reason }: GapEvent) => void this.texts.push(`gap ${reason}`),
    };
  }
}

async function listening(cluster: SimCluster, grid: Grid, topic: string): Promise<Heard> {
  const heard = new Heard();
  heard.id = await done(cluster, grid.getTopic(topic).addMessageListener(heard.listener));
  return heard;
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** Publishes numbers, some without waiting for those before; gives those that were acknowledged when it is stopped. */
function publishing(cluster: SimCluster, grid: Grid, topic: string) {
  const acknowledged: number[] = [];
  const state = { isOn: true, ended: false, published: 0, acknowledged };
  const { scheduler } = cluster;
  const one = (i: number) =>
    grid
      .getTopic(topic)
      .publish(i)
      .then(
        () => void acknowledged.push(i),
        () => {},
      );
  const run = async () => {
    while (state.isOn) {
      const calls = Array.from({ length: 1 + (state.published % 4) }, () => one(state.published++));
      if (state.published % 3 === 0) await Promise.all(calls);
      await new Promise<void>((next) => scheduler.schedule(scheduler.now + 3, next));
    }
    state.ended = true;
  };
  void run();
  return state;
}

async function stopped(cluster: SimCluster, work: ReturnType<typeof publishing>): Promise<void> {
  work.isOn = false;
  await cluster.until(() => work.ended, 20_000);
  await cluster.scheduler.runFor(12_000);
}

describe('a message listener', () => {
  it('is told of each message in order, with who published it and when', async () => {
    const cluster = await clusterOf(3, { seed: 1, member });
    const [client, other] = [await connected(cluster), await connected(cluster)];
    const inside = memberOf(cluster, 'm1').member;
    const single = cluster.client({ routing: 'single' });
    await done(cluster, single.connect());
    const all = [client, other, inside, single];
    const heard: Heard[] = [];
    for (const grid of all) heard.push(await listening(cluster, grid, 't'));
    const calls = [client.getTopic('t').publish('a'), client.getTopic('t').publishAll(['b', { c: 1 }])];
    await done(cluster, Promise.all(calls));
    await done(cluster, inside.getTopic('t').publish('d'));
    await cluster.scheduler.runFor(200);
    for (const { texts } of heard) expect(texts).toEqual(['a', 'b', { c: 1 }, 'd']);
    const [a, b, c, d] = (heard[1] as Heard).messages;
    const publisher = client.getTopic('t').publisher;
    expect([a, b, c].map((each) => each?.publisher)).toEqual([publisher, publisher, publisher]);
    expect(d?.publisher).toBe(inside.getTopic('t').publisher);
    expect(new Set(all.map((grid) => grid.getTopic('x').publisher)).size).toBe(4);
    expect(a).toMatchObject({ name: 't', position: { index: 0 } });
    expect(c?.position).toEqual({ ...b?.position, index: 2 });
    expect(Math.abs((d?.publishingTime as number) - (a?.publishingTime as number))).toBeLessThan(5_000);
    expect(cluster.running().map((one) => one.member.node.id)).toContain(a?.member);
  });

  it('may be a function alone', async () => {
    const cluster = await clusterOf(2, { seed: 2, member });
    const topic = (await connected(cluster)).getTopic<number>('t');
    const told: number[] = [];
    await done(
      cluster,
      topic.addMessageListener(({ messageObject }) => void told.push(messageObject)),
    );
    await done(cluster, topic.publishAll([1, 2, 3]));
    await cluster.scheduler.runFor(200);
    expect(told).toEqual([1, 2, 3]);
  });

  it('hears nothing from before it was added, nor once it is removed', async () => {
    const cluster = await clusterOf(2, { seed: 3, member });
    const client = await connected(cluster);
    const topic = client.getTopic('t');
    await done(cluster, topic.publish('before'));
    const heard = await listening(cluster, client, 't');
    await done(cluster, topic.publish('now'));
    await cluster.scheduler.runFor(200);
    expect(await done(cluster, topic.removeMessageListener(heard.id))).toBe(true);
    expect(await done(cluster, topic.removeMessageListener(heard.id))).toBe(false);
    await done(cluster, topic.publish('after'));
    await cluster.scheduler.runFor(200);
    expect(heard.texts).toEqual(['now']);
  });

  it('that throws, or fails later, is logged, and the others are called all the same', async () => {
    const cluster = await clusterOf(2, { seed: 4, member });
    const client = await connected(cluster);
    const topic = client.getTopic<number>('t');
    const throwing = () => {
      throw new Error('planted');
    };
    await done(cluster, topic.addMessageListener(throwing));
    await done(
      cluster,
      topic.addMessageListener(async () => throwing()),
    );
    const heard = await listening(cluster, client, 't');
    await done(cluster, topic.publishAll([1, 2]));
    await cluster.scheduler.runFor(200);
    expect(heard.texts).toEqual([1, 2]);
    expect(cluster.logs.filter((line) => line.includes('a listener threw'))).toHaveLength(4);
  });

  it('stays when the topic is destroyed', async () => {
    const cluster = await clusterOf(2, { seed: 5, member });
    const client = await connected(cluster);
    const heard = await listening(cluster, client, 't');
    await done(cluster, client.getTopic('t').publish(1));
    await done(cluster, client.getTopic('t').destroy());
    await done(cluster, client.getTopic('t').publish(2));
    await cluster.scheduler.runFor(200);
    expect(heard.texts).toEqual([1, 2]);
  });

  it('gets the largest message, and many that are together larger than what members keep', async () => {
    const cluster = await clusterOf(2, { seed: 6, member });
    const client = await connected(cluster);
    const heard = await listening(cluster, await connected(cluster), 't');
    const largest = Buffer.alloc(16 * 1024 * 1024 - 100, 7);
    await done(cluster, client.getTopic('t').publish(largest), 60_000);
    await cluster.scheduler.runFor(10_000);
    expect(heard.texts).toHaveLength(1);
    expect((heard.texts[0] as Buffer).equals(largest)).toBe(true);
    for (let i = 0; i < 12; i++) {
      await done(cluster, client.getTopic('t').publish(Buffer.alloc(900_000, i)), 60_000);
      await cluster.scheduler.runFor(3_000);
    }
    expect(heard.texts.slice(1).map((bytes) => (bytes as Buffer)[0])).toEqual(numbers(0, 12));
  });
});

describe('a message listener goes on without a gap', () => {
  it.each(['m1', 'm2', 'm3'])(
    'when %s crashes, with all that was acknowledged, in order',
    async (crashed) => {
      const cluster = await clusterOf(4, { seed: 7, member });
      const client = await connected(cluster);
      const topic = keyAt(cluster, crashed);
      const heard = await listening(cluster, client, topic);
      const atMember = await listening(cluster, memberOf(cluster, 'm4').member, topic);
      const work = publishing(cluster, client, topic);
      await cluster.scheduler.runFor(300);
      cluster.crash(crashed);
      await runUntilView(
        cluster,
        ['m1', 'm2', 'm3', 'm4'].filter((host) => host !== crashed),
        10_000,
      );
      await cluster.scheduler.runFor(300);
      await stopped(cluster, work);
      expect(work.acknowledged.length).toBe(work.published);
      expect(work.published).toBeGreaterThan(100);
      expect(heard.texts).toEqual(numbers(0, work.published));
      expect(atMember.texts).toEqual(heard.texts);
    },
  );

  it.each([8, 9])('when the topic moves to a member that joins, and leaves again (%i)', async (seed) => {
    const cluster = await clusterOf(3, { seed, member });
    const client = await connected(cluster);
    const topics = ['m1', 'm2', 'm3'].map((host) => keyAt(cluster, host));
    const heard = [];
    for (const topic of topics) heard.push(await listening(cluster, client, topic));
    const work = topics.map((topic) => publishing(cluster, client, topic));
    await cluster.scheduler.runFor(300);
    cluster.start('m4');
    await cluster.runUntilSafe(20_000);
    await cluster.scheduler.runFor(300);
    void cluster.leave('m1');
    await runUntilView(cluster, ['m2', 'm3', 'm4'], 20_000);
    await cluster.runUntilSafe(20_000);
    for (const one of work) await stopped(cluster, one);
    for (const [i, { texts }] of heard.entries())
      expect(texts).toEqual(numbers(0, work[i]?.published as number));
  });

  it('when its publisher asks for EL, whose messages come when the backups have them', async () => {
    const cluster = await clusterOf(3, { seed: 10, member });
    const client = await connected(cluster);
    const heard = await listening(cluster, await connected(cluster), 't');
    const topic = client.getTopic<number>('t').with({ consistency: 'EL' });
    await done(cluster, Promise.all(numbers(0, 500).map((i) => topic.publish(i))));
    await cluster.scheduler.runFor(1_000);
    expect(heard.texts).toEqual(numbers(0, 500));
  });
});

describe('a message listener is told of a gap', () => {
  it('when it was too slow for what members keep, and goes on in order', async () => {
    const rings = { events: 50, bytes: 100_000, memberBytes: 200_000 };
    const cluster = await clusterOf(2, { seed: 11, member, memberFaults: { rings } });
    const client = await connected(cluster);
    const heard = await listening(cluster, await connected(cluster), 't');
    const work = publishing(cluster, client, 't');
    await cluster.scheduler.runFor(200);
    for (const host of cluster.members.keys()) cluster.network.cut('c2', host);
    await cluster.scheduler.runFor(3_000);
    for (const host of cluster.members.keys()) cluster.network.heal('c2', host);
    await cluster.scheduler.runFor(3_000);
    await stopped(cluster, work);
    const told = heard.texts.filter((text) => typeof text === 'number');
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(new Set(told).size).toBe(told.length);
    expect(told.at(-1)).toBe(work.published - 1);
    expect(told.length).toBeLessThan(work.published);
    heard.texts.forEach((text, i) => {
      const before = heard.texts[i - 1];
      if (typeof text === 'number' && typeof before === 'number') expect(text).toBe(before + 1);
    });
    expect(heard.texts).toContain('gap overflow');
  });

  it('for what is dropped before the backups have it, and not for having lost it with its primary', async () => {
    const rings = { events: 6, bytes: 4_000, memberBytes: 60_000 };
    const cluster = await clusterOf(3, { seed: 16, member, memberFaults: { rings } });
    const client = await connected(cluster);
    const topic = keyAt(cluster, 'm2');
    const heard = await listening(cluster, client, topic);
    await done(cluster, client.getTopic(topic).publish('first'));
    await cluster.scheduler.runFor(100);
    for (const host of ['m1', 'm3']) cluster.network.cut('m2', host);
    // Through objects of their own, so that none waits for another.
    const calls = numbers(0, 4).map((i) => {
      const texts = numbers(0, 4).map((j) => `${i}.${j}`);
      return client.getTopic(topic).with({ timeoutMs: 20_000 }).publishAll(texts);
    });
    await cluster.scheduler.runFor(200);
    expect(heard.texts).toEqual(['first']);
    cluster.crash('m2');
    await done(cluster, Promise.all(calls));
    await cluster.scheduler.runFor(2_000);
    expect(heard.texts).not.toContain('gap lost');
    const told = heard.texts.filter((text) => !`${text}`.startsWith('gap'));
    expect(new Set(told).size).toBe(told.length);
    expect(heard.texts.length > 16 || heard.texts.includes('gap overflow')).toBe(true);
  });

  it('when sides of a split were merged: each side tells its own, and the others that there were some', async () => {
    const topics = { default: { backups: { sync: 2 } } };
    const cluster = await clusterOf(3, { seed: 12, member: { ...member, topics } });
    const [inside, outside] = [memberOf(cluster, 'm1').member, memberOf(cluster, 'm3').member];
    const majority = await listening(cluster, inside, 't');
    const cutOff = await listening(cluster, outside, 't');
    const silent = await listening(cluster, inside, 'other');
    await done(cluster, inside.getTopic('t').publish('before'));
    await done(cluster, inside.getTopic('other').publish('before'));
    await cluster.scheduler.runFor(500);
    isolate(cluster, 'm3', 'both');
    await cluster.scheduler.runFor(10_000);
    await done(cluster, inside.getTopic('t').publish('chain'));
    await done(cluster, outside.getTopic('t').publishAll(['fork', 'more']));
    await cluster.scheduler.runFor(500);
    expect(majority.texts).toEqual(['before', 'chain']);
    expect(cutOff.texts).toEqual(['before', 'gap lineage', 'fork', 'more']);
    for (const host of ['m1', 'm2']) {
      cluster.network.heal('m3', host);
      cluster.network.heal(host, 'm3');
    }
    await cluster.runUntilSafe(30_000);
    await cluster.scheduler.runFor(5_000);
    await done(cluster, outside.getTopic('t').publish('after'));
    await cluster.scheduler.runFor(500);
    expect(majority.texts).toEqual(['before', 'chain', 'gap lineage', 'after']);
    const rest = ['gap lineage', 'chain', 'gap lineage', 'after'];
    expect(cutOff.texts).toEqual(['before', 'gap lineage', 'fork', 'more', ...rest]);
    expect(silent.texts).toEqual(['before']);
    const listed = await done(cluster, inside.getDistributedObjects());
    expect(listed.map(({ service, name }) => `${service} ${name}`)).toEqual(['topic other', 'topic t']);
  });

  it('on no side when the topic is consistent: the minority refuses', async () => {
    const topics = { default: { consistency: 'PC/EC' as const, backups: { sync: 2 } } };
    const cluster = await clusterOf(3, { seed: 13, member: { ...member, topics, founds: true } });
    const [inside, outside] = [memberOf(cluster, 'm1').member, memberOf(cluster, 'm3').member];
    const cutOff = await listening(cluster, outside, 't');
    await done(cluster, inside.getTopic('t').publish('before'));
    isolate(cluster, 'm3', 'both');
    await cluster.scheduler.runFor(10_000);
    await done(cluster, inside.getTopic('t').publish('chain'));
    const refused = await settle(cluster, outside.getTopic('t').with({ timeoutMs: 2_000 }).publish('fork'));
    expect(refused.error).toMatchObject({ definite: true });
    for (const host of ['m1', 'm2']) {
      cluster.network.heal('m3', host);
      cluster.network.heal(host, 'm3');
    }
    await cluster.runUntilSafe(30_000);
    await cluster.scheduler.runFor(5_000);
    expect(cutOff.texts.filter((text) => text !== 'gap lineage')).toEqual(['before', 'chain']);
  });
});

describe('the messages of a topic as an iterator', () => {
  it('come in order, and go on in another process from a token', async () => {
    const cluster = await clusterOf(2, { seed: 14, member });
    const [client, other] = [await connected(cluster), await connected(cluster)];
    const topic = client.getTopic<string>('t');
    const messages = topic.messages();
    await done(cluster, messages.ready());
    await done(cluster, topic.publishAll(['a', 'b', 'c']));
    const next = async (from: typeof messages) => {
      const { value } = await done(cluster, from.next());
      return value?.type === 'message' ? value.messageObject : value;
    };
    expect([await next(messages), await next(messages)]).toEqual(['a', 'b']);
    const token = messages.token();
    await done(cluster, messages.return());
    await done(cluster, topic.publish('d'));
    const further = other.getTopic<string>('t').messages({ from: token });
    expect([await next(further), await next(further)]).toEqual(['c', 'd']);
    await done(cluster, further.return());
    expect(await done(cluster, further.next())).toEqual({ done: true, value: undefined });
    expect(() => other.getTopic('u').messages({ from: token })).toThrow(EventTokenError);
    expect(() => client.getMap('t').events({ from: token })).toThrow(EventTokenError);
    expect(() => topic.messages({ from: `${token}A` })).toThrow(EventTokenError);
  });

  it('has a gap where nobody kept the messages behind its token', async () => {
    const cluster = await clusterOf(2, { seed: 15, member });
    const client = await connected(cluster);
    const messages = client.getTopic('t').messages();
    await done(cluster, messages.ready());
    const token = messages.token();
    await done(cluster, messages.return());
    await cluster.scheduler.runFor(60_000);
    await done(cluster, client.getTopic('t').publish('nobody'));
    const further = client.getTopic('t').messages({ from: token });
    await done(cluster, further.ready());
    await done(cluster, client.getTopic('t').publish('now'));
    const told = [await done(cluster, further.next()), await done(cluster, further.next())];
    expect(told.map(({ value }) => value)).toMatchObject([
      { type: 'gap', reason: 'moved' },
      { type: 'message', messageObject: 'now' },
    ]);
  });
});
