import { describe, expect, it } from 'vitest';
import { explainResult } from '../../chaos/run.js';
import { replayCommand, runSwarm, type SwarmResult } from '../../chaos/swarm.js';

const FIXED_SEEDS = 60;
const FRESH_SEEDS = 10;
/** Below this number of seeds the fresh ones never fall. */
const FRESH_BASE = 1_000_000;

/** What must have been reached although there are few seeds. */
const ALWAYS_REACHED = [
  'ok register/cas',
  'ok counter/addAndGet',
  'ok bulk/write',
  'ok set/write',
  'ok through a member',
  'ok through one-member routing',
  'overlapped a fault',
  'call of unknown outcome',
  'resolved as done',
  'resolved as not done',
  'crash',
  'crash of the oldest',
  'promotion',
  'planned handover',
  'stale primary refused',
  'repair asked for',
  'entry levelled at a takeover',
  'migration completed',
  'read that waited',
  'retry answered from the window',
  'new proposer after a crash',
];

function stories({ failed }: SwarmResult): string {
  return failed.map((result) => explainResult(result, replayCommand(result.seed))).join('\n\n');
}

describe('the swarm', () => {
  it('finds nothing in a fixed set of seeds, and reaches what it is for', async () => {
    const result = await runSwarm({ seeds: FIXED_SEEDS, firstSeed: 1 });
    expect(stories(result)).toBe('');
    expect(result.reached.missing(ALWAYS_REACHED)).toEqual([]);
    const notJudged = result.reached.counts.get('promised run not judged') ?? 0;
    expect(notJudged).toBeLessThanOrEqual(FIXED_SEEDS / 20);
  }, 120_000);

  it('finds nothing in seeds that nobody has run before', async () => {
    const firstSeed = FRESH_BASE + Math.floor(Math.random() * 1_000_000_000);
    console.log(`fresh seeds from ${firstSeed}`);
    const result = await runSwarm({ seeds: FRESH_SEEDS, firstSeed });
    expect(stories(result)).toBe('');
    expect(result.operations).toBeGreaterThan(FRESH_SEEDS * 50);
  }, 60_000);
});
