/** The checker of listeners: what it finds in lists made by hand, and in runs with faults put in on purpose. */
import { describe, expect, it } from 'vitest';
import { checkListeners, checkTold, type ToldEvent, type ToldGap } from '../../chaos/checker/listeners.js';
import { LISTEN_FAULTS } from '../../chaos/listen.js';
import { explainSplit, runSplitSeed, runSplitSwarm, splitReplay } from '../../chaos/split/swarm.js';
import { runSeed } from '../../chaos/swarm.js';
import { murmur3, partitionOf } from '../../partitions/hash.js';
import type { EntryEvent, GapEvent } from '../../partitions/services/proxy-listeners.js';
import { encodeKey } from '../../src/wire/keys.js';
import { clusterOf, connected, done, keyAt, runUntilView } from '../cluster/scenario.js';

const rules = { partitionOf: (key: string) => Number(key.slice(1)), unexpected: [] };

function event(sequence: number, value: unknown, old: unknown, more: Partial<ToldEvent> = {}): ToldEvent {
  const at = { partition: 1, lineage: 'a', view: 2, index: 0 };
  return { what: 'event', kind: 'updated', key: 'k1', value, old, sequence, ...at, ...more };
}

const gap = (partition = 1, reason: ToldGap['reason'] = 'moved'): ToldGap => ({
  what: 'gap',
  partition,
  reason,
});

function problems(
  told: readonly (ToldEvent | ToldGap)[],
  final: Record<string, unknown> | null = null,
  more = {},
) {
  const end = final === null ? null : new Map(Object.entries(final));
  return checkListeners([{ name: 'it', told, final: end }], { ...rules, ...more }).problems;
}

describe('the checker of listeners', () => {
  it('finds nothing in events that go on from each other', () => {
    const told = [
      event(1, 'a', null),
      event(2, 'b', 'a'),
      event(2, null, 'b', { index: 1 }),
      event(4, 'c', null, { view: 5 }),
    ];
    expect(problems(told, { k1: 'c' })).toEqual([]);
    expect(checkListeners([{ name: 'it', told, final: null }], rules).links).toBe(3);
  });

  it('finds one that is missing, in between and in the end', () => {
    expect(problems([event(1, 'a', null), event(3, 'c', 'b')])).toHaveLength(1);
    expect(problems([event(1, 'a', null)], { k1: 'b' })).toHaveLength(1);
    expect(problems([event(1, 'a', null)], { k1: 'a', k2: 'x' })).toHaveLength(1);
  });

  it('finds two that are told in the wrong order, and one that comes twice', () => {
    expect(problems([event(2, 'b', 'a'), event(1, 'a', null, { key: 'k11' })])).toHaveLength(1);
    expect(problems([event(2, 'b', 'a'), event(2, 'b', 'b')]).join()).toMatch(/came twice/);
    expect(problems([event(5, 'b', 'a', { view: 3 }), event(9, 'c', 'b')])).toHaveLength(1);
    expect(problems([event(5, 'b', 'a'), event(9, 'c', 'b', { lineage: 'b' })])).toHaveLength(1);
  });

  it('takes a gap of the partition for what is missing, and no other one', () => {
    expect(problems([event(1, 'a', null), gap(), event(3, 'c', 'b')])).toEqual([]);
    expect(problems([event(1, 'a', null), gap(2), event(3, 'c', 'b')])).toHaveLength(1);
    expect(problems([event(3, 'c', 'b'), gap(), event(3, 'c', 'b')])).toHaveLength(1);
    expect(problems([event(1, 'a', null), gap(1, 'lost')], null, { unexpected: ['lost'] })).toHaveLength(1);
  });

  it('finds what goes back behind a gap, and what is told of another lineage without one', () => {
    const inFork = event(4, 'f', null, { key: 'k11', lineage: 'b' });
    const back = [event(5, 'b', 'a'), gap(1, 'lineage'), inFork, gap(1, 'lineage')];
    expect(problems([...back, event(6, 'c', 'b')])).toEqual([]);
    expect(problems([...back, event(3, 'x', 'y')]).join()).toMatch(/came after a gap behind/);
    expect(problems([...back, { ...inFork }]).join()).toMatch(/came twice/);
    expect(problems([event(5, 'b', 'a'), inFork])).toHaveLength(1);
    // What a crash took back is counted anew by another primary.
    expect(problems([event(5, 'b', 'a'), gap(1, 'lost'), event(4, 'c', 'b', { view: 3 })])).toEqual([]);
  });

  it('finds a listener that believes at rest what is not so', () => {
    const rest = (found: unknown, ...told: (ToldEvent | ToldGap)[]) =>
      checkListeners(
        [
          {
            name: 'it',
            told: [...told, event(9, 'later', found)],
            final: null,
            rest: { after: told.length, found: new Map([['k1', found]]) },
          },
        ],
        rules,
      ).problems.filter((text) => text.includes('at rest'));
    expect(rest('a', event(1, 'a', null))).toEqual([]);
    expect(rest('b', event(1, 'a', null))).toHaveLength(1);
    expect(rest(null, event(1, 'a', null))).toHaveLength(1);
    expect(rest('b', event(1, 'a', null), gap(1, 'lineage'))).toEqual([]);
    expect(rest('b', event(1, 'a', null), gap(2, 'lineage'))).toHaveLength(1);
  });

  it('finds a write that is passed over in silence', () => {
    const due = [{ key: 'k1', value: 'a', callMs: 10, retMs: 12 }];
    const at = (atMs: number, one: ToldEvent | ToldGap) => ({ ...one, atMs });
    const silent = (...told: (ToldEvent | ToldGap)[]) =>
      checkTold(
        'it',
        told.map((one) => at(20, one)),
        due,
        rules.partitionOf,
      );
    expect(silent(event(1, 'a', null))).toEqual([]);
    expect(silent(gap())).toEqual([]);
    expect(silent(event(1, 'b', null), gap(2))).toHaveLength(1);
    expect(silent(event(1, 'a', null, { key: 'k11' }))).toHaveLength(1);
    expect(checkTold('it', [at(5, gap())], due, rules.partitionOf)).toHaveLength(1);
    // Of another key of the partition, called when the first had been answered: a gap behind it comes too late.
    const both = [...due, { key: 'k01', value: 'z', callMs: 14, retMs: 15 }];
    const later = event(2, 'z', null, { key: 'k01' });
    const found = (...told: (ToldEvent | ToldGap)[]) =>
      checkTold(
        'it',
        told.map((one) => at(20, one)),
        both,
        rules.partitionOf,
      );
    expect(found(gap(), later)).toEqual([]);
    expect(found(later, gap())).toHaveLength(1);
  });

  const SEEDS = [1, 2, 3, 4, 5, 6];

  // What is told too early shows only where a crash takes it back: below.
  it.each(LISTEN_FAULTS.filter((name) => name !== 'tellsUncommitted'))(
    'finds the fault %s in runs',
    async (planted) => {
      const found: string[] = [];
      for (const seed of SEEDS) {
        const { findings } = await runSeed(seed, { planted }, 0.7, 'map-listen');
        found.push(
          ...findings.filter(({ guarantee }) => guarantee.startsWith('listeners')).map(({ text }) => text),
        );
        if (found.length > 0) break;
      }
      expect(found.length).toBeGreaterThan(0);
    },
    60_000,
  );

  it.each([
    ['tells what is not committed', { tellsUncommitted: true }, 1],
    ['is as it should be', {}, 0],
  ] as const)('finds what a crash took back when a member %s', async (_what, memberFaults, expected) => {
    const cluster = await clusterOf(3, { seed: 11, member: { partitionCount: 5 }, memberFaults });
    const client = await connected(cluster);
    const key = keyAt(cluster, 'm2');
    const map = client.getMap<string, string>('m');
    const partition = partitionOf(murmur3(encodeKey(key)), 5);
    const told: (ToldEvent | ToldGap)[] = [];
    const note = ({ key: k, value, oldValue, position }: EntryEvent<string, string>) => {
      told.push({ what: 'event', kind: 'any', key: k, value, old: oldValue, ...position });
    };
    const listener = {
      added: note,
      updated: note,
      gap: (one: GapEvent) => void told.push({ what: 'gap', ...one }),
    };
    await done(cluster, map.addEntryListener(listener, key, true));
    await done(cluster, map.set(key, 'first'));
    await cluster.scheduler.runFor(100);
    for (const host of ['m1', 'm3']) cluster.network.cut('m2', host);
    void map.set(key, 'only there').catch(() => {});
    await cluster.scheduler.runFor(100);
    cluster.crash('m2');
    await runUntilView(cluster, ['m1', 'm3'], 10_000);
    await cluster.scheduler.runFor(3_000);
    const partitionOfKey = () => partition;
    const verdict = checkListeners([{ name: 'it', told, final: null }], {
      partitionOf: partitionOfKey,
      unexpected: ['lost', 'lineage'],
    });
    expect(verdict.problems.length).toBe(expected);
    expect(told.length).toBeGreaterThan(1);
  });
});

describe('listeners in splits', () => {
  // Back from a fork they were once told again of what the cluster has in common with it: of a fork that went on as the cluster
  // (2, 3), of what was told of the cluster before the fork (5, 7), and of a fork before the last one (22, 28).
  it.each([
    ['PA/EC', 2, 2],
    ['PA/EC', 5, 1],
    ['PA/EC', 7, 1],
    ['PA/EC', 22, 1],
    ['PA/EC', 28, 1],
    ['PC/EC', 1, 2],
  ] as const)(
    'are told under %s of everything, or of a gap, in seeds from %i on, in %i',
    async (preset, firstSeed, seeds) => {
      const wishes = { preset, workloads: ['map-listen'] } as const;
      const { failed, reached } = await runSplitSwarm({ wishes, seeds, firstSeed });
      const stories = failed.map((each) => explainSplit(each, splitReplay(each.seed, wishes)));
      expect(stories.join('\n\n')).toBe('');
      const states = [
        'event told',
        'event held against the one before',
        'write that a listener had to hear of',
      ];
      expect(
        reached.missing([...states, ...(preset === 'PA/EC' ? ['gap for the reason lineage'] : [])]),
      ).toEqual([]);
    },
    60_000,
  );

  // A member answered in a fork, or went on in an epoch with the number of the fork's: told of nothing more, or twice.
  it.each([80596, 80983, 80682, 80280])(
    'are told in the epoch in which they ask (%i)',
    async (seed) => {
      const wishes = { preset: 'PA/EC', workloads: ['map-listen'] } as const;
      const result = await runSplitSeed(seed, wishes);
      expect(result.findings, explainSplit(result, splitReplay(seed, wishes))).toEqual([]);
    },
    60_000,
  );

  it.each(['dropsEvents', 'forgetsGaps'] as const)(
    'are found by the swarm when a member has the fault %s',
    async (planted) => {
      const wishes = { preset: 'PA/EC', workloads: ['map-listen'] } as const;
      const { failed } = await runSplitSwarm({ wishes, seeds: 6, firstSeed: 1, planted, maxFailures: 1 });
      const found = failed.flatMap(({ findings }) => findings.map(({ guarantee }) => guarantee));
      expect(found.some((guarantee) => guarantee.startsWith('listeners'))).toBe(true);
    },
    60_000,
  );
});
