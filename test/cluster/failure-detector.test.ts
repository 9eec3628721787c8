/** Who is heard and by whom, and the largest set of members that all hear each other. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FailureDetector, largestConnectedSet } from '../../src/cluster/failure-detector.js';

const SUSPICION_MS = 2_500;

function detector(): FailureDetector {
  return new FailureDetector('me', SUSPICION_MS);
}

describe('a failure detector', () => {
  it('hears itself always, and nobody that it never met', () => {
    const one = detector();
    expect(one.hears('me', 1e9)).toBe(true);
    expect(one.isMutual('me', 1e9)).toBe(true);
    expect(one.hears('you', 0)).toBe(false);
  });

  it('gives an expected member one suspicion time to be heard', () => {
    const one = detector();
    one.expect('you', 1_000);
    expect(one.isMutual('you', 1_000 + SUSPICION_MS)).toBe(true);
    expect(one.isMutual('you', 1_001 + SUSPICION_MS)).toBe(false);
  });

  it('expecting a member again does not prolong its time', () => {
    const one = detector();
    one.expect('you', 1_000);
    one.expect('you', 3_000);
    expect(one.hears('you', 1_001 + SUSPICION_MS)).toBe(false);
  });

  it('hearing is mutual only while heartbeats name this member', () => {
    const one = detector();
    one.heartbeat('you', ['me'], 0);
    one.heartbeat('you', [], 2_000);
    expect(one.isMutual('you', SUSPICION_MS)).toBe(true);
    expect(one.hears('you', SUSPICION_MS + 1)).toBe(true);
    expect(one.isMutual('you', SUSPICION_MS + 1)).toBe(false);
  });

  it('a stranger whose first heartbeat does not name this member is heard but not mutual', () => {
    const one = detector();
    one.heartbeat('you', [], 0);
    expect(one.hears('you', 0)).toBe(true);
    expect(one.isMutual('you', 0)).toBe(false);
  });

  it('a dead member is gone at once, and back only with a heartbeat', () => {
    const one = detector();
    one.heartbeat('you', ['me'], 100);
    one.dead('you');
    expect(one.hears('you', 100)).toBe(false);
    expect(one.heard(100)).toEqual([]);
    one.forget('you');
    one.expect('you', 200);
    expect(one.hears('you', 200)).toBe(true);
  });

  it('two others are connected when each names the other; who has said nothing yet is believed', () => {
    const one = detector();
    one.expect('a', 0);
    one.expect('b', 0);
    expect(one.connected('a', 'b', 0)).toBe(true);
    one.heartbeat('a', ['me'], 1);
    expect(one.connected('a', 'b', 1)).toBe(false);
    one.heartbeat('a', ['me', 'b'], 2);
    expect(one.connected('a', 'b', 2)).toBe(true);
    one.heartbeat('b', ['me'], 3);
    expect(one.connected('a', 'b', 3)).toBe(false);
    expect(one.connected('b', 'a', 3)).toBe(false);
  });

  it('for the admission of newcomers what was not said counts as no', () => {
    const one = detector();
    one.expect('a', 0);
    one.expect('b', 0);
    expect(one.confirmed('a', 'b', 0)).toBe(false);
    one.heartbeat('a', ['b', 'me'], 1);
    one.heartbeat('b', ['a'], 1);
    expect(one.confirmed('a', 'b', 1)).toBe(true);
    expect(one.confirmed('me', 'a', 1)).toBe(true);
    expect(one.confirmed('me', 'b', 1)).toBe(false);
    expect(one.confirmed('a', 'b', 2 + SUSPICION_MS)).toBe(false);
  });

  it('lists whom it hears in one order, whatever the order of the heartbeats', () => {
    const one = detector();
    for (const id of ['c', 'a', 'b']) one.heartbeat(id, [], 0);
    expect(one.heard(0)).toEqual(['a', 'b', 'c']);
    expect(one.heard(SUSPICION_MS + 1)).toEqual([]);
  });
});

interface Graph {
  readonly members: string[];
  readonly self: string;
  readonly edges: ReadonlySet<string>;
}

const graphs: fc.Arbitrary<Graph> = fc.integer({ min: 1, max: 9 }).chain((size) => {
  const members = Array.from({ length: size }, (_, i) => `m${i}`);
  const pairs = members.flatMap((a, i) => members.slice(i + 1).map((b) => `${a}-${b}`));
  return fc.record({
    members: fc.constant(members),
    self: fc.constantFrom(...members),
    edges: fc.subarray(pairs).map((edges) => new Set(edges)),
  });
});

function connectedIn({ edges }: Graph): (a: string, b: string) => boolean {
  return (a, b) => a === b || edges.has(`${a}-${b}`) || edges.has(`${b}-${a}`);
}

/** All sets with `self` in which every pair is connected: the largest, and of these the one with the oldest. */
function bruteForce(graph: Graph): string[] {
  const { members, self } = graph;
  const connected = connectedIn(graph);
  let best: string[] = [];
  for (let mask = 0; mask < 1 << members.length; mask++) {
    const set = members.filter((_, i) => (mask & (1 << i)) !== 0);
    if (!set.includes(self) || !set.every((a) => set.every((b) => connected(a, b)))) continue;
    if (set.length > best.length || (set.length === best.length && isOlder(set, best, members))) best = set;
  }
  return best;
}

function isOlder(a: readonly string[], b: readonly string[], members: readonly string[]): boolean {
  for (const id of members) if (a.includes(id) !== b.includes(id)) return a.includes(id);
  return false;
}

describe('the largest connected set', () => {
  it('is that of brute force, with the older members among equally large ones', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const { members, self } = graph;
        expect(largestConnectedSet(members, self, connectedIn(graph))).toEqual(bruteForce(graph));
      }),
      { numRuns: 2_000 },
    );
  });

  it('is everybody when all hear each other, also for a thousand members', () => {
    const members = Array.from({ length: 1000 }, (_, i) => `m${i}`);
    expect(largestConnectedSet(members, 'm500', () => true)).toEqual(members);
  });

  it('ends soon and with a connected set for a graph that is hard', () => {
    const members = Array.from({ length: 200 }, (_, i) => `m${i}`);
    const number = (id: string) => Number(id.slice(1));
    const connected = (a: string, b: string) => a === b || (number(a) * 31 + number(b) * 31) % 7 > 1;
    const set = largestConnectedSet(members, 'm0', connected);
    expect(set).toContain('m0');
    for (const a of set) for (const b of set) expect(connected(a, b)).toBe(true);
  });
});
