/** Near caches under cuts and crashes keep what EL promises, and each fault put into them on purpose is found. */
import { describe, expect, it } from 'vitest';
import { drawSplitCase } from '../../chaos/split/draw.js';
import { NEAR_FAULTS, type NearFault } from '../../chaos/split/planted.js';
import { runSplitCase } from '../../chaos/split/run.js';
import { runSplitSwarm } from '../../chaos/split/swarm.js';

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
      expect(swarm.reached.counts.get('ok behind/read at a near cache')).toBeGreaterThan(0);
    },
    SWARM_MS,
  );
});

/** A seed that finds the fault, and that the right code passes. */
const FOUND_BY: Readonly<Record<NearFault, number>> = {
  'a change is not told': 2,
  'a late answer is kept': 1,
  'what a session has seen is not looked at': 1,
  'the word of a deposed primary counts': 1,
  'what is kept outlives a takeover': 1,
};

describe('a fault of near caches that was put in on purpose', () => {
  it.each(Object.keys(NEAR_FAULTS) as NearFault[])(
    'is found: %s',
    async (fault) => {
      const plan = drawSplitCase(FOUND_BY[fault], { preset: 'PA/EC', workloads: ['map-near'] });
      const wrong = await runSplitCase(plan, { plantedNear: fault });
      const broken = wrong.findings.filter(({ guarantee }) => /^G(8|10) /.test(guarantee));
      expect(broken).not.toEqual([]);
      const right = await runSplitCase(plan);
      expect(right.findings).toEqual([]);
    },
    SWARM_MS,
  );
});
