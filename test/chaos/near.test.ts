/** Near caches under cuts and crashes keep what EL promises, and each fault put into them on purpose is found. */
import { describe, expect, it } from 'vitest';
import { drawSplitCase } from '../../chaos/split/draw.js';
import { NEAR_FAULTS, type NearFault } from '../../chaos/split/planted.js';
import { runSplitCase } from '../../chaos/split/run.js';
import { runSplitSwarm } from '../../chaos/split/swarm.js';
import type { ClientFaults } from '../../client/client.js';
import { clusterOf, done, keyWhere, memberOf, viewOf } from '../cluster/scenario.js';

const SWARM_MS = 240_000;

describe('near caches under cuts and crashes', () => {
  it.each(['PA/EC', 'PC/EC'] as const)(
    'keep what EL promises beside %s',
    async (preset) => {
      const texts: string[] = [];
      const swarm = await runSplitSwarm({
        wishes: { preset, workloads: ['map-near'] },
        firstSeed: 1,
        seeds: 12,
        onResult: ({ seed, findings }) => {
          for (const { guarantee, text } of findings) texts.push(`seed ${seed}: ${guarantee}: ${text}`);
        },
      });
      expect(texts.join('\n')).toBe('');
      for (const state of ['ok behind/read at a near cache', 'near cache: hit at rest'])
        expect([state, swarm.reached.counts.get(state) ?? 0]).not.toEqual([state, 0]);
    },
    SWARM_MS,
  );
});

/** A seed that finds the fault, and that the right code passes. */
const FOUND_BY: Readonly<Partial<Record<NearFault, number>>> = {
  'a change is not told': 2,
  'a late answer is kept': 12,
  'what a session has seen is not looked at': 4,
  'what is kept outlives a takeover': 1,
};
/** Found by a schedule of its own. */
const DIRECTED: NearFault = 'the word of a deposed primary counts';

describe('a fault of near caches that was put in on purpose', () => {
  it.each(Object.entries(FOUND_BY))(
    'is found: %s',
    async (fault, seed) => {
      const plan = drawSplitCase(seed, { preset: 'PA/EC', workloads: ['map-near'] });
      const wrong = await runSplitCase(plan, { plantedNear: fault as NearFault });
      const broken = wrong.findings.filter(({ guarantee }) => /^G(8|10) /.test(guarantee));
      expect(broken).not.toEqual([]);
      const right = await runSplitCase(plan);
      expect(right.findings).toEqual([]);
    },
    SWARM_MS,
  );

  it(`is found: ${DIRECTED}`, async () => {
    const stale = { value: 'old', source: 'nearCache' };
    expect(await readAfterHandover(NEAR_FAULTS[DIRECTED])).toMatchObject(stale);
    expect(await readAfterHandover({})).toMatchObject({ value: 'new' });
  });

  it('is one of those that something finds', () => {
    expect([...Object.keys(FOUND_BY), DIRECTED].sort()).toEqual(Object.keys(NEAR_FAULTS).sort());
  });
});

/**
 * A partition goes from a member to another one, which the client then does not hear any more: what it has near is
 * overwritten there, and only the former primary, which still answers, could say that it is fresh.
 */
async function readAfterHandover(clientFaults: ClientFaults): Promise<object> {
  const member = { maps: { near: { consistency: 'PA/EL', backups: { sync: 1 } } } } as const;
  const cluster = await clusterOf(3, { seed: 4, member, clientFaults });
  const client = cluster.client({ nearCaches: { near: { maxStalenessMs: 300 } } });
  const writer = cluster.client();
  await done(cluster, Promise.all([client.connect(), writer.connect()]));
  const map = client.getMap<string, string>('near');
  await done(cluster, map.get('any'));
  const before = viewOf(cluster, 'm1')?.table ?? [];
  cluster.start('m4');
  await cluster.runUntilSafe(20_000);
  const after = viewOf(cluster, 'm4')?.table ?? [];
  const { id } = memberOf(cluster, 'm4').member;
  const moved = after.findIndex((entry, p) => {
    const former = before[p]?.replicas[0]?.member;
    return entry.replicas[0]?.member === id && former !== undefined && former !== id;
  });
  const key = keyWhere(cluster, 'm4', (_replicas, partition) => partition === moved);
  await done(cluster, writer.getMap('near').set(key, 'old'));
  for (let i = 0; i < 3; i++) {
    await done(cluster, map.get(key));
    await cluster.scheduler.runFor(50);
  }
  cluster.network.cut('m4', 'c1');
  await done(cluster, writer.getMap('near').set(key, 'new'));
  // So that questions go on while nothing is heard of m4.
  for (let i = 0; i < 7; i++) {
    void map
      .with({ timeoutMs: 90 })
      .get('any')
      .catch(() => {});
    await cluster.scheduler.runFor(50);
  }
  return done(cluster, map.getWithMeta(key), 60_000);
}
