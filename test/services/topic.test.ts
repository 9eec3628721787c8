/** The topic: the contract of structures, what it tells and what it refuses, the order of what one object publishes, merges. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Actor } from '../../partitions/service.js';
import { readHead } from '../../partitions/services/topic/head.js';
import { TOPIC_OPERATIONS as ops } from '../../partitions/services/topic/ops.js';
import { type GridTopic, TOPIC } from '../../partitions/services/topic/proxy.js';
import { MAX_WAITING } from '../../partitions/services/topic/proxy-outbox.js';
import { OverloadError, TimeoutError, ValueTooLargeError } from '../../src/base/errors.js';
import { ValueCodec } from '../../src/wire/values.js';
import { type Arbitraries, serviceContract } from '../contract/service.contract.js';
import { EventLog } from './event-log.js';
import { InMemoryInvoker } from './in-memory-invoker.js';
import { Primary, Replica, START_MS } from './partition-harness.js';

const codec = new ValueCodec();
const message = fc.constantFrom(0, 'a', 'b', { c: 1 }).map((value) => codec.encode(value));

const arbitraries: Arbitraries<typeof ops> = {
  publish: fc.record({ messages: fc.array(message, { maxLength: 4 }) }),
  destroy: fc.constant({}),
};

serviceContract(TOPIC, ops, arbitraries);

/** What was told, decoded. */
class Told extends EventLog {
  readonly messages: unknown[] = [];
  readonly heads: ReturnType<typeof readHead>[] = [];

  override tell(...event: Parameters<EventLog['tell']>): void {
    super.tell(...event);
    const [, kind, key, value] = event;
    if (kind === 'added') this.heads.push(readHead(key));
    this.messages.push(kind === 'added' ? codec.decode(value as Uint8Array) : kind);
  }
}

function publish(primary: Primary, ...messages: unknown[]): void {
  primary.run(ops.publish, { messages: messages.map((each) => codec.encode(each)) });
}

describe('the state of a topic', () => {
  it('tells of messages in their order, with who published them and when, and keeps none', () => {
    const primary = new Primary(TOPIC.service);
    const told = new Told();
    primary.state.events = told;
    primary.client = 2 ** 53 - 1;
    publish(primary, 'a', { b: 1 });
    const { sizeBytes } = primary.state;
    primary.client = 7;
    primary.wallMs = START_MS + 5;
    publish(primary, 'c');
    expect(told.messages).toEqual(['a', { b: 1 }, 'c']);
    const first = { client: 2 ** 53 - 1, publishedMs: START_MS };
    expect(told.heads).toEqual([first, first, { client: 7, publishedMs: START_MS + 5 }]);
    expect([primary.state.sizeBytes, primary.state.entryCount]).toEqual([sizeBytes, 1]);
  });

  it('tells nobody and changes nothing for no message', () => {
    const primary = new Primary(TOPIC.service);
    publish(primary);
    expect([primary.seq, primary.state.entryCount]).toEqual([0, 0]);
  });

  it('is gone when it is destroyed, and there again with the next message', () => {
    const primary = new Primary(TOPIC.service);
    publish(primary, 'a');
    primary.run(ops.destroy, {});
    expect(primary.state.entryCount).toBe(0);
    expect(primary.run(ops.destroy, {})).toMatchObject({ seq: 0, dependsOn: 2 });
    publish(primary, 'b');
    expect(primary.state.entryCount).toBe(1);
  });
});

describe('a merge of two sides of a topic', () => {
  const actor = (n: number): Actor => ({ memberHi: n, memberLo: n, lineage: n, epoch: n });

  function sides() {
    const before = new Primary(TOPIC.service);
    publish(before, 'old');
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    const backup = new Replica(TOPIC.service);
    for (const entry of owner.log) backup.apply(entry);
    const [told, toldThere] = [new Told(), new Told()];
    owner.state.events = told;
    backup.state.events = toldThere;
    const known = owner.log.length;
    const merge = (policy?: string) => {
      const merged = [];
      for (const page of source.changes({ sharedSeq: before.seq, skipped: new Map() }))
        merged.push(
          owner.merge(page, { sharedSeq: before.seq, ...(policy === undefined ? {} : { policy }) }),
        );
      return merged.flat();
    };
    const follow = () => {
      for (const entry of owner.log.slice(known)) backup.apply(entry);
      expect(backup.state.dump()).toEqual(owner.state.dump());
      expect(toldThere.lines).toEqual(told.lines);
    };
    return { owner, source, told, merge, follow };
  }

  it('tells that there were messages, once, and none of them', () => {
    const { source, told, merge, follow } = sides();
    publish(source, 'new');
    publish(source, 'newer');
    for (let times = 0; times < 3; times++) merge();
    expect(told.messages).toEqual(['merged']);
    follow();
    publish(source, 'newest');
    for (let times = 0; times < 2; times++) merge();
    expect(told.messages).toEqual(['merged', 'merged']);
  });

  it('tells nothing of a side that has published nothing, and takes over that it was destroyed there', () => {
    const { owner, source, told, merge, follow } = sides();
    merge();
    expect(told.messages).toEqual([]);
    source.versions = owner.versions + 100;
    source.run(ops.destroy, {});
    merge();
    expect(told.messages).toEqual([]);
    expect(owner.state.entryCount).toBe(0);
    follow();
  });

  it('keeps what was decided last about whether the topic is there', () => {
    const { owner, source, merge, follow } = sides();
    source.run(ops.destroy, {});
    owner.versions = source.versions + 100;
    publish(owner, 'later');
    merge();
    expect(owner.state.entryCount).toBe(1);
    follow();
  });

  it('reports with Discard what it does not take, and tells of it all the same', () => {
    const { owner, source, told } = sides();
    publish(source, 'new');
    const discarded = [];
    for (const page of source.changes({ sharedSeq: 1, skipped: new Map() })) {
      const merged = owner.merge(page, { sharedSeq: 1, policy: 'Discard' });
      discarded.push(...merged.discarded);
    }
    expect(discarded).toMatchObject([{ kept: null, discarded: null, side: 'source', reason: 'Discard' }]);
    expect(told.messages).toEqual(['merged']);
  });
});

function topicOf<E = unknown>(invoker: InMemoryInvoker): GridTopic<E> {
  return TOPIC.createProxy('t', invoker, {}, () => {}) as GridTopic<E>;
}

function tellingOf(invoker: InMemoryInvoker): Told {
  const told = new Told();
  const original = invoker.primary.bind(invoker);
  invoker.primary = (...of) => {
    const primary = original(...of);
    primary.state.events = told;
    return primary;
  };
  return told;
}

describe('publishing through one object', () => {
  it('sends one request at a time, with all that has come meanwhile, in order', async () => {
    const invoker = new InMemoryInvoker();
    invoker.isSlow = true;
    const told = tellingOf(invoker);
    const topic = topicOf<number>(invoker);
    const calls = Array.from({ length: 500 }, (_, i) => topic.publish(i));
    await calls[0];
    calls.push(topic.publishAll([500, 501, 502]), topic.publish(503));
    await Promise.all(calls);
    expect(told.messages).toEqual(Array.from({ length: 504 }, (_, i) => i));
    expect(invoker.mostInFlight).toBe(1);
    expect(invoker.count('topic.publish')).toBe(2);
  });

  it('never has more in a request than fits', async () => {
    const invoker = new InMemoryInvoker();
    const told = tellingOf(invoker);
    const topic = topicOf<unknown>(invoker);
    const large = Buffer.alloc(1_100_000);
    const all = [large, large, Buffer.alloc(5_000_000), ...Array.from({ length: 5_000 }, (_, i) => i)];
    await Promise.all(all.map((each) => topic.publish(each)));
    expect(told.messages.length).toBe(all.length);
    expect(told.messages.slice(3)).toEqual(all.slice(3));
    expect(invoker.count('topic.publish')).toBe(5);
    for (const { requestBytes } of invoker.sent) expect(requestBytes).toBeLessThan(5_001_000);
  });

  it('rejects with what its request met, and goes on with the next one', async () => {
    const invoker = new InMemoryInvoker();
    const told = tellingOf(invoker);
    const topic = topicOf<string>(invoker);
    const refused = new OverloadError('too much');
    let times = 0;
    invoker.refuse = () => (times++ === 0 ? refused : undefined);
    const [first, second] = [topic.publish('a'), topic.publish('b')];
    await expect(first).rejects.toBe(refused);
    await expect(second).rejects.toBe(refused);
    await topic.publish('c');
    expect(told.messages).toEqual(['c']);
  });

  it('does not put a message into a request that ends much sooner', async () => {
    const invoker = new InMemoryInvoker();
    const told = tellingOf(invoker);
    const topic = topicOf<string>(invoker).with({ timeoutMs: 1_000 });
    let answer = () => {};
    invoker.held = new Promise((resolve) => {
      answer = resolve;
    });
    const calls = [topic.publish('first')];
    await Promise.resolve();
    for (const waitMs of [40, 40, 100]) {
      calls.push(topic.publish(`before ${waitMs}`));
      await invoker.scheduler.runFor(waitMs);
    }
    answer();
    await Promise.all(calls);
    expect(invoker.count('topic.publish')).toBe(3);
    expect(told.messages).toEqual(['first', 'before 40', 'before 40', 'before 100']);
  });

  it('refuses more when too much waits, and gives up what waited for too long', async () => {
    const invoker = new InMemoryInvoker();
    const topic = topicOf<number>(invoker).with({ timeoutMs: 1_000 });
    let answer = () => {};
    invoker.held = new Promise((resolve) => {
      answer = resolve;
    });
    const first = topic.publish(0);
    await Promise.resolve();
    const waiting = Array.from({ length: MAX_WAITING }, (_, i) => topic.publish(i).catch((error) => error));
    await expect(topic.publish(1)).rejects.toThrow(OverloadError);
    await invoker.scheduler.runFor(1_500);
    answer();
    await first;
    for (const error of await Promise.all(waiting)) expect(error).toBeInstanceOf(TimeoutError);
    invoker.held = null;
    await topic.publish(2);
    expect(invoker.count('topic.publish')).toBe(2);
  });
});

describe('what a topic refuses', () => {
  const invoker = new InMemoryInvoker();
  const topic = topicOf<unknown>(invoker);

  it.each([
    ['null', () => topic.publish(null)],
    ['undefined', () => topic.publish(undefined)],
    ['a function', () => topic.publish(() => 1)],
    ['one that cannot be a message', () => topic.publishAll(['a', null])],
    ['no list', () => topic.publishAll(5 as never)],
    ['null for a list', () => topic.publishAll(null as never)],
    ['a text for a list', () => topic.publishAll('abc' as never)],
    ['too many at a time', () => topic.publishAll(Array.from({ length: 4_097 }, () => 1))],
    ['no listener', () => topic.addMessageListener(null as never)],
    ['a text for a listener', () => topic.addMessageListener('log' as never)],
    ['an unknown function', () => topic.addMessageListener({ onMessage: () => {} } as never)],
    ['what is no function', () => topic.addMessageListener({ message: 1 } as never)],
    ['an id that is no text', () => topic.removeMessageListener(1 as never)],
    ['unknown options', () => Promise.resolve().then(() => topic.messages({ key: 1 } as never))],
    ['a token that is no text', () => Promise.resolve().then(() => topic.messages({ from: 1 as never }))],
  ])('is %s, with a TypeError', async (_what, call) => {
    invoker.listening = { listen: () => 'id', remove: () => false };
    await expect(call()).rejects.toThrow(TypeError);
  });

  it('is what is too large, alone or together, with a ValueTooLargeError', async () => {
    await expect(topic.publish(Buffer.alloc(16 * 1024 * 1024 + 1))).rejects.toThrow(ValueTooLargeError);
    const half = Buffer.alloc(1_100_000);
    await expect(topic.publishAll([half, half])).rejects.toThrow(/messages: .* at a time/);
    const encoded = codec.encode(half);
    const primary = new Primary(TOPIC.service);
    expect(() => primary.run(ops.publish, { messages: [encoded, encoded] })).toThrow(ValueTooLargeError);
    expect(primary.seq).toBe(0);
  });

  it('sends nothing of it', () => {
    expect(invoker.sent).toEqual([]);
  });
});
