/** Functions of users under crashes, migrations and a bad network: once for each call; and what is found when it is not so. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { HistoryOperation } from '../../chaos/checker/history.js';
import { checkLists, type ListsInput, type SeenList } from '../../chaos/checker/lists.js';
import { checkInOrder, checkProcessed } from '../../chaos/checker/processed.js';
import { explainResult } from '../../chaos/run.js';
import { explainSplit, runSplitSwarm, splitReplay } from '../../chaos/split/swarm.js';
import { replayCommand, runSwarm } from '../../chaos/swarm.js';
import { PROCESSED } from '../../chaos/workload/processors.js';
import { MapState } from '../../partitions/services/map/state.js';
import { ValueCodec } from '../../src/wire/values.js';

const K = `${PROCESSED}/k`;

function append(v: string, [call, ret]: readonly [number, number], out?: unknown, type = 'ok' as const) {
  return { c: 1, k: K, f: 'append', v, call, ret, type, ...(out === undefined ? {} : { out }) };
}

const ended = (v: string, type: 'fail' | 'info'): HistoryOperation => ({
  ...append(v, [0, 1]),
  ret: type === 'info' ? null : 1,
  type,
});

describe('the check of processors', () => {
  it('passes calls that took effect once, and unknown ones that did once or not', () => {
    const history = [append('a', [0, 1], ['a']), append('b', [2, 3], ['a', 'b']), ended('c', 'info')];
    for (const left of [
      ['a', 'b'],
      ['a', 'b', 'c'],
    ]) {
      expect(checkProcessed(history, new Map([[K, left]]))).toEqual([]);
      expect(checkInOrder(history, new Map([[K, left]]))).toEqual([]);
    }
  });

  it.each<[string, HistoryOperation[], string[], string]>([
    ['one that ran twice', [append('a', [0, 1])], ['a', 'a'], 'took effect 2 times'],
    ['an unknown one that ran twice', [ended('a', 'info')], ['a', 'a'], 'took effect 2 times'],
    ['one that is lost', [append('a', [0, 1])], [], 'the acknowledged a is not there'],
    ['one that was refused', [ended('a', 'fail')], ['a'], 'had been refused'],
    ['one that nobody called', [], ['a'], 'was appended by no call'],
  ])('finds %s', (_what, history, left, text) => {
    expect(checkProcessed(history, new Map([[K, left]])).join()).toContain(text);
  });

  const read = (span: readonly [number, number], out: unknown) => ({ ...append('', span, out), f: 'read' });

  it('passes readings between calls, of nothing, and calls whose list was not told', () => {
    const history = [
      read([0, 1], null),
      append('a', [0, 5]),
      read([2, 3], []),
      read([2, 4], ['a']),
      append('b', [6, 9], ['a', 'b']),
      read([7, 8], ['a']),
    ];
    expect(checkInOrder(history, new Map([[K, ['a', 'b']]]))).toEqual([]);
  });

  it.each<[string, HistoryOperation[], string[], string]>([
    [
      'two that saw the same list',
      [append('a', [0, 1], ['a']), append('b', [0, 1], ['b'])],
      ['a', 'b'],
      'no beginning',
    ],
    ['one that saw itself twice', [append('a', [0, 1], ['a', 'a'])], ['a'], 'no beginning'],
    [
      'one that was told of another one',
      [append('a', [0, 1], ['b'])],
      ['b', 'a'],
      'a list that does not end with it',
    ],
    [
      'one that comes before an earlier one',
      [append('a', [0, 1]), append('b', [2, 3])],
      ['b', 'a'],
      'ended before',
    ],
    [
      'an unknown one that took effect before it was called',
      [append('a', [0, 1]), { ...ended('b', 'info'), call: 2 }],
      ['b', 'a'],
      'ended before',
    ],
    ['a reading of what is no list of the past', [read([0, 1], ['b'])], ['a'], 'no beginning'],
    ['a reading that is behind', [append('a', [0, 1], ['a']), read([2, 3], [])], ['a'], 'ended before'],
    [
      'a reading that goes back',
      [append('a', [0, 9], ['a']), read([1, 2], ['a']), read([3, 4], null)],
      ['a'],
      'ended before',
    ],
  ])('finds %s in the order of calls', (_what, history, left, text) => {
    expect(checkInOrder(history, new Map([[K, left]])).join()).toContain(text);
  });
});

const PROMISES = ['G1', 'G2', 'G9', 'replicas are equal'];

/** Runs each processor on the backups as well, on top of what came from the primary. */
function runOnBackups(): void {
  const codec = new ValueCodec();
  const { apply } = MapState.prototype;
  vi.spyOn(MapState.prototype, 'apply').mockImplementation(function (this: MapState, delta, seq) {
    apply.call(this, delta, seq);
    if (this.name !== PROCESSED) return;
    const { store } = this;
    const all = { records: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
    const changed: number[] = [];
    store.scan(0, all, (ref) => {
      if (store.seqOf(ref) === seq && !store.isTombstone(ref)) changed.push(ref);
    });
    for (const ref of changed) {
      const list = codec.decode(store.valueOf(ref)) as string[];
      const key = Buffer.from(store.keyOf(ref));
      store.put(store.hashOf(ref), key, codec.encode([...list, list.at(-1)]), store.metaOf(ref));
    }
  });
}

describe('functions of users in the swarm', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('run once for each call', async () => {
    const { failed, reached } = await runSwarm({ seeds: 8, firstSeed: 1, workload: 'processors' });
    const stories = failed.map((each) =>
      explainResult(each, replayCommand(each.seed, undefined, 'processors')),
    );
    expect(stories.join('\n\n')).toBe('');
    const always = ['ok processed/append', 'ok counter/addAndGet', 'error ERR_FUNCTION_FAILED', 'promotion'];
    expect(reached.missing([...always, 'retry answered from the window', 'call of unknown outcome'])).toEqual(
      [],
    );
  }, 60_000);

  it('are found when a retry runs them again', async () => {
    const { failed } = await runSwarm({
      seeds: 20,
      firstSeed: 1,
      workload: 'processors',
      planted: 'freshRetryIds',
      maxFailures: 1,
    });
    expect(failed[0]?.findings.some(({ guarantee }) => PROMISES.some((p) => guarantee.startsWith(p)))).toBe(
      true,
    );
    expect(failed[0]?.findings.some(({ text }) => /took effect [2-9] times/.test(text))).toBe(true);
  }, 60_000);

  it('are found when backups run them too', async () => {
    runOnBackups();
    const { failed } = await runSwarm({ seeds: 10, firstSeed: 1, workload: 'processors', maxFailures: 1 });
    expect(failed[0]?.findings.some(({ guarantee }) => PROMISES.some((p) => guarantee.startsWith(p)))).toBe(
      true,
    );
  }, 60_000);
});

describe('the check of lists that are merged', () => {
  const ok = (...names: string[]) => names.map((name) => ({ name, type: 'ok' as const }));
  const seen = (list: string[], at: number, appended: string | null = list.at(-1) ?? null): SeenList => ({
    list,
    callMs: at,
    retMs: at + 5,
    appended,
  });
  const kinds = (input: Partial<ListsInput>) => {
    const nothing = { k: 'k', appends: [], seen: [], sides: [], final: [], discarded: [], isExcused: false };
    return checkLists({ ...nothing, ...input }).map(({ kind }) => kind);
  };

  it('passes one side that is kept, and another one that is reported', () => {
    const [one, other] = [
      [seen(['a'], 0), seen(['a', 'b'], 10), seen(['a', 'b'], 20, null)],
      [seen(['a', 'c'], 10), seen(['a', 'c', 'd'], 20)],
    ];
    const input = { appends: ok('a', 'b', 'c', 'd'), seen: [...one, ...other], sides: [one, other] };
    expect(kinds({ ...input, final: ['a', 'b'], discarded: [['a', 'c', 'd']] })).toEqual([]);
    const unknown = [...input.appends, { name: 'e', type: 'info' as const }];
    expect(
      kinds({ ...input, appends: unknown, final: ['a', 'b', 'e'], discarded: [['a', 'c', 'd']] }),
    ).toEqual([]);
  });

  it.each<[string, Partial<ListsInput>, string[]]>([
    ['a call that ran twice', { appends: ok('a'), final: ['a', 'a'] }, ['twice']],
    [
      'one that ran twice on the side that lost',
      { appends: ok('a'), discarded: [['a', 'a']], final: ['a'] },
      ['twice'],
    ],
    ['a refused call', { appends: [{ name: 'a', type: 'fail' }], final: ['a'] }, ['undone']],
    [
      'a call that was declared void',
      { appends: [...ok('a'), { name: 'b', type: 'void' }], final: ['a', 'b'] },
      ['undone'],
    ],
    ['a call that nobody made', { final: ['a'] }, ['undone']],
    [
      'an answer to another call',
      { appends: ok('a', 'b'), seen: [seen(['a'], 0, 'b')], final: ['a', 'b'] },
      ['twice'],
    ],
    ['what is lost in silence', { appends: ok('a', 'b'), final: ['a'] }, ['lost']],
    [
      'two lists on one side',
      { appends: ok('a', 'b'), sides: [[seen(['a'], 0), seen(['b'], 10)]], final: ['a', 'b'] },
      ['order'],
    ],
    [
      'one list for two calls of a side',
      { appends: ok('a', 'b'), sides: [[seen(['a'], 0, 'a'), seen(['a'], 2, 'b')]], final: ['a', 'b'] },
      ['order'],
    ],
    [
      'a reading behind what was answered on its side',
      { appends: ok('a', 'b'), sides: [[seen(['a', 'b'], 0), seen(['a'], 10, null)]], final: ['a', 'b'] },
      ['order'],
    ],
  ])('finds %s', (_what, input, expected) => {
    expect(kinds(input)).toEqual(expected);
  });

  it('says nothing of a call that another side ran before it was declared void', () => {
    const appends = [...ok('a', 'c'), { name: 'b', type: 'void' as const }];
    const elsewhere = seen(['a', 'b'], 0, null);
    expect(kinds({ appends, seen: [elsewhere], final: ['a', 'c'] })).toEqual([]);
    expect(kinds({ appends, seen: [elsewhere], final: ['a', 'b', 'c'] })).toEqual([]);
  });

  it('says nothing of what a report excuses', () => {
    expect(kinds({ appends: ok('a', 'b'), final: ['a'], isExcused: true })).toEqual([]);
  });
});

describe('functions of users in splits', () => {
  it.each([
    ['PA/EC', 1, 3],
    // A fork showed calls that were declared void on the other side.
    ['PA/EC', 219, 1],
    ['PC/EC', 1, 2],
  ] as const)(
    'run once for each call under %s, in seeds from %i on, in %i',
    async (preset, firstSeed, seeds) => {
      const wishes = { preset, workloads: ['processors'] } as const;
      const { failed, reached } = await runSplitSwarm({ wishes, firstSeed, seeds });
      expect(failed.map((each) => explainSplit(each, splitReplay(each.seed, wishes))).join('\n\n')).toBe('');
      expect(
        reached.missing(['ok processed/append', 'ok processed/read', 'error ERR_FUNCTION_FAILED']),
      ).toEqual([]);
    },
    60_000,
  );

  it.each([
    ['freshRetryIds', 'G9 a processor runs once'],
    ['mergeDropsLosers', 'G6 no silent loss'],
  ] as const)(
    'are found by the swarm with the fault %s',
    async (planted, guarantee) => {
      const wishes = { preset: 'PA/EC', workloads: ['processors'] } as const;
      const { failed } = await runSplitSwarm({ wishes, firstSeed: 1, seeds: 6, planted, maxFailures: 1 });
      expect(failed.flatMap(({ findings }) => findings.map((one) => one.guarantee))).toContain(guarantee);
    },
    60_000,
  );
});
