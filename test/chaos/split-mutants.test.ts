import { describe, expect, it } from 'vitest';
import { DIRECTED_LEASES } from '../../chaos/nemesis/directed-leases.js';
import { DIRECTED_MERGES, SPLIT_STORIES } from '../../chaos/nemesis/directed-merges.js';
import { SPLIT_FAULTS } from '../../chaos/split/planted.js';
import { explainSplit } from '../../chaos/split/swarm.js';

const DIRECTED = [...DIRECTED_LEASES, ...DIRECTED_MERGES];

/** What may count as having found a fault: a broken promise, not a limit of the test. */
const PROMISE = /^G\d/;

describe('a fault of splits that was put in on purpose', () => {
  it.each(DIRECTED)('$finds is found by the schedule: $name', async ({ finds, run }) => {
    const result = await run({ planted: finds });
    const broken = result.findings.filter(({ guarantee }) => PROMISE.test(guarantee));
    expect(broken, explainSplit(result, '')).not.toEqual([]);
  });

  it.each(DIRECTED)('does not have to be there for the schedule to pass: $name', async ({ run }) => {
    const result = await run({});
    expect(result.findings, explainSplit(result, '')).toEqual([]);
  });

  it('is among those that a directed schedule is for', () => {
    expect(DIRECTED.map(({ finds }) => finds).sort()).toEqual([...SPLIT_FAULTS].sort());
  });
});

describe('what splits have to survive', () => {
  it.each(SPLIT_STORIES)('$name', async ({ run }) => {
    const result = await run({});
    expect(result.findings, explainSplit(result, '')).toEqual([]);
  });
});
