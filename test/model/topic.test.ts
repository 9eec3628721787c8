/**
 * Topics of a real cluster against lists: publishers that are a client and a member, with and without waiting for each call,
 * and listeners that come and go. Each listener is told of what is published while it listens: all of it, once, and each
 * publisher's in its order.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Grid } from '../../client/core/grid.js';
import type { Message } from '../../partitions/services/topic/proxy-messages.js';
import { connect } from '../../src/index.js';
import { startCluster } from '../../src/testing.js';
import { MODEL_TIMEOUT_MS, RUNS } from './harness.js';

const PUBLISHERS = 3;
const END = 'end';

type Step =
  | { readonly kind: 'publish'; readonly by: number; readonly count: number; readonly waits: boolean }
  | { readonly kind: 'publishAll'; readonly by: number; readonly count: number; readonly waits: boolean }
  | { readonly kind: 'listen'; readonly at: number; readonly asIterator: boolean }
  | { readonly kind: 'leave'; readonly pick: number }
  | { readonly kind: 'destroy'; readonly by: number };

const by = fc.nat({ max: PUBLISHERS - 1 });
const count = fc.nat({ max: 6 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('publish' as const), by, count, waits: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('publishAll' as const), by, count, waits: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('listen' as const), at: by, asIterator: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), pick: fc.nat({ max: 9 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('destroy' as const), by }) },
);

/** What somebody was told, and what had been published of each publisher when it came and when it left. */
interface Ear {
  readonly told: string[];
  readonly gaps: string[];
  readonly publishers: Map<string, string>;
  readonly from: readonly number[];
  to: readonly number[] | null;
  leave(): Promise<unknown>;
}

class Run {
  readonly #name: string;
  readonly #grids: readonly Grid[];
  readonly #published: number[] = Array.from({ length: PUBLISHERS }, () => 0);
  readonly #ears: Ear[] = [];
  #calls: Promise<void>[] = [];

  constructor(name: string, grids: readonly Grid[]) {
    this.#name = name;
    this.#grids = grids;
  }

  #topic(at: number) {
    return (this.#grids[at] as Grid).getTopic<string>(this.#name);
  }

  async step(each: Step): Promise<void> {
    if (each.kind === 'listen') return this.#listen(each.at, each.asIterator);
    if (each.kind === 'leave') return this.#leave(each.pick);
    // Under way or not, it changes nothing for those who listen.
    if (each.kind === 'destroy') return this.#topic(each.by).destroy();
    const { by: at, kind } = each;
    const first = this.#published[at] as number;
    const items = Array.from({ length: each.count }, (_, i) => `${at}:${first + i}`);
    this.#published[at] = first + each.count;
    const topic = this.#topic(at);
    if (kind === 'publishAll') this.#calls.push(topic.publishAll(items));
    else this.#calls.push(...items.map((item) => topic.publish(item)));
    if (each.waits) await this.#settle();
  }

  async #settle(): Promise<void> {
    const calls = this.#calls;
    this.#calls = [];
    await Promise.all(calls);
  }

  async #listen(at: number, asIterator: boolean): Promise<void> {
    await this.#settle();
    const told: string[] = [];
    const gaps: string[] = [];
    const publishers = new Map<string, string>();
    const note = ({ messageObject, publisher }: Message<string>) => {
      told.push(messageObject);
      publishers.set(messageObject, publisher);
    };
    const topic = this.#topic(at);
    const rest = { told, gaps, publishers, from: [...this.#published], to: null };
    if (asIterator) {
      const messages = topic.messages();
      await messages.ready();
      const reading = (async () => {
        for await (const event of messages) {
          if (event.type === 'gap') gaps.push(event.reason);
          else note(event);
        }
      })();
      this.#ears.push({ ...rest, leave: () => messages.return().then(() => reading) });
    } else {
      const gap = ({ reason }: { readonly reason: string }) => void gaps.push(reason);
      const id = await topic.addMessageListener({ message: note, gap });
      this.#ears.push({ ...rest, leave: () => topic.removeMessageListener(id) });
    }
  }

  /** Once it has heard all of what it is due: a listener that is removed may miss what is on its way. */
  async #leave(pick: number): Promise<void> {
    const there = this.#ears.filter(({ to }) => to === null);
    const ear = there[pick % Math.max(1, there.length)];
    if (ear === undefined) return;
    await this.#settle();
    ear.to = [...this.#published];
    await this.#heard(ear, this.#due(ear).flat().length);
    await ear.leave();
  }

  #due({ from, to }: Ear): string[][] {
    return from.map((first, at) => {
      const end = (to ?? this.#published)[at] as number;
      return Array.from({ length: end - first }, (_, i) => `${at}:${first + i}`);
    });
  }

  async #heard({ told }: Ear, least: number): Promise<void> {
    for (let tries = 0; told.length < least && tries < 500; tries++)
      await new Promise((later) => setTimeout(later, 5));
  }

  async finish(): Promise<void> {
    await this.#settle();
    const open = this.#ears.filter(({ to }) => to === null);
    await this.#topic(0).publish(END);
    for (const ear of open) await this.#heard(ear, this.#due(ear).flat().length + 1);
    for (const ear of open) await ear.leave();
    const publishers = this.#grids.map((_, at) => this.#topic(at).publisher);
    for (const ear of this.#ears) {
      expect(ear.gaps).toEqual([]);
      const due = this.#due(ear);
      const told = open.includes(ear) ? ear.told.slice(0, -1) : ear.told;
      if (open.includes(ear)) expect(ear.told.at(-1)).toBe(END);
      for (const [at, items] of due.entries()) {
        const own = told.filter((item) => item.startsWith(`${at}:`));
        expect(own).toEqual(items);
        for (const item of own) expect(ear.publishers.get(item)).toBe(publishers[at]);
      }
      expect(told.length).toBe(due.flat().length);
    }
    this.#inOneOrder();
    await this.#topic(0).destroy();
  }

  /** Whoever has heard two messages has heard them in the order of everybody else. */
  #inOneOrder(): void {
    const longest = this.#ears.reduce<readonly string[]>(
      (most, { told }) => (told.length > most.length ? told : most),
      [],
    );
    const at = new Map(longest.map((item, i) => [item, i]));
    for (const { told } of this.#ears) {
      const places = told.flatMap((item) => at.get(item) ?? []);
      expect(places).toEqual([...places].sort((a, b) => a - b));
    }
  }
}

it('topics of three members tell each listener of all that is published while it listens', {
  timeout: 2 * MODEL_TIMEOUT_MS,
}, async () => {
  await using cluster = await startCluster({ members: 3, member: { partitionCount: 3 } });
  await using other = await connect({ members: cluster.addresses });
  const grids: readonly Grid[] = [cluster.client, other, cluster.members[0] as Grid];
  let runs = 0;
  const property = fc.asyncProperty(fc.array(step, { maxLength: 14, size: 'max' }), async (steps) => {
    const run = new Run(`run-${runs++}`, grids);
    for (const each of steps) await run.step(each);
    await run.finish();
  });
  await fc.assert(property, { numRuns: RUNS });
  expect(runs).toBeGreaterThanOrEqual(RUNS);
});
