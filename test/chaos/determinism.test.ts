import { describe, expect, it } from 'vitest';
import { firstDifference, Journal } from '../../chaos/sim/journal.js';
import { runSeed } from '../../chaos/swarm.js';

const SEEDS = 100;
const FIRST_SEED = 7000;
/** Share of the usual time of a workload: what is compared here is every event, not the load. */
const SCALE = 0.12;

/** The first event in which two runs of a seed differ, for people. */
async function difference(seed: number): Promise<string> {
  const journals = await Promise.all([1, 2].map(() => runSeed(seed, { keepLines: true }, SCALE)));
  const [a, b] = journals.map(({ lines }) => Object.assign(new Journal(), { lines }));
  return JSON.stringify(firstDifference(a as Journal, b as Journal));
}

describe('two runs of one seed', () => {
  it(`have the same events, byte for byte, in ${SEEDS} seeds`, async () => {
    const digests = new Set<string>();
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const first = await runSeed(seed, {}, SCALE);
      const second = await runSeed(seed, {}, SCALE);
      if (first.digest !== second.digest) expect.fail(`seed ${seed} differs: ${await difference(seed)}`);
      expect(second.operations).toBe(first.operations);
      digests.add(first.digest);
    }
    expect(digests.size).toBe(SEEDS);
  }, 120_000);
});
