import { beforeEach, describe, expect, it } from 'vitest';
import { firstDifference, Journal } from '../../chaos/sim/journal.js';
import { SimNetwork, type SimNetworkOptions } from '../../chaos/sim/network.js';
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import type { CloseReason, Connection, ConnectionHandler, Transport } from '../../src/base/ports.js';
import { SeededRandom } from '../../src/base/random.js';

/** One end of a connection as a test sees it: what came, when, and how it ended. */
class End implements ConnectionHandler {
  connection!: Connection;
  opens = 0;
  drains = 0;
  readonly numbers: number[] = [];
  readonly times: number[] = [];
  readonly closes: CloseReason[] = [];
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }
  opened(): void {
    this.opens++;
  }
  frame(bytes: Uint8Array): void {
    this.numbers.push(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0));
    this.times.push(this.#scheduler.now);
  }
  drained(): void {
    this.drains++;
  }
  closed(reason: CloseReason): void {
    this.closes.push(reason);
  }
  send(number: number, sizeBytes = 4): void {
    const bytes = new Uint8Array(sizeBytes);
    new DataView(bytes.buffer).setUint32(0, number);
    this.connection.send(bytes);
  }
}

let scheduler: Scheduler;
let network: SimNetwork;
let clocks: Map<string, SimClock>;

function build(options: Partial<SimNetworkOptions> = {}): void {
  scheduler = new Scheduler();
  network = new SimNetwork({ scheduler, seed: 7, ...options });
  clocks = new Map();
}

function start(host: string): Transport {
  const clock = new SimClock(scheduler, host);
  clocks.set(host, clock);
  return network.transport(host, clock);
}

/** An open connection from a fresh process on `a` to one on `b`. */
async function connect(): Promise<{ a: End; b: End; transportA: Transport; transportB: Transport }> {
  const [transportA, transportB] = [start('a'), start('b')];
  const [a, b] = [new End(scheduler), new End(scheduler)];
  await transportB.listen({
    host: 'b',
    port: 5701,
    accept: (connection) => {
      b.connection = connection;
      return b;
    },
  });
  a.connection = transportA.dial('b:5701', a);
  await scheduler.runFor(100);
  expect([a.opens, b.opens]).toEqual([1, 1]);
  return { a, b, transportA, transportB };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

beforeEach(() => build());

describe('connections', () => {
  it('take latency in both directions to set up', async () => {
    build({ link: { minLatencyMs: 10, meanLatencyMs: 10 } });
    const transportB = start('b');
    const b = new End(scheduler);
    await transportB.listen({ host: 'b', port: 1, accept: () => b });
    const a = new End(scheduler);
    a.connection = start('a').dial('b:1', a);
    await scheduler.run(9);
    expect([a.opens, b.opens]).toEqual([0, 0]);
    await scheduler.run(11);
    expect([a.opens, b.opens]).toEqual([0, 1]);
    await scheduler.run(21);
    expect([a.opens, b.opens]).toEqual([1, 1]);
  });

  it('to a dead host are refused quickly, over a cut path only given up after the timeout', async () => {
    const transport = start('a');
    const refused = new End(scheduler);
    refused.connection = transport.dial('nobody:1', refused);
    await scheduler.run(50);
    expect(refused.closes).toEqual([{ code: 0, reason: 'connection refused by nobody:1' }]);
    for (const [from, to] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      network.healAll();
      network.cut(from, to);
      const unanswered = new End(scheduler);
      unanswered.connection = transport.dial('b:1', unanswered);
      await scheduler.runFor(2_900);
      expect(unanswered.closes).toEqual([]);
      await scheduler.runFor(200);
      expect(unanswered.closes).toEqual([{ code: 0, reason: 'no answer from b:1 in 3000 ms' }]);
    }
  });

  it('that were accepted but whose dialler got no answer are reset', async () => {
    const transportB = start('b');
    const b = new End(scheduler);
    await transportB.listen({ host: 'b', port: 1, accept: () => b });
    network.cut('b', 'a');
    const a = new End(scheduler);
    a.connection = start('a').dial('b:1', a);
    await scheduler.run(4_000);
    expect([a.opens, b.opens]).toEqual([0, 1]);
    expect(a.closes.map(({ code }) => code)).toEqual([0]);
    expect(b.closes.map(({ code }) => code)).toEqual([1006]);
  });

  it('send nothing before the acceptor has returned its handler', async () => {
    const transportB = start('b');
    const b = new End(scheduler);
    await transportB.listen({
      host: 'b',
      port: 1,
      accept: (connection) => {
        b.connection = connection;
        b.send(1);
        return b;
      },
    });
    const a = new End(scheduler);
    a.connection = start('a').dial('b:1', a);
    await scheduler.run(100);
    b.send(2);
    await scheduler.run(200);
    expect(a.numbers).toEqual([2]);
  });
});

describe('link faults', () => {
  it('delay frames but keep their order', async () => {
    const { a, b } = await connect();
    network.setLink('a', 'b', { meanLatencyMs: 50, extraDelayMs: 100 });
    const sentAt = scheduler.now;
    for (const i of upTo(200)) a.send(i);
    await scheduler.runFor(5_000);
    expect(b.numbers).toEqual(upTo(200));
    expect(b.times[0]! - sentAt).toBeGreaterThan(100);
    expect(b.times.every((time, i) => i === 0 || time >= b.times[i - 1]!)).toBe(true);
  });

  it('let frames be overtaken when reordering is asked for, losing none', async () => {
    const { a, b } = await connect();
    network.setLink('a', 'b', { reorder: 0.3 });
    for (const i of upTo(300)) scheduler.schedule(scheduler.now + i * 0.2, () => a.send(i));
    await scheduler.runFor(1_000);
    expect(b.numbers).not.toEqual(upTo(300));
    expect([...b.numbers].sort((x, y) => x - y)).toEqual(upTo(300));
    network.setLink('a', 'b', { reorder: 1 });
    a.send(300);
    a.connection.close(1000, 'done');
    await scheduler.runFor(1_000);
    expect(b.numbers.at(-1)).toBe(300);
    expect(b.closes).toEqual([{ code: 1000, reason: 'done' }]);
  });

  it('lose frames at about the given rate, but never many in a row', async () => {
    const { a, b } = await connect();
    network.setLink('a', 'b', { loss: 0.3 });
    for (const i of upTo(2_000)) a.send(i);
    await scheduler.runFor(1_000);
    expect(b.numbers.length).toBeGreaterThan(1_300);
    expect(b.numbers.length).toBeLessThan(1_600);
    network.setLink('a', 'b', { loss: 1, maxConsecutiveLoss: 3 });
    b.numbers.length = 0;
    for (const i of upTo(40)) a.send(i);
    await scheduler.runFor(1_000);
    expect(b.numbers).toHaveLength(10);
    expect(b.numbers.every((number, i) => i === 0 || number - b.numbers[i - 1]! === 4)).toBe(true);
  });

  it('deliver duplicates as bytes of their own', async () => {
    const { a, b } = await connect();
    network.setLink('a', 'b', { duplicate: 1 });
    const kept: Uint8Array[] = [];
    b.frame = (bytes) => {
      kept.push(bytes);
      bytes.fill(9);
    };
    a.send(5);
    const seen: number[] = [];
    const before = b.frame;
    b.frame = (bytes) => {
      seen.push(new DataView(bytes.buffer).getUint32(0));
      before(bytes);
    };
    await scheduler.runFor(100);
    expect(seen).toEqual([5, 5]);
    expect(kept[0]!.buffer).not.toBe(kept[1]!.buffer);
  });

  it('cut one direction only, silently, and let later frames through after the heal', async () => {
    const { a, b } = await connect();
    network.cut('a', 'b');
    a.send(1);
    b.send(2);
    await scheduler.runFor(60_000);
    expect([a.numbers, b.numbers]).toEqual([[2], []]);
    expect([a.closes, b.closes, a.connection.isOpen, b.connection.isOpen]).toEqual([[], [], true, true]);
    network.heal('a', 'b');
    a.send(3);
    await scheduler.runFor(100);
    expect(b.numbers).toEqual([3]);
  });

  it('swallow what was on its way when the link was cut', async () => {
    const { a, b } = await connect();
    network.setLink('a', 'b', { extraDelayMs: 50 });
    a.send(1);
    await scheduler.runFor(10);
    network.cut('a', 'b');
    await scheduler.runFor(100);
    network.heal('a', 'b');
    await scheduler.runFor(100);
    expect(b.numbers).toEqual([]);
  });

  it('hold frames and closes until they are released, in order', async () => {
    const { a, b } = await connect();
    network.hold('a', 'b');
    for (const i of upTo(10)) a.send(i);
    a.connection.close(1000, 'done');
    await scheduler.runFor(10_000);
    expect([b.numbers, b.closes]).toEqual([[], []]);
    network.release('a', 'b');
    await scheduler.runFor(1);
    expect(b.numbers).toEqual(upTo(10));
    expect(b.closes).toEqual([{ code: 1000, reason: 'done' }]);
  });

  it('partition groups from each other and leave the rest alone', async () => {
    const transports = new Map(['a', 'b', 'c', 'd'].map((host) => [host, start(host)]));
    for (const [host, transport] of transports) {
      await transport.listen({ host, port: 1, accept: () => new End(scheduler) });
    }
    const reachable = async (): Promise<string[]> => {
      const dials = [...transports].flatMap(([from, transport]) =>
        [...transports.keys()].map((to) => {
          const end = new End(scheduler);
          end.connection = transport.dial(`${to}:1`, end);
          return { pair: from + to, end };
        }),
      );
      await scheduler.runFor(5_000);
      return dials.filter(({ end }) => end.opens === 1).map(({ pair }) => pair);
    };
    network.partition(['a', 'b'], ['c']);
    expect(await reachable()).toEqual('aa ab ad ba bb bd cc cd da db dc dd'.split(' '));
    network.healAll();
    expect(await reachable()).toHaveLength(16);
  });

  it('limit the bandwidth, so that frames wait in the buffer of the sender until it has drained', async () => {
    build({ link: { minLatencyMs: 1, meanLatencyMs: 1, bytesPerMs: 100 }, highWaterMarkBytes: 5_000 });
    const { a, b } = await connect();
    const startMs = scheduler.now;
    for (const i of upTo(10)) a.send(i, 1_000);
    expect(a.connection.bufferedBytes()).toBe(10_000);
    await scheduler.run(startMs + 35);
    expect([a.connection.bufferedBytes(), b.numbers.length, a.drains]).toEqual([7_000, 3, 0]);
    await scheduler.run(startMs + 59);
    expect(a.drains).toBe(0);
    await scheduler.run(startMs + 61);
    expect([a.drains, a.connection.bufferedBytes()]).toEqual([1, 4_000]);
    await scheduler.run(startMs + 102);
    expect([a.connection.bufferedBytes(), b.numbers.length, a.drains]).toEqual([0, 10, 1]);
  });

  it('end with calm, which also forgets the options', async () => {
    const { a, b } = await connect();
    network.setAllLinks({ loss: 1, maxConsecutiveLoss: 1_000 });
    network.cut('b', 'a');
    network.hold('a', 'b');
    a.send(1);
    network.calm();
    a.send(2);
    b.send(3);
    await scheduler.runFor(100);
    expect([a.numbers, b.numbers]).toEqual([[3], [2]]);
  });
});

describe('a paused process', () => {
  it('gets its frames in order when it goes on, before later ones', async () => {
    const { a, b } = await connect();
    clocks.get('b')!.pause();
    for (const i of upTo(50)) scheduler.schedule(scheduler.now + i, () => a.send(i));
    await scheduler.runFor(1_000);
    expect(b.numbers).toEqual([]);
    a.send(50);
    scheduler.schedule(scheduler.now + 0.3, () => clocks.get('b')!.resume());
    await scheduler.runFor(100);
    expect(b.numbers).toEqual(upTo(51));
  });

  it('does not answer a dial until it goes on', async () => {
    const { transportA } = await connect();
    clocks.get('b')!.pause();
    const [late, lost] = [new End(scheduler), new End(scheduler)];
    lost.connection = transportA.dial('b:5701', lost);
    await scheduler.runFor(2_000);
    late.connection = transportA.dial('b:5701', late);
    await scheduler.runFor(2_000);
    clocks.get('b')!.resume();
    await scheduler.runFor(100);
    expect([lost.opens, lost.closes[0]?.code, late.opens]).toEqual([0, 0, 1]);
  });

  it('learns of a close only when it goes on', async () => {
    const { a, b } = await connect();
    clocks.get('b')!.pause();
    a.send(1);
    a.connection.close(4000, 'bye');
    await scheduler.runFor(500);
    expect(b.closes).toEqual([]);
    clocks.get('b')!.resume();
    await scheduler.runFor(1);
    expect([b.numbers, b.closes]).toEqual([[1], [{ code: 4000, reason: 'bye' }]]);
  });
});

describe('a crash', () => {
  it('breaks the connections of the others, frees the port and runs nothing of the dead process', async () => {
    const { a, b } = await connect();
    let ran = 0;
    clocks.get('b')!.setTimer(10, () => ran++);
    b.send(1);
    network.crash('b');
    await scheduler.runFor(1_000);
    expect(ran).toBe(0);
    expect(b.closes).toEqual([]);
    expect(a.numbers).toEqual([]);
    expect(a.closes).toEqual([{ code: 1006, reason: 'connection lost' }]);
    const reborn = start('b');
    await reborn.listen({ host: 'b', port: 5701, accept: () => new End(scheduler) });
    const again = new End(scheduler);
    again.connection = start('a').dial('b:5701', again);
    await scheduler.runFor(100);
    expect(again.opens).toBe(1);
  });

  it('lets frames arrive that had left, and none that were still in the buffer', async () => {
    build({ link: { minLatencyMs: 20, meanLatencyMs: 20, bytesPerMs: 1 } });
    const { a, b } = await connect();
    for (const i of upTo(5)) b.send(i, 10);
    await scheduler.runFor(25);
    network.crash('b');
    await scheduler.runFor(1_000);
    expect(a.numbers).toEqual([0, 1]);
    expect(a.closes).toHaveLength(1);
  });

  it('behind a cut tells nobody until a frame gets through again', async () => {
    const { a } = await connect();
    network.cut('b', 'a');
    network.crash('b');
    a.send(1);
    await scheduler.runFor(30_000);
    expect([a.closes, a.connection.isOpen]).toEqual([[], true]);
    network.heal('b', 'a');
    await scheduler.runFor(1_000);
    expect(a.closes).toEqual([]);
    a.send(2);
    await scheduler.runFor(1_000);
    expect(a.closes).toEqual([{ code: 1006, reason: 'connection lost' }]);
  });
});

describe('determinism', () => {
  /** Five nodes that gossip under all link faults, with promise chains, pauses, cuts and a crash. */
  async function gossip(seed: number): Promise<Journal> {
    const journal = new Journal({ keepLines: true });
    build({ seed, journal, link: { loss: 0.05, duplicate: 0.05, reorder: 0.05, meanLatencyMs: 4 } });
    const hosts = ['a', 'b', 'c', 'd', 'e'];
    for (const host of hosts) {
      const clock = new SimClock(scheduler, host, { journal, rate: 1 + host.charCodeAt(0) / 1e4 });
      clocks.set(host, clock);
      const transport = network.transport(host, clock);
      const random = new SeededRandom(seed, host);
      const ends: End[] = [];
      const adopt = (connection?: Connection): End => {
        const end = new End(scheduler);
        if (connection !== undefined) end.connection = connection;
        end.frame = async () => {
          await null;
          if (random.float() < 0.5)
            ends[random.below(ends.length)]!.send(random.uint32(), 4 + random.below(300));
        };
        ends.push(end);
        return end;
      };
      await transport.listen({ host, port: 1, accept: adopt });
      const tick = (): void => {
        for (const end of ends) end.send(random.uint32());
        clock.setTimer(20 + random.below(10), tick);
      };
      clock.setTimer(1, () => {
        for (const other of hosts) {
          if (other <= host) continue;
          const end = adopt();
          end.connection = transport.dial(`${other}:1`, end);
        }
        tick();
      });
    }
    scheduler.schedule(200, () => network.partition(['a', 'b'], ['c', 'd']));
    scheduler.schedule(300, () => clocks.get('b')!.pause());
    scheduler.schedule(500, () => network.healAll());
    scheduler.schedule(600, () => clocks.get('b')!.resume());
    scheduler.schedule(700, () => network.crash('e'));
    await scheduler.run(1_000);
    return journal;
  }

  it('gives two runs of a seed equal journals, and another seed another one', async () => {
    const [first, second, other] = [await gossip(1), await gossip(1), await gossip(2)];
    expect(first.count).toBeGreaterThan(2_000);
    expect(firstDifference(first, second)).toBeUndefined();
    expect(first.digest()).toBe(second.digest());
    expect(other.digest()).not.toBe(first.digest());
  });

  it('keeps the draws of a link whatever happens on another one', async () => {
    const arrivals = async (traffic: number): Promise<number[]> => {
      build({ link: { meanLatencyMs: 5, loss: 0.2 } });
      const { a, b, transportA } = await connect();
      const c = new End(scheduler);
      await start('c').listen({ host: 'c', port: 1, accept: () => new End(scheduler) });
      c.connection = transportA.dial('c:1', c);
      await scheduler.run(200);
      for (const i of upTo(100)) {
        for (let j = 0; j < traffic; j++) c.send(j);
        a.send(i);
      }
      await scheduler.runFor(1_000);
      return b.times;
    };
    expect(await arrivals(3)).toEqual(await arrivals(0));
  });
});
