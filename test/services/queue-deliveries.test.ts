/** Items that have to be acknowledged: what the primary decides, that replicas go along, and what a merge makes of it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { installStructures } from '../../client/core/grid.js';
import type { Errand } from '../../partitions/errands.js';
import { QUEUE_OPERATIONS as ops } from '../../partitions/services/queue/ops.js';
import { QUEUE } from '../../partitions/services/queue/proxy.js';
import type { Delivery } from '../../partitions/services/queue/proxy-delivery.js';
import { OperationFailedError } from '../../src/base/errors.js';
import { runErrand } from '../../src/member/errands.js';
import type { ReplyOf } from '../../src/wire/message.js';
import { ValueCodec } from '../../src/wire/values.js';
import { InMemoryInvoker } from './in-memory-invoker.js';
import { type Merged, Primary, Replica } from './partition-harness.js';

const codec = new ValueCodec();
type Handed = ReplyOf<typeof ops.handOut>['deliveries'][number];
const ACK_MS = 1_000;
const LIMITED = QUEUE.options.parse({ maxDeliveries: 2, deadLetterQueue: 'dead' });

const start = () => new Primary(QUEUE.service, 'jobs');
const offer = (side: Primary, ...texts: string[]) =>
  side.run(ops.addAll, { items: texts.map((text) => codec.encode(text)) });
const textOf = ({ item }: Pick<Handed, 'item'>) => codec.decode(item) as string;

function handOut(side: Primary, max = 1, client = 1): Handed[] {
  const request = { client, max, ackTimeoutMs: ACK_MS, waitMs: 0 };
  const { deliveries } = side.run(ops.handOut, request).reply as ReplyOf<typeof ops.handOut>;
  return deliveries.map((each) => ({ ...each, item: Buffer.from(each.item) }));
}

const isCurrent = ({ reply }: { reply: unknown }) => (reply as { isCurrent: boolean }).isCurrent;
const ack = (side: Primary, { name, fence }: Handed) => isCurrent(side.run(ops.acknowledge, { name, fence }));
const nack = (side: Primary, { name, fence }: Handed, delayMs = 0) =>
  isCurrent(side.run(ops.giveBack, { name, fence, delayMs }));

function listOf(side: Primary): unknown[] {
  const { items } = side.run(ops.list, { after: null }).reply as { items: Uint8Array[] };
  return items.map((item) => codec.decode(item));
}

const inFlight = (side: Primary) => (side.run(ops.size, {}).reply as ReplyOf<typeof ops.size>).inFlight;

function later(side: Primary, ms: number): void {
  side.nowMs += ms;
  side.tend();
}

describe('an item that is handed out', () => {
  it('is gone once it is acknowledged, and only who has it can do that', () => {
    const side = start();
    offer(side, 'a', 'b');
    const [a] = handOut(side) as [Handed];
    expect([textOf(a), a.deliveries, listOf(side), inFlight(side)]).toEqual(['a', 1, ['b'], 1]);
    expect(ack(side, { ...a, fence: { ...a.fence, seq: a.fence.seq + 1 } })).toBe(false);
    expect(ack(side, { ...a, fence: { ...a.fence, lineage: 9 } })).toBe(false);
    expect(ack(side, a)).toBe(true);
    expect(ack(side, a)).toBe(false);
    later(side, 10 * ACK_MS);
    expect([listOf(side), inFlight(side)]).toEqual([['b'], 0]);
  });

  it('comes back to its old place when its time is over, not before, and counts how often', () => {
    const side = start();
    offer(side, 'a', 'b', 'c');
    const [a, b] = handOut(side, 2) as [Handed, Handed];
    side.tend();
    later(side, ACK_MS - 1);
    expect(listOf(side)).toEqual(['c']);
    expect(ack(side, b)).toBe(true);
    later(side, ACK_MS / 10);
    expect(listOf(side)).toEqual(['a', 'c']);
    expect([ack(side, a), nack(side, a)]).toEqual([false, false]);
    const [again] = handOut(side) as [Handed];
    expect([textOf(again), again.deliveries]).toEqual(['a', 2]);
    expect(ack(side, a)).toBe(false);
    expect(ack(side, again)).toBe(true);
  });

  it('comes back when it is given back: at once, or after a while', () => {
    const side = start();
    offer(side, 'a', 'b');
    const [a, b] = handOut(side, 2) as [Handed, Handed];
    expect([nack(side, b, 500), nack(side, a)]).toEqual([true, true]);
    expect([listOf(side), inFlight(side)]).toEqual([['a'], 1]);
    expect(ack(side, b)).toBe(false);
    side.tend();
    later(side, 499);
    expect(listOf(side)).toEqual(['a']);
    later(side, 50);
    expect(listOf(side)).toEqual(['a', 'b']);
  });

  it('stays longer when more time is asked for', () => {
    const side = start();
    offer(side, 'a');
    const [a] = handOut(side) as [Handed];
    later(side, ACK_MS - 100);
    const { name, fence } = a;
    expect(isCurrent(side.run(ops.extend, { name, fence, ackTimeoutMs: 5_000 }))).toBe(true);
    later(side, 4_900);
    expect(listOf(side)).toEqual([]);
    expect(ack(side, a)).toBe(true);
    expect(isCurrent(side.run(ops.extend, { name, fence, ackTimeoutMs: 5_000 }))).toBe(false);
  });

  it('comes back when its consumer is dead, whatever time it has', () => {
    const side = start();
    offer(side, 'a');
    const request = { client: 1, max: 1, ackTimeoutMs: 3_600_000, waitMs: 0 };
    side.run(ops.handOut, request);
    later(side, 60_000);
    expect(listOf(side)).toEqual([]);
    side.nowMs += 700;
    side.tend(true);
    expect(listOf(side)).toEqual(['a']);
  });

  it('has its time anew at a new primary', () => {
    const side = start();
    offer(side, 'a');
    const [a] = handOut(side) as [Handed];
    const next = side.fork({ ...side.actor, epoch: 2 });
    next.nowMs = 900_000;
    next.tend();
    later(next, ACK_MS - 1);
    expect(listOf(next)).toEqual([]);
    expect(ack(next, a)).toBe(true);
  });

  it('keeps its room, and is taken along when the queue is cleared', () => {
    const side = start();
    side.options = QUEUE.options.parse({ maxSize: 2 });
    offer(side, 'a', 'b');
    const [a] = handOut(side) as [Handed];
    const offered = side.run(ops.offer, { item: codec.encode('c'), waitMs: 0 }).reply;
    expect(offered).toEqual({ accepted: false });
    expect(side.run(ops.clear, {}).reply).toEqual({ removed: 2 });
    expect([listOf(side), inFlight(side), ack(side, a)]).toEqual([[], 0, false]);
    expect(offer(side, 'c', 'd').reply).toEqual({ accepted: true });
  });

  it('is left alone by what removes items that can be taken', () => {
    const side = start();
    offer(side, 'a', 'a', 'b');
    const [a] = handOut(side) as [Handed];
    const items = [codec.encode('a')];
    expect(side.run(ops.removeAll, { items }).reply).toEqual({ removed: 1 });
    expect(side.run(ops.retainAll, { items }).reply).toEqual({ removed: 1 });
    expect(side.run(ops.containsAll, { items }).reply).toEqual({ found: false });
    expect([listOf(side), nack(side, a), listOf(side)]).toEqual([[], true, ['a']]);
  });
});

describe('a dead letter', () => {
  function died(): Primary {
    const side = start();
    side.options = LIMITED;
    offer(side, 'a', 'b');
    expect(nack(side, handOut(side)[0] as Handed)).toBe(true);
    expect(nack(side, handOut(side)[0] as Handed, 500)).toBe(true);
    return side;
  }
  const errandsOf = (side: Primary) => QUEUE.service.errands?.(side.state as never, side.options) ?? [];

  it('is what was handed out as often as it may be, and is moved once, however often that is tried', async () => {
    const invoker = new InMemoryInvoker();
    invoker.structureOptions = LIMITED;
    const grid = installStructures({}, invoker);
    const [jobs, dead] = [grid.getQueue<string>('jobs'), grid.getQueue<string>('dead')];
    await jobs.addAll(['a', 'b']);
    for (const _ of [1, 2]) await (await jobs.take({ ackTimeoutMs: 100 })).nack();
    expect([await jobs.toArray(), await jobs.inFlight()]).toEqual([['b'], 1]);
    const side = [...invoker.primaries.values()].find(({ name }) => name === 'jobs') as Primary;
    const [errand] = errandsOf(side);
    // The first of its two calls is made, and the second is not: its primary died.
    invoker.refuse = ({ name }) => (name === 'queue.buried' ? new Error('died') : undefined);
    await expect(runErrand(errand as Errand, invoker)).rejects.toThrow('died');
    expect([await dead.toArray(), await jobs.inFlight()]).toEqual([['a'], 1]);
    expect(await dead.poll()).toBe('a');
    invoker.refuse = () => undefined;
    await runErrand(errandsOf(side)[0] as Errand, invoker);
    expect([await dead.size(), await jobs.inFlight(), errandsOf(side)]).toEqual([0, 0, []]);
    expect(await jobs.toArray()).toEqual(['b']);
  });

  it('waits while the dead-letter queue is full, and lives on when the limit is lifted', async () => {
    const side = died();
    const invoker = new InMemoryInvoker();
    invoker.structureOptions = QUEUE.options.parse({ maxSize: 1 });
    const grid = installStructures({}, invoker);
    await grid.getQueue('dead').add('x');
    await runErrand(errandsOf(side)[0] as Errand, invoker);
    expect(await grid.getQueue('dead').toArray()).toEqual(['x']);
    expect([listOf(side), inFlight(side)]).toEqual([['b'], 1]);
    side.options = QUEUE.options.parse({});
    side.tend();
    expect(listOf(side)).toEqual(['a', 'b']);
  });

  it('does not go to the queue that it is in', () => {
    const side = start();
    side.options = QUEUE.options.parse({ maxDeliveries: 1, deadLetterQueue: 'jobs' });
    offer(side, 'a');
    for (const _ of [1, 2, 3]) nack(side, handOut(side)[0] as Handed);
    expect([listOf(side), errandsOf(side)]).toEqual([['a'], []]);
  });

  it('of an impossible time is refused', () => {
    const name = { memberHi: 1, memberLo: 1, lineage: 1, epoch: 1, ordinal: 1, ms: 2 ** 50, counter: 0 };
    const request = { from: 'jobs', name, item: codec.encode('a') };
    expect(() => start().run(ops.bury, request)).toThrow(OperationFailedError);
  });
});

interface Step {
  readonly kind: 'add' | 'poll' | 'hand' | 'ack' | 'nack' | 'late' | 'extend' | 'time' | 'clear' | 'copy';
  readonly pick: number;
}
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom<Step['kind']>(
    ...([
      'add',
      'add',
      'poll',
      'hand',
      'hand',
      'ack',
      'nack',
      'late',
      'extend',
      'time',
      'clear',
      'copy',
    ] as const),
  ),
  pick: fc.nat({ max: 7 }),
});

function act(side: Primary, { kind, pick }: Step, handed: Handed[]): void {
  const which = handed[pick % Math.max(1, handed.length)];
  if (kind === 'add') offer(side, ...Array.from({ length: 1 + (pick % 3) }, (_, i) => `${side.seq}.${i}`));
  else if (kind === 'poll') side.run(ops.poll, { waitMs: 0 });
  else if (kind === 'hand') handed.push(...handOut(side, 1 + (pick % 3)));
  else if (kind === 'time') later(side, 150 * pick);
  else if (kind === 'clear' && pick === 0) side.run(ops.clear, {});
  else if (which === undefined) return;
  else if (kind === 'ack') ack(side, which);
  else if (kind === 'nack') nack(side, which);
  else if (kind === 'late') nack(side, which, 300);
  else if (kind === 'extend') {
    const { name, fence } = which;
    side.run(ops.extend, { name, fence, ackTimeoutMs: 2_000 });
  }
}

describe('replicas of a queue with items that are handed out', () => {
  it('are equal, by the log and by a copy whose chunks come in any order while it goes on', () => {
    const property = fc.property(
      fc.array(step, { maxLength: 60, size: 'max' }),
      fc.integer({ min: 1, max: 200 }),
      fc.boolean(),
      (steps, chunkBytes, isLimited) => {
        const side = start();
        if (isLimited) side.options = LIMITED;
        const handed: Handed[] = [];
        const backup = new Replica(QUEUE.service, 'jobs');
        const copy = new Replica(QUEUE.service, 'jobs');
        let cursor = 0;
        let from = -1;
        let applied = 0;
        const chunks: Buffer[] = [];
        for (const each of steps) {
          act(side, each, handed);
          if (each.kind !== 'copy' || cursor < 0) continue;
          if (from < 0) from = side.seq;
          const { chunk, next } = side.copy(cursor, chunkBytes);
          cursor = next;
          chunks.push(chunk);
          if (each.pick % 2 === 0) copy.paste(chunks.splice(each.pick % chunks.length, 1)[0] as Buffer);
          const upTo = side.log.filter(({ seq }) => seq > Math.max(from, applied)).slice(0, each.pick);
          for (const entry of upTo) {
            copy.apply(entry);
            applied = entry.seq;
          }
        }
        for (; cursor >= 0; ) {
          if (from < 0) from = side.seq;
          const { chunk, next } = side.copy(cursor, chunkBytes);
          cursor = next;
          chunks.push(chunk);
        }
        for (const chunk of chunks.reverse()) copy.paste(chunk);
        for (const entry of side.log) {
          backup.apply(entry);
          if (entry.seq > Math.max(from, applied)) copy.apply(entry);
        }
        for (const replica of [backup, copy]) {
          expect(replica.state.dump()).toEqual(side.state.dump());
          expect(replica.state.wholeDigest?.()).toEqual(side.state.wholeDigest?.());
          expect(replica.state.entryCount).toBe(side.state.entryCount);
        }
        expect(backup.state.sizeBytes).toBe(side.state.sizeBytes);
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
});

describe('a merge of queues with items that are handed out', () => {
  const NONE: ReadonlyMap<number, Uint8Array> = new Map();

  function parted(...texts: string[]): { owner: Primary; source: Primary; at: number } {
    const owner = start();
    offer(owner, ...texts);
    const source = owner.fork({ memberHi: 9, memberLo: 9, lineage: 9, epoch: 9 });
    return { owner, source, at: owner.seq };
  }

  function merge(owner: Primary, source: Primary, at: number): Merged {
    const told: Merged = { merged: 0, discarded: [], resurrected: [], failed: [] };
    for (const page of source.changes({ sharedSeq: at, skipped: NONE })) {
      told.discarded.push(...owner.merge(page, { sharedSeq: at }).discarded);
      const { seq } = owner;
      owner.merge(page, { sharedSeq: at });
      expect(owner.seq, 'a page that comes again changes nothing').toBe(seq);
    }
    const backup = new Replica(QUEUE.service, 'jobs');
    for (const entry of owner.log) backup.apply(entry);
    expect(backup.state.dump()).toEqual(owner.state.dump());
    return told;
  }
  const reported = ({ discarded }: Merged) =>
    discarded.map(({ discarded: bytes }) => (bytes === null ? null : codec.decode(bytes)));

  it('lets who has an item on the source acknowledge it', () => {
    const { owner, source, at } = parted('a');
    offer(source, 'b');
    const handed = handOut(source, 2);
    expect(reported(merge(owner, source, at))).toEqual([]);
    expect([listOf(owner), inFlight(owner)]).toEqual([[], 2]);
    expect(handed.map((each) => ack(owner, each))).toEqual([true, true]);
    expect(inFlight(owner)).toBe(0);
  });

  it('reports an item that was acknowledged on one side and handed out again on the other', () => {
    for (const isSourceFirst of [true, false]) {
      const { owner, source, at } = parted('a');
      const [first, second] = isSourceFirst ? [source, owner] : [owner, source];
      expect(ack(first, handOut(first)[0] as Handed)).toBe(true);
      const [again] = handOut(second) as [Handed];
      expect(reported(merge(owner, source, at))).toEqual(['a']);
      expect([listOf(owner), inFlight(owner), ack(owner, again)]).toEqual([[], 0, false]);
    }
  });

  it('reports an item that was acknowledged on both sides, and none that is with two consumers', () => {
    const { owner, source, at } = parted('a', 'b');
    const here = handOut(owner, 2) as [Handed, Handed];
    const there = handOut(source, 2) as [Handed, Handed];
    for (const [side, [first]] of [
      [owner, here],
      [source, there],
    ] as const)
      expect(ack(side, first)).toBe(true);
    expect(reported(merge(owner, source, at))).toEqual(['a']);
    expect([ack(owner, there[1]), ack(owner, here[1])]).toEqual([false, true]);
  });

  it('keeps dead what died on either side, and reports it when it was acknowledged on the other', () => {
    for (const isSourceDead of [true, false]) {
      const { owner, source, at } = parted('a', 'b');
      const [dying, other] = isSourceDead ? [source, owner] : [owner, source];
      dying.options = LIMITED;
      for (const _ of [1, 2]) for (const each of handOut(dying, 2)) nack(dying, each);
      const [a, b] = handOut(other, 2) as [Handed, Handed];
      expect(ack(other, a)).toBe(true);
      expect(reported(merge(owner, source, at))).toEqual(['a']);
      owner.options = LIMITED;
      later(owner, 10 * ACK_MS);
      expect([ack(owner, b), listOf(owner), inFlight(owner)]).toEqual([false, [], 1]);
    }
  });

  it('reports nothing of an item that one consumer had before the sides parted', () => {
    const owner = start();
    offer(owner, 'a', 'b');
    const [a, b] = handOut(owner, 2) as [Handed, Handed];
    const source = owner.fork({ memberHi: 9, memberLo: 9, lineage: 9, epoch: 9 });
    const at = owner.seq;
    expect([ack(owner, a), ack(source, b)]).toEqual([true, true]);
    source.tend();
    later(source, 2 * ACK_MS);
    expect(reported(merge(owner, source, at))).toEqual([]);
    expect([listOf(owner), inFlight(owner)]).toEqual([[], 0]);
  });

  it('has one dead letter when both sides moved it, and reports one that was acknowledged as well', async () => {
    for (const isAcknowledged of [false, true]) {
      const { owner, source, at } = parted('a');
      const invoker = new InMemoryInvoker();
      const grid = installStructures({}, invoker);
      for (const side of [owner, source]) {
        side.options = LIMITED;
        if (isAcknowledged && side === owner) ack(side, handOut(side)[0] as Handed);
        else for (const _ of [1, 2]) nack(side, handOut(side)[0] as Handed);
        for (const errand of QUEUE.service.errands?.(side.state as never, LIMITED) ?? []) {
          await runErrand(errand, invoker);
          for (const line of invoker.sent.splice(0))
            if (line.operation === 'queue.buried') side.run(ops.buried, { name: lastName(side) });
        }
      }
      expect(await grid.getQueue('dead').toArray()).toEqual(['a']);
      expect(reported(merge(owner, source, at))).toEqual(isAcknowledged ? ['a'] : []);
      expect([listOf(owner), inFlight(owner)]).toEqual([[], 0]);
    }
  });

  function lastName(side: Primary) {
    const state = side.state as ReturnType<typeof QUEUE.service.createState> & {
      handed: {
        dead(max: number): { handOut: { actor: object; ordinal: number; ms: number; counter: number } }[];
      };
    };
    const [{ handOut: found } = {}] = state.handed.dead(1);
    const { actor, ordinal, ms, counter } = found as NonNullable<typeof found>;
    return { ...actor, ordinal, ms, counter };
  }
});

describe('the methods for items that have to be acknowledged', () => {
  const queueOf = () => installStructures({}, new InMemoryInvoker()).getQueue<string>('jobs');

  it('give deliveries, and tell once they are over', async () => {
    const queue = queueOf();
    expect(await queue.poll({ ackTimeoutMs: 100 })).toBeNull();
    await queue.addAll(['a', 'b', 'c', 'd']);
    const a = await queue.take({ ackTimeoutMs: 100 });
    expect([a.item, a.deliveryCount, a.isSettled]).toEqual(['a', 1, false]);
    expect([await a.extend(1_000), a.isSettled, await a.ack(), a.isSettled]).toEqual([
      true,
      false,
      true,
      true,
    ]);
    expect([await a.ack(), await a.nack(), await a.extend(10)]).toEqual([false, false, false]);
    const into: Delivery<string>[] = [];
    expect(await queue.drainTo(into, 2, { ackTimeoutMs: 100 })).toBe(2);
    expect(into.map(({ item }) => item)).toEqual(['b', 'c']);
    expect([await queue.size(), await queue.inFlight()]).toEqual([1, 2]);
  });

  it('give back what a loop has not acknowledged when it ends', async () => {
    const queue = queueOf();
    await queue.addAll(['a', 'b', 'c', 'd']);
    for await (const delivery of queue.consume({ ackTimeoutMs: 1_000 })) {
      if (delivery.item === 'b') await delivery.ack();
      if (delivery.item === 'c') break;
    }
    expect([await queue.toArray(), await queue.inFlight()]).toEqual([['a', 'c', 'd'], 0]);
  });

  it('reject what means nothing, and say what was expected', async () => {
    const queue = queueOf() as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    const bad = async (method: string, ...args: unknown[]) =>
      expect(() => queue[method]?.(...args), `${method} ${JSON.stringify(args)}`).rejects.toThrow(TypeError);
    for (const ackTimeoutMs of [0, -1, 1.5, Number.NaN, '100', undefined, null, 1e9]) {
      await bad('poll', { ackTimeoutMs });
      await bad('take', { ackTimeoutMs });
      await bad('drainTo', [], 1, { ackTimeoutMs });
    }
    await bad('poll', null);
    await bad('poll', '5');
    await bad('poll', { ackTimeoutMs: 5, timeoutMs: -1 });
    await bad('poll', { ackTimeoutMs: 5, waitMs: 1 });
    await bad('take', 5);
    await bad('take', [5]);
    await bad('take', { ackTimeoutMs: 5, timeoutMs: 1 });
    await queue.add?.('a');
    const delivery = (await queue.take?.({ ackTimeoutMs: 100 })) as {
      nack(given: unknown): Promise<boolean>;
      extend(given: unknown): Promise<boolean>;
    };
    for (const options of [5, null, { delayMs: -1 }, { delayMs: 'x' }, { delay: 1 }])
      await expect(delivery.nack(options)).rejects.toThrow(TypeError);
    for (const ms of [0, 'x', undefined]) await expect(delivery.extend(ms)).rejects.toThrow(TypeError);
    const loop = queueOf().consume({} as { ackTimeoutMs: number });
    await expect(loop.next()).rejects.toThrow('ackTimeoutMs: expected whole milliseconds, 1 to 86400000');
  });
});
