import { describe, expect, it } from 'vitest';
import type { HistoryOperation } from '../../chaos/checker/history.js';
import { loseNothingSilently } from '../../chaos/checker/ledger.js';
import { Connectivity, type Stretch } from '../../chaos/split/connectivity.js';
import { mayCrash } from '../../chaos/split/crash-rule.js';
import { drawSplitCase } from '../../chaos/split/draw.js';
import { LineageLedger } from '../../chaos/split/lineages.js';
import { readMergeReports } from '../../chaos/split/merge-reports.js';
import { NO_TOGGLES } from '../../src/cluster/toggle.js';
import type { View } from '../../src/cluster/view.js';

function write(v: string, call: number, ret: number | null, rest: Partial<HistoryOperation> = {}) {
  const type = ret === null ? 'info' : 'ok';
  return { c: 1, k: 'm/a', f: 'put', v, call, ret, type, out: null, ...rest } as HistoryOperation;
}

function ledger(history: HistoryOperation[], found: string | null, reported: string[] = [], follow = true) {
  return loseNothingSilently({
    history,
    found: new Map(found === null ? [] : [['m/a', found]]),
    reported: new Map([['m/a', new Set(reported)]]),
    mayFollow: (first, second) => follow && (second.ret ?? Number.POSITIVE_INFINITY) > first.call,
  });
}

describe('the loss ledger', () => {
  it('misses an acknowledged write that is neither there nor reported nor overwritten', () => {
    expect(ledger([write('1', 0, 1)], null).lost).toHaveLength(1);
    expect(ledger([write('1', 0, 1), write('2', 5, 6)], '2', [], false).lost).toHaveLength(1);
  });

  it('accounts for writes that are there, in a report, or overwritten on their own side', () => {
    const history = [write('1', 0, 1), write('2', 5, 6), write('3', 5, 6)];
    const { lost, present, reported, superseded } = ledger(history, '3', ['2']);
    expect({ lost: lost.length, present, reported, superseded }).toEqual({
      lost: 0,
      present: 1,
      reported: 1,
      superseded: 1,
    });
  });

  it('takes a later write of unknown outcome for one that may have overwritten', () => {
    expect(ledger([write('1', 0, 1), write('2', 5, null)], '2').lost).toEqual([]);
    expect(ledger([write('1', 5, 6), write('2', 0, 1)], '2').lost).toHaveLength(1);
  });

  it('does not let a conditional write that changed nothing overwrite anything', () => {
    const refused = write('2', 5, 6, { f: 'putIfAbsent', out: '1' });
    expect(ledger([write('1', 0, 1), refused], null).lost).toHaveLength(1);
  });

  it('finds values that nobody wrote, in the map and in a report', () => {
    expect(ledger([write('1', 0, 1)], '9').problems).toHaveLength(1);
    expect(ledger([write('1', 0, 1)], '1', ['9']).problems).toHaveLength(1);
    const refused = write('1', 0, 1, { type: 'fail' });
    expect(ledger([refused], '1').problems[0]).toContain('not done');
  });
});

describe('who could talk to whom', () => {
  const hosts = ['m1', 'm2', 'm3', 'c1'];
  const both = (a: string, b: string) => [[a, b] as const, [b, a] as const];

  it('falls into stretches at each change', () => {
    const cuts = [{ pairs: both('m1', 'm2'), fromMs: 10, toMs: 20 }];
    const { stretches } = new Connectivity(cuts, hosts, 30);
    expect(stretches.map(({ fromMs, toMs, cut }) => [fromMs, toMs, cut.size])).toEqual([
      [0, 10, 0],
      [10, 20, 2],
      [20, 30, 0],
    ]);
  });

  it('goes through members, not through clients, and needs both directions', () => {
    const pairs = [...both('m1', 'm2'), ['m1', 'm3'] as const];
    const connectivity = new Connectivity([{ pairs, fromMs: 0, toMs: null }], hosts, 10);
    const stretch = connectivity.stretches[0] as Stretch;
    expect([...connectivity.around(stretch, 'm2')].sort()).toEqual(['c1', 'm2', 'm3']);
    expect([...connectivity.around(stretch, 'm1')].sort()).toEqual(['c1', 'm1']);
  });

  it('lets answers come where only the way back is open', () => {
    const pairs = [['m1', 'm2'] as const, ['m1', 'm3'] as const, ...both('c1', 'm2'), ...both('c1', 'm3')];
    const connectivity = new Connectivity([{ pairs, fromMs: 0, toMs: null }], hosts, 10);
    const stretch = connectivity.stretches[0] as Stretch;
    expect([...connectivity.around(stretch, 'c1')].sort()).toEqual(['c1', 'm1']);
    expect([...connectivity.heardBy(stretch, 'c1')].sort()).toEqual(['c1', 'm1', 'm2', 'm3']);
    expect([...connectivity.heardBy(stretch, 'm2')].sort()).toEqual(['m2', 'm3']);
  });

  it('carries things on as sides meet and part, and only forwards in time', () => {
    const alone = (host: string) => hosts.filter((other) => other !== host).flatMap((o) => both(host, o));
    const cuts = [
      { pairs: alone('m1'), fromMs: 0, toMs: 10 },
      { pairs: alone('m3'), fromMs: 10, toMs: 20 },
      { pairs: alone('m1'), fromMs: 20, toMs: 40 },
      { pairs: both('m3', 'c1'), fromMs: 20, toMs: 40 },
    ];
    const connectivity = new Connectivity(cuts, hosts, 40);
    const carried = (from: string, fromMs: number, toMs: number) =>
      [...connectivity.carriedTo([from], fromMs, toMs)].sort();
    expect(carried('m1', 1, 9)).toEqual(['m1']);
    expect(carried('m1', 1, 15)).toEqual(['m1', 'm2']);
    expect(carried('m1', 1, 25)).toEqual(['m1', 'm2', 'm3']);
    expect(carried('m3', 11, 35)).toEqual(['m2', 'm3']);
  });

  it('calls a side clean when its members hear each other and nobody else in any direction', () => {
    const pairs = [...both('m1', 'm2'), ...both('m1', 'm3'), ...both('c1', 'm2'), ...both('c1', 'm3')];
    const clean = new Connectivity([{ pairs, fromMs: 0, toMs: null }], hosts, 10);
    expect(clean.cleanSide(clean.stretches[0] as Stretch, 'c1')).toEqual(['m1']);
    const leaky = new Connectivity([{ pairs: pairs.slice(1), fromMs: 0, toMs: null }], hosts, 10);
    expect(leaky.cleanSide(leaky.stretches[0] as Stretch, 'c1')).toBeNull();
  });
});

function view(number: number, changes: Partial<View> = {}): View {
  const members = ['a', 'b', 'c'].map((id) => ({ id, address: `${id}:1`, leaving: false }));
  const base = {
    lineage: 'chain',
    number,
    ordered: true,
    parent: null,
    replaced: [],
    slots: 1,
    structures: [],
    toggles: NO_TOGGLES,
  };
  return { ...base, members, target: [], table: [], ...changes };
}

function entry(holders: readonly string[], lastSynced: readonly string[] = []) {
  const replicas = holders.map((member) => ({ member, synced: true }));
  return { replicas, epoch: 1, settled: true, moving: false, generation: 0, lastSynced, proven: [] };
}

function ledgerWith(...views: readonly View[]): LineageLedger {
  const ledger = new LineageLedger(() => true);
  views.forEach((one, i) => {
    ledger.adopted(i, 'm1', 'a', one);
  });
  return ledger;
}

describe('the rule for crashes', () => {
  const ask = (chain: View, ending: string[], dead: string[] = [], others: View[] = [], known = chain) =>
    mayCrash({
      views: [chain, ...others],
      chain: [chain, known],
      holders: (of, partition) => ledgerWith(chain, ...others).holders(of, partition),
      knowsThatItHolds: () => true,
      isAlive: (id) => !dead.includes(id),
      ending: new Set(ending),
    });

  it('spares who alone holds something, also in a fork', () => {
    expect(ask(view(1, { table: [entry(['a', 'b'])] }), ['a'])).toBe(true);
    expect(ask(view(1, { table: [entry(['a'])] }), ['a'])).toBe(false);
    expect(ask(view(1, { table: [entry(['a', 'b'])] }), ['a'], ['b'])).toBe(false);
    const fork = view(2, { lineage: 'fork', table: [entry(['a'])] });
    expect(ask(view(1, { table: [entry(['a', 'b'])] }), ['a'], [], [fork])).toBe(false);
  });

  it('spares who held a partition last, also when others are remembered that held it before', () => {
    const held = view(1, { table: [entry(['b'], ['a', 'b'])] });
    const lost = view(2, { table: [entry([], ['b', 'a'])] });
    const { holders } = { holders: (of: View, p: number) => ledgerWith(held, lost).holders(of, p) };
    const knowsThatItHolds = () => true;
    const rule = { views: [lost], chain: [lost], holders, knowsThatItHolds, isAlive: () => true };
    expect(mayCrash({ ...rule, ending: new Set(['b']) })).toBe(false);
    expect(mayCrash({ ...rule, ending: new Set(['a']) })).toBe(true);
  });

  it('spares who alone knows of the view of a fork that others hold all of a partition as well', () => {
    const chain = view(1, { table: [entry(['a', 'b'])] });
    const parent = { lineage: chain.lineage, number: 1 } as View['parent'];
    const alone = view(2, { lineage: 'fork', parent, table: [entry(['a'])] });
    const both = view(3, { lineage: 'fork', parent, table: [entry(['a', 'b'])] });
    const ledger = new LineageLedger(() => true);
    for (const [at, id, one] of [[1, 'a', alone], [2, 'b', alone], [3, 'a', both]] as const) // biome-ignore format: a row each
      ledger.adopted(at, `m${id}`, id, one);
    const may = () =>
      mayCrash({
        views: [both],
        chain: [chain],
        holders: (...which) => ledger.holders(...which),
        knowsThatItHolds: (...which) => ledger.knowsThatItHolds(...which),
        isAlive: () => true,
        ending: new Set(['a']),
      });
    expect(may()).toBe(false);
    ledger.adopted(4, 'mb', 'b', both);
    expect(may()).toBe(true);
  });

  it('spares whom a quorum of the last view needs that the others know', () => {
    const table = [entry(['a', 'b', 'c'])];
    const two = view(1, { members: view(1).members.slice(0, 2), table });
    expect(ask(view(2, { table }), ['a'], [], [], two)).toBe(false);
    expect(ask(view(2, { table }), ['b'], [], [], two)).toBe(true);
  });

  it('spares the last of the last holders, and the quorum of the chain', () => {
    expect(ask(view(1, { table: [entry([], ['a'])] }), ['a'])).toBe(false);
    expect(ask(view(1, { table: [entry(['a', 'b', 'c'])] }), ['a', 'b'])).toBe(false);
  });
});

describe('the ledger of lineages', () => {
  it('finds two views of one number, a step back, and a second founding by order', () => {
    const ledgerOf = () => new LineageLedger(() => true);
    const twice = ledgerOf();
    twice.adopted(0, 'm1', 'a', view(1));
    twice.adopted(1, 'm2', 'b', view(1, { slots: 2 }));
    expect(twice.problems).toHaveLength(1);
    const back = ledgerOf();
    back.adopted(0, 'm1', 'a', view(2));
    back.adopted(1, 'm1', 'a', view(1));
    expect(back.problems).toHaveLength(1);
    const second = ledgerOf();
    second.adopted(0, 'm1', 'a', view(1));
    second.adopted(1, 'm2', 'b', view(1, { lineage: 'other' }));
    expect(second.problems).toHaveLength(1);
  });

  it('tells of forks, their merges and chains that go on', () => {
    const ledgerOf = new LineageLedger(() => true);
    const fork = (lineage: string) => view(2, { lineage, parent: { lineage: 'chain', number: 1 } });
    for (const id of ['a', 'b', 'c']) ledgerOf.adopted(0, id, id, view(1));
    ledgerOf.adopted(1, 'a', 'a', fork('f1'));
    ledgerOf.adopted(1, 'b', 'b', fork('f2'));
    ledgerOf.adopted(2, 'b', 'b', { ...fork('f1'), number: 3 });
    ledgerOf.adopted(2, 'c', 'c', fork('f3'));
    for (const id of ['a', 'b', 'c']) ledgerOf.adopted(3, id, id, view(2));
    expect(ledgerOf.problems).toEqual([]);
    expect(ledgerOf.events).toEqual([
      'fork formed',
      'fork formed',
      'fork merged with fork',
      'fork formed',
      'chain continued from forks',
      'fork merged into chain',
      'fork merged into chain',
    ]);
  });
});

describe('merge reports', () => {
  it('are gathered over all of their entries', async () => {
    async function* entries() {
      yield { structure: 'map/users', key: 'k', kept: 'new', discarded: 'old', side: 'source', reason: '' };
      yield { structure: 'users', key: 'l', kept: null, discarded: 'gone', side: 'owner', reason: '' };
    }
    const grid = { merges: async () => [{ id: '1', truncated: false, entries }] };
    const { merges, discarded, isTruncated } = await readMergeReports(grid);
    expect({ merges, isTruncated }).toEqual({ merges: 1, isTruncated: false });
    expect(discarded.map(({ structure, key, kept }) => [structure, key, kept])).toEqual([
      ['users', 'k', 'new'],
      ['users', 'l', null],
    ]);
  });
});

describe('the drawing of cases with splits', () => {
  it('is the same for the same seed and wishes, and keeps to the wishes', () => {
    const wishes = { preset: 'PA/EC', nemeses: ['partition'], members: 7, timeMs: 9000 } as const;
    const plan = drawSplitCase(11, wishes);
    expect(drawSplitCase(11, wishes)).toEqual(plan);
    expect(plan.members).toBe(7);
    expect(plan.durationMs).toBeGreaterThanOrEqual(9000);
    expect([...new Set(plan.faults.map(({ kind }) => kind))]).toEqual(['cut']);
  });

  it('cuts within the case, and leaves a lasting cut to consistent presets', () => {
    for (let seed = 1; seed <= 200; seed++) {
      for (const preset of ['PA/EC', 'PC/EC'] as const) {
        const { rounds, durationMs } = drawSplitCase(seed, { preset });
        expect(rounds.length, `seed ${seed}`).toBeGreaterThan(0);
        for (const { fromMs, toMs } of rounds) {
          expect(fromMs).toBeLessThan(toMs ?? durationMs);
          expect(toMs ?? durationMs).toBeLessThanOrEqual(durationMs);
          if (preset === 'PA/EC') expect(toMs).not.toBeNull();
        }
      }
    }
  });
});
