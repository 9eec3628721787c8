import { describe, expect, it } from 'vitest';
import { DIRECTED } from '../../chaos/nemesis/directed.js';
import { explainResult, PLANTED_FAULTS, type PlantedFault } from '../../chaos/run.js';
import { runSeed, runSwarm } from '../../chaos/swarm.js';

/** What may count as having found a fault: a broken promise, not a limit of the test. */
const PROMISES = ['G1', 'G2', 'G9', 'replicas are equal'];

/** A seed of the swarm that finds the fault, where random schedules do so often enough. */
const FOUND_BY_SEED: Partial<Record<PlantedFault, number>> = {};

describe('a fault put in on purpose', () => {
  it.each(DIRECTED)('$finds is found by the schedule: $name', async ({ finds, run }) => {
    const result = await run({ planted: finds });
    const broken = result.findings.filter(({ guarantee }) => PROMISES.some((p) => guarantee.startsWith(p)));
    expect(broken.map(({ guarantee }) => guarantee)).not.toEqual([]);
    expect(result.notJudged).toBeNull();
  });

  it.each(DIRECTED)('does not have to be there for the schedule to pass: $name', async ({ run }) => {
    const result = await run({});
    expect(result.findings, explainResult(result, '')).toEqual([]);
    expect(result.notJudged).toBeNull();
  });

  it.each(Object.entries(FOUND_BY_SEED))('%s is found by seed %i of the swarm', async (name, seed) => {
    const result = await runSeed(seed, { planted: name as PlantedFault });
    const broken = result.findings.filter(({ guarantee }) => PROMISES.some((p) => guarantee.startsWith(p)));
    expect(broken.map(({ guarantee }) => guarantee)).not.toEqual([]);
    expect((await runSeed(seed)).findings).toEqual([]);
  });

  it('is among those that a directed schedule is for', () => {
    expect(DIRECTED.map(({ finds }) => finds).sort()).toEqual([...PLANTED_FAULTS].sort());
  });
});
