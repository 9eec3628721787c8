/** Splits in the simulator: what both sides wrote is there after the heal, or in a report that every member can read. */
import { describe, expect, it } from 'vitest';
import type { MergeReport } from '../../client/core/merge-reports.js';
import { clusterOf, done, memberOf } from '../cluster/scenario.js';

const LEFT = ['m1', 'm2'];
const RIGHT = ['m3', 'm4', 'm5'];
const ALL = [...LEFT, ...RIGHT];

describe('a split of five members', () => {
  it('is merged when it heals, and reported until somebody acknowledges it', async () => {
    const cluster = await clusterOf(5, { member: { maps: { x: {} } } });
    const mapOf = (host: string) => memberOf(cluster, host).member.getMap<string, string>('x');
    for (let i = 0; i < 30; i++) await done(cluster, mapOf('m1').set(`shared${i}`, 'before'));
    for (const a of LEFT) for (const b of RIGHT) cluster.network.cut(a, b);
    await cluster.scheduler.runFor(10_000);
    const acknowledged: { key: string; value: string; side: string }[] = [];
    for (const [host, side] of [
      ['m1', 'left'],
      ['m3', 'right'],
    ] as const) {
      for (let i = 0; i < 30; i++) {
        for (const key of [`shared${i}`, `${side}${i}`]) {
          const value = `${side} ${i}`;
          const written = mapOf(host)
            .with({ timeoutMs: 300 })
            .set(key, value)
            .then(
              () => true,
              () => false,
            );
          if (await done(cluster, written)) acknowledged.push({ key, value, side });
        }
      }
    }
    const writtenBy = (side: string) => acknowledged.filter((write) => write.side === side).length;
    expect(writtenBy('left')).toBeGreaterThan(20);
    expect(writtenBy('right')).toBeGreaterThan(20);
    const events: MergeReport[] = [];
    memberOf(cluster, 'm4').member.on('merged', (report) => events.push(report));
    cluster.network.healAll();
    await cluster.scheduler.runFor(15_000);
    for (const host of ALL)
      expect(memberOf(cluster, host).member.node.replication.leftovers.size, host).toBe(0);
    const reported = new Set<string>();
    const reports = await done(cluster, memberOf(cluster, 'm2').member.merges());
    for (const report of reports) {
      const iterator = report.entries()[Symbol.asyncIterator]();
      for (;;) {
        const next = await done(cluster, iterator.next());
        if (next.done === true) break;
        reported.add(`${String(next.value.key)}=${String(next.value.discarded)}`);
      }
    }
    const lost: string[] = [];
    for (const { key, value } of acknowledged) {
      const present = await done(cluster, mapOf('m5').get(key));
      if (present !== value && !reported.has(`${key}=${value}`))
        lost.push(`${key}: ${value}, now ${present}`);
    }
    expect(lost).toEqual([]);
    expect(reported.size).toBeGreaterThan(0);
    expect(events.length).toBeGreaterThan(0);
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
    for (const report of events) await done(cluster, report.ack());
    const left = await done(cluster, memberOf(cluster, 'm1').member.merges());
    expect(left.filter(({ id }) => events.some((event) => event.id === id))).toEqual([]);
  });
});
