/** What listeners cost a member, and what a process does with what it is told: everything has a bound. */
import { describe, expect, it } from 'vitest';
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import * as messages from '../../listeners/messages.js';
import { Subscriber } from '../../listeners/subscriber.js';
import { ALL_OF_POSITION } from '../../partitions/events/event.js';
import type { ListenRequest } from '../../partitions/events/listening.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { lineageTag, type View } from '../../src/cluster/view.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { BodyOf, MessageDef } from '../../src/wire/message.js';
import { clusterOf, connected, done } from '../cluster/scenario.js';
import { Told } from './told.js';

const ONE_PROCESS = { client: 'c1' };

describe('a member', () => {
  it('tells no places to who has no room', async () => {
    const told = new Told(ONE_PROCESS);
    for (let n = 1; n <= 100; n++) told.ask(n);
    await told.scheduler.runFor(50);
    told.hears = false;
    told.link.queuedBytes = 1 << 30;
    const before = told.sent;
    told.teller.adopted();
    for (let i = 0; i < 40; i++) {
      told.pass();
      await told.scheduler.runFor(50);
    }
    expect(told.sent).toBe(before);
    told.hears = true;
    told.link.queuedBytes = 0;
    await told.live(10);
    expect(told.sent - before).toBeGreaterThanOrEqual(100);
    told.teller.stop();
  });

  it('tells places in turns', async () => {
    const told = new Told({ ...ONE_PROCESS, partitions: 400 });
    const listeners = 45;
    for (let n = 1; n <= listeners; n++) {
      told.ask(n);
      await told.scheduler.runFor(100);
    }
    await told.live(6);
    for (let p = 0; p < 400; p++) told.pass(p);
    const before = told.sent;
    told.teller.adopted();
    await told.scheduler.runFor(1);
    const atOnce = told.sent - before;
    expect(atOnce).toBeGreaterThan(0);
    expect(atOnce).toBeLessThan(listeners);
    await told.scheduler.runFor(500);
    expect(told.sent - before).toBe(listeners);
    told.teller.stop();
  });

  it('forgets a listener whose removal was lost, while others of its process live', async () => {
    const told = new Told(ONE_PROCESS);
    told.ask(1);
    told.ask(2, { structure: 'other' });
    await told.live(20);
    expect(told.teller.size).toBe(2);
    told.ask(1, { round: 2 });
    await told.live(20, 2);
    expect(told.teller.size).toBe(1);
    told.teller.stop();
  });

  it('keeps a bounded number of rings for structures that nobody listens to any more', async () => {
    const told = new Told({ ...ONE_PROCESS, partitions: 4_096 });
    told.ask(1, { partitions: [] });
    for (let n = 2; n < 200; n++) {
      told.ask(n, { structure: `s${n}`, partitions: [] });
      told.unlisten(n);
    }
    expect(told.teller.budget.rings).toBeLessThanOrEqual(262_144);
    expect(told.refused).toEqual([]);
    for (let n = 200; n < 300; n++) told.ask(n, { structure: `s${n}`, partitions: [] });
    expect(told.refused.length).toBeGreaterThan(30);
    expect(told.teller.budget.rings).toBeLessThanOrEqual(262_144);
    await told.live(16);
    expect(told.teller.budget.rings).toBe(4_096 * told.teller.size);
    told.teller.stop();
  });
});

const MEMBER = '00000000-0000-0000-0000-000000000001';
const OTHER = '00000000-0000-0000-0000-000000000002';
const LINEAGE = '11111111-0000-0000-0000-000000000001';
const viewOf = (member: string, number: number): View => {
  const table = [{ epoch: number, replicas: [{ member, synced: true }] }];
  return { lineage: LINEAGE, number, parent: null, members: [{ id: member }], table } as unknown as View;
};
const epoch = { lineage: lineageTag(LINEAGE), epoch: 3 };
const at = (seq: number) => ({ ...epoch, seq, index: ALL_OF_POSITION });
const eventAt = (seq: number) => {
  return {
    kind: 'added',
    ...epoch,
    seq,
    index: 0,
    key: encodeKey('k'),
    value: null,
    old: null,
    entries: 1,
  } as const;
};

/** A process with one listener, which one member tells. */
class Listening {
  readonly scheduler = new Scheduler();
  readonly told: unknown[] = [];
  readonly warnings: unknown[] = [];
  readonly subscriber: Subscriber;
  readonly id: string;
  #asked: (BodyOf<typeof messages.listen> | BodyOf<typeof messages.unlisten>)[] = [];
  #next = 0;
  round = 0;

  constructor(maxNumber?: number, onEvent: (self: Listening) => void = () => {}) {
    this.subscriber = new Subscriber({
      clock: new SimClock(this.scheduler, 'c1'),
      logger: { log: (_level: string, text: string) => void this.warnings.push(text) } as never,
      uuid: () => 'listener',
      timeoutMs: 4_000,
      ...(maxNumber === undefined ? {} : { maxNumber }),
      send: (_to, def, body) => {
        if (def.id === messages.listen.id) this.#asked.push(body as never);
      },
    });
    this.subscriber.adopted(viewOf(MEMBER, 3));
    const request = {
      ...{ serviceId: 1, structure: 'm', kinds: 1, withValue: false, key: null, predicate: null },
      ...{ partitionOf: null, from: null, timeoutMs: undefined, reached: () => {} },
      event: ({ seq }: { readonly seq: number }) => {
        this.told.push(seq);
        onEvent(this);
      },
      gap: (_partition: number, reason: string) => void this.told.push(reason),
      settled: (error: unknown) => void this.told.push(error === null ? 'settled' : error),
    };
    this.id = this.subscriber.listen(request as unknown as ListenRequest);
  }

  give<T>(def: MessageDef<T>, body: T): void {
    const out = new Writer(256);
    def.write(out, body);
    this.subscriber.receive(def.id, new Reader(out.toBytes()));
  }

  /** What was asked since the last time. */
  async asked(forMs = 200): Promise<BodyOf<typeof messages.listen>[]> {
    await this.scheduler.runFor(forMs);
    return this.#asked.splice(0) as BodyOf<typeof messages.listen>[];
  }

  tell(before: number | null, through: number): void {
    const seqs = before === null ? [] : Array.from({ length: through - before }, (_, i) => before + 1 + i);
    const [what, place] = before === null ? (['begin', null] as const) : (['on', at(before)] as const);
    const part = { partition: 0, epoch, what, reason: null, before: place, through: at(through) };
    const events = seqs.map(eventAt);
    const { round } = this;
    const body = { member: MEMBER, round, number: this.#next++, listener: 1, parts: [{ ...part, events }] };
    this.give(messages.events, body as BodyOf<typeof messages.events>);
  }

  /** The member answers what was asked of it. */
  async begin(): Promise<void> {
    const [asked] = await this.asked(150);
    this.round = asked?.round as number;
    this.#next = 0;
    this.give(messages.listening, {
      member: MEMBER,
      round: this.round,
      listener: 1,
      refused: false,
    } as never);
    if (asked?.partitions[0]?.place === null) this.tell(null, 0);
    await this.scheduler.runFor(200);
  }
}

describe('a process', () => {
  it('gives nothing to a listener that was removed by what it was given', async () => {
    const process = new Listening(undefined, ({ subscriber, id }) => void subscriber.remove(id));
    await process.begin();
    process.tell(0, 3);
    expect(process.told).toEqual(['settled', 1]);
  });

  it('tells a listener of a gap when a member has no room for it any more, and goes on when there is', async () => {
    const process = new Listening();
    await process.begin();
    process.subscriber.adopted(viewOf(OTHER, 3));
    const rounds = new Set<number>();
    for (let i = 0; i < 200; i++)
      for (const { round } of await process.asked(100)) {
        rounds.add(round);
        process.give(messages.listening, { member: OTHER, round, listener: 1, refused: true } as never);
      }
    expect(process.told).toEqual(['settled', 'overflow']);
    expect(process.warnings).toEqual(['a member has no room for a listener']);
    // What other listeners of the process are told goes on.
    expect(rounds.size).toBe(1);
  });

  it('begins another round before the numbers of messages end', async () => {
    const process = new Listening(5);
    await process.begin();
    const { round } = process;
    for (let seq = 0; seq < 6; seq++) process.tell(seq, seq + 1);
    // The numbers have ended with the fifth.
    expect(process.told).toEqual(['settled', 1, 2, 3, 4]);
    await process.begin();
    expect(process.round).not.toBe(round);
    process.tell(4, 6);
    expect(process.told).toEqual(['settled', 1, 2, 3, 4, 5, 6]);
  });

  it('makes good a removal that was lost with a connection', async () => {
    const cluster = await clusterOf(3, { seed: 31, member: { partitionCount: 5 } });
    const client = await connected(cluster);
    await done(cluster, client.getMap('a').addEntryListener({ added: () => {} }));
    const b = client.getMap('b');
    const ids: string[] = [];
    for (let i = 0; i < 10; i++) ids.push(await done(cluster, b.addEntryListener({ added: () => {} })));
    for (const host of cluster.members.keys()) {
      cluster.network.cut('c1', host);
      cluster.network.cut(host, 'c1');
    }
    await cluster.scheduler.runFor(8_000);
    for (const id of ids) void b.removeEntryListener(id);
    await cluster.scheduler.runFor(1_000);
    cluster.network.healAll();
    await cluster.scheduler.runFor(30_000);
    const sizes = [...cluster.members.values()].map((one) => one.member.node.near.listening.teller.size);
    expect(sizes).toEqual([1, 1, 1]);
  });
});
