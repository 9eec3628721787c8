import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LISTEN_FAULTS } from '../../chaos/listen.js';
import { LOCK_FAULTS } from '../../chaos/locks.js';
import { DIRECTED } from '../../chaos/nemesis/directed.js';
import { explainResult, PLANTED_FAULTS, type PlantedFault } from '../../chaos/run.js';
import { STORE_FAULTS } from '../../chaos/stores.js';
import { runSwarm } from '../../chaos/swarm.js';

/** What may count as having found a fault: a broken promise, not a limit of the test. */
const PROMISES = ['G1', 'G2', 'G9', 'replicas are equal'];

/** Where the swarm finds a fault by itself: the first seed that is tried, and how many at most. */
const BY_CHANCE: readonly (readonly [PlantedFault, number, number])[] = [
  ['ackBeforeApply', 1, 40],
  ['freshRetryIds', 1, 20],
];

/** Found by tests of their own, which name them. */
const ELSEWHERE: Readonly<Record<string, readonly PlantedFault[]>> = {
  'toggles.test.ts': ['toggleAnswersEarly', 'toggleUncommitted'],
  '../cluster/toggles.test.ts': ['oldPromiseServed'],
  'deliveries.test.ts': ['handOutsForgotten', 'returnedLast', 'ackIgnored'],
  '../cluster/deliveries.test.ts': ['letterDoubled'],
  'listeners.test.ts': LISTEN_FAULTS,
  'expiry.test.ts': ['neverSwept', 'usesUntold', 'clocksApart'],
  'locks.test.ts': LOCK_FAULTS,
  'map-store.test.ts': STORE_FAULTS,
};
/** A test of all of a list names the list. */
const LISTS: ReadonlyMap<readonly PlantedFault[], string> = new Map<readonly PlantedFault[], string>([
  [LISTEN_FAULTS, 'LISTEN_FAULTS'],
  [LOCK_FAULTS, 'LOCK_FAULTS'],
]);

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

  it.each(BY_CHANCE)(
    '%s is found by the swarm, from seed %i on, within %i seeds',
    async (planted, firstSeed, seeds) => {
      const { failed } = await runSwarm({ seeds, firstSeed, planted, maxFailures: 1 });
      const [found] = failed;
      expect(found, `no seed from ${firstSeed} to ${firstSeed + seeds - 1} finds ${planted}`).toBeDefined();
      console.log(`${planted} is found by seed ${found?.seed}: ${found?.findings[0]?.guarantee}`);
      expect(found?.findings.some(({ guarantee }) => PROMISES.some((p) => guarantee.startsWith(p)))).toBe(
        true,
      );
    },
    60_000,
  );

  it('is among those that a directed schedule is for, or a test of its own', () => {
    const found = [...DIRECTED.map(({ finds }) => finds), ...Object.values(ELSEWHERE).flat()];
    expect(found.sort()).toEqual([...PLANTED_FAULTS].sort());
  });

  it.each(Object.entries(ELSEWHERE))('is named in %s', (file, faults) => {
    const text = readFileSync(new URL(file, import.meta.url), 'utf8');
    const names = LISTS.has(faults) ? [LISTS.get(faults)] : faults;
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  });
});
