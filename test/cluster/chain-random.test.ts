/** The chain alone under storms from many seeds, beside the exhaustive exploration of small plans. */
import { describe, expect, it } from 'vitest';
import { Chain } from '../../src/cluster/chain.js';
import type { ChainClass } from './chain-explorer.js';
import { MUTATIONS, mutant } from './chain-mutants.js';
import { ChainSimulation } from './chain-simulation.js';

const SEEDS = 1000;

function problems(chainClass: ChainClass, seeds: number): string[] {
  const found: string[] = [];
  for (let seed = 1; seed <= seeds && found.length < 3; seed++) {
    try {
      new ChainSimulation(seed, chainClass).run();
    } catch (error) {
      found.push(`seed ${seed}: ${(error as Error).message}`);
    }
  }
  return found;
}

describe('the chain under storms', () => {
  it('chooses one value per number in every seed, and goes on afterwards whenever it can', () => {
    let [views, died, stuck] = [0, 0, 0];
    for (let seed = 1; seed <= SEEDS; seed++) {
      const storm = new ChainSimulation(seed, Chain).run();
      views += storm.views;
      died += storm.died;
      if (!storm.couldGoOn) stuck++;
    }
    console.log(`${SEEDS} seeds: ${views} views, ${died} members died, ${stuck} storms left no quorum`);
    expect(views).toBeGreaterThan(10 * SEEDS);
    expect(died).toBeGreaterThan(SEEDS / 2);
    expect(stuck).toBeLessThan(SEEDS / 2);
  });

  it.each(MUTATIONS.slice(0, 3))('would show $name', async (mutation) => {
    expect(problems(await mutant(mutation), SEEDS)).not.toEqual([]);
  });
});
