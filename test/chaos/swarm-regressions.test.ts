import { describe, expect, it } from 'vitest';
import { REGRESSIONS } from '../../chaos/nemesis/regressions.js';
import { explainResult } from '../../chaos/run.js';
import { replayCommand, runSeed } from '../../chaos/swarm.js';
import { REGRESSION_SEEDS } from '../regression/seeds.js';

describe('what was found once stays away', () => {
  it.each(REGRESSIONS)('$name', async ({ run }) => {
    const result = await run({});
    expect(result.findings, explainResult(result, '')).toEqual([]);
    expect(result.notJudged).toBeNull();
  });

  it.each(REGRESSION_SEEDS)('seed $seed: $found', async ({ seed }) => {
    const result = await runSeed(seed);
    expect(result.findings, explainResult(result, replayCommand(seed))).toEqual([]);
    if (result.plan.profile === 'promised') expect(result.notJudged).toBeNull();
    expect(result.operations).toBeGreaterThan(50);
  });
});
