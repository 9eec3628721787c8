/** What a member says about itself, and what it logs when it comes into a fork. */
import { describe, expect, it } from 'vitest';
import type { ReplicationCounters } from '../../replication/host.js';
import type { PartitionStatus } from '../../replication/partition-status.js';
import { memberReport } from '../../src/member/member-report.js';
import { logJoined } from '../../src/member/view-log.js';
import { viewOf } from '../policy/views.js';

const chain = viewOf(3, 1, ['0 1', '1 2', '2 0']);
const fork = {
  ...chain,
  lineage: '22222222-2222-4222-8222-222222222222',
  parent: { lineage: chain.lineage, number: chain.number },
  members: chain.members.slice(2),
};
const counters = new Proxy({}, { get: () => 0 }) as ReplicationCounters;

describe('the report of a member', () => {
  it.each([
    ['in a fork', fork, chain, ['m0', 'm1']],
    ['in the chain', chain, chain, []],
    ['in no view', null, chain, []],
    ['in a fork that it joined, of a chain that it was never in', fork, null, []],
    ['in a fork of another chain', fork, { ...chain, lineage: 'other' }, []],
  ])('%s names who is missing from the last majority', (_, view, chainView, missing) => {
    const figures = { leaseMs: 1_800.4, leftovers: { size: 0, sizeBytes: 0 }, counters, owed: 0 };
    const report = memberReport({ view, chainView }, [], () => true, figures);
    expect(report.missing.map(({ id }) => id)).toEqual(missing);
    expect(report.leaseMs).toBe(1_800);
  });
});

describe('how far backups are behind', () => {
  const status = (partition: number, backups: PartitionStatus['backups']): PartitionStatus => {
    const size = { epoch: 1, seq: 9, entries: 1, sizeBytes: 5, copies: [] };
    return { partition, role: 'primary', ...size, backups };
  };
  const report = (partitions: readonly PartitionStatus[]) =>
    memberReport({ view: chain, chainView: chain }, partitions, () => true, {
      leaseMs: null,
      leftovers: { size: 2, sizeBytes: 77 },
      counters,
      owed: 0,
    });
  const backup = (place: number, lag: PartitionStatus['backups'][number]['lag']) => {
    return { place, lag, isDivergent: false };
  };

  it('is added up by their places, with the highest age, and those that have to be copied anew are named', () => {
    const { backups, divergent, leftovers, leftoverBytes } = report([
      status(3, [
        backup(1, { positions: 2, bytes: 20, ageMs: 1.5 }),
        { ...backup(2, null), isDivergent: true },
      ]),
      status(4, [backup(1, { positions: 0, bytes: 0, ageMs: 0 })]),
      status(5, [backup(1, { positions: 5, bytes: 50, ageMs: 30 }), backup(9, null)]),
    ]);
    expect(backups).toEqual([
      { place: 1, backups: 3, behind: 2, unknown: 0, positions: 7, bytes: 70, ageMs: 30 },
      { place: 2, backups: 1, behind: 0, unknown: 1, positions: 0, bytes: 0, ageMs: 0 },
    ]);
    expect([divergent, leftovers, leftoverBytes]).toEqual([[3], 2, 77]);
  });

  it('has no age when one of them has none', () => {
    const lag = { positions: 1, bytes: 1, ageMs: null };
    const rows = [status(1, [backup(1, lag)]), status(2, [backup(1, { ...lag, ageMs: 4 })])];
    expect(report(rows).backups[0]).toMatchObject({ behind: 2, ageMs: null });
  });
});

describe('joining', () => {
  it.each([
    ['the cluster', chain, 'info: in the cluster'],
    ['a fork', fork, 'warn: in a fork of the cluster, a side of a split without the majority'],
  ])('%s is logged as what it is', (_, view, text) => {
    const lines: string[] = [];
    logJoined({ log: (level, message) => lines.push(`${level}: ${message}`) }, view, []);
    expect(lines).toEqual([text]);
  });
});
