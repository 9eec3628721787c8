/** The queue through a client of a real cluster, against an array: bounded, with calls that wait and items handed out. */
import fc from 'fast-check';
import { it } from 'vitest';
import type { GridQueue } from '../../partitions/services/queue/proxy.js';
import type { Delivery } from '../../partitions/services/queue/proxy-delivery.js';
import { commandsOf, type Methods, MODEL_TIMEOUT_MS, runModel } from './harness.js';

const MAX_SIZE = 5;
const MAX_DELIVERIES = 3;
const ACK_MS = 60_000;

interface Item {
  readonly id: number;
  readonly text: string;
  deliveries: number;
}

interface Model {
  items: Item[];
  /** With their consumers; a null is one that is not there any more. */
  readonly out: (Item | null)[];
  readonly dead: string[];
  ids: number;
}

interface Real {
  readonly queue: GridQueue<string>;
  readonly dead: GridQueue<string>;
  readonly out: Delivery<string>[];
  /** Of those, what a clear took away. */
  readonly cleared: Set<Delivery<string>>;
  destroy(): Promise<unknown>;
}

interface Step {
  readonly text: string;
  readonly texts: readonly string[];
  readonly pick: number;
}

const inFlight = ({ out }: Model) => out.filter((item) => item !== null).length;
const room = (model: Model) => MAX_SIZE - model.items.length - inFlight(model);

function add(model: Model, texts: readonly string[]): boolean {
  if (texts.length > room(model)) return false;
  for (const text of texts) model.items.push({ id: model.ids++, text, deliveries: 0 });
  return true;
}

function keep(model: Model, isKept: (text: string) => boolean): boolean {
  const before = model.items.length;
  model.items = model.items.filter(({ text }) => isKept(text));
  return model.items.length < before;
}

function handOut(model: Model): [string, number] | null {
  const item = model.items.shift();
  if (item === undefined) return null;
  model.out.push(item);
  return [item.text, ++item.deliveries];
}

function giveBack(model: Model, at: number): boolean {
  const item = model.out[at];
  if (!item) return false;
  model.out[at] = null;
  if (item.deliveries >= MAX_DELIVERIES) model.dead.push(item.text);
  else model.items = [...model.items, item].sort((a, b) => a.id - b.id);
  return true;
}

const at = (all: readonly unknown[], pick: number) => (all.length === 0 ? -1 : pick % all.length);
const shown = (delivery: Delivery<string> | null) =>
  delivery === null ? null : [delivery.item, delivery.deliveryCount];

async function taken(real: Real): Promise<unknown> {
  const delivery = await real.queue.poll({ ackTimeoutMs: ACK_MS });
  if (delivery !== null) real.out.push(delivery);
  return shown(delivery);
}

const METHODS: Methods<Model, Real, Step> = {
  offer: [
    (model, { text }) => add(model, [text]),
    async (real, { text }) => (await allMoved(real)).offer(text),
  ],
  add: [
    (model, { text }) => add(model, [text]) || 'OperationFailedError',
    async (real, { text }) =>
      (await allMoved(real)).add(text).catch((error: Error) => error.constructor.name),
  ],
  addAll: [
    (model, { texts }) => add(model, texts),
    async (real, { texts }) => (await allMoved(real)).addAll(texts),
  ],
  poll: [(model) => model.items.shift()?.text ?? null, ({ queue }) => queue.poll()],
  peek: [(model) => model.items[0]?.text ?? null, ({ queue }) => queue.peek()],
  size: [(model) => model.items.length, ({ queue }) => queue.size()],
  isEmpty: [(model) => model.items.length === 0, ({ queue }) => queue.isEmpty()],
  remainingCapacity: [
    // A dead letter has its room until it has left.
    (model) => room(model),
    async (real) => (await allMoved(real)).remainingCapacity(),
  ],
  inFlight: [(model) => inFlight(model), async (real) => (await allMoved(real)).inFlight()],
  remove: [
    (model, { text }) => {
      const index = model.items.findIndex((item) => item.text === text);
      return index >= 0 && model.items.splice(index, 1).length === 1;
    },
    ({ queue }, { text }) => queue.remove(text),
  ],
  removeAll: [
    (model, { texts }) => keep(model, (text) => !texts.includes(text)),
    ({ queue }, { texts }) => queue.removeAll(texts),
  ],
  retainAll: [
    (model, { texts }) => keep(model, (text) => texts.includes(text)),
    ({ queue }, { texts }) => queue.retainAll(texts),
  ],
  contains: [
    (model, { text }) => model.items.some((item) => item.text === text),
    ({ queue }, { text }) => queue.contains(text),
  ],
  containsAll: [
    (model, { texts }) => texts.every((text) => model.items.some((item) => item.text === text)),
    ({ queue }, { texts }) => queue.containsAll(texts),
  ],
  drainTo: [
    (model, { pick }) => model.items.splice(0, pick).map(({ text }) => text),
    async ({ queue }, { pick }) => {
      const into: string[] = [];
      await queue.drainTo(into, pick);
      return into;
    },
  ],
  toArray: [(model) => model.items.map(({ text }) => text), ({ queue }) => queue.toArray()],
  clear: [
    (model) => {
      model.items = [];
      model.out.fill(null);
    },
    async (real) => {
      await (await allMoved(real)).clear();
      for (const delivery of real.out) real.cleared.add(delivery);
    },
  ],
  'poll that waits': [
    (model, { text }) => {
      const head = model.items.shift();
      if (head !== undefined) return [head.text, add(model, [text])];
      return room(model) > 0 ? [text, true] : ['', false];
    },
    async (real, { text }) => {
      const queue = await allMoved(real);
      if ((await queue.isEmpty()) && (await queue.remainingCapacity()) === 0) return ['', false];
      const polled = queue.poll(5_000);
      if (!(await queue.isEmpty())) return [await polled, await queue.offer(text)];
      // The call may have come to the primary after the item: both are as good.
      const offered = await queue.offer(text, 5_000);
      return [await polled, offered];
    },
  ],
  'offer that waits': [
    (model, { text }) => {
      if (room(model) > 0) return [add(model, [text]), null];
      const head = model.items.shift();
      return head === undefined ? [false, null] : [add(model, [text]), head.text];
    },
    async (real, { text }) => {
      const queue = await allMoved(real);
      if ((await queue.remainingCapacity()) > 0) return [await queue.offer(text, 5_000), null];
      if (await queue.isEmpty()) return [await queue.offer(text, 20), null];
      const offered = queue.offer(text, 5_000);
      const polled = await queue.poll();
      return [await offered, polled];
    },
  ],
  'hand out': [(model) => handOut(model), taken],
  'hand out several': [
    (model, { pick }) => Array.from({ length: Math.min(pick, model.items.length) }, () => handOut(model)),
    async (real, { pick }) => {
      const into: Delivery<string>[] = [];
      await real.queue.drainTo(into, pick, { ackTimeoutMs: ACK_MS });
      real.out.push(...into);
      return into.map(shown);
    },
  ],
  ack: [
    (model, { pick }) => {
      const index = at(model.out, pick);
      const isThere = index >= 0 && model.out[index] !== null;
      if (isThere) model.out[index] = null;
      return isThere;
    },
    async ({ out }, { pick }) => (await out[at(out, pick)]?.ack()) ?? false,
  ],
  nack: [
    (model, { pick }) => at(model.out, pick) >= 0 && giveBack(model, at(model.out, pick)),
    async ({ out }, { pick }) => (await out[at(out, pick)]?.nack()) ?? false,
  ],
  extend: [
    (model, { pick }) => at(model.out, pick) >= 0 && model.out[at(model.out, pick)] !== null,
    async ({ out }, { pick }) => (await out[at(out, pick)]?.extend(ACK_MS)) ?? false,
  ],
  'time out': [
    (model, { pick }) => {
      const index = at(model.out, pick);
      return index >= 0 && giveBack(model, index) ? [true, false] : [false, false];
    },
    async (real, { pick }) => {
      const delivery = real.out[at(real.out, pick)];
      const before = await (await allMoved(real)).inFlight();
      if (delivery === undefined || !(await delivery.extend(1))) return [false, false];
      while ((await real.queue.inFlight()) >= before) await new Promise((resolve) => setTimeout(resolve, 20));
      return [true, await delivery.ack()];
    },
  ],
  'dead letters': [
    (model) => [...model.dead].sort(),
    async (real) => {
      await allMoved(real);
      return (await real.dead.toArray()).sort();
    },
  ],
};

/** Dead letters leave within a second: what is in flight is then with its consumers. */
async function allMoved({ queue, out, cleared }: Real): Promise<GridQueue<string>> {
  const isDead = out.some(({ deliveryCount }) => deliveryCount >= MAX_DELIVERIES);
  for (let tries = 0; isDead && tries < 150; tries++) {
    const withConsumers = out.filter((each) => !each.isSettled && !cleared.has(each)).length;
    if ((await queue.inFlight()) <= withConsumers) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return queue;
}

const text = fc.constantFrom('a', 'b', 'c', 'd');
const step: fc.Arbitrary<Step> = fc.record({
  text,
  texts: fc.array(text, { maxLength: 4 }),
  pick: fc.nat({ max: 5 }),
});
const OFTEN = ['offer', 'addAll', 'hand out', 'ack', 'nack'];
/** They take time, or leave nothing. */
const SELDOM = ['clear', 'time out'];
const WEIGHTS = Object.fromEntries(
  Object.keys(METHODS).map((name) => [name, OFTEN.includes(name) ? 12 : SELDOM.includes(name) ? 1 : 4]),
);

it('a queue of three members does what an array does, with items that are handed out', {
  timeout: 2 * MODEL_TIMEOUT_MS,
}, async () => {
  const limits = { maxSize: MAX_SIZE, maxDeliveries: MAX_DELIVERIES, deadLetterQueue: 'dead' };
  const options = { member: { queues: { 'run-*': limits } } };
  await runModel(commandsOf(METHODS, step, WEIGHTS, 20), options, (client, name) => {
    const queue = client.getQueue<string>(name);
    const dead = client.getQueue<string>('dead');
    const destroy = async () => {
      // The next run has the same dead-letter queue.
      await allMoved(real);
      await queue.destroy();
      await dead.clear();
    };
    const real: Real = { queue, dead, out: [], cleared: new Set(), destroy };
    return { model: { items: [], out: [], dead: [], ids: 0 }, real };
  });
});
