/** The chain, explored in full for small plans, and the same exploration of chains with a rule broken. */
import { describe, expect, it } from 'vitest';
import { Chain } from '../../src/cluster/chain.js';
import { Explorer, type Plan, type Result } from './chain-explorer.js';
import { MUTATIONS, mutant } from './chain-mutants.js';

const MEMBERS = ['a', 'b', 'c'];

/** The oldest with its free ballot, a second try with another value, and a rival; and all of it again in view 3. */
const OLDEST_AND_RIVAL: Plan = {
  members: MEMBERS,
  proposals: { a: 2, b: 1 },
  depth: 2,
  maxStates: 200_000,
};

/** The rival tries twice and proposes to remove the oldest, after which the free ballot is its own. */
const RIVAL_REMOVES_OLDEST: Plan = {
  members: MEMBERS,
  proposals: { a: 1, b: 2 },
  membersOf: (proposer) => (proposer === 'b' ? ['b', 'c'] : MEMBERS),
  depth: 2,
  maxStates: 200_000,
};

/** Two that both have to prepare, while the oldest only votes. */
const TWO_RIVALS: Plan = { members: MEMBERS, proposals: { b: 1, c: 1 }, depth: 1, maxStates: 20_000 };

/** One that prepares twice, with two values. */
const ONE_TRIES_TWICE: Plan = { members: MEMBERS, proposals: { b: 2 }, depth: 1, maxStates: 20_000 };

/** Two members: the oldest alone is a quorum, the other alone is not. */
const PAIR: Plan = { members: ['a', 'b'], proposals: { a: 2, b: 2 }, depth: 2, maxStates: 20_000 };

function report(name: string, { states, restarts, tries, outcomes }: Result): void {
  console.log(
    `${name}: ${states} states, ${outcomes.size} values chosen; progress from ${restarts} combinations, ${tries} tries`,
  );
}

describe('the chain, explored exhaustively', () => {
  it('chooses one value at most when the oldest tries twice beside a rival, in two views', () => {
    const result = new Explorer(OLDEST_AND_RIVAL, Chain).explore();
    report('oldest and rival', result);
    expect(result.violation).toBeNull();
    expect(result.states).toBeGreaterThan(50_000);
    expect([...result.outcomes].sort()).toEqual(['v2a1', 'v2a2', 'v2b1', 'v3a1', 'v3a2', 'v3b1']);
  });

  it('chooses one value at most when a rival removes the oldest, and goes on without it', () => {
    const result = new Explorer(RIVAL_REMOVES_OLDEST, Chain).explore();
    report('rival removes oldest', result);
    expect(result.violation).toBeNull();
    expect(result.states).toBeGreaterThan(40_000);
    expect([...result.outcomes].sort()).toEqual(['v2a1', 'v2b1', 'v2b2', 'v3b1', 'v3b2']);
  });

  it('chooses one value at most when two rivals prepare against each other', () => {
    const result = new Explorer(TWO_RIVALS, Chain).explore();
    report('two rivals', result);
    expect(result.violation).toBeNull();
    expect([...result.outcomes].sort()).toEqual(['v2b1', 'v2c1']);
  });

  it('chooses one value at most among two members, where the oldest is a quorum alone', () => {
    const result = new Explorer(PAIR, Chain).explore();
    report('pair', result);
    expect(result.violation).toBeNull();
    expect(result.outcomes.size).toBeGreaterThan(4);
  });
});

describe('the exploration finds', () => {
  it.each(MUTATIONS)('$name', async (mutation) => {
    const ChainClass = await mutant(mutation);
    let found: string | null = null;
    for (const plan of [PAIR, ONE_TRIES_TWICE, TWO_RIVALS, RIVAL_REMOVES_OLDEST, OLDEST_AND_RIVAL])
      found ??= new Explorer(plan, ChainClass).explore().violation;
    expect(found).toMatch(/were chosen|gets nothing chosen|never fall silent/);
    console.log(`${mutation.name}: ${found}`);
  });
});
