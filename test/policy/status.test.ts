/** The status of a grid, from its view and the reports of its members. */
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../src/base/errors.js';
import { readMemberReport } from '../../src/policy/member-report.js';
import { statusFromView } from '../../src/policy/status.js';
import { reportOf as report, viewOf } from './views.js';

describe('the status of a grid', () => {
  it('counts roles, replicas and who hears whom', () => {
    const view = viewOf(3, 1, ['0 1', '1 2?', '2 0']);
    const migrations = [{ partition: 1, to: 'm2', copiedBytes: 5, totalBytes: null }];
    const reports = new Map([
      ['m0', report(['m0', 'm1', 'm2'], { leaseMs: 1_500 })],
      ['m1', report(['m1', 'm2'], { migrations })],
    ]);
    const status = statusFromView('dev', view, reports);
    expect(status).toMatchObject({ clusterName: 'dev', view: 7, lineage: view.lineage, safe: false });
    expect(status.members).toEqual([
      {
        id: 'm0',
        address: 'host:1',
        leaving: false,
        primaries: 1,
        backups: 1,
        syncing: 0,
        entries: 10,
        sizeBytes: 1_000,
        heardBy: 0,
        hears: ['m0', 'm1', 'm2'],
        lineage: view.lineage,
        leaseMs: 1_500,
        leftovers: 0,
        antiEntropy: { compared: 0, differing: 0, repaired: 0, bytes: 0 },
      },
      {
        id: 'm1',
        address: 'host:2',
        leaving: false,
        primaries: 1,
        backups: 1,
        syncing: 0,
        entries: 10,
        sizeBytes: 1_000,
        heardBy: 1,
        hears: ['m1', 'm2'],
        lineage: view.lineage,
        leaseMs: null,
        leftovers: 0,
        antiEntropy: { compared: 0, differing: 0, repaired: 0, bytes: 0 },
      },
      {
        id: 'm2',
        address: 'host:3',
        leaving: false,
        primaries: 1,
        backups: 0,
        syncing: 1,
        entries: null,
        sizeBytes: null,
        heardBy: 2,
        hears: null,
        lineage: null,
        leaseMs: null,
        leftovers: null,
        antiEntropy: null,
      },
    ]);
    expect(status.migrations).toEqual([
      { partition: 1, from: 'm1', to: 'm2', copiedBytes: 5, totalBytes: null },
    ]);
    expect(status.unsafeReasons).toEqual(['1 replica is syncing', 'member host:3 does not answer']);
  });

  it.each<[string, ReturnType<typeof viewOf>, object, string[]]>([
    ['all in place', viewOf(2, 1, ['0 1', '1 0']), { missingReplicas: 0 }, []],
    [
      'a cluster that is too small for the backups',
      viewOf(1, 2, ['0', '0']),
      { missingReplicas: 4, unplaceableReplicas: 4 },
      [],
    ],
    [
      'a replica that has a place and is not there',
      viewOf(3, 2, ['0 1', '1 0 2'], ['0 1 2', '1 0 2']),
      { missingReplicas: 1, unplaceableReplicas: 0 },
      ['1 replica is missing'],
    ],
    [
      'a lost partition',
      viewOf(2, 1, ['', '0 1'], ['0 1', '0 1']),
      { lost: 1, lostPartitions: [0], missingReplicas: 2, unsettled: 0 },
      [
        '1 partition has no synced replica left and waits for one of its last holders',
        '2 replicas are missing',
      ],
    ],
    ['takeovers', viewOf(2, 1, ['0 1!', '1 0!']), { unsettled: 2 }, ['2 partitions are being taken over']],
    [
      'a partition on its way, with one replica more than wanted',
      viewOf(3, 1, ['0 1 2?'], ['2 1']),
      { syncingReplicas: 1, missingReplicas: 0 },
      ['1 replica is syncing'],
    ],
  ])('with %s', (_, view, partitions, reasons) => {
    const status = statusFromView('dev', view);
    expect(status.partitions).toMatchObject(partitions);
    expect(status.unsafeReasons).toEqual(reasons);
    expect(status.safe).toBe(reasons.length === 0);
  });
});

describe('the status of a side of a split', () => {
  const view = viewOf(2, 1, ['0 1', '1 0']);
  const parent = { lineage: '22222222-2222-4222-8222-222222222222', number: 5 };

  it('tells where it left the chain, and whether it was founded by order', () => {
    expect(statusFromView('dev', view)).toMatchObject({ ordered: false, parent: null });
    expect(statusFromView('dev', { ...view, ordered: true, parent })).toMatchObject({
      ordered: true,
      parent,
    });
  });

  it('names who is missing, once, and nobody who is here', () => {
    const missing = ['m1', 'm8', 'm9'].map((id) => ({ id, address: `host:${id}` }));
    const reports = new Map([
      ['m0', report(['m0', 'm1'], { missing: missing.slice(0, 2) })],
      ['m1', report(['m0', 'm1'], { missing })],
      ['m2', report(['m2'], { lineage: parent.lineage, missing: [{ id: 'm7', address: 'host:m7' }] })],
    ]);
    expect(statusFromView('dev', { ...view, parent }, reports).missing).toEqual(missing.slice(1));
    expect(statusFromView('dev', view).missing).toEqual([]);
  });

  it('is not safe while what members brought from elsewhere waits to be merged', () => {
    const reports = (leftovers: number) =>
      new Map([
        ['m0', report(['m0', 'm1'], { leftovers })],
        ['m1', report(['m0', 'm1'])],
      ]);
    expect(statusFromView('dev', view, reports(0)).safe).toBe(true);
    expect(statusFromView('dev', view, reports(1)).unsafeReasons).toEqual(['1 replica waits to be merged']);
    expect(statusFromView('dev', view, reports(2)).unsafeReasons).toEqual(['2 replicas wait to be merged']);
  });
});

const ROW = { place: 1, backups: 2, behind: 1, unknown: 0, positions: 3, bytes: 9, ageMs: null };

describe('the report of a member', () => {
  it('is read from JSON', () => {
    const given = report(['a'], {
      parent: { lineage: 'x', number: 3 },
      missing: [{ id: 'b', address: 'host:2' }],
      leaseMs: 12,
      backups: [ROW],
      divergent: [3],
      leftoverBytes: 4,
      migrations: [{ partition: 1, to: 'b', copiedBytes: 1, totalBytes: 2 }],
    });
    expect(readMemberReport(JSON.stringify(given))).toEqual(given);
  });

  it.each([
    ['{', 'not JSON'],
    ['null', 'wrong form'],
    ['{"entries": 1}', 'wrong lineage'],
    [JSON.stringify({ ...report([]), sizeBytes: -1 }), 'wrong sizeBytes'],
    [JSON.stringify({ ...report([]), parent: { lineage: 'x' } }), 'wrong parent.number'],
    [JSON.stringify({ ...report([]), missing: ['b'] }), 'wrong missing.0'],
    [JSON.stringify({ ...report([]), antiEntropy: {} }), 'wrong antiEntropy.compared'],
    [JSON.stringify({ ...report([]), hears: 'all' }), 'wrong hears'],
    [JSON.stringify({ ...report([]), leftoverBytes: 0.5 }), 'wrong leftoverBytes'],
    [JSON.stringify({ ...report([]), backups: [{ place: 7 }] }), 'wrong backups.0.place'],
    [JSON.stringify({ ...report([]), backups: Array(7).fill(ROW) }), 'wrong backups'],
    [JSON.stringify({ ...report([]), backups: [{ ...ROW, ageMs: -1 }] }), 'wrong backups.0.ageMs'],
    [JSON.stringify({ ...report([]), divergent: [-1] }), 'wrong divergent.0'],
    [JSON.stringify({ ...report([]), divergent: Array(20_001).fill(1) }), 'wrong divergent'],
    [JSON.stringify({ ...report([]), migrations: [{ partition: -1 }] }), 'wrong migrations.0.partition'],
  ])('that is %j is refused: %s', (json, message) => {
    expect(() => readMemberReport(json)).toThrow(ProtocolError);
    expect(() => readMemberReport(json)).toThrow(message);
  });
});
