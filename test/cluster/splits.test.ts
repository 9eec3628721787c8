/** Whole clusters that are split: what each side serves, what is left after the heal, and that nothing flaps. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { View } from '../../src/cluster/view.js';
import type { MemberOptions } from '../../src/config.js';
import { clusterOf, done, hostsOf, lineagesOf, memberOf, runUntilView, viewOf } from './scenario.js';

const FIVE = ['m1', 'm2', 'm3', 'm4', 'm5'];
const KEYS = 24;
const PARTITIONS = 11;
/** Twice the suspicion time, and what the fork takes to settle. */
const FORKED_MS = 9_000;
const HEALED_MS = 40_000;

function options(consistency: 'PA/EC' | 'PC/EC'): Partial<MemberOptions> {
  const backups = { sync: 2, async: 0 };
  return {
    founds: true,
    consistency,
    // Of all kinds: a replica behind the sync backups of any consistent structure never leads.
    maps: { default: { consistency, backups } },
    atomicLongs: { default: { consistency, backups } },
    queues: { default: { consistency, backups } },
    multimaps: { default: { consistency, backups } },
    topics: { default: { consistency, backups } },
  } as Partial<MemberOptions>;
}

async function clusterWith(
  hosts: number,
  consistency: 'PA/EC' | 'PC/EC',
  seed: number,
  more: Partial<MemberOptions> = {},
): Promise<SimCluster> {
  return clusterOf(hosts, { seed, member: { ...options(consistency), ...more } });
}

interface Outcome {
  readonly done: number;
  readonly codes: ReadonlySet<string>;
}

/** Writes keys `<prefix>0...` from a member, each until it is acknowledged or given up after a while. */
async function write(cluster: SimCluster, host: string, prefix: string, value: number): Promise<Outcome> {
  const map = memberOf(cluster, host).member.getMap<string, number>('x').with({ timeoutMs: 1_500 });
  const puts = Array.from({ length: KEYS }, (_, i) => map.set(`${prefix}${i}`, value));
  const outcomes = await done(cluster, Promise.allSettled(puts));
  const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
  return { done: KEYS - failed.length, codes: new Set(failed.map(({ reason }) => codeOf(reason))) };
}

function codeOf(error: Error & { readonly code?: string }): string {
  const cause = error.cause as { readonly code?: string } | undefined;
  return cause?.code ?? error.code ?? error.name;
}

async function read(cluster: SimCluster, host: string, prefix: string): Promise<Set<unknown>> {
  const map = memberOf(cluster, host).member.getMap<string, number>('x');
  const gets = Array.from({ length: KEYS }, (_, i) => map.get(`${prefix}${i}`));
  const outcomes = await done(cluster, Promise.allSettled(gets));
  return new Set(
    outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : codeOf(outcome.reason))),
  );
}

async function heal(cluster: SimCluster, hosts: readonly string[], where: string): Promise<void> {
  cluster.network.healAll();
  const isOne = await cluster.runUntilSafe(HEALED_MS);
  expect(isOne, `${where}\n${cluster.logs.slice(-30).join('\n')}`).toBe(true);
  expect([...hostsOf(cluster, hosts[0] as string)].sort(), where).toEqual([...hosts].sort());
  expect(viewOf(cluster, hosts[0] as string)?.parent, where).toBeNull();
  await cluster.scheduler.runFor(5_000);
  for (const host of hosts) expect(leftovers(cluster, host), where).toEqual([0, 0]);
}

/** Replicas that are still to be merged, and those kept for a chain that is there. */
function leftovers(cluster: SimCluster, host: string): number[] {
  const { leftovers: waiting, holdings } = memberOf(cluster, host).member.node.replication;
  return [waiting.size, holdings.frozenCount];
}

describe.each(['PA/EC', 'PC/EC'] as const)('a cluster of five under %s', (consistency) => {
  it('that is split 2+3 serves what it promises on both sides, and is one after the heal', async () => {
    for (const seed of [1, 2, 3]) {
      const cluster = await clusterWith(5, consistency, seed);
      const where = `seed ${seed}`;
      expect((await write(cluster, 'm1', 'old', 1)).done, where).toBe(KEYS);
      cluster.network.partition(['m1', 'm2'], ['m3', 'm4', 'm5']);
      await cluster.scheduler.runFor(FORKED_MS);
      expect(hostsOf(cluster, 'm1').sort(), where).toEqual(['m1', 'm2']);
      expect(viewOf(cluster, 'm1')?.parent?.lineage, where).toBe(viewOf(cluster, 'm3')?.lineage);
      const [small, large] = [await write(cluster, 'm1', 'small', 2), await write(cluster, 'm4', 'large', 3)];
      expect(large.done, `${where} ${[...large.codes]}`).toBe(KEYS);
      if (consistency === 'PC/EC')
        expect([small.done, small.codes.has('ERR_IN_FORK')], where).toEqual([0, true]);
      else expect(small.done, `${where} ${[...small.codes]}`).toBeGreaterThan(0);
      await heal(cluster, FIVE, where);
      for (const host of ['m1', 'm5']) {
        expect(await read(cluster, host, 'old'), where).toEqual(new Set([1]));
        expect(await read(cluster, host, 'large'), where).toEqual(new Set([3]));
        const merged = await read(cluster, host, 'small');
        if (consistency === 'PC/EC') expect(merged, where).toEqual(new Set([null]));
        else expect(merged, where).toContain(2);
      }
    }
  });

  it('that is split 2+2+1 has no majority anywhere, and goes on as the chain when one is there again', async () => {
    const cluster = await clusterWith(5, consistency, 4);
    await write(cluster, 'm1', 'old', 1);
    const before = viewOf(cluster, 'm1');
    cluster.network.partition(['m1', 'm2'], ['m3', 'm4'], ['m5']);
    await cluster.scheduler.runFor(FORKED_MS);
    expect(lineagesOf(cluster).size).toBe(3);
    for (const host of FIVE) expect(viewOf(cluster, host)?.parent?.lineage).toBe(before?.lineage);
    for (const host of ['m1', 'm3', 'm5']) {
      const { done: written, codes } = await write(cluster, host, host, 2);
      if (consistency === 'PC/EC')
        expect([written, codes.has('ERR_IN_FORK')], `${[...codes]}`).toEqual([0, true]);
      else expect(codes).not.toContain('ERR_IN_FORK');
    }
    await heal(cluster, FIVE, '2+2+1');
    expect(viewOf(cluster, 'm1')?.lineage).toBe(before?.lineage);
    expect(await read(cluster, 'm5', 'old')).toEqual(new Set([1]));
  });

  it('with a restart inside the cut is one after the heal', async () => {
    for (const restarted of ['m2', 'm4']) {
      const cluster = await clusterWith(5, consistency, 6);
      await write(cluster, 'm1', 'old', 1);
      cluster.network.partition(['m1', 'm2'], ['m3', 'm4', 'm5']);
      await cluster.scheduler.runFor(FORKED_MS);
      cluster.crash(restarted);
      await cluster.scheduler.runFor(1_000);
      cluster.start(restarted);
      const side = restarted === 'm2' ? ['m1', 'm2'] : ['m3', 'm4', 'm5'];
      expect(await runUntilView(cluster, side, 30_000), restarted).toBe(true);
      await heal(cluster, FIVE, `restart of ${restarted}`);
      expect(await read(cluster, 'm3', 'old'), restarted).toEqual(new Set([1]));
    }
  });
});

describe('a cluster of two', () => {
  it('that is split has its younger member in a fork, which is merged after the heal', async () => {
    const cluster = await clusterWith(2, 'PA/EC', 1);
    await write(cluster, 'm1', 'old', 1);
    cluster.network.partition(['m1'], ['m2']);
    await cluster.scheduler.runFor(FORKED_MS);
    expect([viewOf(cluster, 'm1')?.parent, viewOf(cluster, 'm2')?.parent]).toEqual([null, expect.anything()]);
    expect((await write(cluster, 'm1', 'elder', 2)).done).toBe(KEYS);
    expect((await write(cluster, 'm2', 'younger', 3)).done).toBe(KEYS);
    await heal(cluster, ['m1', 'm2'], 'two');
    for (const host of ['m1', 'm2'])
      for (const [prefix, value] of [
        ['old', 1],
        ['elder', 2],
        ['younger', 3],
      ] as const)
        expect(await read(cluster, host, prefix)).toEqual(new Set([value]));
  });

  it('that loses its elder goes on without a person, and takes in the elder when it is started again', async () => {
    const cluster = await clusterWith(2, 'PA/EC', 2);
    await write(cluster, 'm1', 'old', 1);
    cluster.crash('m1');
    await cluster.scheduler.runFor(FORKED_MS);
    expect((await write(cluster, 'm2', 'alone', 2)).done).toBe(KEYS);
    cluster.start('m1');
    expect(await cluster.runUntilSafe(HEALED_MS)).toBe(true);
    expect(hostsOf(cluster, 'm1').sort()).toEqual(['m1', 'm2']);
    expect(await read(cluster, 'm1', 'old')).toEqual(new Set([1]));
    expect(await read(cluster, 'm1', 'alone')).toEqual(new Set([2]));
  });
});

describe('two foundings', () => {
  it('that meet later become one cluster with the entries of both', async () => {
    const cluster = await clusterOf(1, { seed: 3 });
    cluster.network.partition(['m1'], ['m2', 'm3']);
    cluster.start('m2');
    await cluster.scheduler.runFor(10_000);
    cluster.start('m3');
    await runUntilView(cluster, ['m2', 'm3'], 20_000);
    expect(lineagesOf(cluster).size).toBe(2);
    expect((await write(cluster, 'm1', 'one', 1)).done).toBe(KEYS);
    expect((await write(cluster, 'm2', 'two', 2)).done).toBe(KEYS);
    await heal(cluster, ['m1', 'm2', 'm3'], 'foundings');
    expect(await read(cluster, 'm1', 'one')).toEqual(new Set([1]));
    expect(await read(cluster, 'm3', 'two')).toEqual(new Set([2]));
  });
});

/** Changes of a partition's primary, per partition and minute, as each member sees them. */
async function changesPerMinute(cluster: SimCluster, forMs: number): Promise<number[]> {
  const counts = FIVE.map((host) => {
    const ownersOf = (view: View | null) => view?.table.map(({ replicas }) => replicas[0]?.member) ?? [];
    const count = { changes: 0, before: ownersOf(viewOf(cluster, host)) };
    memberOf(cluster, host).member.node.events.on('view', (view) => {
      const after = ownersOf(view);
      count.changes += after.filter((member, partition) => member !== count.before[partition]).length;
      count.before = after;
    });
    return count;
  });
  await cluster.scheduler.runFor(forMs);
  return counts.map(({ changes }) => changes / PARTITIONS / (forMs / 60_000));
}

function cutBoth(cluster: SimCluster, pairs: readonly (readonly [string, string])[]): void {
  for (const [a, b] of pairs) {
    cluster.network.cut(a, b);
    cluster.network.cut(b, a);
  }
}

describe('a cut that stays', () => {
  it.each([
    // m3 hears both sides, which do not hear each other.
    [
      'a bridge',
      [
        ['m1', 'm4'],
        ['m1', 'm5'],
        ['m2', 'm4'],
        ['m2', 'm5'],
      ],
    ],
    // Each hears its two neighbours only.
    [
      'a ring',
      [
        ['m1', 'm3'],
        ['m1', 'm4'],
        ['m2', 'm4'],
        ['m2', 'm5'],
        ['m3', 'm5'],
      ],
    ],
    ['one pair', [['m2', 'm4']]],
  ] as const)('as %s does not make ownership flap', async (_name, pairs) => {
    for (const consistency of ['PA/EC', 'PC/EC'] as const) {
      const cluster = await clusterWith(5, consistency, 7);
      await write(cluster, 'm1', 'old', 1);
      cutBoth(cluster, pairs);
      await cluster.scheduler.runFor(10_000);
      const rates = await changesPerMinute(cluster, 60_000);
      for (const rate of rates) expect(rate, `${consistency}: ${rates}`).toBeLessThanOrEqual(3);
      await heal(cluster, FIVE, consistency);
      expect(await read(cluster, 'm2', 'old')).toEqual(new Set([1]));
    }
  });
});

describe('a primary of consistent structures that took over from one that is gone', () => {
  it('serves them only once a view says that it serves, so that nothing is lost with it before', async () => {
    const cluster = await clusterWith(3, 'PC/EC', 5);
    await write(cluster, 'm1', 'old', 1);
    const { node } = memberOf(cluster, 'm2').member;
    const seen = { before: 0, served: 0 };
    node.events.on('view', ({ table }) => {
      for (const [partition, entry] of table.entries()) {
        if (entry.replicas[0]?.member !== memberOf(cluster, 'm2').member.id || entry.proven.length === 0)
          continue;
        const fromMs = node.replication.consistentFromMs(partition);
        expect(entry.settled).toBe(false);
        expect(fromMs).toBe(Number.POSITIVE_INFINITY);
        seen.before++;
      }
    });
    cluster.crash('m1');
    expect(await runUntilView(cluster, ['m2', 'm3'], HEALED_MS)).toBe(true);
    await cluster.runUntilSafe(HEALED_MS);
    await cluster.scheduler.runFor(5_000);
    node.view?.table.forEach(({ replicas, proven }, partition) => {
      if (replicas[0]?.member !== memberOf(cluster, 'm2').member.id) return;
      expect(proven).toEqual([]);
      expect(node.replication.consistentFromMs(partition)).toBeLessThan(Number.POSITIVE_INFINITY);
      seen.served++;
    });
    expect(Math.min(seen.before, seen.served)).toBeGreaterThan(0);
    expect(await read(cluster, 'm2', 'old')).toEqual(new Set([1]));
  });
});
