/** The checks of queries find each way in which one can be wrong; seeds find none, and what is put in on purpose. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { HistoryOperation } from '../../chaos/checker/history.js';
import { checkLinearizable } from '../../chaos/checker/linearizable.js';
import { type Asked, queriedModel, unknownQueriedModel } from '../../chaos/checker/queried.js';
import { checkQueries, LOOSE, type QueriesInput, readingsOf } from '../../chaos/checker/queries.js';
import { ASKED, queryBesideWaitingChanges } from '../../chaos/nemesis/directed-queries.js';
import { explainResult } from '../../chaos/run.js';
import { explainSplit, runSplitSwarm, splitReplay } from '../../chaos/split/swarm.js';
import { replayCommand, runSwarm } from '../../chaos/swarm.js';
import { QUERIED, QUERIED_MAPS } from '../../chaos/workload/queries.js';
import { StateIndexes } from '../../partitions/query/state-indexes.js';
import { MapQueries } from '../../partitions/services/map/proxy-query.js';

type Times = readonly [call: number, ret: number];
type Changes = Partial<HistoryOperation>;

const UNKNOWN: Changes = { type: 'info', ret: null };
const item = (n: number) => ({ n, group: n % 2 === 0 ? 'even' : 'odd' });

function on(key: string, f: string, [call, ret]: Times, more: Changes = {}): HistoryOperation {
  return { c: 1, k: `${QUERIED}/${key}`, f, call, ret, type: 'ok', ...more };
}

const write = (key: string, n: number, times: Times, more: Changes = {}) =>
  on(key, 'write', times, { v: item(n), ...more });
const remove = (key: string, times: Times, more: Changes = {}) => on(key, 'remove', times, more);
const query = (f: string, v: Asked, times: Times, out: unknown, more: Changes = {}) =>
  on('*', f, times, { v, out, ...more });
const entries = (times: Times, given: Readonly<Record<string, number>>, where: Asked['where'] = {}) =>
  query('entrySet', { shows: 'entries', where }, times, rowsOf(given));
const keys = (times: Times, out: readonly string[], where: Asked['where'] = {}) =>
  query('keySet', { shows: 'keys', where }, times, out);
const size = (times: Times, out: number) => query('size', { shows: 'count', where: {} }, times, out);
const sum = (times: Times, out: string) => query('sum', { shows: 'sum', where: {} }, times, out);
const page = (times: Times, after: number | null, given: Readonly<Record<string, number>>) =>
  query('page', { shows: 'entries', where: {}, page: { after, size: 2 } }, times, rowsOf(given));
const loose = (times: Times, given: Readonly<Record<string, number>>, more: Changes = {}) =>
  query(LOOSE, { shows: 'entries', where: {} }, times, rowsOf(given), more);

function rowsOf(given: Readonly<Record<string, number>>) {
  return Object.entries(given).map(([key, n]) => [key, item(n)] as const);
}

const kinds = (history: readonly HistoryOperation[], more: Partial<QueriesInput> = {}) =>
  checkQueries({ history, ...more }).map(({ kind }) => kind);
const isInOrder = (history: readonly HistoryOperation[], model = queriedModel) =>
  checkLinearizable(readingsOf(history), model).verdict === 'ok';

/** `a` had 1, then 2 from somewhere in 20 to 30 on; `b` had 3 and was removed in 20 to 30. */
const WRITTEN = [
  write('a', 1, [0, 5]),
  write('a', 2, [20, 30]),
  write('b', 3, [0, 5]),
  remove('b', [20, 30]),
];

describe('the check of queries', () => {
  it.each<[string, readonly HistoryOperation[]]>([
    ['what was there', [...WRITTEN, entries([10, 15], { a: 1, b: 3 })]],
    ['what is there', [...WRITTEN, entries([40, 45], { a: 2 })]],
    ['one key of before and another one of after', [...WRITTEN, entries([10, 40], { a: 2, b: 3 })]],
    ['a write that is under way', [...WRITTEN, entries([22, 25], { a: 2 }), size([22, 25], 2)]],
    ['counts between all that was there', [...WRITTEN, size([10, 40], 1), size([10, 40], 2)]],
    ['sums of what was there', [...WRITTEN, sum([10, 15], '4'), sum([10, 40], '5'), sum([40, 45], '2')]],
    ['keys', [...WRITTEN, keys([10, 15], ['b', 'a']), keys([22, 25], ['a'])]],
    ['what does not match', [...WRITTEN, entries([40, 45], {}, { group: 'odd' })]],
    ['what no longer matches', [...WRITTEN, keys([22, 25], [], { group: 'odd' })]],
    ['pages', [...WRITTEN, page([10, 15], null, { a: 1, b: 3 }), page([10, 15], 1, { b: 3 })]],
    ['a page that is full', [...WRITTEN, write('c', 9, [0, 5]), page([10, 15], null, { a: 1, b: 3 })]],
    ['a write of unknown outcome', [write('a', 1, [0, 5], UNKNOWN), size([9, 10], 1), size([11, 12], 0)]],
    ['what is behind', [...WRITTEN, loose([40, 45], { a: 1, b: 3 }), loose([46, 47], {})]],
    ['a call that was refused', [...WRITTEN, { ...entries([10, 15], {}), type: 'fail' }]],
  ])('passes %s', (_what, history) => {
    expect(checkQueries({ history })).toEqual([]);
  });

  it.each<[string, readonly HistoryOperation[], readonly string[]]>([
    ['what is missing', [...WRITTEN, entries([10, 15], { a: 1 })], ['missing']],
    ['what is missing among keys', [...WRITTEN, keys([10, 15], ['b'])], ['missing']],
    ['what is missing before it is changed', [...WRITTEN, entries([10, 40], { b: 3 })], ['missing']],
    ['what was overwritten', [...WRITTEN, entries([40, 45], { a: 1 })], ['stale']],
    ['what was removed', [...WRITTEN, entries([40, 45], { a: 2, b: 3 })], ['stale']],
    ['a key that was removed', [...WRITTEN, keys([40, 45], ['a', 'b'])], ['stale']],
    ['what is not written yet', [...WRITTEN, entries([10, 15], { a: 2, b: 3 })], ['stale']],
    ['what was refused', [write('a', 1, [0, 5], { type: 'fail' }), entries([10, 15], { a: 1 })], ['stale']],
    ['a key twice', [...WRITTEN, keys([10, 15], ['a', 'b', 'a'])], ['twice']],
    ['an old and a new value', [...WRITTEN, values([10, 40], [1, 2, 3])], ['twice']],
    ['what nobody wrote', [...WRITTEN, values([10, 15], [1, 3, 7])], ['strange']],
    ['what is of another key', [...WRITTEN, entries([10, 15], { a: 3, b: 3 })], ['strange']],
    ['what does not match', [...WRITTEN, entries([10, 15], { b: 3, a: 1 }, { from: 2 })], ['strange']],
    ['a count too low', [...WRITTEN, size([10, 15], 1)], ['count']],
    ['a count too high', [...WRITTEN, size([10, 40], 3)], ['count']],
    ['a sum that nothing adds up to', [...WRITTEN, sum([10, 40], '3')], ['sum']],
    ['a page with a gap', [...WRITTEN, page([10, 15], null, { b: 3 })], ['missing']],
    ['a page that begins too early', [...WRITTEN, page([10, 15], 1, { a: 1, b: 3 })], ['strange']],
    [
      'a page that is too long',
      [...WRITTEN, write('c', 9, [0, 5]), page([10, 15], null, { a: 1, b: 3, c: 9 })],
      ['order'],
    ],
    ['a page that is not in order', [...WRITTEN, page([10, 15], null, { b: 3, a: 1 })], ['order']],
    ['what is shown too early at a replica', [...WRITTEN, loose([10, 15], { a: 2 })], ['stale']],
    [
      'a session that goes back',
      [...WRITTEN, loose([40, 45], { a: 2 }), loose([46, 47], { a: 1 })],
      ['back'],
    ],
  ])('finds %s', (_what, history, expected) => {
    expect([...new Set(kinds(history))].sort()).toEqual([...expected].sort());
  });

  it('says nothing of what a session shows once it was lost', () => {
    const lost = loose([45.5, 45.6], {}, { type: 'fail' });
    expect(kinds([...WRITTEN, loose([40, 45], { a: 2 }), lost, loose([46, 47], { a: 1 })])).toEqual([]);
    const other = loose([46, 47], { a: 1 }, { c: 2 });
    expect(kinds([...WRITTEN, loose([40, 45], { a: 2 }), other])).toEqual([]);
  });

  it('holds only what was settled against a query of another side', () => {
    const until = (at: number) => ({ isSettled: ({ ret }: HistoryOperation) => (ret ?? at) <= at });
    const apart = [...WRITTEN, entries([40, 45], { a: 1, b: 3 })];
    expect(kinds(apart, until(10))).toEqual([]);
    expect(kinds([...WRITTEN, entries([40, 45], { b: 3 })], until(10))).toEqual(['missing']);
    expect(kinds(apart, until(30))).toEqual(['stale', 'stale']);
  });

  it('finds queries that go back, whatever each of them may show alone', () => {
    const slow = [write('a', 1, [0, 5]), write('a', 2, [20, 90])];
    const forth = [...slow, entries([30, 35], { a: 1 }), entries([40, 45], { a: 2 })];
    const back = [...slow, entries([30, 35], { a: 2 }), entries([40, 45], { a: 1 })];
    expect([kinds(forth), kinds(back)]).toEqual([[], []]);
    expect([isInOrder(forth), isInOrder(back)]).toEqual([true, false]);
    const byAbsence = [...slow, keys([30, 35], ['a'], { from: 2 }), keys([40, 45], [], { from: 2 })];
    expect([kinds(byAbsence), isInOrder(byAbsence)]).toEqual([[], false]);
    expect([isInOrder(forth, unknownQueriedModel), isInOrder(back, unknownQueriedModel)]).toEqual([
      true,
      false,
    ]);
  });

  it('knows keys and values of writes that are no part of the order', () => {
    const seen = [entries([10, 15], { a: 1 }), entries([16, 17], {})];
    const readings = readingsOf(seen, [...WRITTEN, ...seen]);
    expect(readings.map(({ k, f }) => `${f} ${k}`)).toEqual([
      'read queried/a',
      'lacks queried/b',
      'lacks queried/a',
      'lacks queried/b',
    ]);
    expect(checkLinearizable(readings, unknownQueriedModel).failures.map(({ key }) => key)).toEqual([
      'queried/a',
    ]);
  });
});

function values(times: Times, numbers: readonly number[]) {
  return query('values', { shows: 'values', where: {} }, times, numbers.map(item));
}

/** An index hears of four changes of five. */
function forgetChanges(): void {
  const { replacing } = StateIndexes.prototype;
  let changes = 0;
  vi.spyOn(StateIndexes.prototype, 'replacing').mockImplementation(function (this: StateIndexes, ...change) {
    if (++changes % 5 !== 0) replacing.apply(this, change);
  });
}

describe('queries under crashes', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('show what is there', async () => {
    const result = await runSwarm({ seeds: 12, firstSeed: 1, workload: 'queries' });
    const told = result.failed.map((each) =>
      explainResult(each, replayCommand(each.seed, undefined, 'queries')),
    );
    expect(told.join('\n')).toBe('');
    const states = ['page', 'glance', 'sum', 'size', 'projectWithPredicate'].map((f) => `ok ${QUERIED}/${f}`);
    const met = [
      'query that used an index',
      'query that met a write',
      'query of pages that went on',
      'promotion',
    ];
    expect(result.reached.missing([...states, ...met])).toEqual([]);
  }, 120_000);

  const found = async (how: Partial<Parameters<typeof runSwarm>[0]> = {}) => {
    const { failed } = await runSwarm({
      seeds: 5,
      firstSeed: 1,
      workload: 'queries',
      maxFailures: 1,
      ...how,
    });
    return failed
      .flatMap(({ findings }) => findings.map(({ guarantee, text }) => `${guarantee}: ${text}`))
      .join('\n');
  };

  it('are found when they do not wait for what they show', async () => {
    expect(await found({ firstSeed: 11, planted: 'readsDoNotWait' })).toContain('G1 linearizable per key');
  }, 60_000);

  it('are found when an index is not told of every change', async () => {
    forgetChanges();
    expect(await found()).toMatch(/queries show what is there: .* of queried-indexed\/\* /);
  }, 60_000);

  it('are found when they leave something out', async () => {
    const whole = MapQueries.prototype.values;
    let calls = 0;
    vi.spyOn(MapQueries.prototype, 'values').mockImplementation(async function (
      this: typeof MapQueries.prototype,
      given,
    ) {
      const all = await whole.call(this, given);
      return ++calls % 10 === 0 ? all.slice(0, -1) : all;
    });
    expect(await found()).toMatch(/valuesWithPredicate .* lacks /);
  }, 60_000);
});

describe('a query beside changes that wait for their backup', () => {
  const all = QUERIED_MAPS.flatMap((name) => ASKED.map((f) => [f, name] as const));

  it.each(all)('is found when it shows them: %s of %s', async (f, name) => {
    const { findings } = await queryBesideWaitingChanges(f, name, { planted: 'readsDoNotWait' });
    expect(findings.map(({ guarantee }) => guarantee)).toContain('G1 queries show what is there');
  });

  it.each(all)('shows nothing that is taken back: %s of %s', async (f, name) => {
    const result = await queryBesideWaitingChanges(f, name, {});
    expect(result.findings, explainResult(result, '')).toEqual([]);
    expect(result.notJudged).toBeNull();
  });
});

describe('queries in splits', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it.each([
    ['PA/EC', 1, 4],
    ['PC/EC', 1, 2],
  ] as const)(
    'show what is there under %s, in seeds from %i on, in %i',
    async (preset, firstSeed, seeds) => {
      const wishes = { preset, workloads: ['queries'] } as const;
      const { failed, reached } = await runSplitSwarm({ wishes, firstSeed, seeds });
      expect(failed.map((each) => explainSplit(each, splitReplay(each.seed, wishes))).join('\n\n')).toBe('');
      expect(reached.missing(['query answered while sides were cut', 'query that used an index'])).toEqual(
        [],
      );
    },
    60_000,
  );

  it.each([
    ['forkServesConsistent', 'PC/EC', 1, /G3 queries show what is there/],
    ['leaseUnchecked', 'PC/EC', 9, /G4 nothing is acknowledged outside of the majority: \w+ of queried/],
    ['goneWhileCut', 'PA/EC', 2, /G5 queries show what is there: .* lacks /],
  ] as const)(
    'are found by the swarm with the fault %s under %s, in seed %i',
    async (planted, preset, firstSeed, expected) => {
      const wishes = { preset, workloads: ['queries'] } as const;
      const { failed } = await runSplitSwarm({ wishes, firstSeed, seeds: 1, planted });
      expect(
        failed.flatMap(({ findings }) => findings.map((one) => `${one.guarantee}: ${one.text}`)).join('\n'),
      ).toMatch(expected);
    },
    60_000,
  );

  it('are found when an index is not told of every change', async () => {
    forgetChanges();
    const wishes = { preset: 'PA/EC', workloads: ['queries'] } as const;
    const { failed } = await runSplitSwarm({ wishes, firstSeed: 1, seeds: 4 });
    const guarantees = failed.flatMap(({ findings }) => findings.map(({ guarantee }) => guarantee));
    expect(guarantees).toContain('at rest queries show what is there');
    expect(guarantees).toContain('G1 a side is linearizable per key');
  }, 60_000);
});
