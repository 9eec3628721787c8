/** Presets that change while a cluster runs: what is waited for, what is refused, and what holds afterwards. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { clusterOf, done, viewOf } from './scenario.js';

const EL = { consistency: 'PA/EL', backups: { sync: 1, async: 1 } } as const;

function whole(seed: number): Promise<SimCluster> {
  return clusterOf(3, { seed, member: { maps: { el: EL } } });
}

function presetAt(cluster: SimCluster, host: string, pattern: string): string | undefined {
  const row = viewOf(cluster, host)?.structures.find((one) => one.pattern === pattern);
  return row === undefined ? undefined : JSON.parse(row.options).consistency;
}

describe('a change of a preset', () => {
  it('is one view, which every member has when the call returns', async () => {
    const cluster = await whole(1);
    const client = cluster.client();
    await done(cluster, client.connect());
    const before = viewOf(cluster, 'm1')?.number as number;
    const change = await done(cluster, client.setConsistency({ map: 'el' }, 'PA/EC'));
    expect(change.view).toBe(before + 1);
    for (const host of ['m1', 'm2', 'm3']) expect(presetAt(cluster, host, 'el')).toBe('PA/EC');
  });
});
