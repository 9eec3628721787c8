/** The next view of a change: what joiners bring, who goes, and when nothing is to do. */
import { describe, expect, it } from 'vitest';
import { foundingPlan } from '../../partitions/plan.js';
import type { Joiner } from '../../src/cluster/membership.js';
import type { MemberInfo, StructureRow, View } from '../../src/cluster/view.js';
import { nextView, Reports } from '../../src/member/next-view.js';

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
  return { lineage: 'l', ordered: false, parent: null, number: 4, members, slots: 1, structures, table, target };
}

function joiner(id: string, structures: readonly StructureRow[] = []): Joiner {
  return { id, address: `${id}:1`, structures, heardMs: 0 };
}

function next(
  from: View,
  members: readonly MemberInfo[],
  joined: readonly Joiner[] = [],
  reports = new Reports(),
) {
  const change = { members, joined, isDead: () => false };
  return nextView({ view: from, change, reports, lossTimeoutPassed: () => false });
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
    reports.add({ settled: [0, 1, 2], ready: [{ partition: 1, member: 'b' }], behind: [] });
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
