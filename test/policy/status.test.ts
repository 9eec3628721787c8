/** The status of a grid, from its view and the reports of its members. */
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../src/base/errors.js';
import { readMemberReport } from '../../src/policy/member-report.js';
import { type MemberReport, statusFromView } from '../../src/policy/status.js';
import { viewOf } from './views.js';

const report = (hears: string[], more: Partial<MemberReport> = {}): MemberReport => ({
  entries: 10,
  sizeBytes: 1_000,
  hears,
  migrations: [],
  ...more,
});

describe('the status of a grid', () => {
  it('counts roles, replicas and who hears whom', () => {
    const view = viewOf(3, 1, ['0 1', '1 2?', '2 0']);
    const migrations = [{ partition: 1, to: 'm2', copiedBytes: 5, totalBytes: null }];
    const reports = new Map([
      ['m0', report(['m0', 'm1', 'm2'])],
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
      { lost: 1, missingReplicas: 2, unsettled: 0 },
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

describe('the report of a member', () => {
  it('is read from JSON', () => {
    const given = report(['a'], { migrations: [{ partition: 1, to: 'b', copiedBytes: 1, totalBytes: 2 }] });
    expect(readMemberReport(JSON.stringify(given))).toEqual(given);
  });

  it.each([
    ['{', 'not JSON'],
    ['null', 'wrong form'],
    ['{"entries": 1}', 'wrong sizeBytes'],
    [JSON.stringify({ ...report([]), hears: 'all' }), 'wrong hears'],
    [JSON.stringify({ ...report([]), migrations: [{ partition: -1 }] }), 'wrong migrations.0.partition'],
  ])('that is %j is refused: %s', (json, message) => {
    expect(() => readMemberReport(json)).toThrow(ProtocolError);
    expect(() => readMemberReport(json)).toThrow(message);
  });
});
