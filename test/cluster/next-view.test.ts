/** The next view of a change: what joiners bring, who goes, and when nothing is to do. */

import { describe, expect, it } from 'vitest';
import { foundingPlan } from '../../partitions/plan.js';
import type { Change, Joiner } from '../../src/cluster/membership.js';
import { NO_TOGGLES } from '../../src/cluster/toggle.js';
import type { MemberInfo, StructureRow, TableEntry, View } from '../../src/cluster/view.js';
import { forkView, type NextViewInput, nextView, type Orders, Reports } from '../../src/member/next-view.js';

const OPTIONS = { backups: { sync: 2, async: 1 } };

function row(pattern: string, options: unknown = OPTIONS): StructureRow {
  return {
    service: 'map',
    pattern,
    options: typeof options === 'string' ? options : JSON.stringify(options),
  };
}

function info(id: string, leaving = false): MemberInfo {
  return { id, address: `${id}:1`, leaving };
}

function view(members: readonly MemberInfo[], structures: readonly StructureRow[] = []): View {
  const first = members[0] as MemberInfo;
  const { table, target } = foundingPlan(first.id, 3);
  return {
    lineage: 'l',
    ordered: false,
    parent: null,
    replaced: [],
    number: 4,
    members,
    slots: 1,
    structures,
    toggles: NO_TOGGLES,
    table,
    target,
  };
}

function joiner(id: string, structures: readonly StructureRow[] = []): Joiner {
  return { id, address: `${id}:1`, structures, source: null, heardMs: 0, sinceMs: 0 };
}

function next(
  from: View,
  members: readonly MemberInfo[],
  joined: readonly Joiner[] = [],
  reports = new Reports(),
) {
  return nextView(input(from, { members, joined }, { reports }));
}

const NO_ORDERS: Orders = { found: false, dead: new Set(), acceptedLoss: new Set() };

function input(view: View, change: Partial<Change> = {}, more: Partial<NextViewInput> = {}): NextViewInput {
  return {
    view,
    change: { members: view.members, joined: [], isDead: () => false, restart: false, ...change },
    reports: new Reports(),
    lossTimeoutPassed: () => false,
    orders: NO_ORDERS,
    chain: null,
    ...more,
  };
}

describe('the next view', () => {
  it('is none when nothing changes', () => {
    const from = next(view([info('a'), info('b')]), [info('a')]) as View;
    expect(next(from, from.members)).toBeNull();
  });

  it('has the next number and the new members', () => {
    const after = next(view([info('a')]), [info('a'), info('b')], [joiner('b')]);
    expect(after).toMatchObject({ number: 5, lineage: 'l' });
    expect(after?.members.map(({ id }) => id)).toEqual(['a', 'b']);
  });

  it('adds structures that joiners bring and it does not know, and as many slots as they need', () => {
    const own = row('a', { backups: { sync: 0, async: 0 } });
    const after = next(
      view([info('a')], [own]),
      [info('a'), info('b')],
      [joiner('b', [row('a'), row('b')]), joiner('c', [row('b', { backups: { sync: 6, async: 0 } })])],
    );
    expect(after?.structures).toEqual([own, row('b')]);
    expect(after?.slots).toBe(3);
  });

  it.each([
    ['text that is no JSON', row('x', 'no json')],
    ['options that do not exist', row('x', { backups: { sync: 99, async: 0 } })],
    ['a structure that does not exist', { ...row('x'), service: 'tree' }],
  ])('leaves out what nobody could serve: %s', (_name, bad) => {
    const after = next(view([info('a')]), [info('a'), info('b')], [joiner('b', [bad, row('good')])]);
    expect(after?.structures).toEqual([row('good')]);
  });

  it('keeps a leaving member until it holds nothing, and all of them when all leave', () => {
    const from = view([info('a'), info('b')]);
    const leaving = [info('a', true), info('b')];
    expect(next(from, leaving)?.members).toEqual(leaving);
    const emptied = {
      ...from,
      table: from.table.map((entry) => ({ ...entry, replicas: [{ member: 'b', synced: true }] })),
    };
    expect(next(emptied, leaving)?.members).toEqual([info('b')]);
    const all = [info('a', true), info('b', true)];
    expect(next(from, all)?.members).toEqual(all);
  });

  it('follows what primaries reported for this view, and forgets it with the view', () => {
    const reports = new Reports();
    reports.add({ settled: [0, 1, 2], ready: [{ partition: 1, member: 'b' }], behind: [], stale: [] });
    expect([
      reports.settled(1),
      reports.ready(1, 'b'),
      reports.ready(1, 'c'),
      reports.behind(1, 'b'),
    ]).toEqual([true, true, false, false]);
    expect(next(view([info('a')]), [info('a')], [], reports)?.table.every(({ settled }) => settled)).toBe(
      true,
    );
    reports.clear();
    expect(reports.settled(1)).toBe(false);
  });
});

const CONSISTENT = row('pc', { consistency: 'PC/EC', backups: { sync: 1, async: 1 } });
const FORK = { parent: { lineage: 'chain', number: 3 } };

/** One partition that a and b hold, of a view with these members. */
function held(ids: string, holders: string, more: Partial<View> = {}, entry: Partial<TableEntry> = {}): View {
  const replicas = [...holders].map((member) => ({ member, synced: true }));
  const whole = {
    replicas,
    epoch: 2,
    settled: true,
    moving: false,
    generation: 0,
    lastSynced: [],
    proven: [],
    ...entry,
  };
  const members = [...ids].map((id) => info(id));
  return { ...view(members), slots: 2, table: [whole], target: [[...holders]], ...more };
}

function infos(ids: string): MemberInfo[] {
  return [...ids].map((id) => info(id));
}

function entryOf(from: NextViewInput): TableEntry | undefined {
  return nextView(from)?.table[0];
}

describe('an order', () => {
  const found = { ...NO_ORDERS, found: true };

  it('to found takes effect with the next view, in the chain only, and once', () => {
    const after = nextView(input(held('a', 'a'), {}, { orders: found })) as View;
    expect(after).toMatchObject({ ordered: true, number: 5 });
    expect(nextView(input(after, {}, { orders: found }))).toBeNull();
    expect(nextView(input(held('a', 'a', FORK), {}, { orders: found }))).toBeNull();
  });

  it.each([
    ['abc', ['c'], true],
    ['abc', ['c', 'x'], true],
    ['abcd', ['c'], false],
    ['abc', [], false],
    ['ab', ['z'], false],
  ] as const)(
    'that of chain %s the members %j are dead makes a fork of a and b the chain: %s',
    (chain, dead, isChain) => {
      const from = held('ab', 'ab', FORK);
      const orders = { ...NO_ORDERS, dead: new Set(dead) };
      const last = { ...held(chain, 'ab'), lineage: 'chain' };
      const after = nextView(input(from, {}, { orders, chain: last }));
      if (!isChain) {
        expect(after).toBeNull();
        return;
      }
      expect(after).toMatchObject({ parent: null, lineage: from.lineage, number: 5 });
      // What the fork served so far was only half the truth: all primaries begin anew.
      expect(after?.table[0]).toMatchObject({ epoch: 5, settled: false });
    },
  );

  it('of deaths changes nothing for a fork that does not know its chain, or in the chain', () => {
    const orders = { ...NO_ORDERS, dead: new Set(['c']) };
    expect(nextView(input(held('ab', 'ab', FORK), {}, { orders }))).toBeNull();
    const chain = held('abc', 'ab');
    expect(nextView(input(chain, {}, { orders, chain }))?.parent ?? null).toBeNull();
  });

  it('that a loss is accepted lets exactly these partitions start empty, also in a fork and with consistent structures', () => {
    for (const more of [{}, FORK, { structures: [CONSISTENT], slots: 2 }]) {
      const from = held('ab', '', more, { lastSynced: ['x'], settled: false });
      const two = { ...from, table: [...from.table, ...from.table], target: [['a'], ['b']] };
      const orders = { ...NO_ORDERS, acceptedLoss: new Set([1]) };
      const after = nextView(input(two, {}, { orders }));
      expect(after?.table.map(({ generation }) => generation)).toEqual([0, after?.number]);
      expect(after?.table.map(({ replicas }) => replicas.length)).toEqual([0, 1]);
    }
  });
});

describe('a partition that nobody holds', () => {
  const lost = (more: Partial<View>) =>
    held('ab', '', { target: [['a']], ...more }, { lastSynced: ['x'], settled: false });

  it.each([
    ['available structures alone', {}, true],
    ['a consistent structure', { structures: [CONSISTENT], slots: 2 }, false],
    ['a fork', FORK, false],
  ] as const)('starts empty by itself with %s: %s', (_name, more, startsEmpty) => {
    const dead = entryOf(input(lost(more), { isDead: () => true, restart: true }));
    const late = entryOf(input(lost(more), { restart: true }, { lossTimeoutPassed: () => true }));
    expect([dead?.generation, late?.generation]).toEqual(startsEmpty ? [5, 5] : [0, 0]);
    if (startsEmpty) return;
    expect([dead?.replicas, dead?.lastSynced]).toEqual([[], ['x']]);
  });

  it('is held again when one of the last holders is back, everywhere', () => {
    for (const more of [{}, FORK, { structures: [CONSISTENT], slots: 2 }]) {
      const after = entryOf(input(lost(more), { members: infos('abx') }));
      expect(after).toMatchObject({ replicas: [{ member: 'x', synced: true }], epoch: 5, generation: 0 });
    }
  });
});

describe('with consistent structures', () => {
  const PC = { structures: [CONSISTENT], slots: 2 };

  it('an async backup is never promoted past the sync ones: the partition waits for those', () => {
    // One sync backup: of a, b, c only a and b have every acknowledged write.
    const after = entryOf(input(held('abc', 'abc', PC), { members: infos('c') }));
    expect(after).toMatchObject({ replicas: [], lastSynced: ['a', 'b'], generation: 0 });
    expect(entryOf(input(held('abc', 'abc', PC), { members: infos('bc') }))?.replicas[0]?.member).toBe('b');
    expect(entryOf(input(held('abc', 'abc'), { members: infos('c') }))?.replicas[0]?.member).toBe('c');
  });

  it('as many count as the structure with most sync backups has: writes of all wait for these', () => {
    const two = row('two', { consistency: 'PC/EC', backups: { sync: 2, async: 0 } });
    const gone = (structures: StructureRow[]) =>
      entryOf(input(held('abc', 'abc', { structures, slots: 2 }), { members: infos('c') }));
    expect(gone([two])?.replicas[0]?.member).toBe('c');
    expect(gone([two, CONSISTENT])?.replicas[0]?.member).toBe('c');
    expect(gone([CONSISTENT])).toMatchObject({ replicas: [], lastSynced: ['a', 'b'] });
  });

  it('a fork takes what is there, because it serves the available ones only', () => {
    const from = held('abc', 'abc', { ...PC, ...FORK });
    expect(entryOf(input(from, { members: infos('c') }))?.replicas[0]?.member).toBe('c');
  });

  it('a sync backup that is syncing is none that may lead', () => {
    const replicas = [
      { member: 'a', synced: true },
      { member: 'b', synced: false },
      { member: 'c', synced: true },
    ];
    const after = entryOf(input(held('abc', 'abc', PC, { replicas }), { members: infos('bc') }));
    expect(after).toMatchObject({ replicas: [], lastSynced: ['a'] });
  });
});

describe('the first view of a fork', () => {
  it('has a lineage and an epoch of its own, where it left the chain, and what its members hold', () => {
    const from = held('abcd', 'ab', { ordered: true, lineage: 'chain' });
    const two = {
      ...from,
      table: [...from.table, { ...(from.table[0] as TableEntry), replicas: [{ member: 'c', synced: true }] }],
      target: [['a', 'b'], ['c']],
    };
    const fork = forkView(two, infos('bd'), 'fork');
    expect(fork).toMatchObject({
      lineage: 'fork',
      number: 5,
      ordered: true,
      parent: { lineage: 'chain', number: 4 },
    });
    expect(fork.members.map(({ id }) => id)).toEqual(['b', 'd']);
    expect(fork.table[0]).toMatchObject({
      replicas: [{ member: 'b', synced: true }],
      epoch: 5,
      settled: false,
    });
    expect(fork.table[1]).toMatchObject({ replicas: [], lastSynced: ['c'], generation: 0 });
  });

  it('of a fork names the chain, not that fork', () => {
    expect(forkView(held('ab', 'ab', FORK), infos('b'), 'second').parent).toEqual(FORK.parent);
  });
});

describe('when members come back from forks', () => {
  it('every partition begins a new epoch, also when nothing else changes', () => {
    const from = held('ab', 'ab');
    expect(nextView(input(from))).toBeNull();
    expect(entryOf(input(from, { restart: true }))).toMatchObject({ epoch: 5, settled: false });
  });

  it('a primary that has served another lineage gets an epoch of its own', () => {
    const reports = new Reports();
    reports.add({ settled: [], ready: [], behind: [], stale: [0] });
    expect(entryOf(input(held('ab', 'ab'), {}, { reports }))).toMatchObject({ epoch: 5, settled: false });
    reports.clear();
    expect(nextView(input(held('ab', 'ab'), {}, { reports }))).toBeNull();
  });
});
