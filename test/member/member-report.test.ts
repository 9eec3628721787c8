/** What a member says about itself, and what it logs when it comes into a fork. */
import { describe, expect, it } from 'vitest';
import type { ReplicationCounters } from '../../replication/host.js';
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
    const figures = { leaseMs: 1_800.4, leftovers: 0, counters };
    const report = memberReport({ view, chainView }, [], () => true, figures);
    expect(report.missing.map(({ id }) => id)).toEqual(missing);
    expect(report.leaseMs).toBe(1_800);
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
