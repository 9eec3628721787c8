/**
 * Runs one seed after the other and adds up what they reached: the same for all suites. Invariant: what a seed does
 * depends on no other seed. Called by the swarms.
 */
import { Reached } from './reached.js';

export interface SeedsOptions<R> {
  readonly seeds: number;
  readonly firstSeed: number;
  /** Stops after this many seeds with findings; default: never. */
  readonly maxFailures?: number;
  readonly onResult?: (result: R) => void;
}

/** What is added up of a run. */
export interface SeedResult {
  readonly findings: readonly unknown[];
  readonly reached: Reached;
  readonly operations: number;
  readonly virtualMs: number;
}

export interface SeedsResult<R> {
  readonly seeds: number;
  readonly failed: readonly R[];
  readonly reached: Reached;
  readonly operations: number;
  readonly virtualMs: number;
}

export async function runSeeds<R extends SeedResult>(
  { seeds, firstSeed, maxFailures = Number.POSITIVE_INFINITY, onResult }: SeedsOptions<R>,
  run: (seed: number) => Promise<R>,
): Promise<SeedsResult<R>> {
  const failed: R[] = [];
  const reached = new Reached();
  const total = { seeds: 0, operations: 0, virtualMs: 0 };
  for (let i = 0; i < seeds && failed.length < maxFailures; i++) {
    const result = await run(firstSeed + i);
    total.seeds++;
    total.operations += result.operations;
    total.virtualMs += result.virtualMs;
    reached.addAll(result.reached);
    if (result.findings.length > 0) failed.push(result);
    onResult?.(result);
  }
  return { ...total, failed, reached };
}
