/** Checks of items that have to be acknowledged: that they find each kind of wrong history, and that swarms find none. */
import { describe, expect, it } from 'vitest';
import { checkDeliveries, checkTurns } from '../../chaos/checker/deliveries.js';
import type { HistoryOperation } from '../../chaos/checker/history.js';
import { explainResult } from '../../chaos/run.js';
import { explainSplit, runSplitSwarm, splitReplay } from '../../chaos/split/swarm.js';
import { replayCommand, runSwarm } from '../../chaos/swarm.js';

const MAX = 3;
const ACK_MS = 100;
const NS = 1e6;
type Span = readonly [fromMs: number, toMs: number];

function operation(f: string, v: unknown, span: Span, out: unknown, c = 1): HistoryOperation {
  return { c, k: 'acks/q', f, v, call: span[0] * NS, ret: span[1] * NS, type: 'ok', out };
}
const unknown = (given: HistoryOperation): HistoryOperation => ({ ...given, ret: null, type: 'info' });
const offer = (item: string, span: Span) => operation('offer', [item], span, true);
const hand = (span: Span, item?: string, count = 1, c = 1) =>
  operation('hand', ACK_MS, span, item === undefined ? [] : [item, count], c);
const ack = (item: string, count: number, span: Span, out = true) =>
  operation('ack', [item, count, 0], span, out);
const nack = (item: string, count: number, span: Span, delayMs = 0) =>
  operation('nack', [item, count, delayMs], span, true);
const extend = (item: string, count: number, ms: number, span: Span) =>
  operation('extend', [item, count, ms], span, true);
const poll = (item: string, span: Span) => operation('poll', 1, span, [item]);

const kept = (
  history: HistoryOperation[],
  items: string[] = [],
  dead: string[] = [],
  reported: string[] = [],
) => checkDeliveries(history, { items, dead }, { maxDeliveries: MAX, reported });
const turns = (
  history: HistoryOperation[],
  items: string[] = [],
  dead: string[] = [],
  deaths: ReadonlyMap<number, number> = new Map(),
) => checkTurns(history, { items, dead }, MAX, deaths, () => true);

const lateAck = [
  offer('a', [0, 1]),
  hand([2, 3], 'a'),
  hand([110, 111], 'a', 2),
  ack('a', 1, [112, 113], false),
  ack('a', 2, [114, 115]),
];

describe('the check of items that have to be acknowledged', () => {
  it('passes what may be', () => {
    for (const check of [kept, turns]) {
      expect(check(lateAck)).toEqual([]);
      expect(check([offer('a', [0, 1]), hand([2, 3], 'a')], ['a'])).toEqual([]);
      expect(check([offer('a', [0, 1]), unknown(ack('a', 1, [4, 5]))])).toEqual([]);
      expect(
        check(
          [unknown(offer('a', [0, 1])), hand([2, 3], 'a'), nack('a', 1, [4, 5]), hand([6, 7], 'a', 2)],
          ['a'],
        ),
      ).toEqual([]);
    }
    const tries = [1, 2, 3].flatMap((n) => [
      hand([10 * n, 10 * n + 1], 'a', n),
      nack('a', n, [10 * n + 2, 10 * n + 3]),
    ]);
    expect(kept([offer('a', [0, 1]), ...tries], [], ['a'])).toEqual([]);
    expect(turns([offer('a', [0, 1]), ...tries, hand([50, 51])], [], ['a'])).toEqual([]);
    const dying = [offer('a', [0, 1]), hand([2, 3], 'a', 1, 7), extend('a', 1, 90_000, [4, 5])];
    expect(turns([...dying, hand([12_000, 12_001], 'a', 2)], ['a'], [], new Map([[7, 10]]))).toEqual([]);
  });

  it.each<[string, HistoryOperation[], string[], string[], RegExp]>([
    [
      'an item that two acknowledge',
      [...lateAck, ack('a', 1, [116, 117])],
      [],
      [],
      /done more than once.*: a/,
    ],
    ['one that is acknowledged and a dead letter', lateAck, [], ['a'], /done more than once.*: a/],
    ['one that is two dead letters', [offer('a', [0, 1])], [], ['a', 'a'], /done more than once.*: a/],
    ['one that is acknowledged and there', lateAck, ['a'], [], /handed out again or there: a/],
    ['one that is lost', [offer('a', [0, 1]), hand([2, 3], 'a')], [], [], /lost: a/],
    ['one that nobody put in', [hand([2, 3], 'x')], ['x'], [], /never put in: x/],
    [
      'one that comes back after it is done',
      [...lateAck, hand([300, 301], 'a', 3)],
      [],
      [],
      /handed out again or there: a/,
    ],
    [
      'one that comes too often',
      [offer('a', [0, 1]), hand([2, 3], 'a', 4)],
      ['a'],
      [],
      /more often than they may be: a/,
    ],
    [
      'one that is polled and acknowledged',
      [...lateAck, poll('a', [10, 11])],
      [],
      [],
      /done more than once.*: a/,
    ],
  ])('finds %s', (_, history, items, dead, problem) => {
    expect(kept(history, items, dead).join('\n')).toMatch(problem);
  });

  it('passes an item that is done twice only when it is reported', () => {
    const twice = [...lateAck, ack('a', 1, [116, 117])];
    expect(kept(twice, [], [], ['a'])).toEqual([]);
    expect(kept(twice, [], [], ['b'])).not.toEqual([]);
  });

  const added = [offer('a', [0, 1]), offer('b', [2, 3])];
  it.each<[string, HistoryOperation[], string[], ReadonlyMap<number, number>, RegExp]>([
    [
      'one number twice',
      [...added, hand([4, 5], 'a'), hand([200, 201], 'a')],
      ['a', 'b'],
      new Map(),
      /one number: a/,
    ],
    [
      'a late acknowledgement',
      [...added, hand([4, 5], 'a'), hand([110, 111], 'a', 2), ack('a', 1, [112, 113])],
      ['b'],
      new Map(),
      /did not have them any more: a/,
    ],
    [
      'an item that comes back early',
      [...added, hand([4, 5], 'a'), hand([90, 91], 'a', 2)],
      ['a', 'b'],
      new Map(),
      /before they came back: a/,
    ],
    [
      'one whose time was extended',
      [...added, hand([4, 5], 'a'), extend('a', 1, 500, [50, 51]), hand([200, 201], 'a', 2)],
      ['a', 'b'],
      new Map(),
      /before they came back: a/,
    ],
    [
      'one of a consumer that lives still',
      [...added, { ...hand([4, 5], 'a', 1, 7), v: 60_000 }, hand([3_000, 3_001], 'a', 2)],
      ['a', 'b'],
      new Map([[7, 4_000]]),
      /before they came back: a/,
    ],
    ['a later item first', [...added, hand([4, 5], 'b')], ['a', 'b'], new Map(), /passed over: a/],
    [
      'a returned item at the tail',
      [...added, hand([4, 5], 'a'), nack('a', 1, [6, 7]), hand([8, 9], 'b')],
      ['a'],
      new Map(),
      /passed over: a/,
    ],
    ['nothing although one is there', [offer('a', [0, 1]), hand([4, 5])], ['a'], new Map(), /passed over: a/],
  ])('finds %s', (_, history, items, deaths, problem) => {
    expect(turns(history, items, [], deaths).join('\n')).toMatch(problem);
  });

  it('finds a dead letter that had tries left', () => {
    const history = [offer('a', [0, 1]), hand([2, 3], 'a'), nack('a', 1, [4, 5])];
    expect(turns(history, [], ['a']).join('\n')).toMatch(/before their last try: a/);
  });
});

describe('the swarm with items that have to be acknowledged', () => {
  it('finds nothing under crashes, also of consumers', async () => {
    const result = await runSwarm({ seeds: 10, firstSeed: 1, workload: 'queue-acks', scale: 0.6 });
    const stories = result.failed.map((each) =>
      explainResult(each, replayCommand(each.seed, undefined, 'queue-acks')),
    );
    expect(stories.join('\n\n')).toBe('');
    const wanted = [
      ...['offer', 'hand', 'ack', 'nack', 'extend', 'poll'].map((f) => `ok acks/${f}`),
      'item that was handed out for the last time',
      'acknowledgement that came too late',
      'consumer that ended with an item',
      'promotion',
    ];
    expect(result.reached.missing(wanted)).toEqual([]);
  }, 120_000);

  it.each(['handOutsForgotten', 'returnedLast', 'ackIgnored'] as const)(
    'finds %s',
    async (planted) => {
      const { failed } = await runSwarm({
        seeds: 8,
        firstSeed: 1,
        workload: 'queue-acks',
        planted,
        maxFailures: 1,
      });
      const guarantees = failed.flatMap(({ findings }) => findings.map(({ guarantee }) => guarantee));
      expect(guarantees).toContain('G1 deliveries');
    },
    120_000,
  );

  it.each(['PA/EC', 'PC/EC'] as const)(
    'finds nothing in splits under %s',
    async (preset) => {
      const wishes = { preset, workloads: ['queue-acks'] } as const;
      const { failed } = await runSplitSwarm({ wishes, seeds: 3, firstSeed: 1 });
      const stories = failed.map((each) => explainSplit(each, splitReplay(each.seed, wishes)));
      expect(stories.join('\n\n')).toBe('');
    },
    120_000,
  );

  it('finds a merge that reports nothing', async () => {
    const wishes = { preset: 'PA/EC', workloads: ['queue-acks'] } as const;
    const { failed } = await runSplitSwarm({
      wishes,
      seeds: 2,
      firstSeed: 3,
      planted: 'mergeDropsLosers',
      maxFailures: 1,
    });
    const guarantees = failed.flatMap(({ findings }) => findings.map(({ guarantee }) => guarantee));
    expect(guarantees).toContain('G7 deliveries are merged');
  }, 120_000);
});
