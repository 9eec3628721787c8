/** The queue: the contract of structures, its API against a plain array, its order and bounds, and what it refuses. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { installStructures } from '../../client/core/grid.js';
import { QUEUE_OPERATIONS } from '../../partitions/services/queue/ops.js';
import { type GridQueue, QUEUE } from '../../partitions/services/queue/proxy.js';
import { Writer } from '../../src/base/bytes.js';
import { OperationFailedError, ValueTooLargeError } from '../../src/base/errors.js';
import { ValueCodec } from '../../src/wire/values.js';
import { type Arbitraries, serviceContract } from '../contract/service.contract.js';
import { InMemoryInvoker } from './in-memory-invoker.js';
import { Primary, Replica, START_MS } from './partition-harness.js';

const codec = new ValueCodec();
const item = fc.constantFrom(0, 1, 2, 'a', 'b').map((value) => codec.encode(value));
const few = fc.array(item, { maxLength: 4 });

const actor = { memberHi: 0xfedcba98, memberLo: 0x76543210, lineage: 1, epoch: 1 };
const name = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.nat({ max: 2 }))
  .map(([seq, i]) => ({ ...actor, ordinal: seq * 4096 + i, ms: START_MS, counter: seq * 4 + i }));
const fence = fc.integer({ min: 1, max: 8 }).map((seq) => ({ lineage: 1, epoch: 1, seq }));

const arbitraries: Arbitraries<typeof QUEUE_OPERATIONS> = {
  offer: fc.record({ item, waitMs: fc.constant(0) }),
  addAll: fc.record({ items: few }),
  poll: fc.constant({ waitMs: 0 }),
  drain: fc.record({ max: fc.nat({ max: 3 }) }),
  peek: fc.constant({}),
  size: fc.constant({}),
  remove: fc.record({ item }),
  removeAll: fc.record({ items: few }),
  retainAll: fc.record({ items: few }),
  containsAll: fc.record({ items: few }),
  list: fc.constant({ after: null }),
  clear: fc.constant({}),
  handOut: fc.record({
    client: fc.constant(1),
    max: fc.nat({ max: 2 }),
    ackTimeoutMs: fc.constant(100),
    waitMs: fc.constant(0),
  }),
  acknowledge: fc.record({ name, fence }),
  giveBack: fc.record({ name, fence, delayMs: fc.nat({ max: 1 }) }),
  extend: fc.record({ name, fence, ackTimeoutMs: fc.constant(50) }),
  bury: fc.record({ from: fc.constantFrom('x', 'y'), name, item }),
  buried: fc.record({ name }),
};

serviceContract(QUEUE, QUEUE_OPERATIONS, arbitraries);

interface Real {
  readonly queue: GridQueue<string>;
  readonly primary: () => Primary | undefined;
}

interface Model {
  items: string[];
  readonly maxSize: number;
}

/** One method on both; what they give has to be equal, and what is left too. */
class Step implements fc.AsyncCommand<Model, Real> {
  readonly #text: string;
  readonly #real: (queue: GridQueue<string>) => Promise<unknown>;
  readonly #model: (model: Model) => unknown;

  constructor(
    text: string,
    real: (queue: GridQueue<string>) => Promise<unknown>,
    model: (model: Model) => unknown,
  ) {
    this.#text = text;
    this.#real = real;
    this.#model = model;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, { queue, primary }: Real): Promise<void> {
    const wanted = this.#model(model);
    const got = await this.#real(queue).catch((error: unknown) => (error as Error).constructor.name);
    expect(got, this.#text).toEqual(wanted);
    expect(primary()?.state.entryCount ?? 0, this.#text).toBe(model.items.length);
  }

  toString(): string {
    return this.#text;
  }
}

function add(model: Model, items: readonly string[]): boolean {
  if (model.items.length + items.length > model.maxSize) return false;
  model.items.push(...items);
  return true;
}

function keep(model: Model, isKept: (text: string) => boolean): boolean {
  const before = model.items.length;
  model.items = model.items.filter(isKept);
  return model.items.length < before;
}

const text = fc.constantFrom<string>('a', 'b', 'c', 'd');
const texts = fc.array(text, { maxLength: 5 });
const steps: fc.Arbitrary<Step>[] = [
  text.map(
    (v) =>
      new Step(
        `offer ${v}`,
        (queue) => queue.offer(v),
        (model) => add(model, [v]),
      ),
  ),
  text.map(
    (v) =>
      new Step(
        `add ${v}`,
        (queue) => queue.add(v),
        (model) => add(model, [v]) || 'OperationFailedError',
      ),
  ),
  texts.map(
    (all) =>
      new Step(
        `addAll ${all}`,
        (queue) => queue.addAll(all),
        (model) => add(model, all),
      ),
  ),
  fc.constant(
    new Step(
      'poll',
      (queue) => queue.poll(),
      (model) => model.items.shift() ?? null,
    ),
  ),
  fc.constant(
    new Step(
      'peek',
      (queue) => queue.peek(),
      (model) => model.items[0] ?? null,
    ),
  ),
  fc.constant(
    new Step(
      'size',
      (queue) => queue.size(),
      (model) => model.items.length,
    ),
  ),
  fc.constant(
    new Step(
      'isEmpty',
      (queue) => queue.isEmpty(),
      (model) => model.items.length === 0,
    ),
  ),
  fc.constant(
    new Step(
      'remainingCapacity',
      (queue) => queue.remainingCapacity(),
      (model) => model.maxSize - model.items.length,
    ),
  ),
  text.map(
    (v) =>
      new Step(
        `remove ${v}`,
        (queue) => queue.remove(v),
        (model) => {
          const at = model.items.indexOf(v);
          if (at >= 0) model.items.splice(at, 1);
          return at >= 0;
        },
      ),
  ),
  texts.map(
    (all) =>
      new Step(
        `removeAll ${all}`,
        (queue) => queue.removeAll(all),
        (model) => keep(model, (each) => !all.includes(each)),
      ),
  ),
  texts.map(
    (all) =>
      new Step(
        `retainAll ${all}`,
        (queue) => queue.retainAll(all),
        (model) => keep(model, (each) => all.includes(each)),
      ),
  ),
  text.map(
    (v) =>
      new Step(
        `contains ${v}`,
        (queue) => queue.contains(v),
        (model) => model.items.includes(v),
      ),
  ),
  texts.map(
    (all) =>
      new Step(
        `containsAll ${all}`,
        (queue) => queue.containsAll(all),
        (model) => all.every((each) => model.items.includes(each)),
      ),
  ),
  fc.option(fc.nat({ max: 4 }), { nil: undefined }).map(
    (max) =>
      new Step(
        `drainTo ${max}`,
        async (queue) => {
          const into = ['first'];
          const drained = await queue.drainTo(into, max);
          return { into, drained };
        },
        (model) => {
          const out = model.items.splice(0, max ?? model.items.length);
          return { into: ['first', ...out], drained: out.length };
        },
      ),
  ),
  fc.constant(
    new Step(
      'toArray',
      (queue) => queue.toArray(),
      (model) => [...model.items],
    ),
  ),
  fc.constant(
    new Step(
      'clear',
      (queue) => queue.clear(),
      (model) => {
        model.items = [];
      },
    ),
  ),
];

function start(options: Record<string, unknown> = {}) {
  const invoker = new InMemoryInvoker();
  const queue = installStructures({}, invoker).getQueue<string>('jobs');
  const primary = () => [...invoker.primaries.values()][0];
  invoker.structureOptions = QUEUE.options.parse(options);
  return { invoker, queue, primary };
}

describe('a queue', () => {
  it('does what an array of bounded size does', async () => {
    const commands = fc.commands(steps, { maxCommands: 60, size: 'max' });
    const property = fc.asyncProperty(commands, fc.integer({ min: 1, max: 12 }), async (list, maxSize) => {
      const setup = () => ({ model: { items: [], maxSize }, real: start({ maxSize }) });
      await fc.asyncModelRun(setup, list);
    });
    await fc.assert(property, { numRuns: 1_000 });
  });

  it('keeps items of all kinds apart, and gives them back as they were', async () => {
    const { queue } = start();
    const all = [1, 1n, '1', -0, true, new Date(5), Buffer.from('x'), new Uint8Array([1]), [1], { a: 1 }];
    const any = queue as unknown as GridQueue<unknown>;
    await any.addAll(all);
    expect(await any.toArray()).toEqual(all);
    expect(await any.contains(0)).toBe(false);
    expect(await any.remove(1n)).toBe(true);
    const drained: unknown[] = [];
    expect(await any.drainTo(drained)).toBe(9);
    expect(drained).toEqual([1, ...all.slice(2)]);
  });

  it('stays in order over thousands of items of all sizes, in steps that fit into messages', async () => {
    const { queue, primary, invoker } = start();
    const wanted = Array.from({ length: 12_000 }, (_, i) => `${i}`.padEnd(i % 500 === 0 ? 300_000 : 10, '.'));
    for (let i = 0; i < wanted.length; i += 500)
      expect(await queue.addAll(wanted.slice(i, i + 500))).toBe(true);
    expect(await queue.toArray()).toEqual(wanted);
    const taken: string[] = [];
    expect(await queue.drainTo(taken)).toBe(12_000);
    expect(taken).toEqual(wanted);
    primary()?.purgeAll();
    expect(primary()?.slab.usedBytes).toBe(0);
    expect(Math.max(...invoker.sent.map(({ replyBytes }) => replyBytes))).toBeLessThan(2 * 1024 * 1024);
  });

  it('remembers what was given out while a copy of it came, for a merge to tell of', () => {
    const primary = new Primary(QUEUE.service);
    for (let i = 0; i < 3; i++)
      primary.run(QUEUE_OPERATIONS.offer, { item: codec.encode(`${i}`), waitMs: 0 });
    const copied = primary.seq;
    const chunks: Buffer[] = [];
    for (let cursor = 0; cursor >= 0; ) {
      const { chunk, next } = primary.copy(cursor, 16);
      chunks.push(chunk);
      cursor = next;
    }
    for (let i = 0; i < 2; i++) primary.run(QUEUE_OPERATIONS.poll, { waitMs: 0 });
    const late = new Replica(QUEUE.service);
    for (const entry of primary.log.filter(({ seq }) => seq > copied)) late.apply(entry);
    for (const chunk of chunks) late.paste(chunk);
    expect(late.state.dump()).toEqual(primary.state.dump());
    const told = (state: typeof primary.state) => {
      const out = new Writer();
      state.changes(0, { sharedSeq: copied, skipped: new Map() } as never, 1_000_000, out);
      return Buffer.from(out.toBytes()).toString('hex');
    };
    expect(told(late.state)).toBe(told(primary.state));
    expect(told(late.state)).toContain(Buffer.from('1').toString('hex'));
  });

  it('forgets an empty one after emptyTtlMs, and only one that is empty and was not used', () => {
    const primary = new Primary(QUEUE.service);
    const beforeMs = primary.wallMs - 600_000;
    const purge = () => primary.purge(0, { seq: primary.seq, ms: beforeMs });
    const offer = () => primary.run(QUEUE_OPERATIONS.offer, { item: codec.encode('x'), waitMs: 0 });
    const poll = () => primary.run(QUEUE_OPERATIONS.poll, { waitMs: 0 });
    offer();
    poll();
    // Versions follow the clock, four to a millisecond.
    primary.wallMs += 60_000;
    primary.versions += 4 * 60_000;
    purge();
    expect(primary.state.dump()).not.toEqual([]);
    primary.options = { ...primary.options, emptyTtlMs: 5_000 } as typeof primary.options;
    offer();
    purge();
    expect(primary.state.dump()).not.toEqual([]);
    poll();
    primary.wallMs += 4_000;
    purge();
    expect(primary.state.dump()).not.toEqual([]);
    primary.wallMs += 2_000;
    purge();
    expect(primary.state.dump()).toEqual([]);
    expect(primary.state.sizeBytes).toBe(0);
    const backup = new Replica(QUEUE.service);
    for (const entry of primary.log) backup.apply(entry);
    expect(backup.state.dump()).toEqual([]);
  });

  it('knows a queue of many takes by few ranges, and forgets an empty one', () => {
    const primary = new Primary(QUEUE.service);
    const request = { item: codec.encode('x'), waitMs: 0 };
    for (let i = 0; i < 5_000; i++) {
      primary.run(QUEUE_OPERATIONS.offer, request);
      primary.run(QUEUE_OPERATIONS.poll, { waitMs: 0 });
    }
    expect(primary.state.sizeBytes).toBeLessThan(400_000);
    primary.purgeAll();
    expect(primary.state.sizeBytes).toBe(0);
    // Names of items are never used again.
    primary.run(QUEUE_OPERATIONS.offer, request);
    const backup = new Replica(QUEUE.service);
    for (const entry of primary.log) backup.apply(entry);
    expect(backup.state.dump()).toEqual(primary.state.dump());
  });

  it('has a digest that is equal where the contents are, and differs where they do not', () => {
    const step = fc.constantFrom<'offer' | 'poll' | 'clear' | 'copy'>(
      'offer',
      'offer',
      'poll',
      'clear',
      'copy',
    );
    const digestOf = ({ state }: Replica) => JSON.stringify(state.wholeDigest?.());
    const property = fc.property(fc.array(step, { maxLength: 30 }), (list) => {
      const primary = new Primary(QUEUE.service);
      let backup = new Replica(QUEUE.service);
      const seen = new Map<string, string>();
      list.forEach((each, i) => {
        if (each === 'offer') primary.run(QUEUE_OPERATIONS.offer, { item: codec.encode(i), waitMs: 0 });
        else if (each === 'poll') primary.run(QUEUE_OPERATIONS.poll, { waitMs: 0 });
        else if (each === 'clear') primary.run(QUEUE_OPERATIONS.clear, {});
        else {
          backup = new Replica(QUEUE.service);
          for (let at = 0; at >= 0; ) {
            const { chunk, next } = primary.copy(at, 100);
            backup.paste(chunk);
            at = next;
          }
          expect(digestOf(backup)).toBe(digestOf(primary));
        }
        const text = primary.state.dump().join();
        expect(seen.get(digestOf(primary)) ?? text).toBe(text);
        seen.set(digestOf(primary), text);
      });
      const replayed = new Replica(QUEUE.service);
      for (const entry of primary.log) replayed.apply(entry);
      expect(digestOf(replayed)).toBe(digestOf(primary));
    });
    fc.assert(property);
  });

  it('waits with what changes nothing for the write that it saw', () => {
    const primary = new Primary(QUEUE.service);
    const { offer, peek, poll, size } = QUEUE_OPERATIONS;
    expect(primary.run(peek, {}).dependsOn).toBe(0);
    primary.run(offer, { item: codec.encode(1), waitMs: 0 });
    expect(primary.run(peek, {})).toMatchObject({ seq: 0, dependsOn: 1 });
    primary.run(poll, { waitMs: 0 });
    expect(primary.run(size, {})).toMatchObject({ seq: 0, dependsOn: 2, reply: { items: 0 } });
    expect(primary.run(poll, { waitMs: 0 })).toMatchObject({ seq: 0, reply: { item: null } });
  });

  it('rejects what cannot be an item or a list of them, and sends nothing', async () => {
    const { queue, invoker } = start();
    const calls = [undefined, null, () => 0, Symbol('s')].flatMap((wrong) => {
      const bad = wrong as unknown as string;
      return [
        () => queue.add(bad),
        () => queue.offer(bad),
        () => queue.remove(bad),
        () => queue.contains(bad),
        () => queue.addAll([bad]),
        () => queue.removeAll(['a', bad]),
        () => queue.retainAll([bad]),
        () => queue.containsAll([bad]),
        () => queue.addAll(bad as unknown as string[]),
      ];
    });
    for (const call of calls) await expect(call()).rejects.toThrow(TypeError);
    await expect(queue.drainTo('x' as unknown as string[])).rejects.toThrow(/^array: /);
    await expect(queue.drainTo([], 1.5)).rejects.toThrow(/^maxElements: /);
    await expect(queue.addAll(new Array<string>(4_097).fill('x'))).rejects.toThrow(/^items: 4097 items/);
    expect(invoker.sent).toEqual([]);
  });

  it('says that it is full, and what to do', async () => {
    const { queue } = start({ maxSize: 1 });
    expect(await queue.add('a')).toBe(true);
    expect(await queue.offer('b')).toBe(false);
    await expect(queue.add('b')).rejects.toThrow(OperationFailedError);
    await expect(queue.add('b')).rejects.toThrow(/'jobs' is full; raise its maxSize/);
    expect(await start().queue.remainingCapacity()).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('refuses more bytes at once than a message takes', async () => {
    const { queue } = start();
    const large = 'x'.repeat(9 * 1024 * 1024);
    await expect(queue.addAll([large, large])).rejects.toThrow(ValueTooLargeError);
    expect(await queue.size()).toBe(0);
  });

  it('lives in one partition, which its name decides', async () => {
    const { queue, invoker } = start();
    await queue.offer('a');
    await queue.with({ timeoutMs: 50 }).poll();
    expect(new Set(invoker.sent.map(({ partition }) => partition)).size).toBe(1);
    expect(invoker.sent.map(({ options }) => options.timeoutMs)).toEqual([undefined, 50]);
  });
});
